"""One recurrent layer of one or two directions over a padded batch, by `jax.lax.scan`."""

# B sequences, T steps, D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from birnn.errors import ShapeError
from birnn.jax.cells import CELL_STEPS, Carry
from birnn.ragged import check_lengths, host_lengths
from birnn.reference.stack import CellName


class LayerWeights(NamedTuple):
    """Parameters of one direction of one layer."""

    weight_ih: Array  # (G, D)
    weight_hh: Array  # (G, H)
    bias_ih: Array  # (G,)
    bias_hh: Array  # (G,)


class LayerStates(NamedTuple):
    """What a layer gives.

    Args:
        halves: Hidden states of each direction after each step, (B, T, H); 0 in the padding.
        final: (h,), or (h, c), each (directions, B, H): after the last step of the forward half
            and the first of the backward half; of a sequence of length 0 the initial state.
    """

    halves: tuple[Array, ...]
    final: Carry


def real_steps(lengths_B: Array, steps: int) -> Array:
    """Which steps of a padded batch are real, (B, T).

    Example:
        >>> real_steps(jnp.array([2, 0]), 3).astype(int).tolist()
        [[1, 1, 0], [0, 0, 0]]
    """
    return jnp.arange(steps) < lengths_B[:, None]


def lengths_within(lengths: Any, sequences: int, steps: int) -> Array:
    """Lengths, (B,), checked where their values are known, and within 0 to T.

    Args:
        lengths: Length of each sequence, (B,). Under ``jit`` they are not checked: below 0 counts
            as 0, above T as T.
        sequences: B.
        steps: T.

    Raises:
        ShapeError: Another number of them.
        LengthError: A length that is negative or beyond the steps.

    Example:
        >>> jax.jit(lambda lengths: lengths_within(lengths, 2, 3))(jnp.array([-1, 9])).tolist()
        [0, 3]
    """
    if not isinstance(lengths, jax.core.Tracer):
        lengths = host_lengths(np.asarray(lengths))
        check_lengths(lengths, steps)
    if lengths.shape != (sequences,):
        raise ShapeError(f"lengths are {lengths.shape} for {sequences} sequences")
    return jnp.clip(jnp.asarray(lengths, jnp.int32), 0, steps)


# Compiled once for all layers of a shape, also outside of a `jax.jit`.
@functools.partial(jax.jit, static_argnums=0)
def scan_layer(
    cell: CellName,
    x_BTD: Array,
    lengths_B: Array,
    weights: Sequence[LayerWeights],
    initial: Carry,
) -> LayerStates:
    """Run one layer.

    A step of padding leaves the state as it is. So the backward half, which goes from step T-1
    down to 0, starts each sequence at its own last step with its initial state: what a reversal of
    each sequence by its length gives, without moving a row.

    Args:
        cell: Which cell.
        x_BTD: Padded rows, (B, T, D), finite in the padding.
        lengths_B: Length of each sequence, (B,).
        weights: Of each direction; the second reads every sequence from its end.
        initial: (h,), or (h, c), each (directions, B, H).
    """
    step_of = CELL_STEPS[cell]
    real_TB1 = real_steps(lengths_B, x_BTD.shape[1]).T[:, :, None]
    x_TBD = jnp.swapaxes(x_BTD, 0, 1)
    halves: list[Array] = []
    finals: list[Carry] = []
    for direction, own in enumerate(weights):
        # Products with the inputs wait for no state: one for all steps. The recurrent weights are
        # turned once, not at every step.
        input_TBG = x_TBD @ own.weight_ih.T + own.bias_ih
        recurrent = own.weight_hh.T, own.bias_hh

        def step(
            state: Carry, inputs: tuple[Array, Array], recurrent: Carry = recurrent
        ) -> tuple[Carry, Array]:
            input_BG, real_B1 = inputs
            weight_HG, bias_G = recurrent
            after = step_of(input_BG, state[0] @ weight_HG + bias_G, state)
            state = tuple(jnp.where(real_B1, a, b) for a, b in zip(after, state, strict=True))
            return state, state[0]

        start = tuple(part[direction] for part in initial)
        final, half_TBH = jax.lax.scan(step, start, (input_TBG, real_TB1), reverse=direction == 1)
        halves.append(jnp.swapaxes(jnp.where(real_TB1, half_TBH, 0), 0, 1))
        finals.append(final)
    return LayerStates(
        tuple(halves), tuple(jnp.stack(parts) for parts in zip(*finals, strict=True))
    )
