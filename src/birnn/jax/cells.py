"""One step of each recurrent cell in JAX; the equations are those of `birnn.reference.cells`.

Gradients are JAX's own, by automatic differentiation of these lines.
"""

# B sequences, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from birnn.reference.stack import CellName

Carry = tuple[Array, ...]
"""State of one direction: (h,), or (h, c) for the LSTM, each (B, H)."""

CellStep = Callable[[Array, Array, Carry], Carry]
"""``(input_BG, recurrent_BG, state) -> state``: the two parts of the pre-activations apart."""


def rnn_tanh(input_BG: Array, recurrent_BG: Array, _state: Carry) -> Carry:
    """``h' = tanh(input + recurrent)``."""
    return (jnp.tanh(input_BG + recurrent_BG),)


def rnn_relu(input_BG: Array, recurrent_BG: Array, _state: Carry) -> Carry:
    """``h' = max(input + recurrent, 0)``; the slope at 0 is 0."""
    return (jax.nn.relu(input_BG + recurrent_BG),)


def lstm(input_BG: Array, recurrent_BG: Array, state: Carry) -> Carry:
    """``c' = f * c + i * g``, ``h' = o * tanh(c')``; gates in the order i, f, g, o.

    Example:
        >>> gates = jnp.zeros((1, 4))
        >>> h, c = lstm(gates, gates, (jnp.zeros((1, 1)), jnp.ones((1, 1))))
        >>> c.tolist()
        [[0.5]]
    """
    _, c_BH = state
    i_BH, f_BH, g_BH, o_BH = jnp.split(input_BG + recurrent_BG, 4, axis=-1)
    next_c_BH = jax.nn.sigmoid(f_BH) * c_BH + jax.nn.sigmoid(i_BH) * jnp.tanh(g_BH)
    return jax.nn.sigmoid(o_BH) * jnp.tanh(next_c_BH), next_c_BH


def gru(input_BG: Array, recurrent_BG: Array, state: Carry) -> Carry:
    """``n = tanh(input_n + r * recurrent_n)``, ``h' = (1 - z) * n + z * h``; gates r, z, n."""
    (h_BH,) = state
    input_r, input_z, input_n = jnp.split(input_BG, 3, axis=-1)
    recurrent_r, recurrent_z, recurrent_n = jnp.split(recurrent_BG, 3, axis=-1)
    # The recurrent bias of n is inside the product with r: the two biases cannot be merged.
    n_BH = jnp.tanh(input_n + jax.nn.sigmoid(input_r + recurrent_r) * recurrent_n)
    z_BH = jax.nn.sigmoid(input_z + recurrent_z)
    return (n_BH + z_BH * (h_BH - n_BH),)


CELL_STEPS: dict[CellName, CellStep] = {
    "rnn_tanh": rnn_tanh,
    "rnn_relu": rnn_relu,
    "lstm": lstm,
    "gru": gru,
}
