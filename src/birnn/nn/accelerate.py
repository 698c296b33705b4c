"""One call that puts the recurrent layers of any torch model on birnn's engine, and one back."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import nn

from birnn.engine import isa
from birnn.errors import UsageError
from birnn.nn import left_alone
from birnn.nn._engine.call import NATIVE_DTYPES
from birnn.nn._engine.low_precision import LowPrecision
from birnn.nn._engine.private_torch import PLAIN_CLASSES
from birnn.nn.birnn import BiRNN
from birnn.nn.recurrent import cell_of, weights_of
from birnn.reference.low_precision import Precision, check_precision
from birnn.reference.outliers import Outliers, outliers

BIRNN_CLASSES: dict[type[nn.Module], type[nn.Module]] = dict(
    zip(left_alone.TORCH_LAYERS, left_alone.BIRNN_LAYERS, strict=True)
)
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
        outliers: Weights that lose much in int8, as single values take the steps of their rows.
    """

    swapped: tuple[str, ...]
    skipped: dict[str, str]
    engine: str
    otherwise: dict[str, str] = field(default_factory=dict)
    outliers: tuple[Outliers, ...] = ()

    def __str__(self) -> str:
        lines = [f"{_count(self.swapped)} put on {self.engine}"]
        lines += [f"  {name or '(the model)'}" for name in self.swapped]
        for told, found in (
            ("swapped as well, to run otherwise for now", self.otherwise),
            ("left as before", self.skipped),
        ):
            lines += [f"{_count(found)} {told}"] if found else []
            lines += [f"  {name or '(the model)'}: {why}" for name, why in found.items()]
        return "\n".join([*lines, *(each.notice for each in self.outliers)])

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Say that this is no model."""
        raise UsageError(
            "this is the report of accelerate or decelerate. They change the model in place: "
            "call the model itself."
        )


def accelerate(model: nn.Module, precision: Precision = "float32") -> Swapped:
    """Put every ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` of a model on birnn's engine, in place.

    The layers stay the objects they are: parameters, hooks, training mode, whatever was set on
    them and whoever refers to them. Only their class becomes birnn's subclass of it, so they also
    take ``lengths=``. What the engine does not run (another device or dtype) torch runs as before.

    With ``int8`` or ``bf16`` they answer in that precision, for inference alone. Their parameters
    stay those of float32, and ``state_dict`` with them; what the kernels read is made of them now,
    and again after a change that torch counts. Changes through ``parameter.data`` it does not
    count: call `accelerate` again.

    Args:
        model: Any module, or one of these layers itself.
        precision: ``float32``; ``bf16``; or ``int8``. Layers that run in another one change, and so
            do birnn's own.

    Returns:
        Which layers were swapped, and every other recurrent module and why it was not: those of
        other classes, quantised ones, cells in loops of the model's own, projections, and those
        in plain lists, of which torch knows nothing.

    Raises:
        UsageError: No torch module.
        ConfigError: No such precision.
        ShapeError: NaN or infinity among the weights, which low precision cannot hold. No layer is
            swapped.
        EngineError: Low precision without a compiled engine.

    Example:
        >>> model = nn.Sequential(nn.Embedding(10, 4), nn.LSTM(4, 8, bidirectional=True))
        >>> accelerate(model).swapped
        ('1',)
        >>> decelerate(model).swapped
        ('1',)
    """
    precision = check_precision(precision)
    engine, modules = _engine(precision), _named_modules(model)
    skipped = _left_alone(model, modules, precision)
    layers = {
        name: module
        for name, module in modules
        if name not in skipped and isinstance(module, nn.RNNBase | BiRNN)
    }
    asides = {name: _run_otherwise(layer, precision) for name, layer in layers.items()}
    otherwise = {name: why for name, why in asides.items() if why is not None}
    swapped = tuple(name for name in layers if name not in otherwise)
    low = {}
    if precision != "float32":
        # Before the first layer changes: what cannot be made is refused, and all stay as they are.
        low = {name: _low_precision(layers[name], precision, name) for name in swapped}
    for name, layer in layers.items():
        _change(layer, BIRNN_CLASSES, low.get(name))
    spoilt = _outliers({name: layers[name] for name in low}) if precision == "int8" else ()
    return Swapped(swapped, skipped, engine, otherwise, spoilt)


def _left_alone(
    model: nn.Module, modules: Sequence[tuple[str, nn.Module]], precision: Precision
) -> dict[str, str]:
    """Names of the recurrent modules that are not to be swapped, and why."""
    skipped: dict[str, str] = {}
    layers: list[str] = []
    for name, module in modules:
        # The parts of a module that torch has quantised are no layers of the model's.
        if left_alone.is_quantised(module) and left_alone.inside_of(name, skipped):
            continue
        why = left_alone.reason(module)
        if why is None and isinstance(module, nn.RNNBase | BiRNN):
            layers.append(name)
            runs_so = precision == "float32" and getattr(module, "_low_precision", None) is None
            if runs_so and type(module) not in BIRNN_CLASSES:
                why = f"it is a birnn {type(module).__name__} already"
        if why is not None:
            skipped[name] = why
    skipped |= left_alone.by_class_name(model, [*layers, *skipped])
    ordered = {name: skipped[name] for name, _ in modules if name in skipped}
    return ordered | left_alone.out_of_sight(modules)


def _engine(precision: Precision) -> str:
    """What runs swapped layers.

    Raises:
        EngineError: Low precision without a compiled engine.
    """
    name = isa.active(precision).name
    if precision != "float32":
        isa.require_native(precision)
        return f"birnn's engine ({name}) in {precision}"
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
        low = getattr(module, "_low_precision", None) is not None
        if _change(module, TORCH_CLASSES, None) or low:
            swapped.append(name)
        elif isinstance(module, left_alone.TORCH_LAYERS):
            skipped[name] = _why_not_back(module)
    return Swapped(tuple(swapped), skipped, "torch's engine")


def _change(
    module: nn.Module, to: dict[type[nn.Module], type[nn.Module]], low: LowPrecision | None
) -> bool:
    """Put a layer in a precision, and of one of the other classes where they have its own."""
    if isinstance(module, nn.RNNBase | BiRNN):
        vars(module).pop("_low_precision", None)
        if low is not None:
            vars(module)["_low_precision"] = low
    kind = to.get(type(module))
    if kind is None or "forward" in vars(module):
        return False
    module.__class__ = kind
    return True


def _outliers(layers: dict[str, nn.Module]) -> tuple[Outliers, ...]:
    """Matrices of layers with rows that lose much in int8."""
    found = [
        outliers(f"{name}.{part}".lstrip("."), weights.detach().numpy())
        for name, layer in layers.items()
        for part, weights in layer.named_parameters()
        if weights.ndim == 2
    ]
    return tuple(each for each in found if each is not None)


def _low_precision(layer: nn.Module, precision: Precision, name: str) -> LowPrecision:
    """A layer's weights in low precision, made."""
    low = LowPrecision(precision, name)
    if isinstance(layer, BiRNN):
        cell, weights = layer.stack.cell, layer.weights()
    else:
        assert isinstance(layer, nn.RNNBase)
        cell, weights = cell_of(layer), weights_of(layer)
    for at, own in enumerate(weights):
        low.layer(at, cell, own)
    return low


def _named_modules(model: Any) -> list[tuple[str, nn.Module]]:
    """The modules of a model, each once, by their first names."""
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"expected a torch.nn.Module, got {type(model).__name__}. A model that birnn trained "
            "runs on its engine as it is: birnn.load(DIR, precision=...) chooses its precision."
        )
    return list(model.named_modules())


def _run_otherwise(layer: nn.Module, precision: Precision) -> str | None:
    """Why a layer, as it is now, does not run on birnn's engine in a precision; None if it does."""
    weights = dict(layer.named_parameters(recurse=False))
    device = next((part.device.type for part in weights.values() if not part.is_cpu), None)
    if device is not None:
        return f"its weights are on {device}, where torch runs it"
    dtype = next((p.dtype for p in weights.values() if p.dtype not in NATIVE_DTYPES), None)
    if dtype is not None:
        then = "" if precision == "float32" else f", of which {precision} is made"
        return f"its weights are {dtype}, which torch runs. float() makes them float32{then}"
    if precision == "float32":
        return None
    if any(part.dtype is torch.float64 for part in weights.values()):
        return f"its weights are torch.float64, in which it runs: {precision} is made of float32"
    own = next((type(p).__name__ for p in weights.values() if type(p) not in PLAIN_CLASSES), None)
    if own is not None:
        return f"its weights are of a class of their own, {own}: it runs as with float32"
    names = getattr(layer, "_flat_weights_names", weights)
    made = [name for name in names if name not in weights]
    if made:
        return (
            f"its {', '.join(made)} is made in each call, by pruning or a norm, and {precision} "
            "once: it runs in float32. torch.nn.utils.prune.remove, or remove_weight_norm, makes "
            "it a weight again"
        )
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
