"""The data of the demos, drawn or read from files, and the groups that its answers fall into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from birnn.data import Example, ReadOptions
from birnn.demos import brackets, senses, sentiment
from birnn.demos.cases import LATER, SO_FAR, Case, Size, Split
from birnn.studies.compare.comparison import groups_of
from birnn.studies.compare.contest import Member, by_step
from birnn.studies.compare.trials import Say, say_nothing
from birnn.tasks import TASKS
from birnn.training.sets import DataSource, DataSources, Sets

DEV_SHARE = 5  # so many training sequences for one that chooses the weights


@dataclass(frozen=True, slots=True)
class Drawn:
    """The data of a demo, and how its test answers are told apart.

    Args:
        sets: Training, dev and test examples.
        unit: What is counted.
        grouping: What the groups are.
        groups: Name of a group to the answers in it.
        bound: Group to what one direction can reach in expectation, where it is known.
        cases: What is known of the test sequences.
    """

    sets: Sets
    unit: str
    grouping: str
    groups: Mapping[str, Sequence[Member]]
    bound: Mapping[str, float]
    cases: Sequence[Any] = ()


class Generator(Protocol):
    """A module that draws cases, and knows what a reader from the left can reach."""

    def generate(self, count: int, seed: int, *, split: Split = "train") -> list[Case]:
        """Cases of a split."""

    def ceiling(self) -> dict[str, float]:
        """The best that one direction can do, by group of steps."""


def steps(generator: Generator, unit: str) -> Callable[[Size, int], Drawn]:
    """Steps that are decided by what was read so far, and those that are decided later."""

    def draw(size: Size, seed: int) -> Drawn:
        test = generator.generate(size.test, seed, split="test")
        best = generator.ceiling()
        groups = by_step([np.array(case.decided_later, int) for case in test], (SO_FAR, LATER))
        return Drawn(
            sets=_sets(generator.generate(_pool(size), seed), size, test),
            unit=unit,
            grouping="tag",
            groups=groups,
            bound={group: best[group] for group in groups},
            cases=test,
        )

    return draw


def of_senses(size: Size, seed: int) -> Drawn:
    """The ambiguous words, by where their evidence stands."""
    test = senses.generate(size.test, seed, split="test")
    groups: dict[str, list[Member]] = {evidence: [] for evidence in senses.EVIDENCE}
    for number, case in enumerate(test):
        groups[case.evidence].append((number, case.position))
    return Drawn(
        sets=_sets(senses.generate(_pool(size), seed), size, test),
        unit="ambiguous words",
        grouping="evidence",
        groups=groups,
        bound=dict(senses.ceiling().items()),
        cases=test,
    )


def of_brackets(size: Size, seed: int) -> Drawn:
    """Every position on its own."""
    test = brackets.generate(size.test, seed + 2)
    best = brackets.ceiling_by_position()
    pool = brackets.generate(size.train, seed)
    return Drawn(
        sets=Sets(pool, brackets.generate(size.train // DEV_SHARE, seed + 1), test),
        unit="positions",
        grouping="position",
        groups={
            str(at + 1): [(number, at) for number in range(len(test))] for at in range(len(best))
        },
        bound={str(at): share for at, share in enumerate(best, start=1)},
    )


def of_sentiment(size: Size, seed: int) -> Drawn:
    """Whole sentences, by how they turn."""
    test = sentiment.generate(size.test, seed, split="test")
    groups: dict[str, list[Member]] = {}
    for number, case in enumerate(test):
        groups.setdefault(case.kind, []).append((number, 0))
    return Drawn(
        sets=_sets(sentiment.generate(_pool(size), seed), size, test),
        unit="sentences",
        grouping="kind",
        groups=dict(sorted(groups.items())),
        bound={},
        cases=test,
    )


def from_files(
    task: str,
    files: Mapping[str, DataSource],
    *,
    reading: ReadOptions,
    seed: int,
    say: Say | None,
) -> Drawn:
    """The user's own data, by position."""
    sources = DataSources(files["train"], files.get("dev"), files["test"], reading)
    sets = sources.read(task, seed=seed, tell=say or say_nothing)
    places = [
        np.arange(1, len(example) + 1) if TASKS[task].per_step else np.array([len(example)])
        for example in sets.test
    ]
    edges = groups_of(np.concatenate(places))
    names = [str(a) if a == b else f"{a}-{b}" for a, b in edges]
    marks = [np.searchsorted([last for _, last in edges], place) for place in places]
    return Drawn(
        sets=sets,
        unit="steps" if TASKS[task].per_step else "sequences",
        grouping="position" if TASKS[task].per_step else "length",
        groups=by_step(marks, names),
        bound={},
    )


def _pool(size: Size) -> int:
    return size.train + size.train // DEV_SHARE


def _sets(pool: Sequence[Any], size: Size, test: Sequence[Any]) -> Sets:
    """One draw for training and dev: what dev holds, training never shows."""
    examples: list[Example] = [case.example for case in pool]
    return Sets(examples[: size.train], examples[size.train :], [case.example for case in test])
