"""Heads at work, in NumPy: from what the encoder gave to answers."""

# N rows of all sequences, B sequences, W width of a row, L answers of the head

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from birnn.engine.linear import DenseLayer, Linear
from birnn.errors import BundleError, UsageError
from birnn.ragged import Ragged
from birnn.reference.bidirectional import Outcome
from birnn.reference.stack import Stack
from birnn.runtime.pooling import POOLINGS, Attention, Concatenated, Pooling, Stream
from birnn.runtime.search import Search
from birnn.tasks.annotated import Scores
from birnn.tasks.scored import Decode, Scored

Floats = npt.NDArray[np.float32]
Tensors = Mapping[str, Any]
"""Arrays of float32 by their names; matrices may be of low precision (`birnn.reference.Matrix`)."""
Vocabularies = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Answering:
    """How a batch is answered, and how large it may be.

    Args:
        decode: From what the encoder gave for a batch, and the numbers of its sequences among all
            of them, to one answer for each.
        judge: From what the encoder gave and the right answers of a batch to what the scorer of
            the task counts of each sequence; None where it counts answers.
        sequences: Sequences of a batch at most; None for any number within its rows.
        notice: Gives what is to be told of all answers once they are given, a line, or None; None
            for a task that never has anything to tell.
    """

    decode: Callable[[Outcome, Sequence[int]], list[Any]]
    sequences: int | None = None
    judge: Callable[[Outcome, Sequence[Any]], list[Any]] | None = None
    notice: Callable[[], str | None] | None = None


class RuntimeHead(Protocol):
    """Interface of a head at work; `birnn.runtime.network.HEADS` has the class of each kind.

    What a task does not have is refused with a `UsageError`.
    """

    def answers(self, search: Search | None) -> Answering:
        """The answers of `Predictor.predict`.

        Args:
            search: Settings of the search; None for those by default.
        """

    def probabilities(self, *, with_answers: bool) -> Answering:
        """The probabilities of labels; with answers pairs of both."""

    def hypotheses(self, search: Search | None, *, attention: bool) -> Answering:
        """The n best targets of each source, a list of `Hypothesis`."""

    def annotations(self, top: int | None) -> Answering:
        """`birnn.tasks.annotated.Scores` of each sequence.

        Args:
            top: How many of the best answers are asked for, by a task that ranks them.
        """

    def given_targets(
        self, targets: Sequence[Any], search: Search | None, *, attention: bool
    ) -> Answering:
        """A `Hypothesis` for each source, of its own target among those of a window."""

    def scores(self) -> Answering:
        """Scores before they are decoded."""

    def decode(self, scores: Sequence[npt.NDArray[Any]]) -> list[Any]:
        """Answers for scores."""


class ScoringHead:
    """Scores of labels or values: pooling where there is any, hidden layers, a linear layer.

    Args:
        head: Its description.
        stack: The encoder.
        tensors: Tensors of the model.
        vocabularies: Vocabularies of the model.
    """

    def __init__(
        self, head: Scored, stack: Stack, tensors: Tensors, vocabularies: Vocabularies
    ) -> None:
        del stack
        self._head = head
        self._hidden = [
            DenseLayer(tensors, f"head.{name}", head.activation) for name in head.hidden_layers
        ]
        self._linear = Linear.of(tensors, "head.linear")
        self._pooling: Pooling | None = None  # None: each step has an answer
        if head.pooling_parts == ("attention",):
            self._pooling = Attention(AttentionScores(tensors, "head.attention"))
        elif not head.per_step:
            self._pooling = Concatenated([POOLINGS[part] for part in head.pooling_parts])
        self._labels = tuple(vocabularies.get("labels", ()))
        self.decoder = head.decoding(self._labels, tensors)

    # An overflow affects the answer of its own sequence alone, and is no fault of the run.
    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def __call__(self, encoded: Outcome) -> Floats:
        """Scores: (N, L), one row for each step, for tags; (B, L) for the other heads.

        Args:
            encoded: What the encoder gave.

        Raises:
            BundleError: Scores of labels that are no finite numbers.
        """
        if self._pooling is None:
            return self._score(encoded.output.values)
        return self._score(self._pooling(encoded.output, encoded.final))

    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def step(self, encoded: Outcome, pool: Stream | None) -> Floats:
        """Scores (1, L) after one more row of a sequence.

        Args:
            encoded: What the encoder gave for the row.
            pool: The pooling that `stream` made for this sequence.
        """
        row_1W = encoded.output.values
        return self._score(row_1W if pool is None else pool(row_1W, encoded.final))

    def stream(self) -> Stream | None:
        """The pooling of a new sequence row by row; None where each step has an answer."""
        return None if self._pooling is None else self._pooling.stream()

    def answers(self, search: Search | None) -> Answering:
        """Tags, a label or values."""
        if search is not None:
            raise self._no_search()
        answering, judge = self._decoded(self.decoder.answers), self.decoder.judge
        if judge is None:
            return answering

        def judged(encoded: Outcome, golds: Sequence[Any]) -> list[Any]:
            return judge(self(encoded), encoded.output.lengths, golds)

        return replace(answering, judge=judged)

    def probabilities(self, *, with_answers: bool) -> Answering:
        """Probabilities of labels, of each step or of the sequence."""
        answers, probabilities = self.decoder.answers, self.decoder.probabilities
        if probabilities is None:
            raise self._head.no_probabilities("Call predict for its values.")
        if not with_answers:
            return self._decoded(probabilities)

        def both(scores: Any, lengths: Any) -> list[Any]:
            pairs = zip(answers(scores, lengths), probabilities(scores, lengths), strict=True)
            return list(pairs)

        return self._decoded(both)

    def annotations(self, top: int | None) -> Answering:
        """Answers with probabilities, where there are any, and the spans that they mark."""
        del top
        decoder = self.decoder

        def annotated(scores: Any, lengths: Any) -> list[Scores]:
            answers = decoder.answers(scores, lengths)
            if decoder.spans is not None:
                return decoder.spans(scores, lengths, answers)
            if decoder.probabilities is None:
                return list(map(Scores, answers))
            return list(map(Scores, answers, decoder.probabilities(scores, lengths)))

        return self._decoded(annotated)

    def hypotheses(self, search: Search | None, *, attention: bool) -> Answering:
        """Refused: nothing is searched for."""
        del search, attention
        raise self._no_search()

    def given_targets(
        self, targets: Sequence[Any], search: Search | None, *, attention: bool
    ) -> Answering:
        """Refused: targets are no sequences that are written symbol by symbol."""
        del targets, search, attention
        raise UsageError(
            f"a {self._head.task} writes no targets that could be scored. Call predict_proba."
        )

    def scores(self) -> Answering:
        """Scores of labels; values in the units of their targets."""

        def each(scores: Any, lengths: Any) -> list[Any]:
            if self._head.per_step:
                return Ragged(scores, lengths).to_list()
            if not self._head.has_labels:
                return list(map(np.array, self.decoder.answers(scores, lengths)))
            return list(scores)

        return self._decoded(each)

    def decode(self, scores: Sequence[npt.NDArray[Any]]) -> list[Any]:
        """Answers for what `scores` gave."""
        if not scores or not self._head.has_labels:
            return [values.tolist() for values in scores]
        if self._head.per_step:
            lengths = np.array(list(map(len, scores)), np.int64)
            return self.decoder.answers(np.concatenate(scores), lengths)
        return self.decoder.answers(np.stack(scores), np.ones(len(scores), np.int64))

    def _decoded(self, decode: Decode) -> Answering:
        return Answering(lambda encoded, _: decode(self(encoded), encoded.output.lengths))

    def _no_search(self) -> UsageError:
        return UsageError(
            f"a {self._head.task} answers without a search: it has no beam and no n best. "
            "Leave them out."
        )

    def _score(self, rows: Floats) -> Floats:
        """Scores of rows by the head; those of labels must be finite to be compared."""
        for layer in self._hidden:
            rows = layer(rows)
        scores = self._linear(rows)
        if self._head.has_labels:
            check_finite(scores)
        return scores


class AttentionScores:
    """Scores (N, 1) of rows (N, W) in the attention of that name.

    They are ``q . tanh(W x + b)``, or ``q . x`` where it has no W.
    """

    def __init__(self, tensors: Tensors, name: str) -> None:
        additive = f"{name}.weight" in tensors
        self._project = Linear.of(tensors, name) if additive else None
        self._query = Linear(tensors[f"{name}.query"][None, :])

    def __call__(self, rows_NW: Floats) -> Floats:
        """Scores of rows."""
        if self._project is None:
            return self._query(rows_NW)
        return self._query(np.tanh(self._project(rows_NW)))


def check_finite(scores: npt.NDArray[Any]) -> None:
    """Refuse scores of labels that cannot be compared.

    Raises:
        BundleError: Scores that are no finite numbers.
    """
    if not np.isfinite(scores).all():
        raise BundleError(
            "the model's weights are so large that the scores of its labels overflow. "
            "Train it again, with a smaller learning rate."
        )
