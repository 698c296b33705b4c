"""One request: how long a model takes for a single sentence, whole and by its stages.

The sentences are those of so many tokens in a file. Medians over all of them, in microseconds, of
calls one after another; those of the precisions and of the ways in turns. Known are words that the
model met before, new ones that it did not.

    .venv/bin/python benchmarks/one_sentence.py DIR FILE [--tokens 20] [--threads 1 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from birnn.engine.threads import set_num_threads
from birnn.errors import BirnnError
from birnn.inputs import Steps
from birnn.ragged import Ragged
from birnn.runtime import Predictor
from results import positive

PRECISIONS = ("float32", "bf16", "int8")


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def stages(model: Predictor, sentence: Steps) -> dict[str, Callable[[], Any]]:
    """The ways of one sentence through a model: whole, and stage by stage."""
    runner, head = model._runner, model._head
    lengths = np.array([len(sentence)])
    rows = runner.embed([sentence])
    x = Ragged(rows.values, lengths)
    encoded = runner.network.encode(x, table=rows.table)
    answers = head.answers(None)
    text = " ".join(map(str, sentence))
    return {
        "predict": lambda: model.predict([sentence]),
        "annotate": lambda: model.annotate(text),
        "validation": lambda: list(model.validated([sentence])),
        "input rows": lambda: runner.embed([sentence]),
        "encoder": lambda: runner.network.encode(x, table=rows.table),
        "head": lambda: answers.decode(encoded, [0]),
    }


def medians(
    models: dict[str, Predictor], sentences: Sequence[Steps], rounds: int
) -> dict[str, dict[str, float]]:
    """Microseconds of each stage, of each model."""
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    ways = {name: [stages(model, one) for one in sentences] for name, model in models.items()}
    for _ in range(rounds):
        for name, model in models.items():
            for stage in ways[name][0]:
                # As a server meets them: one sentence after another, each through the same stage.
                taken[name].setdefault(stage, []).extend(seconds(way[stage]) for way in ways[name])
            fresh = Predictor(model._bundle)
            fresh.predict([sentences[0]])  # weights are packed at the first call
            for sentence in sentences[1:]:
                first = seconds(lambda: fresh.predict([sentence]))  # noqa: B023 - called at once
                taken[name].setdefault("predict, new words", []).append(first)
    return {
        name: {stage: statistics.median(values) * 1e6 for stage, values in found.items()}
        for name, found in taken.items()
    }


def main() -> None:
    """Print a table for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("file")
    parser.add_argument("--tokens", type=positive, default=20)
    parser.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--rounds", type=positive, default=10)
    options = parser.parse_args()
    try:
        models = {p: Predictor.load(options.model, precision=p) for p in options.precisions}
        read = next(iter(models.values())).read(options.file)
        sentences = [e.inputs for e in read if len(e.inputs) == options.tokens]
    except BirnnError as error:
        parser.error(str(error))
    if len(sentences) < 2:
        parser.error(f"{options.file} has {len(sentences)} sentences of {options.tokens} tokens")
    print(f"{len(sentences)} sentences of {options.tokens} tokens, medians in microseconds")
    for threads in options.threads:
        set_num_threads(threads)
        found = medians(models, sentences, options.rounds)
        print(f"\n| {threads} thread{'s' * (threads > 1)} | " + " | ".join(found) + " |")
        print("|---" * (len(found) + 1) + "|")
        for stage in next(iter(found.values())):
            print(f"| {stage} | " + " | ".join(f"{m[stage]:.0f}" for m in found.values()) + " |")


if __name__ == "__main__":
    main()
