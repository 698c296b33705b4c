"""Figures of hidden units: norms, activations, correlations, layout, gates."""

# T steps of a sequence, H hidden units of a half

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from birnn.errors import DataError, ShapeError, nearest, require
from birnn.report.figures.heatmap import below, name_tokens, place, scale, tiles
from birnn.report.figures.style import (
    GRID,
    HALVES,
    INK,
    MINUS,
    PLUS,
    READERS,
    blank,
    canvas,
    capital,
    in_house_style,
    number,
    same_length,
    target,
    tip,
    told,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]
Saturation = tuple[ArrayLike, ArrayLike]

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
    norms = _halves(forward_T, backward_T)
    steps = same_length("word", tokens=tokens, **{f"{k}_T": v.tolist() for k, v in norms.items()})
    figure, axes = canvas(2.9 + below(tokens))
    facts = []
    for key, norm_T in norms.items():
        reader = READERS[key]
        axes.plot(
            range(steps), norm_T, marker=reader.marker if steps <= 40 else "", color=reader.colour,
            label=HALVES[key], linewidth=2 if steps <= 100 else 0.8,
        )  # fmt: skip
        if steps <= 200:
            for index, norm in enumerate(norm_T):
                text = f"{place(tokens, index)}, {HALVES[key]}: {number(norm)}"
                target(axes, index, float(norm), text)
        high, low = int(norm_T.argmax()), int(norm_T.argmin())
        facts.append(
            f"{capital(HALVES[key])}: least {number(norm_T[low])} at {place(tokens, low)}, most "
            f"{number(norm_T[high])} at {place(tokens, high)}."
        )
    written = name_tokens(axes.xaxis, tokens)
    axes.set_xlabel(f"state after the {unit}" if written else "state after step")
    axes.set_ylabel("norm of the state")
    axes.set_ylim(0, 1.08 * max(float(norm_T.max()) for norm_T in norms.values()) or 1)
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK)
    return told(figure, f"Norm of the state after each {unit}.", *facts)


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
    states = _halves(forward_TH, backward_TH)
    steps = same_length("word", tokens=tokens)
    for key, state_TH in states.items():
        if state_TH.ndim != 2 or len(state_TH) != steps or state_TH.shape[1] == 0:
            raise ShapeError(f"{key}_TH is {state_TH.shape}, for {steps} words it is ({steps}, H)")
    most = max(float(np.abs(state_TH).max()) for state_TH in states.values()) or 1.0
    figure = blank(0.8 + 2.1 * len(states) + below(tokens))
    grid = figure.add_gridspec(len(states), 2, width_ratios=[1, 0.035])
    facts = []
    for row, (key, state_TH) in enumerate(states.items()):
        axes = figure.add_subplot(grid[row, 0])

        def tell(unit: int, step: int, state_TH: FloatArray = state_TH) -> str:
            return f"unit {unit} at {place(tokens, step)}: {number(state_TH[step, unit])}"

        tiles(axes, state_TH.T / most, PLUS, tell)
        axes.set_title(HALVES[key], color=READERS[key].colour, fontweight="bold")
        axes.set_ylabel("unit")
        axes.yaxis.set_major_locator(
            require("matplotlib.ticker", extra="plots").MaxNLocator(nbins=6, integer=True)
        )
        if row == len(states) - 1:
            written = name_tokens(axes.xaxis, tokens)
            axes.set_xlabel(unit if written else "step")
        else:
            axes.set_xticks([])
        high, low = ((pick(state_TH) // state_TH.shape[1], pick(state_TH) % state_TH.shape[1])
                     for pick in (np.argmax, np.argmin))  # fmt: skip
        facts.append(
            f"{capital(HALVES[key])}: from {number(state_TH[low])} (unit {low[1]} at "
            f"{place(tokens, int(low[0]))}) to {number(state_TH[high])} (unit {high[1]} at "
            f"{place(tokens, int(high[0]))})."
        )
    labels = [number(-most), "0", number(most)]
    side = figure.add_subplot(grid[:, 1])
    scale(side, (-1, 0, 1), labels, "value of the unit", colour=PLUS, signed=True)
    units = states["forward"].shape[1]
    return told(figure, f"Values of {units} units a half after {steps} {unit}s.", *facts)


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

    def tell(row: int, column: int) -> str:
        value = number(matrix_HH[row, column])
        return f"forward unit {row}, backward unit {column}: {value}"

    tiles(axes, matrix_HH, PLUS, tell)
    axes.set_ylabel("forward unit", color=READERS["forward"].colour)
    axes.set_xlabel("backward unit", color=READERS["backward"].colour)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(
            require("matplotlib.ticker", extra="plots").MaxNLocator(nbins=8, integer=True)
        )
    scale(
        figure.add_subplot(grid[1]), (-1, -0.5, 0, 0.5, 1), ("-1", "-0.5", "0", "0.5", "1"),
        "correlation", colour=PLUS, signed=True,
    )  # fmt: skip
    strong = np.unravel_index(np.argmax(np.abs(np.nan_to_num(matrix_HH))), matrix_HH.shape)
    return told(
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
    for count, (low, high) in zip(counts, itertools.pairwise(edges), strict=True):
        (bar,) = axes.bar(
            (low + high) / 2, count, 0.92 * (high - low), color=PLUS if low + high > 0 else MINUS
        )
        tip(bar, f"correlation {low:.2f} to {high:.2f}: {number(count)} pairs")
    axes.set_xlim(-1.02, 1.02)
    axes.set_xlabel("correlation of a forward with a backward unit")
    axes.set_ylabel("pairs of units")
    weak = float(np.mean(np.abs(values) < 0.5))
    return told(
        figure,
        f"Correlations of {number(values.size)} pairs of units: median {np.median(values):.2f}, "
        f"from {values.min():.2f} to {values.max():.2f}, {100 * weak:.0f} % of them weaker than "
        "0.5 either way.",
    )


@in_house_style
def output_layout(segments: Sequence[tuple[int, int, str]], width: int) -> Figure:
    """Which half the numbers of an output row come from, as a strip.

    Args:
        segments: (start, stop, source), source ``forward``, ``backward`` or ``both``.
        width: Width of an output row.

    Raises:
        DataError: A source that is not known, or segments that do not tile 0 to ``width``.

    Example:
        >>> figure = output_layout([(0, 8, "forward"), (8, 16, "backward")], 16)
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure)
        'An output row of 16 numbers: 0 to 7 forward half, 8 to 15 backward half.'
    """
    ends = [0, *(stop for _, stop, _ in segments)]
    starts = [*(start for start, _, _ in segments), width]
    if ends != starts or any(start >= stop for start, stop, _ in segments):
        raise DataError(f"segments do not tile 0 to {width}: {list(segments)}")
    figure, axes = canvas(1.35)
    facts = []
    for start, stop, source in segments:
        if source not in HALVES:
            raise DataError(f"{source!r} is no half: {nearest(source, HALVES)}")
        (bar,) = axes.barh(
            0, stop - start, 0.8, left=start, color=READERS[source].colour, alpha=0.3,
        )  # fmt: skip
        axes.barh(-0.5, stop - start, 0.16, left=start, color=READERS[source].colour)
        said = f"{start} to {stop - 1} {HALVES[source]}"
        facts.append(said)
        tip(bar, said)
        short = (stop - start) / width < 0.3
        name = source if short else f"{HALVES[source]}\n{start} to {stop - 1}"
        axes.text((start + stop) / 2, -0.02, name, ha="center", va="center", fontsize=9)
    axes.set_xlim(0, width)
    axes.set_ylim(0.5, -0.62)
    axes.set_yticks([])
    inner = [start for start, _, _ in segments]
    axes.set_xticks([*inner, width])
    axes.grid(visible=False)
    axes.set_xlabel("place in the output row")
    return told(figure, f"An output row of {width} numbers: {', '.join(facts)}.")


@in_house_style
def gate_saturation(saturation: Mapping[str, Mapping[str, Saturation]]) -> Figure:
    """For each unit, how often its gates stand open and how often shut; one panel a gate.

    A unit in the upper left keeps the gate open, one at the lower right keeps it shut, one at the
    origin uses the range between.

    Args:
        saturation: ``forward`` and perhaps ``backward``, then gate (``i``, ``f``, ``o``, ``r``,
            ``z``) to (share of steps shut, share of steps open), each (units,).

    Raises:
        DataError: No half, no gate, or halves with different gates.

    Source:
        Karpathy, Johnson and Fei-Fei, "Visualizing and Understanding Recurrent Networks", 2015,
        figure 3.

    Example:
        >>> figure = gate_saturation({"forward": {"f": ([0.0, 0.5], [1.0, 0.25])}})
        >>> figure.axes[0].collections[0].get_offsets().tolist()
        [[0.0, 100.0], [50.0, 25.0]]
    """
    for key in saturation:
        if key not in ("forward", "backward"):
            raise DataError(f"{key!r} is no half: known: backward, forward")
    gates = [list(half) for half in saturation.values()]
    if not gates or not gates[0]:
        raise DataError("nothing to draw: give at least one gate of one half")
    if any(names != gates[0] for names in gates):
        raise DataError(f"both halves need the same gates in the same order: {gates}")
    names = gates[0]
    columns = len(names) if len(names) <= 3 else 2
    rows = -(-len(names) // columns)
    figure = blank(1.15 + (5.0 / columns - 0.3) * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    facts = []
    for panel, gate in zip(panels, names, strict=False):
        panel.plot([0, 100], [100, 0], color=GRID, linewidth=1)
        name = GATES.get(gate, gate)
        panel.set_title(name)
        for key, half in saturation.items():
            left_H, right_H = (100 * np.asarray(share, dtype=float) for share in half[gate])
            same_length("unit", shut=left_H.tolist(), open=right_H.tolist())
            reader = READERS[key]
            label = HALVES[key] if gate == names[0] else None
            panel.scatter(
                left_H, right_H, s=14, marker=reader.marker, color=reader.colour, alpha=0.55,
                linewidth=0, label=label,
            )  # fmt: skip
            if len(left_H) <= 64:
                for unit, (shut, opened) in enumerate(zip(left_H, right_H, strict=True)):
                    text = f"{HALVES[key]}, unit {unit}: shut {shut:.0f} %, open {opened:.0f} %"
                    target(panel, shut, opened, text)
            facts.append(
                f"{capital(name)}, {HALVES[key]}: shut {left_H.mean():.0f} %, open "
                f"{right_H.mean():.0f} % of steps on average."
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
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK)
    return told(figure, "How often each unit's gates are shut and open.", *facts)


def _halves(forward: ArrayLike, backward: ArrayLike | None) -> dict[str, FloatArray]:
    halves = {"forward": np.asarray(forward, dtype=float)}
    if backward is not None:
        halves["backward"] = np.asarray(backward, dtype=float)
    return halves


def _correlations(matrix: ArrayLike) -> FloatArray:
    matrix_HH = np.asarray(matrix, dtype=float)
    if matrix_HH.ndim != 2 or matrix_HH.size == 0:
        raise ShapeError(f"correlations are {matrix_HH.shape}, expected (units, units)")
    return matrix_HH
