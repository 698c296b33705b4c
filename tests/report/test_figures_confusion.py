"""The confusion matrix: every count is a cell, inked by its share of the row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from birnn.errors import DataError, ShapeError
from birnn.report import figures
from birnn.report.figures import alt_text
from birnn.report.figures.style import MINUS, PLUS, TOOLTIP, number


def cells(figure):
    """Row and column of each inked cell, to its patch."""
    patches = [patch for patch in figure.axes[0].patches if patch.get_gid()]
    return {(round(p.get_y() + 0.47), round(p.get_x() + 0.47)): p for p in patches}


@given(
    counts=st.integers(1, 5).flatmap(
        lambda size: st.lists(
            st.lists(st.integers(0, 20_000), min_size=size, max_size=size),
            min_size=size, max_size=size,
        )
    ),
    within=st.integers(0, 9),
)  # fmt: skip
def test_every_count_is_a_cell_that_tells_it(counts: list[list[int]], within: int) -> None:
    size = len(counts)
    labels = [f"label {n}" for n in range(size - 1)]
    figure = figures.confusion_matrix(labels, counts, others=7, within=within)
    drawn = cells(figure)
    assert set(drawn) == {tuple(at) for at in np.argwhere(np.array(counts)).tolist()}
    names = [*labels, "7 others"]
    for (row, column), cell in drawn.items():
        assert isinstance(cell, Rectangle)
        total = sum(counts[row]) + within * (row == size - 1)
        share = counts[row][column] / total
        assert cell.get_alpha() == pytest.approx(math.sqrt(share))
        assert to_hex(cell.get_facecolor()) == (PLUS if row == column else MINUS)
        said = "right" if row == column else f"answered {names[column]}"
        told = f"{number(counts[row][column])} of {number(total)}, {100 * share:.1f} %"
        assert cell.get_gid() == f"{TOOLTIP}{names[row]}, {said}: {told}"
    assert f"Among the 7 others {within} answers are wrong." in alt_text(figure)
    written = {text.get_text() for text in figure.axes[0].texts}
    assert written == {number(counts[row][column]) for row, column in drawn}


def test_the_words_name_the_commonest_confusions_first() -> None:
    figure = figures.confusion_matrix("abc", [[5, 2, 0], [0, 5, 9], [1, 0, 0]])
    assert alt_text(figure).endswith("Most often confused: b as c 9, a as b 2, c as a 1.")
    right = figures.confusion_matrix("ab", [[5, 0], [0, 0]])
    assert alt_text(right) == "Confusion of 2 labels. Right: a 5 of 5 (100.0 %). None was confused."


def test_many_labels_have_no_numbers_and_long_names_stand_on_end() -> None:
    figure = figures.confusion_matrix(
        [f"B-PERSON-{n}" for n in range(19)], np.full((20, 20), 1234), others=40
    )
    axes = figure.axes[0]
    assert not axes.texts
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {90}
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "40 others"


def test_what_is_no_confusion_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"counts are \(2, 2\), for 3 labels they are \(3, 3\)"):
        figures.confusion_matrix("abc", [[1, 2], [3, 4]])
    with pytest.raises(DataError, match="nothing to draw"):
        figures.confusion_matrix("a", [[-1]])
    with pytest.raises(DataError, match="nothing to draw"):
        figures.confusion_matrix("", np.zeros((0, 0)))
