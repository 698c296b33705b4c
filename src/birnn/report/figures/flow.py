"""Information flow: which inputs a state depends on, and how far back or ahead."""

# T steps of a sequence

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import DataError, ShapeError, require
from birnn.report.figures.bars import bars
from birnn.report.figures.heatmap import colour_scale, heatmap
from birnn.report.figures.lines import line
from birnn.report.figures.style import (
    GRID,
    HALVES,
    INK,
    PAPER,
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
from birnn.report.figures.tokens import (
    MOST,
    PITCH,
    around,
    height_below,
    named,
    token_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"forward": "forward", "backward": "backward", "combined": "both"}  # how they are drawn
ROOM = 0.16  # of the width that the words for what was not read need
DECADES = 3  # of a logarithmic scale of influence
SEEN = 1e-5  # of the greatest influence: what is less has no place in a figure


@in_house_style
def flow(
    forward_TT: ArrayLike, backward_TT: ArrayLike | None, combined_TT: ArrayLike,
    tokens: Sequence[str],
) -> Figure:  # fmt: skip
    """Norms of d h_t / d x_s as matrices side by side: row t is the state, column s the input.

    One logarithmic scale for all, from the greatest norm down to a thousandth of it. With one
    direction there is one matrix.

    Args:
        forward_TT: Norms for the forward states, (steps, steps).
        backward_TT: Norms for the backward states, or None where there are none.
        combined_TT: Norms for both states side by side.
        tokens: The inputs, written beside the rows where they fit.

    Raises:
        ShapeError: A matrix that is not (steps, steps).
        DataError: No step.

    Example:
        >>> figure = flow([[1, 0], [0.5, 1]], [[1, 0.1], [0, 1]], [[2, 0.1], [0.5, 2]], "ab")
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(": ")[-1]
        "the state at 'b' (2) by 'a' (1), 1 step back, with 0.5."
    """
    steps = len(tokens)
    if steps == 0:
        raise DataError("nothing to draw: there is no step")
    matrices = halves_of(forward_TT, backward_TT)
    if backward_TT is not None:
        matrices["both"] = np.asarray(combined_TT, dtype=float)
    for key, norms_TT in matrices.items():
        if norms_TT.shape != (steps, steps):
            raise ShapeError(
                f"{'combined' if key == 'both' else key}_TT is {norms_TT.shape}, for {steps} "
                f"tokens it is ({steps}, {steps})"
            )
    panels = len(matrices)
    most = max(float(np.nanmax(norms_TT)) for norms_TT in matrices.values()) or 1.0
    inches = 3.4 if panels == 1 else 1.2
    tall = max(inches, steps * PITCH) if steps <= MOST else inches
    figure = blank(tall + 1.05 + height_below(tokens, inches))
    grid = figure.add_gridspec(1, panels + 1, width_ratios=[1.0] * panels + [0.09])
    written = True
    for index, (key, norms_TT) in enumerate(matrices.items()):
        axes = figure.add_subplot(grid[index])
        with np.errstate(divide="ignore"):
            shares = np.clip(1 + np.log10(norms_TT / most) / DECADES, 0, 1)

        def text(t: int, s: int, norms_TT: FloatArray = norms_TT) -> str:
            return (
                f"state at {named(tokens, t)}, input {named(tokens, s)}: {number(norms_TT[t, s])}"
            )

        heatmap(axes, shares, READERS[key].colour, text)
        title = HALVES[key] if panels == 1 else key
        axes.set_title(title, color=READERS[key].colour, fontweight="bold")
        token_ticks(axes.xaxis, tokens, inches)
        if index == 0:
            written = token_ticks(axes.yaxis, tokens, tall, upright=True)
            axes.set_ylabel("state at" if written else "state at step")
        else:
            axes.set_yticks([])
        if index == panels // 2:
            axes.set_xlabel("moved by the input at" if written else "moved by the input at step")
    labels = {
        1 - power / DECADES: "≤ " * (power == DECADES) + number(most * 10.0**-power)
        for power in range(DECADES + 1)
    }
    colour_scale(figure.add_subplot(grid[panels]), labels, "norm of ∂h/∂x")
    return with_alt_text(
        figure,
        f"How much each input moves each state, {steps} steps.",
        *(_strongest(HALVES[key], norms_TT, tokens) for key, norms_TT in matrices.items()),
    )


@in_house_style
def influence_on_position(
    norms: Mapping[str, ArrayLike],
    tokens: Sequence[str],
    position: int,
    read: Mapping[str, range] | None = None,
) -> Figure:
    """What one position knows: how much each input moves either state there, and their merge.

    Panels one under the other on one scale, bars over the inputs; the inputs that a state has not
    read are shaded. Of a long text the 60 inputs around the position are drawn.

    Args:
        norms: ``forward``, ``backward`` and ``combined`` to the norms of the derivatives of the
            forward state, the backward state and what both are merged to, by each input,
            (steps,). Without ``backward`` there is one panel.
        tokens: The inputs.
        position: Number of the step whose states these are, from 0 on.
        read: The same names to the inputs that each has read; all of them by default.

    Raises:
        DataError: Other names, not one norm for each input, no input, or a position beyond them.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> norms = {"forward": [0.5, 1, 0], "backward": [0, 1, 2], "combined": [0.5, 1.4, 2]}
        >>> figure = influence_on_position(norms, "abc", 1)
        >>> alt_text(figure).split(". ")[1]
        "Forward half: most by 'b' (2) with 1, by 2 of 3 inputs at all"
    """
    if not {"forward", "combined"} <= set(norms) <= set(PANELS):
        raise DataError(f"norms are of {', '.join(norms)}. Give {', '.join(PANELS)}.")
    shown = list(PANELS) if "backward" in norms else ["forward"]
    every = {name: np.asarray(norms[name], dtype=float) for name in shown}
    steps = same_length("input", tokens=tokens, **every)
    if not 0 <= position < steps:
        raise DataError(f"position is {position}, there are inputs 0 to {steps - 1}")
    window = around(position, steps)
    drawn, at = tokens[window], position - window.start
    most = max(float(np.nanmax(norm_T[window], initial=0)) for norm_T in every.values()) or 1.0
    figure = blank(0.55 + max(1.6, 1.05 * len(every)) + height_below(drawn))
    panels = figure.subplots(len(every), sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (name, norm_T) in zip(panels, every.items(), strict=True):
        key, values = PANELS[name], np.nan_to_num(norm_T[window])

        def text(_: str, step: int, half: str = HALVES[key], values: FloatArray = values) -> str:
            return f"{half}, {named(drawn, step, window.start)}: {number(values[step])}"

        bars(axes, {"": values}, [READERS[key].colour], text, upright=True)
        axes.axvspan(at - 0.5, at + 0.5, color=INK, alpha=0.1, linewidth=0, zorder=0)
        known = (read or {}).get(name, range(steps))
        _unread(axes, -0.5, known.start - window.start - 0.5, len(values))
        _unread(axes, known.stop - window.start - 0.5, len(values) - 0.5, len(values))
        axes.set_title(HALVES[key], color=READERS[key].colour, fontweight="bold")
    panels[0].set_ylim(0, 1.05 * most)
    panels[0].set_xlim(-0.5, len(drawn) - 0.5)
    written = token_ticks(panels[-1].xaxis, drawn, first=window.start)
    panels[-1].set_xlabel("input" if written else "input, by its number")
    figure.supylabel("norm of ∂h/∂x", fontsize=10)
    return with_alt_text(
        figure,
        f"How much each of {steps} inputs moves the states at {named(tokens, position)}.",
        *(_of_inputs(HALVES[PANELS[name]], norm_T, tokens) for name, norm_T in every.items()),
    )


def _unread(axes: Axes, start: float, stop: float, inputs: int) -> None:
    """Shade inputs that a state has not read."""
    if stop <= start:
        return
    axes.axvspan(start, stop, color=GRID, alpha=0.45, linewidth=0, zorder=0)
    if stop - start >= ROOM * inputs:
        axes.annotate("not read", ((start + stop) / 2, 0.5), xycoords=("data", "axes fraction"),
                      ha="center", va="center", fontsize=9,
                      bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1})  # fmt: skip


def _of_inputs(half: str, norm_T: FloatArray, tokens: Sequence[str]) -> str:
    """Which input moves a state most, and how many do."""
    if not np.nansum(norm_T) > 0:
        return f"{capital(half)}: moved by no input."
    at, moved = int(np.nanargmax(norm_T)), int((np.nan_to_num(norm_T) > 0).sum())
    return (
        f"{capital(half)}: most by {named(tokens, at)} with {number(norm_T[at])}, by {moved} of "
        f"{len(norm_T)} inputs at all."
    )


@in_house_style
def influence_by_distance(
    forward: ArrayLike,
    backward: ArrayLike | None,
    context: Mapping[str, float] | None = None,
) -> Figure:
    """How much an input moves a state, against how many steps lie between them.

    The forward half's influence runs to the left of the state's own step, the backward half's to
    the right, as the inputs do.

    Args:
        forward: Mean norm of d h_t / d x_s at distance t - s = 0, 1, 2, ...
        backward: The same for the backward states at distance s - t, or None.
        context: ``forward`` and ``backward`` to the effective context of each, in steps, marked.

    Raises:
        DataError: No distance, or a context that is not of one of the halves.

    Example:
        >>> figure = influence_by_distance([1.0, 0.1], [1.0, 0.5, 0.2], {"backward": 2})
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[2]
        'Backward half: 1 at its own step, 0.2 at 2 steps, effective context 2 steps.'
    """
    halves, context = halves_of(forward, backward), dict(context or {})
    for key in context:
        if key not in halves:
            raise DataError(f"context has {key!r}, the halves are: {', '.join(halves)}")
    figure, axes = canvas(3.0)
    facts = []
    for key, norms in halves.items():
        if norms.size == 0:
            raise DataError(f"nothing to draw: the {HALVES[key]} has no distance")
        reader, way = READERS[key], "back" if key == "forward" else "ahead"
        [places] = np.nonzero(norms > 0)  # a logarithmic axis has no zero

        def text(index: int, key: str = key, places: np.ndarray = places, way: str = way) -> str:
            at = int(places[index])
            return f"{HALVES[key]}, {_steps(at, way)}: {number(halves[key][at])}"

        line(axes, -places if key == "forward" else places, norms[places], reader.colour,
             name=HALVES[key], marker=reader.marker, tooltips=text)  # fmt: skip
        words = f"{HALVES[key]}: {number(norms[0])} at its own step"
        if len(norms) > 1:
            words += f", {number(norms[-1])} at {_steps(len(norms) - 1)}"
        if key in context:
            words += f", effective context {_steps(context[key])}"
        facts.append(f"{capital(words)}.")
    seen = np.concatenate([norms[norms > 0] for norms in halves.values()])
    most = float(seen.max(initial=0))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda norm, _: number(norm))
    axes.yaxis.set_minor_formatter(require("matplotlib.ticker", extra="plots").NullFormatter())
    if seen.size:
        axes.set_ylim(10 ** np.floor(np.log10(max(seen.min(), most * SEEN))), most * 4)
    # as far as there is something to see
    far = {key: max(np.flatnonzero(norms > SEEN * most).max(initial=0), context.get(key, 0))
           for key, norms in halves.items()}  # fmt: skip
    for key, steps in context.items():
        _mark(axes, key, steps, outside=steps < 0.6 * far[key])
    axes.set_xlim(-1.03 * far["forward"] - 0.3, 1.03 * far.get("backward", 0) + 0.3)
    whole_ticks(axes.xaxis, 9)
    axes.xaxis.set_major_formatter(lambda place, _: f"{abs(place):g}")
    axes.set_xlabel("← inputs before · distance, steps" + " · inputs after →" * (len(halves) > 1))
    axes.set_ylabel("mean norm of ∂h/∂x")
    legend(figure)
    return with_alt_text(figure, "How much an input moves a state, by distance.", *facts)


def _mark(axes: Axes, key: str, steps: float, *, outside: bool) -> None:
    """The effective context of a half, its name on the side where there is room."""
    side = -1 if key == "forward" else 1
    axes.axvline(side * steps, color=READERS[key].colour, linestyle="--", linewidth=1.4)
    away = side if outside else -side
    axes.annotate(
        f"context\n{_steps(steps)}", (side * steps, 1), (4 * away, -2),
        xycoords=("data", "axes fraction"), textcoords="offset points",
        ha="left" if away > 0 else "right", va="top", fontsize=9, color=INK,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip


def _steps(count: float, way: str = "") -> str:
    """A distance in words.

    Example:
        >>> _steps(1, "back"), _steps(0, "back"), _steps(2.5)
        ('1 step back', 'own step', '2.5 steps')
    """
    if count == 0 and way:
        return "own step"
    return f"{count:.3g} step{'' if count == 1 else 's'} {way}".rstrip()


def _strongest(half: str, norms_TT: FloatArray, tokens: Sequence[str]) -> str:
    """The greatest influence of another step, in words."""
    others_TT = norms_TT * (1 - np.eye(len(tokens)))
    t, s = (int(i) for i in np.unravel_index(np.argmax(others_TT), others_TT.shape))
    if others_TT[t, s] <= 0:
        return f"{capital(half)}: no state is moved by another step."
    way = _steps(abs(t - s), "back" if s < t else "ahead")
    own = number(float(np.mean(np.diag(norms_TT))))
    return (
        f"{capital(half)}: moved by its own input with {own} on average; most by another step: the "
        f"state at {named(tokens, t)} by {named(tokens, s)}, {way}, with {number(others_TT[t, s])}."
    )
