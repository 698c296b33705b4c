"""Attention of a decoder: which source symbols it looked at as it said each target symbol."""

# T steps of the answer, S symbols of the source

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import DataError, ShapeError
from birnn.report.figures.bars import bars
from birnn.report.figures.heatmap import colour_scale, heatmap
from birnn.report.figures.style import (
    INK,
    PAPER,
    READERS,
    WIDTH,
    FloatArray,
    blank,
    in_house_style,
    number,
    sentence,
    with_alt_text,
)
from birnn.report.figures.tokens import PITCH, abbreviated, height_below, named, token_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR = READERS["both"].colour
WRITTEN = 60  # target symbols that have a line of their own
LOW, HIGH = 1.0, 5.0  # inches: the height of a short matrix, and of one whose symbols are numbers
BESIDE = 1.4  # inches beside the matrix: names of the target symbols, scale
COVERED = 0.75  # inches of the bars under it
TOLD = 30  # symbols that the alt text has


@in_house_style
def attention_matrix(
    source: Sequence[str],
    target: Sequence[str],
    weights_TS: ArrayLike,
    *,
    overlooked: Sequence[int] = (),
) -> Figure:
    """How each step of an answer (row) spread its attention over the source (columns).

    Under each column stands its coverage: the sum of what all steps gave to it. Symbols are written
    beside the axes where they fit, and are numbers from 1 on where not.

    Args:
        source: Symbols that were read.
        target: Symbols that were said, the one that ends the answer last.
        weights_TS: Weights of the source at each step, which sum to 1, (T, S).
        overlooked: Source symbols, from 0 on, that are marked as never looked at.

    Raises:
        ShapeError: Weights that are not (T, S).
        DataError: No source symbol or no step.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> figure = attention_matrix("ab", ["B", "</s>"], [[0.25, 0.75], [0.5, 0.5]])
        >>> alt_text(figure).split(". ")[1]
        "Looked at most: B (1): 'b' (2) 75.0 %, </s> (2): 'a' (1) 50.0 %"
    """
    weights = np.asarray(weights_TS, dtype=float)
    steps, symbols = len(target), len(source)
    if weights.shape != (steps, symbols):
        raise ShapeError(f"weights are {weights.shape}, expected ({steps}, {symbols})")
    if not steps or not symbols:
        raise DataError("nothing to draw: give at least one source symbol and one step")
    wide = WIDTH - BESIDE
    tall = max(LOW, PITCH * steps) if steps <= WRITTEN else HIGH
    figure = blank(tall + COVERED + 0.9 + height_below(source, wide))
    grid = figure.add_gridspec(2, 2, width_ratios=[1, 0.035], height_ratios=[tall, COVERED])
    axes = figure.add_subplot(grid[0, 0])

    def text(step: int, symbol: int) -> str:
        share = 100 * weights[step, symbol]
        return f"{_said(target, step)} from {named(source, symbol)}: {share:.1f} %"

    heatmap(axes, weights, COLOUR, text)
    axes.tick_params(labelbottom=False)
    axes.set_ylabel("answer")
    if steps <= WRITTEN:
        axes.set_yticks(range(steps), [abbreviated(symbol) for symbol in target], fontsize=9)
    else:
        token_ticks(axes.yaxis, target, tall, upright=True)
    colour_scale(figure.add_subplot(grid[0, 1]), {0.0: "0", 0.5: "50", 1.0: "100"}, "weight, %",
                 colour=COLOUR)  # fmt: skip
    coverage = weights.sum(axis=0)
    _coverage(figure.add_subplot(grid[1, 0], sharex=axes), source, coverage, overlooked, wide)
    return with_alt_text(figure, *_facts(source, target, weights, coverage, overlooked))


def _coverage(
    axes: Axes,
    source: Sequence[str],
    coverage: FloatArray,
    overlooked: Sequence[int],
    inches: float,
) -> None:
    """The sums of the columns as bars, and the source under them."""
    bars(axes, {"": coverage}, [COLOUR],
         lambda _, at: f"{named(source, at)}: coverage {number(coverage[at])}",
         upright=True)  # fmt: skip
    if len(overlooked):
        axes.plot(overlooked, np.zeros(len(overlooked)), "D", color=INK, markersize=4.5,
                  markerfacecolor=PAPER, clip_on=False)  # fmt: skip
    axes.set_ylabel("coverage")
    axes.set_ylim(0, max(1.0, 1.1 * float(coverage.max())))
    axes.locator_params(axis="y", nbins=3)
    axes.tick_params(labelbottom=True, length=0)
    written = token_ticks(axes.xaxis, source, inches)
    note = "; ◇ never looked at" if len(overlooked) else ""
    axes.set_xlabel(("source" if written else "source, counted from 1") + note)


def _said(target: Sequence[str], step: int) -> str:
    return f"{abbreviated(target[step])} ({step + 1})"


def _facts(
    source: Sequence[str],
    target: Sequence[str],
    weights: FloatArray,
    coverage: FloatArray,
    overlooked: Sequence[int],
) -> list[str]:
    """The matrix in words: where each step looked most, what each symbol got in sum."""
    best = weights.argmax(axis=1).tolist()
    looked = [
        (f"{_said(target, step)}:", f"{named(source, at)} {100 * weights[step, at]:.1f} %")
        for step, at in enumerate(best[:TOLD])
    ]
    covered = [(named(source, at), number(coverage[at])) for at in range(min(TOLD, len(source)))]
    beyond = "" if len(best) <= TOLD else f" in the first {TOLD} steps"
    first = "" if len(source) <= TOLD else f" of the first {TOLD} symbols"
    never = ", ".join(named(source, at) for at in overlooked)
    return [
        f"Attention of {len(target)} steps over {len(source)} source symbols.",
        sentence(f"looked at most{beyond}", looked),
        sentence(f"coverage{first}", covered),
        f"Never looked at: {never}." if never else "",
    ]
