"""The quickstart: one direction against two, on data that comes with the package.

Four small taggers: one and two directions on `senses`, one and two on `brackets`, with the same
settings but for the direction. What each answers on held-out sequences is counted through
`birnn.runtime.Predictor`, as a user's own predictions would be.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from birnn.data import Example
from birnn.errors import Interrupted, OutputError
from birnn.experiments import brackets, quickstart_page, senses
from birnn.experiments.quickstart_page import Answered, Contest
from birnn.explain.figures import READERS
from birnn.explain.report import Table
from birnn.runtime import Predictor
from birnn.training.fit import fit
from birnn.training.recipe import Recipe
from birnn.training.workspace import Workspace

DIRECTIONS = {"forward": False, "both": True}  # way of reading -> encoder.bidirectional

SHARED = {
    "dropout.rare_words": 0,
    "dropout.layers": 0,
    "training.batch_sequences": 16,
    "training.ema": 0.98,
    "training.learning_rate": 0.01,
    "training.patience": 1000,  # all get the same number of epochs
}
SENSES = SHARED | {
    "inputs.word_dim": 64,
    "inputs.character_hidden": 0,
    "inputs.surface_dim": 0,
    "encoder.cell": "gru",
    "encoder.hidden_size": 64,
    "dropout.words": 0.01,  # so that the model has met an unknown word
    "dropout.inputs": 0.1,
    "dropout.output": 0.1,
}
BRACKETS = SHARED | {
    "inputs.symbol_dim": 8,
    "encoder.hidden_size": 16,
    "dropout.words": 0,
    "dropout.inputs": 0,
    "dropout.output": 0,
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much the quickstart trains and tests: numbers of sequences, and epochs."""

    senses_train: int = 1500
    senses_test: int = 600
    senses_epochs: int = 16
    brackets_train: int = 500
    brackets_test: int = 1000
    brackets_epochs: int = 15


@dataclass(frozen=True, slots=True)
class QuickstartResult:
    """What was measured, and what was left.

    Args:
        senses: Accuracy at the ambiguous word, by where the evidence stands.
        brackets: Accuracy of all positions, by position.
        bundle: Folder of the tagger of senses with two directions.
        report: The page.
        sentence: A sentence to try the tagger on.
        seconds: Time that it all took.
    """

    senses: Contest
    brackets: Contest
    bundle: Path
    report: Path
    sentence: str
    seconds: float

    def tables(self) -> list[Table]:
        """The numbers as tables."""
        return [contest.table() for contest in (self.senses, self.brackets)]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        return {
            "senses": self.senses.to_dict(),
            "brackets": self.brackets.to_dict(),
            "bundle": str(self.bundle),
            "report": str(self.report),
            "seconds": round(self.seconds, 1),
        }


def run(
    out: Path | str,
    *,
    seed: int = 1,
    progress: Callable[[str], None] | None = None,
    size: Size | None = None,
) -> QuickstartResult:
    """Train, evaluate and compare; leave ``out/bundle`` and ``out/report.html``.

    Args:
        out: Folder, made where it does not exist; a bundle of an earlier run is replaced.
        seed: Of the data and the models.
        progress: Takes a line before and after each training.
        size: How much to train and test.

    Raises:
        OutputError: The folder cannot be written, or ``bundle`` in it is something else.
        Interrupted: Ctrl-C.
    """
    begun = time.perf_counter()
    out, size, say = Path(out), size or Size(), progress or _say_nothing
    bundle = out / "bundle"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made a folder: {error.strerror}") from None
    Workspace.open(bundle, resume=False, overwrite=True)  # refused now, not after training
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        work = _Work(folders=Path(folder), keep={"both": bundle}, seed=seed, say=say)
        sense_contest = _contest_of_senses(work, size)
        work = _Work(folders=Path(folder), keep={}, seed=seed, say=say)
        bracket_contest = _contest_of_brackets(work, size)
    seconds = time.perf_counter() - begun
    report = quickstart_page.write(
        out / "report.html", sense_contest, bracket_contest, bundle=bundle, seconds=seconds
    )
    return QuickstartResult(
        senses=sense_contest,
        brackets=bracket_contest,
        bundle=bundle,
        report=report,
        sentence=quickstart_page.sentence(sense_contest),
        seconds=seconds,
    )


def _say_nothing(line: str) -> None:
    del line


@contextmanager
def _one_thread() -> Iterator[None]:
    """For models this small, handing work to a second thread costs more than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class _Work:
    """Where models go, and what all trainings have in common."""

    folders: Path
    keep: Mapping[str, Path]  # way of reading -> folder of a model that stays
    seed: int
    say: Callable[[str], None]


def _contest_of_senses(work: _Work, size: Size) -> Contest:
    # one draw, which repeats no sentence: what dev holds, training never shows
    pool = senses.generate(size.senses_train + 300, work.seed)
    train, dev = pool[: size.senses_train], pool[size.senses_train :]
    test = senses.generate(size.senses_test, work.seed, split="test")
    answered, curves = _answers(
        work,
        "senses",
        train=[case.example for case in train],
        dev=[case.example for case in dev],
        test=[case.example for case in test],
        settings=SENSES | {"training.epochs": size.senses_epochs},
    )
    groups: dict[str, list[tuple[int, int]]] = {
        evidence: [
            (number, case.position) for number, case in enumerate(test) if case.evidence == evidence
        ]
        for evidence in senses.EVIDENCE
    }
    return Contest(
        name="senses",
        unit="ambiguous words",
        groups=groups,
        bound=dict(senses.ceiling().items()),
        answered=answered,
        curves=curves,
        cases=test,
    )


def _contest_of_brackets(work: _Work, size: Size) -> Contest:
    test = brackets.generate(size.brackets_test, work.seed + 2)
    answered, curves = _answers(
        work,
        "brackets",
        train=brackets.generate(size.brackets_train, work.seed),
        dev=brackets.generate(200, work.seed + 1),
        test=test,
        settings=BRACKETS | {"training.epochs": size.brackets_epochs},
    )
    bound = brackets.ceiling_by_position()
    return Contest(
        name="brackets",
        unit="positions",
        groups={
            str(position + 1): [(number, position) for number in range(len(test))]
            for position in range(len(bound))
        },
        bound={str(position): best for position, best in enumerate(bound, start=1)},
        answered=answered,
        curves=curves,
        cases=(),
    )


def _answers(
    work: _Work,
    name: str,
    *,
    train: Sequence[Example],
    dev: Sequence[Example],
    test: Sequence[Example],
    settings: Mapping[str, Any],
) -> tuple[list[Answered], dict[str, list[float]]]:
    """Train each way of reading; its answers on the test set and its dev score by epoch."""
    predictions: dict[str, list[tuple[str, ...]]] = {}
    curves: dict[str, list[float]] = {}
    for way, bidirectional in DIRECTIONS.items():
        folder = work.keep.get(way, work.folders / f"{name}-{way}")
        reading = READERS[way].name
        work.say(f"{name}, {reading}: training on {len(train)} sequences")
        changed = {**settings, "encoder.bidirectional": str(bidirectional).lower()}
        result = fit(
            "tagger",
            train=train,
            dev=dev,
            out=folder,
            recipe=Recipe.load("tagger", overrides=[f"{k}={v}" for k, v in changed.items()]),
            seed=work.seed,
            overwrite=True,
            quiet=True,
        )
        if result.interrupted:
            raise Interrupted("interrupted: the quickstart keeps nothing of an unfinished run")
        model = Predictor.load(folder)
        predictions[way] = [tuple(tags) for tags in model.predict(e.inputs for e in test)]
        curves[way] = _dev_scores(folder / "training.csv")
        work.say(f"{name}, {reading}: {result.epochs} epochs in {result.seconds:.0f} s")
    answered = [
        Answered(example, {way: tags[number] for way, tags in predictions.items()})
        for number, example in enumerate(test)
    ]
    return answered, curves


def _dev_scores(log: Path) -> list[float]:
    with log.open(newline="", encoding="utf-8") as stream:
        return [float(row["dev_accuracy"]) for row in csv.DictReader(stream)]
