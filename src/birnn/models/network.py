"""A whole model: inputs, encoder, head."""

# N rows of all sequences, B sequences, W width of a row

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from birnn.bundle.spec import Spec
from birnn.errors import DataError
from birnn.inputs import Batch
from birnn.models.heads import HeadModule
from birnn.models.inputs import Dropout, InputModule
from birnn.nn import BiRNN, VariationalDropout
from birnn.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Answer:
    """Scores of a batch, and the rows that the head read."""

    scores: Tensor  # (N, L) for tags, (B, L) for a label, (B, K) for values
    rows: Ragged[Tensor]  # what the head read, (N, W): of a batch where rows are asked, these


class Network(nn.Module):
    """Inputs, encoder and head over one batch; `birnn.models.build` makes one from a `Spec`.

    Its ``state_dict`` has the names and shapes of ``spec.tensors()``.
    """

    def __init__(
        self, spec: Spec, *, inputs: InputModule, encoder: BiRNN, head: nn.Module, dropout: Dropout
    ) -> None:
        super().__init__()
        self.spec = spec
        self.inputs = inputs
        self.input_dropout = VariationalDropout(dropout.inputs)
        self.encoder = encoder
        self.output_dropout = VariationalDropout(dropout.output)
        self.head = head

    def forward(self, batch: Batch) -> Answer:
        """Scores of a batch."""
        rows = Ragged(self.inputs(batch.inputs), batch.lengths)
        rows = self.encoder_rows(self.inputs.noise(rows))
        encoded = self.encoder(self.input_dropout(rows))
        read = encoded.output if batch.asked is None else encoded.output.kept(batch.asked)
        read = self.output_dropout(read)
        return Answer(self.head(read, encoded.final), read)

    def encoder_rows(self, rows: Ragged[Tensor]) -> Ragged[Tensor]:
        """What the encoder reads of input rows: the same, through the dense layer if any."""
        return rows.map(self.inputs.dense)

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch with targets.

        Raises:
            DataError: No targets, or a label that the model does not know.
        """
        if batch.targets is None:
            raise DataError("a loss needs targets, this batch has none")
        wanted = batch.targets if batch.asked is None else batch.targets[batch.asked]
        if wanted.dtype == np.int64 and (wanted < 0).any():
            raise DataError("a loss needs known labels, this batch has one the model never saw")
        answer = self(batch)
        targets = torch.from_numpy(wanted).to(answer.scores.device)
        head: HeadModule = self.head  # type: ignore[assignment]
        return head.loss(answer.scores, answer.rows, targets)

    @torch.no_grad()
    def decode(self, answer: Answer) -> np.ndarray[Any, Any]:
        """Label ids (N,) or (B,), or values (B, K), on the host."""
        head: HeadModule = self.head  # type: ignore[assignment]
        decoded: np.ndarray[Any, Any] = head.decode(answer.scores, answer.rows).cpu().numpy()
        return decoded

    @torch.no_grad()
    def likelihoods(self, answer: Answer, targets: np.ndarray[Any, Any]) -> list[float]:
        """Negative log-likelihood of each target that is known; none where there is none."""
        head: HeadModule = self.head  # type: ignore[assignment]
        each = head.likelihoods(answer.scores, torch.as_tensor(targets).to(answer.scores.device))
        return each.tolist()

    @torch.no_grad()
    def answer(self, batch: Batch) -> np.ndarray[Any, Any]:
        """Label ids (N,) or (B,), or values (B, K), of a batch, on the host."""
        return self.decode(self(batch))

    def tensors(self) -> dict[str, np.ndarray[Any, Any]]:
        """All tensors of the model as float32 arrays of their own, by the names of the spec."""
        return {
            name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()
        }

    def load_tensors(self, tensors: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Load the tensors of a bundle."""
        # Copies: a bundle's arrays are read-only, which torch's tensors cannot be.
        self.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
