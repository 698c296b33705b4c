"""A tagger's graph in ONNX Runtime beside `birnn predict`: the same sentences in the same batches.

    python benchmarks/onnx_runtime.py DIR FILE [--batch 32] [--sort] [--threads 1 2] [--rounds 9]
        [--json]

DIR is the folder of a trained tagger, FILE has sentences in a format that birnn reads. Both take
lists of tokens and give lists of tags; ``graph alone`` is ONNX Runtime on arrays that are ready.
Batches are as the file has them, or with --sort of sentences of similar lengths, which have less
padding. birnn starts each round with no word in its cache. All take turns; medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from birnn.cli.printing import markdown
from birnn.engine.threads import set_num_threads
from birnn.export.onnx import graph_feeds, load, write
from birnn.inputs import restored
from birnn.runtime import Predictor
from turns import take

BIRNN, ONNX, ALONE = "birnn", "ONNX Runtime", "graph alone"


def ways_of(
    model: Predictor, path: Path, batches: list[list[Any]]
) -> dict[str, Callable[[], float]]:
    """A turn of each way over all batches, which returns tokens in a second."""
    tokens = sum(len(tokens) for batch in batches for tokens in batch)
    graph = load(path, model.bundle)
    codec = model.spec.inputs.codec(restored(model.bundle.vocabularies))
    arrays = [graph_feeds(codec, batch) for batch in batches]

    def timed(call: Callable[[Any], Any], items: list[Any]) -> float:
        begun = time.perf_counter()
        for item in items:
            call(item)
        return tokens / (time.perf_counter() - begun)

    def fresh() -> float:
        predictor = Predictor(model.bundle)
        predictor.predict([["the"]])  # packs the weights, which a session did when it was loaded
        return timed(predictor.predict, batches)

    expected = [tags for batch in batches for tags in model.predict(batch)]
    found = [tags for batch in batches for tags in graph.answers(batch)]
    if found != expected:
        raise SystemExit("the graph's tags are not birnn's")
    return {
        BIRNN: fresh,
        ONNX: lambda: timed(graph.answers, batches),
        ALONE: lambda: timed(lambda each: graph.session.run(["tags"], each), arrays),
    }


def main() -> None:
    """Print tokens in a second of each way and number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sort", action="store_true")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = Predictor.load(arguments.folder)
    sentences = [example.inputs for example in model.read(arguments.file)]
    if arguments.sort:
        sentences.sort(key=len)
    size = arguments.batch
    batches = [sentences[start : start + size] for start in range(0, len(sentences), size)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write(model.bundle, path)
        for threads in arguments.threads:
            set_num_threads(threads)
            speeds = take(
                ways_of(model, path, batches), arguments.rounds, work=f"{threads} threads"
            )
            rows.append({"threads": threads, "batch": size, **speeds})
    if arguments.json:
        print(json.dumps(rows))
        return
    table = [
        [
            str(row["threads"]),
            *(f"{row[name]:,.0f}" for name in (BIRNN, ONNX, ALONE)),
            f"{row[BIRNN] / row[ONNX]:.2f}",
            f"{row[BIRNN] / row[ALONE]:.2f}",
        ]
        for row in rows
    ]
    headers = ["threads", BIRNN, ONNX, ALONE, f"{BIRNN} / {ONNX}", f"{BIRNN} / {ALONE}"]
    print(f"tokens/s, batches of {size} sentences, {len(sentences)} sentences")
    print(markdown(headers, table))


if __name__ == "__main__":
    sys.exit(main())
