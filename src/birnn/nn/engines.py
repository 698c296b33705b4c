"""The engines behind the operators: the native one on arrays, torch's on tensors.

Both answer the same `Call` in the same form, so that what runs is a matter of device and dtype.
"""

# R rows with padding, B sequences, D inputs, H hidden units

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from birnn.kernels import isa, recurrent
from birnn.kernels.layout import Layout
from birnn.kernels.recurrent import Array, Keep
from birnn.kernels.recurrent import Weights as WeightArrays
from birnn.nn import stretches
from birnn.nn.layout import TensorLayout
from birnn.nn.stretches import Schedule, Weights
from birnn.reference.stack import CellName

DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


def autocasts(device: str) -> bool:
    """Whether autocast is on for this kind of device; some kinds know of none."""
    return (
        torch._C._is_any_autocast_enabled()
        and torch.amp.is_autocast_available(device)
        and torch.is_autocast_enabled(device)
    )


# Torch's threads go round waiting after each of its operators, on the processors that threads of
# our own would need: here the kernels run on torch's.
_native = isa.native_module()
if _native is not None:
    _native.share_openmp_threads()


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

    @property
    def native(self) -> bool:
        """Whether the native engine runs it."""
        # Three or five tensors of a direction: the last is a projection.
        plain = len(self.weights) // self.directions in (2, 4)
        here = self.x.dtype in DTYPES and self.x.device.type == "cpu"
        return plain and here and isa.in_use() is not None

    @property
    def saved_size(self) -> int:
        """Elements that are kept at most: padding keeps none, but shapes do not tell it."""
        if not self.native:
            return 0
        hidden, dtype = self.weights[1].shape[1], DTYPES[self.x.dtype]
        each = recurrent.saved_size(self.cell, 1, hidden, self.directions, dtype, self.keep)
        return self.rows * each


class Answer(NamedTuple):
    """What the layer gives: output (..., directions * H), final states, and what was kept."""

    output: Tensor
    h: Tensor
    c: Tensor  # empty for a cell without
    saved: Tensor  # empty where nothing was kept


def forward(call: Call, host: Layout | None, *, keep: bool, sized: bool = False) -> Answer:
    """Run the layer.

    Args:
        call: What it is called with.
        host: Its layout where that is known already.
        keep: Whether a backward pass is to follow.
        sized: Whether what is kept takes the size that the shapes tell, padding included, and not
            only what the lengths ask for.
    """
    nothing = call.x.new_empty  # of 0 elements, and never twice the same
    if not call.native:
        output, (h, *c) = on_torch(call)
        return Answer(output, h, c[0] if c else nothing(0), nothing(0))
    found = recurrent.forward(
        call.cell,
        *_arrays(call, host),
        keep=call.keep if keep else "nothing",
        saved_rows=call.rows if sized else None,
        threads=torch.get_num_threads(),
    )
    saved = nothing(0) if found.saved is None else torch.from_numpy(found.saved)
    h, *c = map(torch.from_numpy, found.final)
    output = torch.from_numpy(found.output.reshape(*call.x.shape[:-1], found.output.shape[1]))
    return Answer(output, h, c[0] if c else nothing(0), saved)


def backward(
    call: Call,
    host: Layout | None,
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
        host: Its layout where that is known already.
        output: What it gave; None where everything was kept.
        saved: What it kept.
        d_outputs: Gradients with respect to the output, h and c; None for zeros.
        wants_x: Whether x's gradient is asked for; else it is empty.
        wants_weights: Whether the weights' are; else they are empty.
    """
    if not call.native:
        detached = (part.detach() for part in (call.x, *call.weights, *call.initial))
        asked = [wants_x, *[wants_weights] * len(call.weights), *[True] * len(call.initial)]
        inputs = [part.requires_grad_(wants) for part, wants in zip(detached, asked, strict=True)]
        return [d.contiguous() for d in gradients_on_torch(call, inputs, d_outputs)]
    d_output, *d_final = (None if d is None else _array(d) for d in d_outputs)
    if d_output is not None:
        d_output = _flat(d_output)
    found = recurrent.backward(
        call.cell,
        *_arrays(call, host),
        output=None if output is None else _flat(_array(output)),
        saved=_array(saved),
        keep=call.keep,
        d_output=d_output,
        d_final=d_final if call.cell == "lstm" else d_final[:1],
        wants_x=wants_x,
        wants_weights=wants_weights,
        threads=torch.get_num_threads(),
    )
    nothing = call.x.new_empty
    d_weights = [part for own in found.weights for part in own if part is not None]
    given = len(call.weights)
    return [
        nothing(0) if found.x is None else torch.from_numpy(found.x.reshape(call.x.shape)),
        *(map(torch.from_numpy, d_weights) if wants_weights else map(nothing, [0] * given)),
        *(map(torch.from_numpy, found.initial) if call.initial else ()),
    ]


# ---------------------------------------------------------------------- tensors as arrays


def _array(tensor: Tensor) -> Array:
    return (tensor.detach() if tensor.requires_grad else tensor).numpy()


def _flat(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])


def _arrays(
    call: Call, host: Layout | None
) -> tuple[Array, Layout, list[WeightArrays], tuple[Array, ...] | None]:
    """Rows, layout, weights and initial states."""
    if host is None:
        host = TensorLayout(call.lengths, call.starts, call.steps).host(call.rows)
    parts = [_array(part) for part in call.weights]
    weights: list[WeightArrays]
    if len(parts) == 4 * call.directions:
        weights = list(zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True))
    else:
        weights = [(ih, hh, None, None) for ih, hh in zip(parts[::2], parts[1::2], strict=True)]
    return _flat(_array(call.x)), host, weights, tuple(map(_array, call.initial)) or None


# ---------------------------------------------------------------------- torch's engine


def on_torch(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output and final states by torch's engine, in x's dtype, autocast or not."""
    layout = TensorLayout(call.lengths, call.starts, call.steps)
    each = len(call.weights) // call.directions
    own: list[Weights] = [call.weights[i : i + each] for i in range(0, len(call.weights), each)]
    schedule = Schedule.of(layout, call.x.device)
    device = call.x.device.type
    plain = torch.autocast(device, enabled=False) if autocasts(device) else nullcontext()
    with plain:
        output, final = stretches.run(call.cell, call.x.flatten(0, -2), schedule, own, call.initial)
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
