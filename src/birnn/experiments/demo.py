"""The embedded experiments: one direction against two on data whose law is known.

Each demo draws its data from a seed, trains both ways of reading with the same settings and
several seeds, and counts their answers on held-out sequences, group by group. On files of the
user's the same models are trained and counted by position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np

from birnn.bundle.spec import PoolingName
from birnn.data import Example
from birnn.errors import UsageError, nearest
from birnn.experiments import (
    anomaly,
    bases,
    brackets,
    frames,
    residues,
    senses,
    sentiment,
)
from birnn.experiments.cases import LATER, SO_FAR, Case, Facts, Size, Split
from birnn.experiments.compare.comparison import Comparison, groups_of
from birnn.experiments.compare.contest import Contest, Member, by_step, percent
from birnn.experiments.compare.trials import Plan, Say, run_trials, say_nothing
from birnn.explain.figures import READERS
from birnn.explain.parts import Table
from birnn.training.recipe import Recipe, Task
from birnn.training.sets import Sets, Source, read_sets

WAYS = ("forward", "both")
VARIANT = "pooling"
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


@dataclass(frozen=True, slots=True)
class Demo:
    """An experiment that comes with its data.

    Args:
        task: What is learnt.
        facts: What a page says about it.
        settings: Changes to the task's recipe.
        marked: Tags that examples on a page show as filled; of each sequence the most missed one
            where there are none.
        variants: Further models that are compared: name to what else is changed.
        size: How much is trained and tested.
        draw: The data of a size and a seed.
    """

    task: Task
    facts: Facts
    settings: Mapping[str, Any]
    size: Size
    draw: Callable[[Size, int], Drawn]
    marked: tuple[str, ...] = ()
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shown:
    """A demo that has run.

    Args:
        demo: Which one.
        contest: Its numbers.
        cases: What is known of its test sequences; nothing of a user's own.
        variants: The numbers of the demo's variants, by name.
    """

    demo: Demo
    contest: Contest
    cases: Sequence[Any]
    variants: Mapping[str, Contest] = field(default_factory=dict)

    def tables(self) -> list[Table]:
        """The numbers as tables."""
        return [self.contest.table(), *([self._variants()] if self.variants else [])]

    def _variants(self) -> Table:
        header = [VARIANT, *(READERS[way].name for way in self.contest.ways)]
        rows = [
            [name, *(percent(contest.spread(way).median) for way in contest.ways)]
            for name, contest in self.variants.items()
        ]
        seeds = len(self.contest.comparison.seeds)
        title = f"{self.contest.name}: accuracy by {VARIANT}"
        return Table(header, rows, f"{title}, medians of {seeds} seeds" if seeds > 1 else title)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        told = self.contest.to_dict()
        if self.variants:
            told[VARIANT] = {name: contest.to_dict() for name, contest in self.variants.items()}
        return told


def run(
    name: str,
    *,
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    seed: int = 1,
    size: Size | None = None,
    files: Mapping[str, Source] | None = None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    format: str | None = None,  # noqa: A002 - the name that the command line has
    field: str = "upos",
    jobs: int = 1,
    keep: Mapping[str, Path] | None = None,
    say: Say | None = None,
) -> Shown:
    """Run a demo.

    Args:
        name: A key of `DEMOS`.
        seeds: Seeds of the models.
        seed: Of the data.
        size: How much is trained and tested; the demo's own by default.
        files: ``train`` and ``test``, and ``dev`` if there is one, in the place of drawn data.
        settings: Settings of training that differ from the demo's: ``section.key=value``.
        epochs: Rounds over the data; the demo's own by default, the recipe's on files.
        format: Format of the files where their ending does not tell.
        field: Column of CoNLL-U that holds the tags.
        jobs: Trainings side by side.
        keep: Way of reading to the folder where its model of the first seed stays.
        say: Takes a line after each training.

    Raises:
        UsageError: No such demo.
        DataError: Files that cannot be read or learnt from.
        Interrupted: Ctrl-C.

    Example:
        >>> shown = run("brackets", seeds=(1,), size=Size(train=40, test=20, epochs=1))
        >>> sorted(shown.contest.ways), len(shown.contest.groups)
        (['both', 'forward'], 10)
    """
    if name not in DEMOS:
        raise UsageError(f"no demo {name!r}: {nearest(name, DEMOS)}")
    demo = DEMOS[name]
    size = size or demo.size
    chosen = dict(demo.settings)
    if files is None:
        drawn = demo.draw(size, seed)
        chosen["training.epochs"] = size.epochs
    else:
        drawn = _from_files(demo.task, files, format=format, field=field, seed=seed, say=say)
    if epochs is not None:
        chosen["training.epochs"] = epochs
    given = Recipe.load(demo.task, overrides=settings)

    def contest(changes: Mapping[str, Any], prefix: str = "") -> Contest:
        wanted = {key: value for key, value in changes.items() if key not in given.chosen}
        # Models this small are trained and asked fastest by one thread.
        plan = Plan(demo.task, drawn.sets, given.with_settings(wanted), threads=1)
        tell = None if say is None else lambda line: say(prefix + line)
        kept = None if prefix else keep
        trials = run_trials(plan, WAYS, seeds, jobs=jobs, keep=kept, say=tell)
        return Contest(
            name=name,
            unit=drawn.unit,
            grouping=drawn.grouping,
            groups=drawn.groups,
            bound=drawn.bound,
            inputs=[example.inputs for example in drawn.sets.test],
            comparison=Comparison.of(plan, trials, jobs=jobs),
        )

    main = contest(chosen)
    variants = {
        label: main
        if all(chosen.get(key) == value for key, value in changes.items())
        else contest(chosen | dict(changes), f"{VARIANT} {label}, ")
        for label, changes in demo.variants.items()
        if not given.chosen & set(changes)
    }
    return Shown(demo, main, drawn.cases, variants)


# ---------------------------------------------------------------------- drawing


class Generator(Protocol):
    """A module that draws cases, and knows what a reader from the left can reach."""

    def generate(self, count: int, seed: int, *, split: Split = "train") -> list[Case]:
        """Cases of a split."""

    def ceiling(self) -> dict[str, float]:
        """The best that one direction can do, by group of steps."""


def _steps(generator: Generator, unit: str) -> Callable[[Size, int], Drawn]:
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


def _senses(size: Size, seed: int) -> Drawn:
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


def _brackets(size: Size, seed: int) -> Drawn:
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


def _sentiment(size: Size, seed: int) -> Drawn:
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


def _from_files(
    task: Task,
    files: Mapping[str, Source],
    *,
    format: str | None,  # noqa: A002
    field: str,
    seed: int,
    say: Say | None,
) -> Drawn:
    """The user's own data, by position."""
    sets = read_sets(
        files["train"],
        files.get("dev"),
        files["test"],
        task=task,
        format=format,
        field=field,
        seed=seed,
        say=say or say_nothing,
    )
    places = [
        np.arange(1, len(example) + 1) if task == "tagger" else np.array([len(example)])
        for example in sets.test
    ]
    edges = groups_of(np.concatenate(places))
    names = [str(a) if a == b else f"{a}-{b}" for a, b in edges]
    marks = [np.searchsorted([last for _, last in edges], place) for place in places]
    return Drawn(
        sets=sets,
        unit="steps" if task == "tagger" else "sequences",
        grouping="position" if task == "tagger" else "length",
        groups=by_step(marks, names),
        bound={},
    )


def _pool(size: Size) -> int:
    return size.train + size.train // DEV_SHARE


def _sets(pool: Sequence[Any], size: Size, test: Sequence[Any]) -> Sets:
    """One draw for training and dev: what dev holds, training never shows."""
    examples: list[Example] = [case.example for case in pool]
    return Sets(examples[: size.train], examples[size.train :], [case.example for case in test])


# ---------------------------------------------------------------------- the table


def _of_steps(generator: Any, unit: str, *marked: str) -> Demo:
    draw = _steps(generator, unit)
    facts, settings, size = generator.FACTS, generator.SETTINGS, generator.DEFAULT
    return Demo("tagger", facts, settings, size, draw, marked)


DEMOS: dict[str, Demo] = {
    "brackets": Demo("tagger", brackets.FACTS, brackets.SETTINGS, brackets.DEFAULT, _brackets),
    "sentiment": Demo(
        "classifier",
        sentiment.FACTS,
        sentiment.SETTINGS,
        sentiment.DEFAULT,
        _sentiment,
        variants={name: {"head.pooling": name} for name in get_args(PoolingName)},
    ),
    "senses": Demo("tagger", senses.FACTS, senses.SETTINGS, senses.DEFAULT, _senses),
    "frames": _of_steps(frames, "frames"),
    "anomaly": _of_steps(anomaly, "steps", "anomalous"),
    "residues": _of_steps(residues, "residues"),
    "bases": _of_steps(bases, "bases", "1", "2", "3"),
}
