"""How far a score might be another on other data: the bootstrap over sequences.

A score of a set is a function of sums over its sequences, so that the score of a resample is that
function of weighted sums: all resamples are one product of matrices.
"""

# B sequences, K columns that are summed, R resamples

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import ShapeError, UsageError

Array = npt.NDArray[Any]
Measures = Callable[[Array], Mapping[str, Array]]

LEVEL = 0.95
RESAMPLES = 1000
DRAWN = 1 << 22  # numbers that are drawn at once
EXACT = 1 << 24  # whole numbers up to this are exact in float32


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Scores as a function of sums over sequences.

    Args:
        columns: What is summed, of each sequence, (B, K).
        measures: From sums (R, K) to the scores of each row by name, (R,).

    Example:
        >>> columns = np.array([[1.0, 2.0], [3.0, 3.0]])  # right answers, questions
        >>> right = Statistics(columns, lambda sums: {"accuracy": sums[:, 0] / sums[:, 1]})
        >>> right.scores()
        {'accuracy': 0.8}
    """

    columns: Array
    measures: Measures

    def scores(self) -> dict[str, float]:
        """Scores of all sequences."""
        return {name: float(row[0]) for name, row in self.measures(self._sums()[None]).items()}

    def _sums(self) -> Array:
        total: Array = self.columns.sum(axis=0, dtype=np.float64)
        return total

    def resampled(self, weights: Array) -> Mapping[str, Array]:
        """Scores of resamples, (R,) each.

        Args:
            weights: How often each resample holds each sequence, (R, B).
        """
        columns = self.columns
        # A product in float32 takes half the time, and is exact where all sums are small counts.
        whole = columns.dtype.kind in "iub" and self._sums().max(initial=0) < EXACT // 4
        dtype = np.float32 if whole else np.float64
        sums = weights.astype(dtype) @ columns.astype(dtype)
        return self.measures(sums.astype(np.float64))


def drawn(sequences: int, resamples: int = RESAMPLES, seed: int = 1) -> Iterator[Array]:
    """How often each resample holds each sequence, (R, B), some resamples at a time.

    Each resample holds as many sequences as there are, drawn with replacement.

    Args:
        sequences: How many there are.
        resamples: How many resamples are drawn in all.
        seed: One seed draws the same.

    Example:
        >>> [weights] = drawn(5, 3)
        >>> weights.shape, weights.sum(axis=1).tolist()
        ((3, 5), [5, 5, 5])
    """
    random = np.random.default_rng(seed)
    at_once = max(1, DRAWN // max(1, sequences))
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        places = random.integers(0, sequences, (rows, sequences), dtype=np.int64)
        places += np.arange(rows)[:, None] * sequences
        counts = np.bincount(places.ravel(), minlength=rows * sequences)
        yield counts.reshape(rows, sequences)


def intervals(
    statistics: Statistics, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 1
) -> dict[str, tuple[float, float]]:
    """Confidence intervals of all scores, by the percentiles of resamples.

    Args:
        statistics: Of one model.
        level: Share of the resamples between the two ends.
        resamples: How many are drawn.
        seed: One seed gives the same intervals.

    Returns:
        Lower and upper end by the name of the score.

    Raises:
        UsageError: A level that is no share.

    Source:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.

    Example:
        >>> sums = np.array([[1, 1]] * 50 + [[0, 1]] * 50)
        >>> half = Statistics(sums, lambda sums: {"accuracy": sums[:, 0] / sums[:, 1]})
        >>> low, high = intervals(half)["accuracy"]
        >>> 0.35 < low < 0.5 < high < 0.65
        True
    """
    return _ends(_all_resampled([statistics], resamples, seed, lambda one: one), level)


def difference_intervals(
    first: Statistics,
    second: Statistics,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> dict[str, tuple[float, float]]:
    """Intervals of what the second model's scores exceed the first's by, on the same resamples.

    Args:
        first: Of one model.
        second: Of the other, on the same sequences.
        level: As for `intervals`.
        resamples: As for `intervals`.
        seed: As for `intervals`.

    Raises:
        ShapeError: Other numbers of sequences.
        UsageError: A level that is no share.

    Example:
        >>> def accuracy(sums):
        ...     return {"accuracy": sums[:, 0] / sums[:, 1]}
        >>> one, other = (Statistics(np.array([[right, 1]] * 9), accuracy) for right in (0, 1))
        >>> difference_intervals(one, other)
        {'accuracy': (1.0, 1.0)}
    """
    counts = len(first.columns), len(second.columns)
    if counts[0] != counts[1]:
        raise ShapeError(f"{counts[0]} sequences of the first model, {counts[1]} of the second")

    def difference(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
        return {name: other[name] - row for name, row in one.items() if name in other}

    return _ends(_all_resampled([first, second], resamples, seed, difference), level)


def check_level(level: float) -> None:
    """Refuse a level that is no share.

    Raises:
        UsageError: It is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"the level of confidence is {level:g}. Give one between 0 and 1: 0.95.")


def _all_resampled(
    each: Sequence[Statistics],
    resamples: int,
    seed: int,
    of: Callable[..., Mapping[str, Array]],
) -> dict[str, Array]:
    found: dict[str, list[Array]] = {}
    for weights in drawn(len(each[0].columns), resamples, seed):
        for name, row in of(*(statistics.resampled(weights) for statistics in each)).items():
            found.setdefault(name, []).append(row)
    return {name: np.concatenate(rows) for name, rows in found.items()}


def _ends(scores: Mapping[str, Array], level: float) -> dict[str, tuple[float, float]]:
    check_level(level)
    tails = (1 - level) / 2, (1 + level) / 2
    return {
        name: (float(low), float(high))
        for name, row in scores.items()
        for low, high in [np.quantile(row, tails)]
    }
