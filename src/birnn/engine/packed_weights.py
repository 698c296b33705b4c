"""Weights of a recurrent layer, packed once, and the products of rows with those of its inputs."""

# D inputs, H hidden units, F distinct rows

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.engine.arrays import aligned_empty, pooled_empty, precision_number, stored
from birnn.engine.layer_checks import (
    Array,
    InferenceWeights,
    check_rows,
    check_weights,
)
from birnn.engine.threads import worker_threads
from birnn.reference.low_precision import Precision
from birnn.reference.products import precision_of, rows_dtype
from birnn.reference.stack import CellName

CELL_NUMBERS: dict[CellName, int] = {"rnn_tanh": 0, "rnn_relu": 1, "lstm": 2, "gru": 3}


@dataclass(frozen=True, slots=True, eq=False)
class PackedWeights:
    """Weights of all directions of a layer as one engine reads them.

    Args:
        engine: The engine.
        data: The weights, (directions, bytes).
        cell: The layer's cell.
        inputs: Width D of its input rows.
        hidden: Its hidden units H.
        dtype: Of its rows and states.
        precision: Of the weights; of float64 it is ``float32``, as for `isa.active`.
    """

    engine: str
    data: npt.NDArray[np.uint8]
    cell: CellName
    inputs: int
    hidden: int
    dtype: np.dtype[Any]
    precision: Precision

    @property
    def number(self) -> int:
        """The compiled module's number for the precision."""
        return precision_number(self.precision, self.dtype)

    @property
    def module(self) -> ModuleType:
        """The compiled module."""
        return _module()


@dataclass(frozen=True, slots=True, eq=False)
class InputProducts:
    """What distinct rows add to the gates' sums of a layer, as one engine reads it.

    A word's is the same wherever it stands, so it may be kept from call to call.

    Args:
        engine: The engine.
        values: For each row `product_width` elements; what stands behind them is not read.
    """

    engine: str
    values: Array


def pack(
    cell: CellName, weights: Sequence[InferenceWeights], engine: str | None = None
) -> PackedWeights:
    """Pack weights once for many calls of `birnn.engine.recurrent.forward_packed`.

    Args:
        cell: Which cell.
        weights: Of each direction.
        engine: The compiled engine that is to read them, whatever is chosen from then on; the one
            in use where it is None.

    Raises:
        ShapeError: Shapes or dtypes that do not fit; all that do not are named at once.
        EngineError: The reference runs: there is nothing to pack for.
    """
    first = weights[0][0]
    precision, dtype, inputs = precision_of(first), rows_dtype(first), first.shape[-1]
    native = isa.require_native(precision) if engine is None else _module()
    hidden = check_weights(cell, inputs, dtype, weights)
    number = precision_number(precision, dtype)
    engine = engine or str(native.engine(number))
    count = native.packed_bytes(CELL_NUMBERS[cell], inputs, hidden, number, engine)
    data = pooled_empty(native, len(weights) * count, np.dtype(np.uint8))
    data = data.reshape(len(weights), count)
    numbers, scales = [], []
    for w_ih, w_hh, *biases in weights:
        (ih, ih_scales), (hh, hh_scales) = stored(w_ih), stored(w_hh)
        numbers += [ih, hh, *biases]
        scales += [one for one in (ih_scales, hh_scales) if one is not None]
    native.pack(CELL_NUMBERS[cell], numbers, data, scales, engine)
    return PackedWeights(engine, data, cell, inputs, hidden, dtype, precision)


def product_width(packed: PackedWeights) -> int:
    """Elements of a row's input product, of all directions."""
    each: int = packed.module.product_width(
        CELL_NUMBERS[packed.cell], packed.hidden, packed.number, packed.engine
    )
    return len(packed.data) * each


def input_products(packed: PackedWeights, x: Array, *, threads: int | None = None) -> InputProducts:
    """The products of rows with a layer's weights, which `forward_packed` takes in their place.

    Args:
        packed: The layer's weights.
        x: Rows (F, D), of the weights' dtype.
        threads: How many; as many as are set where it is None.

    Raises:
        ShapeError: Rows of another width or dtype.

    Example:
        >>> from birnn.engine.arrays import RowLayout
        >>> from birnn.engine.recurrent import forward_packed
        >>> packed = pack("lstm", [(np.zeros((4, 3)), np.zeros((4, 1)), np.ones(4), None)])
        >>> products = input_products(packed, np.ones((2, 3)))
        >>> layout, numbers = RowLayout.ragged(np.array([3])), np.array([1, 0, 1])
        >>> forward_packed(packed, products, layout, numbers=numbers).output.shape
        (3, 1)
    """
    check_rows(x, packed.inputs, packed.dtype)
    width = product_width(packed)
    products = aligned_empty(len(x) * width, x.dtype).reshape(len(x), width)
    packed.module.input_products(
        CELL_NUMBERS[packed.cell],
        x,
        packed.hidden,
        packed.data,
        products,
        *worker_threads(threads),
        packed.number,
        packed.engine,
    )
    return InputProducts(packed.engine, products)


def _module() -> ModuleType:
    native = isa.native_module()
    assert native is not None, "an engine of it was named"
    return native
