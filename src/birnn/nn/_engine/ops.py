"""The recurrent layer as operators of torch, and the door to them.

```
layer                      the door: the native engine or torch's, by the same call
birnn::recurrent           the layer; autograd makes it the next one where gradients are wanted
birnn::recurrent_keep      the layer, and what its backward pass needs
birnn::recurrent_backward  the gradients
```

A graph of ``torch.compile`` or ``torch.export`` holds the operators as they are. Lengths are a
tensor to it, so that one graph serves every batch of a shape. On what the native engine does not
run (other devices, other dtypes) they run torch's, so they answer everywhere. Where nothing looks
on, the door goes past torch's dispatcher, whose way there and back takes longer than a small batch.
"""

# R rows with padding, B sequences, D inputs, H hidden units

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.library import Library, register_fake

from birnn.engine import isa
from birnn.engine.arrays import RowLayout
from birnn.engine.recurrent import Keep
from birnn.nn._engine import native as engines
from birnn.nn._engine import segments as stretches
from birnn.nn._engine.native import DTYPES, PLAIN_WEIGHTS, Call, autocasts, transformed
from birnn.nn._engine.segments import Schedule, Weights
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.reference.stack import GATES, CellName

P = ParamSpec("P")
R = TypeVar("R")
PLAIN = {Tensor, torch.nn.Parameter}
NO_VMAP = (
    "the recurrent layers have no rule for torch.vmap. Make the mapped axis a part of the batch, "
    "or loop over it."
)


def layer(
    cell: CellName,
    rows: Tensor,
    layout: TensorLayout,
    weights: Sequence[Weights],
    initial: Sequence[Tensor] = (),
    *,
    keep: Keep = "gates",
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one layer in one or two directions.

    Args:
        cell: Which cell.
        rows: Rows of the batch, (R, D), or on more than one axis, such as (B, T, D).
        layout: Where the rows of each sequence stand.
        weights: Parameters of each direction in torch's layout: ``weight_ih``, ``weight_hh``, and
            ``bias_ih``, ``bias_hh`` or neither.
        initial: State before the first step: (h,) or, for the LSTM, (h, c), each
            (directions, B, H); nothing for zeros.
        keep: What the native engine keeps for the backward pass: ``gates``; ``states`` alone, and
            computes the gates again; or ``everything``, and the output may be changed in place.

    Returns:
        Hidden states after each row, (..., directions * H), the forward half first, zeros in
        padding; and the final states, (directions, B, H) each.

    Raises:
        LengthError: A length that the rows cannot have.
        RuntimeError: Under ``torch.vmap``.

    Example:
        >>> weights = (torch.zeros(4, 3), torch.zeros(4, 1))
        >>> output, (h, c) = layer("lstm", torch.ones(2, 3), TensorLayout.padded(1, 2), [weights])
        >>> tuple(output.shape), tuple(h.shape)
        ((2, 1), (1, 1, 1))
    """
    dtype = weights[0][0].dtype
    if runs_on_operators(rows, dtype):
        if autocasts(rows):
            # The kernels have one dtype for all: the weights' is the one that loses nothing.
            rows, *initial = (part.to(dtype) for part in (rows, *initial))
        flat = [part for own in weights for part in own]
        call = Call(cell, rows, *layout.parts, flat, list(initial), len(weights), keep)
        if watched(call) or len(weights[0]) not in PLAIN_WEIGHTS:
            output, h, c = _RECURRENT(*call)
        else:
            output, h, c = _differentiate(call, layout.host(call.rows))
        return output, (h, c) if cell == "lstm" else (h,)
    schedule = Schedule.of(layout, rows.device)
    on_one_axis = rows.flatten(0, -2)
    output, final = on_torch(stretches.run, cell, on_one_axis, schedule, weights, initial)
    return output.view(*rows.shape[:-1], output.shape[1]), final


def on_torch(run: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """Call what runs torch's layers; where they lack a rule for vmap, name the remedy.

    Raises:
        RuntimeError: Under ``torch.vmap``.
    """
    try:
        return run(*arguments, **options)
    except RuntimeError as error:
        if "Batching rule not implemented" in str(error):
            raise RuntimeError(NO_VMAP) from error
        raise


def runs_on_operators(rows: Tensor, dtype: torch.dtype) -> bool:
    """Whether these rows go to the operators: to the native engine, or into a graph."""
    return torch.compiler.is_compiling() or runs_native(rows, dtype)


def runs_native(rows: Tensor, dtype: torch.dtype) -> bool:
    """Whether the native engine takes these rows with weights of this dtype."""
    if dtype not in DTYPES or not rows.is_cpu:
        return False
    if torch.compiler.is_compiling():
        return True  # what runs is found out when the graph does
    # Transforms of torch.func and forward mode look into torch's own operators, not into ours.
    return isa.selected_engine() is not None and not transformed()


def is_mapped(tensor: Tensor) -> bool:
    """Whether vmap has hidden an axis of the tensor."""
    inside = torch._C._functorch
    return inside.is_batchedtensor(tensor) or inside.is_legacy_batchedtensor(tensor)


def watched(call: Call) -> bool:
    """Whether the dispatcher is to see the call: a tracer, a mode, a class, a lazy sign."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or not PLAIN.issuperset(map(type, call.differentiable))
        or True in map(Tensor.is_neg, call.differentiable)
    )


# ---------------------------------------------------------------------- the operators

_LIBRARY: Any = Library("birnn", "FRAGMENT")  # type: ignore[no-untyped-call]
_CALL = (
    "str cell, Tensor x, Tensor lengths, Tensor starts, Tensor steps, Tensor[] weights, "
    "Tensor[] initial, int directions, str keep"
)
_GRADIENTS = (
    "Tensor? output, Tensor saved, Tensor? d_output, Tensor? d_h, Tensor? d_c, "
    "bool wants_x, bool wants_weights"
)
_LIBRARY.define(f"recurrent({_CALL}) -> (Tensor, Tensor, Tensor)")
_LIBRARY.define(f"recurrent_keep({_CALL}) -> (Tensor, Tensor, Tensor, Tensor)")
_LIBRARY.define(f"recurrent_backward({_CALL}, {_GRADIENTS}) -> Tensor[]")
_RECURRENT = torch.ops.birnn.recurrent.default
_RECURRENT_KEEP = torch.ops.birnn.recurrent_keep.default
_RECURRENT_BACKWARD = torch.ops.birnn.recurrent_backward.default


def _run(*arguments: Any) -> tuple[Tensor, ...]:
    return engines.forward(_checked(arguments), keep=False)[:3]


def _run_keep(*arguments: Any) -> tuple[Tensor | None, ...]:
    # In a graph every size has to follow from the shapes.
    return engines.forward(_checked(arguments), keep=True, sized=True)


def _checked(arguments: Sequence[Any]) -> Call:
    call = Call(*arguments)
    call.check()
    return call


def _run_backward(*arguments: Any) -> list[Tensor]:
    call, (output, saved, *d_outputs, wants_x, wants_weights) = _split(arguments)
    return engines.backward(
        call, output, saved, d_outputs, wants_x=wants_x, wants_weights=wants_weights
    )


def _split(arguments: tuple[Any, ...]) -> tuple[Call, tuple[Any, ...]]:
    count = len(Call._fields)
    return _checked(arguments[:count]), arguments[count:]


def _refuse_vmap(*_: Any) -> Any:
    raise RuntimeError(NO_VMAP)


# ---------------------------------------------------------------------- shapes alone


def _shapes(*arguments: Any) -> tuple[Tensor, ...]:
    call = _checked(arguments)
    # With a projection, h is narrower than c.
    sequences, hidden = call.lengths.shape[0], call.weights[1].shape[1]
    cells = call.weights[0].shape[0] // GATES[call.cell]
    new = call.x.new_empty
    return (
        new(*call.x.shape[:-1], call.directions * hidden),
        new(call.directions, sequences, hidden),
        new(call.directions, sequences, cells) if call.cell == "lstm" else new(0),
    )


def _shapes_keep(*arguments: Any) -> tuple[Tensor, ...]:
    call = Call(*arguments)
    return *_shapes(*arguments), call.x.new_empty(call.saved_size)


def _shapes_backward(*arguments: Any) -> list[Tensor]:
    call, (*_, wants_x, wants_weights) = _split(arguments)
    wanted = [wants_x, *[wants_weights] * len(call.weights), *[True] * len(call.initial)]
    return [
        part.new_empty(part.shape if wants else 0)
        for part, wants in zip(call.differentiable, wanted, strict=True)
    ]


# ---------------------------------------------------------------------- autograd


class _Recurrent(torch.autograd.Function):
    """The layer, with its gradients by the engine that ran it."""

    @staticmethod
    def forward(ctx: Any, settings: Settings, *tensors: Tensor) -> tuple[Tensor, ...]:
        call = settings.call(tensors)
        if settings.host is not None:
            output, h, c, saved = engines.forward_native(call, settings.host, keep=True)
        else:
            output, h, c, saved = _RECURRENT_KEEP(*call)
        # What is returned may be changed, and what is saved must not be.
        needs_output = call.keep != "everything"
        ctx.save_for_backward(output if needs_output else None, saved, *tensors)
        ctx.settings = settings
        ctx.set_materialize_grads(False)
        return output, h, c

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        settings: Settings = ctx.settings
        output, saved, *tensors = ctx.saved_tensors
        call = settings.call(tensors)
        before = 1 + settings.first
        wanted = ctx.needs_input_grad[before:]
        again = torch.is_grad_enabled()
        found: Sequence[Tensor | None]
        if again or any(d is not None and is_mapped(d) for d in d_outputs):
            # Gradients of these gradients may be asked for, or many at a time: torch's operators
            # have both. Views, so that none passes through one input to another it was made of.
            inputs = [
                part.view_as(part) if again else part.detach().requires_grad_(wants)
                for part, wants in zip(call.differentiable, wanted, strict=True)
            ]
            found = engines.gradients_on_torch(call, inputs, d_outputs, create_graph=again)
        else:
            wants = {"wants_x": wanted[0], "wants_weights": any(wanted[1 : 1 + len(call.weights)])}
            if settings.host is None or torch._C._len_torch_dispatch_stack() > 0:
                found = _RECURRENT_BACKWARD(*call, output, saved, *d_outputs, **wants)
            else:
                found = engines.backward_native(
                    call, settings.host, output, saved, d_outputs, **wants
                )
        d_parts = [d if wants else None for d, wants in zip(found, wanted, strict=True)]
        return *[None] * before, *d_parts


class Settings(NamedTuple):
    """A call but for the tensors that autograd keeps and guards."""

    cell: CellName
    weights: int
    directions: int
    keep: Keep
    layout: tuple[Tensor, ...]  # lengths, starts and steps, where autograd does not keep them
    host: RowLayout | None  # where the call goes past the dispatcher

    @property
    def first(self) -> int:
        """How many tensors autograd keeps before x."""
        return 3 - len(self.layout)

    def call(self, tensors: Sequence[Tensor]) -> Call:
        """The call with its tensors: of the layout where it has none, x, weights, states."""
        lengths, starts, steps, x, *rest = (*self.layout, *tensors)
        own = rest[: self.weights], rest[self.weights :]
        return Call(self.cell, x, lengths, starts, steps, *own, self.directions, self.keep)


def _differentiate(call: Call, host: RowLayout | None) -> tuple[Tensor, ...]:
    """The layer, with gradients where they are wanted; past the dispatcher with ``host``."""
    found: tuple[Tensor, ...]
    parts = call.differentiable
    if torch.is_grad_enabled() and any(part.requires_grad for part in parts):
        layout = (call.lengths, call.starts, call.steps)
        # A graph has to know of the layout's tensors. Else they are nobody's but ours.
        ours, kept = ((), layout) if host is None else (layout, ())
        settings = Settings(call.cell, len(call.weights), call.directions, call.keep, ours, host)
        found = _Recurrent.apply(settings, *kept, *parts)  # type: ignore[no-untyped-call]
        return found
    if host is not None:
        return engines.forward_native(call, host, keep=False)[:3]
    with torch._C._AutoDispatchBelowAutograd():
        found = _RECURRENT(*call)
    return found


def _autograd(*call: Any) -> tuple[Tensor, ...]:
    return _differentiate(Call(*call), None)


for _name, _implementation, _fake in (
    ("recurrent", _run, _shapes),
    ("recurrent_keep", _run_keep, _shapes_keep),
    ("recurrent_backward", _run_backward, _shapes_backward),
):
    _LIBRARY.impl(_name, _implementation, "CompositeExplicitAutograd")
    _LIBRARY.impl(_name, _refuse_vmap, "FuncTorchBatched")
    register_fake(f"birnn::{_name}", _fake, lib=_LIBRARY)
_LIBRARY.impl("recurrent", _autograd, "Autograd")
