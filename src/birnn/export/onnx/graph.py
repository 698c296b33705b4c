"""A graph of ONNX operators under construction, and the model made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import require
from birnn.export.feeds import Array

# LSTM, GRU and RNN changed last in 14 (22 adds bfloat16 alone), and all else that is used exists in
# it: the lowest version is the one that most runtimes read. IR 7 is the file format of its time.
OPSET, IR_VERSION = 14, 7

Operand = str | Array | Sequence[int]
"""A tensor by its name, or a constant."""
Dimensions = Sequence[str | int]
"""A shape, with names for the sizes that are known when the graph runs."""


@dataclass(frozen=True, slots=True)
class PlacedOperator:
    """An operator at its place.

    Args:
        operator: Its name in ONNX.
        name: Its name in the graph.
        inputs: Names of the tensors that it reads; "" where an optional one is left out.
        outputs: Names of those that it gives.
        attributes: Its settings.
        reads: All tensors that it needs, those of its body too.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    reads: frozenset[str]


class GraphBuilder:
    """A graph: operators are added in order, each by the names of the tensors that it reads.

    Names are paths (``encoder/layer_0/LSTM``) as `scope` nests them. What no output needs is left
    out of the model, so a layer may offer more than its caller uses.

    Args:
        name: Name of the graph.
        outer: The graph whose body this one is; its constants and names are shared.

    Raises:
        MissingExtra: onnx is not installed.

    Example:
        >>> graph = GraphBuilder("halve")
        >>> x = graph.input("x", np.float32, ["rows"])
        >>> graph.output("y", graph.add("Mul", x, np.array(0.5, np.float32)), np.float32, ["rows"])
        >>> [node.op_type for node in graph.model().graph.node]
        ['Mul', 'Identity']
    """

    def __init__(self, name: str, *, outer: GraphBuilder | None = None) -> None:
        self._onnx = require("onnx", extra="onnx")
        self._name = name
        self._outer = outer
        self._kept: tuple[str, ...] = ()
        self._scopes: list[str] = []
        self._nodes: list[PlacedOperator] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._taken: Counter[str] = Counter() if outer is None else outer._taken
        self._constants: dict[str, Array] = {} if outer is None else outer._constants
        self._small: dict[tuple[Any, ...], str] = {} if outer is None else outer._small

    # ------------------------------------------------------------------ building

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put a name before the names of all that is added."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def input(self, name: str, dtype: npt.DTypeLike, shape: Dimensions) -> str:
        """A tensor that whoever runs the graph gives."""
        self._inputs.append(self._told(name, dtype, shape))
        self._taken[name] += 1
        return name

    def output(self, name: str, tensor: str, dtype: npt.DTypeLike, shape: Dimensions) -> None:
        """A tensor that whoever runs the graph gets."""
        self._append("Identity", [tensor], [name], self._free(f"outputs/{name}"))
        self._outputs.append(self._told(name, dtype, shape))

    def constant(self, name: str, value: Array) -> str:
        """A weight of the model, under its own name, however often it is used."""
        self._constants.setdefault(name, value)
        return name

    def keep(self, *prefixes: str) -> None:
        """Keep weights whose names begin so, though nothing reads them: an import needs them."""
        self._kept = prefixes

    def add(self, operator: str, *inputs: Operand, name: str = "", **attributes: Any) -> str:
        """Add an operator with one output.

        Args:
            operator: Its name in ONNX.
            inputs: What it reads.
            name: Its name in the scope; by default the operator's.
            attributes: Its settings.

        Returns:
            The name of its output.
        """
        [output] = self.add_all(operator, inputs, [""], name=name, **attributes)
        return output

    def add_all(
        self,
        operator: str,
        inputs: Sequence[Operand],
        outputs: Sequence[str],
        *,
        name: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add an operator with several outputs, by their names after its own."""
        path = self._free("/".join([*self._scopes, name or operator]))
        named = [self._free(f"{path}/{output}") if output else path for output in outputs]
        self._append(operator, list(map(self._operand, inputs)), named, path, **attributes)
        return named

    def number_of(self, dtype: npt.DTypeLike) -> int:
        """ONNX's number of a type, as Cast takes it."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def body(self, name: str) -> GraphBuilder:
        """A graph that an operator repeats; it may read the tensors of this one."""
        body = GraphBuilder("/".join([*self._scopes, name]), outer=self)
        body._scopes = [*self._scopes, name]
        return body

    def _append(
        self, operator: str, inputs: list[str], outputs: list[str], name: str, **attributes: Any
    ) -> None:
        reads = set(inputs)
        for value in attributes.values():
            reads |= value._free_reads() if isinstance(value, GraphBuilder) else set()
        node = PlacedOperator(
            operator, name, tuple(inputs), tuple(outputs), attributes, frozenset(reads - {""})
        )
        self._nodes.append(node)

    def _free(self, name: str) -> str:
        """The name, with a number where others have it."""
        self._taken[name] += 1
        return name if self._taken[name] == 1 else self._free(f"{name}_{self._taken[name]}")

    def _operand(self, value: Operand) -> str:
        if isinstance(value, str):
            return value
        array = np.asarray(value) if isinstance(value, np.ndarray) else np.array(value, np.int64)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._small:
            shown = "_".join(str(item) for item in array.ravel()[:4].tolist()) or "none"
            self._small[key] = name = self._free(f"constants/{array.dtype}_{shown}")
            self._constants[name] = array
        return self._small[key]

    def _free_reads(self) -> set[str]:
        """Tensors of outer graphs that this body reads."""
        own = {told.name for told in self._inputs}
        own |= {output for node in self._nodes for output in node.outputs}
        return {read for node in self._nodes for read in node.reads} - own

    # ------------------------------------------------------------------ the result

    def model(self, metadata: Mapping[str, str] | None = None, about: str = "") -> Any:
        """The model (``onnx.ModelProto``).

        Args:
            metadata: Texts that the file keeps beside the graph.
            about: What it is, for its readers.
        """
        from birnn import __version__

        helper = self._onnx.helper
        model = helper.make_model(
            self._proto(),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="birnn",
            producer_version=__version__,
            doc_string=about,
        )
        helper.set_model_props(model, dict(metadata or {}))
        return model

    def _proto(self) -> Any:
        helper, needed = self._onnx.helper, {told.name for told in self._outputs}
        kept: list[Any] = []
        for node in reversed(self._nodes):
            if needed.isdisjoint(node.outputs):
                continue
            needed |= node.reads
            settings = {
                key: value._proto() if isinstance(value, GraphBuilder) else value
                for key, value in node.attributes.items()
            }
            kept.append(
                helper.make_node(
                    node.operator, node.inputs, node.outputs, name=node.name, **settings
                )
            )
        weights = []
        if self._outer is None:
            from_array = self._onnx.numpy_helper.from_array
            weights = [
                from_array(np.array(value, order="C"), name)
                for name, value in self._constants.items()
                if name in needed or name.startswith(self._kept)
            ]
        return helper.make_graph(kept[::-1], self._name, self._inputs, self._outputs, weights)

    def _told(self, name: str, dtype: npt.DTypeLike, shape: Dimensions) -> Any:
        make = self._onnx.helper.make_tensor_value_info
        return make(name, self.number_of(dtype), list(shape))
