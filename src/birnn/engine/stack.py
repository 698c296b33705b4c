"""Stacks of recurrent layers on the engine in use: the compiled kernels, or the reference."""

# N rows of all sequences, B sequences, S states of all layers and directions, D inputs, H hidden
# units

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.engine.arrays import RowLayout, precision_number
from birnn.engine.layer_checks import InferenceWeights
from birnn.engine.linear import Linear
from birnn.engine.packed_weights import InputProducts, PackedWeights, input_products, pack
from birnn.engine.recurrent import forward_packed
from birnn.engine.stack_checks import check_parameters, parameter_faults, row_faults, state_faults
from birnn.errors import ShapeError
from birnn.ragged import Ragged
from birnn.reference import bidirectional
from birnn.reference.bidirectional import Outcome, StackState
from birnn.reference.merge import MERGES
from birnn.reference.products import precision_of, rows_dtype
from birnn.reference.stack import Stack

Array = npt.NDArray[Any]
Parameters = Mapping[str, Any]
"""Arrays by their names; weights may be matrices of low precision (`birnn.reference.Matrix`)."""

TABLE_MEMORY = 64 << 20
"""Bytes of prepared rows that a `TableStack` keeps at most."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRows:
    """Distinct rows as the first layer of a stack reads them: the part that depends on no state.

    With a compiled engine these are their products with the layer's weights, in front of the rows
    themselves where the layer adds its input to its output; with the reference the rows alone.

    Args:
        engine: The engine that reads them.
        values: One for each row, (F, P).
    """

    engine: str
    values: Array


class PackedStack:
    """A stack with parameters that stay as they are, packed once for many runs.

    Args:
        parameters: Arrays by the names and shapes of ``stack.shapes()``, of one dtype; or weights
            of one low precision, and biases in float32. They must not be changed afterwards.
        stack: Settings of the stack.

    Raises:
        ShapeError: A name, shape or dtype that does not fit; all of them are named at once.

    Example:
        >>> stack = Stack("gru", 2, 3)
        >>> parameters = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
        >>> packed = PackedStack(parameters, stack)
        >>> packed.run(Ragged(np.ones((2, 2)), np.array([2]))).final.shape
        (1, 6)
    """

    def __init__(self, parameters: Parameters, stack: Stack) -> None:
        check_parameters(parameters, stack)
        self._stack = stack
        self._parameters = dict(parameters)
        first = parameters["weight_ih_l0"]
        self._dtype, self._precision = rows_dtype(first), precision_of(first)
        self._number = precision_number(self._precision, self._dtype)
        self._packed: list[PackedWeights] = []
        layers = range(stack.num_layers)
        self._merges = [_merge(parameters, layer, stack) for layer in layers]
        self._states = [stack.states_of(layer) for layer in layers]
        self._adds_input = [stack.adds_input(layer) for layer in layers]

    @property
    def engine(self) -> str:
        """The engine that prepared rows are for.

        Raises:
            EngineError: ``BIRNN_ISA`` asks for one that is not here.
        """
        return isa.active(self._precision).name

    def prepare(self, rows: Array) -> PreparedRows:
        """Distinct rows (F, D) as `run` reads them where their numbers stand for them.

        Each one's bits are the same whatever stands beside it, so it may be kept: a word's product
        with the first layer's weights is formed but once.

        Raises:
            ShapeError: Rows of another width or dtype.
            EngineError: ``BIRNN_ISA`` asks for an engine that is not here.

        Example:
            >>> stack = Stack("gru", 2, 3)
            >>> parameters = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
            >>> packed = PackedStack(parameters, stack)
            >>> table = packed.prepare(np.eye(2))
            >>> x = Ragged(np.array([0, 1, 1]), np.array([2, 1]))
            >>> packed.run(x, table=table).output.values.shape
            (3, 6)
        """
        faults = row_faults(rows, self._stack, self._dtype)
        if faults:
            raise ShapeError("; ".join(faults))
        engine = self._selected()
        if engine == isa.REFERENCE:
            return PreparedRows(engine, rows)
        packed = self._pack(engine)[0]
        products = input_products(packed, rows).values
        if self._adds_input[0]:
            products = np.concatenate([products, rows], axis=1)
        return PreparedRows(packed.engine, products)

    @classmethod
    def of(cls, tensors: Parameters, prefix: str, stack: Stack) -> PackedStack:
        """The stack whose parameters are ``prefix.weight_ih_l0`` ... among a model's tensors."""
        return cls({name: tensors[f"{prefix}.{name}"] for name in stack.shapes()}, stack)

    def run(
        self,
        x: Ragged[Array],
        initial: StackState | None = None,
        *,
        table: PreparedRows | None = None,
    ) -> Outcome:
        """Run the stack over a ragged batch.

        Args:
            x: Batch of rows (N, D), of the parameters' dtype; with ``table`` of row numbers (N,).
            initial: Initial states (S, B, H); zeros where it is None.
            table: Distinct rows, by `prepare`. It runs on the engine that they are for, whatever
                another thread has chosen meanwhile.

        Returns:
            The last layer's rows, halves and final states.

        Raises:
            ShapeError: A shape or dtype that does not fit.
            ValueError: A number that no row has.
            EngineError: ``BIRNN_ISA`` asks for an engine that is not here.
        """
        faults = [] if table is not None else row_faults(x.values, self._stack, self._dtype)
        if initial is not None:
            faults += state_faults(len(x), self._dtype, self._stack, initial)
        if faults:
            raise ShapeError("; ".join(faults))
        engine = self._selected() if table is None else table.engine
        if engine != isa.REFERENCE:
            return self._run_native(x, initial, table, self._pack(engine))
        if table is not None:
            x = x.map(table.values.__getitem__)
        return bidirectional.run(x, self._parameters, self._stack, initial)

    # NaN and overflow stay in the sequence that has them; they are its answer, not a fault.
    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def _run_native(
        self,
        x: Ragged[Array],
        initial: StackState | None,
        table: PreparedRows | None,
        layers: list[PackedWeights],
    ) -> Outcome:
        """Run the stack on rows, or on the table that row numbers stand for."""
        stack, hidden = self._stack, self._stack.hidden_size
        layout = RowLayout.ragged(x.lengths)
        finals: list[tuple[Array, ...]] = []
        halves: list[Array] = []
        rows_NW, numbers_N = x.values, None
        for layer, packed in enumerate(layers):
            start = None
            if initial is not None:
                start = tuple(part[self._states[layer]] for part in initial.parts)
            given: Array | InputProducts = rows_NW
            if layer == 0 and table is not None:
                given, numbers_N = InputProducts(table.engine, table.values), x.values
            else:
                numbers_N = None
            found = forward_packed(packed, given, layout, start, numbers=numbers_N)
            finals.append(found.final)
            halves = [found.output[:, :hidden], found.output[:, hidden:]][: len(found.final[0])]
            merged_NW = self._merges[layer](found.output, halves)
            if self._adds_input[layer]:
                if numbers_N is not None and table is not None:
                    rows_NW = table.values[numbers_N, -stack.input_size :]
                merged_NW = merged_NW + rows_NW
            rows_NW = merged_NW
        tops_DBH = finals[-1][0]
        beside_BW = tops_DBH.swapaxes(0, 1).reshape(len(x), len(halves) * hidden)
        backward = x.with_values(halves[1]) if len(halves) == 2 else None
        states = finals[0] if len(finals) == 1 else map(np.concatenate, zip(*finals, strict=True))
        return Outcome(
            x.with_values(rows_NW),
            x.with_values(halves[0]),
            backward,
            self._merges[-1](beside_BW, list(tops_DBH)),
            StackState(*states),
        )

    def _selected(self) -> str:
        """The engine that is wanted, asked for once in a call: threads may choose at any time."""
        native = isa.selected_engine(self._precision)
        return isa.REFERENCE if native is None else str(native.engine(self._number))

    def _weights(self, layer: int) -> list[InferenceWeights]:
        return [
            bidirectional.direction_weights(self._parameters, layer, suffix)
            for suffix in self._stack.suffixes(layer)
        ]

    def _pack(self, engine: str) -> list[PackedWeights]:
        """The layers' weights for a compiled engine."""
        # Read once: another thread may put its own there meanwhile.
        packed = self._packed
        if not packed or packed[0].engine != engine:
            self._packed = packed = [
                pack(self._stack.cell, self._weights(layer), engine)
                for layer in range(self._stack.num_layers)
            ]
        return packed


class TableStack:
    """A stack that reads rows of one table by their numbers: letters, symbols that were written.

    Args:
        stack: The stack.
        table: The rows (F, D), which must not be changed afterwards.

    Example:
        >>> stack = Stack("rnn_tanh", 2, 3, bidirectional=False)
        >>> parameters = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
        >>> letters = TableStack(PackedStack(parameters, stack), np.eye(2))
        >>> letters.run(Ragged(np.array([0, 1, 1]), np.array([2, 1]))).final.shape
        (2, 3)
    """

    def __init__(self, stack: PackedStack, table: Array) -> None:
        self._stack = stack
        self._table = table
        self._prepared: PreparedRows | None = None

    def run(self, numbers: Ragged[Array], initial: StackState | None = None) -> Outcome:
        """Run the stack over the rows that have these numbers; as `PackedStack.run`."""
        # Read once: another thread may put its own there meanwhile.
        prepared = self._prepared
        if prepared is None or prepared.engine != self._stack.engine:
            prepared = self._stack.prepare(self._table[:1])
            if prepared.values.nbytes * len(self._table) <= TABLE_MEMORY:
                prepared = self._stack.prepare(self._table)
            self._prepared = prepared
        if len(prepared.values) < len(self._table):  # only one, where all would be too large
            return self._stack.run(numbers.map(self._table.__getitem__), initial)
        return self._stack.run(numbers, initial, table=prepared)


def run(
    x: Ragged[Array], parameters: Parameters, stack: Stack, initial: StackState | None = None
) -> Outcome:
    """Run a stack of recurrent layers over a ragged batch.

    Args:
        x: Batch of rows (N, D), float32 or float64.
        parameters: Arrays by the names and shapes of ``stack.shapes()``, of x's dtype; or weights
            of one low precision, where rows are float32.
        stack: Settings of the stack.
        initial: Initial states (S, B, H), of x's dtype; zeros where it is None.

    Returns:
        The last layer's rows, halves and final states, in x's dtype. With a compiled engine a
        sequence's answer has the same bits in every batch.

    Raises:
        ShapeError: A name, shape or dtype that does not fit; all of them are named at once.
        EngineError: ``BIRNN_ISA`` asks for an engine that is not here.

    Example:
        >>> stack = Stack("gru", 2, 3)
        >>> parameters = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
        >>> run(Ragged(np.ones((2, 2)), np.array([2])), parameters, stack).output.values.shape
        (2, 6)
    """
    faults = [
        *row_faults(x.values, stack, x.values.dtype),
        *parameter_faults(parameters, stack, x.values.dtype),
        *state_faults(len(x), x.values.dtype, stack, initial),
    ]
    if faults:
        raise ShapeError("; ".join(faults))
    return PackedStack(parameters, stack).run(x, initial)


MergeFunction = Callable[[Array, list[Array]], Array]


def _merge(parameters: Parameters, layer: int, stack: Stack) -> MergeFunction:
    """How a layer's halves become one row: from both side by side, and from each."""
    if stack.directions_of(layer) == 1 or stack.merge == "concat":
        return lambda both, _: both
    if stack.projects(layer):
        name = f"merge_l{layer}"
        project = Linear(parameters[f"{name}.weight"], parameters[f"{name}.bias"])
        return lambda both, _: project(both)
    merge = MERGES[stack.merge]
    return lambda _, halves: merge.forward(halves[0], halves[1], None)
