"""Figures: the numbers that went in are the ones that are drawn, and nothing is left behind."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from birnn.errors import DataError
from birnn.explain import figures
from birnn.explain.figures import READERS, TIP

shares = st.floats(0, 1, allow_nan=False)


@given(values=st.lists(st.tuples(shares, shares), min_size=1, max_size=6))
def test_bars_are_as_high_as_the_numbers(values: list[tuple[float, float]]) -> None:
    accuracy = {
        "forward": {f"group {i}": one for i, (one, _) in enumerate(values)},
        "both": {f"group {i}": two for i, (_, two) in enumerate(values)},
    }
    figure = figures.accuracy_by_group(accuracy, groups="group")
    (axes,) = figure.axes
    for container, (key, numbers) in zip(axes.containers, accuracy.items(), strict=True):
        heights = [bar.get_height() for bar in container]
        np.testing.assert_allclose(heights, 100 * np.array(list(numbers.values())))
        assert {to_hex(bar.get_facecolor()) for bar in container} == {READERS[key].colour.lower()}
    centres = [bar.get_x() + bar.get_width() / 2 for bars in axes.containers for bar in bars]
    assert [round(centre) for centre in centres] == [*range(len(values)), *range(len(values))]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == list(accuracy["both"])


@given(
    forward=st.lists(shares, min_size=2, max_size=30),
    bounded=st.booleans(),
)
def test_lines_go_through_the_numbers(forward: list[float], bounded: bool) -> None:
    accuracy = {"forward": forward, "both": forward[::-1]}
    bound = [0.5] * len(forward) if bounded else None
    (axes,) = figures.accuracy_by_position(accuracy, bound=bound).axes
    drawn = {line.get_label(): line for line in axes.lines}
    assert len(drawn) == 2 + bounded
    for key, values in accuracy.items():
        line = drawn[READERS[key].name]
        np.testing.assert_allclose(line.get_ydata(), 100 * np.array(values))
        assert list(line.get_xdata()) == list(range(1, len(values) + 1))
        assert to_hex(line.get_color()) == READERS[key].colour.lower()
    low, high = axes.get_ylim()
    assert low <= 100 * min(forward)
    assert high >= 100 * max(forward)


def test_learning_curves_may_differ_in_length() -> None:
    (axes,) = figures.learning_curves({"forward": [0.1, 0.2], "both": [0.1, 0.2, 0.9]}).axes
    assert [len(line.get_ydata()) for line in axes.lines] == [2, 3]
    assert axes.get_xlabel() == "epoch"
    assert axes.get_ylabel() == "accuracy, %"


def test_every_bar_and_point_tells_its_number() -> None:
    bars = figures.accuracy_by_group({"both": {"left": 0.987}}, groups="evidence")
    assert bars.axes[0].patches[0].get_gid() == f"{TIP}left, two directions: 98.7 %"
    lines = figures.accuracy_by_position({"backward": [1.0, 0.25]})
    tips = [collection.get_gid() for collection in lines.axes[0].collections]
    assert tips == [
        f"{TIP}position 1, one direction, right to left: 100.0 %",
        f"{TIP}position 2, one direction, right to left: 25.0 %",
    ]


def test_the_bound_is_drawn_where_it_is() -> None:
    bound = {"left": 1.0, "right": 0.5}
    figure = figures.accuracy_by_group(
        {"forward": {"left": 0.9, "right": 0.4}}, groups="evidence", bound=bound
    )
    heights = [line.get_ydata()[0] for line in figure.axes[0].lines]
    assert heights == [100.0, 50.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        READERS["forward"].name,
        figures.BOUND,
    ]


def test_matplotlib_is_left_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    figures.accuracy_by_position({"both": [1.0, 0.9]})
    assert dict(matplotlib.rcParams) == before


def test_readers_are_told_apart_without_colour() -> None:
    assert len({reader.marker for reader in READERS.values()}) == len(READERS)
    # relative luminance (WCAG 2.1) of one and two directions on white: 3:1 is asked of graphics
    for reader in READERS.values():
        red, green, blue = (int(reader.colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [
            v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)
        ]
        luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
        assert 1.05 / (luminance + 0.05) >= 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.accuracy_by_group({}, groups="g"), "nothing to draw"),
        (lambda: figures.learning_curves({"forwards": [1.0]}), "did you mean forward"),
        (
            lambda: figures.accuracy_by_group({"forward": {"a": 1}, "both": {"b": 1}}, groups="g"),
            "the same groups",
        ),
        (
            lambda: figures.accuracy_by_position({"forward": [1.0], "both": [1.0, 1.0]}),
            r"different numbers of positions: \[1, 2\]",
        ),
        (lambda: figures.accuracy_by_position({"both": [1.0]}, bound=[1.0, 1.0]), "positions"),
    ],
)
def test_bad_calls_are_refused(draw: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        draw()  # type: ignore[operator]
