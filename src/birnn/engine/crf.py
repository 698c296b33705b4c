"""The checked call into the engine that runs linear-chain CRFs.

Every function takes the emissions of a ragged batch, float32 or float64, and a chain made by
`chain_of`. Answers are float64 whatever the emissions are, and a sequence's have the same bits
alone and in any batch, in any order, on any number of threads.
"""

# N rows of all sequences, B sequences, L labels

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.engine.arrays import contiguous
from birnn.engine.threads import WorkerThreads, worker_threads
from birnn.errors import ConfigError, ShapeError
from birnn.ragged import Ragged
from birnn.reference import crf
from birnn.reference.crf import Chain, Paths

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
KernelArguments = tuple[Floats, npt.NDArray[np.int64], Floats, Floats, Floats]
"""Emissions, offsets of the sequences, transitions, start and end, as the kernels take them."""


class ExpectedCounts(NamedTuple):
    """Gradient of a weighted sum of log-partitions: how often each score is expected to be used.

    Args:
        emissions: (N, L).
        transitions: (L, L).
        start: (L,).
        end: (L,).
    """

    emissions: Floats
    transitions: Floats
    start: Floats
    end: Floats


def chain_of(
    transitions: Array,
    start: Array,
    end: Array,
    *,
    allowed: Mask | None = None,
    allowed_start: Mask | None = None,
    allowed_end: Mask | None = None,
) -> Chain:
    """The scores of a chain, with what is not allowed at minus infinity.

    Args:
        transitions: Score of each pair of neighbours [from, to], (L, L).
        start: Score of each first label, (L,).
        end: Score of each last label, (L,).
        allowed: Pairs of neighbours that may be, (L, L); None for all.
        allowed_start: Labels that may be first, (L,).
        allowed_end: Labels that may be last, (L,).

    Raises:
        ShapeError: Shapes or dtypes that do not fit; all of them are named at once.

    Example:
        >>> no_change = np.eye(2, dtype=bool)
        >>> chain_of(np.zeros((2, 2)), np.zeros(2), np.zeros(2), allowed=no_change).transitions
        array([[  0., -inf],
               [-inf,   0.]])
    """
    labels = transitions.shape[0] if transitions.ndim else 0
    faults: list[str] = []
    for name, score, mask, shape in (
        ("transitions", transitions, allowed, (labels, labels)),
        ("start", start, allowed_start, (labels,)),
        ("end", end, allowed_end, (labels,)),
    ):
        if score.shape != shape or score.dtype.kind != "f":
            faults.append(
                f"{name} has shape {score.shape} of {score.dtype}, "
                f"for {labels} labels it is {shape} of floats"
            )
        if mask is not None and (mask.shape != shape or mask.dtype != np.bool_):
            faults.append(
                f"what is allowed of {name} has shape {mask.shape} of {mask.dtype}, "
                f"it must be {shape} of bool"
            )
    if faults:
        raise ShapeError("; ".join(faults))
    return Chain.of(
        transitions,
        start,
        end,
        allowed=allowed,
        allowed_start=allowed_start,
        allowed_end=allowed_end,
    )


def log_partition(
    emissions: Ragged[Array], chain: Chain, *, threads: int | WorkerThreads | None = None
) -> Floats:
    """Logarithm of the sum over all tag sequences of the exponential of their score.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain, of the same L.
        threads: At most how many run; as many as are set where it is None.

    Returns:
        (B,); 0 for an empty sequence, minus infinity where no tag sequence is allowed.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> emissions = Ragged(np.zeros((1, 4)), np.array([1]))
        >>> chain = chain_of(np.zeros((4, 4)), np.zeros(4), np.zeros(4))
        >>> np.exp(log_partition(emissions, chain)).round(6).tolist()
        [4.0]
    """
    check_chain(emissions, chain)
    native = isa.selected_engine()
    if native is None:
        return crf.log_partition(emissions, chain)
    found = np.empty(len(emissions))
    _sums(native, emissions, chain, threads, log_partition=found)
    return found


def marginals(
    emissions: Ragged[Array], chain: Chain, *, threads: int | WorkerThreads | None = None
) -> Floats:
    """Probability of each label at each row, summed over all tag sequences.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain, of the same L.
        threads: At most how many run; as many as are set where it is None.

    Returns:
        (N, L); rows sum to 1, or are 0 where no tag sequence is allowed.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> emissions = Ragged(np.zeros((2, 2)), np.array([2]))
        >>> zeros = np.zeros(2)
        >>> no_change, first_only = np.eye(2, dtype=bool), np.array([True, False])
        >>> chain = chain_of(
        ...     np.zeros((2, 2)), zeros, zeros, allowed=no_change, allowed_start=first_only
        ... )
        >>> marginals(emissions, chain).tolist()
        [[1.0, 0.0], [1.0, 0.0]]
    """
    check_chain(emissions, chain)
    native = isa.selected_engine()
    if native is None:
        return crf.marginals(emissions, chain)
    found = np.empty(emissions.values.shape)
    _sums(native, emissions, chain, threads, marginals=found)
    return found


def log_partition_gradient(
    emissions: Ragged[Array],
    chain: Chain,
    weights: Array,
    *,
    threads: int | WorkerThreads | None = None,
) -> ExpectedCounts:
    """Gradient of the weighted sum of the log-partitions.

    The derivative by a score is how often that score is expected to be used: for an emission its
    marginal probability.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain, of the same L.
        weights: Factor of each sequence's log-partition in the sum, (B,).
        threads: At most how many run; as many as are set where it is None.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> emissions = Ragged(np.zeros((3, 2)), np.array([3]))
        >>> chain = chain_of(np.zeros((2, 2)), np.zeros(2), np.zeros(2))
        >>> log_partition_gradient(emissions, chain, np.ones(1)).transitions.round(6).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    check_chain(emissions, chain)
    if weights.shape != (len(emissions),) or weights.dtype.kind != "f":
        raise ShapeError(
            f"weights have shape {weights.shape} of {weights.dtype}, "
            f"for {len(emissions)} sequences it is ({len(emissions)},) of floats"
        )
    native = isa.selected_engine()
    if native is None:
        return _reference_gradient(emissions, chain, weights)
    labels = emissions.values.shape[1]
    found = ExpectedCounts(
        np.empty(emissions.values.shape),
        np.empty((labels, labels)),
        np.empty(labels),
        np.empty(labels),
    )
    _sums(
        native,
        emissions,
        chain,
        threads,
        weight=contiguous(weights, np.float64),
        **{f"d_{name}": part for name, part in found._asdict().items()},
    )
    return found


def viterbi(
    emissions: Ragged[Array], chain: Chain, *, threads: int | WorkerThreads | None = None
) -> Paths:
    """The tag sequence of the highest score; among equals the one of lower labels at the end.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain, of the same L.
        threads: At most how many run; as many as are set where it is None.

    Returns:
        ``tags``, a ragged batch of int64 (N,), and ``scores`` (B,); where no tag sequence is
        allowed the score is minus infinity and the tags mean nothing.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> emissions = Ragged(np.array([[0.0, 1.0]]), np.array([1]))
        >>> chain = chain_of(np.zeros((2, 2)), np.zeros(2), np.zeros(2))
        >>> viterbi(emissions, chain).tags.values.tolist()
        [1]
    """
    check_chain(emissions, chain)
    native = isa.selected_engine()
    if native is None:
        return crf.viterbi(emissions, chain)
    tags = np.empty(emissions.values.shape[0], np.int64)
    scores = np.empty(len(emissions))
    try:
        native.chain_paths(
            *kernel_arguments(emissions, chain), tags, scores, *worker_threads(threads)
        )
    except MemoryError as error:
        raise no_memory(emissions) from error
    return Paths(Ragged(tags, emissions.lengths), scores)


def nbest(
    emissions: Ragged[Array], chain: Chain, *, k: int
) -> list[list[tuple[npt.NDArray[np.int64], float]]]:
    """The k tag sequences of the highest scores, best first. Runs on the reference.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain, of the same L.
        k: How many are asked for, from 1 on.

    Returns:
        For each sequence its tags (length,) and score, k of them or as many as are allowed.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.
        ConfigError: k below 1.

    Example:
        >>> emissions = Ragged(np.array([[0.0, 1.0]]), np.array([1]))
        >>> chain = chain_of(np.zeros((2, 2)), np.zeros(2), np.zeros(2))
        >>> [(tags.tolist(), score) for tags, score in nbest(emissions, chain, k=5)[0]]
        [([1], 1.0), ([0], 0.0)]
    """
    if k < 1:
        raise ConfigError(f"k is {k}, it must be a whole number from 1 on")
    check_chain(emissions, chain)
    return crf.nbest(emissions, chain, k)


def check_chain(emissions: Ragged[Array], chain: Chain) -> None:
    """Refuses emissions that are no scores of the chain's labels."""
    shape, dtype = emissions.values.shape, emissions.values.dtype
    if len(shape) != 2 or shape[1] < 1:
        raise ShapeError(
            f"emissions are rows of one score for each label (N, L), got shape {shape}"
        )
    faults = [] if dtype.kind == "f" else [f"emissions are {dtype}. Make them float32 or float64"]
    labels = shape[1]
    faults += [
        f"{name} has shape {score.shape}, for {labels} labels it is {right}"
        for name, score, right in (
            ("transitions", chain.transitions, (labels, labels)),
            ("start", chain.start, (labels,)),
            ("end", chain.end, (labels,)),
        )
        if score.shape != right
    ]
    if faults:
        raise ShapeError("; ".join(faults))


def kernel_arguments(emissions: Ragged[Array], chain: Chain) -> KernelArguments:
    """Emissions and chain as the kernels take them."""
    scores = (emissions.values, chain.transitions, chain.start, chain.end)
    rows, *parameters = (contiguous(score, np.float64) for score in scores)
    transitions, start, end = parameters
    return rows, emissions.offsets, transitions, start, end


def _sums(
    native: ModuleType,
    emissions: Ragged[Array],
    chain: Chain,
    threads: int | WorkerThreads | None,
    *,
    log_partition: Floats | None = None,
    marginals: Floats | None = None,
    weight: Floats | None = None,
    d_emissions: Floats | None = None,
    d_transitions: Floats | None = None,
    d_start: Floats | None = None,
    d_end: Floats | None = None,
) -> None:
    """Fills the arrays that are there."""
    gradient = (weight, d_emissions, d_transitions, d_start, d_end)
    try:
        native.chain_sums(
            *kernel_arguments(emissions, chain),
            log_partition,
            marginals,
            *gradient,
            *worker_threads(threads),
        )
    except MemoryError as error:
        raise no_memory(emissions) from error


def no_memory(emissions: Ragged[Array]) -> MemoryError:
    """The error for emissions whose sums need more memory than there is."""
    labels, longest = emissions.values.shape[1], int(emissions.lengths.max(initial=0))
    return MemoryError(
        f"no memory for a chain of {labels} labels over {longest} steps. "
        "Cut the sequences shorter or run on fewer threads."
    )


def _reference_gradient(emissions: Ragged[Array], chain: Chain, weights: Array) -> ExpectedCounts:
    """From the likelihood's gradient for tags that are all 0: their counts less what it is."""
    scores = (emissions.values, chain.transitions, chain.start, chain.end)
    found = ExpectedCounts(*(np.zeros(part.shape) for part in scores))
    for i, first in enumerate(emissions.offsets[:-1].tolist()):
        alone = emissions.select([i])
        rows = alone.values.shape[0]
        if rows == 0:
            continue
        _, *likelihood = crf.gradient(alone, np.zeros(rows, np.int64), chain)
        counts = ExpectedCounts(*(np.zeros_like(part) for part in likelihood))
        counts.emissions[:, 0] = counts.start[0] = counts.end[0] = 1
        counts.transitions[0, 0] = rows - 1
        totals = (found.emissions[first : first + rows], *found[1:])
        for total, count, part in zip(totals, counts, likelihood, strict=True):
            total += weights[i] * (count - part)
    return found
