"""The embedded experiments: one direction against two on data whose law is known.

Each demo draws its data from a seed, trains both ways of reading with the same settings and
several seeds, and counts their answers on held-out sequences, group by group. On files of the
user's the same models are trained and counted by position.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from birnn.data import ReadOptions
from birnn.demos import (
    anomaly,
    bases,
    brackets,
    drawing,
    frames,
    residues,
    senses,
    sentiment,
)
from birnn.demos.cases import Facts, Size
from birnn.demos.drawing import Drawn
from birnn.errors import UsageError, nearest
from birnn.report.figures import READERS
from birnn.report.parts import Table
from birnn.studies.compare.comparison import Comparison
from birnn.studies.compare.contest import Contest, Member
from birnn.studies.compare.significance import percent
from birnn.studies.compare.trials import Plan, Say, run_trials
from birnn.tasks import PoolingName
from birnn.training.recipe import Recipe
from birnn.training.sets import DataSource

WAYS = ("forward", "both")
VARIANT = "pooling"


@dataclass(frozen=True, slots=True)
class Demo:
    """An experiment that comes with its data.

    Args:
        task: What is learnt.
        facts: What a page says about it.
        settings: Changes to the task's recipe.
        size: How much is trained and tested.
        draw: The data of a size and a seed.
        marked: Tags that examples on a page show as filled; where there are none, the tags are
            written.
        variants: Further models that are compared: name to what else is changed.
    """

    task: str
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

    def drawn(self, group: str, count: int = 1) -> list[Member]:
        """Some answers of a group, drawn at random: what the models answered has no part in it.

        Args:
            group: Name of the group.
            count: How many, or all where there are fewer.
        """
        members = self.contest.groups[group]
        return [members[at] for at in draw(len(members), count, of=group)]

    def tables(self) -> list[Table]:
        """The numbers as tables, and of whole sequences an example of each group."""
        examples = self.examples() if self.cases and self.demo.task == "classifier" else None
        tables = (self.contest.table(), self.by_variant(), examples)
        return [table for table in tables if table is not None]

    def examples(self) -> Table:
        """An example of each group and what was said of it."""
        contest = self.contest
        members = [member for group in contest.groups for member in self.drawn(group)]
        return Table(
            ["example", "correct", *(READERS[way].name for way in contest.ways)],
            [
                [
                    " ".join(map(str, contest.inputs[member[0]])),
                    contest.gold(member),
                    *(contest.answer(way, member) for way in contest.ways),
                ]
                for member in members
            ],
            f"{contest.name}: an example of each {contest.grouping}, drawn at random",
        )

    def by_variant(self) -> Table | None:
        """A row for each variant; None where there are none."""
        if not self.variants:
            return None
        header = [VARIANT, *(READERS[way].name for way in self.contest.ways)]
        rows = [
            [name, *(percent(contest.spread(way).median) for way in contest.ways)]
            for name, contest in self.variants.items()
        ]
        seeds = len(self.contest.comparison.seeds)
        title = f"{self.contest.name}: accuracy by {VARIANT}"
        return Table(header, rows, f"{title}, medians of {seeds} seeds" if seeds > 1 else title)

    @property
    def models(self) -> int:
        """Models that were trained; a variant that is the demo itself was not trained again."""
        contests = {id(contest): contest for contest in (self.contest, *self.variants.values())}
        return sum(len(one.ways) * len(one.comparison.seeds) for one in contests.values())

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
    files: Mapping[str, DataSource] | None = None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
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
        reading: What is set about the reading of files.
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
        drawn = drawing.from_files(demo.task, files, reading=reading, seed=seed, say=say)
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


def draw(size: int, count: int, *, of: str) -> list[int]:
    """Some of so many things at random, in their order: always the same ones of a name.

    Args:
        size: How many there are.
        count: How many are drawn, or all where there are fewer.
        of: The name that the draw is seeded by.

    Example:
        >>> draw(100, 3, of="left") == draw(100, 3, of="left"), draw(2, 3, of="right")
        (True, [0, 1])
    """
    random = np.random.default_rng(zlib.crc32(of.encode()))
    return sorted(random.choice(size, size=min(count, size), replace=False).tolist())


# ---------------------------------------------------------------------- the table


def _of(
    generator: Any, draw: Callable[[Size, int], Drawn], *, task: str = "tagger", **more: Any
) -> Demo:
    return Demo(task, generator.FACTS, generator.SETTINGS, generator.DEFAULT, draw, **more)


DEMOS: dict[str, Demo] = {
    "brackets": _of(brackets, drawing.of_brackets),
    "sentiment": _of(
        sentiment,
        drawing.of_sentiment,
        task="classifier",
        variants={name: {"head.pooling": name} for name in get_args(PoolingName)},
    ),
    "senses": _of(senses, drawing.of_senses),
    "frames": _of(frames, drawing.steps(frames, "frames")),
    "anomaly": _of(anomaly, drawing.steps(anomaly, "steps"), marked=("anomalous",)),
    "residues": _of(residues, drawing.steps(residues, "residues")),
    "bases": _of(bases, drawing.steps(bases, "bases")),
}
