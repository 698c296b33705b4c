"""The demos, and running one: one direction against two on data whose law is known.

A run draws its data from a seed, trains both ways of reading with the same settings and several
seeds, and counts their answers on held-out sequences, group by group. On files of the user's the
same models are trained and counted by position.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from birnn.data import Example, ReadOptions
from birnn.demos import (
    anomaly,
    bases,
    brackets,
    forecast,
    frames,
    gaps,
    numbers,
    prices,
    residues,
    senses,
    sentiment,
)
from birnn.demos.demo import Demo, Groups, Sample, Size
from birnn.errors import Tell, UsageError, nearest, no_notice
from birnn.metrics.significance import percent
from birnn.report.figures import READERS
from birnn.report.parts import Table
from birnn.studies.compare.comparison import Comparison
from birnn.studies.compare.contest import Contest
from birnn.studies.compare.groups import position_groups
from birnn.studies.compare.trials import TrialPlan, run_trials
from birnn.studies.variants import VariantComparison, compare_variants, variation_of
from birnn.tasks import TASKS
from birnn.training.recipe import Recipe
from birnn.training.sets import DataSource, DataSources, Sets

DEMOS: dict[str, Demo] = {
    module.DEMO.name: module.DEMO
    for module in (
        brackets,
        sentiment,
        senses,
        frames,
        anomaly,
        residues,
        bases,
        prices,
        numbers,
        gaps,
    )
}
WAYS = ("forward", "both")
VARIANT = "pooling"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A demo that has run.

    Args:
        demo: Which one.
        contest: Its numbers.
        samples: What is known of its test sequences; nothing of a user's own.
        seconds: Time that training and testing took.
        variants: The numbers of the demo's variants, by name.
        forecast: The errors of next values, where they are forecast too.
    """

    demo: Demo
    contest: Contest
    samples: Sequence[Sample]
    seconds: float
    variants: Mapping[str, Contest] = field(default_factory=dict)
    forecast: forecast.ForecastResult | None = None

    def tables(self) -> list[Table]:
        """The numbers as tables, and of whole sequences an example of each group."""
        examples = self.examples() if self.samples and not TASKS[self.demo.task].per_step else None
        forecasts = self.forecast.tables() if self.forecast else ()
        tables = (self.contest.table(), self.by_variant(), examples, *forecasts)
        return [table for table in tables if table is not None]

    def examples(self) -> Table:
        """An example of each group and what was said of it."""
        contest, members = self.contest, []
        for group, every in contest.groups.items():
            members += [every[at] for at in pick(len(every), 1, of=group)]
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

    def verdicts(self) -> list[str]:
        """What the tests of significance say, and what is refused."""
        refused = self.forecast.verdicts() if self.forecast else []
        return [*self.contest.comparison.verdicts(), *refused]

    @property
    def models(self) -> int:
        """Models that were trained; a variant that is the demo itself was not trained again."""
        contests = {id(contest): contest for contest in (self.contest, *self.variants.values())}
        answering = sum(len(one.ways) * len(one.comparison.seeds) for one in contests.values())
        return answering + (self.forecast.models if self.forecast else 0)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        numbers = self.contest.to_dict()
        if self.variants:
            numbers[VARIANT] = {name: contest.to_dict() for name, contest in self.variants.items()}
        if self.forecast:
            numbers["forecast"] = self.forecast.to_dict()
        return numbers


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
    tell: Tell = no_notice,
) -> DemoResult:
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
        tell: Takes a line after each training.

    Raises:
        UsageError: No such demo.
        DataError: Files that cannot be read or learnt from.
        Interrupted: Ctrl-C.

    Example:
        >>> shown = run("brackets", seeds=(1,), size=Size(train=40, test=20, epochs=1))
        >>> sorted(shown.contest.ways), len(shown.contest.groups)
        (['both', 'forward'], 10)
    """
    begun = time.perf_counter()
    setup = _Setup.of(name, size, seed, files, settings, epochs, reading, tell)
    demo, data = setup.demo, setup.data

    def contest(changes: Mapping[str, Any], tell: Tell, keep: Mapping[str, Path] | None) -> Contest:
        plan = setup.plan(changes)
        trials = run_trials(plan, WAYS, seeds, jobs=jobs, keep=keep, tell=tell)
        return Contest(
            name=name,
            unit=data.unit,
            grouping=data.grouping,
            groups=data.groups,
            bound=data.bound,
            inputs=[example.inputs for example in data.sets.test],
            comparison=Comparison.of(plan, trials, jobs=jobs),
        )

    def variant(label: str, changes: Mapping[str, Any]) -> Contest:
        if all(setup.settings.get(key) == value for key, value in changes.items()):
            return main
        prefix = f"{VARIANT} {label}, "
        return contest(changes, lambda line: tell(prefix + line), None)

    main = contest({}, tell, keep)
    variants = {
        label: variant(label, changes)
        for label, changes in demo.variants.items()
        if not setup.given.chosen & set(changes)
    }
    forecasts = None
    if files is None and demo.process is not None:
        of_forecasts = size or forecast.SIZE
        chosen = epochs or (
            setup.given.training.epochs if "training.epochs" in setup.given.chosen else None
        )
        if chosen is not None:
            of_forecasts = replace(of_forecasts, epochs=chosen)
        forecasts = forecast.run(seeds=seeds, size=of_forecasts, process=demo.process, tell=tell)
    return DemoResult(demo, main, data.samples, time.perf_counter() - begun, variants, forecasts)


def run_variants(
    name: str,
    varied: str,
    *,
    seeds: Sequence[int] = (1, 2, 3),
    seed: int = 1,
    size: Size | None = None,
    files: Mapping[str, DataSource] | None = None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
    jobs: int = 1,
    tell: Tell = no_notice,
) -> VariantComparison:
    """Compare models that differ in one setting on the data of a demo.

    Args:
        name: A key of `DEMOS`.
        varied: What varies: ``merge`` or ``cell``.
        seeds: Seeds of the models.
        seed: Of the data.
        size: How much is trained and tested; the demo's own by default.
        files: In the place of drawn data, as for `run`.
        settings: Settings of training that differ from the demo's: ``section.key=value``.
        epochs: Rounds over the data; the demo's own by default, the recipe's on files.
        reading: What is set about the reading of files.
        jobs: Trainings side by side.
        tell: Takes a line after each training.

    Raises:
        UsageError: No such demo or variation, or settings of what varies.
        DataError: Files that cannot be read or learnt from.
        Interrupted: Ctrl-C.

    Example:
        >>> run_variants("brackets", "merge", settings=["encoder.merge=sum"])
        Traceback (most recent call last):
        ...
        birnn.errors.UsageError: encoder.merge is what is compared. Leave it out.
    """
    variation = variation_of(varied)
    setup = _Setup.of(name, size, seed, files, settings, epochs, reading, tell)
    if chosen := sorted(setup.given.chosen & variation.settings):
        raise UsageError(f"{chosen[0]} is what is compared. Leave it out.")
    return compare_variants(varied, setup.plan({}), seeds, jobs=jobs, tell=tell)


@dataclass(frozen=True, slots=True)
class _Setup:
    """A demo with its data, and the settings of its models.

    Args:
        demo: Which one.
        data: Its data, or the user's own.
        settings: Of training: the demo's own.
        given: Those of the user, which win.
    """

    demo: Demo
    data: DemoData
    settings: Mapping[str, Any]
    given: Recipe

    @classmethod
    def of(
        cls,
        name: str,
        size: Size | None,
        seed: int,
        files: Mapping[str, DataSource] | None,
        settings: Sequence[str],
        epochs: int | None,
        reading: ReadOptions,
        tell: Tell,
    ) -> _Setup:
        if name not in DEMOS:
            raise UsageError(f"no demo {name!r}: {nearest(name, DEMOS)}")
        demo = DEMOS[name]
        size, chosen = size or demo.size, dict(demo.settings)
        if files is None:
            data = data_of(demo, size, seed)
            chosen["training.epochs"] = size.epochs
        else:
            data = _from_files(demo, files, reading, seed, tell)
        if epochs is not None:
            chosen["training.epochs"] = epochs
        return cls(demo, data, chosen, Recipe.load(demo.task, overrides=settings))

    def plan(self, changes: Mapping[str, Any]) -> TrialPlan:
        """The trials of a demo, with changes to its settings but for what the user chose."""
        wanted = {
            key: value
            for key, value in {**self.settings, **changes}.items()
            if key not in self.given.chosen
        }
        # Models this small are trained and asked fastest by one thread.
        recipe = self.given.with_settings(wanted)
        return TrialPlan(self.demo.task, self.data.sets, recipe, threads=1)


@dataclass(frozen=True, slots=True)
class DemoData:
    """The data of a run, and how its test answers are told apart.

    Args:
        sets: Training, dev and test examples.
        unit: What is counted.
        grouping: What the groups are.
        groups: Name of a group to the answers in it.
        bound: Group to what one direction can reach in expectation, where it is known.
        samples: What is known of the test sequences.
    """

    sets: Sets
    unit: str
    grouping: str
    groups: Groups
    bound: Mapping[str, float]
    samples: Sequence[Sample] = ()


def data_of(demo: Demo, size: Size, seed: int) -> DemoData:
    """The data of a demo, in this size and of this seed."""
    train, dev, test = demo.draw(size, seed)
    groups = demo.groups(test)
    limit = {} if demo.limit is None else demo.limit()
    return DemoData(
        sets=Sets(_examples(train), _examples(dev), _examples(test)),
        unit=demo.unit,
        grouping=demo.grouping,
        groups=groups,
        bound={group: limit[group] for group in groups if limit},
        samples=test,
    )


def _examples(samples: Sequence[Sample]) -> list[Example]:
    return [sample.example for sample in samples]


def _from_files(
    demo: Demo, files: Mapping[str, DataSource], reading: ReadOptions, seed: int, tell: Tell
) -> DemoData:
    """The user's own data, by position, or by length where a sequence has one label."""
    sources = DataSources(files["train"], files.get("dev"), files["test"], reading)
    sets = sources.read(demo.task, seed=seed, tell=tell)
    steps = TASKS[demo.task].per_step
    return DemoData(
        sets=sets,
        unit="steps" if steps else "sequences",
        grouping="position" if steps else "length",
        groups=position_groups(demo.task, [len(example) for example in sets.test]),
        bound={},
    )


def pick(size: int, count: int, *, of: str) -> list[int]:
    """Some of so many things at random, in their order: always the same ones of a name.

    Args:
        size: How many there are.
        count: How many are drawn, or all where there are fewer.
        of: The name that the draw is seeded by.

    Example:
        >>> pick(100, 3, of="left") == pick(100, 3, of="left"), pick(2, 3, of="right")
        (True, [0, 1])
    """
    random = np.random.default_rng(zlib.crc32(of.encode()))
    return sorted(random.choice(size, size=min(count, size), replace=False).tolist())
