"""One layer over the rows of a ragged batch, on torch's own kernels.

Torch's recurrent kernels are exact and fast where all sequences are equally long. Sorted by
length, a ragged batch is a few *segments* of that kind: from the length of one sequence to the
next longer one, all sequences still running take the same number of steps. Each segment is one
call on rows that lie together, its final state starts the next. Nothing is padded, every
sequence's final state is its state after its own last step, and autograd sees torch's operations.

```
lengths 2 4 4      step 0 1 2 3
                   long x x|x x     two segments: 2 steps of 3 sequences,
                   long x x|x x                    2 steps of 2 sequences
                   short x x|
```
"""

# N rows of all sequences, R rows with padding, B sequences, D inputs, H hidden units,
# G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.errors import ShapeError
from birnn.nn._engine.call import Call, WeightTensors, check_weights
from birnn.nn._engine.private_torch import with_autograd, without_autocast, without_transforms
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.ragged import Lengths, check_lengths
from birnn.reference.stack import GATES, CellName

KERNELS: dict[CellName, Callable[..., tuple[Tensor, ...]]] = {
    "rnn_tanh": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
    "lstm": torch.lstm,
    "gru": torch.gru,
}


@dataclass(frozen=True, slots=True)
class BatchSegment:
    """``steps`` steps that the ``sequences`` longest sequences take together."""

    start: int  # first row, in step-major order
    steps: int
    sequences: int


class SegmentedBatch:
    """A ragged batch cut into segments of constant batch size: once, for every layer.

    Args:
        lengths: Length of each sequence, (B,).
        device: Where the rows are.
        starts: First row of each sequence, (B,); by default they lie one after another.
        steps: Row of each step, counted from there, (T,); by default 0, 1, 2 and so on.
    """

    def __init__(
        self,
        lengths: Lengths,
        device: torch.device,
        *,
        starts: Lengths | None = None,
        steps: Lengths | None = None,
    ) -> None:
        self.lengths = lengths
        self.device = device
        self._starts = np.cumsum(lengths) - lengths if starts is None else starts
        self._step_rows = np.arange(lengths.max(initial=0)) if steps is None else steps
        self._by_length = np.argsort(-lengths, kind="stable")
        ordered = lengths[self._by_length]
        edges = np.unique(ordered)
        edges = edges[edges > 0]
        running = np.searchsorted(-ordered, -edges, side="right")
        counts = np.diff(edges, prepend=0)
        begins = np.cumsum(counts * running) - counts * running
        self.segments = [
            BatchSegment(int(start), int(count), int(width))
            for start, count, width in zip(begins, counts, running, strict=True)
        ]

    @classmethod
    def of(cls, layout: TensorLayout, device: torch.device) -> SegmentedBatch:
        """The segments of rows that stand as ``layout`` says, made once for a layout.

        Raises:
            LengthError: A length that the rows cannot have.
        """

        def make() -> SegmentedBatch:
            with without_transforms():  # which hide the data of these tensors as well
                lengths, starts, steps = (part.numpy() for part in layout.parts)
            check_lengths(lengths, steps.shape[0])
            return cls(lengths, device, starts=starts, steps=steps)

        return layout.cached(device, make)

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
        for segment in self.segments:
            last = first + segment.steps
            sequences.append(np.tile(self._by_length[: segment.sequences], segment.steps))
            steps.append(np.repeat(np.arange(first, last), segment.sequences))
            first = last
        if not sequences:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty
        return np.concatenate(sequences), np.concatenate(steps)

    @cached_property
    def forward(self) -> tuple[Tensor, Tensor]:
        """Row at each place in step-major order, (N,), and the place of each row."""
        sequence, step = self._step_major
        return self._both_ways(self._starts[sequence] + self._step_rows[step])

    @cached_property
    def backward(self) -> tuple[Tensor, Tensor]:
        """The same with every sequence read from its end."""
        sequence, step = self._step_major
        step = self.lengths[sequence] - 1 - step
        return self._both_ways(self._starts[sequence] + self._step_rows[step])

    def _both_ways(self, order: Lengths) -> tuple[Tensor, Tensor]:
        inverse = np.zeros(order.max(initial=-1) + 1, dtype=np.int64)
        inverse[order] = np.arange(order.shape[0])
        return self._to_device(order), self._to_device(inverse)

    def _to_device(self, index: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(index, dtype=np.int64)).to(self.device)


def run(call: Call, batch: SegmentedBatch) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one layer in one or two directions.

    Args:
        call: What it is called with; its layout is not read.
        batch: The segments of its layout.

    Returns:
        Hidden states after each row, (..., directions * H), the forward half first, zeros in
        padding; and the final states, (directions, B, H) each.

    Raises:
        ShapeError: Weights or states that are not the cell's, which torch's kernels would read
            past their end.
    """
    cell, x_RD, weights = call.cell, call.x.flatten(0, -2), call.by_direction
    check_weights(cell, x_RD.shape[1], weights)
    zeros = _zero_state(cell, x_RD, batch.lengths.shape[0], weights)
    found, wanted = ([tuple(part.shape) for part in parts] for parts in (call.initial, zeros))
    if call.initial and found != wanted:
        raise ShapeError(f"initial states of shape {found}, it must be {wanted}")
    initial = call.initial or zeros
    halves, finals = [], []
    for direction, own in enumerate(weights):
        state = tuple(part[direction] for part in initial)
        half, final = _run_direction(cell, x_RD, own, state, batch, reverse=direction == 1)
        halves.append(half)
        finals.append(final)
    output = halves[0] if len(halves) == 1 else torch.cat(halves, dim=1)
    output = output.view(*call.x.shape[:-1], output.shape[1])
    return output, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def run_in_own_dtype(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`run` in x's dtype, autocast or not."""
    batch = SegmentedBatch.of(call.layout, call.x.device)
    with without_autocast(call.x):
        return run(call, batch)


def gradients(
    call: Call, d_outputs: Sequence[Tensor | None], *, create_graph: bool = False
) -> list[Tensor]:
    """Gradients by running the layer once more.

    Args:
        call: What the layer was called with, its tensors those of which gradients are asked.
        d_outputs: Gradients with respect to the output, h and c; None for zeros.
        create_graph: Whether gradients of the gradients may be asked for.

    Returns:
        One for each of ``call.differentiable``, empty where it requires none.
    """
    inputs = call.differentiable
    with torch.enable_grad(), with_autograd():
        output, final = run_in_own_dtype(call)
    pairs = zip((output, *final), d_outputs, strict=False)
    given = [(part, d) for part, d in pairs if d is not None and part.requires_grad]
    wanted = [part for part in inputs if part.requires_grad]
    if given:
        parts, d_parts = zip(*given, strict=True)
        found = torch.autograd.grad(
            parts, wanted, d_parts, create_graph=create_graph, materialize_grads=True
        )
    else:
        found = tuple(torch.zeros_like(part) for part in wanted)
    each = iter(found)
    return [next(each) if part.requires_grad else part.new_empty(0) for part in inputs]


def _zero_state(
    cell: CellName, x_RD: Tensor, batch: int, weights: Sequence[WeightTensors]
) -> tuple[Tensor, ...]:
    """Zeros for the state before the first step, (directions, B, H) each."""
    weight_ih, weight_hh = weights[0][:2]
    # With a projection, h is narrower than c.
    widths = [weight_hh.shape[1]]
    if cell == "lstm":
        widths.append(weight_ih.shape[0] // GATES[cell])
    return tuple(x_RD.new_zeros(len(weights), batch, width) for width in widths)


def _run_direction(
    cell: CellName,
    x_RD: Tensor,
    weights: WeightTensors,
    initial: tuple[Tensor, ...],
    batch: SegmentedBatch,
    *,
    reverse: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one direction of one layer.

    Args:
        cell: Which cell.
        x_RD: Rows of all sequences, (R, D).
        weights: Parameters of the direction, in torch's layout.
        initial: State before the first step: (h,) or, for the LSTM, (h, c); (B, H) each.
        batch: The segments of the batch.
        reverse: Read every sequence from its end; the output stays in the rows' order.

    Returns:
        Hidden state after each row, (R, H), zeros in padding, and the final state of each
        sequence, (B, H) each; a sequence of length 0 ends in its initial state.

    Source:
        Hochreiter & Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU), in the conventions of
        ``torch.nn.LSTM`` and ``torch.nn.GRU``.
    """
    kernel = KERNELS[cell]
    order, inverse = batch.backward if reverse else batch.forward
    rows_ND = x_RD.index_select(0, order)
    state = tuple(part.index_select(0, batch.by_length).unsqueeze(0) for part in initial)
    outputs: list[Tensor] = []
    ended: list[tuple[Tensor, ...]] = []
    for segment in batch.segments:
        # The state's sequences beyond this segment's have taken their last step.
        ended.append(tuple(part[0, segment.sequences :] for part in state))
        count = segment.steps * segment.sequences
        block = rows_ND[segment.start : segment.start + count]
        out, *state_parts = kernel(
            block.view(segment.steps, segment.sequences, -1),
            *_as_kernel_state(tuple(part[:, : segment.sequences].contiguous() for part in state)),
            list(weights),
            len(weights) > 3,  # biases
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
        torch.cat(pieces[::-1]).index_select(0, batch.from_by_length)
        for pieces in map(list, zip(*ended, strict=True))
    )
    y_NH = torch.cat(outputs) if outputs else x_RD.new_zeros(0, initial[0].shape[1])
    if y_NH.shape[0] == x_RD.shape[0]:
        return y_NH.index_select(0, inverse), final
    return y_NH.new_zeros(x_RD.shape[0], y_NH.shape[1]).index_copy(0, order, y_NH), final


def _as_kernel_state(state: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """Torch's LSTM takes a list of two states, the other cells take one tensor."""
    return (list(state),) if len(state) == 2 else state
