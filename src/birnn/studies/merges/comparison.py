"""Every way of merging two halves on one task: trials that differ in their merge alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from birnn.bundle.spec import Spec
from birnn.errors import Tell, no_notice
from birnn.reference import MERGES, MergeName
from birnn.report.figures import READERS
from birnn.report.parts import Table
from birnn.studies.compare.comparison import METRICS, Comparison, Spread
from birnn.studies.compare.significance import percent
from birnn.studies.compare.trials import TrialPlan, run_trials
from birnn.studies.merges.cases import (
    Opposed,
    Vanishing,
    opposed_halves,
    opposed_table,
    vanishing_half,
    vanishing_table,
)

ONE = READERS["forward"].name  # the model without anything to merge
VARIED = frozenset(
    ("encoder.merge", "encoder.merge_size", "encoder.bidirectional", "encoder.directions")
)
"""Settings that a comparison of merges sets by itself."""
LEARNED = 0.99  # of the dev score's own scale, from 0 to 1


class Choice(NamedTuple):
    """A merge, and the width that ``project`` makes rows; None for the other merges."""

    merge: MergeName
    merge_size: int | None = None

    @property
    def name(self) -> str:
        """In words: ``sum``, ``project to 16``."""
        return f"{self.merge} to {self.merge_size}" if self.merge_size else self.merge


def choices(spec: Spec) -> list[Choice]:
    """Every merge of a model; ``project`` to a quarter of H, to H and to 2H.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8), encoder=Encoder(hidden_size=16), head=Tags(size=3)
        ... )
        >>> [choice.name for choice in choices(spec)]
        ['concat', 'sum', 'mean', 'product', 'project to 4', 'project to 16', 'project to 32']
    """
    hidden = spec.encoder.hidden_size
    widths = dict.fromkeys((max(1, hidden // 4), hidden, 2 * hidden))
    plain = [Choice(merge) for merge in MERGES if merge != "project"]
    return [*plain, *(Choice("project", width) for width in widths)]


@dataclass(frozen=True, slots=True)
class MergeComparison:
    """Models that differ in their merge alone, and what was measured in halves made for it.

    Args:
        of: Name of a merge, or `ONE` for one direction, to its trials.
        opposed: What is left of halves that cancel each other.
        vanishing: What is left where one half vanishes.
        seconds: Time that training and testing took.
    """

    of: Mapping[str, Comparison]
    opposed: Sequence[Opposed]
    vanishing: Sequence[Vanishing]
    seconds: float

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of each."""
        return next(iter(self.of.values())).seeds

    @property
    def models(self) -> int:
        """Models that were trained."""
        return len(self.of) * len(self.seeds)

    def spread(self, name: str) -> Spread:
        """The metric of a merge on the test set, over its seeds."""
        [way] = self.of[name].ways
        return self.of[name].spread(way)

    def learned(self, name: str) -> int | None:
        """The epoch in which the dev score first reached `LEARNED`, or None: median of seeds."""
        [trials] = self.of[name].trials.values()
        never = max(trial.epochs for trial in trials) + 1
        first = [
            next((e for e, score in enumerate(trial.curve, 1) if score >= LEARNED), never)
            for trial in trials
        ]
        middle = statistics.median_high(first)
        return None if middle == never else middle

    def spec(self, name: str) -> Spec:
        """The model."""
        [trials] = self.of[name].trials.values()
        return trials[0].spec

    def tables(self) -> list[Table]:
        """The measured models, and the two cases that are made for a merge to fail."""
        metric = METRICS[next(iter(self.of.values())).metric]
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
        header = ["merge", "row", "parameters", metric, "least", "most", "epochs to 99 %"]
        seeds = len(self.seeds)
        over = f"medians of {seeds} seeds, least and most" if seeds > 1 else "one seed"
        return [
            Table(header, rows, f"on the test set, {over}; epochs until 99 % on dev"),
            opposed_table(self.opposed),
            vanishing_table(self.vanishing),
        ]

    def verdicts(self) -> list[str]:
        """How much hangs on the merge, and how much on the second direction."""
        medians = {name: self.spread(name).median for name in self.of}
        one = medians.pop(ONE)
        best, worst = max(medians.values()), min(medians.values())
        side = "above" if worst >= one else "below"
        verdict = (
            f"The best merge is {100 * (best - worst):.1f} points above the worst; the worst is "
            f"{100 * abs(worst - one):.1f} points {side} one direction."
        )
        return [verdict]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        return {
            "merges": {
                name: self.spread(name).to_dict(comparison.metric)
                | {
                    "output_size": self.spec(name).stack.output_size,
                    "parameters": self.spec(name).parameter_count(),
                    "epochs_to_99": self.learned(name),
                    "dev_by_epoch": next(iter(comparison.curves.values())),
                }
                for name, comparison in self.of.items()
            },
            "opposed_halves": [row._asdict() for row in self.opposed],
            "vanishing_half": [row._asdict() for row in self.vanishing],
            "seeds": list(self.seeds),
            "verdicts": self.verdicts(),
        }


def compare_merges(
    plan: TrialPlan, seeds: Sequence[int] = (1, 2, 3), *, jobs: int = 1, tell: Tell = no_notice
) -> MergeComparison:
    """Train a model in one direction, and one in two directions with each merge.

    Args:
        plan: What all trials share: data, settings.
        seeds: Of the models and the order of the data.
        jobs: Trainings side by side.
        tell: Takes a line after each training.

    Raises:
        UsageError: No seed.
        Interrupted: Ctrl-C.

    Example:
        >>> from birnn.demos import Size, brackets
        >>> from birnn.training.recipe import Recipe
        >>> from birnn.training.sets import Sets
        >>> draw = brackets.generate
        >>> recipe = Recipe.load("tagger").with_settings(
        ...     {"training.epochs": 1, "encoder.hidden_size": 4}
        ... )
        >>> sets = Sets(draw(40, 1), draw(20, 2), draw(20, 3))
        >>> found = compare_merges(TrialPlan("tagger", sets, recipe), seeds=(1,))
        >>> [found.spec(name).stack.output_size for name in found.of]
        [4, 8, 4, 4, 4, 1, 4, 8]
    """
    begun = time.perf_counter()
    comparisons: dict[str, Comparison] = {}
    for choice in (None, *choices(plan.spec())):
        name, way = (choice.name, "both") if choice else (ONE, "forward")
        merge = choice or Choice("concat")
        chosen = {"encoder.merge": merge.merge, "encoder.merge_size": merge.merge_size}
        varied = TrialPlan(
            plan.task, plan.sets, plan.recipe.with_settings(chosen), threads=plan.threads
        )
        named = _after(name, tell) if choice else tell
        trials = run_trials(varied, [way], seeds, jobs=jobs, tell=named)
        comparisons[name] = Comparison.of(varied, trials, jobs=jobs)
    seconds = time.perf_counter() - begun
    return MergeComparison(comparisons, opposed_halves(), vanishing_half(), seconds)


def _after(name: str, tell: Tell) -> Tell:
    """Tells lines that begin with the name of a merge."""
    return lambda line: tell(f"{name}, {line}")
