"""What counts in a comparison, and its spread over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from birnn.metrics.significance import percent


class Metric(NamedTuple):
    """What counts in a comparison.

    Args:
        name: In words.
        lower_is_better: Whether it counts errors.
        share: Whether it is a share, which is shown in percent.
        beside: A second measure in the table, a key of a scorer's result, and its name.
    """

    name: str
    lower_is_better: bool = False
    beside: tuple[str, str] | None = None
    share: bool = True

    def shown(self, value: float) -> str:
        """A value as it is written in texts.

        Example:
            >>> METRICS["accuracy"].shown(0.5), METRICS["perplexity"].shown(81.25)
            ('50.0 %', '81.2')
        """
        return percent(value) if self.share else f"{value:.1f}"

    def cell(self, value: float) -> str:
        """The same in a table."""
        return f"{value:.4f}" if self.share else f"{value:.1f}"


# The measure that stands beside another of the same answers.
_BESIDE = {"f1": ("exact_match", "exact match"), "exact_match": ("f1", "micro F1")}

METRICS = {
    "perplexity": Metric(
        "perplexity", lower_is_better=True, beside=("accuracy", "accuracy"), share=False
    ),
    "accuracy": Metric("accuracy"),
    "accuracy_at_5": Metric("accuracy at 5"),
    "f1": Metric("span F1"),
    "precision": Metric("precision"),
    "recall": Metric("recall"),
    "macro_f1": Metric("macro F1"),
    "samples_f1": Metric("samples F1", beside=_BESIDE["f1"]),
    "exact_match": Metric("exact match", beside=_BESIDE["exact_match"]),
    "token_error_rate": Metric(
        "token error rate",
        lower_is_better=True,
        beside=("sequence_error_rate", "sequence error rate"),
    ),
    "sequence_error_rate": Metric(
        "sequence error rate",
        lower_is_better=True,
        beside=("token_error_rate", "token error rate"),
    ),
}
"""The scores that ways of reading are compared by, by their names in a scorer's result."""

_F1 = {
    "macro": Metric("macro F1"),
    "micro": Metric("micro F1", beside=_BESIDE["f1"]),
}


def metric_of(name: str, scores: Mapping[str, Any]) -> Metric:
    """The metric of that name; what F1 is of, the scores say.

    Example:
        >>> metric_of("f1", {"f1_kind": "micro"}).name, metric_of("f1", {"f1_kind": "spans"}).name
        ('micro F1', 'span F1')
    """
    return _F1.get(str(scores.get("f1_kind")), METRICS[name]) if name == "f1" else METRICS[name]


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over seeds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of some values, at least one.

        Example:
            >>> Spread.of([0.5, 0.9, 0.7])
            Spread(median=0.7, least=0.5, most=0.9)
        """
        return cls(statistics.median(values), min(values), max(values))

    def to_dict(self, name: str) -> dict[str, float]:
        """The three numbers, by the name of what they are of."""
        return {f"{name}_median": self.median, f"{name}_min": self.least, f"{name}_max": self.most}

    def values(self) -> tuple[float, float, float]:
        """Median, least and most."""
        return self.median, self.least, self.most
