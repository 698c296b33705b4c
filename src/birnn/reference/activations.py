"""Activations of dense layers: ReLU, tanh, GELU, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

ActivationName = Literal["relu", "tanh", "gelu"]

Array = npt.NDArray[Any]


def relu(x: Array) -> Array:
    """``max(x, 0)``; NaN stays NaN."""
    out: Array = np.maximum(x, 0)
    return out


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    out: Array = np.tanh(x)
    return out


def gelu(x: Array) -> Array:
    """``x * P(N <= x)`` for a standard normal N, to 2e-7 absolutely: computed in float64.

    NumPy has no error function, which it takes; the approximation by tanh that some frameworks
    offer instead is another function.

    Source:
        Hendrycks & Gimpel 2016, Gaussian Error Linear Units, section 2; Abramowitz & Stegun 1964,
        Handbook of Mathematical Functions, 7.1.26.

    Example:
        >>> gelu(np.array([-1.0, 0.0, 1.0])).round(5).tolist()
        [-0.15866, 0.0, 0.84134]
    """
    far = np.abs(x).astype(np.float64) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * far)
    series = np.polyval([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0], t)
    tail = series * np.exp(-far * far) / 2  # P(N > |x|)
    out: Array = (x * np.where(x > 0, 1 - tail, tail)).astype(x.dtype)
    return out


ACTIVATIONS: dict[ActivationName, Callable[[Array], Array]] = {
    "relu": relu,
    "tanh": tanh,
    "gelu": gelu,
}
