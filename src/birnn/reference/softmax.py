"""Softmax, its logarithm, and the logarithm of a sum of exponentials, without overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]


def softmax(scores: Array) -> Array:
    """``exp(s) / sum(exp(s))`` along the last axis.

    Of nothing but minus infinities, and with plus infinity or NaN, it is NaN.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
        [[0.5, 0.5]]
    """
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    out: Array = powers / powers.sum(axis=-1, keepdims=True)
    return out


def log_softmax(scores: Array) -> npt.NDArray[np.float64]:
    """``s - log(sum(exp(s)))`` along the last axis, in float64: sums over steps lose nothing.

    Example:
        >>> log_softmax(np.array([[1000.0, 1000.0]], np.float32)).round(3).tolist()
        [[-0.693, -0.693]]
    """
    out = scores.astype(np.float64)
    out -= out.max(axis=-1, keepdims=True)
    out -= np.log(np.exp(out).sum(axis=-1, keepdims=True))
    return out


def log_sum_exp(x: Floats, axis: int) -> Floats:
    """``log(sum(exp(x)))`` without overflow; of nothing but minus infinities, minus infinity.

    Example:
        >>> log_sum_exp(np.array([[-np.inf, -np.inf], [1000.0, -np.inf]]), axis=1).tolist()
        [-inf, 1000.0]
    """
    most = x.max(axis=axis, keepdims=True)
    # An infinite maximum cannot be taken off: inf - inf would be NaN.
    most = np.where(np.isinf(most), 0.0, most)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        total: Floats = np.log(np.exp(x - most).sum(axis=axis)) + most.squeeze(axis)
    return total
