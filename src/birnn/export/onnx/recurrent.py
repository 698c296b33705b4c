"""Stacks of recurrent layers as the operators LSTM, GRU and RNN."""

# T steps, B sequences, S states of all layers and directions, P directions of a layer,
# H hidden units, W width of a row

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from birnn.bundle.conventions import convention, layers_to, stacked
from birnn.bundle.framework_arrays import Convention
from birnn.export.onnx.graph import GraphBuilder, Operand
from birnn.export.onnx.layers import Tensors, linear, on_steps
from birnn.reference.stack import MergeName, Stack


class PaddedRows(NamedTuple):
    """Rows of a padded batch, time first.

    Args:
        rows: Name of the rows, (T, B, W).
        width: W.
        lengths: Lengths, int64 (B,).
    """

    rows: str
    width: int
    lengths: str


class StackTensors(NamedTuple):
    """The results of a stack.

    Args:
        batch: Rows of its last layer.
        halves: Each direction of the last layer before merging, (T, B, H).
        final: Final states of the last layer, merged as its rows are, (B, W).
        states: Final states of all layers and directions, (S, B, H): h, and c of an LSTM.
    """

    batch: PaddedRows
    halves: list[str]
    final: str
    states: list[str]


def recurrent_stack(
    graph: GraphBuilder,
    batch: PaddedRows,
    stack: Stack,
    tensors: Tensors,
    prefix: str,
    initial: Sequence[str] = (),
) -> StackTensors:
    """A stack over a batch.

    Args:
        graph: The graph that it is added to.
        batch: What it reads.
        stack: Its settings.
        tensors: Its parameters, by their names after ``prefix``.
        prefix: Prefix of the names of its parameters, ``encoder.``.
        initial: Initial states of all layers and directions, (S, B, H): h, and c of an LSTM; none
            for zeros.
    """
    cell = convention("onnx", stack.cell)
    parameters = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    layers = [stacked(layer.halves) for layer in layers_to("onnx", stack, parameters)]
    zero = np.zeros((), np.result_type(*parameters.values()))
    lengths = graph.add("Cast", batch.lengths, to=graph.number_of(np.int32), name="lengths")
    lengths_B1 = graph.add("Unsqueeze", batch.lengths, [1], name="lengths_B1")
    has_steps_B1 = graph.add("Greater", lengths_B1, np.array(0), name="has_steps")
    rows, width = batch.rows, batch.width
    ended: list[list[str]] = [[] for _ in cell.states]
    halves: list[str] = []
    final = ""
    for layer, arrays in enumerate(layers):
        with graph.scope(f"layer_{layer}"):
            named = f"{prefix}layer_{layer}"
            weights = [graph.constant(f"{named}.{name}", array) for name, array in arrays.items()]
            own = stack.states_of(layer)
            starts = [
                graph.add("Slice", state, [own.start], [own.stop], [0], name=f"initial_{part}")
                for state, part in zip(initial, cell.states, strict=False)
            ]
            directions = stack.directions_of(layer)
            output, *finals = graph.add_all(
                cell.layer,
                [rows, *weights, lengths, *starts],
                ["Y", *(f"Y_{part}" for part in cell.states)],
                hidden_size=stack.hidden_size,
                direction="bidirectional" if directions == 2 else "forward",
                **_settings(cell, directions),
            )
            # ONNX leaves open what the state after no step is, and ONNX Runtime gives zeros.
            before: Sequence[Operand] = starts or [zero] * len(finals)
            finals = [
                graph.add("Where", has_steps_B1, state, start, name=f"final_{part}")
                for state, start, part in zip(finals, before, cell.states, strict=True)
            ]
            for states, state in zip(ended, finals, strict=True):
                states.append(state)
            merged, final = (
                _merge(graph, value, at, layer, stack, tensors, prefix)
                for value, at in ((output, 1), (finals[0], 0))
            )
            halves = [
                graph.add("Gather", output, np.array(k), axis=1, name=("forward", "backward")[k])
                for k in range(directions)
            ]
            adds = stack.adds_input(layer)
            rows = graph.add("Add", merged, rows, name="residual") if adds else merged
            width = stack.layer_output_size(layer)
    states = [graph.add("Concat", *parts, axis=0, name="states") for parts in ended]
    return StackTensors(PaddedRows(rows, width, batch.lengths), halves, final, states)


def _settings(cell: Convention, directions: int) -> dict[str, Any]:
    """Attributes of the operator that are not what it has by default."""
    return {
        setting.name: list(setting.value) * directions
        if isinstance(setting.value, tuple)
        else setting.value
        for setting in cell.settings
        if setting.default not in (..., setting.value)
    }


# ---------------------------------------------------------------------- merges

REDUCTIONS: dict[MergeName, tuple[str, bool]] = {
    # operator; whether its axes are an input, which for all but ReduceSum they are from 18 on
    "sum": ("ReduceSum", True),
    "mean": ("ReduceMean", False),
    "product": ("ReduceProd", False),
}


def _merge(
    graph: GraphBuilder,
    halves: str,
    axis: int,
    layer: int,
    stack: Stack,
    tensors: Tensors,
    prefix: str,
) -> str:
    """From (..., P, B, H), the directions on ``axis``, to merged rows (..., B, W)."""
    if stack.directions_of(layer) == 1:
        return graph.add("Squeeze", halves, [axis], name="forward_alone")
    if stack.merge in REDUCTIONS:
        operator, axes_are_input = REDUCTIONS[stack.merge]
        axes: dict[str, Any] = {} if axes_are_input else {"axes": [axis]}
        inputs = [[axis]] if axes_are_input else []
        return graph.add(operator, halves, *inputs, keepdims=0, name=stack.merge, **axes)
    order = [0, 2, 1, 3] if axis == 1 else [1, 0, 2]
    apart = graph.add("Transpose", halves, perm=order, name="side_by_side")
    # 0: as it is
    whole = [*[0] * (axis + 1), 2 * stack.hidden_size]
    joined = graph.add("Reshape", apart, whole, name="concat")
    if not stack.projects(layer):
        return joined
    project = linear(graph, f"{prefix}merge_l{layer}", tensors)
    if axis == 0:
        return project(joined)
    return on_steps(graph, joined, stack.layer_output_size(layer), project)
