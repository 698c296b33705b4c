"""Figures: the numbers that went in are the ones that are drawn, and nothing is left behind."""

from __future__ import annotations

import itertools
import re
import statistics
from importlib import resources

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from birnn.errors import DataError
from birnn.report import figures
from birnn.report.figures import READERS, alt_text
from birnn.report.figures.style import MINUS, PLUS, TOOLTIP, number

shares = st.floats(0, 1, allow_subnormal=False)


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
    assert bars.axes[0].patches[0].get_gid() == f"{TOOLTIP}left, two directions: 98.7 %"
    lines = figures.accuracy_by_position({"backward": [1.0, 0.25]})
    tips = [collection.get_gid() for collection in lines.axes[0].collections]
    assert tips == [
        f"{TOOLTIP}position 1, one direction, right to left: 100.0 %",
        f"{TOOLTIP}position 2, one direction, right to left: 25.0 %",
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


@given(runs=st.lists(st.lists(shares, min_size=1, max_size=6), min_size=2, max_size=5))
def test_several_runs_are_their_median_in_a_band(runs: list[list[float]]) -> None:
    (axes,) = figures.learning_curves({"half": runs}).axes
    longest = max(map(len, runs))
    at_each = [[100 * run[n] for run in runs if len(run) > n] for n in range(longest)]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [*map(statistics.median, at_each)])
    band = next(c for c in axes.collections if isinstance(c, PolyCollection))
    corners = {tuple(np.round(corner, 6)) for corner in band.get_paths()[0].vertices}
    for epoch, scores in enumerate(at_each, start=1):
        for end in (min(scores), max(scores)):
            assert (epoch, round(end, 6)) in corners
    assert axes.get_ylim()[0] <= min(map(min, at_each))


@given(
    score=st.lists(st.lists(shares, min_size=1, max_size=4), min_size=1, max_size=3),
    scale=st.floats(0.01, 100),
)
def test_losses_are_a_panel_under_the_metric_of_the_same_epochs(
    score: list[list[float]], scale: float
) -> None:
    losses = [[scale * 30 ** (share - 1) for share in run] for run in score]
    figure = figures.learning_curves(
        {"forward": score, "both": score}, {"forward": losses, "both": losses[::-1]}
    )
    above, below = figure.axes
    longest = max(map(len, losses))
    middle = [statistics.median([run[n] for run in losses if len(run) > n]) for n in range(longest)]
    for drawn in below.lines:
        np.testing.assert_allclose(drawn.get_ydata(), middle)
    assert below.get_ylabel() == "training loss"
    assert below.get_yscale() == "linear"  # none is more than 50 times another
    assert below.get_ylim()[0] == 0
    assert above.get_xlim() == below.get_xlim()
    alone = figures.training_losses({"forward": losses, "both": losses[::-1]})
    for one, other in zip(alone.axes[0].lines, below.lines, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())
    assert alt_text(figure).endswith(alt_text(alone))
    assert f"left to right: first {number(middle[0])}, last {number(middle[-1])}." in alt_text(
        figure
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        READERS["forward"].name,
        READERS["both"].name,
    ]


@pytest.mark.parametrize("epochs", [1, 2, 3, 50])
def test_epochs_are_whole_numbers_from_1_on(epochs: int) -> None:
    for figure in (
        figures.learning_curves({"both": [0.5] * epochs}, {"both": [0.5] * epochs}),
        figures.training_losses({"both": [0.5] * epochs}),
    ):
        axes = figure.axes[-1]
        low, high = axes.get_xlim()
        assert low < 1 <= epochs < high
        shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert shown
        assert min(shown) >= 1
        assert all(tick == round(tick) for tick in shown)


def test_losses_that_are_far_apart_have_a_logarithmic_scale() -> None:
    figure = figures.learning_curves({"both": [0.5, 1.0]}, {"both": [5.0, 0.05]})
    assert figure.axes[1].get_yscale() == "log"
    perfect = figures.learning_curves({"both": [0.5, 1.0]}, {"both": [5.0, 0.0]})
    assert perfect.axes[1].get_yscale() == "linear"  # which has no place for 0


def test_positions_may_have_names() -> None:
    names = ["1", "2-9", "10+"]
    (axes,) = figures.accuracy_by_position({"equal": [0.5, 0.6, 0.7]}, positions=names).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert (
        axes.collections[1].get_gid() == f"{TOOLTIP}position 2-9, {READERS['equal'].name}: 60.0 %"
    )


@given(scores=st.lists(shares, min_size=1, max_size=9))
def test_every_seed_is_a_point_and_the_median_a_line(scores: list[float]) -> None:
    figure = figures.scores_by_seed({"both": scores, "half": scores[::-1]})
    (axes,) = figure.axes
    points, medians = axes.lines[::2], axes.lines[1::2]
    for row, (drawn, key) in enumerate(zip(points, ("both", "half"), strict=True)):
        values = scores if key == "both" else scores[::-1]
        np.testing.assert_allclose(drawn.get_xdata(), 100 * np.array(values))
        assert set(np.round(drawn.get_ydata())) == {row}
        middle = 100 * statistics.median(values)
        np.testing.assert_allclose(medians[row].get_xdata(), [middle, middle])
        assert f"median {middle:.1f} %" in alt_text(figure)


@given(cost=st.floats(0.1, 1e9), ratio=st.floats(0.001, 1000))
def test_costs_are_bars_from_zero_or_points_where_they_are_too_far_apart(
    cost: float, ratio: float
) -> None:
    costs = {"forward": {"time, ms": cost}, "both": {"time, ms": cost * ratio}}
    figure = figures.cost_bars(costs)
    (axes,) = figure.axes
    far = max(ratio, 1 / ratio) > 50
    if far:
        drawn = [points.get_offsets()[0, 0] for points in axes.collections]
    else:
        drawn = [bar.get_width() for bar in axes.patches]
        assert {bar.get_x() for bar in axes.patches} == {0}
    assert drawn == [cost, cost * ratio]
    assert axes.get_xscale() == ("log" if far else "linear")
    for reader, numbers in costs.items():
        written = number(numbers["time, ms"])
        assert written in {text.get_text() for text in axes.texts}
        assert f"{READERS[reader].name[1:]}: time, ms {written}." in alt_text(figure)


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


# what is left of red, green and blue to who lacks one kind of cone, on linear light (Machado,
# Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009, severity 1)
SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colour: str, sight: str) -> np.ndarray:
    """A colour in Oklab (Ottosson, 2020), where equal distances look equally far."""
    share = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    light = np.clip(np.array(SIGHTS[sight]) @ light, 0, 1)
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(lab) @ np.cbrt(np.array(cones) @ light)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
def test_colours_are_told_apart_by_every_eye(sight: str, page: int) -> None:
    css = resources.files("birnn.report").joinpath("templates/page.css").read_text("utf-8")
    names = [*READERS, "plus", "minus"]
    of = {name: re.findall(rf"--{name}: (#\w{{6}})", css)[page] for name in names}
    if page == 0:
        drawn = {key: reader.colour for key, reader in READERS.items()}
        assert of == drawn | {"plus": PLUS, "minus": MINUS}
    pairs = [*itertools.combinations(READERS, 2), ("plus", "minus")]
    for one, other in pairs:
        distance = np.linalg.norm(seen(of[one], sight) - seen(of[other], sight))
        # 0.02 can just be told apart side by side
        assert distance > 0.05, (one, other)


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
        (lambda: figures.accuracy_by_position({"both": [1.0]}, positions="ab"), "positions"),
        (lambda: figures.learning_curves({"both": []}), "two directions has no epoch"),
        (lambda: figures.learning_curves({"both": [[], []]}), "two directions has no epoch"),
        (lambda: figures.learning_curves({"both": [1.0]}, {"half": [1.0]}), "losses are of half"),
        (lambda: figures.learning_curves({"both": [1.0]}, {"both": []}), "has no epoch"),
        (lambda: figures.scores_by_seed({"both": []}), "two directions has no score"),
        (lambda: figures.cost_bars({"both": {}}), "at least one quantity"),
        (
            lambda: figures.cost_bars({"both": {"a": 1}, "half": {"b": 1}}),
            "the same quantities",
        ),
    ],
)
def test_bad_calls_are_refused(draw: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        draw()  # type: ignore[operator]


def test_places_may_be_lengths() -> None:
    figure = figures.accuracy_by_position({"both": [0.5, 1.0]}, positions=["1-4", "5"], of="length")
    assert figure.axes[0].get_xlabel() == "length of the sequence, steps"
    assert "length 1-4 50.0 %, length 5 100.0 %" in figures.alt_text(figure)
