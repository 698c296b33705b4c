"""What a warm start is worth: a model of most of the data goes on with a twentieth of it.

For each case a first model is trained on 95 % of the sentences of a training file, and then two
models on the other 5 %: one from the first model (warm), one from fresh weights (cold). All are
scored on the same test file. In one case the second training has other labels: the first model
tags parts of speech (UPOS), the second the finer tags of the same treebank (XPOS).

    .venv/bin/python benchmarks/warm_start.py --data FOLDER
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import birnn
from birnn.data import Example, read

TWENTIETH = 20


@dataclass(frozen=True)
class Case:
    """A data set, the fields that both trainings read, and what is measured."""

    called: str
    folder: str
    ending: str
    metric: str
    first: dict[str, Any]
    second: dict[str, Any]


CASES = [
    Case(
        "LinES, UPOS",
        "ud-english-lines",
        "conllu",
        "accuracy",
        {"field": "upos"},
        {"field": "upos"},
    ),
    Case(
        "LinES, UPOS, then XPOS",
        "ud-english-lines",
        "conllu",
        "accuracy",
        {"field": "upos"},
        {"field": "xpos"},
    ),
    Case("WNUT-17, names", "wnut17", "conll", "f1", {}, {}),
]


def parts(file: Path, options: dict[str, Any]) -> tuple[list[Example], list[Example]]:
    """Nineteen of twenty sentences of a file, and every twentieth."""
    every = list(read(file, "tags", birnn.data.ReadOptions.of(options)))
    few = every[::TWENTIETH]
    return [e for n, e in enumerate(every) if n % TWENTIETH], few


def scores(case: Case, data: Path, seed: int, settings: dict[str, Any]) -> Iterator[float]:
    """On the test file: of the first model where it has the labels, cold, warm, warm and frozen."""
    folder = data / case.folder

    def files(options: dict[str, Any]) -> dict[str, Any]:
        dev = list(read(folder / f"dev.{case.ending}", "tags", birnn.data.ReadOptions.of(options)))
        return {"dev": dev, "seed": seed, "quiet": True, "settings": settings}

    def score(model: Any, options: dict[str, Any]) -> float:
        return float(model.evaluate(folder / f"test.{case.ending}", **options)[case.metric])

    many, _ = parts(folder / f"train.{case.ending}", case.first)
    _, few = parts(folder / f"train.{case.ending}", case.second)
    train: Callable[..., Any] = birnn.train
    with tempfile.TemporaryDirectory() as place:
        start = Path(place) / "first"
        first = train("tagger", train=many, out=start, **files(case.first))
        yield score(first, case.first) if case.first == case.second else float("nan")
        second = files(case.second)
        yield score(train("tagger", train=few, **second), case.second)
        yield score(train(train=few, start_from=start, **second), case.second)
        frozen = train(train=few, start_from=start, freeze=("encoder",), **second)
        yield score(frozen, case.second)


def main() -> None:
    """Train all models, print the medians over seeds as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=300_000, help="rows that each model is shown")
    parser.add_argument("--rate", type=float, help="learning rate of the warm starts")
    parser.add_argument("--case", help="the one case that is run")
    given = parser.parse_args()
    settings: dict[str, Any] = {"training.rows": given.rows}
    if given.rate is not None:
        settings["training.learning_rate"] = given.rate
    print("| case | measure | 95 % alone | 5 % cold | 5 % warm | 5 % warm, encoder frozen |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        if given.case not in (None, case.called):
            continue
        found = [list(scores(case, given.data, 1 + n, settings)) for n in range(given.seeds)]
        cells = [f"{statistics.median(column):.3f}" for column in zip(*found, strict=True)]
        print(f"| {case.called} | {case.metric} | {' | '.join(cells).replace('nan', '-')} |")


if __name__ == "__main__":
    main()
