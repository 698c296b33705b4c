"""A bidirectional network by hand: one-directional layers of torch, and a flip by lengths.

`ManualBiRNN` gives what `BiRNN` gives, and shows how. A backward half is a layer that reads each
sequence from its end:

```
f_t = layer(x)_t                      the forward half has read steps 0 to t
b_t = flip(layer'(flip(x)))_t         the backward half has read steps T-1 down to t
y_t = merge(f_t, b_t)
```

All depends on the flip: it turns round the ``lengths[i]`` real steps of each sequence and leaves
its padding where it is. After a plain ``x.flip(1)`` of a padded batch the backward half would read
the padding first. `birnn.nn.BiRNN` computes the same without padding, faster.
"""

# B sequences, T steps with padding, D inputs, H hidden units, S states of all layers and directions

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from birnn.bundle.framework_arrays import PARTS
from birnn.engine.stack_checks import check_parameters, check_stack
from birnn.errors import ShapeError
from birnn.nn._engine.tensor_layout import as_lengths
from birnn.nn.birnn import MERGES, BiRNN, ProjectedMerge
from birnn.nn.outputs import BiRNNOutput, State, check_rows, initial_states
from birnn.nn.torch_layers import LAYERS, checked_encoder
from birnn.ragged import check_lengths
from birnn.reference.stack import Stack


def flip(x: Tensor, lengths: Tensor) -> Tensor:
    """Each sequence of a padded batch reversed within its own length; its own inverse.

    Args:
        x: (B, T, D).
        lengths: Length of each sequence, (B,).

    Example:
        >>> batch = torch.tensor([[1, 2, 3], [8, 9, 0]])[:, :, None]
        >>> flip(batch, torch.tensor([3, 2])).squeeze(2).tolist()
        [[3, 2, 1], [9, 8, 0]]
    """
    step = torch.arange(x.shape[1], device=x.device)
    last = lengths[:, None].to(x.device) - 1
    source = torch.where(step <= last, last - step, step)  # padding comes from where it is
    return x.gather(1, source[:, :, None].expand_as(x))


def run_direction(
    layer: nn.RNNBase, x: Tensor, lengths: Tensor, initial: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A one-directional layer over a padded batch, from its first step on.

    Args:
        layer: ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` with one layer, one direction and
            ``batch_first``.
        x: (B, T, D).
        lengths: Length of each sequence, (B,).
        initial: Hidden state before the first step, (B, H), and of an LSTM its cell state.

    Returns:
        Output (B, T, H), 0 in padding, and the states after the last real step, (B, H) each.

    Raises:
        ShapeError: Rows of another width, dtype or device than the weights.

    Example:
        >>> layer, lengths = nn.GRU(2, 3, batch_first=True), torch.tensor([4, 0])
        >>> output, (h,) = run_direction(layer, torch.ones(2, 4, 2), lengths, (torch.ones(2, 3),))
        >>> bool((output[0, 3] == h[0]).all()), h[1].tolist(), bool(output[1].any())
        (True, [1.0, 1.0, 1.0], False)
    """
    # torch does not look at the width of packed rows, and reads past their end.
    check_rows(x, 2, layer.input_size, cast("Tensor", layer.weight_ih_l0))
    if x.shape[0] == 0 or x.shape[1] == 0:
        return x.new_zeros(x.shape[0], x.shape[1], layer.hidden_size), initial
    empty = (lengths[:, None] == 0).to(x.device)
    # torch packs no sequence of length 0: an empty one runs a step over zeros, whatever stands
    # there (a gradient of 0 times NaN is NaN), which is dropped below.
    x = x.masked_fill(empty[:, :, None], 0)
    packed = pack_padded_sequence(x, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)
    # torch's have an axis of layers in front
    states = tuple(part.masked_fill(empty, 0)[None] for part in initial)
    output, states = layer(packed, states if len(states) == 2 else states[0])
    output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])
    ended = states if isinstance(states, tuple) else (states,)
    return output.masked_fill(empty[:, :, None], 0), tuple(
        torch.where(empty, before, after[0]) for before, after in zip(initial, ended, strict=True)
    )


class ManualBiRNN(nn.Module):
    """Stacked recurrent layers in one or two directions, made of one-directional ones.

    Args:
        stack: What it is, as for `birnn.nn.BiRNN.from_stack`.

    Example:
        >>> from birnn.nn import BiRNN
        >>> encoder = BiRNN("lstm", 3, 4, num_layers=2, merge="sum")
        >>> manual = ManualBiRNN.of(encoder)
        >>> x, lengths = torch.randn(3, 5, 3), [5, 0, 2]
        >>> torch.allclose(manual(x, lengths).output, encoder(x, lengths).output, atol=1e-6)
        True
    """

    def __init__(self, stack: Stack) -> None:
        check_stack(stack)
        super().__init__()
        self.stack = stack
        layer_of, options = LAYERS[stack.cell]
        self.layers = nn.ModuleList(
            nn.ModuleList(
                layer_of(stack.layer_input_size(n), stack.hidden_size, batch_first=True, **options)
                for _ in range(stack.directions_of(n))
            )
            for n in range(stack.num_layers)
        )
        self.projections = nn.ModuleDict(
            {
                str(n): ProjectedMerge(stack.hidden_size, stack.layer_output_size(n))
                for n in range(stack.num_layers)
                if stack.projects(n)
            }
        )

    @classmethod
    def of(cls, encoder: BiRNN) -> ManualBiRNN:
        """The network by hand of a `BiRNN`, with its parameters: training one trains the other.

        Args:
            encoder: A `birnn.nn.BiRNN`.

        Raises:
            UsageError: It is something else.
        """
        manual = cls(checked_encoder(encoder).stack)
        manual.share(dict(encoder.named_parameters()))
        return manual

    def share(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Use these parameters, by the names of ``stack.shapes()``, and not its own.

        Raises:
            ShapeError: A name, shape or dtype that does not fit; all of them are named at once.
        """
        check_parameters(parameters, self.stack)
        for n in range(self.stack.num_layers):
            for layer, suffix in zip(self.halves(n), self.stack.suffixes(n), strict=True):
                for part in PARTS:
                    setattr(layer, f"{part}_l0", parameters[f"{part}_l{n}{suffix}"])
            if self.stack.projects(n):
                for part in ("weight", "bias"):
                    setattr(self.projections[str(n)], part, parameters[f"merge_l{n}.{part}"])

    def forward(
        self, x: Tensor, lengths: Any = None, *, initial: State | None = None
    ) -> BiRNNOutput:
        """Run the stack.

        Args:
            x: Padded batch, (B, T, D).
            lengths: Length of each sequence, (B,); None: all are full.
            initial: State before the first step; None: zeros.

        Returns:
            As `BiRNN.forward` does, rows padded as ``x``.

        Raises:
            ShapeError: No padded batch, rows of another width, dtype or device than the weights,
                or states that do not fit.
            LengthError: Lengths that do not fit ``x``.
        """
        if not isinstance(x, Tensor) or x.ndim != 3:
            found = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(f"a padded batch is (B, T, D), got {found}")
        batch, steps, _ = x.shape
        counts = torch.full((batch,), steps) if lengths is None else _lengths(lengths, x)
        padding = (torch.arange(steps) >= counts[:, None])[:, :, None].to(x.device)
        before = self._states(initial, x)
        ended: list[tuple[Tensor, ...]] = []
        rows, halves = x, []
        for n in range(self.stack.num_layers):
            layers = self.halves(n)
            f, state = run_direction(layers[0], rows, counts, before[len(ended)])
            ended.append(state)
            halves = [f]
            if len(layers) == 2:
                turned = flip(rows, counts)
                b, state = run_direction(layers[1], turned, counts, before[len(ended)])
                ended.append(state)
                halves.append(flip(b, counts))
            merged = self.merge_halves(n, *halves)
            added = merged + rows if self.stack.adds_input(n) else merged
            rows = added.masked_fill(padding, 0)  # not times 0: what stands there may be NaN
        last = [states[0] for states in ended[-len(halves) :]]
        return BiRNNOutput(
            output=rows,
            forward=halves[0],
            backward=halves[1] if len(halves) == 2 else None,
            final=self.merge_halves(self.stack.num_layers - 1, *last),
            state=State(*(torch.stack(parts) for parts in zip(*ended, strict=True))),
        )

    def halves(self, layer: int) -> list[nn.RNNBase]:
        """The one-directional layers of a layer: the forward half, and the backward one."""
        return list(cast("nn.ModuleList", self.layers[layer]))  # type: ignore[arg-type]

    def merge_halves(self, layer: int, forward: Tensor, backward: Tensor | None = None) -> Tensor:
        """Merge the halves of a layer, (..., H) each; one half is as it was."""
        if backward is None:
            return forward
        if self.stack.projects(layer):
            merged: Tensor = self.projections[str(layer)](forward, backward)
            return merged
        return MERGES[self.stack.merge](forward, backward)

    def _states(self, initial: State | None, x: Tensor) -> list[tuple[Tensor, ...]]:
        """The states before the first step of each layer and direction, (B, H) each."""
        stack, weight = self.stack, next(self.parameters())
        parts = initial_states(initial, stack, stack.num_layers, x.shape[0], weight)
        if not parts:
            zeros = weight.new_zeros(stack.state_count, x.shape[0], stack.hidden_size)
            parts = (zeros, zeros) if stack.cell == "lstm" else (zeros,)
        return list(zip(*(part.unbind() for part in parts), strict=True))


def _lengths(lengths: Any, x: Tensor) -> Tensor:
    """Lengths on the host, each of them from 0 to T."""
    counts = as_lengths(lengths, x.shape[0])
    check_lengths(counts.numpy(), x.shape[1])
    return counts
