"""Linear-chain conditional random field over a ragged batch.

The score of tags y for the emissions e of one sequence of T steps is

```
score(y) = start[y_1] + sum_t e[t, y_t] + sum_t transitions[y_(t-1), y_t] + end[y_T]
p(y)     = exp(score(y) - log_partition)      log_partition = log sum_y' exp(score(y'))
```

The empty sequence has one tag sequence, the empty one, of score 0. Everything is computed in
float64, for all sequences that still run at a step at once, and by element-wise operations only,
so a sequence's answer has the same bits in every batch.

Source: Lafferty et al. 2001; forward-backward and Viterbi as in Rabiner 1989; n-best: the k best
ways into each tag are kept instead of the one best.
"""

# N rows of all sequences, B sequences (running ones where a step is meant), L labels,
# K hypotheses of each label

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.ragged import Lengths, Ragged
from birnn.reference.cells import Array
from birnn.reference.scan import Schedule
from birnn.reference.softmax import log_sum_exp

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Parameters of the chain, with what is not allowed at minus infinity.

    Args:
        transitions: Score of each pair of neighbours [from, to], (L, L).
        start: Score of each first label, (L,).
        end: Score of each last label, (L,).

    Example:
        >>> never = np.array([[True, False], [True, True]])
        >>> Chain.of(np.zeros((2, 2)), np.zeros(2), np.zeros(2), allowed=never).transitions.tolist()
        [[0.0, -inf], [0.0, 0.0]]
    """

    transitions: Floats
    start: Floats
    end: Floats

    @classmethod
    def of(
        cls,
        transitions: Array,
        start: Array,
        end: Array,
        *,
        allowed: Mask | None = None,
        allowed_start: Mask | None = None,
        allowed_end: Mask | None = None,
    ) -> Chain:
        """From parameters, and masks of what may be: True for allowed, None for all."""
        pairs = ((transitions, allowed), (start, allowed_start), (end, allowed_end))
        return cls(
            *(
                np.asarray(scores, np.float64)
                if mask is None
                else np.where(mask, np.asarray(scores, np.float64), -np.inf)
                for scores, mask in pairs
            )
        )


class Paths(NamedTuple):
    """One tag sequence for each sequence of a batch.

    Args:
        tags: Labels, (N,).
        scores: Score of each tag sequence, (B,).
    """

    tags: Ragged[Labels]
    scores: Floats


class Gradient(NamedTuple):
    """Log-likelihood of gold tags, and the gradient of its sum over the batch.

    Args:
        log_likelihood: Of each sequence, (B,).
        emissions: Gradient with respect to the emissions, (N, L).
        transitions: With respect to the transitions, (L, L); likewise the others.
        start: (L,).
        end: (L,).
    """

    log_likelihood: Floats
    emissions: Floats
    transitions: Floats
    start: Floats
    end: Floats


def score(emissions: Ragged[Array], tags_N: Labels, chain: Chain) -> Floats:
    """Score of given tags.

    Args:
        emissions: Scores of each row's labels, (N, L).
        tags_N: A label for each row, (N,).
        chain: The chain.

    Returns:
        Score of each sequence, (B,).
    """
    rows = np.arange(tags_N.shape[0])
    per_row_N = emissions.values[rows, tags_N].astype(np.float64)
    first, last = emissions.step_of_row == 0, _is_last(emissions)
    per_row_N[first] += chain.start[tags_N[first]]
    per_row_N[last] += chain.end[tags_N[last]]
    to = np.flatnonzero(~first)
    per_row_N[to] += chain.transitions[tags_N[to - 1], tags_N[to]]
    total_B = np.bincount(emissions.sequence_of_row, per_row_N, minlength=len(emissions))
    return total_B.astype(np.float64, copy=False)


def log_partition(emissions: Ragged[Array], chain: Chain) -> Floats:
    """Logarithm of the sum over all tag sequences of the exponential of their score.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain.

    Returns:
        (B,); minus infinity where no tag sequence is allowed.

    Example:
        >>> chain = Chain.of(np.zeros((2, 2)), np.zeros(2), np.zeros(2))
        >>> emissions = Ragged(np.zeros((3, 2)), np.array([3, 0]))
        >>> np.exp(log_partition(emissions, chain)).round(6).tolist()
        [8.0, 1.0]
    """
    schedule = Schedule.of(emissions.lengths)
    alpha_NL = _alpha(_scan_rows(emissions, schedule), schedule, chain)
    return _partition(alpha_NL, schedule, emissions.lengths, chain)


def marginals(emissions: Ragged[Array], chain: Chain) -> Floats:
    """Probability of each label at each row, summed over all tag sequences.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain.

    Returns:
        (N, L); rows sum to 1, or are 0 where no tag sequence is allowed.
    """
    return _sweep(emissions, Schedule.of(emissions.lengths), chain).marginals


@np.errstate(invalid="ignore")
def gradient(emissions: Ragged[Array], tags_N: Labels, chain: Chain) -> Gradient:
    """Log-likelihood of gold tags and its gradient: observed less expected counts.

    Args:
        emissions: Scores of each row's labels, (N, L).
        tags_N: Gold label of each row, (N,).
        chain: The chain; gold tags that it does not allow have log-likelihood minus infinity.

    Returns:
        The log-likelihood of each sequence, and the gradient of their sum.
    """
    schedule = Schedule.of(emissions.lengths)
    sweep = _sweep(emissions, schedule, chain)
    sorted_B = sweep.partition[schedule.order]
    into_NL = _scan_rows(emissions, schedule) + sweep.beta
    first, last = emissions.step_of_row == 0, _is_last(emissions)
    d_emissions_NL = -sweep.marginals
    d_emissions_NL[np.arange(tags_N.shape[0]), tags_N] += 1.0
    d_transitions_LL = np.zeros_like(chain.transitions)
    to = np.flatnonzero(~first)
    np.add.at(d_transitions_LL, (tags_N[to - 1], tags_N[to]), 1.0)
    for (_, before), (count, here) in itertools.pairwise(schedule.steps()):
        from_BL = sweep.alpha[before][:count]
        joint_BLL = from_BL[:, :, None] + chain.transitions + into_NL[here][:, None, :]
        d_transitions_LL -= _probability(joint_BLL, sorted_B[:count]).sum(axis=0)
    return Gradient(
        score(emissions, tags_N, chain) - sweep.partition,
        d_emissions_NL,
        d_transitions_LL,
        d_emissions_NL[first].sum(axis=0),
        d_emissions_NL[last].sum(axis=0),
    )


@np.errstate(invalid="ignore")
def viterbi(emissions: Ragged[Array], chain: Chain) -> Paths:
    """The tag sequence of the highest score; among equals the one of lower labels at the end.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain.

    Returns:
        Tags and score of each sequence; the score is minus infinity where no tag sequence is
        allowed, and the tags then mean nothing.

    Example:
        >>> chain = Chain.of(np.array([[0.0, -5.0], [0.0, 0.0]]), np.zeros(2), np.zeros(2))
        >>> tags, scores = viterbi(Ragged(np.array([[2.0, 0], [0, 3]]), np.array([2])), chain)
        >>> tags.values.tolist(), scores.tolist()
        ([1, 1], [3.0])
    """
    schedule = Schedule.of(emissions.lengths)
    scan_NL = _scan_rows(emissions, schedule)
    to_from_LL = np.ascontiguousarray(chain.transitions.T)
    back_NL = np.zeros(scan_NL.shape, np.int64)
    best_BL = np.zeros((len(emissions), scan_NL.shape[1]))
    for step, (count, here) in enumerate(schedule.steps()):
        if step == 0:
            best_BL[:count] = chain.start + scan_NL[here]
            continue
        into_BLL = best_BL[:count, None, :] + to_from_LL
        back_NL[here] = into_BLL.argmax(axis=2)
        best_BL[:count] = into_BLL.max(axis=2) + scan_NL[here]
    best_BL += chain.end
    tag_B = best_BL.argmax(axis=1)
    scores_B = np.where(emissions.lengths[schedule.order] > 0, best_BL.max(axis=1), 0.0)

    tags_N = np.zeros(scan_NL.shape[0], np.int64)
    for count, here in reversed(list(schedule.steps())):
        tags_N[here] = tag_B[:count]
        tag_B[:count] = back_NL[here][np.arange(count), tag_B[:count]]
    rows_N = np.empty_like(tags_N)
    rows_N[schedule.rows] = tags_N
    return Paths(Ragged(rows_N, emissions.lengths), schedule.unsort((scores_B,))[0])


@np.errstate(invalid="ignore")
def nbest(emissions: Ragged[Array], chain: Chain, k: int) -> list[list[tuple[Labels, float]]]:
    """The k tag sequences of the highest scores, best first.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain.
        k: How many are asked for, from 1 on.

    Returns:
        For each sequence its tags (length,) and score, k of them or as many as are allowed.
    """
    schedule = Schedule.of(emissions.lengths)
    scan_NL = _scan_rows(emissions, schedule)
    labels = scan_NL.shape[1]
    to_from_LL = np.ascontiguousarray(chain.transitions.T)
    back_NLK = np.zeros((*scan_NL.shape, k), np.int64)
    best_BLK = np.full((len(emissions), labels, k), -np.inf)
    for step, (count, here) in enumerate(schedule.steps()):
        if step == 0:
            best_BLK[:count, :, 0] = chain.start + scan_NL[here]
            continue
        # One candidate for each label and hypothesis before, numbered label * k + hypothesis.
        into_BLLK = best_BLK[:count, None, :, :] + to_from_LL[:, :, None]
        into_BLC = into_BLLK.reshape(count, labels, labels * k)
        back_NLK[here] = np.argsort(-into_BLC, axis=2, kind="stable")[:, :, :k]
        kept_BLK = np.take_along_axis(into_BLC, back_NLK[here], axis=2)
        best_BLK[:count] = kept_BLK + scan_NL[here][:, :, None]
    last_BC = (best_BLK + chain.end[:, None]).reshape(len(emissions), labels * k)
    found_BK = np.argsort(-last_BC, axis=1, kind="stable")[:, :k]
    scores_BK = np.take_along_axis(last_BC, found_BK, axis=1)

    tags_NK = np.zeros((scan_NL.shape[0], k), np.int64)
    at_BK = found_BK.copy()
    for count, here in reversed(list(schedule.steps())):
        label_BK, hypothesis_BK = np.divmod(at_BK[:count], k)
        tags_NK[here] = label_BK
        at_BK[:count] = back_NLK[here][np.arange(count)[:, None], label_BK, hypothesis_BK]
    rows_NK = np.empty_like(tags_NK)
    rows_NK[schedule.rows] = tags_NK
    scores_BK = schedule.unsort((scores_BK,))[0]
    return [
        [(tags[:, i].copy(), float(s)) for i, s in enumerate(scores) if s > -np.inf]
        if length
        else [(np.zeros(0, np.int64), 0.0)]
        for tags, scores, length in zip(
            Ragged(rows_NK, emissions.lengths), scores_BK, emissions.lengths.tolist(), strict=True
        )
    ]


def _scan_rows(emissions: Ragged[Array], schedule: Schedule) -> Floats:
    """Emissions in float64 and in scan order."""
    return emissions.values[schedule.rows].astype(np.float64)


def _is_last(emissions: Ragged[Array]) -> Mask:
    """Whether each row is its sequence's last, (N,)."""
    last: Mask = np.zeros(emissions.values.shape[0], np.bool_)
    last[emissions.offsets[1:][emissions.lengths > 0] - 1] = True
    return last


class _Sweep(NamedTuple):
    """Both recursions over a batch: alpha and beta in scan order, the rest in the batch's."""

    alpha: Floats
    beta: Floats
    partition: Floats
    marginals: Floats


def _sweep(emissions: Ragged[Array], schedule: Schedule, chain: Chain) -> _Sweep:
    scan_NL = _scan_rows(emissions, schedule)
    alpha_NL, beta_NL = _alpha(scan_NL, schedule, chain), _beta(scan_NL, schedule, chain)
    partition_B = _partition(alpha_NL, schedule, emissions.lengths, chain)
    per_row_N = partition_B[emissions.sequence_of_row][schedule.rows]
    marginals_NL = np.empty_like(alpha_NL)
    with np.errstate(invalid="ignore"):
        marginals_NL[schedule.rows] = _probability(alpha_NL + beta_NL, per_row_N)
    return _Sweep(alpha_NL, beta_NL, partition_B, marginals_NL)


def _alpha(scan_NL: Floats, schedule: Schedule, chain: Chain) -> Floats:
    """Log of the sum over the tags before a row, the row's own emission included; scan order."""
    alpha_NL = np.empty_like(scan_NL)
    before = slice(0, 0)
    with np.errstate(invalid="ignore"):
        for step, (count, here) in enumerate(schedule.steps()):
            if step == 0:
                alpha_NL[here] = chain.start + scan_NL[here]
            else:
                into_BLL = alpha_NL[before][:count, :, None] + chain.transitions
                alpha_NL[here] = log_sum_exp(into_BLL, axis=1) + scan_NL[here]
            before = here
    return alpha_NL


def _beta(scan_NL: Floats, schedule: Schedule, chain: Chain) -> Floats:
    """Log of the sum over the tags after a row, its own emission left out; scan order."""
    beta_NL = np.empty_like(scan_NL)
    after_count, after = 0, slice(0, 0)
    with np.errstate(invalid="ignore"):
        for count, here in reversed(list(schedule.steps())):
            beta_NL[here] = chain.end
            out_BL = scan_NL[after] + beta_NL[after]
            out_BLL = chain.transitions + out_BL[:, None, :]
            beta_NL[here][:after_count] = log_sum_exp(out_BLL, axis=2)
            after_count, after = count, here
    return beta_NL


def _partition(alpha_NL: Floats, schedule: Schedule, lengths: Lengths, chain: Chain) -> Floats:
    """Log-partition of each sequence in the batch's order, (B,); 0 for the empty one."""
    partition_B = np.zeros(lengths.shape[0])
    with np.errstate(invalid="ignore"):  # an infinite emission may meet an end that is ruled out
        last_BL = alpha_NL[schedule.last_places(lengths)] + chain.end
    partition_B[: last_BL.shape[0]] = log_sum_exp(last_BL, axis=1)
    return schedule.unsort((partition_B,))[0]


def _probability(scores: Floats, partition: Floats) -> Floats:
    """``exp(scores - partition)`` along the first axis; 0 where nothing is allowed."""
    # Where the partition is minus infinity every score is: the difference would be NaN.
    off = np.where(np.isneginf(partition), 0.0, partition)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.exp(scores - off.reshape(-1, *[1] * (scores.ndim - 1)))
