"""The architecture of a given spec, drawn to its real layers and widths."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from birnn.bundle import Spec
from birnn.bundle.spec import Pooled, Tags, Values, Vectors, Words
from birnn.errors import require
from birnn.explain.figures.style import (
    GRID,
    HALVES,
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

DRAWN = 4  # layers; of a higher stack the first two and the last
CELLS = {"rnn_tanh": "RNN (tanh)", "rnn_relu": "RNN (ReLU)", "lstm": "LSTM", "gru": "GRU"}
MERGED = {
    "concat": "halves side by side",
    "sum": "sum of the halves",
    "mean": "mean of the halves",
    "product": "product of the halves",
    "project": "halves, projected",
}

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
def architecture(spec: Spec) -> Figure:
    """A model from its inputs, at the bottom, to its answers; all widths to one scale.

    Args:
        spec: The model, of one direction or two, any inputs, any head.

    Example:
        >>> from birnn.bundle.spec import Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=5, dim=8), encoder=Encoder(cell="gru", hidden_size=16),
        ...             head=Tags(size=3))
        >>> from birnn.explain.figures import in_words
        >>> in_words(architecture(spec)).split(". ")[2]
        'Layer 1, GRU, 16 units each way: forward half 16, backward half 16; 2,496 parameters'
    """
    rows = list(stages(spec))
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
    total = f"{spec.parameter_count():,} parameters"
    axes.set_title(f"{capital(spec.task)}, {total}", fontweight="bold")
    stories = (
        f"{capital(row.name)}: {', '.join(f'{box.name} {box.width:,}' for box in row.boxes)}; "
        f"{row.parameters:,} parameters."
        for row in rows
    )
    return told(figure, f"{capital(spec.task)} with {total}, from its inputs to its answers.",
                *stories)  # fmt: skip


def stages(spec: Spec) -> Iterator[Row]:
    """The rows of the drawing from the inputs up; their parameters sum to those of the model."""
    yield Row(*_inputs(spec))
    stack = spec.stack
    yield from _layers(spec)
    head = spec.head
    width = stack.output_size
    if isinstance(head, Pooled):
        if head.pooling == "attention":
            name = f"attention over all steps, {head.attention_size} hidden units"
            boxes = [Box(width, "weighted mean", "both" if stack.bidirectional else "forward")]
        else:
            name = "one row for the whole sequence"
            half = "both" if stack.bidirectional else "forward"
            boxes = [Box(width, part, half) for part in head.pooling.split("+")]
        yield Row(name, _count(spec, "head.attention."), boxes)
    name = {
        "tags": "linear, a label for every step",
        "label": "linear, one label for the sequence",
        "values": "linear, values in their own units",
    }[head.kind]
    what = "values" if isinstance(head, Values) else "labels"
    yield Row(name, _count(spec, "head.linear.", "head.mean", "head.scale"), [Box(head.size, what)])
    if isinstance(head, Tags) and head.decoder == "crf":
        count = _count(spec, "head.crf.")
        yield Row("CRF, the best sequence of labels", count, [Box(head.size, "labels")])


def _inputs(spec: Spec) -> tuple[str, int, list[Box]]:
    inputs = spec.inputs
    count = _count(spec, "inputs.")
    if isinstance(inputs, Vectors):
        return "vectors, standardised", count, [Box(inputs.size, "channels")]
    if not isinstance(inputs, Words):
        return f"symbols, {inputs.size:,} known", count, [Box(inputs.dim, "symbol")]
    boxes = [Box(inputs.dim, "word")]
    if inputs.characters is not None:
        hidden = inputs.characters.hidden_size
        boxes += [Box(hidden, "letters", "forward"), Box(hidden, "letters", "backward")]
    if inputs.surface is not None:
        boxes.append(Box(inputs.surface.dim, "form"))
    return f"words, {inputs.size:,} known", count, boxes


def _layers(spec: Spec) -> Iterator[Row]:
    stack = spec.stack
    cell, hidden = CELLS[stack.cell], stack.hidden_size
    ways = f"{hidden} units each way" if stack.bidirectional else f"{hidden} units, left to right"
    shown = set(range(stack.num_layers))
    if stack.num_layers > DRAWN:
        shown = {0, 1, stack.num_layers - 1}
    halves = ("forward", "backward") if stack.bidirectional else ("forward",)
    for layer in range(stack.num_layers):
        kernels = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        names = [f"encoder.{k}_l{layer}{end}" for k in kernels for end in ("", "_reverse")]
        tensors = spec.tensors()
        count = sum(math.prod(tensors[name]) for name in names if name in tensors)
        added = " + the layer's input" if stack.adds_input(layer) else ""
        if layer not in shown:
            if layer == 2:
                hidden_layers = range(2, stack.num_layers - 1)
                yield Row(
                    f"layers 3 to {stack.num_layers - 1}, like the one below",
                    _hidden(spec, hidden_layers),
                    [Box(stack.output_size, "output", "both" if len(halves) == 2 else "forward")],
                )
            continue
        yield Row(
            f"layer {layer + 1}, {cell}, {ways}" + (added if len(halves) == 1 else ""),
            count,
            [Box(hidden, HALVES[half], half, reads=True) for half in halves],
        )
        if len(halves) == 2:
            boxes = [Box(hidden, half, half) for half in halves]
            if stack.merge != "concat":
                boxes = [Box(stack.output_size, "both", "both")]
            name = f"{MERGED[stack.merge]}, {stack.output_size} wide{added}"
            yield Row(name, _count(spec, f"encoder.merge_l{layer}."), boxes)


def _hidden(spec: Spec, layers: Sequence[int]) -> int:
    ends = tuple(f"_l{layer}{end}" for layer in layers for end in ("", "_reverse"))
    merges = tuple(f"encoder.merge_l{layer}." for layer in layers)
    return sum(
        math.prod(shape)
        for name, shape in spec.tensors().items()
        if name.startswith("encoder.") and (name.endswith(ends) or name.startswith(merges))
    )


def _count(spec: Spec, *prefixes: str) -> int:
    """Parameters in the tensors whose names start so."""
    return sum(
        math.prod(shape) for name, shape in spec.tensors().items() if name.startswith(prefixes)
    )


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
