"""The checked call into the engine that gives probabilities of spans under a CRF."""

# N rows of all sequences, L labels, S spans

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.engine import crf, isa
from birnn.engine.arrays import contiguous
from birnn.engine.threads import WorkerThreads, worker_threads
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
    emissions: Ragged[Array],
    chain: Chain,
    spans: StepSpans,
    rules: SpanRules,
    *,
    threads: int | WorkerThreads | None = None,
) -> Marginals:
    """Probabilities of labels and of spans, summed over all tag sequences.

    Args:
        emissions: Scores of each row's labels, (N, L).
        chain: The chain, of the same L.
        spans: Spans with at least one step each, in the order of their sequences.
        rules: How labels mark spans.
        threads: At most how many run; as many as are set where it is None.

    Raises:
        ShapeError: Shapes or dtypes that do not fit, a span that does not lie in its sequence.

    Example:
        >>> inside = np.array([False, True])
        >>> begins, continues = ~inside[:, None] & inside, inside[:, None] & inside
        >>> rules = SpanRules(inside, begins, continues, np.array([-1, 0]))
        >>> chain = crf.chain_of(np.zeros((2, 2)), np.zeros(2), np.zeros(2))
        >>> emissions = Ragged(np.zeros((2, 2)), np.array([2]))
        >>> found = marginals(emissions, chain, StepSpans(*np.array([[0], [0], [1], [0]])), rules)
        >>> found.labels.round(6).tolist(), found.spans.round(6).tolist()
        ([[0.5, 0.5], [0.5, 0.5]], [0.25])
    """
    _check(emissions, spans)
    native = isa.selected_engine()
    # A checkout may have a module that is older than its sources, until `make` compiles it again.
    if not hasattr(native, "chain_spans") or not len(spans.starts):
        labels = crf.marginals(emissions, chain, threads=threads)
        chances = span_marginals(emissions, chain, spans, rules)
        return Marginals(labels, np.minimum(chances, 1.0))
    crf.check_chain(emissions, chain)
    assert native is not None
    found = Marginals(np.empty(emissions.values.shape), np.empty(len(spans.starts)))
    try:
        native.chain_spans(
            *crf.kernel_arguments(emissions, chain),
            *(contiguous(part, np.int64) for part in spans),
            contiguous(rules.types, np.int64),
            *(
                contiguous(mask, np.bool_).view(np.uint8).ravel()
                for mask in (rules.first, rules.begins, rules.continues)
            ),
            *found,
            *worker_threads(threads),
        )
    except MemoryError as error:
        raise crf.no_memory(emissions) from error
    return found._replace(spans=np.minimum(found.spans, 1.0))


def _check(emissions: Ragged[Array], spans: StepSpans) -> None:
    """Refuses spans that do not lie in their sequences, in the order of these."""
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
    if (sequences[1:] < sequences[:-1]).any():
        raise ShapeError("spans do not stand in the order of their sequences. Sort them.")
