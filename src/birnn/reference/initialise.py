"""Initialisation: random parameters, the same for the same seed."""

# D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.errors import ConfigError, nearest
from birnn.reference.cells import Array
from birnn.reference.stack import Stack

InitialiserName = Literal["glorot", "torch"]
Draw = Callable[[np.random.Generator, Stack, str, tuple[int, ...], float], Array]


def initialise(
    stack: Stack,
    seed: int,
    *,
    scheme: InitialiserName = "glorot",
    forget_bias: float = 1.0,
    dtype: npt.DTypeLike = np.float64,
) -> dict[str, npt.NDArray[Any]]:
    """Random parameters of a stack.

    ``glorot``: input weights uniform in ``±sqrt(6 / (fan_in + fan_out))`` and recurrent weights
    orthogonal, gate by gate; biases zero, but ``forget_bias`` for the forget gate of an LSTM.
    ``torch``: everything uniform in ``±1 / sqrt(H)`` (a projection's in ``±1 / sqrt(2H)``), as
    torch.nn does; the forget gate gets no bias of its own.

    Args:
        stack: Settings of the stack.
        seed: Seed of the random numbers.
        scheme: ``glorot`` or ``torch``.
        forget_bias: Bias of the LSTM's forget gate; all of it in ``bias_ih``, since the two
            biases of a gate add up.
        dtype: Type of the arrays.

    Returns:
        Arrays by the names of ``stack.shapes()``.

    Raises:
        ConfigError: A scheme that does not exist.

    Source: Glorot and Bengio 2010, equation 16; orthogonal: Saxe et al. 2014; forget bias:
    Jozefowicz et al. 2015.

    Example:
        >>> initialise(Stack("lstm", 3, 2), 0)["bias_ih_l0"].tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    if scheme not in INITIALISERS:
        raise ConfigError(f"scheme is {scheme!r}: {nearest(str(scheme), INITIALISERS)}")
    rng = np.random.default_rng(seed)
    draw = INITIALISERS[scheme]
    return {
        name: draw(rng, stack, name, shape, forget_bias).astype(dtype)
        for name, shape in stack.shapes().items()
    }


def _glorot(
    rng: np.random.Generator, stack: Stack, name: str, shape: tuple[int, ...], forget_bias: float
) -> Array:
    hidden = stack.hidden_size
    if len(shape) == 1:
        bias = np.zeros(shape)
        if stack.cell == "lstm" and name.startswith("bias_ih"):
            bias[hidden : 2 * hidden] = forget_bias
        return bias
    if name.startswith("merge"):
        return _uniform(rng, *shape)
    # Gate by gate: the fan-out of all gates together would shrink the weights.
    block = _orthogonal if name.startswith("weight_hh") else _uniform
    return np.concatenate([block(rng, hidden, shape[1]) for _ in range(shape[0] // hidden)])


def _torch(
    rng: np.random.Generator, stack: Stack, name: str, shape: tuple[int, ...], _forget_bias: float
) -> Array:
    fan_in = 2 * stack.hidden_size if name.startswith("merge") else stack.hidden_size
    bound = 1 / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape)


def _uniform(rng: np.random.Generator, outputs: int, inputs: int) -> Array:
    """Glorot's uniform matrix."""
    bound = math.sqrt(6 / (inputs + outputs))
    return rng.uniform(-bound, bound, (outputs, inputs))


def _orthogonal(rng: np.random.Generator, size: int, _inputs: int) -> Array:
    """A random orthogonal matrix, uniform over all of them."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    # QR fixes the signs by convention; taking them off makes the matrix Haar-uniform.
    return np.asarray(q * np.sign(np.diagonal(r)))


INITIALISERS: dict[InitialiserName, Draw] = {"glorot": _glorot, "torch": _torch}
