"""One call that puts the recurrent layers of any torch model on birnn's engine, and one back."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torch import nn

from birnn.engine import isa
from birnn.errors import UsageError
from birnn.nn import left_alone
from birnn.nn._engine.call import NATIVE_DTYPES
from birnn.nn.recurrent import GRU, LSTM, RNN

BIRNN_CLASSES: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
TORCH_CLASSES = {ours: own for own, ours in BIRNN_CLASSES.items()}


@dataclass(frozen=True, slots=True)
class Swapped:
    """What `accelerate` or `decelerate` did to a model; printed, it is a list.

    Args:
        swapped: Names of the layers that changed, as in ``model.named_modules()``; the model
            itself is the empty name.
        skipped: Names of all other recurrent modules, and why they did not.
        engine: What runs the layers now.
        otherwise: Names of layers that changed too, but run otherwise as they are now, and why:
            on another device, in another dtype.
    """

    swapped: tuple[str, ...]
    skipped: dict[str, str]
    engine: str
    otherwise: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{_count(self.swapped)} put on {self.engine}"]
        lines += [f"  {name or '(the model)'}" for name in self.swapped]
        for told, found in (
            ("swapped as well, to run otherwise for now", self.otherwise),
            ("left as before", self.skipped),
        ):
            lines += [f"{_count(found)} {told}"] if found else []
            lines += [f"  {name or '(the model)'}: {why}" for name, why in found.items()]
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
        Which layers were swapped, and every other recurrent module and why it was not: those of
        other classes, quantised ones, cells in loops of the model's own, projections.

    Raises:
        UsageError: No torch module.

    Example:
        >>> model = nn.Sequential(nn.Embedding(10, 4), nn.LSTM(4, 8, bidirectional=True))
        >>> accelerate(model).swapped
        ('1',)
        >>> decelerate(model).swapped
        ('1',)
    """
    modules = _named_modules(model)
    swapped: list[str] = []
    skipped: dict[str, str] = {}
    otherwise: dict[str, str] = {}
    for name, module in modules:
        # The parts of a module that torch has quantised are no layers of the model's.
        if left_alone.is_quantised(module) and left_alone.inside_of(name, skipped):
            continue
        why = left_alone.reason(module)
        if why is not None:
            skipped[name] = why
        elif _swap(module, BIRNN_CLASSES):
            why = _run_by_torch(module)
            if why is None:
                swapped.append(name)
            else:
                otherwise[name] = why
    skipped |= left_alone.by_class_name(model, [*swapped, *otherwise, *skipped])
    in_order = {name: skipped[name] for name, _ in modules if name in skipped}
    return Swapped(tuple(swapped), in_order, _engine(), otherwise)


def _engine() -> str:
    """What runs swapped layers."""
    name = isa.active().name
    if name != isa.REFERENCE:
        return f"birnn's engine ({name})"
    why = isa.why_no_native() or f"{isa.FORCE} is {isa.REFERENCE}"
    return f"torch's engine, since birnn's does not run: {why}"


def decelerate(model: nn.Module) -> Swapped:
    """Undo `accelerate`: every layer of birnn's classes becomes torch's own again, in place.

    Also for tools that know torch's classes alone: TorchScript, quantization, ONNX export.

    Args:
        model: Any module, or one of these layers itself.

    Returns:
        Which layers were swapped back, and which layers of torch's classes were not.

    Raises:
        UsageError: No torch module.
    """
    swapped: list[str] = []
    skipped: dict[str, str] = {}
    for name, module in _named_modules(model):
        if _swap(module, TORCH_CLASSES):
            swapped.append(name)
        elif isinstance(module, left_alone.TORCH_LAYERS):
            skipped[name] = _why_not_back(module)
    return Swapped(tuple(swapped), skipped, "torch's engine")


def _swap(module: nn.Module, to: dict[type[nn.Module], type[nn.Module]]) -> bool:
    """Make a layer one of the other classes, if it is of one that they take the place of."""
    kind = to.get(type(module))
    if kind is None or "forward" in vars(module):
        return False
    module.__class__ = kind
    return True


def _named_modules(model: Any) -> list[tuple[str, nn.Module]]:
    """The modules of a model, each once, by their first names."""
    if not isinstance(model, nn.Module):
        raise UsageError(f"expected a torch.nn.Module, got {type(model).__name__}")
    return list(model.named_modules())


def _run_by_torch(layer: nn.Module) -> str | None:
    """Why torch runs a swapped layer as it is now; None where birnn's engine does."""
    weights = list(layer.parameters(recurse=False))
    device = next((part.device.type for part in weights if not part.is_cpu), None)
    if device is not None:
        return f"its weights are on {device}, where torch runs it"
    dtype = next((part.dtype for part in weights if part.dtype not in NATIVE_DTYPES), None)
    if dtype is not None:
        return f"its weights are {dtype}, which torch runs. float() makes them float32"
    return None


def _why_not_back(layer: nn.Module) -> str:
    kind = type(layer)
    if kind in BIRNN_CLASSES:
        return f"it is a torch {kind.__name__} already"
    if kind in TORCH_CLASSES:
        return "its forward was replaced"
    why = left_alone.reason(layer)
    assert why is not None  # every class that is neither torch's nor birnn's has one
    return why


def _count(layers: Sized) -> str:
    return f"{len(layers)} recurrent layer{'' if len(layers) == 1 else 's'}"
