"""One step of each recurrent cell, forward and backward.

A cell gets the two parts of its pre-activations apart, because the GRU does not simply add them:

```
input_BG     = x_BD @ weight_ih.T + bias_ih
recurrent_BG = h_BH @ weight_hh.T + bias_hh
```

The matrix products belong to the time loop (`scan`); a cell is only the equations of the gates.
Gate order and equations are torch's: i, f, g, o for the LSTM, r, z, n for the GRU.
"""

# B sequences, D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.reference.stack import GATES, CellName

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its sizes, its step, and the step backward.

    Args:
        gates: Blocks of H rows in a weight matrix.
        states: Arrays that are carried from step to step: 1 (h) or 2 (h, c).
        forward: ``(input_BG, recurrent_BG, state) -> (state, saved)``; what is saved is what
            ``backward`` needs and what the step had to compute anyway.
        backward: ``(d_state, saved) -> (d_input_BG, d_recurrent_BG, d_state)``; the last is what
            reaches the state before the step past the gates, without the recurrent product.
        apart: How many gates, of the last ones, take their two parts and biases apart; of the
            others the cell takes nothing but the sum.
    """

    gates: int
    states: int
    forward: Callable[[Array, Array, Arrays], tuple[Arrays, Arrays]]
    backward: Callable[[Arrays, Arrays], tuple[Array, Array, Arrays]]
    apart: int = 0


def sigmoid(x: Array) -> Array:
    """The logistic function, ``1 / (1 + exp(-x))``, with all its digits where it is small.

    Example:
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    # Not by tanh: half of 1 + tanh(x / 2) is 0 from -38 on, and 0 times an infinite state is NaN.
    with np.errstate(over="ignore"):  # where exp(-x) is infinite the answer is a plain 0
        y: Array = np.exp(-x)
    y += 1
    return np.divide(1, y, out=y)


def rnn_tanh(input_BG: Array, recurrent_BG: Array, _state: Arrays) -> tuple[Arrays, Arrays]:
    """Simple recurrence: ``h' = tanh(input + recurrent)`` (Elman 1990).

    Args:
        input_BG: Input part of the pre-activations, (B, H).
        recurrent_BG: Recurrent part, (B, H).
        _state: ``(h,)``, (B, H), which enters by the recurrent part alone.

    Returns:
        The state after the step, and what the backward needs.
    """
    h_BH = np.tanh(input_BG + recurrent_BG)
    return (h_BH,), (h_BH,)


def rnn_tanh_backward(d_state: Arrays, saved: Arrays) -> tuple[Array, Array, Arrays]:
    """Backward of `rnn_tanh`: ``tanh' = 1 - tanh**2``."""
    (d_h_BH,), (h_BH,) = d_state, saved
    d_BG = d_h_BH * (1 - h_BH * h_BH)
    return d_BG, d_BG, (np.zeros_like(d_h_BH),)


def rnn_relu(input_BG: Array, recurrent_BG: Array, _state: Arrays) -> tuple[Arrays, Arrays]:
    """Simple recurrence with a rectifier: ``h' = max(input + recurrent, 0)``.

    Args:
        input_BG: Input part of the pre-activations, (B, H).
        recurrent_BG: Recurrent part, (B, H).
        _state: ``(h,)``, (B, H), which enters by the recurrent part alone.

    Returns:
        The state after the step, and what the backward needs.
    """
    # maximum, not where(x > 0): NaN stays NaN.
    h_BH = np.maximum(input_BG + recurrent_BG, 0)
    return (h_BH,), (h_BH,)


def rnn_relu_backward(d_state: Arrays, saved: Arrays) -> tuple[Array, Array, Arrays]:
    """Backward of `rnn_relu`; the slope at 0 is 0, as in torch."""
    (d_h_BH,), (h_BH,) = d_state, saved
    d_BG = d_h_BH * (h_BH > 0)
    return d_BG, d_BG, (np.zeros_like(d_h_BH),)


def lstm(input_BG: Array, recurrent_BG: Array, state: Arrays) -> tuple[Arrays, Arrays]:
    """Long short-term memory with a forget gate, no peepholes.

    ```
    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the blocks of input + recurrent
    c' = f * c + i * g
    h' = o * tanh(c')
    ```

    Args:
        input_BG: Input part of the pre-activations, (B, 4H), blocks i, f, g, o.
        recurrent_BG: Recurrent part, likewise.
        state: ``(h, c)``, each (B, H).

    Returns:
        The state after the step, and what the backward needs.

    Source: Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000.
    """
    _, c_BH = state
    hidden = c_BH.shape[1]
    gates_BG = input_BG + recurrent_BG
    # i and f lie side by side, so one call does both.
    i_and_f = sigmoid(gates_BG[:, : 2 * hidden])
    i_BH, f_BH = i_and_f[:, :hidden], i_and_f[:, hidden:]
    g_BH = np.tanh(gates_BG[:, 2 * hidden : 3 * hidden])
    o_BH = sigmoid(gates_BG[:, 3 * hidden :])
    next_c_BH = f_BH * c_BH
    next_c_BH += i_BH * g_BH
    tanh_c_BH = np.tanh(next_c_BH)
    return (o_BH * tanh_c_BH, next_c_BH), (i_BH, f_BH, g_BH, o_BH, c_BH, tanh_c_BH)


def lstm_backward(d_state: Arrays, saved: Arrays) -> tuple[Array, Array, Arrays]:
    """Backward of `lstm`: ``sigmoid' = s * (1 - s)``, ``tanh' = 1 - tanh**2``."""
    d_h_BH, d_next_c_BH = d_state
    i_BH, f_BH, g_BH, o_BH, c_BH, tanh_c_BH = saved
    d_c_BH = d_next_c_BH + d_h_BH * o_BH * (1 - tanh_c_BH * tanh_c_BH)
    d_BG = np.concatenate(
        [
            d_c_BH * g_BH * i_BH * (1 - i_BH),
            d_c_BH * c_BH * f_BH * (1 - f_BH),
            d_c_BH * i_BH * (1 - g_BH * g_BH),
            d_h_BH * tanh_c_BH * o_BH * (1 - o_BH),
        ],
        axis=1,
    )
    return d_BG, d_BG, (np.zeros_like(d_h_BH), d_c_BH * f_BH)


def gru(input_BG: Array, recurrent_BG: Array, state: Arrays) -> tuple[Arrays, Arrays]:
    """Gated recurrent unit, the reset gate after the recurrent product.

    ```
    r, z = sigmoid of the blocks of input + recurrent
    n  = tanh(input_n + r * recurrent_n)
    h' = (1 - z) * n + z * h
    ```

    Args:
        input_BG: Input part of the pre-activations, (B, 3H), blocks r, z, n.
        recurrent_BG: Recurrent part, likewise; its bias is inside ``r * (...)``, so the two
            biases of the n block cannot be merged.
        state: ``(h,)``, (B, H).

    Returns:
        The state after the step, and what the backward needs.

    Source: Cho et al. 2014, in the variant of cuDNN and torch.
    """
    (h_BH,) = state
    hidden = h_BH.shape[1]
    r_and_z = sigmoid(input_BG[:, : 2 * hidden] + recurrent_BG[:, : 2 * hidden])
    r_BH, z_BH = r_and_z[:, :hidden], r_and_z[:, hidden:]
    recurrent_n_BH = recurrent_BG[:, 2 * hidden :]
    n_BH = np.tanh(input_BG[:, 2 * hidden :] + r_BH * recurrent_n_BH)
    return (n_BH + z_BH * (h_BH - n_BH),), (r_BH, z_BH, n_BH, recurrent_n_BH, h_BH)


def gru_backward(d_state: Arrays, saved: Arrays) -> tuple[Array, Array, Arrays]:
    """Backward of `gru`; the n block of the recurrent part is scaled by r, the input's is not."""
    (d_h_BH,), (r_BH, z_BH, n_BH, recurrent_n_BH, h_BH) = d_state, saved
    d_n_BH = d_h_BH * (1 - z_BH) * (1 - n_BH * n_BH)
    d_r_BH = d_n_BH * recurrent_n_BH * r_BH * (1 - r_BH)
    d_z_BH = d_h_BH * (h_BH - n_BH) * z_BH * (1 - z_BH)
    d_input_BG = np.concatenate([d_r_BH, d_z_BH, d_n_BH], axis=1)
    d_recurrent_BG = np.concatenate([d_r_BH, d_z_BH, d_n_BH * r_BH], axis=1)
    return d_input_BG, d_recurrent_BG, (d_h_BH * z_BH,)


CELLS: dict[CellName, Cell] = {
    "rnn_tanh": Cell(GATES["rnn_tanh"], 1, rnn_tanh, rnn_tanh_backward),
    "rnn_relu": Cell(GATES["rnn_relu"], 1, rnn_relu, rnn_relu_backward),
    "lstm": Cell(GATES["lstm"], 2, lstm, lstm_backward),
    "gru": Cell(GATES["gru"], 1, gru, gru_backward, apart=1),
}
