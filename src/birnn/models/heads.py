"""Heads in torch: from the encoder's rows to scores, loss and answers."""

# N rows of all sequences, B sequences, W width of the encoder's output, L labels, K values

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from birnn.errors import ConfigError
from birnn.models.inputs import ActivatedLinear
from birnn.nn import CRF, AdditiveAttention, pool
from birnn.ragged import Ragged
from birnn.tasks import Gaps, Label, Pooled, Scored, Tags, Values


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Settings of losses; each head uses those that its loss has.

    Args:
        labels: Names of the labels by number, for the constraints of a tag scheme.
        class_weights: Weight of each label, (L,).
        label_smoothing: Share of the probability spread over all labels.
    """

    labels: Sequence[str] | None = None
    class_weights: Tensor | None = None
    label_smoothing: float = 0.0


class HeadModule(Protocol):
    """Interface of a head in torch."""

    def __call__(self, rows: Ragged[Tensor], final_BW: Tensor) -> Tensor:
        """Scores: (N, L) for tags, (B, L) for a label, (B, K) for values."""

    def loss(self, scores: Tensor, rows: Ragged[Tensor], targets: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar."""

    def decode(self, scores: Tensor, rows: Ragged[Tensor]) -> Tensor:
        """Answers: label ids (N,) or (B,), or values (B, K) in the targets' units."""

    def measured(self, scores: Tensor) -> Tensor:
        """Scores for explanations: logits of labels, values in their own units."""

    def likelihoods(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihood of each known target; (0,) where there is none.

        Used to choose among epochs by heads that answer once for a sequence, see
        `birnn.training.module`.
        """


class ScoringModule(nn.Module):
    """Base of heads: hidden layers and a linear layer, from rows to scores."""

    def add_layers(self, spec: Scored, width: int) -> None:
        """Make the layers, on rows of ``width``."""
        self._hidden_layers = spec.hidden_layers
        for name, size in zip(spec.hidden_layers, spec.hidden, strict=True):
            self.add_module(name, ActivatedLinear(width, size, spec.activation))
            width = size
        self.linear = nn.Linear(width, spec.size)

    def score(self, rows: Tensor) -> Tensor:
        """Scores of rows."""
        for name in self._hidden_layers:
            rows = self.get_submodule(name)(rows)
        scores: Tensor = self.linear(rows)
        return scores


class TagsHead(ScoringModule):
    """A label for every step: each on its own, or the best sequence by a CRF."""

    def __init__(self, spec: Tags, width: int, loss: LossSettings) -> None:
        super().__init__()
        self.add_layers(spec, width)
        self.crf: CRF | None = None
        if spec.decoder == "crf":
            if loss.class_weights is not None or loss.label_smoothing:
                raise ConfigError(
                    "class weights and label smoothing need single labels: set head.decoder=softmax"
                )
            if loss.labels is None and spec.scheme != "none":
                raise ConfigError(f"the constraints of {spec.scheme} need the labels' names")
            allowed = spec.constraints(loss.labels or ())
            follow, start, end = allowed if allowed is not None else (None, None, None)
            self.crf = CRF(spec.size, allowed=follow, allowed_start=start, allowed_end=end)
        self.cross_entropy = WeightedCrossEntropy(loss.class_weights, loss.label_smoothing)

    def forward(self, rows: Ragged[Tensor], final_BW: Tensor) -> Tensor:
        """Scores of the labels at each step, (N, L)."""
        return self.score(rows.values)

    def loss(self, scores: Tensor, rows: Ragged[Tensor], targets: Tensor) -> Tensor:
        """Negative log-likelihood for each step, whether of single labels or of sequences."""
        if self.crf is None:
            loss: Tensor = self.cross_entropy(scores, targets)
            return loss
        each = self.crf.negative_log_likelihood(rows.with_values(scores), targets)
        return each.sum() / max(1, targets.shape[0])

    def decode(self, scores: Tensor, rows: Ragged[Tensor]) -> Tensor:
        """Label ids, (N,)."""
        if self.crf is None:
            return scores.argmax(dim=1)
        labels_N: Tensor = self.crf.decode(rows.with_values(scores))
        return labels_N

    def measured(self, scores: Tensor) -> Tensor:
        """Logits of the tags, as they are."""
        return scores

    def likelihoods(self, scores: Tensor, targets: Tensor) -> Tensor:
        """None: epochs are chosen by the score alone."""
        return scores.new_zeros(0)


class GapsHead(ScoringModule):
    """A word for each gap, whose rows are all that it reads."""

    def __init__(self, spec: Gaps, width: int, loss: LossSettings) -> None:
        super().__init__()
        self.add_layers(spec, width)
        self.cross_entropy = WeightedCrossEntropy(loss.class_weights, loss.label_smoothing)

    def forward(self, rows: Ragged[Tensor], final_BW: Tensor) -> Tensor:
        """Scores of the words at each gap, (N, L)."""
        return self.score(rows.values)

    def loss(self, scores: Tensor, rows: Ragged[Tensor], targets: Tensor) -> Tensor:
        """Mean negative log-likelihood of the words at gaps."""
        loss: Tensor = self.cross_entropy(scores, targets)
        return loss

    def decode(self, scores: Tensor, rows: Ragged[Tensor]) -> Tensor:
        """Numbers of words, (N,)."""
        return scores.argmax(dim=1)

    def measured(self, scores: Tensor) -> Tensor:
        """Logits of the words, as they are."""
        return scores

    def likelihoods(self, scores: Tensor, targets: Tensor) -> Tensor:
        """None: epochs are chosen by the perplexity alone."""
        return scores.new_zeros(0)


class PooledHead(ScoringModule):
    """Base of the heads that answer once for a sequence: pooling, then layers."""

    def __init__(self, spec: Pooled, width: int) -> None:
        super().__init__()
        self.pooling = spec.pooling
        self.attention = (
            AdditiveAttention(width, spec.attention_size) if spec.pooling == "attention" else None
        )
        self.add_layers(spec, spec.pooled_width(width))

    def forward(self, rows: Ragged[Tensor], final_BW: Tensor) -> Tensor:
        """Scores, (B, L) or (B, K)."""
        if self.attention is not None:
            pooled = self.attention(rows)
        else:
            pooled = pool(self.pooling, rows, final_BW)
        return self.score(pooled)

    def measured(self, scores: Tensor) -> Tensor:
        """Scores as they are."""
        return scores


class LabelHead(PooledHead):
    """One label for a sequence."""

    def __init__(self, spec: Label, width: int, loss: LossSettings) -> None:
        super().__init__(spec, width)
        self.cross_entropy = WeightedCrossEntropy(loss.class_weights, loss.label_smoothing)

    def loss(self, scores: Tensor, rows: Ragged[Tensor], targets: Tensor) -> Tensor:
        """Mean negative log-likelihood of the labels."""
        loss: Tensor = self.cross_entropy(scores, targets)
        return loss

    def decode(self, scores: Tensor, rows: Ragged[Tensor]) -> Tensor:
        """Label ids, (B,)."""
        return scores.argmax(dim=1)

    def likelihoods(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Of each sequence whose label is known."""
        known = targets >= 0
        return functional.cross_entropy(scores[known], targets[known], reduction="none")


class ValuesHead(PooledHead):
    """Real numbers for a sequence; learnt in standard units, answered in the targets' own."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Values, width: int, loss: LossSettings) -> None:
        super().__init__(spec, width)
        self.register_buffer("mean", torch.zeros(spec.size))
        self.register_buffer("scale", torch.ones(spec.size))
        self.offset = spec.offset

    def loss(self, scores: Tensor, rows: Ragged[Tensor], targets: Tensor) -> Tensor:
        """Mean squared error in standard units; targets are less the offset."""
        return functional.mse_loss(scores, (targets - self.mean) / self.scale)

    def decode(self, scores: Tensor, rows: Ragged[Tensor]) -> Tensor:
        """Values in the targets' units, (B, K)."""
        return self.measured(scores)

    def measured(self, scores: Tensor) -> Tensor:
        """Values in the targets' units, (B, K); float64 where they have an offset."""
        values = scores * self.scale + self.mean
        if not self.offset:
            return values
        return values.double() + values.new_tensor(self.offset, dtype=torch.float64)

    def likelihoods(self, scores: Tensor, targets: Tensor) -> Tensor:
        """None: epochs are chosen by the score alone."""
        return scores.new_zeros(0)


class WeightedCrossEntropy(nn.Module):
    """Mean cross-entropy with weights for the classes and label smoothing.

    Source:
        Szegedy et al. 2016, Rethinking the Inception Architecture, section 7 (smoothing).
    """

    weights: Tensor | None

    def __init__(self, weights: Tensor | None, label_smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """A scalar; 0 for a batch without a row of a class of positive weight."""
        if targets.shape[0] == 0 or (
            self.weights is not None and not bool(self.weights[targets].any())
        ):
            return scores.sum() * 0.0
        return functional.cross_entropy(
            scores, targets, weight=self.weights, label_smoothing=self.label_smoothing
        )


HEADS: dict[str, type[nn.Module]] = {
    "tags": TagsHead,
    "label": LabelHead,
    "values": ValuesHead,
    "gaps": GapsHead,
}
"""The torch half of each task, by the kind of its head."""
