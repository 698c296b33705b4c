"""Layers without a state, and what changes the shape of a batch: parts that others are made of."""

# N rows, T steps, B sequences, W width of a row

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from birnn.export.feeds import Array
from birnn.export.onnx.graph import GraphBuilder
from birnn.reference.activations import ActivationName

Tensors = Mapping[str, Array]
Layer = Callable[[str], str]
"""From the name of rows (N, W) to the name of what a layer gives for them."""


def linear(graph: GraphBuilder, name: str, tensors: Tensors) -> Layer:
    """The linear layer ``x W^T + b`` of that name."""
    weight, bias = (
        graph.constant(f"{name}.{part}", tensors[f"{name}.{part}"]) for part in ("weight", "bias")
    )
    return lambda rows: graph.add("Gemm", rows, weight, bias, name="linear", transB=1)


def dense(graph: GraphBuilder, name: str, activation: ActivationName, tensors: Tensors) -> Layer:
    """The linear layer of that name, and an activation."""
    layer = linear(graph, name, tensors)
    return lambda rows: ACTIVATIONS[activation](graph, layer(rows))


def relu(graph: GraphBuilder, x: str) -> str:
    """``max(x, 0)``."""
    return graph.add("Relu", x)


def tanh(graph: GraphBuilder, x: str) -> str:
    """The hyperbolic tangent."""
    return graph.add("Tanh", x)


def gelu(graph: GraphBuilder, x: str) -> str:
    """``x * (1 + erf(x / sqrt(2))) / 2``; the operator Gelu is of opset 20."""
    inner = graph.add("Mul", x, _scalar(math.sqrt(0.5)), name="gelu_inner")
    twice = graph.add("Add", graph.add("Erf", inner), _scalar(1.0), name="gelu_twice")
    half = graph.add("Mul", x, _scalar(0.5), name="gelu_half")
    return graph.add("Mul", half, twice, name="gelu")


ACTIVATIONS: dict[ActivationName, Callable[[GraphBuilder, str], str]] = {
    "relu": relu,
    "tanh": tanh,
    "gelu": gelu,
}


def on_steps(graph: GraphBuilder, rows: str, width: int, layer: Layer) -> str:
    """A layer from rows (N, W) to (N, width), on rows (T, B, W)."""
    shape = graph.add("Slice", graph.add("Shape", rows, name="shape"), [0], [2], name="steps")
    flat = graph.add("Flatten", rows, axis=2, name="flat")
    whole = graph.add("Concat", shape, [width], axis=0, name="whole_shape")
    return graph.add("Reshape", layer(flat), whole, name="rows")


def time_first(graph: GraphBuilder, tensor: str, rank: int = 2) -> str:
    """From (B, T, ...) to (T, B, ...), and back."""
    return graph.add("Transpose", tensor, perm=[1, 0, 2][:rank], name="swapped")


def looked_up(graph: GraphBuilder, weight: str, numbers: str, tensors: Tensors, name: str) -> str:
    """The rows of a table of the model that have these numbers."""
    table = graph.constant(weight, tensors[weight])
    return graph.add("Gather", table, numbers, axis=0, name=name)


def at_least_one(
    graph: GraphBuilder, tensor: str, rank: int, dtype: npt.DTypeLike = np.int64
) -> str:
    """The tensor, padded with 0 to one sequence of one step where there is none."""
    with graph.scope(tensor):
        sizes = graph.add("Shape", tensor, name="shape")
        missing = graph.add("Sub", [1] * rank, sizes, name="missing")
        after = graph.add("Max", missing, [0], name="at_least_0")
        pads = graph.add("Concat", [0] * rank, after, axis=0, name="pads")
        return graph.add("Pad", tensor, pads, np.zeros((), dtype), name="padded")


def step_numbers(graph: GraphBuilder, rows: str) -> str:
    """Numbers of the steps of rows (T, B, ...), (T, 1)."""
    steps = graph.add(
        "Gather", graph.add("Shape", rows, name="shape"), np.array(0), axis=0, name="steps"
    )
    numbers_T = graph.add("Range", np.array(0), steps, np.array(1), name="step_numbers")
    return graph.add("Unsqueeze", numbers_T, [1], name="step_numbers_T1")


def _scalar(value: float) -> Array:
    return np.array(value, np.float32)
