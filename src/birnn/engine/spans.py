"""The checked call into the engine that gives probabilities of spans under a CRF."""

# N rows of all sequences, L labels, S spans

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.engine import crf
from birnn.errors import ShapeError
from birnn.ragged import Ragged
from birnn.reference.crf import Chain, Floats
from birnn.reference.span_marginals import SpanRules, StepSpans, span_marginals

Array = npt.NDArray[Any]


class Marginals(NamedTuple):
    """Probabilities under a CRF.

    Args:
        labels: Of each label at each row, (N, L).
        spans: Of each span, (S,).
    """

    labels: Floats
    spans: Floats


def marginals(
    emissions: Ragged[Array], chain: Chain, spans: StepSpans, rules: SpanRules
) -> Marginals:
    """Probabilities of labels and of spans, summed over all tag sequences.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain, of the same L.
        spans: Spans with at least one step each.
        rules: How labels mark spans.

    Raises:
        ShapeError: A span that does not lie in its sequence.
    """
    labels = crf.marginals(emissions, chain)
    _check(emissions, spans)
    if not len(spans.starts):
        return Marginals(labels, np.zeros(0))
    return Marginals(labels, span_marginals(emissions, chain, spans, rules))


def _check(emissions: Ragged[Array], spans: StepSpans) -> None:
    """Refuses spans that do not lie in their sequences, which would be read from other memory."""
    sequences, starts, stops, types = spans
    if not len(starts) == len(stops) == len(types) == len(sequences):
        raise ShapeError(f"spans have {', '.join(str(len(part)) for part in spans)} entries")
    inside = (sequences >= 0) & (sequences < len(emissions)) & (starts >= 0) & (stops > starts)
    if inside.all():
        inside = stops <= emissions.lengths[sequences]
    if not inside.all():
        at = int(np.flatnonzero(~inside)[0])
        raise ShapeError(
            f"span {at} goes from {starts[at]} to {stops[at]} of sequence {sequences[at]}: it must "
            "lie in it, and have a step"
        )
