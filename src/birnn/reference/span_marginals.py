"""Probability of a span under a linear-chain CRF: of exactly its steps and its type.

```
p(span) = sum over all tag sequences y that mark it of p(y)
```

Whether tags mark a span hangs on pairs of neighbours: the span begins at one pair, goes on at the
pairs within it, and does not go on at the pair after it. So the sum is a log-partition in which
the other pairs of these steps are ruled out. A longer, shorter or otherwise typed span there is
another one.

Source: Culotta and McCallum 2004, Confidence estimation for information extraction (constrained
forward-backward).
"""

# N rows of all sequences, T rows of one, L labels, S spans

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.ragged import Ragged
from birnn.reference.cells import Array
from birnn.reference.crf import Chain, Floats, Labels, Mask, log_partition
from birnn.reference.softmax import log_sum_exp


@dataclass(frozen=True, slots=True, eq=False)
class SpanRules:
    """How labels mark spans.

    Args:
        first: Labels that begin a span where they are the first of a sequence, (L,).
        begins: Pairs of neighbours [from, to] of which the second begins a span, (L, L).
        continues: Pairs of neighbours of which the second goes on with the first's span, (L, L).
        types: The number of each label's type, (L,); -1 of labels outside of spans.
    """

    first: Mask
    begins: Mask
    continues: Mask
    types: npt.NDArray[np.int64]


class StepSpans(NamedTuple):
    """Spans of a batch.

    Args:
        sequences: The sequence of each, (S,).
        starts: Its first step, (S,).
        stops: The step after its last, (S,).
        types: The number of its type, (S,).
    """

    sequences: Labels
    starts: Labels
    stops: Labels
    types: Labels


def span_marginals(
    emissions: Ragged[Array], chain: Chain, spans: StepSpans, rules: SpanRules
) -> Floats:
    """Probability of each span, summed over all tag sequences that mark it.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain.
        spans: The spans; each has a step.
        rules: How labels mark spans.

    Returns:
        (S,); 0 where no tag sequence is allowed.

    Example:
        >>> inside = np.array([False, True])
        >>> rules = SpanRules(
        ...     inside, ~inside[:, None] & inside, inside[:, None] & inside, np.array([-1, 0])
        ... )
        >>> chain = Chain.of(np.zeros((2, 2)), np.zeros(2), np.zeros(2))
        >>> emissions = Ragged(np.zeros((3, 2)), np.array([3]))
        >>> one = StepSpans(*np.array([[0], [0], [2], [0]]))
        >>> span_marginals(emissions, chain, one, rules).round(6).tolist()
        [0.125]
    """
    partition_B = log_partition(emissions, chain)
    rows = emissions.to_list()
    found = np.zeros(len(spans.starts))
    for i, (sequence, start, stop, type_) in enumerate(np.stack(spans, axis=1).tolist()):
        total = float(partition_B[sequence])
        if total > -np.inf or np.isnan(total):
            marked = _log_partition_of(rows[sequence], chain, rules, start, stop, type_)
            found[i] = np.exp(marked - total)
    return found


def _log_partition_of(
    rows: Array, chain: Chain, rules: SpanRules, start: int, stop: int, type_: int
) -> float:
    """Log of the sum over the tag sequences that mark one span."""
    scores_TL = rows.astype(np.float64)
    of_type = rules.types == type_
    with np.errstate(invalid="ignore"):
        alpha_L = chain.start + scores_TL[0]
        if start == 0:
            alpha_L = np.where(rules.first & of_type, alpha_L, -np.inf)
        for step in range(1, len(scores_TL)):
            pairs_LL = chain.transitions
            if step == start:
                pairs_LL = np.where(rules.begins & of_type, pairs_LL, -np.inf)
            elif start < step < stop:
                pairs_LL = np.where(rules.continues, pairs_LL, -np.inf)
            elif step == stop:
                pairs_LL = np.where(rules.continues, -np.inf, pairs_LL)
            alpha_L = log_sum_exp(alpha_L[:, None] + pairs_LL, axis=0) + scores_TL[step]
        return float(log_sum_exp(alpha_L + chain.end, axis=0))
