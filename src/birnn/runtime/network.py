"""A model in NumPy, float32, over the tensors of a bundle."""

# N rows of all sequences, W width of a row, F distinct rows

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from birnn.bundle.spec import Spec
from birnn.engine.stack import PackedStack, PreparedRows
from birnn.ragged import Ragged
from birnn.reference.bidirectional import Outcome, StackState
from birnn.reference.stack import Stack
from birnn.runtime.heads import RuntimeHead, ScoringHead, Tensors, Vocabularies
from birnn.runtime.sequences import SequenceHead

HEADS: dict[str, Callable[[Any, Stack, Tensors, Vocabularies], RuntimeHead]] = {
    "tags": ScoringHead,
    "label": ScoringHead,
    "labels": ScoringHead,
    "values": ScoringHead,
    "sequence": SequenceHead,
    "gaps": ScoringHead,
}
"""The half of each task at work, by the kind of its head."""


class NumpyNetwork:
    """The encoder, and the head that reads what it gives.

    Args:
        spec: What the model is.
        tensors: Its tensors.
        vocabularies: Its vocabularies.
    """

    encoder: PackedStack
    head: RuntimeHead
    """From the encoder's rows to scores or answers, of the class that `HEADS` names."""

    def __init__(self, spec: Spec, tensors: Tensors, vocabularies: Vocabularies) -> None:
        self.encoder = PackedStack.of(tensors, "encoder", spec.stack)
        self.head = HEADS[spec.head.kind](spec.head, spec.stack, tensors, vocabularies)

    def encode(
        self,
        x: Ragged[Any],
        state: StackState | None = None,
        *,
        table: PreparedRows | None = None,
    ) -> Outcome:
        """The encoder's rows and states.

        Args:
            x: Input rows, (N, W), or with ``table`` the numbers of its rows, (N,).
            state: States that it starts from; zeros where it is None.
            table: Distinct rows, by ``encoder.prepare``.
        """
        return self.encoder.run(x, state, table=table)
