"""What an answer is made of: tags, spans, labels, each with its probability."""

# B sequences, T steps of one, L labels

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.data.schemes import SchemeName, span_rules, spans
from birnn.engine.spans import marginals
from birnn.ragged import Ragged
from birnn.reference.crf import Chain
from birnn.reference.span_marginals import StepSpans

Array = npt.NDArray[Any]


class ScoredSpan(NamedTuple):
    """A span of steps.

    Args:
        start: Its first step.
        stop: The step after its last.
        type: Its type.
        score: Its probability: of exactly these steps with this type.
    """

    start: int
    stop: int
    type: str
    score: float


@dataclass(frozen=True, slots=True)
class Scores:
    """An answer, and what is known of how sure it is.

    Args:
        answer: As `birnn.runtime.Predictor.predict` gives it.
        probabilities: As `birnn.tasks.scored.Decoder.probabilities` gives them, of a search the n
            best; None where there are none.
        spans: The spans that the answer marks; None where tags mark none.
    """

    answer: Any
    probabilities: Any = None
    spans: Sequence[ScoredSpan] | None = None


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """An answer as annotations show it.

    Args:
        record: Its fields in a JSON object.
        tags: The tag of each step, with its probability; None where steps have none.
        spans: Spans of steps; None where tags mark none.
        labels: Labels of the whole sequence with their probabilities, the best first.
    """

    record: Mapping[str, Any]
    tags: Sequence[tuple[str, float]] | None = None
    spans: Sequence[ScoredSpan] | None = None
    labels: Sequence[tuple[str, float]] = field(default=())


class SpanScorer:
    """Probabilities of tags, and of the spans that tags mark.

    Args:
        labels: The labels by number.
        scheme: How they mark spans.
        chain: The scores of the CRF. Of a softmax all are 0: its steps are independent of each
            other, and the same sums give the probability of a span under it.
    """

    def __init__(self, labels: Sequence[str], scheme: SchemeName, chain: Chain | None) -> None:
        size = len(labels)
        self._chain = chain or Chain(np.zeros((size, size)), np.zeros(size), np.zeros(size))
        self._scheme = scheme
        self._rules, self._types = span_rules(labels, scheme)

    def __call__(
        self, scores_NL: Array, lengths: npt.NDArray[np.int64], tags: Sequence[Any]
    ) -> list[Scores]:
        """Each sequence's tags with their probabilities, and the spans that they mark."""
        marked = [spans(sequence, self._scheme) for sequence in tags]
        listed = [
            (number, span.start, span.stop, self._types.index(span.type))
            for number, found in enumerate(marked)
            for span in found
        ]
        columns = np.array(listed, np.int64).reshape(-1, 4).T
        emissions = Ragged(scores_NL, lengths)
        found = marginals(emissions, self._chain, StepSpans(*columns), self._rules)
        chances = iter(found.spans.tolist())
        return [
            Scores(answer, rows, [ScoredSpan(*span, next(chances)) for span in own])
            for answer, rows, own in zip(
                tags, Ragged(found.labels.astype(np.float32), lengths), marked, strict=True
            )
        ]


def probability_of(label: str, row_L: Array, labels: Sequence[str]) -> float | None:
    """The probability of a label; None of one that the model does not know.

    Example:
        >>> row = np.array([0.25, 0.75])
        >>> probability_of("b", row, "ab"), probability_of("c", row, "ab")
        (0.75, None)
    """
    return float(row_L[labels.index(label)]) if label in labels else None


def probabilities_of(
    answer: Sequence[str], rows: Sequence[Array], labels: Sequence[str]
) -> list[float]:
    """The probability of each label of an answer, which the model knows.

    Args:
        answer: A label for each row.
        rows: Probabilities of the labels, (L,) each.
        labels: The labels by number.

    Example:
        >>> probabilities_of(["b", "a"], np.array([[0.25, 0.75], [0.5, 0.5]]), "ab")
        [0.75, 0.5]
    """
    numbers = {label: number for number, label in enumerate(labels)}
    return [float(row[numbers[label]]) for label, row in zip(answer, rows, strict=True)]


def ranked(row_L: Array, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
    """The labels with their probabilities, the best first; among equals the lower number.

    Args:
        row_L: Probabilities of the labels, (L,).
        labels: The labels by number.
        top: How many are given; None for all.

    Example:
        >>> ranked(np.array([0.25, 0.5, 0.25]), "abc", 2)
        [('b', 0.5), ('a', 0.25)]
    """
    order = np.argsort(-row_L, kind="stable")[:top]
    return [(labels[number], float(row_L[number])) for number in order.tolist()]


def named_probabilities(row: Any, labels: Sequence[str]) -> dict[str, float]:
    """The probability of every label, with six digits."""
    return {label: round(float(p), 6) for label, p in zip(labels, row, strict=True)}
