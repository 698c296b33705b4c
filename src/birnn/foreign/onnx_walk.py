"""Rows followed through an ONNX graph, with what each of their axes is."""

# T steps, B sequences, D inputs, S directions, H hidden units, V items

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import Activation, Array, Embedding, Layer, Pool, PoolName
from birnn.foreign.onnx_graph import POOLS, RECURRENT, SAME, SIDE, Graph, Operator, constant_of

Axes = tuple[str, ...]
"""What the axes of rows are: of B, T, S and W, the values of a row; ids have no W."""

Readers = Mapping[str, Callable[["Walk", Operator], Iterator[Layer]]]

OUTPUT: dict[str, Axes] = {"Y": ("T", "S", "B", "W"), "Y_h": ("S", "B", "W")}


# Numbers of ONNX' types of floating point: float, float16, double, bfloat16.
FLOATING = (1, 10, 11, 16)


def keeps_fractions(node: Operator) -> bool:
    """Whether a Cast gives numbers of floating point, which are what they were but for rounding."""
    return node.attributes.get("to") in FLOATING


class Walk:
    """Follows rows from the input of a graph through the operators that read them.

    Args:
        graph: The graph.
        table: How each operator is read: it gives layers, and moves the walk on.
    """

    def __init__(self, graph: Graph, table: Readers) -> None:
        self.graph, self._table = graph, table
        self.constants = dict(graph.constants)
        self.makers = {output: node for node in graph.nodes for output in node.outputs}
        self.readers: dict[str, list[Operator]] = {}
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
                    self.constants[node.outputs[0]] = np.asarray(constant_of(node))
                elif node.kind in SAME and node.inputs[0] in self.constants:
                    held = self.constants[node.inputs[0]]
                    if node.kind != "Cast" or held.dtype.kind != "f" or keeps_fractions(node):
                        self.constants[node.outputs[0]] = held
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
            if node.kind not in self._table:
                known = ", ".join(sorted({*self._table, *SAME}))
                raise ConversionError(
                    f"{node}: birnn has no counterpart of ONNX' {node.kind} here. It has those of "
                    f"{known}. Export the model without it, or compute it outside."
                )
            yield from self._table[node.kind](self, node)
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

    def _only_reader(self, what: str) -> list[Operator]:
        readers = [n for n in self.readers.get(self.name, ()) if n.kind not in SIDE]
        if len(readers) != 1:
            raise ConversionError(f"{self.name}: {what} by {len(readers)} operators, not by one.")
        return readers

    def array(self, node: Operator, number: int) -> Array | None:
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

    def other(self, node: Operator) -> Array:
        """The constant of an operator of two inputs, one of which is the rows."""
        found = self.array(node, 1 if node.inputs[0] == self.name else 0)
        assert found is not None
        return found

    def _erf(self, readers: Sequence[Operator]) -> bool:
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

    def _chain(self, node: Operator, kinds: Sequence[str]) -> list[Operator] | None:
        """The operators after one, each the only reader of the one before; None for others."""
        found = []
        for kind in kinds:
            readers = self.readers.get(node.outputs[0], [])
            if len(readers) != 1 or readers[0].kind != kind:
                return None
            node = readers[0]
            found.append(node)
        return found

    def _factor(self, node: Operator) -> float:
        """The number that an operator adds or multiplies by; NaN where it has none."""
        held = [self.constants[name] for name in node.inputs if name in self.constants]
        if len(held) != 1 or held[0].size != 1:
            return float("nan")
        number = float(held[0].reshape(()))
        return 1 / number if node.kind == "Div" and number else number

    def _beside(self, readers: Sequence[Operator]) -> Iterator[Layer]:
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
            numbers = [int(number) for number in halves if number is not None]
            across = any(node.attributes.get("axis", 0) for node in order)
            if self.axes != OUTPUT["Y_h"] or across or numbers not in ([0, 1], [-2, -1]):
                raise ConversionError(f"{end}: it does not concatenate the two final states.")
        else:
            yield Pool(str(end), tuple(self.pooling(node) for node in order))
        self.name, self.axes = end.outputs[0], ("B", "W")

    def pooling(self, node: Operator) -> PoolName:
        """Which pooling over the steps a reduction is."""
        axes = node.attributes.get("axes")
        if axes is None:
            given = self.array(node, 1)
            axes = [] if given is None else given.tolist()
        if [self.axes[axis] for axis in axes] != ["T"] or node.attributes.get("keepdims", 1):
            raise ConversionError(f"{node}: it reduces axes {axes}, needed is that of the steps.")
        return POOLS[node.kind]
