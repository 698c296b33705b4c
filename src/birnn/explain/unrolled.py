"""What a network computes from what, step by step; and a drawing of it."""

# T steps

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from birnn.bundle import Bundle, Spec
from birnn.errors import ConfigError
from birnn.reference.stack import Stack
from birnn.report import figures
from birnn.report.figures import HALVES
from birnn.report.figures.tokens import named
from birnn.report.figures.unrolled import Edge, Node
from birnn.tasks.pooling import Pooled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MERGED = {
    "concat": "side by side",
    "sum": "sum",
    "mean": "mean",
    "product": "product",
    "project": "projection",
}


@dataclass(frozen=True, eq=False)
class ComputationGraph:
    """A network unrolled over the steps of a sequence; `computation_graph` makes one.

    Args:
        nodes: Inputs, states, outputs of layers and what the head makes of these.
        edges: From a node to one that is computed from it.
        steps: How many steps there are.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    steps: int

    def inputs_of(self, node: Node) -> tuple[int, ...]:
        """The steps whose inputs a node depends on, from 0 on.

        Raises:
            ConfigError: A node that there is not.
        """
        if node not in self.nodes:
            raise ConfigError(f"there is no node {node}")
        found, unseen = {node}, [node]
        while unseen:
            further = self._read_by.get(unseen.pop(), ())
            unseen += (start for start in further if start not in found)
            found.update(further)
        return tuple(sorted(one.step for one in found if one.kind == "input"))

    @cached_property
    def _read_by(self) -> dict[Node, list[Node]]:
        """Each node's own arguments."""
        found: dict[Node, list[Node]] = {}
        for start, end in self.edges:
            found.setdefault(end, []).append(start)
        return found


def computation_graph(model: Spec | Stack | Bundle, steps: int) -> ComputationGraph:
    """The network over a sequence of so many steps, from its settings alone.

    A layer of one direction has an output node of its own only where it adds its input. The head
    of a `Spec` is included: an answer for each step, with a CRF joined to its neighbours, or
    poolings and one answer. Of words the input is the word's vector, letters and all.

    Args:
        model: Settings of a model or of an encoder alone, or a bundle.
        steps: From 1 on.

    Raises:
        ConfigError: No step.

    Example:
        >>> one = computation_graph(Stack("gru", 3, 4, bidirectional=False), 4)
        >>> two = computation_graph(Stack("gru", 3, 4), 4)
        >>> one.inputs_of(Node("forward", 0, 2)), two.inputs_of(Node("backward", 0, 2))
        ((0, 1, 2), (2, 3))
        >>> two.inputs_of(Node("output", 0, 2))
        (0, 1, 2, 3)
    """
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps is {steps!r}, it must be a whole number from 1 on")
    stack = _stack(model)
    inputs = [Node("input", -1, step) for step in range(steps)]
    nodes, edges, below = [*inputs], [], inputs
    for layer in range(stack.num_layers):
        found = list(_layer(stack, layer, below))
        edges += found
        nodes += dict.fromkeys(end for _, end in found)
        below = [Node(_output(stack, layer), layer, step) for step in range(steps)]
    if (spec := _spec(model)) is not None:
        found = list(_head(spec, below))
        edges += found
        nodes += dict.fromkeys(end for _, end in found)
    return ComputationGraph(tuple(nodes), tuple(edges), steps)


def _spec(model: Spec | Stack | Bundle) -> Spec | None:
    """The whole model; None of an encoder alone."""
    spec = model.spec if isinstance(model, Bundle) else model
    return spec if isinstance(spec, Spec) else None


def _stack(model: Spec | Stack | Bundle) -> Stack:
    if isinstance(model, Stack):
        return model
    return (model.spec if isinstance(model, Bundle) else model).stack


def _output(stack: Stack, layer: int) -> str:
    """The kind of the nodes that the layer above reads."""
    return "output" if stack.directions_of(layer) == 2 or stack.adds_input(layer) else "forward"


def _layer(stack: Stack, layer: int, below: Sequence[Node]) -> Iterator[Edge]:
    """The edges into a layer's states and outputs."""
    halves = ("forward", "backward")[: stack.directions_of(layer)]
    for half in halves:
        read = list(below) if half == "forward" else list(below)[::-1]
        states = [Node(half, layer, node.step) for node in read]
        for number, (row, state) in enumerate(zip(read, states, strict=True)):
            yield row, state
            if number:
                yield states[number - 1], state
    for node in below:
        output = Node("output", layer, node.step)
        if _output(stack, layer) == "output":
            yield from ((Node(half, layer, node.step), output) for half in halves)
        if stack.adds_input(layer):
            yield node, output


def _head(spec: Spec, rows: Sequence[Node]) -> Iterator[Edge]:
    """The edges into what the head computes."""
    top, last = spec.stack.num_layers, spec.stack.num_layers - 1
    if isinstance(spec.head, Pooled):
        answer = Node("answer", top, -1)
        for part in spec.head.pooling_parts:
            pooled = Node("pooled", top, -1, part)
            read = list(rows)
            if part == "last":  # of each half the state after its last step
                read = [Node("forward", last, rows[-1].step)]
                if spec.stack.directions_of(last) == 2:
                    read.append(Node("backward", last, rows[0].step))
            yield from ((node, pooled) for node in read)
            yield pooled, answer
        return
    answers = [Node("answer", top, row.step) for row in rows]
    yield from zip(rows, answers, strict=True)
    if getattr(spec.head, "decoder", "") == "crf":
        for one, other in pairwise(answers):
            yield one, other
            yield other, one


def inputs_read(
    model: Spec | Stack | Bundle, steps: int, position: int, *, layer: int = -1
) -> dict[str, range]:
    """Which inputs the states of a layer at one step have read, and their merge.

    Args:
        model: As for `computation_graph`.
        steps: Of the sequence.
        position: The step, from 0 on.
        layer: Which layer; the last by default.

    Returns:
        ``forward``, with two directions ``backward``, and ``combined``.

    Example:
        >>> inputs_read(Stack("gru", 3, 4), 5, 2)
        {'forward': range(0, 3), 'backward': range(2, 5), 'combined': range(0, 5)}
    """
    graph = computation_graph(model, steps)
    stack = _stack(model)
    kinds = {"forward": "forward", "backward": "backward", "combined": "output"}
    if stack.directions_of(layer) == 1:
        kinds = {"forward": "forward", "combined": _output(stack, layer)}
    every = {
        name: graph.inputs_of(Node(kind, layer % stack.num_layers, position))
        for name, kind in kinds.items()
    }
    return {name: range(read[0], read[-1] + 1) for name, read in every.items()}


def unrolled(model: Spec | Stack | Bundle, tokens: Sequence[str]) -> Figure:
    """A network over a sequence: inputs, the chains of each layer, outputs, the answers.

    Args:
        model: As for `computation_graph`.
        tokens: The inputs, at least one; long ones are cut in the middle.

    Raises:
        ConfigError: No token.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> alt_text(unrolled(Stack("gru", 3, 4), ["the", "river", "rose"])).split(". ")[1]
        'Layer 1 has two directions: its output at each step depends on all inputs.'
    """
    graph = computation_graph(model, len(tokens))
    stack, spec = _stack(model), _spec(model)
    names = {("input", -1): "inputs", ("answer", stack.num_layers): "answers"}
    names[("pooled", stack.num_layers)] = "pooled"
    if spec is not None and not spec.head.per_step:
        names[("answer", stack.num_layers)] = "answer"
    for layer in range(stack.num_layers):
        names |= {(half, layer): half for half in ("forward", "backward")}
        two, adds = stack.directions_of(layer) == 2, " + input" if stack.adds_input(layer) else ""
        names["output", layer] = (MERGED[stack.merge] if two else "state") + adds

    def text(node: Node) -> str:
        what = {"input": "input", "output": "output", "pooled": node.name}.get(node.kind, node.kind)
        if node.kind in HALVES:
            what = f"{node.kind} state"
        where = f" of layer {node.layer + 1}" if 0 <= node.layer < stack.num_layers else ""
        at = f" at {named(tokens, node.step)}" if node.step >= 0 else ""
        return f"{what}{where}{at}: depends on {_steps(graph.inputs_of(node), len(tokens))}"

    return figures.unrolled(
        graph.nodes, graph.edges, tokens, names, text, list(_facts(graph, stack, len(tokens)))
    )


def _facts(graph: ComputationGraph, stack: Stack, steps: int) -> Iterator[str]:
    """What the outputs of each layer depend on, in words."""
    for layer in range(stack.num_layers):
        ways = "two directions" if stack.directions_of(layer) == 2 else "one direction"
        first = Node(_output(stack, layer), layer, 0)
        all_inputs = len(graph.inputs_of(first)) == steps
        read = "all inputs" if all_inputs else "the inputs up to it"
        yield f"Layer {layer + 1} has {ways}: its output at each step depends on {read}."


def _steps(numbers: Sequence[int], of: int) -> str:
    """Steps in words.

    Example:
        >>> _steps([0, 1, 2], 3), _steps([1, 2], 3), _steps([1], 3)
        ('all inputs', 'inputs 2 to 3', 'input 2')
    """
    if len(numbers) == of:
        return "all inputs"
    first, last = numbers[0] + 1, numbers[-1] + 1
    return f"input {first}" if first == last else f"inputs {first} to {last}"
