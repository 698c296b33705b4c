"""Figures of flow and of units: every tile, line and bar is the number it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from birnn.errors import DataError, ShapeError
from birnn.report import figures
from birnn.report.figures import HALVES, READERS, alt_text
from birnn.report.figures.heatmap import CELLS, extremes
from birnn.report.figures.style import MINUS, PLUS, TOOLTIP, number

norms = st.floats(0, 1e3, allow_subnormal=False).map(lambda norm: norm if norm > 1e-9 else 0.0)
signed = st.floats(-5, 5, allow_subnormal=False, width=32)


def tiles(axes: Axes) -> dict[tuple[int, int], Rectangle]:
    """The tiles of a matrix by row and column."""
    found = {}
    for patch in axes.patches:
        if (patch.get_gid() or "").startswith(TOOLTIP):
            assert isinstance(patch, Rectangle)
            x, y = patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2
            found[round(y), round(x)] = patch
    return found


@st.composite
def flows(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    steps = draw(st.integers(1, 6))
    forward, backward = (draw(arrays(float, (steps, steps), elements=norms)) for _ in range(2))
    return np.tril(forward), np.triu(backward), np.hypot(np.tril(forward), np.triu(backward))


@given(matrices=flows())
def test_flow_inks_every_cell_by_the_logarithm_of_its_norm(matrices: tuple[Any, ...]) -> None:
    steps = len(matrices[0])
    figure = figures.flow(*matrices, [f"w{step}" for step in range(steps)])
    *panels, _ = figure.axes
    most = max(matrix.max() for matrix in matrices) or 1.0
    for axes, matrix, key in zip(panels, matrices, ("forward", "backward", "both"), strict=True):
        drawn = tiles(axes)
        for t, s in np.ndindex(steps, steps):
            # three decades below the greatest: no ink
            share = max(0.0, 1 + np.log10(matrix[t, s] / most) / 3) if matrix[t, s] else 0.0
            if share == 0:
                assert (t, s) not in drawn
                continue
            assert drawn[t, s].get_alpha() == pytest.approx(min(share, 1.0))
            assert to_hex(drawn[t, s].get_facecolor()) == READERS[key].colour.lower()
            tip = drawn[t, s].get_gid()
            assert f"state at 'w{t}' ({t + 1}), input 'w{s}' ({s + 1}): " in tip
            assert float(tip.split(": ")[-1].replace(",", "")) == pytest.approx(
                matrix[t, s], rel=6e-3
            )
        assert axes.get_ylim() == (steps - 0.5, -0.5)  # the first state is at the top


def test_flow_says_what_moves_what_most() -> None:
    forward = np.array([[1.0, 0, 0], [0.1, 2, 0], [0.75, 0.2, 3]])
    backward = np.eye(3)
    words = alt_text(figures.flow(forward, backward, forward, ["a", "b", "c"]))
    assert "Forward half: moved by its own input with 2 on average" in words
    assert "the state at 'c' (3) by 'a' (1), 2 steps back, with 0.75" in words
    assert "Backward half: no state is moved by another step" in words


def test_flow_of_one_direction_is_one_matrix() -> None:
    figure = figures.flow(np.eye(4), None, np.eye(4), "abcd")
    panel, _ = figure.axes
    assert panel.get_title("left") == "forward half"
    assert "ackward" not in alt_text(figure)


@pytest.mark.parametrize(("steps", "written"), [(5, True), (25, True), (26, False)])
def test_words_stand_beside_the_rows_where_they_fit(steps: int, written: bool) -> None:
    words = [f"word{step}" for step in range(steps)]
    figure = figures.flow(np.eye(steps), np.eye(steps), np.eye(steps), words)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    if written:
        assert labels == words
    else:
        places = figure.axes[0].get_yticks()
        assert labels == [str(round(place) + 1) for place in places]
        assert 1 < len(labels) <= 8


def test_a_large_matrix_is_an_image_of_the_same_ink() -> None:
    steps = 60
    t, s = np.indices((steps, steps))
    forward = np.where(s <= t, 0.5 ** (t - s), 0.0)
    assert forward.size > CELLS
    figure = figures.flow(forward, forward.T, np.hypot(forward, forward.T), ["x"] * steps)
    (image,) = figure.axes[0].get_images()
    ink = np.asarray(image.get_array())[..., 3]
    most = np.hypot(forward, forward.T).max()
    with np.errstate(divide="ignore"):
        expected = np.clip(1 + np.log10(forward / most) / 3, 0, 1)
    np.testing.assert_allclose(ink, expected, atol=0.5 / 63 + 1e-9)


@given(
    values=arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=signed),
    most=st.integers(1, 9),
)
def test_a_block_is_drawn_by_its_value_farthest_from_zero(values: Any, most: int) -> None:
    drawn = extremes(values, most)
    assert max(drawn.shape) <= most
    rows, columns = (-(-size // most) for size in values.shape)
    for row, column in np.ndindex(*drawn.shape):
        block = values[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
        assert abs(drawn[row, column]) == np.abs(block).max()
        assert drawn[row, column] in block


@given(
    forward=st.lists(norms, min_size=1, max_size=8),
    backward=st.lists(norms, min_size=1, max_size=8),
)
def test_influence_runs_both_ways_from_the_state(
    forward: list[float], backward: list[float]
) -> None:
    context = {"forward": 2.0, "backward": 3.0}
    figure = figures.influence_by_distance(forward, backward, context)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    for key, values, side in (("forward", forward, -1), ("backward", backward, 1)):
        line = lines[figures.HALVES[key]]
        seen = [(side * n, value) for n, value in enumerate(values) if value > 0]
        assert list(zip(line.get_xdata(), line.get_ydata(), strict=True)) == seen
        assert to_hex(line.get_color()) == READERS[key].colour.lower()
    dashed = {tuple(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "--"}
    assert dashed == {(-2.0, -2.0), (3.0, 3.0)}
    assert "effective context 3 steps" in alt_text(figure)


def test_influence_ends_where_it_cannot_be_seen() -> None:
    fading = (0.5 ** np.arange(900)).tolist()
    (axes,) = figures.influence_by_distance(fading, fading[:4], {"backward": 7}).axes
    left, right = axes.get_xlim()
    last = next(n for n, norm in enumerate(fading) if norm <= 1e-5) - 1
    assert -1.1 * last - 1 < left < -last
    assert 7 < right < 9
    assert axes.get_ylim()[0] <= fading[last]


@given(
    states=st.integers(1, 5).flatmap(
        lambda steps: st.tuples(*(arrays(float, (steps, 3), elements=signed) for _ in range(2)))
    )
)
def test_activations_ink_units_by_value_and_colour_them_by_sign(states: tuple[Any, Any]) -> None:
    steps = len(states[0])
    figure = figures.activations(*states, ["w"] * steps)
    most = max(np.abs(state).max() for state in states) or 1.0
    for axes, state in zip(figure.axes, states, strict=False):
        drawn = tiles(axes)
        for step, unit in np.ndindex(steps, 3):
            value = state[step, unit]
            if value == 0:
                assert (unit, step) not in drawn
                continue
            tile = drawn[unit, step]
            assert tile.get_alpha() == pytest.approx(abs(value) / most)
            assert to_hex(tile.get_facecolor()) == (PLUS if value > 0 else MINUS).lower()


def test_correlations_are_drawn_and_counted_but_for_units_that_never_move() -> None:
    matrix = np.array([[0.5, -1.0, np.nan], [0.02, 0.98, -0.3]])
    assert set(tiles(figures.unit_correlation(matrix).axes[0])) == {
        (0, 0), (0, 1), (1, 0), (1, 1), (1, 2)
    }  # fmt: skip
    assert "forward unit 0 with backward unit 1, -1" in alt_text(figures.unit_correlation(matrix))
    histogram = figures.correlation_histogram(matrix)
    values = matrix[np.isfinite(matrix)]
    for at, bar in enumerate(histogram.axes[0].patches):
        low, high = -1 + at / 12, -1 + (at + 1) / 12
        inside = [v for v in values if low <= v < high or (v == high == 1)]
        assert bar.get_height() == len(inside)
        assert low < bar.get_x() < bar.get_x() + bar.get_width() < high
    assert sum(bar.get_height() for bar in histogram.axes[0].patches) == 5
    assert "5 pairs" in alt_text(histogram)
    with pytest.raises(DataError, match="no pair"):
        figures.correlation_histogram([[np.nan]])


def test_state_norms_go_through_the_numbers() -> None:
    figure = figures.state_norms([1.0, 3.0], [2.0, 0.5], ["a", "b"])
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [[1, 3], [2, 0.5]]
    assert alt_text(figure).endswith("Backward half: least 0.5 at 'b' (2), most 2 at 'a' (1).")


@given(rows=arrays(float, (4, 9), elements=st.floats(-9, 9, allow_subnormal=False)))
def test_output_rows_are_cells_and_each_half_has_its_frame(rows: Any) -> None:
    columns = [(0, 3, "forward"), (3, 7, "backward"), (7, 9, "both")]
    figure = figures.output_states(rows, "abcd", columns)
    axes = figure.axes[0]
    most = np.abs(rows).max() or 1
    drawn = {}
    for at, cell in tiles(axes).items():
        drawn[at] = cell.get_alpha() * (1 if to_hex(cell.get_facecolor()) == PLUS else -1)
        source = next(name for start, stop, name in columns if start <= at[1] < stop)
        assert f"column {at[1]}, {HALVES[source]}: {number(rows[at])}" in str(cell.get_gid())
    assert set(drawn) == {tuple(at) for at in np.argwhere(rows / most).tolist()}
    for at, share in drawn.items():
        assert share == pytest.approx(rows[at] / most)
    frames = [patch for patch in axes.patches if not patch.get_fill()]
    ends = [(f.get_x() + 0.5, f.get_x() + f.get_width() + 0.5, f.get_height()) for f in frames]
    assert ends == [(start, stop, 4) for start, stop, _ in columns]
    assert [to_hex(f.get_edgecolor()) for f in frames] == [
        READERS[source].colour.lower() for *_, source in columns
    ]
    assert [text.get_text() for text in axes.texts] == [HALVES[source] for *_, source in columns]
    facts = alt_text(figure).split(" half: ")[0]
    assert facts == "Output rows of 9 numbers for 4 words. 0 to 2 forward"


@given(
    norms=arrays(float, (3, 5), elements=st.floats(0.01, 9)),
    position=st.integers(0, 4),
)
def test_what_a_position_knows_are_bars_and_what_it_has_not_read_is_shaded(
    norms: Any, position: int
) -> None:
    read = {"forward": range(position + 1), "backward": range(position, 5), "combined": range(5)}
    for row, known in zip(norms, read.values(), strict=True):
        row[[step for step in range(5) if step not in known]] = 0
    given = dict(zip(read, norms, strict=True))
    figure = figures.influence_on_position(given, "abcde", position, read)
    for axes, key, known, row in zip(
        figure.axes, ("forward", "backward", "both"), read.values(), norms, strict=True
    ):
        [bars] = axes.containers
        np.testing.assert_allclose([bar.get_height() for bar in bars], row)
        assert {to_hex(bar.get_facecolor()) for bar in bars} == {READERS[key].colour.lower()}
        assert axes.get_title("left") == HALVES[key]
        shaded = [p for p in axes.patches if p not in bars]
        own, *unread = [(p.get_x(), p.get_x() + p.get_width()) for p in shaded]
        assert own == (position - 0.5, position + 0.5)
        steps = {s for s in range(5) for low, high in unread if low <= s <= high}
        assert steps == set(range(5)) - set(known)
        assert f"by {len(known)} of 5 inputs at all." in alt_text(figure)


def test_around_a_position_of_a_long_text_sixty_inputs_are_drawn() -> None:
    norms = np.arange(200.0)
    given = {"forward": norms, "combined": norms}
    steps = [str(n + 1) for n in range(200)]
    figure = figures.influence_on_position(given, steps, 150, {"forward": range(151)})
    [axes] = figure.axes
    [bars] = axes.containers
    assert [bar.get_height() for bar in bars] == norms[120:180].tolist()
    assert bars[0].get_gid().endswith("forward half, step 121: 120")
    spans = [(p.get_x(), p.get_x() + p.get_width()) for p in axes.patches if p not in bars]
    assert spans == [(29.5, 30.5), (30.5, 59.5)]
    given = {"forward": [np.nan, 1.0], "combined": [0, 0]}
    left_out = figures.influence_on_position(given, "ab", 1)
    assert [bar.get_height() for bar in left_out.axes[0].containers[0]] == [0, 1]
    nothing = figures.influence_on_position({"forward": [0.0], "combined": [0.0]}, "a", 0)
    assert alt_text(nothing).endswith("Forward half: moved by no input.")


@given(
    shares=arrays(float, (2, 3, 2, 5), elements=st.floats(0, 0.5, allow_subnormal=False)),
)
def test_gates_stand_where_their_shares_are(shares: Any) -> None:
    halves = {
        half: {gate: tuple(shares[h, g]) for g, gate in enumerate("ifo")}
        for h, half in enumerate(("forward", "backward"))
    }
    figure = figures.gate_saturation(halves)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "input gate", "forget gate", "output gate"
    ]  # fmt: skip
    for g, axes in enumerate(figure.axes):
        for h, (half, points) in enumerate(zip(halves, axes.lines[1:], strict=True)):
            np.testing.assert_allclose(points.get_xydata(), 100 * shares[h, g].T)
            assert to_hex(points.get_color()) == READERS[half].colour.lower()


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: figures.flow([[1]], None, [[1]], []), DataError, "no step"),
        (lambda: figures.flow([[1]], None, [[1]], "ab"), ShapeError, r"\(1, 1\), for 2 tokens"),
        (lambda: figures.influence_by_distance([1], None, {"backward": 1}), DataError, "backward"),
        (lambda: figures.influence_by_distance([], None), DataError, "no distance"),
        (lambda: figures.state_norms([1.0], None, "ab"), DataError, "forward_T has 1"),
        (lambda: figures.state_norms([], None, ""), DataError, "there is no word"),
        (lambda: figures.activations([[1.0]], None, "ab"), ShapeError, "for 2 words"),
        (lambda: figures.unit_correlation([1.0]), ShapeError, r"expected \(units, units\)"),
        (lambda: figures.output_states([[1, 1]], "ab", []), ShapeError, "for 2 words"),
        (
            lambda: figures.output_states([[1, 1, 1]], "a", [(0, 2, "forward")]),
            DataError,
            "tile 0 to 3",
        ),
        (
            lambda: figures.output_states([[1, 1, 1]], "a", [(0, 3, "backwards")]),
            DataError,
            "mean backward",
        ),
        (
            lambda: figures.influence_on_position({"forward": [1], "combined": [1]}, "a", 1),
            DataError,
            "position is 1, there are inputs 0 to 0",
        ),
        (
            lambda: figures.influence_on_position({"forward": [1], "combined": [1]}, "ab", 0),
            DataError,
            "forward has 1",
        ),
        (
            lambda: figures.influence_on_position({"forward": [1], "both": [1]}, "a", 0),
            DataError,
            "norms are of forward, both. Give forward, backward, combined.",
        ),
        (lambda: figures.gate_saturation({}), DataError, "at least one gate"),
        (lambda: figures.gate_saturation({"up": {}}), DataError, "'up' is no half"),
        (
            lambda: figures.gate_saturation({"forward": {"i": ([0], [0])}, "backward": {"f": 1}}),
            DataError,
            "the same gates",
        ),
    ],
)  # fmt: skip
def test_bad_calls_are_refused(draw: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw()
