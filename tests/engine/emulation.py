"""Layers of low precision emulated to the bit, for the compiled kernels to be held against.

Sums of gates are the specification's, by `birnn.reference.low_precision.product`. The cells'
functions are those of the float32 kernels: each step of a cell is a layer of one row whose biases
are the sums and whose products add nothing, so that nothing is rounded before the functions.
"""

# R rows, N rows of all sequences, B sequences, H hidden units, G gate rows (gates * H)

from __future__ import annotations

import numpy as np

from birnn.engine import isa, recurrent
from birnn.engine.arrays import RowLayout
from birnn.reference import CELLS
from birnn.reference.bf16_sums import SUMS
from birnn.reference.low_precision import Matrix
from birnn.reference.products import product

F = np.float32
ONE_ROW = RowLayout.ragged(np.array([1]))

BF16_SUMS = {"amx": "amx", "amx_emulated": "amx", "avx512_bf16": "avx512_bf16"}


def bf16_sum():
    """In which order the engine in use sums products of bfloat16."""
    return BF16_SUMS.get(isa.active("bf16").name, "widened")


def sums_of(x, matrix, start):
    """``start + x W^T`` as the engine in use has it; of float32 as those that fuse have it."""
    if isinstance(matrix, Matrix):
        return product(x, matrix, start, summed=bf16_sum())
    return SUMS["widened"](x.T, matrix.T, np.broadcast_to(start, (len(x), len(matrix))))


def emulated_layer(cell, x, lengths, weights, initial=None):
    """Output (N, directions * H) and final states (directions, B, H) of one layer.

    Args:
        cell: Which cell.
        x: Rows of all sequences, one after another, (N, D).
        lengths: Of each sequence, (B,).
        weights: Of each direction, the first two of low precision; or all of float32.
        initial: (h,) or (h, c), each (directions, B, H); None for none.
    """
    halves = [
        _emulated_direction(cell, x, lengths, one, initial and [s[d] for s in initial], d == 1)
        for d, one in enumerate(weights)
    ]
    output = np.concatenate([half[0] for half in halves], axis=1)
    return output, tuple(np.stack(parts) for parts in zip(*(h[1] for h in halves), strict=True))


def _emulated_direction(cell, x_ND, lengths, weights, initial, reverse):
    w_ih, w_hh, b_ih, b_hh = weights
    gates, hidden = w_hh.shape
    b_ih, b_hh = (np.zeros(gates, F) if bias is None else bias for bias in (b_ih, b_hh))
    apart = gates - CELLS[cell].apart * hidden
    start_G = np.concatenate([(b_ih + b_hh)[:apart], b_ih[apart:]])
    inputs_NG = sums_of(x_ND, w_ih, start_G)
    shape = (len(lengths), hidden)
    state = [
        np.zeros(shape, F) if initial is None else initial[i].copy()
        for i in range(CELLS[cell].states)
    ]
    output_NH = np.empty((len(x_ND), hidden), F)
    starts = np.cumsum(lengths) - lengths
    for step in range(int(max(lengths, default=0))):
        running = np.flatnonzero(lengths > step)
        rows = starts[running] + (lengths[running] - 1 - step if reverse else step)
        sums_RG = inputs_NG[rows]
        recurrent_RG = np.broadcast_to(b_hh[apart:], (len(rows), gates - apart))
        if step > 0 or initial is not None:
            begin_RG = np.concatenate([sums_RG[:, :apart], recurrent_RG], axis=1)
            both_RG = sums_of(state[0][running], w_hh, begin_RG)
            sums_RG = np.concatenate([both_RG[:, :apart], sums_RG[:, apart:]], axis=1)
            recurrent_RG = both_RG[:, apart:]
        for row, sequence in enumerate(running):
            before = [part[sequence] for part in state]
            for part, now in zip(
                state, cell_step(cell, sums_RG[row], recurrent_RG[row], before), strict=True
            ):
                part[sequence] = now
        output_NH[rows] = state[0][running]
    return output_NH, state


def cell_step(cell, sums_G, recurrent_part, state):
    """The state of one sequence after one step, by the functions of the float32 kernels.

    Args:
        cell: Which cell.
        sums_G: Sums of the gates, (G,); of gates whose parts are apart the input's.
        recurrent_part: The recurrent parts of these, at the end of the gates.
        state: (h,) or (h, c), each (H,).
    """
    gates, hidden = sums_G.shape[0], state[0].shape[0]
    bias_hh = np.full(gates, -0.0, F)
    bias_hh[gates - recurrent_part.shape[0] :] = recurrent_part
    # Only the GRU reads h beside the sums; of an infinite one the products would be NaN.
    h = state[0] if cell == "gru" else np.zeros(hidden, F)
    # Products that are -0: added to anything they change nothing, not the sign of a zero either.
    nothing_ih = np.full((gates, 1), -0.0, F)
    nothing_hh = np.broadcast_to(np.copysign(F(0), -h), (gates, hidden))
    done = recurrent.forward(
        cell,
        np.zeros((1, 1), F),
        ONE_ROW,
        [(nothing_ih, np.ascontiguousarray(nothing_hh), sums_G, bias_hh)],
        tuple(part[None, None] for part in (h, *state[1:])),
        threads=1,
    )
    return [part[0, 0] for part in done.final]


def assert_same(found, expected, name=""):
    """Assert that two arrays have the same bits; NaNs are not told apart."""
    assert found.shape == expected.shape, name
    assert found.dtype == expected.dtype == F, name
    other = (found.view(np.uint32) != expected.view(np.uint32)) & ~(
        np.isnan(found) & np.isnan(expected)
    )
    if other.any():
        at = np.unravel_index(int(np.argmax(other)), other.shape)
        raise AssertionError(
            f"{name}: {int(other.sum())} of {other.size} differ, at {at} "
            f"{float(found[at]).hex()} is to be {float(expected[at]).hex()}"
        )
