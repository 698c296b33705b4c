"""Weights of any precision: products of rows with them, their rows, columns and numbers."""

# R rows, K columns, O outputs (rows of a matrix of weights)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import ShapeError, UsageError
from birnn.reference.bf16_sums import SUMS, Bf16Sum
from birnn.reference.low_precision import (
    Bf16Matrix,
    Int8Matrix,
    Matrix,
    Precision,
    quantised_rows,
    rounded_to_bf16,
)

Array = npt.NDArray[Any]


def precision_of(matrix: Array | Matrix) -> Precision:
    """The precision that products with a matrix are computed in; float64 goes with float32.

    Example:
        >>> precision_of(np.eye(2)), precision_of(Bf16Matrix.of(np.eye(2, dtype=np.float32)))
        ('float32', 'bf16')
    """
    return matrix.precision if isinstance(matrix, Matrix) else "float32"


def rows_dtype(matrix: Array | Matrix) -> np.dtype[Any]:
    """The dtype of the rows that a matrix is multiplied with: its own, or float32.

    Example:
        >>> rows_dtype(np.eye(2)), rows_dtype(Int8Matrix.of(np.eye(2, dtype=np.float32)))
        (dtype('float64'), dtype('float32'))
    """
    return np.dtype(np.float32) if isinstance(matrix, Matrix) else matrix.dtype


Multiplier = Callable[[Array, Array | None], Array]
"""Products of rows (R, K), added to what the sums start from, (O,) or (R, O); None for zeros."""


def multiplier(matrix: Array | Matrix, summed: Bf16Sum | None = None) -> Multiplier:
    """``start + x W^T`` with weights that are prepared once for many products.

    Args:
        matrix: W, (O, K): float32 or float64, or of low precision.
        summed: In which order products of bfloat16 are summed; None for NumPy's own, which is the
            fastest here. Of the others it decides nothing.

    Example:
        >>> by_rows = multiplier(Int8Matrix.of(np.array([[127.0, 1.0]], np.float32)))
        >>> by_rows(np.array([[1.0, 1.0]], np.float32), None).tolist()
        [[128.0]]
    """
    if isinstance(matrix, Int8Matrix):
        # Sums of integers are exact in float64.
        values_KO, unit_scales_O = matrix.values.T.astype(np.float64), matrix.scales

        def of_int8(x_RK: Array, start: Array | None) -> Array:
            values_RK, scales_R = quantised_rows(_rows_for(matrix, x_RK))
            sums_RO = (values_RK.astype(np.float64) @ values_KO).astype(np.float32)
            return _added(sums_RO * (scales_R[:, None] * unit_scales_O), start)

        return of_int8
    if isinstance(matrix, Bf16Matrix):
        weight_KO = np.ascontiguousarray(matrix.dequantised().T)

        def of_bf16(x_RK: Array, start: Array | None) -> Array:
            rows_RK = rounded_to_bf16(_rows_for(matrix, x_RK))
            if summed is None:
                return _added(rows_RK @ weight_KO, start)
            shape = rows_RK.shape[0], weight_KO.shape[1]
            begin = np.broadcast_to(np.float32(0) if start is None else start, shape)
            return SUMS[summed](rows_RK.T, weight_KO, begin)

        return of_bf16
    transposed = np.asanyarray(matrix.T, order="C")
    return lambda x_RK, start: _added(x_RK @ transposed, start)


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def product(
    x: Array, matrix: Array | Matrix, start: Array | None = None, *, summed: Bf16Sum | None = None
) -> Array:
    """``start + x W^T``, in the precision of W.

    Args:
        x: Rows, (R, K), float32; with weights of float64 float64.
        matrix: W, (O, K).
        start: What the sums start from, (O,) or (R, O); None for zeros.
        summed: In which order products of bfloat16 are summed; None for NumPy's own.

    Returns:
        (R, O). With int8 start and product are added once, rounded.

    Raises:
        ShapeError: Rows of another width, or not of float32 where the weights are of low precision.

    Example:
        >>> w = np.array([[0.3, 1.0]], np.float32)
        >>> x = np.array([[0.7, 2.0]], np.float32)
        >>> [f"{product(x, m).item():.4f}" for m in (w, Bf16Matrix.of(w), Int8Matrix.of(w))]
        ['2.2100', '2.2103', '2.2073']
    """
    return multiplier(matrix, summed)(x, start)


def float_weights(matrix: Array | Matrix) -> Array:
    """An array as it is; of a matrix of low precision the numbers that it stands for."""
    return matrix.dequantised() if isinstance(matrix, Matrix) else matrix


def differentiable(weights: Array | Matrix, name: str = "the matrix") -> Array:
    """Weights that have a gradient, which those of low precision have not.

    Raises:
        UsageError: Weights in int8 or bf16.

    Example:
        >>> differentiable(Int8Matrix.of(np.ones((1, 1), np.float32)), "weight_hh_l0")
        Traceback (most recent call last):
        ...
        birnn.errors.UsageError: weight_hh_l0 is in int8, which is for inference: it has no ...
    """
    if isinstance(weights, Matrix):
        raise UsageError(
            f"{name} is in {weights.precision}, which is for inference: it has no gradient. Load "
            "the model in float32, or make arrays of its matrices by dequantised()."
        )
    return weights


def rows_of(matrix: Array | Matrix, numbers: Array) -> Array:
    """The rows of these numbers (...), of a matrix (R, C) of any precision: (..., C), as floats.

    Example:
        >>> rows_of(Int8Matrix.of(np.eye(3, dtype=np.float32)), np.array([2, 0])).shape
        (2, 3)
    """
    rows: Array = matrix.rows(numbers) if isinstance(matrix, Matrix) else matrix[numbers]
    return rows


def columns_of(matrix: Array | Matrix, begin: int, stop: int) -> Array | Matrix:
    """Some columns of a matrix of any precision, (R, stop - begin).

    Example:
        >>> columns_of(Bf16Matrix.of(np.eye(3, dtype=np.float32)), 1, 3).shape
        (3, 2)
    """
    return matrix.columns(begin, stop) if isinstance(matrix, Matrix) else matrix[:, begin:stop]


def _added(product: Array, start: Array | None) -> Array:
    if start is not None:
        product += start
    return product


def _rows_for(matrix: Matrix, x_RK: Array) -> Array:
    """The rows, once they are such as the weights read."""
    if x_RK.ndim != 2 or x_RK.shape[1] != matrix.shape[1] or x_RK.dtype != np.float32:
        raise ShapeError(
            f"x is {x_RK.shape} of {x_RK.dtype}, "
            f"weights in {matrix.precision} read (rows, {matrix.shape[1]}) of float32"
        )
    return x_RK
