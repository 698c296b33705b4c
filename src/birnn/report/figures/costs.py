"""Figures of what a second direction costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from birnn.errors import DataError
from birnn.report.figures.style import (
    INK,
    blank,
    in_house_style,
    number,
    readers_of,
    sentence,
    tip,
    told,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPREAD = 50  # the greatest over the least from which on a scale is logarithmic


@in_house_style
def cost_bars(values: Mapping[str, Mapping[str, float]]) -> Figure:
    """What each reader costs, a panel for each quantity, the numbers at the bars.

    Bars from 0; where the greatest is more than 50 times the least, points on a logarithmic scale.

    Args:
        values: Reader (a key of `READERS`), then quantity with its unit (``"forward, ms"``), to
            a number from 0 on.

    Raises:
        DataError: No reader, a reader that is not known, no quantity, or readers with different
            quantities.

    Example:
        >>> figure = cost_bars({"forward": {"parameters": 365568}, "both": {"parameters": 731136}})
        >>> [float(bar.get_width()) for bar in figure.axes[0].patches]
        [365568.0, 731136.0]
    """
    readers = readers_of(values)
    names = list(next(iter(values.values())))
    if not names:
        raise DataError("nothing to draw: give at least one quantity")
    if any(list(costs) != names for costs in values.values()):
        raise DataError("every reader needs the same quantities in the same order")
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = blank(0.25 + rows * (0.6 + 0.36 * len(readers)))
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    labels = [reader.name.replace(", ", ",\n") for reader in readers.values()]
    for panel, name in zip(panels, names, strict=False):
        costs = np.array([values[key][name] for key in readers], dtype=float)
        positive = costs[costs > 0]
        wide = positive.size > 1 and positive.max() > SPREAD * positive.min()
        for row, (cost, reader) in enumerate(zip(costs, readers.values(), strict=True)):
            text = f"{reader.name}, {name}: {number(cost)}"
            if wide:
                tip(panel.scatter(cost, row, s=60, color=reader.colour, marker=reader.marker), text)
            else:
                (bar,) = panel.barh(row, cost, 0.7, color=reader.colour)
                tip(bar, text)
            panel.annotate(
                number(cost), (cost, row), (7 if wide else 4, 0), textcoords="offset points",
                va="center", fontsize=9, color=INK,
            )  # fmt: skip
        top = costs.max() or 1.0
        if wide:
            panel.set_xscale("log")
            panel.set_xlim(positive.min() / 2, top * (top / positive.min()) ** 0.6)
        else:
            panel.set_xlim(0, 1.6 * top)  # room for the numbers
        panel.set_title(f"{name} (log scale)" if wide else name)
        panel.set_xticks([])
        panel.minorticks_off()
        panel.grid(visible=False)
        panel.tick_params(axis="y", length=0, labelsize=9)
        panel.spines["left"].set_visible(not wide)
        panel.spines["bottom"].set_visible(False)
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    facts = (
        sentence(reader.name, ((name, number(values[key][name])) for name in names))
        for key, reader in readers.items()
    )
    return told(figure, "Costs.", *facts)
