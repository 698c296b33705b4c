"""The layers of a decoder at work: what one step, or all steps at once, are made of."""

# R rows of one step or of all steps of all targets, K layers, D width of a symbol's vector,
# H hidden units, C width of what is combined, V symbols

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from birnn.nn._engine.linear_ops import linear
from birnn.nn._engine.low_precision import in_precision
from birnn.nn._engine.ops import parameters_of, run_stack
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.nn.attention import Attention
from birnn.nn.birnn import BiRNN
from birnn.nn.dropout import DecoderMasks, dropped
from birnn.nn.outputs import DecoderState, State
from birnn.ragged import Ragged
from birnn.reference.bidirectional import direction_names
from birnn.reference.decoder_spec import DecoderSpec


class DecoderLayers(nn.Module):
    """Vectors of symbols, recurrent layers, attention, combination and scores of a decoder.

    Args:
        spec: Settings of the decoder.
    """

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embedding = nn.Embedding(spec.size, spec.dim)
        self.decoder = BiRNN.from_stack(spec.stack)
        self.attention: Attention | None = None
        if spec.attention != "none":
            self.attention = Attention(
                spec.hidden_size, spec.context_size, spec.attention, spec.attention_units
            )
        self.combine = nn.Linear(spec.context_size + spec.hidden_size, spec.combined_size)
        self.linear = nn.Linear(spec.combined_size, spec.size)
        if spec.tied:
            self.linear.register_parameter("weight", None)
        # Vectors about 1 long: tied, they are weights too, whose scores are then about 1.
        nn.init.normal_(self.embedding.weight, std=spec.dim**-0.5)

    def _advanced(
        self,
        symbols: Ragged[Tensor],
        state: DecoderState,
        memory: Ragged[Tensor],
        masks: DecoderMasks,
        *,
        keys: Tensor | None = None,
        weights: bool = False,
    ) -> tuple[DecoderState, Tensor, Tensor | None]:
        """The state after a step of each row, what it combined (R, C), and attention weights."""
        read = dropped(self.embedding(symbols.values), masks.embedding)
        if state.fed is not None:
            read = torch.cat([read, state.fed], dim=1)
        layout = TensorLayout.padded(read.shape[0], 1)
        hidden_RH, layers = self._run_layers(read, layout, state.layers, masks)
        hidden = symbols.with_values(hidden_RH)
        combined_RC, found = self._combined(hidden, memory, keys=keys, weights=weights)
        fed = None if state.fed is None else combined_RC
        return DecoderState(layers, fed), combined_RC, found

    def _run_layers(
        self, rows: Tensor, layout: TensorLayout, state: State, masks: DecoderMasks
    ) -> tuple[Tensor, State]:
        """The last layer's rows, and the state after them."""
        layers = range(self.spec.num_layers)
        weights = [parameters_of(self.decoder, [direction_names(k, "")]) for k in layers]
        between: Iterator[Tensor] = iter(masks.between)
        hidden, ended = run_stack(
            self.spec.cell,
            rows,
            layout,
            in_precision(self.decoder, self.spec.cell, weights),
            state.parts,
            keep=["gates" for _ in layers],
            read=(lambda below: below * next(between)) if masks.between else None,
        )
        return hidden, State(*ended)

    def _combined(
        self,
        hidden: Ragged[Tensor],
        memory: Ragged[Tensor],
        *,
        keys: Tensor | None = None,
        weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """tanh(W_c [context; h] + b_c) of each row, and attention weights where asked."""
        beside, found = hidden.values, None
        if self.attention is not None:
            if weights:
                contexts, found = self.attention(hidden, memory, keys=keys, weights=True)
            else:
                contexts = self.attention(hidden, memory, keys=keys)
            beside = torch.cat([contexts.values, beside], dim=1)
        return linear(beside, self.combine.weight, self.combine.bias).tanh(), found

    def _logits(self, combined: Tensor, masks: DecoderMasks) -> Tensor:
        """Scores of the symbols that may follow, (R, V)."""
        weight = self.embedding.weight if self.spec.tied else self.linear.weight
        return linear(dropped(combined, masks.output), weight, self.linear.bias)
