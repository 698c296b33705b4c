"""The checked call into the engine that decodes linear-chain CRFs.

Every function takes the emissions of a ragged batch, the scores of the chain, and optional masks
of what is allowed. Answers are float64 whatever the emissions are.
"""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import ConfigError, ShapeError
from birnn.kernels import isa
from birnn.ragged import Ragged
from birnn.reference import crf
from birnn.reference.crf import Chain, Paths

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


def log_partition(
    emissions: Ragged[Array],
    transitions: Array,
    start: Array,
    end: Array,
    *,
    allowed: Mask | None = None,
    allowed_start: Mask | None = None,
    allowed_end: Mask | None = None,
) -> npt.NDArray[np.float64]:
    """Logarithm of the sum over all tag sequences of the exponential of their score.

    Args:
        emissions: Scores of each row's labels, (N, L).
        transitions: Score of each pair of neighbours [from, to], (L, L).
        start: Score of each first label, (L,).
        end: Score of each last label, (L,).
        allowed: Pairs of neighbours that may be, (L, L); None for all.
        allowed_start: Labels that may be first, (L,).
        allowed_end: Labels that may be last, (L,).

    Returns:
        (B,); 0 for an empty sequence, minus infinity where no tag sequence is allowed.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> emissions = Ragged(np.zeros((1, 4)), np.array([1]))
        >>> zeros = np.zeros(4)
        >>> np.exp(log_partition(emissions, np.zeros((4, 4)), zeros, zeros)).round(6).tolist()
        [4.0]
    """
    chain = _chain(emissions, (transitions, start, end), (allowed, allowed_start, allowed_end))
    return crf.log_partition(emissions, chain)


def marginals(
    emissions: Ragged[Array],
    transitions: Array,
    start: Array,
    end: Array,
    *,
    allowed: Mask | None = None,
    allowed_start: Mask | None = None,
    allowed_end: Mask | None = None,
) -> npt.NDArray[np.float64]:
    """Probability of each label at each row, summed over all tag sequences.

    Args:
        emissions: Scores of each row's labels, (N, L).
        transitions: Score of each pair of neighbours [from, to], (L, L).
        start: Score of each first label, (L,).
        end: Score of each last label, (L,).
        allowed: Pairs of neighbours that may be, (L, L); None for all.
        allowed_start: Labels that may be first, (L,).
        allowed_end: Labels that may be last, (L,).

    Returns:
        (N, L); rows sum to 1, or are 0 where no tag sequence is allowed.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> emissions = Ragged(np.zeros((2, 2)), np.array([2]))
        >>> no_change = np.eye(2, dtype=bool)
        >>> first_only = np.array([True, False])
        >>> marginals(
        ...     emissions,
        ...     np.zeros((2, 2)),
        ...     np.zeros(2),
        ...     np.zeros(2),
        ...     allowed=no_change,
        ...     allowed_start=first_only,
        ... ).tolist()
        [[1.0, 0.0], [1.0, 0.0]]
    """
    chain = _chain(emissions, (transitions, start, end), (allowed, allowed_start, allowed_end))
    return crf.marginals(emissions, chain)


def viterbi(
    emissions: Ragged[Array],
    transitions: Array,
    start: Array,
    end: Array,
    *,
    allowed: Mask | None = None,
    allowed_start: Mask | None = None,
    allowed_end: Mask | None = None,
) -> Paths:
    """The tag sequence of the highest score.

    Args:
        emissions: Scores of each row's labels, (N, L).
        transitions: Score of each pair of neighbours [from, to], (L, L).
        start: Score of each first label, (L,).
        end: Score of each last label, (L,).
        allowed: Pairs of neighbours that may be, (L, L); None for all.
        allowed_start: Labels that may be first, (L,).
        allowed_end: Labels that may be last, (L,).

    Returns:
        ``tags``, a ragged batch of int64 (N,), and ``scores`` (B,).

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> emissions = Ragged(np.array([[0.0, 1.0]]), np.array([1]))
        >>> viterbi(emissions, np.zeros((2, 2)), np.zeros(2), np.zeros(2)).tags.values.tolist()
        [1]
    """
    chain = _chain(emissions, (transitions, start, end), (allowed, allowed_start, allowed_end))
    return crf.viterbi(emissions, chain)


def nbest(
    emissions: Ragged[Array],
    transitions: Array,
    start: Array,
    end: Array,
    *,
    k: int,
    allowed: Mask | None = None,
    allowed_start: Mask | None = None,
    allowed_end: Mask | None = None,
) -> list[list[tuple[npt.NDArray[np.int64], float]]]:
    """The k tag sequences of the highest scores, best first.

    Args:
        emissions: Scores of each row's labels, (N, L).
        transitions: Score of each pair of neighbours [from, to], (L, L).
        start: Score of each first label, (L,).
        end: Score of each last label, (L,).
        k: How many are asked for, from 1 on.
        allowed: Pairs of neighbours that may be, (L, L); None for all.
        allowed_start: Labels that may be first, (L,).
        allowed_end: Labels that may be last, (L,).

    Returns:
        For each sequence its tags (length,) and score, k of them or as many as are allowed.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.
        ConfigError: k below 1.

    Example:
        >>> emissions = Ragged(np.array([[0.0, 1.0]]), np.array([1]))
        >>> found = nbest(emissions, np.zeros((2, 2)), np.zeros(2), np.zeros(2), k=5)
        >>> [(tags.tolist(), score) for tags, score in found[0]]
        [([1], 1.0), ([0], 0.0)]
    """
    if k < 1:
        raise ConfigError(f"k is {k}, it must be a whole number from 1 on")
    chain = _chain(emissions, (transitions, start, end), (allowed, allowed_start, allowed_end))
    return crf.nbest(emissions, chain, k)


def _chain(
    emissions: Ragged[Array],
    scores: tuple[Array, Array, Array],
    masks: tuple[Mask | None, Mask | None, Mask | None],
) -> Chain:
    """The chain, once everything fits; all that does not is named at once."""
    faults: list[str] = []
    if emissions.values.ndim != 2 or emissions.values.shape[1] < 1:
        raise ShapeError(
            f"emissions are rows of one score for each label (N, L), "
            f"got shape {emissions.values.shape}"
        )
    labels = emissions.values.shape[1]
    shapes = {"transitions": (labels, labels), "start": (labels,), "end": (labels,)}
    if emissions.values.dtype.kind != "f":
        faults.append(f"emissions are {emissions.values.dtype}. Make them float32 or float64")
    for (name, shape), score, mask in zip(shapes.items(), scores, masks, strict=True):
        if score.shape != shape:
            faults.append(f"{name} has shape {score.shape}, for {labels} labels it is {shape}")
        if mask is not None and (mask.shape != shape or mask.dtype != np.bool_):
            faults.append(
                f"what is allowed of {name} has shape {mask.shape} of {mask.dtype}, "
                f"it must be {shape} of bool"
            )
    if faults:
        raise ShapeError("; ".join(faults))
    isa.active()
    allowed, allowed_start, allowed_end = masks
    return Chain.of(*scores, allowed=allowed, allowed_start=allowed_start, allowed_end=allowed_end)
