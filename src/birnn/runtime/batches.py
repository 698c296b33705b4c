"""Sequences through a network: in windows as they come, in batches of similar lengths."""

# B sequences

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from birnn.bundle.io import Bundle
from birnn.data.batching import arrivals, in_order, windows
from birnn.errors import Tell, log_notice
from birnn.inputs import Steps, restored
from birnn.ragged import Ragged
from birnn.runtime.heads import Answering
from birnn.runtime.network import NumpyNetwork

# Sequences and rows that are read ahead, sorted by length, and answered in their order.
WINDOW = 4096
WINDOW_ROWS = 1 << 16
# Rows that go through the network together; the more, the more words recur in a batch.
BATCH_ROWS = 1 << 14


class BatchRunner:
    """Answers a stream of validated sequences.

    Args:
        bundle: The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
        self.embed = self.codec.embedding(bundle.tensors)
        self.network = NumpyNetwork(bundle.spec, bundle.tensors, bundle.vocabularies)

    def stream(
        self,
        sequences: Iterable[Steps],
        answering: Answering,
        window: int = WINDOW,
        wait: bool = True,
    ) -> Iterator[Any]:
        """Answers in the order of the sequences, as `Predictor.stream` gives them."""
        pieces = windows if wait else arrivals
        first = True
        for ahead in pieces(sequences, tokens=WINDOW_ROWS, sequences=window):
            if first:
                self.notice(ahead, log_notice)
                first = False
            yield from self.run(ahead, answering)

    def run(self, sequences: list[Steps], answering: Answering) -> list[Any]:
        """Answers of a window in its order, computed in batches of similar lengths."""
        answers: list[Any] = [None] * len(sequences)
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        for batch in in_order(lengths, tokens=BATCH_ROWS, sequences=answering.sequences):
            rows = self.embed([sequences[i] for i in batch.tolist()])
            encoded = self.network.encode(Ragged(rows.values, lengths[batch]), table=rows.table)
            numbers = batch.tolist()
            for i, answer in zip(numbers, answering.decode(encoded, numbers), strict=True):
                answers[i] = answer
        return answers

    def notice(self, sequences: list[Steps], tell: Tell) -> None:
        """Tell what is noteworthy about the first sequences, a line each."""
        for line in self.codec.notices(sequences):
            tell(line)
