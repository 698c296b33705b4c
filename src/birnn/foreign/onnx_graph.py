"""An ONNX graph as plain data: operators, constants, inputs, outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from birnn.errors import ConversionError, FormatError
from birnn.foreign.layers import Array, PoolName

RECURRENT = ("LSTM", "GRU", "RNN")
POOLS: dict[str, PoolName] = {"ReduceMax": "max", "ReduceMean": "mean"}
# Operators that only ask for shapes, or are nothing when a model predicts.
SIDE, SAME = ("Shape", "Size"), ("Identity", "Dropout", "Cast")


@dataclass
class Operator:
    """An operator.

    Args:
        kind: Its name in ONNX.
        name: Its own name.
        inputs: Names of what it reads; empty for an optional one that is left out.
        outputs: Names of what it gives.
        attributes: Its attributes, arrays as arrays.
    """

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name or self.outputs[0]} ({self.kind})"


@dataclass
class Graph:
    """A graph.

    Args:
        nodes: Its operators, each after those that it reads.
        constants: Arrays by name.
        inputs: Names of its inputs, without constants, and the rank of each.
        outputs: Names of its outputs.
    """

    nodes: list[Operator]
    constants: dict[str, Array]
    inputs: dict[str, int]
    outputs: list[str]


def pruned(graph: Graph) -> Graph:
    """The operators that outputs depend on, final states taken from the layer that has them.

    Several layers' final states are one array in torch, a slice of which is read.
    """
    makers = {output: node for node in graph.nodes for output in node.outputs}
    constants = dict(graph.constants)
    for node in graph.nodes:
        if node.kind == "Constant" and "value" in node.attributes:
            constants[node.outputs[0]] = np.asarray(node.attributes["value"])
    for node in graph.nodes:
        joined = makers.get(node.inputs[0]) if node.kind == "Gather" else None
        if joined is None or joined.kind != "Concat" or joined.attributes.get("axis") != 0:
            continue
        layers = [makers.get(name) for name in joined.inputs]
        index = constants.get(node.inputs[1])
        if index is None or not all(layer and layer.kind in RECURRENT for layer in layers):
            continue
        places = [
            (name, number)
            for name, layer in zip(joined.inputs, layers, strict=True)
            if layer
            for number in range(1 + (layer.attributes.get("direction") == "bidirectional"))
        ]
        node.inputs[0], own = places[int(index)]
        number = f"{node.outputs[0]}/number"
        constants[number], node.inputs[1] = np.array(own), number
    kept, pending = set(), list(graph.outputs)
    while pending:
        maker = makers.get(pending.pop())
        if maker is not None and id(maker) not in kept:
            kept.add(id(maker))
            pending += maker.inputs
    nodes = [node for node in graph.nodes if id(node) in kept]
    return Graph(nodes, constants, graph.inputs, graph.outputs)


def check_order(graph: Graph) -> None:
    """Refuse a graph whose operators do not stand after what they read, or give a name twice.

    Raises:
        FormatError: It is such a graph, which the standard forbids.
    """
    known = {*graph.constants, *graph.inputs}
    for node in graph.nodes:
        missing = [name for name in node.inputs if name and name not in known]
        if missing:
            raise FormatError(
                f"{node}: it reads {missing[0]}, which nothing before it gives. Export it again."
            )
        given = [name for name in node.outputs if name]
        if twice := known.intersection(given):
            raise FormatError(
                f"{node}: it gives {twice.pop()}, which is there already. Export it again."
            )
        known.update(given)
    missing = [name for name in graph.outputs if name not in known]
    if missing or not graph.outputs:
        what = f"its output {missing[0]} is given by no operator" if missing else "it has no output"
        raise FormatError(f"the graph is damaged: {what}. Export it again.")


def constant_of(node: Operator) -> Any:
    """The value of a constant."""
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node.attributes:
            return node.attributes[key]
    raise ConversionError(f"{node}: it has no value that birnn reads.")
