"""Which words become gaps: in training drawn anew, in an evaluation always the same."""

# N rows of all sequences, B sequences, T tokens of a text

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from birnn.ragged import Lengths

Truths = npt.NDArray[np.bool_]

ASKED = 0.15  # share of the words that an evaluation asks for, whatever training masked
SEED = 1729  # of the words that an evaluation asks for


def asked_words(may_T: Truths, number: int) -> Truths:
    """The tokens of a text that an evaluation asks for, (T,).

    Args:
        may_T: Which tokens may be asked for, (T,).
        number: Number of the text in the evaluation: with it and the seed the draw is fixed.

    Example:
        >>> may = np.array([True, False, True])
        >>> first, again = asked_words(may, 7), asked_words(may, 7)
        >>> bool((first == again).all()), bool(first.any()), bool(first[1])
        (True, True, False)
    """
    return drawn(may_T, np.array([len(may_T)]), ASKED, np.random.default_rng((SEED, number)))


def drawn(may_N: Truths, lengths: Lengths, share: float, random: np.random.Generator) -> Truths:
    """Rows that become gaps: a share of those that may, and at least one of each sequence.

    Args:
        may_N: Which rows may, (N,).
        lengths: Length of each sequence, (B,).
        share: Chance of each.
        random: Where the draw comes from.

    Example:
        >>> random = np.random.default_rng(0)
        >>> drawn(np.array([True, False, False]), np.array([2, 0, 1]), 0.01, random).tolist()
        [True, False, False]
    """
    weights = np.where(may_N, random.random(len(may_N)), np.inf)
    gaps: Truths = weights < share
    filled_lengths = lengths[lengths > 0]
    if len(filled_lengths):
        starts = np.cumsum(filled_lengths) - filled_lengths
        least = np.repeat(np.minimum.reduceat(weights, starts), filled_lengths)
        gaps |= may_N & (weights == least)
    return gaps
