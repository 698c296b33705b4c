"""The head of target sequences in torch: a bridge and an attention decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from birnn.inputs import Batch
from birnn.models.head import Answered, HeadTraining
from birnn.models.inputs import from_host
from birnn.nn import AttentionDecoder, Bridge, State
from birnn.nn.outputs import BiRNNOutput
from birnn.ragged import Ragged
from birnn.reference.bidirectional import Outcome, StackState
from birnn.reference.stack import Stack
from birnn.runtime.network import HEADS
from birnn.runtime.search import GREEDY
from birnn.tasks import TargetSequence
from birnn.tasks.decoder_settings import Seq2SeqSettings


class SequenceHead(AttentionDecoder):
    """A target of any length: trained with its symbols given, answered by greedy decoding.

    Args:
        spec: Its description.
        encoder: The stack before it.
        training: Rates of dropout, label smoothing, scheduled sampling.
    """

    def __init__(self, spec: TargetSequence, encoder: Stack, training: HeadTraining) -> None:
        rates = training.dropout
        super().__init__(
            **asdict(spec.decoder_spec(encoder)),
            embedding_dropout=rates.targets,
            dropout=rates.layers,
            output_dropout=rates.decoder,
        )
        self.described, self.encoder_stack = spec, encoder
        self.bridge = Bridge(encoder, spec.decoder_stack, spec.bridge)
        self.label_smoothing = training.label_smoothing
        settings = training.settings
        self.scheduled_sampling = (
            settings.scheduled_sampling if isinstance(settings, Seq2SeqSettings) else 0.0
        )
        self._progress = 0.0

    def batch_scores(self, encoded: BiRNNOutput, batch: Batch) -> Tensor:
        """Scores of each target's symbols and of its end, (M + B, L)."""
        targets, state = self._given(encoded, batch)
        scores: Tensor = self(targets, encoded.output, state).values
        return scores

    def batch_loss(self, encoded: BiRNNOutput, batch: Batch) -> Tensor:
        """Mean negative log-likelihood of the symbols and ends."""
        targets, state = self._given(encoded, batch)
        return self.loss(
            targets,
            encoded.output,
            state,
            sampling=self.scheduled_sampling * self._progress if self.training else 0.0,
            label_smoothing=self.label_smoothing,
        )

    @torch.no_grad()
    def answered(
        self, encoded: BiRNNOutput, batch: Batch, golds: Sequence[Any], labels: Sequence[str]
    ) -> Answered:
        """What greedy decoding writes, by the one decoder that predictions have."""
        del golds
        tensors = {f"head.{name}": value.cpu().numpy() for name, value in self.state_dict().items()}
        half = HEADS["sequence"](
            self.described, self.encoder_stack, tensors, {"targets": tuple(labels)}
        )
        rows: Ragged[Tensor] = encoded.output
        finite = bool(torch.isfinite(rows.values).all())
        if not finite:
            return Answered([], finite, [])
        answering = half.answers(GREEDY)
        return Answered(answering.decode(_outcome(encoded), range(len(batch))), finite, [])

    def advance(self, progress: float) -> None:
        """Scheduled sampling grows with the training."""
        self._progress = progress

    def _given(self, encoded: BiRNNOutput, batch: Batch) -> tuple[Ragged[Tensor], State]:
        """The targets, and the states that the decoder begins with."""
        assert batch.targets is not None
        assert batch.target_lengths is not None
        targets = Ragged(from_host(batch.targets, self.combine.weight), batch.target_lengths)
        return targets, self.bridge(encoded.state)


def _outcome(encoded: BiRNNOutput) -> Outcome:
    """What the encoder gave, in NumPy."""

    def array(tensor: Tensor) -> Any:
        return tensor.detach().cpu().numpy()

    def rows(half: Ragged[Tensor] | None) -> Any:
        return None if half is None else half.with_values(array(half.values))

    return Outcome(
        rows(encoded.output),
        rows(encoded.forward),
        rows(encoded.backward),
        array(encoded.final),
        StackState(*map(array, encoded.state.parts)),
    )
