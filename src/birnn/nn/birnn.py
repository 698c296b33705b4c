"""`BiRNN`: stacked recurrent layers in one or two directions over ragged batches."""

# R rows with padding, B sequences, D inputs, H hidden units, W width out

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from birnn.engine.recurrent import Keep
from birnn.errors import DirectionError, ShapeError, UsageError
from birnn.nn._engine.call import WeightTensors
from birnn.nn._engine.low_precision import LowPrecision, in_precision, precision_repr
from birnn.nn._engine.ops import parameters_of, run_stack
from birnn.nn.conversions import PlacedBatch, place
from birnn.nn.dropout import VariationalDropout
from birnn.nn.outputs import BiRNNOutput, LayerOutput, State, check_rows, initial_states
from birnn.reference.stack import CellName, Direction, MergeName, Stack

MERGES: dict[MergeName, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda forward, backward: torch.cat([forward, backward], dim=-1),
    "sum": torch.add,
    "mean": lambda forward, backward: (forward + backward) / 2,
    "product": torch.mul,
}


class ProjectedMerge(nn.Linear):
    """Merge by a learned projection: W [forward; backward] + b, (R, H) each to (R, W)."""

    def __init__(self, hidden_size: int, output_size: int) -> None:
        super().__init__(2 * hidden_size, output_size)

    def forward(self, forward_RH: Tensor, backward_RH: Tensor) -> Tensor:  # type: ignore[override]
        """Project the concatenated halves."""
        return super().forward(MERGES["concat"](forward_RH, backward_RH))


class BiRNN(nn.Module):
    """Stacked recurrent layers in one or two directions, exact on ragged batches.

    Each layer runs a forward and a backward half over the layer below and merges them:
    ``y_t = merge(f_t, b_t)``, where f_t has read steps 0..t and b_t steps t..T-1. ``final``
    merges the forward half after the last real step with the backward half after the first.

    Args:
        cell: ``rnn_tanh``, ``rnn_relu``, ``lstm`` or ``gru``.
        input_size: Width D of a row.
        hidden_size: Hidden units H of each direction.
        num_layers: Layers on top of each other.
        bidirectional: Whether a backward half runs beside the forward one.
        merge: ``concat`` (2H wide), ``sum``, ``mean``, ``product`` or ``project`` (H wide).
        residual: Whether a layer's input is added to its output where the widths agree.
        directions: ``both`` or ``forward`` for each layer; None for ``bidirectional`` in all.
        merge_size: Width of the rows that ``project`` makes; None for H.
        dropout: Variational dropout between layers, in [0, 1).
        checkpoint: Whether training keeps only the states of each layer, a fifth of the memory
            for an LSTM, and computes the gates again in the backward pass.

    Raises:
        ConfigError: A setting that does not exist or is out of range.

    Source:
        Schuster & Paliwal 1997, Bidirectional Recurrent Neural Networks.

    Example:
        >>> encoder = BiRNN("lstm", 4, 8, merge="sum")
        >>> out = encoder(torch.randn(2, 5, 4), lengths=[5, 3])
        >>> tuple(out.output.shape), tuple(out.final.shape)
        ((2, 5, 8), (2, 8))
    """

    _low_precision: LowPrecision | None = None

    def __init__(
        self,
        cell: CellName,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = True,
        merge: MergeName = "concat",
        residual: bool = False,
        directions: Sequence[Direction] | None = None,
        merge_size: int | None = None,
        dropout: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.stack = Stack(
            cell,
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            merge=merge,
            residual=residual,
            directions=None if directions is None else tuple(directions),
            merge_size=merge_size,
        )
        self.dropout = VariationalDropout(dropout)
        for name, shape in self.stack.shapes().items():
            if not name.startswith("merge_"):
                self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        for layer in self._projecting_layers():
            width = self.stack.layer_output_size(layer)
            self.add_module(f"merge_l{layer}", ProjectedMerge(hidden_size, width))
        self.reset_parameters()

    @classmethod
    def from_stack(cls, stack: Stack, *, dropout: float = 0.0, checkpoint: bool = False) -> BiRNN:
        """The module that a `Stack` describes."""
        return cls(**asdict(stack), dropout=dropout, checkpoint=checkpoint)

    def reset_parameters(self, *, forget_bias: float = 1.0) -> None:
        """Glorot-uniform input weights, orthogonal recurrent weights, biases 0.

        The LSTM's forget bias starts at ``forget_bias``, so that gradients pass through time
        from the first step on (Jozefowicz et al. 2015, section 5.2).
        """
        hidden = self.stack.hidden_size
        for name in self.stack.shapes():
            if name.startswith("merge_"):
                continue
            parameter: nn.Parameter = getattr(self, name)
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
                if self.stack.cell == "lstm" and name.startswith("bias_ih"):
                    nn.init.constant_(parameter.data[hidden : 2 * hidden], forget_bias)
                continue
            for gate in torch.split(parameter.data, hidden):
                if name.startswith("weight_hh"):
                    # Torch has no decomposition of half precision.
                    narrow = gate.dtype in (torch.float16, torch.bfloat16)
                    gate.copy_(nn.init.orthogonal_(gate.float() if narrow else gate))
                else:
                    nn.init.xavier_uniform_(gate)
        for layer in self._projecting_layers():
            getattr(self, f"merge_l{layer}").reset_parameters()

    def forward(self, x: Any, lengths: Any = None, *, initial: State | None = None) -> BiRNNOutput:
        """Run the stack.

        Args:
            x: `Ragged`; padded (B, T, D) with ``lengths``; ``PackedSequence``; or a nested tensor
                of jagged layout.
            lengths: Length of each sequence, (B,), for padded input; ``None``: all are full.
            initial: State before the first step; ``None``: zeros.

        Returns:
            `BiRNNOutput`, its rows in the form of ``x``.

        Raises:
            ShapeError: Rows of another width, dtype or device than the weights, or initial states
                that are none.
            LengthError: Lengths that do not fit ``x``.
        """
        batch, layers, ended = self._run(x, lengths, initial, self.stack.num_layers, keep=1)
        (rows, hidden), last = layers[-1], self.stack.num_layers - 1
        # Projections and residual connections leave something in the padding.
        if self.stack.projects(last) or self.stack.adds_input(last):
            rows = batch.clear(rows)
        directions = self.stack.directions_of(last)
        forward, backward = _halves(batch, hidden, directions)
        h, *c = ended
        top = h[-directions:]
        return BiRNNOutput(
            output=batch.restore(rows),
            forward=forward,
            backward=backward,
            final=self.merge_halves(last, *top.unbind()),
            state=State(h, c[0] if c else None),
        )

    def layer_outputs(
        self,
        x: Any,
        lengths: Any = None,
        *,
        initial: State | None = None,
        stop: int | None = None,
    ) -> tuple[LayerOutput, ...]:
        """Run the stack, and give what every layer says.

        Args:
            x: As for `forward`.
            lengths: As for `forward`.
            initial: As for `forward`; of the layers that run.
            stop: Run the first so many layers alone; all by default.

        Returns:
            The layers' outputs, the first layer's first.

        Raises:
            UsageError: So many layers the stack does not have.
            ShapeError: As for `forward`.
            LengthError: As for `forward`.

        Example:
            >>> encoder = BiRNN("gru", 4, 8, num_layers=2)
            >>> x = torch.randn(2, 5, 4)
            >>> first, second = encoder.layer_outputs(x)
            >>> torch.equal(second.below, first.output)
            True
            >>> torch.equal(second.output, encoder(x).output)
            True
        """
        stop = self.stack.num_layers if stop is None else stop
        if not 1 <= stop <= self.stack.num_layers:
            raise UsageError(f"stop is {stop}, the stack has 1 to {self.stack.num_layers} layers")
        batch, layers, (h, *_) = self._run(x, lengths, initial, stop, keep=stop)
        below, found = batch.rows, []
        for layer, (rows, hidden) in enumerate(layers):
            final = h[self.stack.states_of(layer)]
            forward, backward = _halves(batch, hidden, final.shape[0])
            found.append(
                LayerOutput(
                    below=batch.restore(batch.clear(below)),
                    output=batch.restore(batch.clear(rows)),
                    forward=forward,
                    backward=backward,
                    final=final.unbind(),
                )
            )
            below = rows
        return tuple(found)

    def merge_halves(self, layer: int, forward: Tensor, backward: Tensor | None = None) -> Tensor:
        """Merge the halves of a layer's rows, or of its final states; one half is as it was.

        Args:
            layer: Number of the layer, which may have a projection of its own.
            forward: (R, H).
            backward: (R, H); None with one direction.

        Returns:
            (R, 2H) for ``concat``, (R, ``merge_size``) for ``project``, else (R, H).
        """
        if backward is None:
            return forward
        if self.stack.projects(layer):
            merged: Tensor = getattr(self, f"merge_l{layer}")(forward, backward)
            return merged
        return MERGES[self.stack.merge](forward, backward)

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One step of each sequence, of a stack with one direction.

        Step after step gives what a run over the whole gives, to rounding; the next step may
        depend on what this one gave.

        Args:
            x: The next row of each sequence, (B, D).
            state: What the step before gave, or ``state`` of a run; ``None`` before the first.

        Returns:
            The last layer's row of each sequence, (B, W), and the state after it.

        Raises:
            DirectionError: The stack has two directions.
            ShapeError: Rows of another width, or a state of another shape.
            UsageError: Dropout is at work: its mask is one for a whole sequence.

        Example:
            >>> encoder = BiRNN("gru", 4, 8, bidirectional=False)
            >>> x = torch.randn(2, 3, 4)
            >>> state = None
            >>> for t in range(3):
            ...     row, state = encoder.step(x[:, t], state)
            >>> torch.allclose(row, encoder(x).output[:, -1], atol=1e-6)
            True
        """
        if self.stack.bidirectional:
            instead = "BiRNN(..., bidirectional=False)"
            layers = self.stack.mixed_layers
            raise DirectionError.of("BiRNN.step", instead=instead, layers=layers)
        if self.dropout.drops:
            raise UsageError(
                "dropout keeps one mask for a whole sequence, which steps do not share. "
                "Call eval() first."
            )
        if not isinstance(x, Tensor) or x.ndim != 2:
            found = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(
                f"a step is one row of each sequence, (B, {self.stack.input_size}), got {found}"
            )
        out = self(x.unsqueeze(1), initial=state)
        return out.output.squeeze(1), out.state

    def _run(
        self, x: Any, lengths: Any, initial: State | None, count: int, *, keep: int
    ) -> tuple[PlacedBatch, deque[tuple[Tensor, Tensor]], list[Tensor]]:
        """Run the first layers.

        Args:
            x: As for `forward`.
            lengths: As for `forward`.
            initial: As for `forward`; of the layers that run.
            count: How many layers run.
            keep: Of how many of them, the last ones, the rows are given.

        Returns:
            The batch; merged rows and halves side by side of each of these layers; and the final
            states of all.
        """
        batch = place(x, lengths)
        rows = batch.rows
        weights = self.weights(count)
        like = weights[0][0][0]
        check_rows(rows, 1, self.stack.input_size, like)
        sequences = batch.layout.lengths.shape[0]
        layers: deque[tuple[Tensor, Tensor]] = deque(maxlen=keep)

        def read(below: Tensor) -> Tensor:
            return below * batch.spread(self.dropout.mask(below, sequences))

        def write(at: int, below: Tensor, hidden: Tensor) -> Tensor:
            beside = self.stack.merge == "concat" or self.stack.directions_of(at) == 1
            merged = hidden if beside else self.merge_halves(at, *hidden.chunk(2, dim=1))
            rows = merged + below if self.stack.adds_input(at) else merged
            layers.append((rows, hidden))
            return rows

        kept: list[Keep] = ["states" if self.checkpoint else "gates"] * count
        _, ended = run_stack(
            self.stack.cell,
            rows,
            batch.layout,
            in_precision(self, self.stack.cell, weights),
            initial_states(initial, self.stack, count, sequences, like),
            keep=kept,
            read=read if self.dropout.drops else None,
            write=write,
        )
        return batch, layers, ended

    def weights(self, count: int | None = None) -> list[Sequence[WeightTensors]]:
        """Parameters of each direction of the first layers, or of all, as they are now."""
        layers = range(self.stack.num_layers if count is None else count)
        return [parameters_of(self, self._names(at)) for at in layers]

    def _names(self, layer: int) -> list[list[str]]:
        """Names of the parameters of each direction of a layer."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [[f"{name}_l{layer}{end}" for name in names] for end in self.stack.suffixes(layer)]

    def _projecting_layers(self) -> list[int]:
        """Layers whose halves a projection merges."""
        return [at for at in range(self.stack.num_layers) if self.stack.projects(at)]

    def extra_repr(self) -> str:
        """The settings."""
        s = self.stack
        text = f"{s.cell}, {s.input_size}, {s.hidden_size}, num_layers={s.num_layers}"
        text += f", merge={s.merge}" if s.bidirectional else ", bidirectional=False"
        text += f", merge_size={s.merge_size}" if s.merge_size else ""
        text += f", directions={s.directions}" if s.directions else ""
        text += ", residual=True" if s.residual else ""
        text += ", checkpoint=True" if self.checkpoint else ""
        return text + precision_repr(self)


def _halves(batch: PlacedBatch, hidden: Tensor, directions: int) -> tuple[Any, Any]:
    """The forward and the backward half in the form of the input."""
    forward, *backward = hidden.chunk(directions, dim=1)
    return batch.restore(forward), batch.restore(backward[0]) if backward else None
