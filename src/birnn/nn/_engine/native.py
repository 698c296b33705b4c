"""The engines behind the operators: the native one on arrays, torch's on tensors.

Both answer the same `Call` in the same form, so that what runs is a matter of device and dtype.
"""

# R rows with padding, B sequences, D inputs, H hidden units

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from birnn.engine import isa
from birnn.engine.arrays import RowLayout, pooled_empty
from birnn.engine.recurrent import (
    CELL_NUMBERS,
    KEEP_NUMBERS,
    Keep,
    out_of_memory,
    saved_size,
)
from birnn.errors import ConfigError, ShapeError, nearest
from birnn.nn._engine import segments as stretches
from birnn.nn._engine.segments import Schedule, Weights
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.nn.threads import crew
from birnn.reference.stack import CellName

DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
PLAIN_WEIGHTS = (2, 4)
"""Tensors of a direction, without biases or with. Of three or five, the last is a projection."""

READS_TENSORS = hasattr(Tensor, "__dlpack_c_exchange_api__")
"""Whether the compiled module reads tensors as they are: from torch 2.10 on."""


def autocasts(tensor: Tensor) -> bool:
    """Whether autocast is on for tensors of this device; some kinds of device know of none."""
    if not torch._C._is_any_autocast_enabled():
        return False
    device = tensor.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def transformed() -> bool:
    """Whether a transform of torch.func or forward mode is at work, as nested as may be."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def own_dtypes(tensor: Tensor) -> AbstractContextManager[Any]:
    """Within it every operation on this device runs in the dtypes that it is given."""
    return torch.autocast(tensor.device.type, enabled=False) if autocasts(tensor) else nullcontext()


class Call(NamedTuple):
    """What the operators are called with.

    Args:
        cell: Which cell.
        x: Rows, (R, D), or on more than one axis, such as (B, T, D).
        lengths: Layout of the rows, as are ``starts`` and ``steps``; see `TensorLayout`.
        starts: (B,).
        steps: (T,).
        weights: Parameters of all directions, direction by direction.
        initial: State before the first step, (directions, B, H) each; empty for zeros.
        directions: 1 or 2.
        keep: What the native engine keeps for the backward pass, where one is to follow.
    """

    cell: CellName
    x: Tensor
    lengths: Tensor
    starts: Tensor
    steps: Tensor
    weights: list[Tensor]
    initial: list[Tensor]
    directions: int
    keep: Keep

    @property
    def differentiable(self) -> tuple[Tensor, ...]:
        """x, the weights and the initial states."""
        return self.x, *self.weights, *self.initial

    @property
    def rows(self) -> int:
        """Rows R, padding included."""
        return math.prod(self.x.shape[:-1])

    def check(self) -> None:
        """Refuse what no engine can run; a tensor's shape and dtype are all that is read.

        Raises:
            ConfigError: No such cell, or no such kind of what is kept.
            ShapeError: A number of directions or tensors, a shape or a dtype that does not fit.
        """
        if self.directions not in (1, 2) or len(self.weights) % self.directions:
            raise ShapeError(
                f"{len(self.weights)} weights for {self.directions} directions: there are one or "
                "two directions, of as many weights each"
            )
        if self.keep not in KEEP_NUMBERS:
            raise ConfigError(f"keep is {self.keep!r}: {nearest(self.keep, KEEP_NUMBERS)}")
        if self.x.ndim < 2:
            raise ShapeError(f"x is rows on one or more axes, (..., D), got {tuple(self.x.shape)}")
        stretches.check_weights(self.cell, self.x.shape[-1], self.by_direction)
        for name, part in zip(("lengths", "starts", "steps"), self[2:5], strict=True):
            if part.ndim != 1 or part.dtype != torch.int64:
                raise ShapeError(
                    f"{name} are a vector of torch.int64, got {tuple(part.shape)} of {part.dtype}"
                )
        for part in (*self.weights, *self.initial):
            if part.dtype != self.x.dtype:
                raise ShapeError(f"x is {self.x.dtype}, a weight or state {part.dtype}")
        states = 2 if self.cell == "lstm" else 1
        if len(self.initial) not in (0, states) or any(part.ndim != 3 for part in self.initial):
            raise ShapeError(
                f"the initial states of {self.cell} are {states} of (directions, B, H), or none, "
                f"got {[tuple(part.shape) for part in self.initial]}"
            )

    @property
    def by_direction(self) -> list[Weights]:
        """Weights of each direction."""
        each = len(self.weights) // self.directions
        return [self.weights[i * each : (i + 1) * each] for i in range(self.directions)]

    @property
    def native(self) -> bool:
        """Whether the native engine runs it."""
        plain = len(self.weights) // self.directions in PLAIN_WEIGHTS
        here = self.x.dtype in DTYPES and self.x.is_cpu
        return plain and here and isa.selected_engine() is not None

    @property
    def saved_size(self) -> int:
        """Elements that are kept at most: padding keeps none, but shapes do not tell it."""
        if not self.native:
            return 0
        hidden, wide = self.weights[1].shape[1], self.x.dtype == torch.float64
        each = saved_size(self.cell, 1, hidden, self.directions, self.keep, wide=wide)
        return self.rows * each


class Answer(NamedTuple):
    """What the layer gives: output (..., directions * H), final states, and what was kept."""

    output: Tensor
    h: Tensor
    c: Tensor  # empty for a cell without
    saved: Tensor | None  # None where nothing was kept


def forward(call: Call, *, keep: bool, sized: bool = False) -> Answer:
    """Run the layer.

    Args:
        call: What it is called with.
        keep: Whether a backward pass is to follow.
        sized: Whether what is kept takes the size that the shapes tell, padding included, and not
            only what the lengths ask for.
    """
    if call.native:
        return forward_native(call, _layout(call), keep=keep, sized=sized)
    output, (h, *c) = on_torch(call)
    nothing = call.x.new_empty  # of 0 elements, and never twice the same
    return Answer(output, h, c[0] if c else nothing(0), nothing(0) if keep else None)


def backward(
    call: Call,
    output: Tensor | None,
    saved: Tensor,
    d_outputs: Sequence[Tensor | None],
    *,
    wants_x: bool,
    wants_weights: bool,
) -> list[Tensor]:
    """Gradients with respect to x, each of the weights and each of the initial states.

    Args:
        call: What `forward` was called with.
        output: What it gave; None where everything was kept.
        saved: What it kept.
        d_outputs: Gradients with respect to the output, h and c; None for zeros.
        wants_x: Whether x's gradient is asked for; else it is empty.
        wants_weights: Whether the weights' are; else they are empty.
    """
    if call.native:
        wants = {"wants_x": wants_x, "wants_weights": wants_weights}
        found = backward_native(call, _layout(call), output, saved, d_outputs, **wants)
        return [call.x.new_empty(0) if part is None else part for part in found]
    detached = (part.detach() for part in (call.x, *call.weights, *call.initial))
    asked = [wants_x, *[wants_weights] * len(call.weights), *[True] * len(call.initial)]
    inputs = [part.requires_grad_(wants) for part, wants in zip(detached, asked, strict=True)]
    return [d.contiguous() for d in gradients_on_torch(call, inputs, d_outputs)]


# ---------------------------------------------------------------------- the native engine


def forward_native(call: Call, layout: RowLayout, *, keep: bool, sized: bool = False) -> Answer:
    """`forward` on the native engine, which takes the call."""
    native, lstm = isa.require_native(), call.cell == "lstm"
    try:
        x, dtype, hidden = call.x.contiguous(), DTYPES[call.x.dtype], call.weights[1].shape[1]
        output = _empty((*x.shape[:-1], call.directions * hidden), dtype)
        shape = (call.directions, layout.lengths.shape[0], hidden)
        h, c = _empty(shape, dtype), _empty(shape if lstm else (0,), dtype)
        saved = _room_to_keep(call, layout, sized=sized) if keep else None
        h0, c0, *_ = (*call.initial, None, None)
        given = (
            CELL_NUMBERS[call.cell],
            x,
            layout.plan,
            None,
            in_fours(call.weights, call.directions),
            None,
            h0,
            c0,
            KEEP_NUMBERS[call.keep if keep else "nothing"],
            output,
            h,
            c if lstm else None,
            saved,
            *crew(),
        )
        native.layer_forward(*(given if READS_TENSORS else _as_arrays(given)))
    except MemoryError as error:
        raise out_of_memory(call.cell, layout) from error
    return Answer(output, h, c, saved)


def backward_native(
    call: Call,
    layout: RowLayout,
    output: Tensor | None,
    saved: Tensor,
    d_outputs: Sequence[Tensor | None],
    *,
    wants_x: bool,
    wants_weights: bool,
) -> list[Tensor | None]:
    """`backward` on the native engine, with None for what is not asked for."""
    native = isa.require_native()
    try:
        x, weights, dtype = call.x.contiguous(), call.weights, DTYPES[call.x.dtype]
        d_output, d_h, d_c = (
            None if d is None else d.resolve_neg().contiguous() for d in d_outputs
        )
        d_x = _empty(x.shape, dtype) if wants_x else None
        d_weights = [_empty(part.shape, dtype) for part in weights] if wants_weights else []
        shape = (call.directions, layout.lengths.shape[0], weights[1].shape[1])
        d_initial = [_empty(shape, dtype) for _ in call.initial]
        h0, c0, *_ = (*call.initial, None, None)
        d_h0, d_c0, *_ = (*d_initial, None, None)
        given = (
            CELL_NUMBERS[call.cell],
            x,
            layout.plan,
            in_fours(weights, call.directions),
            h0,
            c0,
            output,
            saved,
            KEEP_NUMBERS[call.keep],
            d_output,
            d_h,
            d_c if call.cell == "lstm" else None,
            d_x,
            in_fours(d_weights, call.directions),
            d_h0,
            d_c0,
            *crew(),
        )
        native.layer_backward(*(given if READS_TENSORS else _as_arrays(given)))
    except MemoryError as error:
        raise out_of_memory(call.cell, layout) from error
    return [d_x, *(d_weights if wants_weights else [None] * len(weights)), *d_initial]


def _empty(shape: Sequence[int], dtype: np.dtype[Any]) -> Tensor:
    # Torch's own memory is aligned by asking for more: freed, it does not fit the next request of
    # the same size, and the heap of a process that trains grows by a third.
    return torch.from_numpy(np.empty(shape, dtype))


def in_fours(parts: Sequence[Tensor], directions: int) -> Sequence[Tensor | None]:
    """Weights or their gradients with None for each bias that there is not."""
    if len(parts) in (0, 4 * directions):
        return parts
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [part for ih, hh in pairs for part in (ih, hh, None, None)]


def _layout(call: Call) -> RowLayout:
    return TensorLayout(call.lengths, call.starts, call.steps).host(call.rows)


def _room_to_keep(call: Call, layout: RowLayout, *, sized: bool) -> Tensor:
    """Memory for what a backward pass needs."""
    hidden, wide = call.weights[1].shape[1], call.x.dtype == torch.float64
    places = layout.plan.places
    size = saved_size(call.cell, places, hidden, call.directions, call.keep, wide=wide)
    room = max(size, call.saved_size) if sized else size
    saved = torch.from_numpy(pooled_empty(isa.require_native(), room, DTYPES[call.x.dtype]))
    if sized:
        saved[size:] = 0  # what no row fills is the same in every run
    return saved


def _as_arrays(given: Any) -> Any:
    """Arguments of a kernel for a torch whose tensors it cannot read: arrays in their place."""
    if isinstance(given, Tensor):
        return given.detach().numpy()
    return [_as_arrays(part) for part in given] if isinstance(given, list | tuple) else given


# ---------------------------------------------------------------------- torch's engine


def on_torch(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output and final states by torch's engine, in x's dtype, autocast or not."""
    layout = TensorLayout(call.lengths, call.starts, call.steps)
    schedule = Schedule.of(layout, call.x.device)
    rows = call.x.flatten(0, -2)
    with own_dtypes(call.x):
        output, final = stretches.run(call.cell, rows, schedule, call.by_direction, call.initial)
    return output.view(*call.x.shape[:-1], output.shape[1]), final


def gradients_on_torch(
    call: Call,
    inputs: Sequence[Tensor],
    d_outputs: Sequence[Tensor | None],
    *,
    create_graph: bool = False,
) -> list[Tensor]:
    """Gradients by running the layer again on torch's engine.

    Args:
        call: What the layer was called with.
        inputs: x, the weights and the initial states once more, to be used in their place.
        d_outputs: Gradients with respect to the output, h and c; None for zeros.
        create_graph: Whether gradients of the gradients may be asked for.

    Returns:
        One for each of the inputs, empty where it requires none.
    """
    x, *rest = inputs
    count = len(call.weights)
    call = call._replace(x=x, weights=rest[:count], initial=rest[count:])
    # A compiled graph runs its operators below autograd, which is asked here.
    autograd = torch._C.DispatchKey.AutogradFunctionality
    with torch.enable_grad(), torch._C._SetExcludeDispatchKeyGuard(autograd, False):
        output, final = on_torch(call)
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
