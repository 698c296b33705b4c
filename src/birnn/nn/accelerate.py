"""One call that puts the recurrent layers of any torch model on birnn's engine, and one back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import nn

from birnn.engine import isa
from birnn.errors import UsageError
from birnn.nn.recurrent import GRU, LSTM, RNN

BIRNN_CLASSES: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
TORCH_CLASSES = {ours: own for own, ours in BIRNN_CLASSES.items()}


@dataclass(frozen=True, slots=True)
class Swapped:
    """What `accelerate` or `decelerate` did to a model; printed, it is a list.

    Args:
        swapped: Names of the layers that changed, as in ``model.named_modules()``; the model
            itself is the empty name.
        skipped: Names of the recurrent layers that did not, and why.
        engine: What runs the layers now.
    """

    swapped: tuple[str, ...]
    skipped: dict[str, str]
    engine: str

    def __str__(self) -> str:
        lines = [f"{_count(len(self.swapped))} put on {self.engine}"]
        lines += [f"  {name or '(the model)'}" for name in self.swapped]
        if self.skipped:
            lines.append(f"{_count(len(self.skipped))} left as before")
            lines += [f"  {name or '(the model)'}: {why}" for name, why in self.skipped.items()]
        return "\n".join(lines)

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Say that this is no model."""
        raise UsageError(
            "this is the report of accelerate or decelerate. They change the model in place: "
            "call the model itself."
        )


def accelerate(model: nn.Module) -> Swapped:
    """Put every ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` of a model on birnn's engine, in place.

    The layers stay the objects they are: parameters, hooks, training mode, whatever was set on
    them and whoever refers to them. Only their class becomes birnn's subclass of it, so they also
    take ``lengths=``. What the engine does not run (another device or dtype) torch runs as before.

    Args:
        model: Any module, or one of these layers itself.

    Returns:
        Which layers were swapped, and which were not and why: projections (torch's path runs
        them) and classes of their own.

    Raises:
        UsageError: No torch module.

    Example:
        >>> model = nn.Sequential(nn.Embedding(10, 4), nn.LSTM(4, 8, bidirectional=True))
        >>> accelerate(model).swapped
        ('1',)
        >>> decelerate(model).swapped
        ('1',)
    """
    name = isa.active().name
    if name == isa.REFERENCE:
        why = isa.why_no_native() or f"{isa.FORCE} is {isa.REFERENCE}"
        return _swap(model, BIRNN_CLASSES, f"torch's engine, since birnn's does not run: {why}")
    return _swap(model, BIRNN_CLASSES, f"birnn's engine ({name})")


def decelerate(model: nn.Module) -> Swapped:
    """Undo `accelerate`: every layer of birnn's classes becomes torch's own again, in place.

    Also for tools that know torch's classes alone: TorchScript, quantization, ONNX export.

    Args:
        model: Any module, or one of these layers itself.

    Returns:
        Which layers were swapped back.

    Raises:
        UsageError: No torch module.
    """
    return _swap(model, TORCH_CLASSES, "torch's engine")


def _swap(model: nn.Module, to: dict[type[nn.Module], type[nn.Module]], engine: str) -> Swapped:
    if not isinstance(model, nn.Module):
        raise UsageError(f"expected a torch.nn.Module, got {type(model).__name__}")
    swapped: list[str] = []
    skipped: dict[str, str] = {}
    for name, module in model.named_modules():
        why = _why_not(module, to)
        if why is not None:
            skipped[name] = why
        elif type(module) in to:
            module.__class__ = to[type(module)]
            swapped.append(name)
    return Swapped(tuple(swapped), skipped, engine)


def _why_not(module: nn.Module, to: dict[type[nn.Module], type[nn.Module]]) -> str | None:
    """Why a recurrent layer is not swapped; None for one that is, and for other modules."""
    kind = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        known = getattr(module, "original_name", None) in {own.__name__ for own in BIRNN_CLASSES}
        return "it is compiled by TorchScript. Swap before torch.jit.script" if known else None
    if not isinstance(module, tuple(BIRNN_CLASSES)):
        return None
    if kind in to.values():
        return f"it is a {kind.__module__.partition('.')[0]} {kind.__name__} already"
    if kind not in to:
        return f"it is of a class of its own, {kind.__name__}"
    if "forward" in vars(module):
        return "its forward was replaced"
    if to is BIRNN_CLASSES and getattr(module, "proj_size", False):
        return "it has a projection, which torch runs"
    return None


def _count(layers: int) -> str:
    return f"{layers} recurrent layer{'' if layers == 1 else 's'}"
