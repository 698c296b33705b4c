"""Whole models in float32, bfloat16 and int8: sizes, scores, answers, speed.

Bundles are quantised and scored on test files by ``birnn quantize``, timed as ``birnn predict``.
They are FOLDER/NAME by the names of accuracy.py; those that are not there are trained by the
default recipe, seed 0. Prints Markdown, keeps what it has measured in ``--results`` and goes on
from there; ends with status 1 where a target is missed.

    .venv/bin/python benchmarks/precision_models.py FOLDER --data DATA
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import birnn
import turns
from accuracy import SETS
from birnn.bundle.manifest import MANIFEST
from birnn.cli.printing import print_tables, print_text
from birnn.reference.low_precision import PRECISIONS, Precision
from birnn.report.parts import Table
from results import Check, Results, conditions, digest, here, positive, tell_checks

# Points that a score may lose.
LOSSES: dict[Precision, float] = {"bf16": 0.1, "int8": 0.3}
SPEED_OF = "ud-english-lines"


def command(*words: str | Path, threads: int | None = None) -> str:
    """What a command of birnn prints; if it fails, what it complains of ends the script."""
    environment = os.environ | ({"BIRNN_NUM_THREADS": str(threads)} if threads else {})
    line = [sys.executable, "-m", "birnn", *map(str, words)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line[2:])}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def train(name: str, data: Path, out: Path) -> None:
    """Train the model of a data set by its default recipe."""
    chosen = SETS[name]
    files: list[str | Path] = ["--train", data / name / chosen.train]
    files += ["--test", data / name / chosen.test]
    files += ["--dev", data / name / chosen.dev] if chosen.dev else []
    command("train", chosen.task, *files, "--seed", "0", "--out", out)


def measure_scores(name: str, source: Path, test: Path) -> dict[str, dict[str, float]]:
    """Score and bytes in each precision, and how many answers are not those of float32."""
    metric = SETS[name].metric
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in LOSSES:
            files: list[str | Path] = ["--out", Path(folder, precision), "--check", test]
            told = json.loads(command("quantize", source, "--to", precision, *files, "--json"))
            checked = told["check"]
            found["float32"] = {
                "score": checked["scores"]["float32"][metric],
                "bytes": told["bytes_before"],
            }
            found[precision] = {
                "score": checked["scores"][precision][metric],
                "bytes": told["bytes_after"],
                "others": checked["changed"],
                "answers": checked["answers"],
            }
    return found


def measure_speed(
    source: Path, test: Path, repeats: int, threads: int, rounds: int
) -> dict[str, float]:
    """Tokens in a second of `birnn predict` from its start to its end, by precision."""
    with tempfile.TemporaryDirectory() as folder:
        bundles = {"float32": source}
        for precision in LOSSES:
            bundles[precision] = Path(folder, precision)
            command("quantize", source, "--to", precision, "--out", bundles[precision])
        text = Path(folder, f"repeated{test.suffix}")
        text.write_text(test.read_text("utf-8") * repeats, "utf-8")
        model = birnn.load(source)
        tokens = repeats * sum(len(example.inputs) for example in model.read(test))

        def turn(place: Path) -> float:
            begun = time.perf_counter()
            command("predict", place, text, "--out", Path(folder, "answers"), threads=threads)
            return tokens / (time.perf_counter() - begun)

        ways = {name: functools.partial(turn, place) for name, place in bundles.items()}
        return turns.take(ways, rounds, work=f"birnn predict, threads: {threads}")


Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
Speeds = Mapping[int, Mapping[str, float]]


def tables(scores: Scores, speeds: Speeds) -> list[Table]:
    """Scores, sizes and speeds."""
    lower = list(LOSSES)
    score_rows, size_rows = [], []
    for name, found in scores.items():
        values = [f"{found[precision]['score']:.4f}" for precision in PRECISIONS]
        others = [f"{found[p]['others']:,} of {found[p]['answers']:,}" for p in lower]
        score_rows.append((name, SETS[name].called, *values, *others))
        sizes = {precision: found[precision]["bytes"] for precision in PRECISIONS}
        shares = [f"{sizes[precision] / sizes['float32']:.2f}" for precision in lower]
        size_rows.append((name, *(f"{size / 1e6:.2f}" for size in sizes.values()), *shares))
    speed_rows = [
        (
            str(threads),
            *(f"{found[precision]:,.0f}" for precision in PRECISIONS),
            *(f"{found[precision] / found['float32']:.2f}x" for precision in lower),
        )
        for threads, found in speeds.items()
    ]
    others_of, shares_of, gains_of = (
        [f"{precision}, {what}" for precision in lower]
        for what in ("other answers", "share", "gain")
    )
    made = [
        Table(("data", "metric on test", *PRECISIONS, *others_of), score_rows, "Scores"),
        Table(("bundle, MB", *PRECISIONS, *shares_of), size_rows, "Sizes"),
        Table(
            ("threads", *PRECISIONS, *gains_of),
            speed_rows,
            f"`birnn predict`, {SPEED_OF}, tokens/s",
        ),
    ]
    return [table for table in made if table.rows]


def checks(scores: Scores, speeds: Speeds) -> list[Check]:
    """The targets of scores, sizes and speed."""
    held = []
    for name, found in scores.items():
        for precision, most in LOSSES.items():
            lost = 100 * (found["float32"]["score"] - found[precision]["score"])
            text = f"{name}: points lost in {precision}"
            held.append(Check(text, most, lost, "{:.2f}", most=True))
    if SPEED_OF in scores:
        found = scores[SPEED_OF]
        share = found["int8"]["bytes"] / found["float32"]["bytes"]
        text = f"{SPEED_OF}: share of its size that the bundle has in int8"
        held.append(Check(text, 0.3, share, "{:.2f}", most=True))
    for threads, speed in speeds.items():
        text = f"`birnn predict`, {SPEED_OF}: int8 against float32, threads: {threads}"
        held.append(Check(text, 1.3, speed["int8"] / speed["float32"]))
    return held


def main() -> None:
    """Measure what is missing, print tables and targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the bundles are, by the names of the sets")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--repeats", type=positive, default=20, help="of the file in birnn predict")
    parser.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--results", type=Path, default=Path("runs/precision-models.json"))
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not here: name the folder of the data sets by --data")
    where = conditions()
    ran = where["engines"]
    results = Results(arguments.results, where)
    scores, speeds = {}, {}
    for name in arguments.sets:
        source, test = arguments.folder / name, arguments.data / name / SETS[name].test
        if not source.is_dir():
            train(name, arguments.data, source)
        # The manifest has the digests of all that the model is.
        held = f"{name}, of {digest(source / MANIFEST, test)}"
        scores[name] = results.get(held, functools.partial(measure_scores, name, source, test))
        for threads in arguments.threads if name == SPEED_OF else ():
            how = (arguments.repeats, threads, arguments.rounds)
            speeds[threads] = results.get(
                "{}, speed, repeats {}, threads {}, rounds {}".format(held, *how),
                functools.partial(measure_speed, source, test, *how),
            )
    print_tables(tables(scores, speeds), as_markdown=True, titles=True)
    timed = (
        f"`birnn predict` is timed from its start to its end, on the test file "
        f"{arguments.repeats} times over, medians of {arguments.rounds} interleaved rounds."
    )
    print_text(f"{here(ran)} {timed}", as_markdown=True)
    tell_checks(checks(scores, speeds))


if __name__ == "__main__":
    main()
