"""Figures of a series: the lines, the colours and the tags are those that went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from birnn.errors import DataError, ShapeError
from birnn.report import figures
from birnn.report.figures import TagRow, alt_text
from birnn.report.figures.lines import MANY
from birnn.report.figures.series import MOST_CHANNELS
from birnn.report.figures.style import MINUS, PLUS, TOOLTIP, WRONG

SERIES = np.array([[1.0, -5.0], [3.0, -5.0], [2.0, -4.0]])


@given(steps=st.integers(1, 90), channels=st.integers(1, 12), seed=st.integers(0, 99))
def test_channels_are_lines_over_their_steps(steps: int, channels: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(steps, channels))
    figure = figures.series(values, first=10)
    assert len(figure.axes) == min(channels, MOST_CHANNELS)
    for axes in figure.axes:
        (line,) = axes.lines
        channel = int(axes.get_ylabel().removeprefix("channel ")) - 1
        np.testing.assert_array_equal(line.get_ydata(), values[:, channel])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(11, 11 + steps))
    left = channels - len(figure.axes)
    told = f"; {left} more channels are not drawn" if left else ""
    assert figure.axes[-1].get_xlabel() == f"step{told}"


def test_of_many_channels_those_are_drawn_to_which_most_is_attributed() -> None:
    adds = np.zeros((4, 20))
    wanted = [0, 3, 4, 7, 11, 12, 17, 19]
    adds[1, wanted] = [1, -1, 1, -1, 1, -1, 1, -1]
    figure = figures.series(np.ones((4, 20)), adds_TC=adds, label="up")
    drawn = [int(axes.get_ylabel().removeprefix("channel ")) - 1 for axes in figure.axes]
    assert drawn == wanted


def test_the_colour_behind_a_value_is_what_it_adds() -> None:
    adds = np.array([[2.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    figure = figures.series(SERIES, adds_TC=adds, label="up")
    first, second = (axes.images[0].get_array()[0] for axes in figure.axes)
    assert to_hex(first[0, :3]) == PLUS
    assert to_hex(first[1, :3]) == MINUS
    strength = np.array([first[:, 3], second[:, 3]])
    np.testing.assert_allclose(strength / strength.max(), np.abs(adds).T / 2, atol=0.02)
    assert "Channel 1: from 1 to 3, adds 1 to 'up'." in alt_text(figure)


def test_tags_are_boxes_of_runs_and_wrong_ones_are_framed() -> None:
    gold = ["n", "a", "a"]
    rows = [TagRow("correct", "", gold), TagRow("one", "forward", ["n", "a", "n"])]
    figure = figures.series(SERIES, rows=rows, gold=gold, marked=("a",))
    boxes = figure.axes[-1].patches
    tips = [box.get_gid().removeprefix(TOOLTIP) for box in boxes if box.get_gid()]
    assert tips == [
        "correct, step 1: n",
        "correct, steps 2 to 3: a",
        "one, step 1: n",
        "one, step 2: a",
        "one, step 3: n, wrong",
    ]
    framed = [box for box in boxes if to_hex(box.get_edgecolor()) == WRONG]
    assert [box.get_x() + box.get_width() / 2 for box in framed] == [pytest.approx(3)]


@pytest.mark.parametrize("steps", [5, MANY + 1])
def test_what_steps_add_are_bars_over_time(steps: int) -> None:
    adds = np.random.default_rng(0).normal(size=steps)
    (axes,) = figures.attribution_over_time(adds, -adds, "value 0", of="value").axes
    assert axes.get_ylabel() == "adds to value 0"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), -adds)
    if steps <= MANY:
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], adds)
    else:
        ends = [part.get_paths()[0].get_extents() for part in axes.collections]
        assert max(end.y1 for end in ends) == pytest.approx(adds.max())
        assert min(end.y0 for end in ends) == pytest.approx(adds.min())


def test_what_is_no_series_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"values_TC is \(3,\)"):
        figures.series([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="0 steps of 2 channels"):
        figures.series(np.ones((0, 2)))
    with pytest.raises(ShapeError, match="adds_TC"):
        figures.series(SERIES, adds_TC=np.ones((3, 1)))
    with pytest.raises(DataError, match="not one number for each step"):
        figures.series(SERIES, rows=[TagRow("a", "", ["x"])])


def test_a_series_with_gaps_or_of_one_value_is_drawn() -> None:
    gaps = np.array([[np.nan, 1.0], [2.0, 1.0], [np.inf, 1.0]])
    figure = figures.series(gaps)
    assert [len(axes.get_yticks()) for axes in figure.axes] == [1, 1]
    assert "Channel 1: from 2 to 2." in alt_text(figure)
