"""Training and prediction with and without a busy loop on one of the processors.

Both cases in turns, so that a busy moment of the machine meets both: medians, 90th percentiles and
how many times as long it takes beside the loop. Where ONNX Runtime is installed, prediction also
runs in turns with it, whose threads go round waiting after each of its calls. Ends with status 1
where a ratio is over 2.2.

    .venv/bin/python benchmarks/contention.py
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle import Bundle, Encoder, Spec, Tags
from birnn.cli.printing import markdown
from birnn.engine import isa
from birnn.engine.threads import THREADS, get_num_threads
from birnn.inputs import Vectors
from birnn.runtime import Predictor
from birnn.studies.turns import machine

ALLOWED = 2.2
STEPS, INPUTS, LABELS = 25, 128, 20
HIDDEN = (128, 256)
CALLS = {1: 200, 4: 100, 32: 30}  # of a batch of so many sequences, in each round
SETTLES = 1.5  # seconds after which nothing remembers that others were at work
SENTENCES = 400


@dataclass
class Times:
    """Seconds of a work, idle and beside others."""

    work: str
    idle: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        """Cells of the table, in milliseconds."""
        cells = [f"{_median(t):.4g}, {_tail(t):.4g}" for t in (self.idle, self.beside)]
        return [self.work, *cells, f"{self.ratios()[0]:.2f}, {self.ratios()[1]:.2f}"]

    def ratios(self) -> tuple[float, float]:
        """Of the medians and of the 90th percentiles."""
        return _median(self.beside) / _median(self.idle), _tail(self.beside) / _tail(self.idle)


def _median(times: Sequence[float]) -> float:
    return 1e3 * float(np.median(times))


def _tail(times: Sequence[float]) -> float:
    return 1e3 * float(np.quantile(times, 0.9))


@contextmanager
def busy_loop() -> Iterator[None]:
    """A process that wants one processor all the time."""
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(0.3)
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def tagger(hidden: int) -> Predictor:
    """A tagger of series with random weights."""
    spec = Spec(
        inputs=Vectors(size=INPUTS), encoder=Encoder(hidden_size=hidden), head=Tags(size=LABELS)
    )
    drawn = np.random.default_rng(0)
    tensors = {
        name: (0.05 * drawn.standard_normal(shape)).astype(np.float32)
        for name, shape in spec.tensors().items()
    }
    labels = tuple(f"label {number}" for number in range(LABELS))
    return Predictor(Bundle(spec, {"labels": labels}, tensors))


def prediction(model: Predictor, batch: int) -> Callable[[], list[float]]:
    """A turn of calls with so many sequences: the seconds of each."""
    drawn = np.random.default_rng(batch)
    sequences = [drawn.standard_normal((STEPS, INPUTS)).astype(np.float32) for _ in range(batch)]

    def turn(before: Callable[[], Any] = lambda: None) -> list[float]:
        found = []
        for _ in range(CALLS[batch]):
            before()
            begun = time.perf_counter()
            model.predict(sequences)
            found.append(time.perf_counter() - begun)
        return found

    return turn


def other_library() -> Callable[[], Any] | None:
    """A call of ONNX Runtime on all processors; None where it is not installed."""
    if not all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))):
        return None
    import onnx
    import onnxruntime

    size = 256
    weights = onnx.numpy_helper.from_array(np.ones((size, size), np.float32), "w")
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [onnx.helper.make_tensor_value_info("x", kind, [size, size])],
        [onnx.helper.make_tensor_value_info("y", kind, [size, size])],
        [weights],
    )
    product = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        product.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.ones((size, size), np.float32)
    return lambda: session.run(None, {"x": x})


def training(folder: Path) -> float:
    """Train a small tagger by the command line, as a user does: the seconds that it tells."""
    drawn = random.Random(0)
    words = [f"word{number}" for number in range(500)]
    for name, count in (("train", SENTENCES), ("dev", SENTENCES // 8)):
        sentences = ([drawn.choice(words) for _ in range(STEPS)] for _ in range(count))
        lines = ("".join(f"{word}\tTAG{len(word)}\n" for word in some) for some in sentences)
        (folder / f"{name}.tsv").write_text("\n".join(lines), "utf-8")
    command = [sys.executable, "-m", "birnn", "train", "tagger", "--epochs", "3", "--json"]
    command += ["--train", "train.tsv", "--dev", "dev.tsv", "--out", "model", "--overwrite"]
    command += ["--format", "conll", "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return float(json.loads(done.stdout)["seconds"])


def measure(rounds: int) -> list[Times]:
    """All works, idle and beside others in turns."""
    turns: dict[str, Callable[..., list[float]]] = {}
    for hidden in HIDDEN:
        model = tagger(hidden)
        for batch in CALLS:
            name = f"predict {batch} x {STEPS} steps, {hidden} units"
            turns[name] = prediction(model, batch)
    found = {name: Times(name) for name in turns}
    other = other_library()
    after = {name: Times(f"{name}, after ONNX Runtime") for name in turns if other is not None}
    fit = Times(f"train {SENTENCES} sentences, 3 epochs")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for beside in (False, True):
                time.sleep(SETTLES)
                with busy_loop() if beside else nullcontext():
                    for name, turn in turns.items():
                        times = turn()
                        (found[name].beside if beside else found[name].idle).extend(times)
                    (fit.beside if beside else fit.idle).append(training(Path(folder)))
            for name, times in after.items():
                time.sleep(SETTLES)
                times.idle.extend(turns[name]())
                times.beside.extend(turns[name](before=other))
            print(f"round {number + 1}/{rounds}", file=sys.stderr, flush=True)
    return [*found.values(), *after.values(), fit]


def main() -> None:
    """Print the table; fail where a ratio is over what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None, help="all processors by default")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        os.environ[THREADS] = str(arguments.threads)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"others are at work already: the load is {load:.1f}", file=sys.stderr)
    found = measure(arguments.rounds)
    here = machine()
    print(
        f"{here['processor']}, cores: {here['cores']}, engine: {isa.active().name}, "
        f"threads: {get_num_threads()}, load before: {load:.1f}\n"
    )
    header = ["work", "idle, ms: median, p90", "beside a busy loop", "ratio"]
    print(markdown(header, [times.row() for times in found]))
    missed = [times.work for times in found if max(times.ratios()) > ALLOWED]
    for work in missed:
        print(f"over {ALLOWED} times: {work}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
