"""Figures of hidden units: norms, activations, correlations, output rows, gates."""

# T steps of a sequence, H hidden units of a half

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import DataError, ShapeError, nearest, require
from birnn.report.figures.bars import bars
from birnn.report.figures.heatmap import colour_scale, heatmap
from birnn.report.figures.lines import line
from birnn.report.figures.style import (
    GRID,
    HALVES,
    MINUS,
    PLUS,
    READERS,
    FloatArray,
    blank,
    canvas,
    capital,
    halves_of,
    in_house_style,
    legend,
    number,
    same_length,
    whole_ticks,
    with_alt_text,
)
from birnn.report.figures.tokens import PITCH, height_below, named, token_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 24  # of the histogram of correlations
GATES = {"i": "input gate", "f": "forget gate", "o": "output gate", "r": "reset gate",
         "z": "update gate"}  # fmt: skip


@in_house_style
def state_norms(
    forward_T: ArrayLike, backward_T: ArrayLike | None, tokens: Sequence[str], *, unit: str = "word"
) -> Figure:
    """The norm of each half's state after each word.

    Args:
        forward_T: Norms of the forward states, (steps,).
        backward_T: Norms of the backward states, or None.
        tokens: The words.
        unit: What they are: word, symbol or step.

    Raises:
        DataError: Not one number for each word, or no word.

    Example:
        >>> figure = state_norms([0.5, 1.0], [2.0, 0.25], ["the", "bank"])
        >>> [line.get_ydata().tolist() for line in figure.axes[0].lines]
        [[0.5, 1.0], [2.0, 0.25]]
    """
    norms = halves_of(forward_T, backward_T)
    steps = same_length("word", tokens=tokens, **{f"{key}_T": norms[key] for key in norms})
    figure, axes = canvas(2.9 + height_below(tokens))
    wide = 2 if steps <= 100 else 0.8
    facts = []
    for key, norm_T in norms.items():

        def text(at: int, name: str = HALVES[key], norm_T: FloatArray = norm_T) -> str:
            return f"{named(tokens, at)}, {name}: {number(norm_T[at])}"

        line(axes, range(steps), norm_T, READERS[key].colour, name=HALVES[key],
             marker=READERS[key].marker, tooltips=text, linewidth=wide)  # fmt: skip
        high, low = int(norm_T.argmax()), int(norm_T.argmin())
        facts.append(
            f"{capital(HALVES[key])}: least {number(norm_T[low])} at {named(tokens, low)}, most "
            f"{number(norm_T[high])} at {named(tokens, high)}."
        )
    written = token_ticks(axes.xaxis, tokens)
    axes.set_xlabel(f"state after the {unit}" if written else "state after step")
    axes.set_ylabel("norm of the state")
    axes.set_ylim(0, 1.08 * max(float(norm_T.max()) for norm_T in norms.values()) or 1)
    legend(figure)
    return with_alt_text(figure, f"Norm of the state after each {unit}.", *facts)


@in_house_style
def activations(
    forward_TH: ArrayLike,
    backward_TH: ArrayLike | None,
    tokens: Sequence[str],
    *,
    unit: str = "word",
) -> Figure:
    """The value of every unit after every word: a row for each unit, one picture for each half.

    Args:
        forward_TH: Forward states, (steps, units).
        backward_TH: Backward states, or None.
        tokens: The words.
        unit: What they are: word, symbol or step.

    Raises:
        ShapeError: States that are not one row for each word.
        DataError: No word.

    Example:
        >>> figure = activations([[0.5, -1.0], [0.0, 0.5]], None, ["the", "bank"])
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[1]
        "Forward half: from -1 (unit 1 at 'the' (1)) to 0.5 (unit 0 at 'the' (1))."
    """
    states = halves_of(forward_TH, backward_TH)
    steps = same_length("word", tokens=tokens)
    for key, state_TH in states.items():
        if state_TH.ndim != 2 or len(state_TH) != steps or state_TH.shape[1] == 0:
            raise ShapeError(f"{key}_TH is {state_TH.shape}, for {steps} words it is ({steps}, H)")
    most = max(float(np.abs(state_TH).max()) for state_TH in states.values()) or 1.0
    figure = blank(0.8 + 2.1 * len(states) + height_below(tokens))
    grid = figure.add_gridspec(len(states), 2, width_ratios=[1, 0.035])
    facts = []
    for row, (key, state_TH) in enumerate(states.items()):
        axes = figure.add_subplot(grid[row, 0])

        def text(unit: int, step: int, state_TH: FloatArray = state_TH) -> str:
            return f"unit {unit} at {named(tokens, step)}: {number(state_TH[step, unit])}"

        def extreme(at: np.intp, state_TH: FloatArray = state_TH) -> str:
            step, unit = divmod(int(at), state_TH.shape[1])
            return f"{number(state_TH[step, unit])} (unit {unit} at {named(tokens, step)})"

        heatmap(axes, state_TH.T / most, PLUS, text)
        axes.set_title(HALVES[key], color=READERS[key].colour, fontweight="bold")
        axes.set_ylabel("unit")
        whole_ticks(axes.yaxis, 6)
        if row == len(states) - 1:
            axes.set_xlabel(unit if token_ticks(axes.xaxis, tokens) else "step")
        else:
            axes.set_xticks([])
        low, high = extreme(state_TH.argmin()), extreme(state_TH.argmax())
        facts.append(f"{capital(HALVES[key])}: from {low} to {high}.")
    labels = {-1.0: number(-most), 0.0: "0", 1.0: number(most)}
    colour_scale(figure.add_subplot(grid[:, 1]), labels, "value of the unit", colour=PLUS)
    units = states["forward"].shape[1]
    return with_alt_text(figure, f"Values of {units} units a half after {steps} {unit}s.", *facts)


@in_house_style
def unit_correlation(matrix_HH: ArrayLike) -> Figure:
    """Correlation of every forward unit with every backward unit.

    Args:
        matrix_HH: Correlations from -1 to 1: a row for each forward unit, a column for each
            backward unit; NaN for a unit that never moves.

    Raises:
        ShapeError: Not a matrix.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> alt_text(unit_correlation([[0.5, -1.0], [0.0, 0.1]])).split(". ")[1]
        'The strongest: forward unit 0 with backward unit 1, -1.'
    """
    matrix_HH = _correlations(matrix_HH)
    figure = blank(4.3)
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 0.045])
    axes = figure.add_subplot(grid[0])
    heatmap(
        axes, matrix_HH, PLUS,
        lambda row, column: f"forward unit {row}, backward unit {column}: "
        f"{number(matrix_HH[row, column])}",
    )  # fmt: skip
    axes.set_ylabel("forward unit", color=READERS["forward"].colour)
    axes.set_xlabel("backward unit", color=READERS["backward"].colour)
    whole_ticks(axes.xaxis)
    whole_ticks(axes.yaxis)
    labels = {share: f"{share:g}" for share in (-1, -0.5, 0, 0.5, 1)}
    colour_scale(figure.add_subplot(grid[1]), labels, "correlation", colour=PLUS)
    strong = np.unravel_index(np.argmax(np.abs(np.nan_to_num(matrix_HH))), matrix_HH.shape)
    return with_alt_text(
        figure,
        f"Correlation of {matrix_HH.shape[0]} forward with {matrix_HH.shape[1]} backward units.",
        f"The strongest: forward unit {strong[0]} with backward unit {strong[1]}, "
        f"{number(matrix_HH[strong])}.",
    )


@in_house_style
def correlation_histogram(matrix_HH: ArrayLike) -> Figure:
    """How many pairs of a forward and a backward unit are how strongly correlated.

    Args:
        matrix_HH: Correlations from -1 to 1; NaN for a unit that never moves, not counted.

    Raises:
        ShapeError: Not a matrix.
        DataError: No correlation is a number.

    Example:
        >>> figure = correlation_histogram([[0.5, -0.5], [0.0, 0.01]])
        >>> int(sum(bar.get_height() for bar in figure.axes[0].patches))
        4
    """
    matrix_HH = _correlations(matrix_HH)
    values = matrix_HH[np.isfinite(matrix_HH)]
    if values.size == 0:
        raise DataError("nothing to draw: no pair of units has a correlation")
    counts, edges = np.histogram(np.clip(values, -1, 1), bins=BINS, range=(-1, 1))
    figure, axes = canvas(2.6)
    bars(
        axes, {"": counts}, [[PLUS if low >= 0 else MINUS for low in edges[:-1].round(9)]],
        lambda _, at: f"correlation {edges[at]:.2f} to {edges[at + 1]:.2f}: "
        f"{number(counts[at])} pairs",
        upright=True, pitch=2 / BINS, start=-1 + 1 / BINS, share=1,
    )  # fmt: skip
    axes.set_xlim(-1.02, 1.02)
    axes.set_xlabel("correlation of a forward with a backward unit")
    axes.set_ylabel("pairs of units")
    weak = float(np.mean(np.abs(values) < 0.5))
    return with_alt_text(
        figure,
        f"Correlations of {number(values.size)} pairs of units: median {np.median(values):.2f}, "
        f"from {values.min():.2f} to {values.max():.2f}, {100 * weak:.0f} % of them weaker than "
        "0.5 either way.",
    )


@in_house_style
def output_states(
    output_TW: ArrayLike,
    tokens: Sequence[str],
    columns: Sequence[tuple[int, int, str]],
    *,
    unit: str = "word",
) -> Figure:
    """The output row of every word, and which half its numbers come from.

    Args:
        output_TW: Output rows, (steps, width).
        tokens: The words, a row each.
        columns: (start, stop, source), source ``forward``, ``backward`` or ``both``: framed, and
            named above. They tile the width.
        unit: What the tokens are: word, symbol or step.

    Raises:
        ShapeError: Not a row for each word.
        DataError: No word, a source that is not known, or columns that do not tile the width.

    Example:
        >>> columns = [(0, 1, "forward"), (1, 2, "backward")]
        >>> figure = output_states([[0.5, -1.0], [0.0, 0.25]], ["the", "bank"], columns)
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[1]
        "0 to 0 forward half: from 0 (column 0 at 'bank' (2)) to 0.5 (column 0 at 'the' (1))"
    """
    rows_TW = np.asarray(output_TW, dtype=float)
    steps = same_length("word", tokens=tokens)
    if rows_TW.ndim != 2 or len(rows_TW) != steps:
        raise ShapeError(f"output_TW is {rows_TW.shape}, for {steps} words it is ({steps}, W)")
    width = rows_TW.shape[1]
    starts = [start for start, _, _ in columns]
    ends = [0, *(stop for _, stop, _ in columns)]
    if ends != [*starts, width] or any(start >= stop for start, stop, _ in columns):
        raise DataError(f"columns do not tile 0 to {width}: {list(columns)}")
    for _, _, source in columns:
        if source not in HALVES:
            raise DataError(f"{source!r} is no half: {nearest(source, HALVES)}")
    most = float(np.abs(rows_TW).max()) or 1.0
    tall = min(max(PITCH * steps, 1.6), 3.8)
    figure = blank(0.95 + tall)
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 0.035])
    axes = figure.add_subplot(grid[0])

    def text(step: int, column: int) -> str:
        source = next(source for start, stop, source in columns if start <= column < stop)
        return (
            f"{named(tokens, step)}, column {column}, {HALVES[source]}: "
            f"{number(rows_TW[step, column])}"
        )

    heatmap(axes, rows_TW / most, PLUS, text)
    facts = [
        _framed(axes, rows_TW[:, start:stop], start, source, tokens)
        for start, stop, source in columns
    ]
    axes.set_xticks([edge - 0.5 for edge in ends], [f"{edge:,}" for edge in ends])
    written = token_ticks(axes.yaxis, tokens, tall, upright=True)
    axes.set_ylabel("" if written else unit if unit == "step" else f"{unit}, by its number")
    axes.set_xlabel("place in the output row")
    labels = {-1.0: number(-most), 0.0: "0", 1.0: number(most)}
    colour_scale(figure.add_subplot(grid[1]), labels, "value", colour=PLUS)
    start = f"Output rows of {width} numbers for {steps} {unit}{'' if steps == 1 else 's'}."
    return with_alt_text(figure, start, *facts)


def _framed(axes: Axes, rows_TC: FloatArray, first: int, source: str, tokens: Sequence[str]) -> str:
    """Frame the columns of a source and name them above; the same in words."""
    rectangle = require("matplotlib.patches", extra="plots").Rectangle
    colour, (steps, count) = READERS[source].colour, rows_TC.shape
    frame = rectangle(
        (first - 0.5, -0.5), count, steps, fill=False, edgecolor=colour, linewidth=1.8,
        clip_on=False, zorder=3,
    )  # fmt: skip
    axes.add_patch(frame)
    axes.annotate(
        HALVES[source], (first + (count - 1) / 2, -0.5), (0, 4), textcoords="offset points",
        ha="center", va="bottom", color=colour, fontweight="bold", annotation_clip=False,
    )  # fmt: skip

    def extreme(at: np.intp) -> str:
        step, column = divmod(int(at), count)
        return f"{number(rows_TC[step, column])} (column {first + column} at {named(tokens, step)})"

    low, high = extreme(rows_TC.argmin()), extreme(rows_TC.argmax())
    return f"{first} to {first + count - 1} {HALVES[source]}: from {low} to {high}."


@in_house_style
def gate_saturation(shares: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]]) -> Figure:
    """For each unit, how often its gates stand open and how often shut; one panel a gate.

    A unit in the upper left keeps the gate open, one at the lower right keeps it shut, one at the
    origin uses the range between.

    Args:
        shares: ``forward`` and perhaps ``backward``, then gate (``i``, ``f``, ``o``, ``r``,
            ``z``) to (share of steps shut, share of steps open), each (units,).

    Raises:
        DataError: No half, no gate, or halves with different gates.

    Source:
        Karpathy, Johnson and Fei-Fei, "Visualizing and Understanding Recurrent Networks", 2015,
        figure 3.

    Example:
        >>> figure = gate_saturation({"forward": {"f": ([0.0, 0.5], [1.0, 0.25])}})
        >>> figure.axes[0].lines[1].get_xydata().tolist()
        [[0.0, 100.0], [50.0, 25.0]]
    """
    for key in shares:
        if key not in ("forward", "backward"):
            raise DataError(f"{key!r} is no half: known: backward, forward")
    gates = [list(half) for half in shares.values()]
    if not gates or not gates[0]:
        raise DataError("nothing to draw: give at least one gate of one half")
    names = gates[0]
    if any(other != names for other in gates):
        raise DataError(f"both halves need the same gates in the same order: {gates}")
    columns = len(names) if len(names) <= 3 else 2
    high = -(-len(names) // columns)
    figure = blank(1.15 + (5.0 / columns - 0.3) * high)
    panels = figure.subplots(high, columns, squeeze=False, sharex=True, sharey=True).ravel()
    facts = []
    for panel, gate in zip(panels, names, strict=False):
        line(panel, [0, 100], [100, 0], GRID, linewidth=1)
        name = GATES.get(gate, gate)
        panel.set_title(name)
        for key, half in shares.items():
            shut_H, open_H = (100 * np.asarray(share, dtype=float) for share in half[gate])
            same_length("unit", shut=shut_H, open=open_H)

            def text(
                unit: int, of: str = HALVES[key], x: FloatArray = shut_H, y: FloatArray = open_H
            ) -> str:
                return f"{of}, unit {unit}: shut {x[unit]:.0f} %, open {y[unit]:.0f} %"

            line(panel, shut_H, open_H, READERS[key].colour, name=HALVES[key], joined=False,
                 marker=READERS[key].marker, markersize=3.7, alpha=0.55, markeredgewidth=0,
                 tooltips=text if len(shut_H) <= 64 else None)  # fmt: skip
            facts.append(
                f"{capital(name)}, {HALVES[key]}: shut {shut_H.mean():.0f} %, open "
                f"{open_H.mean():.0f} % of steps on average."
            )
        panel.set_aspect("equal")
        panel.grid(visible=True, axis="both")
        panel.set_xlim(-4, 104)
        panel.set_ylim(-4, 104)
        panel.set_xticks((0, 50, 100))
        panel.set_yticks((0, 50, 100))
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    figure.supxlabel("gate shut, % of steps", fontsize=10)
    figure.supylabel("gate open, % of steps", fontsize=10)
    legend(figure)
    return with_alt_text(figure, "How often each unit's gates are shut and open.", *facts)


def _correlations(matrix: ArrayLike) -> FloatArray:
    matrix_HH = np.asarray(matrix, dtype=float)
    if matrix_HH.ndim != 2 or matrix_HH.size == 0:
        raise ShapeError(f"correlations are {matrix_HH.shape}, expected (units, units)")
    return matrix_HH
