"""Interface of the heads in torch: from what the encoder gives to scores, loss and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from birnn.inputs import Batch
from birnn.models.inputs import Dropout
from birnn.nn.outputs import BiRNNOutput
from birnn.schema import Frozen


@dataclass(frozen=True, slots=True)
class HeadTraining:
    """What heads are trained with; each uses what it has.

    Args:
        labels: Names of the labels by number, for the constraints of a tag scheme.
        class_weights: Weight of each label, (L,).
        label_smoothing: Share of the probability spread over all labels.
        dropout: Rates of dropout.
        settings: Settings of the task's head, see `birnn.tasks.Head.settings`; None for those by
            default.
    """

    labels: Sequence[str] | None = None
    class_weights: Tensor | None = None
    label_smoothing: float = 0.0
    dropout: Dropout = field(default_factory=Dropout)
    settings: Frozen | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model says of a batch, and what weights are selected by.

    Args:
        answers: One for each sequence, in the form that scorers take.
        finite: Whether all numbers behind them are.
        likelihoods: Negative log-likelihood of each known target, where it helps to choose among
            epochs; see `birnn.training.module`.
    """

    answers: list[Any]
    finite: bool
    likelihoods: list[float]


class HeadModule(Protocol):
    """Interface of a head in torch."""

    def batch_scores(self, encoded: BiRNNOutput, batch: Batch) -> Tensor:
        """Scores: (N, L) for tags, (B, L) for a label, (B, K) for values.

        Of target sequences those of the symbols and of the ends, (M + B, L), where the symbols
        before are given.
        """

    def batch_loss(self, encoded: BiRNNOutput, batch: Batch) -> Tensor:
        """Mean loss of a batch with targets, a scalar."""

    def answered(
        self, encoded: BiRNNOutput, batch: Batch, golds: Sequence[Any], labels: Sequence[str]
    ) -> Answered:
        """Answers to a batch.

        Args:
            encoded: What the encoder gave.
            batch: The batch, whose targets are no part of the answers.
            golds: Right answers, for heads whose scorers count more than answers; see
                `birnn.tasks.Decoder`.
            labels: Names of what it answers with, by number.
        """

    def advance(self, progress: float) -> None:
        """Take note of the share of the training that is done, from 0 to 1."""
