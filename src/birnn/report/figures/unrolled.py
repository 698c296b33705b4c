"""A recurrent network unrolled over time: what is computed from what, step by step."""

# positions and sizes are inches

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from birnn.errors import DataError, require
from birnn.report.figures.style import (
    GRID,
    INK,
    READERS,
    WIDTH,
    arrow,
    canvas,
    in_house_style,
    tint,
    tooltip,
    with_alt_text,
)
from birnn.report.figures.tokens import abbreviated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 8  # steps that are drawn: of more the first and the last
LAYERS = 4  # likewise
PITCH = 0.44  # of rows
RADIUS = 0.085  # of a node
BOX = 0.22  # height of a pooling
ASIDE = 0.1  # how far the halves of one step stand apart from its middle
LEFT, RIGHT = 1.12, 0.3  # margins: names of the rows, of the layers
LETTER = 0.078  # of small text
ORDER = ("input", "forward", "backward", "output", "pooled", "answer")  # kinds, from below
FAINT = {"linewidth": 0.9, "alpha": 0.6}  # edges from row to row
Place = tuple[float, float]


class Node(NamedTuple):
    """A number of the network, or rather a vector of them.

    Args:
        kind: ``input``, ``forward`` or ``backward`` (a state), ``output`` (of a layer, merged),
            ``pooled`` or ``answer``.
        layer: Number of the layer, from 0 on; -1 for an input, the number of layers for what the
            head computes.
        step: Number of the step, from 0 on; -1 for what is of the whole sequence.
        name: Which of several, as of poolings.
    """

    kind: str
    layer: int
    step: int
    name: str = ""


Edge = tuple[Node, Node]


@in_house_style
def unrolled(
    nodes: Sequence[Node],
    edges: Sequence[Edge],
    tokens: Sequence[str],
    names: Mapping[tuple[str, int], str],
    tooltips: Callable[[Node], str],
    facts: Sequence[str] = (),
) -> Figure:
    """The network over the steps of a sequence: inputs below, answers above, time to the right.

    Of more than eight steps the first and the last are drawn, of more than four layers the first
    two and the last.

    Args:
        nodes: All of them.
        edges: From what to what is computed of it.
        tokens: The inputs.
        names: Kind and layer to the name of the row.
        tooltips: Node to its tooltip.
        facts: Sentences for the alt text.

    Raises:
        DataError: No step, or an edge between nodes that there are not.

    Example:
        >>> x, h = Node("input", -1, 0), Node("forward", 0, 0)
        >>> figure = unrolled([x, h], [(x, h)], ["the"], {}, str, ["One state."])
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure)
        'The network unrolled over 1 step: 2 nodes, 1 edge. One state.'
    """
    if not tokens:
        raise DataError("nothing to draw: there is no step")
    known = set(nodes)
    if lost := [edge for edge in edges if not known.issuperset(edge)]:
        raise DataError(f"an edge from {lost[0][0]} to {lost[0][1]}, of which one is no node")
    layout = _Layout.of(nodes, len(tokens))
    words = [abbreviated(token) for token in tokens]
    across = LETTER * max(map(len, words)) < 0.95 * layout.pitch
    under = 0.34 if across else 0.2 + LETTER * max(map(len, words))
    height = PITCH * (len(layout.rows) - 1)
    figure, axes = canvas(height + 0.3 + under)
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(-under, height + 0.2)
    axes.set_axis_off()
    axes.set_aspect("equal")
    for edge in edges:
        _edge(axes, layout, *edge)
    for node in nodes:
        if (place := layout.place(node)) is not None:
            _node(axes, node, place, tooltips(node))
    for step, word in enumerate(words):
        if step in layout.columns:
            axes.text(layout.columns[step], -RADIUS - 0.08, word, ha="center", va="top",
                      fontsize=9, rotation=0 if across else 90)  # fmt: skip
    _names(axes, layout, names)
    counts = f"{len(nodes):,} nodes, {len(edges):,} edge{'' if len(edges) == 1 else 's'}"
    steps = f"{len(tokens):,} step{'' if len(tokens) == 1 else 's'}"
    return with_alt_text(figure, f"The network unrolled over {steps}: {counts}.", *facts)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where what is drawn stands.

    Args:
        columns: Step to the middle of its column, of the steps that are drawn.
        pitch: From one column to the next.
        gap: Middle of the column for the steps that are not drawn; 0 where all are.
        rows: Kind and layer of each row, from below; ``""`` for layers that are not drawn.
        stepped: Numbers of the rows that have a node for each step.
        pooled: Names of the poolings, which share a row.
    """

    columns: dict[int, float]
    pitch: float
    gap: float
    rows: list[tuple[str, int]]
    stepped: list[int]
    pooled: list[str]

    @classmethod
    def of(cls, nodes: Sequence[Node], steps: int) -> _Layout:
        shown = list(range(steps))
        if steps > COLUMNS:
            shown = [*range(COLUMNS // 2), *range(steps - COLUMNS // 2 + 1, steps)]
        slots = len(shown) + (steps > COLUMNS)
        pitch = (WIDTH - LEFT - RIGHT) / max(slots, 3)
        places = [LEFT + (slot + 0.5) * pitch for slot in range(slots)]
        gap = places.pop(COLUMNS // 2) if steps > COLUMNS else 0.0
        top = max(node.layer for node in nodes if node.kind in ("forward", "input")) + 1
        left_out = range(2, top - 1) if top > LAYERS else range(0)
        kinds = {(node.kind, node.layer) for node in nodes if node.layer not in left_out}
        rows = sorted(kinds, key=lambda row: (row[1], ORDER.index(row[0])))
        if left_out:
            rows.insert(next(at for at, row in enumerate(rows) if row[1] == top - 1), ("", 2))
        of_steps = {(node.kind, node.layer) for node in nodes if node.step >= 0}
        stepped = [at for at, row in enumerate(rows) if row in of_steps]
        pooled = list(dict.fromkeys(node.name for node in nodes if node.kind == "pooled"))
        return cls(dict(zip(shown, places, strict=True)), pitch, gap, rows, stepped, pooled)

    def place(self, node: Node) -> Place | None:
        """Where a node is drawn; None where it is not."""
        if (node.kind, node.layer) not in self.rows:
            return None
        height = PITCH * self.rows.index((node.kind, node.layer))
        if node.step < 0:
            share = 0.5
            if node.kind == "pooled":
                share = (self.pooled.index(node.name) + 1) / (len(self.pooled) + 1)
            return LEFT + share * (WIDTH - LEFT - RIGHT), height
        if node.step not in self.columns:
            return None
        aside = {"forward": -ASIDE, "backward": ASIDE}.get(node.kind, 0.0)
        both = ("backward", node.layer) in self.rows
        return self.columns[node.step] + aside * both, height

    def end(self, node: Node, other: Place | None) -> Place:
        """Where the edge between a node and another place ends.

        A node that is not drawn lies in the column of steps, or in the row of layers, that are
        left out.
        """
        place = self.place(node)
        if place is not None or other is None:
            return place or (0.0, 0.0)
        if (node.kind, node.layer) in self.rows:
            return (self.gap + other[0]) / 2, other[1]
        return other[0], PITCH * self.rows.index(("", 2))


def _edge(axes: Axes, layout: _Layout, start: Node, end: Node) -> None:
    """An arrow; dashed to or from what is not drawn, and where an input is added."""
    one, two = layout.place(start), layout.place(end)
    along = start.kind == end.kind and start.layer == end.layer
    if one is None and two is None:
        return
    if (one is None or two is None) and not along and start.layer == end.layer:
        return  # halves and merge of a step that is not drawn
    if one is None and end.step < 0:
        return  # all steps are pooled: those that are drawn show it
    tail, head = layout.end(start, two), layout.end(end, one)
    if end.kind == "pooled":
        head = (head[0], head[1] - BOX / 2)
    if start.kind == "pooled":
        tail = (tail[0], tail[1] + BOX / 2)
    length = ((head[0] - tail[0]) ** 2 + (head[1] - tail[1]) ** 2) ** 0.5
    if length < 3 * RADIUS:
        return
    kind = end.kind if end.kind in READERS else start.kind
    colour = READERS[kind].colour if kind in READERS else INK
    style: dict[str, Any] = {"linewidth": 1.4, "alpha": 1.0} if along else FAINT
    adds = start.kind in ("input", "output") and end.kind == "output"
    if adds:
        style = style | {"connectionstyle": "arc3,rad=-0.3"}
    if adds or one is None or two is None:
        style = style | {"linestyle": (0, (2, 2))}
    points = 72 * RADIUS
    arrow(
        axes, tail, head, colour, mutation_scale=7, **style,
        shrinkA=points * (one is not None and start.kind != "pooled"),
        shrinkB=points * (two is not None and end.kind != "pooled"),
    )  # fmt: skip


def _node(axes: Axes, node: Node, place: Place, text: str) -> None:
    patches = require("matplotlib.patches", extra="plots")
    colour = READERS["both"].colour if node.kind in ("output", "pooled") else INK
    if node.kind in READERS:
        colour = READERS[node.kind].colour
    if node.kind == "pooled":
        wide = LETTER * len(node.name) + 0.12
        shape = patches.FancyBboxPatch(
            (place[0] - wide / 2, place[1] - BOX / 2), wide, BOX, facecolor=tint(colour, 0.25),
            edgecolor=colour, linewidth=1.2, boxstyle="round,pad=0,rounding_size=0.06",
        )  # fmt: skip
        axes.text(*place, node.name, ha="center", va="center", fontsize=9)
    else:
        shape = patches.Circle(
            place, RADIUS, facecolor=tint(colour, 0.25), edgecolor=colour, linewidth=1.2
        )
    tooltip(axes.add_patch(shape), text)


def _names(axes: Axes, layout: _Layout, names: Mapping[tuple[str, int], str]) -> None:
    """The names of the rows on the left, of the layers on the right, and what is left out."""
    rectangle = require("matplotlib.patches", extra="plots").Rectangle
    for at, (kind, layer) in enumerate(layout.rows):
        colour = READERS[kind].colour if kind in READERS else INK
        text = names.get((kind, layer), "")
        axes.text(0, at * PITCH, text, va="center", fontsize=9, color=colour)
    layers = sorted({layer for kind, layer in layout.rows if kind == "forward"})
    for layer in layers:
        own = [at for at, row in enumerate(layout.rows) if row[1] == layer]
        low, high = PITCH * (own[0] - 0.5), PITCH * (own[-1] + 0.5)
        band = rectangle((LEFT, low + 0.02), WIDTH - LEFT - RIGHT, high - low - 0.04, color=GRID,
                         alpha=0.3, linewidth=0, zorder=0)  # fmt: skip
        axes.add_patch(band)
        if len(layers) > 1 or layer:
            tall = high - low > 0.6
            text = f"layer {layer + 1}" if tall else str(layer + 1)
            axes.text(WIDTH - RIGHT / 2, (low + high) / 2, text, rotation=90 * tall, ha="center",
                      va="center", fontsize=9)  # fmt: skip
    for at in layout.stepped if layout.gap else ():
        axes.text(layout.gap, at * PITCH, "…", ha="center", va="center")
    if ("", 2) in layout.rows:
        between = layout.rows.index(("", 2)) * PITCH
        for one, other in pairwise(layout.columns.values()):
            axes.text((one + other) / 2, between, "⋮", ha="center", va="center")
