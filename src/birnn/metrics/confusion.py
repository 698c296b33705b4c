"""Which label is taken for which, as a matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from birnn.errors import DataError

MATRIX = 20  # rows of a confusion matrix at most


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionMatrix:
    """How often each gold label was answered by each label; `confusion_matrix` makes one.

    Args:
        labels: Labels that have a row and a column of their own, sorted.
        counts: Gold label (row) by answer (column), (L, L); one more of both where labels are
            folded, the last for all of these, whose diagonal holds their right answers.
        folded: Labels that share the last row and column, sorted.
        within: Wrong answers of one folded label for another, which have no cell.
        confused: Gold label, wrong answer and how often, the most frequent first.
    """

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    folded: tuple[str, ...]
    within: int
    confused: tuple[tuple[str, str, int], ...]

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """The counts as shares of their rows, (L, L): all answers to a gold label; else NaN."""
        totals = self.counts.sum(axis=1, keepdims=True).astype(np.float64)
        if self.folded:
            totals[-1] += self.within
        shares = np.full(self.counts.shape, np.nan)
        np.divide(self.counts, totals, out=shares, where=totals > 0)
        return shares


def confusion_matrix(
    confusion: Mapping[str, Mapping[str, int]], *, most: int = MATRIX
) -> ConfusionMatrix:
    """The confusion of a scorer's result as a matrix, of many labels the most confused ones.

    Args:
        confusion: Gold label to answer to how often, as `LabelScorer` and `TagScorer` give it.
        most: Rows at most. Of more labels those with the fewest wrong answers, given for them or
            with them, share the last row and column.

    Raises:
        DataError: Nothing was counted, or ``most`` is below 2.

    Example:
        >>> found = confusion_matrix({"b": {"b": 3, "a": 1}, "a": {"a": 2}})
        >>> found.labels, found.counts.tolist(), found.shares[1].tolist(), found.confused
        (('a', 'b'), [[2, 0], [1, 3]], [0.25, 0.75], (('b', 'a', 1),))
    """
    if most < 2:
        raise DataError(f"most is {most}, a matrix has 2 rows or more")
    pairs = {(gold, said): n for gold, row in confusion.items() for said, n in row.items() if n}
    if not pairs:
        raise DataError("nothing was counted: there is no confusion of no answers")
    wrong: Counter[str] = Counter()
    for (gold, said), count in pairs.items():
        for label in (gold, said):
            wrong[label] += count * (gold != said)
    ranked = sorted(wrong, key=lambda label: (-wrong[label], label))
    kept = ranked if len(ranked) <= most else ranked[: most - 1]
    labels, folded = sorted(kept), sorted(set(ranked) - set(kept))
    place = {label: at for at, label in enumerate(labels)}
    counts = np.zeros((len(labels) + bool(folded),) * 2, np.int64)
    within = 0
    for (gold, said), count in pairs.items():
        row, column = (place.get(label, len(labels)) for label in (gold, said))
        if row == column and gold != said:
            within += count
        else:
            counts[row, column] += count
    missed = [(*pair, count) for pair, count in pairs.items() if pair[0] != pair[1]]
    missed.sort(key=lambda each: (-each[2], each))
    return ConfusionMatrix(tuple(labels), counts, tuple(folded), within, tuple(missed))
