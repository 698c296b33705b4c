"""Bars: a value for each category, of one series or of several side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import require
from birnn.report.figures.style import INK, number, tooltip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Colour = str | tuple[float, ...]

FILLED = 0.92  # of the room that a bar has


def bars(
    axes: Axes,
    series: Mapping[str, ArrayLike],
    colours: Sequence[Colour | Sequence[Colour]],
    tooltips: Callable[[str, int], str],
    *,
    upright: bool = False,
    pitch: float = 1.0,
    start: float = 0.0,
    share: float = 0.8,
) -> None:
    """Draw bars from 0, those of one category side by side.

    Args:
        axes: Where.
        series: Name of each series, for the legend and the tooltips, to its values; the name of
            one that is alone may be empty.
        colours: Of each series, or of each of its bars.
        tooltips: Series and number of the category to the tooltip of a bar.
        upright: Bars from left to right rather than rows from top to bottom.
        pitch: From one category to the next.
        start: Place of the first category.
        share: Of the pitch that the bars of a category take.
    """
    wide = share * pitch / len(series)
    for at, ((name, values), colour) in enumerate(zip(series.items(), colours, strict=True)):
        values = np.asarray(values, dtype=float)
        places = start + pitch * np.arange(len(values)) + (at - (len(series) - 1) / 2) * wide
        draw = axes.bar if upright else axes.barh
        drawn = draw(places, values, FILLED * wide, color=colour, label=name or None, linewidth=0)
        for index, bar in enumerate(drawn):
            tooltip(bar, tooltips(name, index))


def rows(axes: Axes, names: Sequence[str], *, grid: bool = True) -> None:
    """Name the rows of bars, the first at the top."""
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.grid(visible=grid, axis="x")


def signed_scale(axes: Axes, values: ArrayLike) -> None:
    """A line at 0, and a scale for rows of bars to both sides with room for numbers."""
    axes.axvline(0, color=INK, linewidth=0.8)
    low, high = min(0.0, float(np.min(values))), max(0.0, float(np.max(values)))
    room = 0.22 * ((high - low) or 1.0)
    axes.set_xlim(low - room * (low < 0), high + room * (high > 0 or low == 0))
    ticker = require("matplotlib.ticker", extra="plots")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=5))


def number_beside(axes: Axes, value: float, row: float, points: float = 4) -> None:
    """Write a value at the end of its bar."""
    side = 1 if value >= 0 else -1
    axes.annotate(
        number(value), (value, row), (points * side, 0), textcoords="offset points", va="center",
        ha="left" if side > 0 else "right", fontsize=9, color=INK,
    )  # fmt: skip


def strongest(values: ArrayLike, most: int = 30) -> list[int]:
    """Indices of the values farthest from 0, in the order they stand in.

    Example:
        >>> strongest([0.1, -3.0, 2.0], most=2)
        [1, 2]
    """
    return sorted(np.argsort(-np.abs(np.asarray(values)), kind="stable")[:most].tolist())
