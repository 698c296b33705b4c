"""Stacked recurrent layers of one or two directions, and all gradients.

```
f = scan(x, forwards)          b = scan(x, backwards)
y = merge(f, b) (+ x where the stack is residual and the widths agree)
```

The y of a layer is the x of the next. dtype follows the inputs: in float64 this is the
specification that every engine is held to.
"""

# N rows of all sequences, B sequences, S states of all layers and directions, D inputs, H hidden
# units, W width of an output row

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from birnn.ragged import Ragged
from birnn.reference.cells import CELLS, Array, Arrays
from birnn.reference.merge import MERGES, Projection
from birnn.reference.products import differentiable
from birnn.reference.scan import Schedule, Tape, Weights, backward, forward
from birnn.reference.stack import Stack

Parameters = Mapping[str, Any]
"""Arrays by their names; weights may be matrices of low precision (`birnn.reference.Matrix`)."""
Gradients = dict[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class StackState:
    """States of every layer and direction, in torch's order: layer by layer, forward half first.

    Args:
        h: Hidden states, (S, B, H).
        c: Memory cells of an LSTM, (S, B, H); None for the other cells.
    """

    h: Array
    c: Array | None = None

    @classmethod
    def zeros(cls, stack: Stack, sequences: int, dtype: np.dtype[np.floating]) -> StackState:
        """The state that a run starts from when none is given.

        Example:
            >>> StackState.zeros(Stack("gru", 3, 5, num_layers=2), 4, np.dtype("f4")).h.shape
            (4, 4, 5)
        """
        shape = (stack.state_count, sequences, stack.hidden_size)
        memory = CELLS[stack.cell].states > 1
        return cls(np.zeros(shape, dtype), np.zeros(shape, dtype) if memory else None)

    @property
    def parts(self) -> Arrays:
        """h, and c where there is one."""
        return (self.h,) if self.c is None else (self.h, self.c)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The results of a run.

    Args:
        output: Rows of the last layer, (N, W).
        forward: Forward half of the last layer before merging and residual, (N, H).
        backward: Backward half likewise; None where the last layer has one direction.
        final: The last layer's final states merged as its rows are, (B, W): the forward half after
            each sequence's last row, the backward half after its first. Nothing residual is added.
        state: Final states of all layers and directions; of a sequence of length 0 the initial
            ones.
    """

    output: Ragged[Array]
    forward: Ragged[Array]
    backward: Ragged[Array] | None
    final: Array
    state: StackState


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What a run saves for `gradients`."""

    stack: Stack
    parameters: Parameters
    schedule: Schedule
    outcome: Outcome
    halves: list[list[Array]]
    tapes: list[list[Tape]]


def run(
    x: Ragged[Array], parameters: Parameters, stack: Stack, initial: StackState | None = None
) -> Outcome:
    """Run a stack over a ragged batch; nothing is kept for a backward.

    Args:
        x: Batch of rows (N, D).
        parameters: Arrays by the names of ``stack.shapes()``, or matrices of low precision, which
            read rows of float32.
        stack: Settings of the stack.
        initial: Initial states; zeros where it is None.

    Returns:
        The last layer's rows, halves and final states.

    Example:
        >>> stack = Stack("lstm", 3, 5)
        >>> parameters = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
        >>> run(Ragged(np.ones((4, 3)), np.array([4, 0])), parameters, stack).final.shape
        (2, 10)
    """
    return _run(x, parameters, stack, initial, keep=False)[0]


def run_saving(
    x: Ragged[Array], parameters: Parameters, stack: Stack, initial: StackState | None = None
) -> tuple[Outcome, Saved]:
    """As `run`, with the same arguments; also returns what `gradients` needs.

    Raises:
        UsageError: Weights of low precision, which have no gradients.
    """
    for name, array in parameters.items():
        differentiable(array, name)
    return _run(x, parameters, stack, initial, keep=True)


# NaN and overflow affect their own sequence alone; they are its answer, not a fault of the run.
@np.errstate(over="ignore", invalid="ignore", under="ignore")
def _run(
    x: Ragged[Array],
    parameters: Parameters,
    stack: Stack,
    initial: StackState | None,
    *,
    keep: bool,
) -> tuple[Outcome, Saved]:
    cell, merge = CELLS[stack.cell], MERGES[stack.merge]
    schedule = Schedule.of(x.lengths)
    if initial is None:
        arrays = [array for array in parameters.values() if isinstance(array, np.ndarray)]
        initial = StackState.zeros(stack, len(x), np.result_type(x.values, *arrays))
    finals: list[Arrays] = []
    halves: list[list[Array]] = []
    tapes: list[list[Tape]] = []
    rows_NW = x.values
    for layer in range(stack.num_layers):
        halves.append([])
        tapes.append([])
        for direction, suffix in enumerate(stack.suffixes(layer)):
            half_NH, final, tape = forward(
                cell,
                direction_weights(parameters, layer, suffix),
                rows_NW,
                schedule,
                initial=tuple(part[len(finals)] for part in initial.parts),
                reverse=direction == 1,
                keep=keep,
            )
            halves[-1].append(half_NH)
            finals.append(final)
            if tape is not None:
                tapes[-1].append(tape)
        if stack.directions_of(layer) == 2:
            projection = merge_projection(parameters, layer, stack)
            merged_NW = merge.forward(halves[-1][0], halves[-1][1], projection)
        else:
            merged_NW = halves[-1][0]
        rows_NW = merged_NW + rows_NW if stack.adds_input(layer) else merged_NW
        if not keep:
            del halves[:-1]
    last = halves[-1]
    if len(last) == 2:
        projection = merge_projection(parameters, stack.num_layers - 1, stack)
        final_BW = merge.forward(finals[-2][0], finals[-1][0], projection)
    else:
        final_BW = finals[-1][0]
    outcome = Outcome(
        x.with_values(rows_NW),
        x.with_values(last[0]),
        x.with_values(last[1]) if len(last) == 2 else None,
        final_BW,
        StackState(*(np.stack(parts) for parts in zip(*finals, strict=True))),
    )
    return outcome, Saved(stack, parameters, schedule, outcome, halves, tapes)


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def gradients(
    saved: Saved,
    d_output_NW: Array,
    d_final_BW: Array | None = None,
    d_state: StackState | None = None,
) -> tuple[Array, Gradients, StackState]:
    """Backward through time of `run_saving`.

    Args:
        saved: What the run saved.
        d_output_NW: Gradient of a loss with respect to the output rows, (N, W).
        d_final_BW: The same with respect to ``final``, (B, W); None for none.
        d_state: The same with respect to ``state``; None for none.

    Returns:
        The loss's gradients with respect to the rows (N, D), each parameter by its name, and the
        initial state.
    """
    stack, parameters, state = saved.stack, saved.parameters, saved.outcome.state
    cell, merge = CELLS[stack.cell], MERGES[stack.merge]
    source = state if d_state is None else d_state
    d_finals = tuple(np.zeros_like(p) if d_state is None else p.copy() for p in source.parts)
    d_initial = tuple(np.zeros_like(part) for part in state.parts)
    d_parameters: Gradients = {}

    if d_final_BW is not None and stack.directions_of(-1) == 2:
        projection = merge_projection(parameters, stack.num_layers - 1, stack)
        d_f_BH, d_b_BH, d_projection = merge.backward(
            d_final_BW, state.h[-2], state.h[-1], projection
        )
        d_finals[0][-2] += d_f_BH
        d_finals[0][-1] += d_b_BH
        _add_projection(d_parameters, stack.num_layers - 1, d_projection)
    elif d_final_BW is not None:
        d_finals[0][-1] += d_final_BW

    d_rows_NW = d_output_NW
    for layer in reversed(range(stack.num_layers)):
        d_halves: tuple[Array, ...] = (d_rows_NW,)
        first = stack.states_of(layer).start
        if stack.directions_of(layer) == 2:
            f_NH, b_NH = saved.halves[layer]
            d_f_NH, d_b_NH, d_projection = merge.backward(
                d_rows_NW, f_NH, b_NH, merge_projection(parameters, layer, stack)
            )
            d_halves = (d_f_NH, d_b_NH)
            _add_projection(d_parameters, layer, d_projection)
        d_x_ND = (
            d_rows_NW.copy() if stack.adds_input(layer) else np.zeros_like(saved.tapes[layer][0].x)
        )
        for direction, suffix in enumerate(stack.suffixes(layer)):
            which = first + direction
            d_part_ND, d_weights, d_first = backward(
                cell,
                direction_weights(parameters, layer, suffix),
                saved.tapes[layer][direction],
                saved.schedule,
                d_output_NH=d_halves[direction],
                d_final=tuple(part[which] for part in d_finals),
            )
            d_x_ND += d_part_ND
            d_parameters |= dict(zip(direction_names(layer, suffix), d_weights, strict=True))
            for part, d_part in zip(d_initial, d_first, strict=True):
                part[which] = d_part
        d_rows_NW = d_x_ND
    return d_rows_NW, {name: d_parameters[name] for name in stack.shapes()}, StackState(*d_initial)


def direction_names(layer: int, suffix: str) -> tuple[str, str, str, str]:
    """Names of one direction's parameters, in the order of `Weights`.

    Example:
        >>> direction_names(1, "_reverse")[0]
        'weight_ih_l1_reverse'
    """
    end = f"l{layer}{suffix}"
    return f"weight_ih_{end}", f"weight_hh_{end}", f"bias_ih_{end}", f"bias_hh_{end}"


def direction_weights(parameters: Parameters, layer: int, suffix: str) -> Weights:
    """One direction's parameters."""
    return Weights(*(parameters[name] for name in direction_names(layer, suffix)))


def merge_projection(parameters: Parameters, layer: int, stack: Stack) -> Projection | None:
    """Parameters of a layer's merge, where it has any."""
    if not stack.projects(layer):
        return None
    return Projection(parameters[f"merge_l{layer}.weight"], parameters[f"merge_l{layer}.bias"])


def _add_projection(gradients: Gradients, layer: int, projection: Projection | None) -> None:
    """Add to the gradients of a layer's merge: rows and final states both pass through it."""
    if projection is None:
        return
    for name, d in zip(("weight", "bias"), projection, strict=True):
        key = f"merge_l{layer}.{name}"
        gradients[key] = gradients[key] + d if key in gradients else d
