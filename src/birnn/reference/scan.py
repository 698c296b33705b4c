"""The time loop over a ragged batch in one direction, and backpropagation through time.

There is no padding: the sequences are sorted by length once, longest first, so those that still
run at step t are the first ``counts[t]`` of them, and each step is one matrix product over these.
Rows are kept in the order in which the loop reads them ("scan order": all rows of step 0, then all
of step 1, ...). The backward direction reads each sequence's last row first; nothing else differs.
"""

# N rows of all sequences, B sequences, T steps of the longest, D inputs, H hidden units,
# G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from birnn.ragged import Lengths
from birnn.reference.cells import Array, Arrays, Cell
from birnn.reference.products import differentiable, multiplier


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rows of each step of the time loop.

    Args:
        order: Sequences, longest first; equal ones keep their order, (B,).
        counts: Sequences that still run at each step, (T,).
        rows: Row of the ragged batch at each place of the forward direction's scan order, (N,).
        reverse_rows: The same for the backward direction, (N,).

    Example:
        >>> schedule = Schedule.of(np.array([1, 3]))
        >>> schedule.order.tolist(), schedule.counts.tolist()
        ([1, 0], [2, 1, 1])
        >>> schedule.rows.tolist(), schedule.reverse_rows.tolist()
        ([1, 0, 2, 3], [3, 0, 2, 1])
    """

    order: Lengths
    counts: Lengths
    rows: Lengths
    reverse_rows: Lengths

    @classmethod
    def of(cls, lengths: Lengths) -> Schedule:
        """The schedule of a batch of these lengths, (B,)."""
        order = np.argsort(-lengths, kind="stable")
        # Sequences with more than t steps: B less those of length t or below.
        counts = lengths.shape[0] - np.cumsum(np.bincount(lengths, minlength=1))[:-1]
        step = np.repeat(np.arange(counts.shape[0]), counts)
        place = np.arange(step.shape[0]) - np.repeat(np.cumsum(counts) - counts, counts)
        sequence = order[place]
        stops = np.cumsum(lengths)
        return cls(order, counts, (stops - lengths)[sequence] + step, stops[sequence] - 1 - step)

    def steps(self) -> Iterator[tuple[int, slice]]:
        """For each step: how many sequences run, and their rows in scan order."""
        start = 0
        for count in self.counts.tolist():
            yield count, slice(start, start + count)
            start += count

    def last_places(self, lengths: Lengths) -> Lengths:
        """Place in scan order of the last step of each sorted sequence that has one."""
        starts = np.cumsum(self.counts) - self.counts
        running = lengths[self.order]
        running = running[running > 0]
        return starts[running - 1] + np.arange(running.shape[0])

    def sort(self, state: Arrays) -> Arrays:
        """States (B, H) from the batch's order to the sorted one, as copies."""
        return tuple(part[self.order] for part in state)

    def unsort(self, state: Arrays) -> Arrays:
        """States (B, H) from the sorted order back to the batch's."""
        back = np.empty_like(self.order)
        back[self.order] = np.arange(self.order.shape[0])
        return tuple(part[back] for part in state)


class Weights(NamedTuple):
    """Parameters of one direction of one layer, or their gradients.

    Both weights are arrays, or matrices of low precision (`birnn.reference.Matrix`).
    """

    weight_ih: Any  # (G, D)
    weight_hh: Any  # (G, H)
    bias_ih: Array  # (G,)
    bias_hh: Array  # (G,)


@dataclass(frozen=True, slots=True)
class Tape:
    """What `forward` saves for `backward`.

    Args:
        rows: Row of the ragged batch at each place of the scan order, (N,).
        x: Rows in scan order, (N, D).
        previous: Hidden state before each row, in scan order, (N, H).
        saved: What the cell saved at each step.
    """

    rows: Lengths
    x: Array
    previous: Array
    saved: list[Arrays]


def forward(
    cell: Cell,
    weights: Weights,
    x_ND: Array,
    schedule: Schedule,
    *,
    initial: Arrays,
    reverse: bool = False,
    keep: bool = False,
) -> tuple[Array, Arrays, Tape | None]:
    """Run a cell over every sequence of a batch, each from its own initial state.

    ``h[t] = cell(x[t], h[t - 1])``, with t running down from each sequence's own last step when
    ``reverse`` is set.

    Args:
        cell: The cell, from `CELLS`.
        weights: Its parameters.
        x_ND: Rows of all sequences, (N, D).
        schedule: The batch's schedule.
        initial: State before the first step that is run, arrays of shape (B, H).
        reverse: Whether sequences are run from their last row to their first.
        keep: Whether to save a tape for `backward`.

    Returns:
        Hidden state after each row, (N, H), in the order of the batch's rows; the state after the
        last step that is run, arrays of shape (B, H) (of a sequence of length 0: its initial
        state); and the tape, or None.
    """
    rows = schedule.reverse_rows if reverse else schedule.rows
    scan_x_ND = x_ND[rows]
    input_bias_G, recurrent_bias_G = _biases(cell, weights)
    input_NG = multiplier(weights.weight_ih)(scan_x_ND, input_bias_G)
    add_recurrent = multiplier(weights.weight_hh)
    output_NH = np.empty((rows.shape[0], weights.weight_hh.shape[1]), input_NG.dtype)
    previous_NH = np.empty_like(output_NH) if keep else None
    saved: list[Arrays] = []

    state = schedule.sort(initial)
    final = schedule.sort(initial)
    for count, here in schedule.steps():
        state = tuple(part[:count] for part in state)
        if previous_NH is not None:
            previous_NH[here] = state[0]
        recurrent_BG = add_recurrent(state[0], recurrent_bias_G)
        state, needed = cell.forward(input_NG[here], recurrent_BG, state)
        output_NH[here] = state[0]
        for part, now in zip(final, state, strict=True):
            part[:count] = now
        if keep:
            saved.append(needed)

    rows_NH = np.empty_like(output_NH)
    rows_NH[rows] = output_NH
    tape = None if previous_NH is None else Tape(rows, scan_x_ND, previous_NH, saved)
    return rows_NH, schedule.unsort(final), tape


def _biases(cell: Cell, weights: Weights) -> Arrays:
    """What the input and the recurrent products are added to.

    Both biases stand before the sum begins; where a gate takes its parts apart each has its own.
    """
    apart = weights.bias_ih.shape[0] // cell.gates * (cell.gates - cell.apart)
    input_G = weights.bias_ih + weights.bias_hh
    recurrent_G = np.zeros_like(input_G)
    input_G[apart:] = weights.bias_ih[apart:]
    recurrent_G[apart:] = weights.bias_hh[apart:]
    return input_G, recurrent_G


def backward(
    cell: Cell,
    weights: Weights,
    tape: Tape,
    schedule: Schedule,
    *,
    d_output_NH: Array,
    d_final: Arrays,
) -> tuple[Array, Weights, Arrays]:
    """Backward through time of `forward`.

    Args:
        cell: The cell that was run.
        weights: Its parameters.
        tape: The tape of `forward`.
        schedule: The batch's schedule.
        d_output_NH: Gradient with respect to the hidden state after each row, (N, H).
        d_final: Gradient with respect to the final state, arrays of shape (B, H).

    Returns:
        Gradients with respect to the rows (N, D), the parameters, and the initial state.
    """
    scan_d_output_NH = d_output_NH[tape.rows]
    weight_ih, weight_hh = differentiable(weights.weight_ih), differentiable(weights.weight_hh)
    gates = weight_hh.shape[0]
    d_input_NG = np.empty((tape.rows.shape[0], gates), scan_d_output_NH.dtype)
    d_recurrent_NG = np.empty_like(d_input_NG)

    # A sequence's entry is its final gradient until the loop reaches its last step, and one of
    # length 0 is never reached: its final state was its initial state.
    d_state = schedule.sort(d_final)
    steps = list(schedule.steps())
    for (count, here), needed in zip(reversed(steps), reversed(tape.saved), strict=True):
        running = tuple(part[:count] for part in d_state)
        running[0][...] += scan_d_output_NH[here]
        d_input_BG, d_recurrent_BG, d_past = cell.backward(running, needed)
        d_input_NG[here] = d_input_BG
        d_recurrent_NG[here] = d_recurrent_BG
        for part, past in zip(running, d_past, strict=True):
            part[...] = past
        running[0][...] += d_recurrent_BG @ weight_hh

    d_x_ND = np.empty_like(tape.x)
    d_x_ND[tape.rows] = d_input_NG @ weight_ih
    d_weights = Weights(
        d_input_NG.T @ tape.x,
        d_recurrent_NG.T @ tape.previous,
        d_input_NG.sum(axis=0),
        d_recurrent_NG.sum(axis=0),
    )
    return d_x_ND, d_weights, schedule.unsort(d_state)
