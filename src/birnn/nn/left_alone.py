"""Recurrent modules that `accelerate` leaves as they are: how each kind is known, and why it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from birnn.nn.birnn import BiRNN
from birnn.nn.recurrent import GRU, LSTM, RNN

TORCH_LAYERS = (nn.RNN, nn.LSTM, nn.GRU)
BIRNN_LAYERS = (RNN, LSTM, GRU)

_WEIGHT = re.compile(r"weight_(ih|hh)(_l\d+)?(_reverse)?")
_CLASS = re.compile(r"RNN|Rnn|LSTM|Lstm|GRU|Gru(?![a-z])|SRU|Recurrent|ShortTerm")
_QUANTISED = re.compile(r"(RNN|LSTM|GRU)(Base|Cell|CellBase)?|_LSTMLayer|_LSTMSingleLayer")
_COMPILED = {f"{name}{end}" for name in ("RNN", "LSTM", "GRU") for end in ("", "Cell")}


def reason(module: nn.Module) -> str | None:
    """Why a recurrent module is left alone; None for a layer to be swapped, and for all else.

    Example:
        >>> reason(nn.LSTM(3, 4, proj_size=2))
        'it has a projection, which torch runs'
        >>> reason(nn.LSTM(3, 4)), reason(nn.Linear(3, 4))
        (None, None)
    """
    return next((why(module) for is_it, why in KINDS if is_it(module)), None)


def by_class_name(model: nn.Module, known: Iterable[str]) -> dict[str, str]:
    """Modules that are recurrent by the name of their class alone, and hold no known layer.

    Their weights are those of other layers, such as ``nn.Linear``, or named otherwise.

    Args:
        model: The model.
        known: Names of the recurrent modules in it that are known.

    Example:
        >>> class PeepholeLSTM(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.gates = nn.Linear(7, 16)
        >>> by_class_name(nn.Sequential(PeepholeLSTM()), [])
        {'0': 'it is of a class of its own, PeepholeLSTM'}
    """
    named, known = dict(model.named_modules()), set(known)
    within = {outer for name in known for outer in (name, *_around(name))}
    found = {}
    for name in reversed(named):  # what is inside comes before what it is inside of
        module = named[name]
        if name in within or inside_of(name, known) or not _CLASS.search(class_name(module)):
            continue
        # Dropout and other helpers of recurrent layers have no parameters.
        if next(module.parameters(), None) is not None:
            found[name] = f"it is of a class of its own, {class_name(module)}"
            within |= {name, *_around(name)}
    return found


OUT_OF_SIGHT = (
    "torch does not know it as a part of the model. nn.ModuleList or ModuleDict makes it one"
)
MOST_HELD = 1000
"""Objects of a list or dict that are looked at: vocabularies have more, lists of layers do not."""


def out_of_sight(modules: Sequence[tuple[str, nn.Module]]) -> dict[str, str]:
    """Recurrent modules that a model holds in plain lists, dicts and the like.

    Args:
        modules: The modules that torch knows, with their names.

    Example:
        >>> model = nn.Module()
        >>> model.layers = [nn.LSTM(3, 4), nn.Linear(3, 4)]
        >>> list(out_of_sight([("encoder", model)]))
        ['encoder.layers[0]']
    """
    known = {id(module) for _, module in modules}
    seen, found = set(known), {}

    def look(name: str, held: Any) -> None:
        if id(held) in seen or not isinstance(held, nn.Module | list | tuple | dict):
            return
        seen.add(id(held))
        if isinstance(held, nn.Module):
            parts = [(inner, m) for inner, m in held.named_modules() if id(m) not in known]
            layers = [inner for inner, m in parts if isinstance(m, TORCH_LAYERS) or reason(m)]
            for inner in (*layers, *by_class_name(held, layers)):
                found[f"{name}.{inner}".rstrip(".")] = OUT_OF_SIGHT
        elif len(held) <= MOST_HELD:
            for key, each in held.items() if isinstance(held, dict) else enumerate(held):
                look(f"{name}[{key!r}]", each)

    for name, module in modules:
        for attribute, held in vars(module).items() if not _is_compiled(module) else ():
            look(f"{name}.{attribute}".lstrip("."), held)
    return found


def inside_of(name: str, outer: Container[str]) -> bool:
    """Whether a module, by its name, is inside of one of others.

    Example:
        >>> inside_of("encoder.cell", {"encoder"}), inside_of("encoder", {"encoder"})
        (True, False)
    """
    return any(around in outer for around in _around(name))


def class_name(module: nn.Module) -> str:
    """Name of a module's class; of one that is compiled by TorchScript, as it was before."""
    original = getattr(module, "original_name", None) if _is_compiled(module) else None
    return original or type(module).__name__


def _around(name: str) -> list[str]:
    """Names of the modules that a module is inside of, the model's, which is empty, the last."""
    parts = name.split(".") if name else []
    return [".".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]


def _is_compiled(module: nn.Module) -> bool:
    return isinstance(module, torch.jit.ScriptModule)


def _own_weights(module: nn.Module) -> list[str]:
    """Names of the recurrent weights that a module has itself."""
    # Of a module of TorchScript, `_parameters` is none of nn.Module's.
    names = [name for name, _ in module.named_parameters(recurse=False)]
    names += [*module._buffers] if not _is_compiled(module) else []
    return [name for name in names if _WEIGHT.fullmatch(name)]


def is_quantised(module: nn.Module) -> bool:
    """Whether a module is a recurrent one of torch's quantisation."""
    return _quantised_class(module) is not None


def _quantised_class(module: nn.Module) -> type[Any] | None:
    """Which of the recurrent classes of torch's quantisation a module is of."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("torch.ao.nn.") and _QUANTISED.fullmatch(kind.__name__):
            return kind
    return None


def _quantised_room(module: nn.Module) -> str:
    kind = _quantised_class(module)
    assert kind is not None
    return kind.__module__.partition(".modules")[0]


def _replaced(module: nn.Module) -> bool:
    return isinstance(module, nn.RNNBase | BiRNN) and "forward" in vars(module)


Kinds = tuple[tuple[Callable[[nn.Module], bool], Callable[[nn.Module], str]], ...]

KINDS: Kinds = (
    (
        lambda m: _is_compiled(m) and (class_name(m) in _COMPILED or bool(_own_weights(m))),
        lambda _: "it is compiled by TorchScript. Swap before torch.jit.script or trace",
    ),
    (
        is_quantised,
        lambda m: f"torch has quantised it ({_quantised_room(m)}). Swap in the model before that",
    ),
    (
        lambda m: isinstance(m, nn.RNNBase | nn.RNNCellBase) and parametrize.is_parametrized(m),
        lambda m: (
            f"its {', '.join(m.parametrizations)} is parametrized. "  # type: ignore[arg-type]
            "torch.nn.utils.parametrize.remove_parametrizations makes it a weight again"
        ),
    ),
    (
        lambda m: isinstance(m, nn.RNNCellBase),
        lambda m: (
            f"it takes one step at a time ({class_name(m)}), in a loop of the model's own. An "
            "nn.LSTM, GRU or RNN over whole sequences would be swapped"
        ),
    ),
    (
        lambda m: isinstance(m, nn.RNNBase) and type(m) not in (*TORCH_LAYERS, *BIRNN_LAYERS),
        lambda m: f"it is of a class of its own, {class_name(m)}",
    ),
    (_replaced, lambda _: "its forward was replaced"),
    (
        lambda m: isinstance(m, nn.RNNBase) and bool(m.proj_size),
        lambda _: "it has a projection, which torch runs",
    ),
    (
        lambda m: not isinstance(m, nn.RNNBase) and type(m) is not BiRNN and bool(_own_weights(m)),
        lambda m: (
            f"it is of a class of its own, {class_name(m)}, with weights of its own "
            f"({', '.join(_own_weights(m)[:2])})"
        ),
    ),
)
