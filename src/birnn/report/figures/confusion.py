"""The confusion matrix: which labels are taken for which."""

# L labels, gold in rows, answers in columns

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import DataError, ShapeError
from birnn.report.figures.heatmap import colour_scale, heatmap
from birnn.report.figures.style import (
    INK,
    PAPER,
    PLUS,
    WIDTH,
    FloatArray,
    blank,
    in_house_style,
    number,
    with_alt_text,
)
from birnn.report.figures.tokens import PITCH, abbreviated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 10  # confusions that the alt text has
LETTER, LINE = 0.078, 0.16  # inches of small text
MARGIN = 1.0  # inches beside matrix and labels: names of the axes, scale
MOST, LEAST = 0.8, 1.6  # inches: the side of a cell at most, the height of the matrix at least
SHARES = (0.01, 0.1, 0.25, 0.5, 1)  # that the scale names, every other one where it is short


@in_house_style
def confusion_matrix(
    labels: Sequence[str], counts_LL: ArrayLike, *, others: int = 0, within: int = 0
) -> Figure:
    """How often each gold label (row) got each answer (column).

    A cell is inked by its share of the row, right answers in one colour, wrong ones in another;
    the scale goes by the square root, so that rare confusions show. The count stands in the cell
    where it fits.

    Args:
        labels: Names of the labels.
        counts_LL: Counts, (L, L), of which row is gold; one more of both with ``others``.
        others: How many further labels the last row and column are of; no such row by default.
        within: Wrong answers of one of them for another, which have no cell.

    Raises:
        ShapeError: Counts that are not a square of so many labels.
        DataError: No label, or counts below 0.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> alt_text(confusion_matrix(["noun", "verb"], [[90, 10], [0, 50]])).split(". ")[1]
        'Right: noun 90 of 100 (90.0 %), verb 50 of 50 (100.0 %)'
    """
    counts = np.asarray(counts_LL, dtype=float)
    names = [*map(abbreviated, labels), *([f"{others} others"] if others else [])]
    size = len(names)
    if counts.shape != (size, size):
        raise ShapeError(f"counts are {counts.shape}, for {size} labels they are ({size}, {size})")
    if size == 0 or counts.min() < 0:
        raise DataError("nothing to draw: give at least one label, and counts from 0 on")
    totals = counts.sum(axis=1)
    totals[-1] += within
    shares = np.divide(
        counts, totals[:, None], out=np.zeros_like(counts), where=totals[:, None] > 0
    )
    beside = LETTER * max(map(len, names))
    cell = min(MOST, (WIDTH - MARGIN - beside) / size)
    tall = max(LEAST, max(PITCH, cell) * size)
    inches = cell * size
    across = LETTER * max(map(len, names)) + 0.08 < cell
    figure = blank(0.62 + tall + (0.1 if across else beside))
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 0.14 / inches])
    axes = figure.add_subplot(grid[0])

    def text(row: int, column: int) -> str:
        said = "right" if row == column else f"answered {names[column]}"
        return (
            f"{names[row]}, {said}: {number(counts[row, column])} of {number(totals[row])}, "
            f"{100 * shares[row, column]:.1f} %"
        )

    sign = 2 * np.eye(size) - 1
    heatmap(axes, sign * np.sqrt(shares), PLUS, text)
    _counts(axes, counts, np.sqrt(shares), cell)
    axes.set_xticks(range(size), names, fontsize=9, rotation=0 if across else 90)
    axes.set_yticks(range(size), names, fontsize=9)
    axes.set_xlabel("answer")
    axes.set_ylabel("correct")
    named = SHARES if tall > 2.5 else SHARES[1::3]
    ticks = {side * share**0.5: f"{100 * share:g}" for share in named for side in (-1, 1)}
    title = "share of the row, %"
    colour_scale(figure.add_subplot(grid[1]), ticks | {0.0: "0"}, title, colour=PLUS)
    return with_alt_text(figure, *_facts(names, counts, totals, within, others))


def _counts(axes: Axes, counts: FloatArray, inked: FloatArray, cell: float) -> None:
    """The numbers of the cells, where all fit."""
    widest = max(len(number(count)) for count in counts.ravel())
    if LETTER * widest > cell or cell < LINE:
        return
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(column, row, number(counts[row, column]), ha="center", va="center", fontsize=9,
                  color=PAPER if inked[row, column] > 0.6 else INK)  # fmt: skip


def _facts(
    names: Sequence[str], counts: FloatArray, totals: FloatArray, within: int, others: int
) -> list[str]:
    """The matrix in words: the rows, and the commonest confusions."""
    right = ", ".join(
        f"{name} {number(counts[at, at])} of {number(totals[at])} "
        f"({100 * counts[at, at] / totals[at]:.1f} %)"
        for at, name in enumerate(names)
        if totals[at]
    )
    wrong = counts * (1 - np.eye(len(names)))
    ranked = np.argsort(-wrong, axis=None, kind="stable")[: min(NAMED, np.count_nonzero(wrong))]
    pairs = (divmod(int(at), len(names)) for at in ranked)
    missed = [
        f"{names[row]} as {names[column]} {number(wrong[row, column])}" for row, column in pairs
    ]
    return [
        f"Confusion of {len(names) - bool(others) + others} labels.",
        f"Right: {right}.",
        f"Most often confused: {', '.join(missed)}." if missed else "None was confused.",
        f"Among the {others} others {within:,} answers are wrong." if others else "",
    ]
