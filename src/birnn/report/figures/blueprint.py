"""A model drawn as its stages from the inputs up, all widths to one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from birnn.errors import require
from birnn.report.figures.style import (
    GRID,
    INK,
    READERS,
    WIDTH,
    canvas,
    capital,
    in_house_style,
    tip,
    told,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = 4.3  # the widest row
PITCH = 0.76  # of rows, inches
BOX = 0.34  # height of a row's boxes
GAP = 0.08  # between the boxes of two halves


@dataclass(frozen=True, slots=True)
class Box:
    """Numbers of a row that come from one place.

    Args:
        width: How many.
        name: What they are.
        half: ``forward``, ``backward``, ``both``, or ``""`` where directions do not matter.
        reads: Whether a half runs here: it gets an arrow in its direction.
    """

    width: int
    name: str
    half: str = ""
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A stage of the model: what it is called, its parameters, its boxes from left to right."""

    name: str
    parameters: int
    boxes: Sequence[Box]

    @property
    def width(self) -> int:
        """Numbers a step or a sequence has after this stage."""
        return sum(box.width for box in self.boxes)

    @property
    def apart(self) -> bool:
        """Whether the boxes stand apart: halves that have not met yet."""
        return any(box.reads for box in self.boxes)


@in_house_style
def blueprint(rows: Sequence[Row], *, title: str, parameters: int) -> Figure:
    """A model from its inputs, at the bottom, to its answers; all widths to one scale.

    Args:
        rows: Its stages, inputs first.
        title: What it is.
        parameters: How many it has.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> rows = [Row("symbols", 40, [Box(8, "symbol")]), Row("linear", 27, [Box(3, "labels")])]
        >>> alt_text(blueprint(rows, title="tagger", parameters=67)).split(". ")[1]
        'Symbols: symbol 8; 40 parameters'
    """
    unit = INCHES / max(row.width for row in rows)
    figure, axes = canvas(0.35 + PITCH * len(rows))
    middle = WIDTH / 2 - 0.1
    last: tuple[float, float] | None = None
    for index, row in enumerate(rows):
        floor = index * PITCH
        ends = _draw(axes, row, middle, floor, unit)
        if last is not None:
            under = floor - PITCH + BOX
            corners = [(last[0], under), (last[1], under), (ends[1], floor), (ends[0], floor)]
            shape = require("matplotlib.patches", extra="plots").Polygon
            axes.add_patch(shape(corners, color=GRID, alpha=0.45, linewidth=0, zorder=0))
        last = ends
    axes.set_xlim(0, WIDTH - 0.2)
    axes.set_ylim(-0.05, PITCH * len(rows) - PITCH + BOX + 0.24)
    axes.set_axis_off()
    total = f"{parameters:,} parameters"
    axes.set_title(f"{capital(title)}, {total}", fontweight="bold")
    stories = (
        f"{capital(row.name)}: {', '.join(f'{box.name} {box.width:,}' for box in row.boxes)}; "
        f"{row.parameters:,} parameters."
        for row in rows
    )
    return told(figure, f"{capital(title)} with {total}, from its inputs to its answers.",
                *stories)  # fmt: skip


def _draw(axes: Axes, row: Row, middle: float, floor: float, unit: float) -> tuple[float, float]:
    """Draw one stage, and say where it starts and ends."""
    patches = require("matplotlib.patches", extra="plots")
    gap = GAP if row.apart else 0.0
    whole = row.width * unit + gap * (len(row.boxes) - 1)
    start = left = middle - whole / 2
    beside = []
    for box in row.boxes:
        width = box.width * unit
        colour = READERS[box.half].colour if box.half else INK
        patch = patches.Rectangle(
            (left, floor), width, BOX, facecolor=(*_rgb(colour), 0.22), edgecolor=colour,
            linewidth=1.2,
        )  # fmt: skip
        tip(axes.add_patch(patch), f"{row.name}: {box.name}, {box.width:,} wide")
        text = f"{box.name} {box.width:,}"
        short = f"{box.width:,}"
        tries = (text, short) if len(row.boxes) > 1 else (text,)
        fitting = next((words for words in tries if 0.082 * len(words) + 0.06 < width), "")
        lift = 0.62 if box.reads else 0.47
        if fitting:
            axes.text(
                left + width / 2, floor + lift * BOX, fitting, ha="center", va="center", fontsize=9
            )
        if fitting != text and not (box.reads and fitting):
            beside.append(f"{box.name} {box.width:,}")
        if box.reads:
            inset = min(0.08, 0.15 * width)
            way = (left + inset, left + width - inset)
            tail, tip_ = way if box.half == "forward" else way[::-1]
            height = floor + (0.22 if fitting else 0.5) * BOX
            axes.annotate(
                "", (tip_, height), (tail, height),
                arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1.6,
                            "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9},
            )  # fmt: skip
        left += width + gap
    words = ", ".join(dict.fromkeys(beside))
    if words and left + 0.06 + 0.075 * len(words) < WIDTH:
        axes.text(left + 0.06, floor + BOX / 2, words, va="center", fontsize=9)
    above = floor + BOX + 0.05
    axes.text(0, above, row.name, va="bottom", fontsize=9)
    if row.parameters:
        told_count = f"{row.parameters:,} parameters"
        axes.text(WIDTH - 0.2, above, told_count, ha="right", va="bottom", fontsize=9, alpha=0.75)
    return start, start + whole


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
