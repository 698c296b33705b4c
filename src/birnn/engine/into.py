"""One recurrent layer on the compiled kernels, into arrays that are given.

`birnn.engine.recurrent` does the same with NumPy's arrays, makes those of the answer, and names
everything that does not fit. Here arrays are of any library that the module reads, torch's tensors
among them, and between caller and kernel there is as little as possible: a line of Python takes
ten times as long when the pass before has swept the caches.
"""

# R rows of the array, B sequences, D inputs, H hidden units

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.engine.arrays import RowLayout
from birnn.errors import EngineError
from birnn.reference.stack import CellName

Keep = Literal["nothing", "gates", "states", "everything"]

CELL_NUMBERS: dict[CellName, int] = {"rnn_tanh": 0, "rnn_relu": 1, "lstm": 2, "gru": 3}
KEEP_NUMBERS: dict[Keep, int] = {"nothing": 0, "gates": 1, "states": 2, "everything": 3}


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Weights of all directions as one engine reads them."""

    engine: str
    data: npt.NDArray[np.uint8]  # (directions, bytes)


def native() -> ModuleType:
    """The compiled module.

    Raises:
        EngineError: The reference runs.
    """
    module = isa.selected_engine()
    if module is None:
        why = isa.why_no_native() or f"{isa.FORCE} asks for it"
        raise EngineError(f"the {isa.REFERENCE} engine runs, this needs a compiled one: {why}")
    return module


class MemoryTold:
    """Says for what there is not enough memory, and what helps.

    Example:
        >>> with MemoryTold("lstm", RowLayout.ragged(np.array([2, 1]))):
        ...     raise MemoryError
        Traceback (most recent call last):
        ...
        MemoryError: no memory for a layer of lstm over 3 rows. Split the batch, or keep the ...
    """

    def __init__(self, cell: CellName, layout: RowLayout) -> None:
        self._cell = cell
        self._layout = layout

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        if kind is not None and issubclass(kind, MemoryError):
            raise MemoryError(
                f"no memory for a layer of {self._cell} over {self._layout.rows} rows. "
                "Split the batch, or keep the states alone for the backward pass."
            ) from error


def saved_size(
    cell: CellName, rows: int, hidden: int, directions: int, keep: Keep, *, wide: bool
) -> int:
    """Elements that `forward` keeps for ``rows`` rows of all sequences; ``wide`` for float64.

    Raises:
        ValueError: More than can be counted.

    Example:
        >>> saved_size("lstm", 0, 8, 2, "gates", wide=False) if isa.selected_engine() else 0
        0
    """
    each = native().saved_elements(CELL_NUMBERS[cell], rows, hidden, KEEP_NUMBERS[keep], wide)
    return directions * int(each)


def forward(
    cell: CellName,
    x: Any,
    layout: RowLayout,
    weights: Sequence[Any],
    initial: Sequence[Any],
    *,
    keep: Keep,
    output: Any,
    final: Sequence[Any],
    saved: Any,
    threads: int | isa.WorkerThreads,
    numbers: npt.NDArray[np.int64] | None = None,
    packed: Packed | None = None,
) -> None:
    """Run one layer.

    The module checks all arrays, and names the first that does not fit.

    Args:
        cell: Which cell.
        x: Rows, (R, D), or on more axes, such as (B, T, D); with ``numbers`` the distinct rows.
        layout: Where the rows of the sequences stand.
        weights: Four of each direction: weight_ih, weight_hh, bias_ih and bias_hh, or None.
        initial: (h,), or (h, c) for the LSTM, each (directions, B, H); empty for zeros.
        keep: What is kept in ``saved`` for `backward`.
        output: To be filled, (R, directions * H), or on the axes of x.
        final: To be filled, in the form of ``initial``.
        saved: To be filled, a vector of `saved_size`; None where nothing is kept.
        threads: How many, or whose.
        numbers: Which row of x stands at each row, (R,).
        packed: The weights by `birnn.engine.recurrent.pack`; then ``weights`` are empty.

    Raises:
        ValueError: An array that does not fit.
        TypeError: What is no array, or cannot be written.
        MemoryError: There is not enough memory.
    """
    h0, c0, *_ = (*initial, None, None)
    native().layer_forward(
        CELL_NUMBERS[cell],
        x,
        layout.plan,
        numbers,
        weights,
        None if packed is None else packed.data,
        h0,
        c0,
        KEEP_NUMBERS[keep],
        output,
        final[0],
        final[1] if cell == "lstm" else None,
        saved,
        *isa.worker_threads(threads),
    )


def backward(
    cell: CellName,
    x: Any,
    layout: RowLayout,
    weights: Sequence[Any],
    initial: Sequence[Any],
    *,
    output: Any,
    saved: Any,
    keep: Keep,
    d_output: Any,
    d_final: Sequence[Any],
    d_x: Any,
    d_weights: Sequence[Any],
    d_initial: Sequence[Any],
    threads: int | isa.WorkerThreads,
) -> None:
    """Backward through time of `forward`, which was given the same.

    Args:
        cell: Which cell.
        x: As `forward` had it.
        layout: As `forward` had it.
        weights: As `forward` had them.
        initial: As `forward` had it.
        output: What it gave; None where everything was kept.
        saved: What it kept.
        keep: What it was asked to keep.
        d_output: Gradient with respect to the output; None for zeros.
        d_final: Gradients with respect to the final states; None for zeros.
        d_x: To be filled, in the form of x; None where it is not asked for.
        d_weights: To be filled, in the form of the weights; empty where they are not asked for.
        d_initial: To be filled, in the form of ``initial``; empty where they are not asked for.
        threads: How many, or whose.

    Raises:
        ValueError: An array that does not fit.
        TypeError: What is no array, or cannot be written.
        MemoryError: There is not enough memory.
    """
    h0, c0, *_ = (*initial, None, None)
    d_h, d_c, *_ = (*d_final, None, None)
    d_h0, d_c0, *_ = (*d_initial, None, None)
    native().layer_backward(
        CELL_NUMBERS[cell],
        x,
        layout.plan,
        weights,
        h0,
        c0,
        output,
        saved,
        KEEP_NUMBERS[keep],
        d_output,
        d_h,
        d_c,
        d_x,
        d_weights,
        d_h0,
        d_c0,
        *isa.worker_threads(threads),
    )
