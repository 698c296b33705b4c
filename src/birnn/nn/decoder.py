"""`AttentionDecoder`: target symbols one after another, from what an encoder said of the source."""

# N steps of all sequences, M symbols of all targets, R rows of one step, B sequences, K layers,
# D width of a symbol's vector, H hidden units, C width of what is combined, V symbols

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from birnn.errors import ConfigError, LengthError, UsageError
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.nn.conversions import ragged_rows, ragged_symbols
from birnn.nn.decoder_layers import DecoderLayers
from birnn.nn.dropout import DecoderMasks, VariationalDropout, dropped
from birnn.nn.outputs import (
    DecoderState,
    DecoderStep,
    State,
    check_decoder_state,
    initial_states,
)
from birnn.ragged import Ragged, host_lengths
from birnn.reference import decoder as reference
from birnn.reference.decoder_spec import BOUNDARY, AttentionName, DecoderSpec
from birnn.reference.scan import Schedule
from birnn.reference.stack import CellName


class AttentionDecoder(DecoderLayers):
    """Writes target symbols from left to right, with attention over the encoder's rows.

    ```
    h_t = layers(E[y_t])                 k_t = attention(h_t, memory)
    a_t = tanh(W_c [k_t; h_t] + b_c)     z_t = W_o a_t + b_o
    ```

    With input feeding the layers read [E[y_t]; a_{t-1}]. Symbol 0 is the boundary: it begins each
    target as an input and ends it as an answer, so that T symbols are T+1 steps. Targets have no
    padding: a sequence that has ended takes no further part.

    Without input feeding and scheduled sampling the recurrent layers run all steps of all
    targets in one call of their kernels, and so does the attention after them.

    Args:
        size: Number V of target symbols, the boundary symbol among them.
        dim: Width D of a symbol's vector.
        hidden_size: Hidden units H.
        memory_size: Width W of an encoder's row; None with ``attention="none"``.
        cell: ``rnn_tanh``, ``rnn_relu``, ``lstm`` or ``gru``.
        num_layers: Recurrent layers.
        attention: ``additive``, ``dot``, ``general`` or ``none``.
        attention_size: Hidden units of additive attention; None for ``hidden_size``.
        input_feeding: Whether each step also reads what the step before combined.
        tied: Whether the scores' weights are the symbols' vectors; C is then D, else H.
        bidirectional: A decoder has one direction; two are refused with the reason.
        embedding_dropout: Variational dropout of the symbols' vectors, in [0, 1).
        dropout: The same between layers.
        output_dropout: The same of what is combined, before the scores.

    Raises:
        ConfigError: A setting that does not exist, is out of range or contradicts another.
        DirectionError: ``bidirectional``.

    Source:
        Luong et al. 2015, Effective Approaches to Attention-based Neural Machine Translation,
        sections 3 and 3.3; tied: Press & Wolf 2017; scheduled sampling: Bengio et al. 2015.

    Example:
        >>> from birnn.nn import BiRNN, Bridge
        >>> encoder = BiRNN("gru", 6, 8)
        >>> decoder = AttentionDecoder(30, 5, 16, encoder.stack.output_size, cell="gru")
        >>> bridge = Bridge(encoder.stack, decoder.spec.stack, "concat")
        >>> sources = Ragged(torch.randn(7, 6), np.array([4, 3]))
        >>> targets = Ragged(torch.tensor([3, 1, 4, 1]), np.array([4, 0]))
        >>> read = encoder(sources)
        >>> logits = decoder(targets, read.output, bridge(read.state))
        >>> logits.lengths.tolist(), tuple(logits.values.shape)
        ([5, 1], (6, 30))
        >>> decoder.loss(targets, read.output, bridge(read.state)).backward()
    """

    def __init__(
        self,
        size: int,
        dim: int,
        hidden_size: int,
        memory_size: int | None = None,
        *,
        cell: CellName = "lstm",
        num_layers: int = 1,
        attention: AttentionName = "general",
        attention_size: int | None = None,
        input_feeding: bool = False,
        tied: bool = False,
        bidirectional: bool = False,
        embedding_dropout: float = 0.0,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        spec = DecoderSpec(
            size,
            dim,
            hidden_size,
            memory_size,
            cell=cell,
            num_layers=num_layers,
            attention=attention,
            attention_size=attention_size,
            input_feeding=input_feeding,
            tied=tied,
            bidirectional=bidirectional,
        )
        super().__init__(spec)
        self.embedding_dropout = VariationalDropout(embedding_dropout)
        self.dropout = VariationalDropout(dropout)
        self.output_dropout = VariationalDropout(output_dropout)

    @classmethod
    def from_spec(cls, spec: DecoderSpec, **dropout: Any) -> AttentionDecoder:
        """The module that a `DecoderSpec` describes, with rates of dropout."""
        return cls(**asdict(spec), **dropout)

    # ------------------------------------------------------------------ whole targets

    def forward(
        self,
        targets: Ragged[Tensor],
        memory: Ragged[Tensor],
        state: State | None = None,
        *,
        sampling: float = 0.0,
    ) -> Ragged[Tensor]:
        """Scores of each target's symbols and of its end, where the symbols before are given.

        Args:
            targets: Numbers of the symbols, (M,), each from 1 on: the boundary is added here.
            memory: Rows of the encoder, (rows, W), of the same sequences.
            state: States that the layers begin with, (K, B, H), as `Bridge` gives them; None for
                zeros.
            sampling: Scheduled sampling: the probability that a step reads the best symbol of the
                step before instead of the given one. It draws from torch's generator.

        Returns:
            (M + B, V), a step more for each sequence than it has symbols: `answers` has what the
            steps should answer.

        Raises:
            ConfigError: A probability outside of [0, 1].
            DataError: A symbol that there is none of.
            LengthError: Targets and memory of different numbers of sequences.
            ShapeError: Targets that are no numbers, rows of another width, or states that do not
                fit.
        """
        if not isinstance(sampling, float | int) or not 0 <= sampling <= 1:
            raise ConfigError(f"sampling is {sampling!r}, a probability is from 0 to 1")
        targets = ragged_symbols(targets, self.spec.size, what="targets", first=BOUNDARY + 1)
        symbols = _with_boundary(targets, reference.inputs_of)
        memory = self._checked_memory(memory, len(symbols), "targets")
        start = self.start(state, len(symbols))
        masks = self._masks(start.layers.h)
        if self.spec.input_feeding or sampling:
            return self._step_by_step(symbols, memory, start, masks, sampling)
        rows = torch.from_numpy(symbols.sequence_of_row).to(symbols.values.device)
        masks = masks.rows(rows)
        read_ND = dropped(self.embedding(symbols.values), masks.embedding)
        layout = TensorLayout.ragged(symbols.lengths)
        hidden_NH, _ = self._run_layers(read_ND, layout, start.layers, masks)
        combined_NC, _ = self._combined(symbols.with_values(hidden_NH), memory)
        return symbols.with_values(self._logits(combined_NC, masks))

    def loss(
        self,
        targets: Ragged[Tensor],
        memory: Ragged[Tensor],
        state: State | None = None,
        *,
        sampling: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Mean cross-entropy of the symbols and ends, in nats.

        Args:
            targets: As for `forward`.
            memory: As for `forward`.
            state: As for `forward`.
            sampling: As for `forward`.
            label_smoothing: Share of the probability that the right answer leaves to all symbols.
        """
        logits = self(targets, memory, state, sampling=sampling)
        answers_N = self.answers(targets).values
        total = functional.cross_entropy(
            logits.values, answers_N, reduction="sum", label_smoothing=label_smoothing
        )
        return total / max(1, len(answers_N))

    @staticmethod
    def answers(targets: Ragged[Tensor]) -> Ragged[Tensor]:
        """What each step of `forward` should answer: each symbol, then the boundary.

        Example:
            >>> targets = Ragged(torch.tensor([3, 1]), np.array([2, 0]))
            >>> AttentionDecoder.answers(targets).values
            tensor([3, 1, 0, 0])
        """
        return _with_boundary(targets, reference.answers_of)

    # ------------------------------------------------------------------ one step

    def start(self, state: State | None, sequences: int) -> DecoderState:
        """The state before the first step.

        Args:
            state: States that the layers begin with, (K, B, H), as `Bridge` gives them; None for
                zeros.
            sequences: Sequences B.

        Raises:
            ShapeError: They do not fit.
        """
        spec, like = self.spec, self.combine.weight
        parts = initial_states(state, spec.stack, spec.num_layers, sequences, like)
        if not parts:
            shape = (spec.num_layers, sequences, spec.hidden_size)
            parts = tuple(like.new_zeros(shape) for _ in range(1 + (spec.cell == "lstm")))
        fed = like.new_zeros(sequences, spec.combined_size) if spec.input_feeding else None
        return DecoderState(State(*parts), fed)

    def step(
        self,
        symbols: Tensor,
        state: DecoderState,
        memory: Ragged[Tensor],
        grouping: npt.ArrayLike | None = None,
        *,
        weights: bool = False,
    ) -> DecoderStep:
        """One step of any number of hypotheses of each source.

        Args:
            symbols: The symbol that each row reads, (R,); the boundary, 0, at the first step.
            state: What `start` gave, or the step before.
            memory: Rows of the encoder of all B sources.
            grouping: How many of the rows are of each source, which stand together, (B,); None
                for one of each.
            weights: Whether to give the attention weights too.

        Raises:
            DataError: A symbol that there is none of.
            LengthError: A grouping that does not fit the symbols or the memory.
            ShapeError: Symbols that are no numbers, rows of another width, or a state of another
                shape.
            UsageError: Dropout is at work: its mask is one for a whole sequence.

        Example:
            >>> decoder = AttentionDecoder(9, 4, 6, 5, cell="gru", input_feeding=True).eval()
            >>> memory = Ragged(torch.randn(7, 5), np.array([4, 3]))
            >>> state, symbols = decoder.start(None, 2), torch.tensor([0, 0])
            >>> for _ in range(3):
            ...     logits, state, _ = decoder.step(symbols, state, memory)
            ...     symbols = logits.argmax(dim=1)
            >>> tuple(logits.shape)
            (2, 9)
        """
        drops = (self.embedding_dropout, self.dropout, self.output_dropout)
        if any(each.drops for each in drops):
            raise UsageError(
                "dropout keeps one mask for a whole sequence, which steps do not share. "
                "Call eval() first."
            )
        lengths = np.ones(len(memory), np.int64) if grouping is None else host_lengths(grouping)
        rows = ragged_symbols(Ragged(symbols, lengths), self.spec.size, what="symbols")
        memory = self._checked_memory(memory, len(rows), "the grouping")
        check_decoder_state(state, self.spec, len(rows.values), self.combine.weight)
        masks = DecoderMasks()
        state, combined_RC, found = self._advanced(rows, state, memory, masks, weights=weights)
        return DecoderStep(self._logits(combined_RC, masks), state, found)

    def _step_by_step(
        self,
        symbols: Ragged[Tensor],
        memory: Ragged[Tensor],
        state: DecoderState,
        masks: DecoderMasks,
        sampling: float,
    ) -> Ragged[Tensor]:
        """`forward` where a step reads what the step before gave."""
        # Longest first, those that still run are the first of them: no row is copied to drop one.
        schedule = Schedule.of(symbols.lengths)
        device = symbols.values.device
        order, rows = (torch.from_numpy(p).to(device) for p in (schedule.order, schedule.rows))
        memory, state, masks = memory.select(schedule.order), state.rows(order), masks.rows(order)
        given_N = symbols.values[rows]
        sampled_N = None
        if sampling:
            sampled_N = torch.rand(given_N.shape, device=device)[rows] < sampling
        keys = None if self.attention is None else self.attention.keys(memory)
        found: list[Tensor] = []
        # Of no sequences one step that none takes part in, which all parameters have gradients of.
        for count, here in list(schedule.steps()) or [(0, slice(0))]:
            state, masks = state.rows(slice(count)), masks.rows(slice(count))
            read_R = given_N[here]
            if sampled_N is not None and found:
                read_R = torch.where(sampled_N[here], found[-1][:count].argmax(dim=1), read_R)
            lengths = np.zeros(len(memory), np.int64)
            lengths[:count] = 1
            read = Ragged(read_R, lengths)
            state, combined_RC, _ = self._advanced(read, state, memory, masks, keys=keys)
            found.append(self._logits(combined_RC, masks))
        back = torch.empty_like(rows)
        back[rows] = torch.arange(rows.shape[0], device=device)
        return symbols.with_values(torch.cat(found).index_select(0, back))

    def _masks(self, like: Tensor) -> DecoderMasks:
        """Masks of dropout for each sequence of a batch, (B, ...), drawn now."""
        spec, sequences = self.spec, like.shape[1]

        def mask(dropout: VariationalDropout, width: int) -> Tensor | None:
            return dropout.mask(like.new_empty(0, width), sequences) if dropout.drops else None

        between = [mask(self.dropout, spec.hidden_size) for _ in range(spec.num_layers - 1)]
        return DecoderMasks(
            mask(self.embedding_dropout, spec.dim),
            [each for each in between if each is not None],
            mask(self.output_dropout, spec.combined_size),
        )

    def _checked_memory(self, memory: Ragged[Tensor], sequences: int, what: str) -> Ragged[Tensor]:
        memory = ragged_rows(memory, "the decoder's memory")
        if len(memory) != sequences:
            raise LengthError(
                f"{what} of {sequences} sequences, memory of {len(memory)}: give both in one order"
            )
        return memory

    def extra_repr(self) -> str:
        """The settings that are not those of its parts."""
        s = self.spec
        return ", ".join(
            [s.cell, f"attention={s.attention}"]
            + ["input_feeding=True"] * s.input_feeding
            + ["tied=True"] * s.tied
        )


def _with_boundary(targets: Ragged[Tensor], where: Any) -> Ragged[Tensor]:
    """Targets with the boundary where a function of the reference puts it."""
    # 0 is the boundary's place in front of them all, 1 the first symbol's.
    numbers = np.arange(1, targets.values.shape[0] + 1)
    places = where(Ragged(numbers, targets.lengths))
    values = torch.cat([targets.values.new_full((1,), BOUNDARY), targets.values])
    return Ragged(values[torch.from_numpy(places.values).to(values.device)], places.lengths)
