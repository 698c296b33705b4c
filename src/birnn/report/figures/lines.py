"""Lines: values over places, as a line, with markers, or as markers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from birnn.report.figures.style import FloatArray, hover_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FEW = 40  # points up to which each has a marker
MANY = 200  # points from which on none has a tooltip


def line(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    colour: str,
    *,
    name: str = "",
    marker: str = "",
    tooltips: Callable[[int], str] | None = None,
    joined: bool = True,
    **style: Any,
) -> Line2D:
    """Draw a line through points; where a value is no number it has a gap.

    Args:
        axes: Where.
        x: Places of the points.
        y: Their values.
        colour: Of line and markers.
        name: In the legend.
        marker: At each point of a line of few.
        tooltips: Number of a point to its tooltip, for the pointer of who comes near.
        joined: Whether there is a line, or the markers alone.
        style: More of what matplotlib's ``plot`` takes.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    drawn: dict[str, Any] = {
        "linestyle": "-" if joined else "",
        "marker": marker if len(x) <= FEW or not joined else "",
    }
    [found] = axes.plot(x, y, color=colour, label=name or None, **(drawn | style))
    if tooltips is not None and len(x) <= MANY:
        for index in np.flatnonzero(np.isfinite(x) & np.isfinite(y)).tolist():
            hover_target(axes, x[index], y[index], tooltips(index))
    return found


def percent_scale(
    axes: Axes, metric: str, *extremes: FloatArray, lower_is_better: bool = False
) -> None:
    """A scale of percents: the part that lines use, up to 100 with room above it for markers.

    Where lower is better it begins at 0.

    Args:
        axes: Where lines are drawn.
        metric: What is measured.
        extremes: Values that have to be on the scale as well.
        lower_is_better: Whether the metric counts errors.
    """
    drawn = [np.asarray(one.get_ydata(), dtype=float) for one in axes.lines]
    every = np.concatenate([*drawn, *extremes])
    if lower_is_better:
        most = max(1.0, float(np.nanmax(every)))
        axes.set_ylim(-0.03 * most, 1.06 * most)
    else:
        lowest = float(np.nanmin(every))
        floor = max(0.0, lowest - 0.15 * (100 - lowest) - 0.5)
        axes.set_ylim(floor, 100 + 0.06 * (100 - floor))
    axes.set_ylabel(f"{metric}, %")
