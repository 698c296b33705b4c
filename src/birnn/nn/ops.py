"""One direction of one layer over ragged rows, on torch's own kernels.

Torch's recurrent kernels are exact and fast where all sequences are equally long. Sorted by
length, a ragged batch is a few *stretches* of that kind: from the length of one sequence to the
next longer one, all sequences still running take the same number of steps. Each stretch is one
call on rows that lie together, its final state starts the next. Nothing is padded, every
sequence's final state is its state after its own last step, and autograd sees torch's operations.

```
lengths 2 4 4      step 0 1 2 3
                   long x x|x x     two stretches: 2 steps of 3 sequences,
                   long x x|x x                    2 steps of 2 sequences
                   short x x|
```
"""

# N rows of all sequences, B sequences, D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.ragged import Lengths
from birnn.reference.stack import CellName

Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""weight_ih (G, D), weight_hh (G, H), bias_ih (G,), bias_hh (G,)."""

KERNELS: dict[CellName, Callable[..., tuple[Tensor, ...]]] = {
    "rnn_tanh": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
    "lstm": torch.lstm,
    "gru": torch.gru,
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """``steps`` steps that the ``sequences`` longest sequences take together."""

    start: int  # first row, in step-major order
    steps: int
    sequences: int


class Schedule:
    """How a ragged batch is laid out for the kernels: made once, used by every layer.

    Args:
        lengths: Length of each sequence, (B,).
        device: Where the rows are.
    """

    def __init__(self, lengths: Lengths, device: torch.device) -> None:
        self.lengths = lengths
        self.device = device
        self._by_length = np.argsort(-lengths, kind="stable")
        ordered = lengths[self._by_length]
        edges = np.unique(ordered)
        edges = edges[edges > 0]
        running = np.searchsorted(-ordered, -edges, side="right")
        steps = np.diff(edges, prepend=0)
        starts = np.cumsum(steps * running) - steps * running
        self.stretches = [
            Stretch(int(start), int(count), int(width))
            for start, count, width in zip(starts, steps, running, strict=True)
        ]
        self._starts = np.cumsum(lengths) - lengths

    @cached_property
    def by_length(self) -> Tensor:
        """Sequences, longest first; (B,)."""
        return self._to_device(self._by_length)

    @cached_property
    def from_by_length(self) -> Tensor:
        """Place of each sequence in `by_length`; (B,)."""
        return self._to_device(np.argsort(self._by_length))

    @cached_property
    def _step_major(self) -> tuple[Lengths, Lengths]:
        """Sequence and step of each row in step-major order."""
        sequences, steps = [], []
        first = 0
        for stretch in self.stretches:
            last = first + stretch.steps
            sequences.append(np.tile(self._by_length[: stretch.sequences], stretch.steps))
            steps.append(np.repeat(np.arange(first, last), stretch.sequences))
            first = last
        if not sequences:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty
        return np.concatenate(sequences), np.concatenate(steps)

    @cached_property
    def forward(self) -> tuple[Tensor, Tensor]:
        """Row at each place in step-major order, and the place of each row; (N,) each."""
        sequence, step = self._step_major
        return self._both_ways(self._starts[sequence] + step)

    @cached_property
    def backward(self) -> tuple[Tensor, Tensor]:
        """The same with every sequence read from its end."""
        sequence, step = self._step_major
        return self._both_ways(self._starts[sequence] + self.lengths[sequence] - 1 - step)

    def _both_ways(self, order: Lengths) -> tuple[Tensor, Tensor]:
        inverse = np.empty_like(order)
        inverse[order] = np.arange(order.shape[0])
        return self._to_device(order), self._to_device(inverse)

    def _to_device(self, index: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(index, dtype=np.int64)).to(self.device)


def scan(
    cell: CellName,
    x_ND: Tensor,
    weights: Weights,
    initial: tuple[Tensor, ...],
    schedule: Schedule,
    *,
    reverse: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one direction of one layer.

    Args:
        cell: Which cell.
        x_ND: Rows of all sequences, (N, D).
        weights: ``weight_ih``, ``weight_hh``, ``bias_ih``, ``bias_hh`` in torch's layout.
        initial: State before the first step: (h,) or, for the LSTM, (h, c); (B, H) each.
        schedule: Layout of the batch.
        reverse: Read every sequence from its end; the output stays in the rows' order.

    Returns:
        Hidden state after each row, (N, H), and the final state of each sequence, (B, H) each;
        a sequence of length 0 ends in its initial state.

    Source:
        Hochreiter & Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU), in the conventions of
        ``torch.nn.LSTM`` and ``torch.nn.GRU``.
    """
    kernel = KERNELS[cell]
    order, inverse = schedule.backward if reverse else schedule.forward
    rows_ND = x_ND.index_select(0, order)
    state = tuple(part.index_select(0, schedule.by_length).unsqueeze(0) for part in initial)
    outputs: list[Tensor] = []
    ended: list[tuple[Tensor, ...]] = []
    for stretch in schedule.stretches:
        # The state's sequences beyond this stretch's have taken their last step.
        ended.append(tuple(part[0, stretch.sequences :] for part in state))
        count = stretch.steps * stretch.sequences
        block = rows_ND[stretch.start : stretch.start + count]
        out, *state_parts = kernel(
            block.view(stretch.steps, stretch.sequences, -1),
            *_as_kernel_state(tuple(part[:, : stretch.sequences].contiguous() for part in state)),
            weights,
            True,  # biases
            1,  # layer
            0.0,  # dropout
            torch.is_grad_enabled(),  # keep what the backward pass needs
            False,  # one direction
            False,  # time first
        )
        state = tuple(state_parts)
        outputs.append(out.reshape(count, -1))
    ended.append(tuple(part[0] for part in state))
    final = tuple(
        torch.cat(pieces[::-1]).index_select(0, schedule.from_by_length)
        for pieces in map(list, zip(*ended, strict=True))
    )
    y_NH = torch.cat(outputs) if outputs else x_ND.new_zeros(0, initial[0].shape[1])
    return y_NH.index_select(0, inverse), final


def _as_kernel_state(state: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """Torch's LSTM takes a list of two states, the other cells take one tensor."""
    return (list(state),) if len(state) == 2 else state
