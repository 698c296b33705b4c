"""The network unrolled: what depends on what is what changes with what."""

# T steps

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.text import Annotation

from birnn.errors import ConfigError
from birnn.explain import Reading, computation_graph, flow, inputs_read, unrolled
from birnn.explain.inspected import InspectedModel
from birnn.nn import BiRNN
from birnn.reference.stack import Stack
from birnn.report.figures import alt_text
from birnn.report.figures.style import TOOLTIP
from birnn.report.figures.unrolled import Node
from grids import sampled

STEPS = 5
DIRECTIONS = [
    ("both",),
    ("forward",),
    ("both", "both"),
    ("forward", "both"),
    ("both", "forward"),
    ("forward", "forward", "both"),
    ("forward", "forward"),
]
SETTINGS = [
    (directions, merge, residual)
    for directions in DIRECTIONS
    for merge, residual in (("concat", False), ("sum", True), ("project", False))
]


def reached(graph: Any, kind: str, layer: int) -> np.ndarray:
    """[t, s]: whether the node of this kind at step t depends on the input at step s."""
    found = np.zeros((graph.steps, graph.steps), bool)
    for t in range(graph.steps):
        found[t, list(graph.inputs_of(Node(kind, layer, t)))] = True
    return found


def a_stack(encoder: Any, directions: tuple[str, ...], **settings: Any) -> BiRNN:
    return encoder("gru", 4, 4, num_layers=len(directions), directions=directions, **settings)


@pytest.mark.parametrize(("directions", "merge", "residual"), SETTINGS)
def test_states_and_outputs_depend_on_the_inputs_that_move_them(
    encoder: Any, directions: tuple[str, ...], merge: str, residual: bool
) -> None:
    model = a_stack(encoder, directions, merge=merge, residual=residual)
    x = np.random.default_rng(0).standard_normal((STEPS, 4))
    graph = computation_graph(model.stack, STEPS)
    reading = Reading.of(model, x)
    for layer in range(len(directions)):
        measured = flow(reading, layer=layer)
        two = model.stack.directions_of(layer) == 2
        merged = two or model.stack.adds_input(layer)
        assert np.array_equal(measured.forward > 0, reached(graph, "forward", layer))
        if two:
            assert measured.backward is not None
            assert np.array_equal(measured.backward > 0, reached(graph, "backward", layer))
        kind = "output" if merged else "forward"
        assert np.array_equal(measured.combined > 0, reached(graph, kind, layer))
        assert (Node("output", layer, 0) in graph.nodes) == merged
        assert (Node("backward", layer, 0) in graph.nodes) == two
        for position in range(STEPS):
            norms = measured.of_state(position)
            read = inputs_read(model.stack, STEPS, position, layer=layer)
            assert list(norms) == list(read)
            for name, known in read.items():
                assert np.flatnonzero(norms[name] > 0).tolist() == list(known)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(
    "head", sampled(["tags", "crf", "label-last", "label-mean", "values-attention"], ["tags"])
)
def test_answers_depend_on_the_inputs_that_change_their_scores(
    make: Any, draw: Any, head: str, bidirectional: bool
) -> None:
    bundle = make("vectors", head, bidirectional=bidirectional)
    inspected = InspectedModel.of(bundle)
    x = draw(bundle, STEPS)
    graph = computation_graph(bundle, STEPS)
    before = Reading.of(inspected, x).scores
    moved = np.zeros((len(before), STEPS), bool)
    for step in range(STEPS):
        other = x.copy()
        other[step] += 3
        changed = (Reading.of(inspected, other).scores != before).any(dim=1)
        moved[:, step] = changed.numpy()
    if bundle.spec.head.per_step and head != "crf":
        assert np.array_equal(moved, reached(graph, "answer", 1))
    elif head == "crf":
        # its scores are emissions: these are what the layer's output depends on, but every
        # answer hangs on its neighbours, too
        kind = "output" if bidirectional else "forward"
        assert np.array_equal(moved, reached(graph, kind, 0))
        assert reached(graph, "answer", 1).all()
    else:
        assert moved.all()
        assert graph.inputs_of(Node("answer", 1, -1)) == tuple(range(STEPS))


def test_the_last_pooling_reads_each_half_where_it_ends(make: Any) -> None:
    graph = computation_graph(make("symbols", "label-last+max+mean", num_layers=2), 4)
    into = {end: [start for start, last in graph.edges if last == end] for _, end in graph.edges}
    assert into[Node("pooled", 2, -1, "last")] == [Node("forward", 1, 3), Node("backward", 1, 0)]
    outputs = [Node("output", 1, step) for step in range(4)]
    assert into[Node("pooled", 2, -1, "max")] == into[Node("pooled", 2, -1, "mean")] == outputs
    assert [node.name for node in into[Node("answer", 2, -1)]] == ["last", "max", "mean"]


@pytest.mark.parametrize(
    ("head", "steps", "layers"), [("crf", 5, 2), ("label-last+max+mean", 8, 1), ("tags", 1, 3)]
)
def test_what_is_small_is_drawn_whole(make: Any, head: str, steps: int, layers: int) -> None:
    bundle = make("symbols", head, num_layers=layers)
    graph = computation_graph(bundle, steps)
    figure = unrolled(bundle, list("ACGT?ACG")[:steps])
    [axes] = figure.axes
    nodes = [p for p in axes.patches if (p.get_gid() or "").startswith(TOOLTIP)]
    assert len(nodes) == len(graph.nodes)
    tips = {p.get_gid() for p in nodes}
    assert len(tips) == len(nodes)
    arrows = [
        one for one in axes.texts
        if isinstance(one, Annotation) and isinstance(one.arrow_patch, FancyArrowPatch)
    ]  # fmt: skip
    assert len(arrows) == len(graph.edges)
    # each arrow leads from the middle of a node to the middle of another, boxes to their edges
    middles = {tuple(np.round(p.get_center(), 6)) for p in nodes if isinstance(p, Circle)}
    assert len(middles) == sum(node.kind != "pooled" for node in graph.nodes)
    ends = {tuple(np.round(end, 6)) for one in arrows for end in (one.xy, one.xyann)}
    boxes = len(nodes) - len(middles)
    assert middles <= ends
    assert len(ends) == len(middles) + 2 * boxes
    radius = next(p.radius for p in nodes if isinstance(p, Circle))
    for one, other in product(middles, middles):
        assert one == other or np.hypot(*np.subtract(one, other)) > 2 * radius
    if layers == 2:
        assert f"{TOOLTIP}backward state of layer 1 at 'G' (3): depends on inputs 3 to 5" in tips
        assert f"{TOOLTIP}output of layer 1 at 'G' (3): depends on all inputs" in tips


def test_of_what_is_large_the_ends_are_drawn(make: Any) -> None:
    bundle = make("symbols", "tags", num_layers=7)
    figure = unrolled(bundle, "ACG" * 40)
    [axes] = figure.axes
    tips = [p.get_gid() for p in axes.patches if (p.get_gid() or "").startswith(TOOLTIP)]
    columns = {int(tip.split("(")[1].split(")")[0]) for tip in tips}
    assert columns == {1, 2, 3, 4, 118, 119, 120}
    layers = {tip.split("layer ")[1].split(" at")[0] for tip in tips if "layer" in tip}
    assert layers == {"1", "2", "7"}
    assert len(tips) == 7 * (3 * 3 + 2)
    words = [text.get_text() for text in axes.texts]
    assert words.count("…") == 3 * 3 + 2
    assert {"layer 1", "layer 2", "layer 7", "⋮"} <= set(words)


def test_words_say_what_each_layer_knows() -> None:
    stack = Stack("gru", 3, 4, num_layers=3, directions=("forward", "both", "forward"))
    # into a state leads one from below and, but for the first, one from the state before it
    nodes, edges = 3 + 3 + 3 * 3 + 3, (3 + 2) + 2 * (3 + 2) + 2 * 3 + (3 + 2)
    assert alt_text(unrolled(stack, ["a", "b", "c"])).split(": ", 1)[1] == (
        f"{nodes} nodes, {edges} edges. "
        "Layer 1 has one direction: its output at each step depends on the inputs up to it. "
        "Layer 2 has two directions: its output at each step depends on all inputs. "
        "Layer 3 has one direction: its output at each step depends on all inputs."
    )


def test_what_there_is_not_is_refused() -> None:
    stack = Stack("gru", 3, 4)
    with pytest.raises(ConfigError, match="steps is 0"):
        computation_graph(stack, 0)
    with pytest.raises(ConfigError, match="steps is 0"):
        unrolled(stack, [])
    with pytest.raises(ConfigError, match="there is no node"):
        computation_graph(stack, 2).inputs_of(Node("forward", 0, 2))
    with pytest.raises(ConfigError, match="position is 3, the sequence has steps 0 to 2"):
        flow(BiRNN.from_stack(stack), torch.ones(3, 3).numpy()).of_state(3)
