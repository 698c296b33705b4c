"""What torch tells of its state through private functions alone: all of their uses, in one file.

Tracers, modes and transforms look into torch's own operators. Whether one of them is at work
decides whether a call may go past torch's dispatcher, and whether the native engine may run it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

READS_TENSORS = hasattr(Tensor, "__dlpack_c_exchange_api__")
"""Whether the compiled module reads tensors as they are: from torch 2.10 on."""

PLAIN_CLASSES = {Tensor, torch.nn.Parameter}


def autocasts(tensor: Tensor) -> bool:
    """Whether autocast is on for tensors of this device; some kinds of device know of none."""
    if not torch._C._is_any_autocast_enabled():
        return False
    device = tensor.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def without_autocast(tensor: Tensor) -> AbstractContextManager[Any]:
    """Within it every operation on this device runs in the dtypes that it is given."""
    return torch.autocast(tensor.device.type, enabled=False) if autocasts(tensor) else nullcontext()


def transforms_active() -> bool:
    """Whether a transform of torch.func or forward mode is at work, as nested as may be."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def without_transforms() -> AbstractContextManager[Any]:
    """Within it the data of tensors is there, which transforms of torch.func hide."""
    return torch._C._DisableFuncTorch()


def modes_active() -> bool:
    """Whether a mode, such as that of fake tensors, is to see every operator."""
    return torch._C._len_torch_dispatch_stack() > 0


def being_traced() -> bool:
    """Whether a graph is being made, or a mode is to see every operator."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
    )


def needs_dispatcher(tensors: tuple[Tensor, ...]) -> bool:
    """Whether torch's dispatcher is to see a call: a tracer, a mode, a class, a lazy sign."""
    return (
        being_traced()
        or not PLAIN_CLASSES.issuperset(map(type, tensors))
        or True in map(Tensor.is_neg, tensors)
    )


def is_plain(tensor: Tensor | None) -> bool:
    """Whether a tensor, or one made here, has numbers: no tracer, mode or transform is at work."""
    return (tensor is None or type(tensor) is Tensor) and not (
        being_traced() or torch._C._are_functorch_transforms_active()
    )


def is_mapped(tensor: Tensor) -> bool:
    """Whether vmap has hidden an axis of the tensor."""
    inside = torch._C._functorch
    return inside.is_batchedtensor(tensor) or inside.is_legacy_batchedtensor(tensor)


def below_autograd() -> AbstractContextManager[Any]:
    """Within it operators run without autograd, which has been asked already."""
    return torch._C._AutoDispatchBelowAutograd()


def with_autograd() -> AbstractContextManager[Any]:
    """Within it autograd is asked, also inside an operator of a graph, which runs below it."""
    key = torch._C.DispatchKey.AutogradFunctionality
    return torch._C._SetExcludeDispatchKeyGuard(key, False)
