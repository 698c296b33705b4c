"""Sequences through a network: in windows as they come, in batches of similar lengths."""

# B sequences

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from birnn.bundle.io import Bundle
from birnn.data.batching import arrivals, in_order, windows
from birnn.errors import Tell, log_notice
from birnn.inputs import Steps, restored
from birnn.ragged import Lengths, Ragged
from birnn.runtime.heads import Answering
from birnn.runtime.network import NumpyNetwork

# Sequences and rows that are read ahead, sorted by length, and answered in their order.
WINDOW = 4096
WINDOW_ROWS = 1 << 16
# Rows that go through the network together; the more, the more words recur in a batch. Of a head
# with thousands of labels its scores take the memory.
BATCH_ROWS = 1 << 14
BATCH_SCORES = 1 << 25


class BatchRunner:
    """Answers a stream of validated sequences.

    Args:
        bundle: The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.head = bundle.spec.head
        self.codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
        self.network = NumpyNetwork(bundle.spec, bundle.tensors, bundle.vocabularies)
        self.embed = self.codec.embedding(bundle.tensors, self.network.encoder)

    def stream(
        self,
        sequences: Iterable[Steps],
        answering: Answering,
        window: int = WINDOW,
        wait: bool = True,
        tell: Tell = log_notice,
    ) -> Iterator[Any]:
        """Answers in the order of the sequences, as `Predictor.stream` gives them."""
        pieces = windows if wait else arrivals
        told: set[str] = set()
        first = 0
        for ahead in pieces(sequences, tokens=WINDOW_ROWS, sequences=window):
            if not first:
                self.notice(ahead, tell)
            notices = self.head.notices(ahead)
            for name in [name for name in notices if name not in told]:
                tell(notices[name])
            told |= notices.keys()
            yield from self.run(ahead, answering, first=first)
            first += len(ahead)
        self.notice_answers(answering, tell)

    def run(
        self,
        sequences: list[Steps],
        answering: Answering,
        golds: Sequence[Any] | None = None,
        *,
        first: int = 0,
    ) -> list[Any]:
        """Answers of a window in its order, computed in batches of similar lengths.

        Args:
            sequences: The window.
            answering: How.
            golds: The right answers, where what a scorer counts is wanted and not the answers.
            first: The number of the first sequence among all.
        """
        answers: list[Any] = [None] * len(sequences)
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        for batch in self._batches(lengths, answering.sequences):
            numbers = batch.tolist()
            given = [sequences[i] for i in numbers]
            rows, asked = self.embed(given), self.head.asked(given)
            x = Ragged.of_checked(rows.values, lengths[batch])
            encoded = self.network.encode(x, table=rows.table)
            if asked is not None:
                encoded = replace(encoded, output=encoded.output.kept(asked))
            if golds is None or answering.judge is None:
                found = answering.decode(encoded, [first + i for i in numbers])
            else:
                found = answering.judge(encoded, [golds[i] for i in numbers])
            for i, answer in zip(numbers, found, strict=True):
                answers[i] = answer
        return answers

    def _batches(self, lengths: Lengths, sequences: int | None) -> list[Lengths]:
        """Numbers of the sequences that go through the network together."""
        if len(lengths) == 1:  # one request of a server needs no order
            return [np.zeros(1, np.int64)]
        tokens = max(1, min(BATCH_ROWS, BATCH_SCORES // self.head.size))
        return in_order(lengths, tokens=tokens, sequences=sequences)

    @staticmethod
    def notice_answers(answering: Answering, tell: Tell) -> None:
        """Tell what is noteworthy about all answers, once they are given."""
        if answering.notice is not None and (line := answering.notice()) is not None:
            tell(line)

    def notice(self, sequences: list[Steps], tell: Tell) -> None:
        """Tell what is noteworthy about the first sequences, a line each."""
        for line in self.codec.notices(sequences):
            tell(line)
