"""Linear-chain conditional random field in JAX: the best tags, and the likelihood of given ones.

The equations are those of `birnn.reference.crf`; gradients are JAX's own.
"""

# B sequences, T steps, L labels

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from birnn.jax.layer import lengths_within, real_steps

# Of what is not allowed. Not minus infinity, whose gradients are NaN; and far below all scores.
NEVER = -1e30


class ChainScores(NamedTuple):
    """Scores of a chain.

    Args:
        transitions: Score of each pair of neighbours [from, to], (L, L).
        start: Score of each first label, (L,).
        end: Score of each last label, (L,).
    """

    transitions: Array
    start: Array
    end: Array

    def where(self, transitions: Any, start: Any, end: Any) -> ChainScores:
        """The same chain with what is not allowed ruled out.

        Args:
            transitions: Pairs of neighbours that may be, (L, L).
            start: Labels that may be first, (L,).
            end: Labels that may be last, (L,).
        """
        masks = (transitions, start, end)
        return ChainScores(*(jnp.where(m, s, NEVER) for m, s in zip(masks, self, strict=True)))


def viterbi(emissions: Array, lengths: Any, chain: ChainScores) -> Array:
    """The best tag sequence of each sequence, (B, T); 0 in the padding.

    Args:
        emissions: Scores of the labels at each step, (B, T, L).
        lengths: Length of each sequence, (B,). Under ``jit`` they are not checked: below 0 counts
            as 0, above T as T.
        chain: The chain.

    Raises:
        ShapeError: Another number of lengths.
        LengthError: A length that is negative or beyond the steps.

    Example:
        >>> stay = ChainScores(jnp.eye(2) * 5, jnp.zeros(2), jnp.zeros(2))
        >>> emissions = jnp.array([[[0.0, 3.0], [1.0, 0.0], [0.0, 1.0]]])
        >>> viterbi(emissions, jnp.array([3]), stay).tolist()
        [[1, 1, 1]]
    """
    best: Array = _viterbi(emissions, lengths_within(lengths, *emissions.shape[:2]), chain)
    return best


@jax.jit
def _viterbi(emissions: Array, lengths: Array, chain: ChainScores) -> Array:
    sequences = jnp.arange(emissions.shape[0])

    def forward(best_BL: Array, step: _Step) -> tuple[Array, Array]:
        """Best score of each last label, and the label before it."""
        into_BLL = best_BL[:, :, None] + chain.transitions
        next_BL = jnp.where(step.first, chain.start, into_BLL.max(axis=1)) + step.emission
        return jnp.where(step.real, next_BL, best_BL), into_BLL.argmax(axis=1)

    def backward(label_B: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        """From the label of a step to the label of the step before."""
        before_BL, real_B1 = inputs
        previous_B = jnp.where(real_B1[:, 0], before_BL[sequences, label_B], label_B)
        return previous_B, jnp.where(real_B1[:, 0], label_B, 0)

    steps = _steps(emissions, lengths)
    best_BL, before_TBL = jax.lax.scan(forward, jnp.zeros_like(emissions.sum(axis=1)), steps)
    last_B = (best_BL + chain.end).argmax(axis=1)
    _, tags_TB = jax.lax.scan(backward, last_B, (before_TBL, steps.real), reverse=True)
    return tags_TB.T


def negative_log_likelihood(
    emissions: Array, tags: Array, lengths: Any, chain: ChainScores
) -> Array:
    """Negative log-likelihood of tags, (B,); 0 of an empty sequence.

    Args:
        emissions: Scores of the labels at each step, (B, T, L), T at least 1.
        tags: Number of a label at each step, (B, T); not read in the padding.
        lengths: As for `viterbi`.
        chain: The chain.

    Raises:
        ShapeError: Another number of lengths.
        LengthError: A length that is negative or beyond the steps.

    Example:
        >>> free = ChainScores(jnp.zeros((2, 2)), jnp.zeros(2), jnp.zeros(2))
        >>> loss = negative_log_likelihood(
        ...     jnp.zeros((1, 3, 2)), jnp.zeros((1, 3), int), jnp.array([3]), free
        ... )
        >>> round(float(loss[0]), 4)  # one of eight
        2.0794
    """
    lengths = lengths_within(lengths, *emissions.shape[:2])
    loss: Array = _negative_log_likelihood(emissions, tags, lengths, chain)
    return loss


@jax.jit
def _negative_log_likelihood(
    emissions: Array, tags: Array, lengths: Array, chain: ChainScores
) -> Array:
    real_BT = real_steps(lengths, emissions.shape[1])
    tags = jnp.where(real_BT, tags, 0)
    own_BT = jnp.take_along_axis(emissions, tags[:, :, None], axis=2)[:, :, 0]
    pairs_BT = chain.transitions[tags[:, :-1], tags[:, 1:]]
    last_B = jnp.take_along_axis(tags, jnp.maximum(lengths - 1, 0)[:, None], axis=1)[:, 0]
    score_B = (
        jnp.where(real_BT, own_BT, 0).sum(axis=1)
        + jnp.where(real_BT[:, 1:], pairs_BT, 0).sum(axis=1)
        + chain.start[tags[:, 0]]
        + chain.end[last_B]
    )

    def forward(alpha_BL: Array, step: _Step) -> tuple[Array, None]:
        """Log of the summed scores of all paths to each label."""
        into_BL = jax.nn.logsumexp(alpha_BL[:, :, None] + chain.transitions, axis=1)
        next_BL = jnp.where(step.first, chain.start, into_BL) + step.emission
        return jnp.where(step.real, next_BL, alpha_BL), None

    start_BL = jnp.zeros_like(emissions.sum(axis=1))
    alpha_BL, _ = jax.lax.scan(forward, start_BL, _steps(emissions, lengths))
    log_partition_B = jax.nn.logsumexp(alpha_BL + chain.end, axis=1)
    return jnp.where(lengths > 0, log_partition_B - score_B, 0)


class _Step(NamedTuple):
    """What a step of the loop over time reads; of all steps, on a leading axis."""

    emission: Array  # (B, L)
    real: Array  # (B, 1)
    first: Array  # whether it is the first one


def _steps(emissions_BTL: Array, lengths_B: Array) -> _Step:
    steps = emissions_BTL.shape[1]
    return _Step(
        jnp.swapaxes(emissions_BTL, 0, 1),
        real_steps(lengths_B, steps).T[:, :, None],
        jnp.arange(steps) == 0,
    )
