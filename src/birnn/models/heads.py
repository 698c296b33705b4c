"""Heads that score rows, in torch; and the table of all heads."""

# N rows of all sequences, B sequences, W width of the encoder's output, L labels, K values

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from birnn.errors import ConfigError
from birnn.inputs import Batch
from birnn.models.head import Answered, HeadModule, HeadTraining
from birnn.models.inputs import ActivatedLinear, from_host
from birnn.models.sequence import SequenceHead
from birnn.nn import CRF, AdditiveAttention, LinearAttention, pool
from birnn.nn.outputs import BiRNNOutput
from birnn.ragged import Ragged
from birnn.reference.stack import Stack
from birnn.tasks import Gaps, Label, Labels, Pooled, Scored, Tags, Values


class ScoringModule(nn.Module):
    """Base of the heads of `birnn.tasks.Scored`: hidden layers and a linear layer, row by row."""

    def add_layers(self, spec: Scored, width: int) -> None:
        """Make the layers, on rows of ``width``."""
        self.spec = spec
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

    def batch_scores(self, encoded: BiRNNOutput, batch: Batch) -> Tensor:
        """Scores of the rows, or of each sequence."""
        del batch
        scores: Tensor = self(encoded.output, encoded.final)
        return scores

    def batch_loss(self, encoded: BiRNNOutput, batch: Batch) -> Tensor:
        """Mean loss of a batch with targets."""
        scores = self.batch_scores(encoded, batch)
        return self.loss(scores, encoded.output, from_host(batch.wanted, scores))

    @torch.no_grad()
    def answered(
        self, encoded: BiRNNOutput, batch: Batch, golds: Sequence[Any], labels: Sequence[str]
    ) -> Answered:
        """The best tags of the steps, the best label, or the values."""
        del golds
        scores = self.batch_scores(encoded, batch)
        decoded = self.decode(scores, encoded.output).cpu().numpy()
        answers = self.spec.answers_of(decoded, encoded.output.lengths, labels)
        likelihoods = scores.new_zeros(0)
        if batch.targets is not None:
            likelihoods = self.likelihoods(scores, from_host(batch.targets, scores))
        return Answered(answers, bool(torch.isfinite(scores).all()), likelihoods.tolist())

    def advance(self, progress: float) -> None:
        """Nothing changes as training goes on."""

    @abstractmethod
    def loss(self, scores: Tensor, rows: Ragged[Tensor], targets: Tensor) -> Tensor:
        """Mean loss of scores, a scalar."""

    @abstractmethod
    def decode(self, scores: Tensor, rows: Ragged[Tensor]) -> Tensor:
        """Answers: label ids (N,) or (B,), or values (B, K) in the targets' units."""

    @abstractmethod
    def measured(self, scores: Tensor) -> Tensor:
        """Scores for explanations: logits of labels, values in their own units."""

    def likelihoods(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihood of each known target; (0,) where the score alone selects."""
        del targets
        return scores.new_zeros(0)


class TagsHead(ScoringModule):
    """A label for every step: each on its own, or the best sequence by a CRF."""

    def __init__(self, spec: Tags, encoder: Stack, training: HeadTraining) -> None:
        super().__init__()
        self.add_layers(spec, encoder.output_size)
        self.crf: CRF | None = None
        if spec.decoder == "crf":
            if training.class_weights is not None or training.label_smoothing:
                raise ConfigError(
                    "class weights and label smoothing need single labels: set head.decoder=softmax"
                )
            if training.labels is None and spec.scheme != "none":
                raise ConfigError(f"the constraints of {spec.scheme} need the labels' names")
            allowed = spec.constraints(training.labels or ())
            follow, start, end = allowed if allowed is not None else (None, None, None)
            self.crf = CRF(spec.size, allowed=follow, allowed_start=start, allowed_end=end)
        self.cross_entropy = WeightedCrossEntropy(training.class_weights, training.label_smoothing)

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


class GapsHead(ScoringModule):
    """A word for each gap, whose rows are all that it reads."""

    def __init__(self, spec: Gaps, encoder: Stack, training: HeadTraining) -> None:
        super().__init__()
        self.gaps = spec
        self.add_layers(spec, encoder.output_size)
        self.cross_entropy = WeightedCrossEntropy(training.class_weights, training.label_smoothing)

    def forward(self, rows: Ragged[Tensor], final_BW: Tensor) -> Tensor:
        """Scores of the words at each gap, (N, L)."""
        return self.score(rows.values)

    @torch.no_grad()
    def answered(
        self, encoded: BiRNNOutput, batch: Batch, golds: Sequence[Any], labels: Sequence[str]
    ) -> Answered:
        """How likely the right words were."""
        scores = self.batch_scores(encoded, batch)
        judged = self.gaps.judged(scores.cpu().numpy(), encoded.output.lengths, golds, labels)
        return Answered(judged, bool(torch.isfinite(scores).all()), [])

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


class PooledHead(ScoringModule):
    """Base of the heads that answer once for a sequence: pooling, then layers."""

    def __init__(self, spec: Pooled, encoder: Stack) -> None:
        super().__init__()
        width = encoder.output_size
        self.pooling = spec.pooling
        self.attention: AdditiveAttention | LinearAttention | None = None
        if spec.pooling == "attention":
            self.attention = (
                LinearAttention(width)
                if spec.attention_score == "linear"
                else AdditiveAttention(width, spec.attention_size)
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

    def __init__(self, spec: Label, encoder: Stack, training: HeadTraining) -> None:
        super().__init__(spec, encoder)
        self.cross_entropy = WeightedCrossEntropy(training.class_weights, training.label_smoothing)

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


class LabelsHead(PooledHead):
    """Any number of labels for a sequence, each on its own."""

    cuts: Tensor
    weights: Tensor | None

    def __init__(self, spec: Labels, encoder: Stack, training: HeadTraining) -> None:
        super().__init__(spec, encoder)
        self.register_buffer("cuts", torch.from_numpy(spec.cuts), persistent=False)
        self.register_buffer("weights", training.class_weights, persistent=False)
        self.label_smoothing = training.label_smoothing

    @torch.no_grad()
    def answered(
        self, encoded: BiRNNOutput, batch: Batch, golds: Sequence[Any], labels: Sequence[str]
    ) -> Answered:
        """The logits, at which thresholds are chosen once all of them are known."""
        del golds, labels
        scores = self.batch_scores(encoded, batch)
        likelihoods = scores.new_zeros(0)
        if batch.targets is not None:
            wanted = from_host(batch.targets, scores)
            likelihoods = self._entropies(scores, wanted).mean(dim=1)
        finite = bool(torch.isfinite(scores).all())
        return Answered(list(scores.cpu().numpy()), finite, likelihoods.tolist())

    def loss(self, scores: Tensor, rows: Ragged[Tensor], targets: Tensor) -> Tensor:
        """Binary cross-entropy: the mean over sequences and, by their weights, over labels."""
        if not targets.shape[0]:
            return scores.sum() * 0.0
        share = self.label_smoothing
        wanted = targets.to(scores.dtype) * (1 - share) + share / 2
        each_BL = self._entropies(scores, wanted)
        if self.weights is None:
            return each_BL.mean()
        weights_L = self.weights.to(scores.dtype)
        return (each_BL * weights_L).sum() / (each_BL.shape[0] * weights_L.sum())

    def decode(self, scores: Tensor, rows: Ragged[Tensor]) -> Tensor:
        """Which labels are given, (B, L)."""
        return scores >= self.cuts

    def _entropies(self, scores: Tensor, wanted: Tensor) -> Tensor:
        """Binary cross-entropy of each label of each sequence, (B, L)."""
        return functional.binary_cross_entropy_with_logits(
            scores, wanted.to(scores.dtype), reduction="none"
        )


class ValuesHead(PooledHead):
    """Real numbers for a sequence; learnt in standard units, answered in the targets' own."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Values, encoder: Stack, training: HeadTraining) -> None:
        super().__init__(spec, encoder)
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


HEADS: dict[str, Callable[[Any, Stack, HeadTraining], HeadModule]] = {
    "tags": TagsHead,
    "label": LabelHead,
    "labels": LabelsHead,
    "values": ValuesHead,
    "sequence": SequenceHead,
    "gaps": GapsHead,
}
"""The torch half of each task, by the kind of its head."""
