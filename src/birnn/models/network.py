"""A whole model: inputs, encoder, head."""

# N rows of all sequences, B sequences, W width of a row

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from birnn.bundle.spec import Spec
from birnn.errors import DataError
from birnn.inputs import Batch
from birnn.models.head import Answered, HeadModule
from birnn.models.inputs import Dropout, InputModule
from birnn.nn import BiRNN, VariationalDropout
from birnn.nn.outputs import BiRNNOutput
from birnn.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Answer:
    """Scores of a batch, and the rows that the head read."""

    scores: Tensor  # (N, L) for tags, (B, L) for a label, (B, K) for values, or of target symbols
    rows: Ragged[Tensor]  # what the head read, (N, W): of a batch where rows are asked, these


class Network(nn.Module):
    """Inputs, encoder and head over one batch; `birnn.models.build` makes one from a `Spec`.

    Its ``state_dict`` has the names and shapes of ``spec.tensors()``.
    """

    def __init__(
        self, spec: Spec, *, inputs: InputModule, encoder: BiRNN, head: HeadModule, dropout: Dropout
    ) -> None:
        super().__init__()
        self._frozen: tuple[str, ...] = ()
        self.spec = spec
        self.inputs = inputs
        self.input_dropout = VariationalDropout(dropout.inputs)
        self.encoder = encoder
        self.output_dropout = VariationalDropout(dropout.output)
        assert isinstance(head, nn.Module)
        self.head = head

    def freeze(self, parts: Iterable[str]) -> None:
        """Leave parts as they are: they take no gradients, and their own dropout stays off.

        Dropout between parts, of input rows and of output rows, is none of theirs.

        Args:
            parts: Names of them: ``encoder``, ``inputs``.
        """
        self._frozen = tuple(parts)
        for part in self._frozen:
            self.get_submodule(part).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for what is frozen."""
        super().train(mode)
        for part in self._frozen:
            self.get_submodule(part).train(False)
        return self

    def forward(self, batch: Batch) -> Answer:
        """Scores of a batch; of a target sequence those of its symbols, which it must have."""
        encoded = self.encode(batch)
        return Answer(self._head.batch_scores(encoded, batch), encoded.output)

    def encode(self, batch: Batch) -> BiRNNOutput:
        """What the head reads of a batch: rows of the encoder, after dropout, and states."""
        rows = Ragged(self.inputs(batch.inputs), batch.lengths)
        rows = self.encoder_rows(self.inputs.noise(rows))
        encoded: BiRNNOutput = self.encoder(self.input_dropout(rows))
        read = encoded.output if batch.asked is None else encoded.output.kept(batch.asked)
        return replace(encoded, output=self.output_dropout(read))

    def encoder_rows(self, rows: Ragged[Tensor]) -> Ragged[Tensor]:
        """What the encoder reads of input rows: the same, through the dense layer if any."""
        return rows.map(self.inputs.dense)

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch with targets.

        Raises:
            DataError: No targets, or a label that the model does not know.
        """
        if batch.wanted.dtype == np.int64 and (batch.wanted < 0).any():
            raise DataError("a loss needs known labels, this batch has one the model never saw")
        return self._head.batch_loss(self.encode(batch), batch)

    @torch.no_grad()
    def answered(self, batch: Batch, labels: Sequence[str], golds: Sequence[Any] = ()) -> Answered:
        """Answers to a batch.

        Args:
            batch: The batch; its targets, if any, are no part of the answers.
            labels: Names of what it answers with, by number.
            golds: Right answers, for heads whose scorers count more than answers.
        """
        return self._head.answered(self.encode(batch), batch, golds, labels)

    def advance(self, progress: float) -> None:
        """Take note of the share of the training that is done, from 0 to 1."""
        self._head.advance(progress)

    @property
    def _head(self) -> HeadModule:
        head: HeadModule = self.head
        return head

    def tensors(self) -> dict[str, np.ndarray[Any, Any]]:
        """All tensors of the model as float32 arrays of their own, by the names of the spec."""
        return {
            name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()
        }

    def load_tensors(self, tensors: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Load the tensors of a bundle."""
        # Copies: a bundle's arrays are read-only, which torch's tensors cannot be.
        self.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
