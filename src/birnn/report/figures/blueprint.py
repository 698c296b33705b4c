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
    arrow,
    canvas,
    capital,
    in_house_style,
    tint,
    tooltip,
    with_alt_text,
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
    """Numbers of a stage that come from one place.

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
class Stage:
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
def blueprint(stages: Sequence[Stage], *, title: str, parameters: int) -> Figure:
    """A model from its inputs, at the bottom, to its answers; all widths to one scale.

    Args:
        stages: Its stages, inputs first.
        title: What it is.
        parameters: How many it has.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> stages = [Stage("symbols", 40, [Box(8, "symbol")]), Stage("linear", 27, [Box(3, "y")])]
        >>> alt_text(blueprint(stages, title="tagger", parameters=67)).split(". ")[1]
        'Symbols: symbol 8; 40 parameters'
    """
    scale = INCHES / max(stage.width for stage in stages)
    figure, axes = canvas(0.35 + PITCH * len(stages))
    polygon = require("matplotlib.patches", extra="plots").Polygon
    last: tuple[float, float] | None = None
    for index, stage in enumerate(stages):
        floor = index * PITCH
        ends = _draw(axes, stage, floor, scale)
        if last is not None:
            under = floor - PITCH + BOX
            corners = [(last[0], under), (last[1], under), (ends[1], floor), (ends[0], floor)]
            axes.add_patch(polygon(corners, color=GRID, alpha=0.45, linewidth=0, zorder=0))
        last = ends
    axes.set_xlim(0, WIDTH - 0.2)
    axes.set_ylim(-0.05, PITCH * len(stages) - PITCH + BOX + 0.24)
    axes.set_axis_off()
    total = f"{parameters:,} parameters"
    axes.set_title(f"{capital(title)}, {total}", fontweight="bold")
    facts = (
        f"{capital(stage.name)}: {', '.join(f'{box.name} {box.width:,}' for box in stage.boxes)}; "
        f"{stage.parameters:,} parameters."
        for stage in stages
    )
    start = f"{capital(title)} with {total}, from its inputs to its answers."
    return with_alt_text(figure, start, *facts)


def _draw(axes: Axes, stage: Stage, floor: float, scale: float) -> tuple[float, float]:
    """Draw one stage, and say where it starts and ends."""
    gap = GAP if stage.apart else 0.0
    whole = stage.width * scale + gap * (len(stage.boxes) - 1)
    start = left = WIDTH / 2 - 0.1 - whole / 2
    beside = []
    for box in stage.boxes:
        width = box.width * scale
        if unwritten := _box(axes, box, stage, left, floor, width):
            beside.append(unwritten)
        left += width + gap
    words = ", ".join(dict.fromkeys(beside))
    if words and left + 0.06 + 0.075 * len(words) < WIDTH:
        axes.text(left + 0.06, floor + BOX / 2, words, va="center", fontsize=9)
    above = floor + BOX + 0.05
    axes.text(0, above, stage.name, va="bottom", fontsize=9)
    if stage.parameters:
        count = f"{stage.parameters:,} parameters"
        axes.text(WIDTH - 0.2, above, count, ha="right", va="bottom", fontsize=9, alpha=0.75)
    return start, start + whole


def _box(axes: Axes, box: Box, stage: Stage, left: float, floor: float, width: float) -> str:
    """Draw a box, with what fits into it, and say what is to be written beside it."""
    rectangle = require("matplotlib.patches", extra="plots").Rectangle
    colour = READERS[box.half].colour if box.half else INK
    patch = rectangle((left, floor), width, BOX, facecolor=tint(colour, 0.22), edgecolor=colour,
                      linewidth=1.2)  # fmt: skip
    tooltip(axes.add_patch(patch), f"{stage.name}: {box.name}, {box.width:,} wide")
    text, short = f"{box.name} {box.width:,}", f"{box.width:,}"
    tries = (text, short) if len(stage.boxes) > 1 else (text,)
    fitting = next((words for words in tries if 0.082 * len(words) + 0.06 < width), "")
    if fitting:
        middle = floor + (0.62 if box.reads else 0.47) * BOX
        axes.text(left + width / 2, middle, fitting, ha="center", va="center", fontsize=9)
    if box.reads:
        inset = min(0.08, 0.15 * width)
        height = floor + (0.22 if fitting else 0.5) * BOX
        ends = (left + inset, height), (left + width - inset, height)
        tail, head = ends if box.half == "forward" else ends[::-1]
        arrow(axes, tail, head, colour, linewidth=1.6)
    return "" if fitting == text or (box.reads and fitting) else text
