"""The recurrent layer as operators of torch, and the one decision what runs it.

```
run_layer                  the layer: the native engine, an operator, or torch's kernels
birnn::recurrent           the layer; autograd makes it the next one where gradients are wanted
birnn::recurrent_keep      the layer, and what its backward pass needs
birnn::recurrent_backward  the gradients
```

A graph of ``torch.compile`` or ``torch.export`` holds the operators as they are. Lengths are a
tensor to it, so that one graph serves every batch of a shape. On what the native engine does not
run (other devices, other dtypes) they run torch's kernels, so they answer everywhere. Where no
graph is made, the call goes past torch's dispatcher, whose way there and back takes longer than a
small batch.
"""

# R rows with padding, B sequences, D inputs, H hidden units

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.library import Library, register_fake

from birnn.engine import isa
from birnn.engine.arrays import RowLayout
from birnn.engine.recurrent import Keep
from birnn.nn._engine import native, segments
from birnn.nn._engine.call import (
    SUPPORTED_WEIGHT_COUNTS,
    Call,
    LayerResult,
    WeightTensors,
    has_kernels,
)
from birnn.nn._engine.low_precision import LayerWeights, LowPrecisionLayer, run_low_precision
from birnn.nn._engine.private_torch import (
    autocasts,
    below_autograd,
    is_mapped,
    modes_active,
    needs_dispatcher,
    transforms_active,
)
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.reference.stack import GATES, CellName

P = ParamSpec("P")
R = TypeVar("R")
NO_VMAP = (
    "the recurrent layers have no rule for torch.vmap. Make the mapped axis a part of the batch, "
    "or loop over it."
)


def runs_on(rows: Tensor, dtype: torch.dtype) -> Literal["graph", "native", "torch"]:
    """What runs rows with weights of this dtype: for every layer and the CRF decided here.

    ``graph``: an operator, in a graph that is being made; which kernels it runs is found out when
    the graph runs. ``native``: the compiled kernels. ``torch``: torch's own.
    """
    if torch.compiler.is_compiling():
        return "graph"
    # Transforms of torch.func and forward mode look into torch's own operators, not into ours.
    if has_kernels(rows, dtype) and isa.selected_engine() is not None and not transforms_active():
        return "native"
    return "torch"


def may_run_native(rows: Tensor, dtype: torch.dtype) -> bool:
    """Whether the native engine takes rows with weights of this dtype, in a graph or at once."""
    return runs_on(rows, dtype) != "torch" and has_kernels(rows, dtype)


def run_layer(
    cell: CellName,
    rows: Tensor,
    layout: TensorLayout,
    weights: LayerWeights,
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
            ``bias_ih``, ``bias_hh`` or neither; or of low precision, in which it then runs.
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
        UsageError: In low precision, in a graph or under a transform of torch.

    Example:
        >>> weights = (torch.zeros(4, 3), torch.zeros(4, 1))
        >>> layout = TensorLayout.padded(1, 2)
        >>> output, (h, c) = run_layer("lstm", torch.ones(2, 3), layout, [weights])
        >>> tuple(output.shape), tuple(h.shape)
        ((2, 1), (1, 1, 1))
    """
    if isinstance(weights, LowPrecisionLayer):
        if autocasts(rows):
            rows, *initial = (part.float() for part in (rows, *initial))
        return run_low_precision(weights, rows, layout, initial)
    dtype = weights[0][0].dtype
    kernels = runs_on(rows, dtype)
    if kernels != "torch" and autocasts(rows):
        # The kernels have one dtype for all: the weights' is the one that loses nothing.
        rows, *initial = (part.to(dtype) for part in (rows, *initial))
    flat = [part for own in weights for part in own]
    call = Call(cell, rows, *layout.parts, flat, list(initial), len(weights), keep)
    if kernels == "torch":
        batch = segments.SegmentedBatch.of(layout, rows.device)
        return without_vmap(segments.run, call, batch)
    found: tuple[Tensor, ...]
    supported = len(weights[0]) in SUPPORTED_WEIGHT_COUNTS
    if kernels == "graph" or not supported or needs_dispatcher(call.differentiable):
        found = _RECURRENT(*call)
        return found[0], found[1:3] if cell == "lstm" else found[1:2]
    host = layout.row_layout(rows.shape[:-1].numel())
    if call.wants_gradients:
        found = _Recurrent.apply(call, host, *call.differentiable)  # type: ignore[no-untyped-call]
    else:
        found = native.forward(call, host, keep=False)[:3]
    return found[0], found[1:3] if cell == "lstm" else found[1:2]


def parameters_of(module: nn.Module, names: Sequence[Sequence[str]]) -> list[WeightTensors]:
    """Parameters of a module by lists of their names, wherever the module has them now."""
    own = module._parameters
    # Past nn.Module's __getattr__, which takes longer. Not there where they are made of others.
    return [
        [own[name] if name in own else getattr(module, name) for name in some]  # type: ignore[misc]
        for some in names
    ]


def run_stack(
    cell: CellName,
    rows: Tensor,
    layout: TensorLayout,
    weights: Sequence[LayerWeights],
    initial: Sequence[Tensor],
    *,
    keep: Sequence[Keep],
    read: Callable[[Tensor], Tensor] | None = None,
    write: Callable[[int, Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Run layers on top of each other.

    Args:
        cell: Which cell.
        rows: Rows of the batch, as for `run_layer`.
        layout: Where the rows of each sequence stand.
        weights: Parameters of each layer, as for `run_layer`.
        initial: States of all layers and directions, (S, B, H) each; nothing for zeros.
        keep: What each layer keeps for the backward pass.
        read: What each layer but the first reads of the rows below it.
        write: Of a layer, the rows that it read and its hidden states, the rows that it gives.

    Returns:
        Rows of the last layer, and the final states of all, (S, B, H) each.
    """
    finals = []
    first = 0
    for layer, own in enumerate(weights):
        if layer and read is not None:
            rows = read(rows)
        states = [part[first : first + len(own)] for part in initial]
        first += len(own)
        hidden, final = run_layer(cell, rows, layout, own, states, keep=keep[layer])
        finals.append(final)
        rows = hidden if write is None else write(layer, rows, hidden)
    ended = [
        parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*finals, strict=True)
    ]
    return rows, ended


def without_vmap(run: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
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
    return _forward(_checked(arguments), keep=False)[:3]


def _run_keep(*arguments: Any) -> tuple[Tensor | None, ...]:
    return _forward(_checked(arguments), keep=True)


def _forward(call: Call, *, keep: bool) -> LayerResult:
    if call.runs_native:
        # In a graph every size has to follow from the shapes.
        return native.forward(call, call.row_layout, keep=keep, sized_by_shapes=True)
    output, (h, *c) = segments.run_in_own_dtype(call)
    nothing = call.x.new_empty  # of 0 elements, and never twice the same
    return LayerResult(output, h, c[0] if c else nothing(0), nothing(0) if keep else None)


def _run_backward(*arguments: Any) -> list[Tensor]:
    call, (output, saved, *d_outputs, wants_x, wants_weights) = _split(arguments)
    if call.runs_native:
        wants = {"wants_x": wants_x, "wants_weights": wants_weights}
        found = native.backward(call, call.row_layout, output, saved, d_outputs, **wants)
        return [call.x.new_empty(0) if part is None else part for part in found]
    wanted = [wants_x, *[wants_weights] * len(call.weights), *[True] * len(call.initial)]
    inputs = [
        part.detach().requires_grad_(wants)
        for part, wants in zip(call.differentiable, wanted, strict=True)
    ]
    return [d.contiguous() for d in segments.gradients(call.replaced(inputs), d_outputs)]


def _checked(arguments: Sequence[Any]) -> Call:
    call = Call(*arguments)
    call.check()
    return call


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
    return *_shapes(*arguments), call.x.new_empty(call.largest_saved_size)


def _shapes_backward(*arguments: Any) -> list[Tensor]:
    call, (*_, wants_x, wants_weights) = _split(arguments)
    wanted = [wants_x, *[wants_weights] * len(call.weights), *[True] * len(call.initial)]
    return [
        part.new_empty(part.shape if wants else 0)
        for part, wants in zip(call.differentiable, wanted, strict=True)
    ]


# ---------------------------------------------------------------------- autograd


class _Recurrent(torch.autograd.Function):
    """The layer, with its gradients by the engine that ran it.

    It is applied to a call, to where its rows stand (None inside of torch's dispatcher), and to
    the tensors that autograd is to know of: those of the call that have gradients, and before them
    those of the layout inside of the dispatcher, where a graph has to know of them.
    """

    @staticmethod
    def forward(
        ctx: Any, call: Call, host: RowLayout | None, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        if host is None:
            output, h, c, saved = _RECURRENT_KEEP(*call)
        else:
            output, h, c, saved = native.forward(call, host, keep=True)
        # What is returned may be changed, and what is saved must not be.
        ctx.save_for_backward(None if call.keep == "everything" else output, saved, *tensors)
        # Autograd guards and frees the tensors that it knows; the context has all but them.
        absent: Any = None
        call = call.replaced([absent] * len(call.differentiable))
        if host is None:
            call = call._replace(lengths=absent, starts=absent, steps=absent)
        ctx.call, ctx.host = call, host
        ctx.set_materialize_grads(False)
        return output, h, c

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        output, saved, *tensors = ctx.saved_tensors
        call, host = ctx.call, ctx.host
        before = 2
        if host is None:
            lengths, starts, steps, *tensors = tensors
            call, before = call._replace(lengths=lengths, starts=starts, steps=steps), 5
        call = call.replaced(tensors)
        wanted = ctx.needs_input_grad[before:]
        again = torch.is_grad_enabled()
        found: Sequence[Tensor | None]
        if again or any(d is not None and is_mapped(d) for d in d_outputs):
            # Gradients of these gradients may be asked for, or many at a time: torch's operators
            # have both. Views, so that none passes through one input to another it was made of.
            inputs = [
                part.view_as(part) if again else part.detach().requires_grad_(wants)
                for part, wants in zip(tensors, wanted, strict=True)
            ]
            found = segments.gradients(call.replaced(inputs), d_outputs, create_graph=again)
        else:
            wants = {"wants_x": wanted[0], "wants_weights": any(wanted[1 : 1 + len(call.weights)])}
            if host is None or modes_active():
                found = _RECURRENT_BACKWARD(*call, output, saved, *d_outputs, **wants)
            else:
                found = native.backward(call, host, output, saved, d_outputs, **wants)
        d_parts = [d if wants else None for d, wants in zip(found, wanted, strict=True)]
        return *[None] * before, *d_parts


def _autograd(*arguments: Any) -> tuple[Tensor, ...]:
    call = Call(*arguments)
    found: tuple[Tensor, ...]
    if call.wants_gradients:
        tensors = (*call.layout.parts, *call.differentiable)
        found = _Recurrent.apply(call, None, *tensors)  # type: ignore[no-untyped-call]
        return found
    with below_autograd():
        found = _RECURRENT(*call)
    return found


for _name, _implementation, _fake in (
    ("recurrent", _run, _shapes),
    ("recurrent_keep", _run_keep, _shapes_keep),
    ("recurrent_backward", _run_backward, _shapes_backward),
):
    _LIBRARY.impl(_name, _implementation, "CompositeExplicitAutograd")
    _LIBRARY.impl(_name, _refuse_vmap, "FuncTorchBatched")
    register_fake(f"birnn::{_name}", _fake, lib=_LIBRARY)
_LIBRARY.impl("recurrent", _autograd, "Autograd")
