"""One recurrent layer of one or two directions, forward and backward, on the compiled kernels.

NumPy arrays in, NumPy arrays out, nothing is copied that stands as the kernels need it. A
sequence's results have the same bits alone and in any batch, in any order, on any number of
threads. `birnn.nn` calls the same functions of the compiled module with torch's tensors.
"""

# R rows of the array, N rows of all sequences, B sequences, D inputs, H hidden units,
# G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.engine.arrays import (
    RowLayout,
    contiguous,
    pooled_empty,
)
from birnn.engine.layer_checks import (
    Array,
    Arrays,
    DirectionWeights,
    InferenceWeights,
    check_call,
    check_engine,
    check_rows,
    expected_states,
    faults,
)
from birnn.engine.packed_weights import CELL_NUMBERS, InputProducts, PackedWeights, pack
from birnn.engine.threads import WorkerThreads, worker_threads
from birnn.errors import ShapeError
from birnn.reference.products import differentiable, precision_of
from birnn.reference.stack import CellName

Keep = Literal["nothing", "gates", "states", "everything"]

KEEP_NUMBERS: dict[Keep, int] = {"nothing": 0, "gates": 1, "states": 2, "everything": 3}


@dataclass(frozen=True, slots=True, eq=False)
class LayerForward:
    """What `forward` gives.

    Args:
        output: Hidden state after each row, the directions side by side, (R, directions * H); rows
            of padding are 0.
        final: (h,), or (h, c) for the LSTM, each (directions, B, H).
        saved: What `backward` needs; None where nothing was to be kept.
    """

    output: Array
    final: Arrays
    saved: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class LayerGradients:
    """Gradients with respect to what `forward` was given, in its shapes.

    Args:
        x: (R, D), rows of padding 0; None where it was not asked for.
        weights: Of each direction; empty where they were not asked for.
        initial: (h,), or (h, c); empty where they were not asked for.
    """

    x: Array | None
    weights: list[DirectionWeights]
    initial: Arrays


def saved_size(
    cell: CellName, rows: int, hidden: int, directions: int, keep: Keep, *, wide: bool
) -> int:
    """Elements that `forward` keeps for ``rows`` rows of all sequences; ``wide`` for float64.

    Raises:
        EngineError: The reference runs.
        ValueError: More than can be counted.

    Example:
        >>> saved_size("lstm", 0, 8, 2, "gates", wide=False) if isa.selected_engine() else 0
        0
    """
    native = isa.require_native()
    each = native.saved_elements(CELL_NUMBERS[cell], rows, hidden, KEEP_NUMBERS[keep], wide)
    return directions * int(each)


def out_of_memory(cell: CellName, layout: RowLayout) -> MemoryError:
    """The error that says for what there is not enough memory, and what helps.

    Example:
        >>> print(out_of_memory("lstm", RowLayout.ragged(np.array([2, 1]))))
        no memory for a layer of lstm over 3 rows. Split the batch, or keep the states alone for
        the backward pass.
    """
    return MemoryError(
        f"no memory for a layer of {cell} over {layout.rows} rows. "
        "Split the batch, or keep the states alone for the backward pass."
    )


def forward(
    cell: CellName,
    x: Array,
    layout: RowLayout,
    weights: Sequence[InferenceWeights],
    initial: Arrays | None = None,
    *,
    keep: Keep = "nothing",
    threads: int | WorkerThreads | None = None,
) -> LayerForward:
    """Run one layer; the second direction, where there is one, reads every sequence from its end.

    Args:
        cell: Which cell.
        x: Rows, (R, D), float32 or float64.
        layout: Where the rows of the sequences stand.
        weights: Of each direction, in x's dtype; with matrices of low precision x is float32.
        initial: (h,), or (h, c) for the LSTM, each (directions, B, H); zeros where it is None.
        keep: What is kept for `backward`: ``gates``; ``states`` alone, which takes a fifth of the
            memory for an LSTM and computes the gates again; or ``everything``, so that `backward`
            needs no output and it may be changed.
        threads: How many; as many as are set where it is None.

    Returns:
        Output rows, final states and what was kept. A sequence of length 0 ends in its initial
        state.

    Raises:
        ShapeError: Shapes or dtypes that do not fit; all that do not are named at once.
        UsageError: Something is to be kept, and the weights are of low precision.
        ValueError: The layout has a row that is not there.
        EngineError: The reference runs.
        MemoryError: There is not enough memory.

    Example:
        >>> layout = RowLayout.ragged(np.array([2, 1]))
        >>> weights = (np.zeros((4, 3)), np.zeros((4, 1)), None, None)
        >>> forward("lstm", np.ones((3, 3)), layout, [weights]).output.shape
        (3, 1)
    """
    precision = precision_of(weights[0][0])
    if precision != "float32":
        if keep != "nothing":
            differentiable(weights[0][0], "weight_ih")
        return forward_packed(pack(cell, weights), x, layout, initial, threads=threads)
    native = isa.require_native()
    hidden = check_call(cell, x, layout, weights, initial)
    size, directions = 0, len(weights)
    if keep != "nothing":
        wide = x.dtype == np.float64
        size = saved_size(cell, layout.plan.places, hidden, directions, keep, wide=wide)
    arrays = _flat(weights)
    return _forward(
        native, cell, x, layout, (directions, hidden), arrays, initial, keep, size, threads
    )


def forward_packed(
    packed: PackedWeights,
    x: Array | InputProducts,
    layout: RowLayout,
    initial: Arrays | None = None,
    *,
    numbers: npt.NDArray[np.int64] | None = None,
    threads: int | WorkerThreads | None = None,
) -> LayerForward:
    """As `forward`, for inference, with weights that were packed and checked once.

    It runs on the engine that they were packed for.

    Args:
        packed: The layer's weights.
        x: Rows (R, D), or the products of distinct rows with these weights.
        layout: Where the rows of the sequences stand.
        initial: As for `forward`.
        numbers: Which of the products stands at each row, (R,).
        threads: As for `forward`.

    Raises:
        ShapeError: As for `forward`.
        ValueError: As for `forward`; a number of no product, or products of another layer.
        EngineError: The products are those of another engine.
        MemoryError: There is not enough memory.
    """
    rows = x.values if isinstance(x, InputProducts) else x
    if isinstance(x, InputProducts):
        check_engine(x.engine, packed.engine)
        if numbers is None:
            raise ShapeError("input products come with the number of each row's")
        if rows.dtype != packed.dtype:
            raise ShapeError(f"the products are {rows.dtype}, the weights {packed.dtype}")
        numbers = contiguous(numbers, np.int64)
    elif numbers is not None:
        raise ShapeError("numbers are those of input products, x are rows")
    else:
        check_rows(x, packed.inputs, packed.dtype)
    given = len(rows) if numbers is None else len(numbers)
    if given != layout.rows:
        raise ShapeError(f"x has {given} rows, the layout has {layout.rows}")
    size = (len(packed.data), packed.hidden)
    if initial is not None:
        shape = (size[0], layout.lengths.shape[0], size[1])
        wrong = faults(expected_states(packed.cell, initial, shape), packed.dtype)
        if wrong:
            raise ShapeError("; ".join(wrong))
    return _forward(
        packed.module,
        packed.cell,
        rows,
        layout,
        size,
        [],
        initial,
        "nothing",
        0,
        threads,
        numbers=numbers,
        packed=packed,
    )


def _forward(
    native: ModuleType,
    cell: CellName,
    x: Array,
    layout: RowLayout,
    size: tuple[int, int],
    weights: list[Array | None],
    initial: Arrays | None,
    keep: Keep,
    saved_elements: int,
    threads: int | WorkerThreads | None,
    *,
    numbers: npt.NDArray[np.int64] | None = None,
    packed: PackedWeights | None = None,
) -> LayerForward:
    """Run the kernels on what was checked; ``size`` is directions and hidden units."""
    directions, hidden = size
    try:
        output = np.empty((layout.rows, directions * hidden), x.dtype)
        final, saved = _empty_states(cell, x, layout, directions, hidden), None
        if keep != "nothing":
            saved = pooled_empty(native, saved_elements, x.dtype)
        h_n, c_n = _pair(final)
        native.layer_forward(
            CELL_NUMBERS[cell],
            x,
            layout.plan,
            numbers,
            weights,
            None if packed is None else packed.data,
            *_pair(initial),
            KEEP_NUMBERS[keep],
            output,
            h_n,
            c_n,
            saved,
            *worker_threads(threads),
            *((0, "") if packed is None else (packed.number, packed.engine)),
        )
    except MemoryError as error:
        raise out_of_memory(cell, layout) from error
    return LayerForward(output, final, saved)


def backward(
    cell: CellName,
    x: Array,
    layout: RowLayout,
    weights: Sequence[DirectionWeights],
    initial: Arrays | None,
    *,
    output: Array | None,
    saved: Array,
    keep: Keep,
    d_output: Array | None,
    d_final: Sequence[Array | None],
    wants_x: bool = True,
    wants_weights: bool = True,
    wants_initial: bool = True,
    threads: int | None = None,
) -> LayerGradients:
    """Backward through time of `forward`, which was given the same and kept ``saved``.

    Args:
        cell: As `forward` had it, as are ``x``, ``layout``, ``weights`` and ``initial``.
        x: Rows, (R, D).
        layout: Where the rows of the sequences stand.
        weights: Of each direction.
        initial: The initial states.
        output: What `forward` gave; None where everything was kept.
        saved: What it kept.
        keep: What it was asked to keep.
        d_output: Gradient with respect to the output, (R, directions * H); None for zeros.
        d_final: Gradients with respect to the final states; None for zeros.
        wants_x: Whether the rows' gradient is wanted.
        wants_weights: Whether the weights' are.
        wants_initial: Whether the initial states' are.
        threads: How many; as many as are set where it is None.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.
        ValueError: The layout has a row that is not there.
        EngineError: The reference runs.
        MemoryError: There is not enough memory.
    """
    native = isa.require_native()
    hidden = check_call(cell, x, layout, weights, initial)
    try:
        d_x = np.empty(x.shape, x.dtype) if wants_x else None
        d_weights: list[DirectionWeights] = []
        if wants_weights:
            d_weights = [
                (
                    np.empty_like(w_ih, order="C"),
                    np.empty_like(w_hh, order="C"),
                    None if b_ih is None else np.empty_like(b_ih, order="C"),
                    None if b_hh is None else np.empty_like(b_hh, order="C"),
                )
                for w_ih, w_hh, b_ih, b_hh in weights
            ]
        d_initial: Arrays = ()
        if wants_initial:
            d_initial = _empty_states(cell, x, layout, len(weights), hidden)
        native.layer_backward(
            CELL_NUMBERS[cell],
            x,
            layout.plan,
            _flat(weights),
            *_pair(initial),
            output,
            saved,
            KEEP_NUMBERS[keep],
            d_output,
            *_pair(d_final),
            d_x,
            _flat(d_weights),
            *_pair(d_initial),
            *worker_threads(threads),
        )
    except MemoryError as error:
        raise out_of_memory(cell, layout) from error
    return LayerGradients(d_x, d_weights, d_initial)


def _flat(weights: Sequence[InferenceWeights]) -> list[Any]:
    return [part for one in weights for part in one]


def _pair(states: Sequence[Array | None] | None) -> tuple[Array | None, Array | None]:
    """H and c, each None where it is not there."""
    h, c, *_ = (*(states or ()), None, None)
    return h, c


def _empty_states(
    cell: CellName, x: Array, layout: RowLayout, directions: int, hidden: int
) -> Arrays:
    shape = (directions, layout.lengths.shape[0], hidden)
    return tuple(np.empty(shape, x.dtype) for _ in range(2 if cell == "lstm" else 1))
