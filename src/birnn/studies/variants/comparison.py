"""Models that differ in one setting alone: every merge, or every cell, on one task."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from birnn.bundle.spec import Spec
from birnn.errors import Tell, UsageError, nearest, no_notice
from birnn.metrics.significance import percent
from birnn.reference import CELLS, MERGES
from birnn.report.figures import READERS
from birnn.report.parts import Table
from birnn.studies.compare.comparison import Comparison
from birnn.studies.compare.metric import METRICS, Metric, Spread
from birnn.studies.compare.trials import TrialPlan, run_trials
from birnn.studies.variants.cases import MadeCase, merge_cases

ONE = READERS["forward"].name  # a model in one direction, beside the variants
ONE_DIRECTION = ", one direction"  # after the name of a variant
LEARNED = 0.99  # of the dev score's own scale, from 0 to 1


class Variant(NamedTuple):
    """One of the models that are compared.

    Args:
        name: In words: ``sum``, ``project to 16``.
        settings: Of training, in which it differs.
        way: Its way of reading.
    """

    name: str
    settings: Mapping[str, Any]
    way: str = "both"


class Variation(NamedTuple):
    """What can be varied.

    Args:
        settings: The settings that it sets.
        variants: The variants of a model.
        cases: What is made to show what a variant can lose.
    """

    settings: frozenset[str]
    variants: Callable[[Spec], list[Variant]]
    cases: Callable[[], Sequence[MadeCase]] = list


def merges(spec: Spec) -> list[Variant]:
    """Every merge of a model, ``project`` to a quarter of H, to H and to 2H; one direction first.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8), encoder=Encoder(hidden_size=16), head=Tags(size=3)
        ... )
        >>> [variant.name for variant in merges(spec)[1:]]
        ['concat', 'sum', 'mean', 'product', 'project to 4', 'project to 16', 'project to 32']
    """
    hidden = spec.encoder.hidden_size

    def variant(name: str, merge: str, width: int | None = None, way: str = "both") -> Variant:
        return Variant(name, {"encoder.merge": merge, "encoder.merge_size": width}, way)

    return [
        variant(ONE, "concat", way="forward"),
        *(variant(merge, merge) for merge in MERGES if merge != "project"),
        *(
            variant(f"project to {width}", "project", width)
            for width in dict.fromkeys((max(1, hidden // 4), hidden, 2 * hidden))
        ),
    ]


def cells(_spec: Spec) -> list[Variant]:
    """Every cell, in one direction and in two.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8), encoder=Encoder(hidden_size=16), head=Tags(size=3)
        ... )
        >>> [variant.name for variant in cells(spec)[:4]]
        ['rnn_tanh, one direction', 'rnn_tanh', 'rnn_relu, one direction', 'rnn_relu']
    """
    return [
        Variant(name, {"encoder.cell": cell}, way)
        for cell in CELLS
        for name, way in ((cell + ONE_DIRECTION, "forward"), (cell, "both"))
    ]


VARIATIONS: dict[str, Variation] = {
    "merge": Variation(
        frozenset(
            ("encoder.merge", "encoder.merge_size", "encoder.bidirectional", "encoder.directions")
        ),
        merges,
        merge_cases,
    ),
    "cell": Variation(
        frozenset(("encoder.cell", "encoder.bidirectional", "encoder.directions")), cells
    ),
}


@dataclass(frozen=True, slots=True)
class VariantComparison:
    """Models that differ in one setting alone.

    Args:
        varied: Which, a key of `VARIATIONS`.
        of: Name of a variant to its trials.
        seconds: Time that training and testing took.
        cases: What is made to show what a variant can lose.
    """

    varied: str
    of: Mapping[str, Comparison]
    seconds: float
    cases: Sequence[MadeCase] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of each."""
        return next(iter(self.of.values())).seeds

    @property
    def models(self) -> int:
        """Models that were trained."""
        return len(self.of) * len(self.seeds)

    def spread(self, name: str) -> Spread:
        """The metric of a variant on the test set, over its seeds."""
        [way] = self.of[name].ways
        return self.of[name].spread(way)

    def by_way(self) -> dict[str, dict[str, float]]:
        """Median of each variant by way of reading, for ways in which all variants were trained."""
        medians: dict[str, dict[str, float]] = {}
        for name, comparison in self.of.items():
            [way] = comparison.ways
            variant = name.removesuffix(ONE_DIRECTION)
            medians.setdefault(way, {})[variant] = self.spread(name).median
        return {way: each for way, each in medians.items() if set(each) == set(medians["both"])}

    def learned(self, name: str) -> int | None:
        """The epoch in which the dev score first reached `LEARNED`, or None: median of seeds."""
        [trials] = self.of[name].trials.values()
        never = max(trial.epochs for trial in trials) + 1
        errors = self.metric.lower_is_better
        curves = [[1 - e for e in trial.curve] if errors else trial.curve for trial in trials]
        first = [
            next((e for e, score in enumerate(curve, 1) if score >= LEARNED), never)
            for curve in curves
        ]
        middle = statistics.median_high(first)
        return None if middle == never else middle

    @property
    def metric(self) -> Metric:
        """What counts."""
        return METRICS[next(iter(self.of.values())).metric]

    def spec(self, name: str) -> Spec:
        """The model."""
        [trials] = self.of[name].trials.values()
        return trials[0].spec

    def tables(self) -> list[Table]:
        """The measured models, and the cases."""
        metric = self.metric.name
        rows = [
            [
                name,
                f"{self.spec(name).stack.output_size}",
                f"{self.spec(name).parameter_count():,}",
                *(percent(value) for value in self.spread(name).values()),
                str(self.learned(name) or "–"),
            ]
            for name in self.of
        ]
        header = [self.varied, "row", "parameters", metric, "least", "most", "epochs to 99 %"]
        seeds = len(self.seeds)
        over = f"medians of {seeds} seeds, least and most" if seeds > 1 else "one seed"
        measured = Table(header, rows, f"on the test set, {over}; epochs until 99 % on dev")
        return [measured, *(case.table for case in self.cases)]

    def verdicts(self) -> list[str]:
        """How much hangs on the setting, and how much on the second direction."""
        both = [name for name, comparison in self.of.items() if comparison.ways == ("both",)]
        of_both, of_one = (
            [self.spread(name).median for name in self.of if (name in both) is two]
            for two in (True, False)
        )
        best, worst, one = max(of_both), min(of_both), max(of_one)
        beyond = "above"
        if self.metric.lower_is_better:
            best, worst, one, beyond = min(of_both), max(of_both), min(of_one), "below"
        apart, ahead = 100 * abs(best - worst), 100 * abs(worst - one)
        side = "above" if worst >= one else "below"
        verdict = (
            f"In two directions the best {self.varied} is {apart:.1f} points {beyond} the worst; "
            f"the worst is {ahead:.1f} points {side} one direction"
        )
        return [verdict + (" at its best." if len(of_one) > 1 else ".")]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        numbers: dict[str, Any] = {
            self.varied: {
                name: self.spread(name).to_dict(comparison.metric)
                | {
                    "output_size": self.spec(name).stack.output_size,
                    "parameters": self.spec(name).parameter_count(),
                    "epochs_to_99": self.learned(name),
                    "dev_by_epoch": next(iter(comparison.curves.values())),
                }
                for name, comparison in self.of.items()
            },
            "seeds": list(self.seeds),
            "verdicts": self.verdicts(),
        }
        for case in self.cases:
            numbers[case.name.replace(" ", "_")] = [row._asdict() for row in case.rows]
        return numbers


def compare_variants(
    varied: str,
    plan: TrialPlan,
    seeds: Sequence[int] = (1, 2, 3),
    *,
    jobs: int = 1,
    tell: Tell = no_notice,
) -> VariantComparison:
    """Train every variant of a model with every seed, and ask each for the test set.

    Args:
        varied: What varies: ``merge`` or ``cell``.
        plan: What all trials share: data, settings.
        seeds: Of the models and the order of the data.
        jobs: Trainings side by side.
        tell: Takes a line after each training.

    Raises:
        UsageError: No such variation, or no seed.
        Interrupted: Ctrl-C.

    Example:
        >>> from birnn.demos import brackets
        >>> from birnn.training.recipe import Recipe
        >>> from birnn.training.sets import Sets
        >>> draw = brackets.generate
        >>> recipe = Recipe.load("tagger").with_settings(
        ...     {"training.epochs": 1, "encoder.hidden_size": 4}
        ... )
        >>> sets = Sets(draw(40, 1), draw(20, 2), draw(20, 3))
        >>> found = compare_variants("merge", TrialPlan("tagger", sets, recipe), seeds=(1,))
        >>> [found.spec(name).stack.output_size for name in found.of]
        [4, 8, 4, 4, 4, 1, 4, 8]
    """
    variation = variation_of(varied)
    begun = time.perf_counter()
    comparisons = {}
    for variant in variation.variants(plan.spec()):
        recipe = plan.recipe.with_settings(variant.settings)
        changed = TrialPlan(plan.task, plan.sets, recipe, threads=plan.threads)
        named = _after(variant.name, tell)
        trials = run_trials(changed, [variant.way], seeds, jobs=jobs, tell=named)
        comparisons[variant.name] = Comparison.of(changed, trials, jobs=jobs)
    seconds = time.perf_counter() - begun
    return VariantComparison(varied, comparisons, seconds, variation.cases())


def variation_of(varied: str) -> Variation:
    """What a variation is.

    Raises:
        UsageError: There is none of that name.
    """
    if varied not in VARIATIONS:
        raise UsageError(f"nothing called {varied!r} is varied: {nearest(varied, VARIATIONS)}")
    return VARIATIONS[varied]


def _after(name: str, tell: Tell) -> Tell:
    """Tells lines of trainings by the name of a variant, in the place of the way of reading."""
    return lambda line: tell(f"{name}, seed {line.rpartition(', seed ')[2]}")
