"""An ONNX graph as a list of layers: one chain of operators from the input to the scores.

Rows are followed through the graph with what each of their axes is, so that a transposition or a
reshape is understood and not trusted: a reshape that would mix steps, sequences or halves is
refused.
"""

# T steps, B sequences, D inputs, S directions, H hidden units, V items

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from birnn.bundle.conventions import matching
from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import (
    Activation,
    Array,
    Embedding,
    Layer,
    Normalisation,
    Pool,
    PoolName,
    Recurrent,
    faults_named,
    linear,
    wide,
)

Axes = tuple[str, ...]
"""What the axes of rows are: of B, T, S and W, the values of a row; ids have no W."""

RECURRENT = ("LSTM", "GRU", "RNN")
OUTPUT = {"Y": ("T", "S", "B", "W"), "Y_h": ("S", "B", "W")}
# Operators that only ask for shapes, or are nothing when a model predicts.
SIDE, SAME = ("Shape", "Size"), ("Identity", "Dropout", "Cast")
FUNCTIONS = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
    "Gelu": "gelu",
}


@dataclass
class Node:
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

    nodes: list[Node]
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
        count = 2 if layers[0] and layers[0].attributes.get("direction") == "bidirectional" else 1
        place = int(index) % (count * len(layers))
        node.inputs[0] = joined.inputs[place // count]
        number = f"{node.outputs[0]}/number"
        constants[number], node.inputs[1] = np.array(place % count), number
    kept, pending = set(), list(graph.outputs)
    while pending:
        maker = makers.get(pending.pop())
        if maker is not None and id(maker) not in kept:
            kept.add(id(maker))
            pending += maker.inputs
    nodes = [node for node in graph.nodes if id(node) in kept]
    return Graph(nodes, constants, graph.inputs, graph.outputs)


def onnx_layers(graph: Graph) -> list[Layer]:
    """The layers of a graph, in the order in which data passes through them.

    Raises:
        ConversionError: An operator that has no counterpart, or operators that are no chain.
        ShapeError: Shapes that disagree.
    """
    with faults_named("the graph is damaged, or has operators with inputs or attributes of others"):
        return list(_Walk(pruned(graph)).layers())


# ---------------------------------------------------------------------- following rows


class _Walk:
    """Follows rows from the input of a graph through the operators that read them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.constants = dict(graph.constants)
        self.readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in filter(None, dict.fromkeys(node.inputs)):
                self.readers.setdefault(name, []).append(node)
        self.known = self._of_shapes()
        self.axes: Axes = ()
        self.name = ""
        self.both = False  # whether the last recurrent layer has two directions

    def _of_shapes(self) -> set[str]:
        """Names that do not depend on the values of the input: constants and shapes."""
        known = set(self.constants)
        for node in self.graph.nodes:
            if node.kind in SIDE or all(not name or name in known for name in node.inputs):
                known.update(node.outputs)
                if node.kind == "Constant":
                    self.constants[node.outputs[0]] = np.asarray(_constant(node))
                elif node.kind in SAME and node.inputs[0] in self.constants:
                    self.constants[node.outputs[0]] = self.constants[node.inputs[0]]
        return known

    def layers(self) -> Iterator[Layer]:
        """The layers, one operator after another."""
        self.name, self.axes = self._start()
        yield from self._embedding()
        while True:
            readers = [
                node for node in self.readers.get(self.name, ())
                if node.kind not in SIDE and not set(node.outputs) <= self.known
            ]  # fmt: skip
            if not readers:
                break
            if self._erf(readers):
                yield Activation(str(readers[0]), "gelu")
                continue
            if len(readers) > 1:
                yield from self._beside(readers)
                continue
            [node] = readers
            if node.kind not in READERS:
                known = ", ".join(sorted({*READERS, *SAME}))
                raise ConversionError(
                    f"{node}: birnn has no counterpart of ONNX' {node.kind} here. It has those of "
                    f"{known}. Export the model without it, or compute it outside."
                )
            yield from READERS[node.kind](self, node)
        if self.name not in self.graph.outputs:
            raise ConversionError(f"{self.name}: the rows of the graph end here, at no output.")

    def _start(self) -> tuple[str, Axes]:
        """The input that holds the sequences, and its axes."""
        lengths = {
            node.inputs[4] for node in self.graph.nodes
            if node.kind in RECURRENT and len(node.inputs) > 4
        }  # fmt: skip
        reading = {
            name: rank for name, rank in self.graph.inputs.items()
            if rank in (2, 3) and name not in lengths
            and any(node.kind not in SIDE for node in self.readers.get(name, ()))
        }  # fmt: skip
        if len(reading) > 1:  # initial states are inputs too
            states = {
                name for node in self.graph.nodes if node.kind in RECURRENT
                for name in node.inputs[5:]
            }  # fmt: skip
            if states & reading.keys():
                raise ConversionError(
                    f"{', '.join(sorted(states & reading.keys()))}: initial states are inputs of "
                    "the graph, birnn's models begin at zero. Export the model without them."
                )
        if len(reading) != 1:
            listed = ", ".join(self.graph.inputs) or "none"
            raise ConversionError(
                f"the graph has {len(reading)} inputs of sequences, (batch, steps) or (batch, "
                f"steps, channels), needed is one; its inputs are {listed}."
            )
        [(name, rank)] = reading.items()
        return name, ("?", "?", "W")[:rank]

    def _embedding(self) -> Iterator[Layer]:
        """The table that ids are looked up in, where the input has ids."""
        if len(self.axes) == 3:
            return
        while True:
            [node] = self._only_reader("ids are read")
            if node.kind in (*SAME, "Transpose"):
                if node.kind == "Transpose":
                    self.axes = self.axes[::-1]
                self.name = node.outputs[0]
                continue
            if node.kind != "Gather" or node.inputs[0] not in self.constants:
                raise ConversionError(f"{node}: ids are needed in an embedding (Gather) alone.")
            table = self.constants[node.inputs[0]]
            if table.ndim != 2 or node.attributes.get("axis", 0) != 0:
                raise ShapeError(f"{node}: its table has shape {table.shape}, needed: (V, D).")
            self.name, self.axes = node.outputs[0], (*self.axes, "W")
            yield Embedding(node.inputs[0], table, padded=not table[0].any())
            return

    def _only_reader(self, what: str) -> list[Node]:
        readers = [n for n in self.readers.get(self.name, ()) if n.kind not in SIDE]
        if len(readers) != 1:
            raise ConversionError(f"{self.name}: {what} by {len(readers)} operators, not by one.")
        return readers

    def array(self, node: Node, number: int) -> Array | None:
        """A constant that an operator reads; None where it is left out.

        Raises:
            ConversionError: It is no constant.
        """
        name = node.inputs[number] if number < len(node.inputs) else ""
        if not name:
            return None
        if name not in self.constants:
            raise ConversionError(f"{node}: its input {name} is computed, it must be a constant.")
        return self.constants[name]

    def other(self, node: Node) -> Array:
        """The constant of an operator of two inputs, one of which is the rows."""
        found = self.array(node, 1 if node.inputs[0] == self.name else 0)
        assert found is not None
        return found

    def _erf(self, readers: Sequence[Node]) -> bool:
        """Whether the rows go through ``x * (1 + erf(x / sqrt(2))) / 2``; if so, steps past it."""
        if sorted(node.kind for node in readers) not in (["Div", "Mul"], ["Mul", "Mul"]):
            return False
        for node, other in (readers, readers[::-1]):
            chain = self._chain(node, ("Erf", "Add", "Mul"))
            if chain is None:
                continue
            scale, (_, plus, last) = self._factor(node), chain
            half = other
            if other is last:  # halved after the product, not before
                after = self._chain(last, ("Mul",))
                if after is None:
                    continue
                [half] = [last] = after
            factors = (scale, self._factor(plus), self._factor(half))
            if np.allclose(factors, (np.sqrt(0.5), 1.0, 0.5), rtol=1e-5):
                self.name = last.outputs[0]
                return True
        return False

    def _chain(self, node: Node, kinds: Sequence[str]) -> list[Node] | None:
        """The operators after one, each the only reader of the one before; None for others."""
        found = []
        for kind in kinds:
            readers = self.readers.get(node.outputs[0], [])
            if len(readers) != 1 or readers[0].kind != kind:
                return None
            node = readers[0]
            found.append(node)
        return found

    def _factor(self, node: Node) -> float:
        """The number that an operator adds or multiplies by; NaN where it has none."""
        held = [self.constants[name] for name in node.inputs if name in self.constants]
        if len(held) != 1 or held[0].size != 1:
            return float("nan")
        number = float(held[0].reshape(()))
        return 1 / number if node.kind == "Div" and number else number

    def _beside(self, readers: Sequence[Node]) -> Iterator[Layer]:
        """What stands side by side and is concatenated: poolings, or the two final states."""
        joined = {
            after.outputs[0]: after
            for node in readers for after in self.readers.get(node.outputs[0], ())
        }  # fmt: skip
        kinds = {node.kind for node in readers}
        if len(joined) != 1 or not (kinds <= POOLS.keys() or kinds == {"Gather"}):
            names = ", ".join(map(str, readers))
            raise ConversionError(
                f"{self.name}: it is read by {len(readers)} operators ({names}), birnn's models "
                "are chains."
            )
        [end] = joined.values()
        order = [next(n for n in readers if n.outputs[0] == name) for name in end.inputs]
        if end.kind != "Concat" or end.attributes["axis"] not in (-1, 1):
            raise ConversionError(f"{end}: what stands side by side is concatenated, not this.")
        if kinds == {"Gather"}:
            halves = [self.array(node, 1) for node in order]
            if self.axes != OUTPUT["Y_h"] or [int(n) % 2 for n in halves if n is not None] != [
                0,
                1,
            ]:
                raise ConversionError(f"{end}: it does not concatenate the two final states.")
        else:
            yield Pool(str(end), tuple(_pool_of(self, node) for node in order))
        self.name, self.axes = end.outputs[0], ("B", "W")


def _constant(node: Node) -> Any:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node.attributes:
            return node.attributes[key]
    raise ConversionError(f"{node}: it has no value that birnn reads.")


# ---------------------------------------------------------------------- operators


def _same(walk: _Walk, node: Node) -> Iterator[Layer]:
    walk.name = node.outputs[0]
    yield from ()


def _function(walk: _Walk, node: Node) -> Iterator[Layer]:
    function = FUNCTIONS[node.kind]
    if function == "softmax" and node.attributes.get("axis", -1) not in (-1, len(walk.axes) - 1):
        raise ConversionError(f"{node}: its axis is {node.attributes['axis']}, not that of labels.")
    if function == "gelu" and node.attributes.get("approximate", "none") not in ("none", b"none"):
        raise ConversionError(f"{node}: birnn's GELU is exact, this one is approximated.")
    walk.name = node.outputs[0]
    yield Activation(str(node), function)


def _transpose(walk: _Walk, node: Node) -> Iterator[Layer]:
    order = node.attributes.get("perm", list(range(len(walk.axes)))[::-1])
    walk.name, walk.axes = node.outputs[0], tuple(walk.axes[axis] for axis in order)
    yield from ()


def _squeeze(walk: _Walk, node: Node) -> Iterator[Layer]:
    """The axis of directions, where there is one direction."""
    axes = node.attributes.get("axes")
    if axes is None:
        given = walk.array(node, 1)
        axes = [] if given is None else given.tolist()
    if [walk.axes[axis] for axis in axes] != ["1"]:
        raise ConversionError(f"{node}: it drops axes {axes}, which are not those of a direction.")
    walk.name = node.outputs[0]
    walk.axes = tuple(axis for axis in walk.axes if axis != "1")
    yield from ()


def _reshape(walk: _Walk, node: Node) -> Iterator[Layer]:
    """The two halves of each row side by side: the axes of directions and units become one."""
    shape = walk.array(node, 1) if node.inputs[1] in walk.constants else None
    rank = None if shape is None else len(shape)
    if walk.axes[-2:] in (("S", "W"), ("1", "W")) and rank in (None, len(walk.axes) - 1):
        walk.name, walk.axes = node.outputs[0], (*walk.axes[:-2], "W")
    elif rank == len(walk.axes):
        walk.name = node.outputs[0]  # the same axes with their sizes written out
    else:
        raise ConversionError(
            f"{node}: it makes one of axes {', '.join(walk.axes)} that birnn keeps apart (S: "
            "halves, T: steps, B: sequences, W: values of a row)."
        )
    yield from ()


def _matmul(walk: _Walk, node: Node) -> Iterator[Layer]:
    matrix = walk.array(node, 1)
    if matrix is None or matrix.ndim != 2 or walk.axes[-1] != "W":
        raise ConversionError(f"{node}: it is no product of rows and a constant matrix.")
    walk.name = node.outputs[0]
    bias = None
    after = walk.readers.get(walk.name, [])
    if len(after) == 1 and after[0].kind == "Add":
        bias = walk.other(after[0])
        if bias.shape != matrix.shape[1:]:
            raise ShapeError(f"{after[0]}: {bias.shape} is no bias of a matrix {matrix.shape}.")
        walk.name = after[0].outputs[0]
    yield linear(str(node), matrix.T, bias)


def _gemm(walk: _Walk, node: Node) -> Iterator[Layer]:
    matrix, bias = walk.array(node, 1), walk.array(node, 2)
    own = node.attributes
    if matrix is None or matrix.ndim != 2 or own.get("transA"):
        raise ConversionError(f"{node}: it is no product of rows and a constant matrix.")
    weight = (matrix if own.get("transB") else matrix.T) * own.get("alpha", 1.0)
    if bias is not None:
        bias = np.broadcast_to(bias, (len(weight),)) * own.get("beta", 1.0)
    walk.name = node.outputs[0]
    yield linear(str(node), weight, bias)


def _normalisation(walk: _Walk, node: Node) -> Iterator[Layer]:
    arrays = [walk.array(node, number) for number in range(1, 5)]
    if any(each is None or each.ndim != 1 for each in arrays) or walk.axes[1] != "W":
        raise ConversionError(f"{node}: it does not normalise the values of rows (axis 1).")
    gamma, beta, mean, variance = (wide(each) for each in arrays if each is not None)
    deviation = np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    walk.name = node.outputs[0]
    yield Normalisation(str(node), mean, deviation, gamma, beta)


def _gather(walk: _Walk, node: Node) -> Iterator[Layer]:
    """The final state of the one direction, or the last of its rows, which is the same."""
    index, axis = walk.array(node, 1), walk.axes[node.attributes.get("axis", 0)]
    if index is None or index.size != 1 or axis not in ("1", "T"):
        raise ConversionError(f"{node}: it takes a part of the rows that birnn's models do not.")
    if axis == "T":
        if "S" in walk.axes or int(index) != -1 or walk.both:
            raise ConversionError(
                f"{node}: it takes the rows of one step. The last row of two directions is no "
                "final state: there the backward half has read one step. Export a model that "
                "reads the final states."
            )
        yield Pool(str(node), ("last",))
    walk.name = node.outputs[0]
    walk.axes = tuple(each for each in walk.axes if each != axis)


def _pool(walk: _Walk, node: Node) -> Iterator[Layer]:
    part = _pool_of(walk, node)
    walk.name = node.outputs[0]
    walk.axes = ("B", "W")
    yield Pool(str(node), (part,))


def _pool_of(walk: _Walk, node: Node) -> PoolName:
    axes = node.attributes.get("axes")
    if axes is None:
        given = walk.array(node, 1)
        axes = [] if given is None else given.tolist()
    if [walk.axes[axis] for axis in axes] != ["T"] or node.attributes.get("keepdims", 1):
        raise ConversionError(f"{node}: it reduces axes {axes}, needed is that of the steps.")
    return POOLS[node.kind]


def _recurrent(walk: _Walk, node: Node) -> Iterator[Layer]:
    """A recurrent layer; which of its outputs is read decides what it gives."""
    first = ("B", "T", "W") if node.attributes.get("layout") else ("T", "B", "W")
    if any(was not in (axis, "?") for was, axis in zip(walk.axes, first, strict=True)):
        raise ConversionError(
            f"{node}: it reads axes {', '.join(walk.axes)}, needed are {', '.join(first)}."
        )
    settings = dict(node.attributes) | {"peepholes": len(node.inputs) > 7 and bool(node.inputs[7])}
    direction = settings.pop("direction", "forward")
    if direction == "reverse":
        raise ConversionError(
            f"{node}: it reads backwards alone, birnn's layers read forwards or both ways."
        )
    both = direction == "bidirectional"
    for name in filter(None, node.inputs[5:7]):
        _check_zero(walk, node, name)
    if node.kind == "GRU":
        settings.setdefault("linear_before_reset", 0)
    activations = settings.pop("activations", None)
    if activations is not None:
        half = len(activations) // (2 if both else 1)
        names = tuple(str(a.decode() if isinstance(a, bytes) else a) for a in activations)
        if both and names[:half] != names[half:]:
            raise ConversionError(f"{node}: its two directions have other activations.")
        settings["activations"] = names[:half]
    row = matching("onnx", node.kind, settings, where=str(node))
    arrays = {"W": walk.array(node, 1), "R": walk.array(node, 2), "B": walk.array(node, 3)}
    held = {name: array for name, array in arrays.items() if array is not None}
    count = 2 if both else 1
    if any(len(array) != count for array in held.values()):
        raise ConversionError(
            f"{node}: the reverse direction is missing: its arrays are of "
            f"{', '.join(str(len(a)) for a in held.values())} directions, it has {count}."
        )
    halves = tuple(
        row.back({name: array[number] for name, array in held.items()}, where=str(node))
        for number in range(count)
    )
    read = [name for name in node.outputs[:2] if name and _read(walk, name)]
    if len(read) != 1:
        raise ConversionError(
            f"{node}: its rows and its final states are read both, birnn's models are chains."
            if read
            else f"{node}: nothing reads its rows or final states."
        )
    final = read[0] == (node.outputs[1] if len(node.outputs) > 1 else None)
    axes = OUTPUT["Y_h" if final else "Y"]
    if node.attributes.get("layout"):
        axes = ("B", "S", "W") if final else ("B", "T", "S", "W")
    walk.name, walk.both = read[0], both
    walk.axes = tuple("1" if axis == "S" and not both else axis for axis in axes)
    yield Recurrent(str(node), row.cell, halves, final=final)  # type: ignore[arg-type]


def _read(walk: _Walk, name: str) -> bool:
    return name in walk.graph.outputs or any(n.kind not in SIDE for n in walk.readers.get(name, ()))


def _check_zero(walk: _Walk, node: Node, name: str) -> None:
    """Refuse initial states that are not zero: constants, or zeros of some shape."""
    makers = {output: each for each in walk.graph.nodes for output in each.outputs}
    pending = [name]
    while pending:
        at = pending.pop()
        maker = makers.get(at)
        if at in walk.constants:
            if np.any(walk.constants[at]):
                raise ConversionError(
                    f"{node}: its initial state is not zero, birnn's models begin at zero."
                )
        elif maker is not None and maker.kind == "ConstantOfShape":
            if np.any(maker.attributes.get("value", 0)):
                raise ConversionError(f"{node}: its initial state is not zero.")
        elif maker is not None and maker.kind in {"Expand", "Slice", "Gather", "Transpose", *SAME}:
            pending.append(maker.inputs[0])
        elif maker is not None and maker.kind in {"Concat", "Split"}:
            pending += maker.inputs if maker.kind == "Concat" else maker.inputs[:1]
        else:
            raise ConversionError(
                f"{node}: its initial state {name} is computed from {at}, birnn's models begin at "
                "zero."
            )


POOLS: dict[str, PoolName] = {"ReduceMax": "max", "ReduceMean": "mean"}

READERS: dict[str, Callable[[_Walk, Node], Iterator[Layer]]] = {
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(FUNCTIONS, _function),
    **dict.fromkeys(RECURRENT, _recurrent),
    **dict.fromkeys(POOLS, _pool),
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Gather": _gather,
    "Reshape": _reshape,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "BatchNormalization": _normalisation,
}
"""Of each operator, how it is read."""
