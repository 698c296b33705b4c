"""Linear layers on the native engine: each row has the same bits whatever stands beside it.

torch's products choose their blocks by the number of rows, and with them the order of their sums.
Here outputs and the gradients of rows do not hang on the batch; they run on the threads of the
recurrent layers.
"""

# N rows, I inputs, O outputs

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from birnn.engine import isa
from birnn.engine.arrays import aligned_empty
from birnn.nn._engine.ops import runs_on
from birnn.nn._engine.private_torch import autocasts, needs_dispatcher
from birnn.nn.threads import layer_threads


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``rows weight^T + bias``.

    Args:
        rows: (N, I).
        weight: (O, I).
        bias: (O,); None for none.

    Returns:
        (N, O), on the native engine where it runs rows of this dtype, else as torch does it.

    Example:
        >>> linear(torch.ones(2, 3), torch.ones(1, 3), torch.tensor([0.5])).tolist()
        [[3.5], [3.5]]
    """
    parts = (rows, weight) if bias is None else (rows, weight, bias)
    if (
        runs_on(rows, weight.dtype) != "native"
        or autocasts(rows)
        or rows.dtype != weight.dtype
        or needs_dispatcher(parts)
    ):
        return functional.linear(rows, weight, bias)
    if torch.is_grad_enabled() and any(part.requires_grad for part in parts):
        found: Tensor = _Linear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
        return found
    return _product(rows, weight, bias)


class _Linear(torch.autograd.Function):
    """`linear` with its gradients."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        # Gradients of these gradients may be asked for, and torch's product has them.
        product = functional.linear if torch.is_grad_enabled() else _product
        wants_rows, wants_weight, wants_bias = ctx.needs_input_grad
        return (
            product(d, weight.T) if wants_rows else None,
            # A sum over the whole batch, whose order is nobody's own.
            d.T @ rows if wants_weight else None,
            d.sum(dim=0) if wants_bias else None,
        )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``rows weight^T + bias`` by the compiled kernel."""
    native = isa.native_module()
    assert native is not None  # what decided for it has selected its engine
    x_NI, weight_OI = _array(rows), _array(weight)
    (count, inputs), outputs = x_NI.shape, weight_OI.shape[0]
    wide = x_NI.dtype == np.float64
    if not inputs:
        return functional.linear(rows, weight, bias)
    packed = aligned_empty(native.linear_bytes(inputs, outputs, wide), np.dtype(np.uint8))
    native.linear_pack(weight_OI, packed)
    y_NO = np.empty((count, outputs), x_NI.dtype)
    native.linear(
        x_NI, packed, None if bias is None else _array(bias), y_NO, layer_threads().threads
    )
    return torch.from_numpy(y_NO)


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    return tensor.detach().contiguous().numpy()
