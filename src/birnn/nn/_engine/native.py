"""A recurrent layer on the native engine: torch's tensors in and out of the compiled module."""

# R rows with padding, B sequences, H hidden units

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.engine import isa
from birnn.engine.arrays import RowLayout, pooled_empty
from birnn.engine.packed_weights import CELL_NUMBERS
from birnn.engine.recurrent import KEEP_NUMBERS, out_of_memory
from birnn.nn._engine.call import NATIVE_DTYPES, Call, LayerResult
from birnn.nn._engine.private_torch import READS_TENSORS
from birnn.nn.threads import layer_threads


def forward(
    call: Call, layout: RowLayout, *, keep: bool, sized_by_shapes: bool = False
) -> LayerResult:
    """Run a layer.

    Args:
        call: What it is called with.
        layout: Where its rows stand.
        keep: Whether a backward pass is to follow.
        sized_by_shapes: Whether what is kept takes the size that the shapes tell, padding
            included, as a graph needs it, and not only what the lengths ask for.

    Raises:
        ValueError: A tensor that does not fit.
        MemoryError: There is not enough memory.
    """
    native, lstm = isa.native_module(), call.cell == "lstm"
    assert native is not None  # what decided for it has selected its engine
    try:
        x, dtype, hidden = (
            call.x.contiguous(),
            NATIVE_DTYPES[call.x.dtype],
            call.weights[1].shape[1],
        )
        output = _empty((*x.shape[:-1], call.directions * hidden), dtype)
        shape = (call.directions, layout.lengths.shape[0], hidden)
        h, c = _empty(shape, dtype), _empty(shape if lstm else (0,), dtype)
        saved = _empty_saved(call, layout, sized_by_shapes=sized_by_shapes) if keep else None
        h0, c0, *_ = (*call.initial, None, None)
        arguments = (
            CELL_NUMBERS[call.cell],
            x,
            layout.plan,
            None,
            _with_absent_biases(call.weights, call.directions),
            None,
            h0,
            c0,
            KEEP_NUMBERS[call.keep if keep else "nothing"],
            output,
            h,
            c if lstm else None,
            saved,
            *layer_threads(),
        )
        native.layer_forward(*(arguments if READS_TENSORS else _as_arrays(arguments)))
    except MemoryError as error:
        raise out_of_memory(call.cell, layout) from error
    return LayerResult(output, h, c, saved)


def backward(
    call: Call,
    layout: RowLayout,
    output: Tensor | None,
    saved: Tensor,
    d_outputs: Sequence[Tensor | None],
    *,
    wants_x: bool,
    wants_weights: bool,
) -> list[Tensor | None]:
    """Gradients with respect to x, each of the weights and each of the initial states.

    Args:
        call: What `forward` was called with.
        layout: Where its rows stand.
        output: What it gave; None where everything was kept.
        saved: What it kept.
        d_outputs: Gradients with respect to the output, h and c; None for zeros.
        wants_x: Whether x's gradient is asked for; else it is None.
        wants_weights: Whether the weights' are; else they are None.
    """
    native = isa.require_native()
    try:
        x, weights, dtype = call.x.contiguous(), call.weights, NATIVE_DTYPES[call.x.dtype]
        d_output, d_h, d_c = (
            None if d is None else d.resolve_neg().contiguous() for d in d_outputs
        )
        d_x = _empty(x.shape, dtype) if wants_x else None
        d_weights = [_empty(part.shape, dtype) for part in weights] if wants_weights else []
        shape = (call.directions, layout.lengths.shape[0], weights[1].shape[1])
        d_initial = [_empty(shape, dtype) for _ in call.initial]
        h0, c0, *_ = (*call.initial, None, None)
        d_h0, d_c0, *_ = (*d_initial, None, None)
        arguments = (
            CELL_NUMBERS[call.cell],
            x,
            layout.plan,
            _with_absent_biases(weights, call.directions),
            h0,
            c0,
            output,
            saved,
            KEEP_NUMBERS[call.keep],
            d_output,
            d_h,
            d_c if call.cell == "lstm" else None,
            d_x,
            _with_absent_biases(d_weights, call.directions),
            d_h0,
            d_c0,
            *layer_threads(),
        )
        native.layer_backward(*(arguments if READS_TENSORS else _as_arrays(arguments)))
    except MemoryError as error:
        raise out_of_memory(call.cell, layout) from error
    return [d_x, *(d_weights if wants_weights else [None] * len(weights)), *d_initial]


def _empty(shape: Sequence[int], dtype: np.dtype[Any]) -> Tensor:
    # Torch's own memory is aligned by asking for more: freed, it does not fit the next request of
    # the same size, and the heap of a process that trains grows by a third.
    return torch.from_numpy(np.empty(shape, dtype))


def _empty_saved(call: Call, layout: RowLayout, *, sized_by_shapes: bool) -> Tensor:
    """Memory for what a backward pass needs."""
    size = call.saved_size(layout.plan.places)
    count = max(size, call.largest_saved_size) if sized_by_shapes else size
    saved = torch.from_numpy(pooled_empty(isa.require_native(), count, NATIVE_DTYPES[call.x.dtype]))
    if sized_by_shapes:
        saved[size:] = 0  # what no row fills is the same in every run
    return saved


def _with_absent_biases(parts: Sequence[Tensor], directions: int) -> Sequence[Tensor | None]:
    """Weights or their gradients, four a direction: None for each bias that there is not."""
    if len(parts) in (0, 4 * directions):
        return parts
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [part for ih, hh in pairs for part in (ih, hh, None, None)]


def _as_arrays(arguments: Any) -> Any:
    """Arguments of a kernel for a torch whose tensors it cannot read: arrays in their place."""
    if isinstance(arguments, Tensor):
        return arguments.detach().numpy()
    inside = isinstance(arguments, list | tuple)
    return [_as_arrays(part) for part in arguments] if inside else arguments
