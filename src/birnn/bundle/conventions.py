"""Conventions of the frameworks for the parameters of recurrent layers: one table, both ways.

| layer                   | gates     | matrices                              | biases      |
|-------------------------|-----------|---------------------------------------|-------------|
| torch LSTM, GRU, RNN    | ifgo, rzn | weight_ih (G, D), weight_hh (G, H)    | two (G,)    |
| Keras LSTM, SimpleRNN   | ifgo      | kernel (D, G), recurrent_kernel (H, G)| one (G,)    |
| Keras GRU               | zrn       | likewise, reset_after=True            | one (2, G)  |
| NNX OptimizedLSTMCell   | ifgo      | dense_i.kernel (D, G), dense_h (H, G) | one, with h |
| NNX LSTMCell            | apart     | ii, if_, ig, io, hi, hf, hg, ho       | one, with h |
| NNX GRUCell, SimpleCell | rzn       | dense_i.kernel (D, G), dense_h (H, G) | one, with i |
| linen GRUCell           | apart     | ir, iz, in, hr, hz, hn                | with i, hn  |
| ONNX LSTM, GRU, RNN     | iofg, zrn | W (G, D), R (G, H)                    | one (2G,)   |

G gate rows, D inputs, H hidden units; the framework ``flax`` is Flax NNX, ``linen`` its older
interface. An ONNX GRU has linear_before_reset=1. Where a framework has one bias for birnn's
(torch's) two, the two are added, and coming back the second is zero: the function is the same. A
GRU's candidate n is the exception, as its recurrent bias stands inside r * (...).

Sources: ``torch.nn``; ``keras.layers`` (Keras 3); ``flax.nnx.nn.recurrent``; ``flax.linen``; ONNX
operators LSTM-14, GRU-14, RNN-14 (without the leading axis of directions, see `stacked`).
"""

# D inputs, H hidden units, G gate rows (gates * H), S directions

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from birnn.bundle.framework_arrays import (
    LINEAR_PARTS,
    ORDER,
    PARTS,
    TITLES,
    TWO_BIASES,
    Arrays,
    Convention,
    Framework,
    FrameworkArray,
    Kind,
    Setting,
)
from birnn.engine.stack_checks import check_parameters
from birnn.errors import ConversionError, ShapeError, nearest
from birnn.reference.stack import CellName, Stack

# ---------------------------------------------------------------------- the table

_BIASES = ("bias_ih", "bias_hh")
_ACTIVATIONS: dict[Kind, str] = {
    "lstm": "tanh",
    "gru": "tanh",
    "rnn_tanh": "tanh",
    "rnn_relu": "relu",
}
_STATES: dict[Kind, tuple[str, ...]] = {"lstm": ("h", "c")}
_OTHER_ACTIVATION = "birnn's cells have no other activation. Train the layer with that one."
_LACKS = "birnn's LSTM has no {}. Train the layer without."
_RESET = (
    "it resets the state before the recurrent product, birnn, torch and cuDNN reset the product, "
    "and no weights make one function of the other. Train the layer with {}."
)


# A layer whose activation is not told has its framework's default, tanh, whichever of the two cells
# of a plain RNN it is compared with.


def _torch(cell: Kind, layer: str, *settings: Setting) -> Convention:
    arrays = tuple(FrameworkArray(part, (part,), ORDER[cell]) for part in PARTS)
    projection = Setting("proj_size", 0, "birnn's LSTM has no projection. Train it without.")
    return Convention(
        "torch", cell, layer, arrays, (projection, *settings), _STATES.get(cell, ("h",))
    )


def _keras(cell: Kind, layer: str, gates: str, *settings: Setting) -> Convention:
    arrays = (
        FrameworkArray("kernel", ("weight_ih",), gates, transposed=True),
        FrameworkArray("recurrent_kernel", ("weight_hh",), gates, transposed=True),
        FrameworkArray("bias", _BIASES, gates, joined="stack" if cell == "gru" else "sum"),
    )
    activation = Setting("activation", _ACTIVATIONS[cell], _OTHER_ACTIVATION, default="tanh")
    return Convention(
        "keras", cell, layer, arrays, (activation, *settings), _STATES.get(cell, ("h",))
    )


_KERAS_GATES = Setting("recurrent_activation", "sigmoid", _OTHER_ACTIVATION)
_RESET_AFTER = Setting("reset_after", True, _RESET.format("reset_after=True"))


def _flax_settings(cell: Kind) -> tuple[Setting, ...]:
    activation = Setting("activation_fn", _ACTIVATIONS[cell], _OTHER_ACTIVATION, default="tanh")
    if cell in {"lstm", "gru"}:
        return (activation, Setting("gate_fn", "sigmoid", _OTHER_ACTIVATION))
    added = "birnn's cells add no state. Train the layer with residual=False."
    return (activation, Setting("residual", False, added))


def _flax(cell: Kind, layer: str, bias: str) -> Convention:
    gates = ORDER[cell]
    arrays = (
        FrameworkArray("dense_i.kernel", ("weight_ih",), gates, transposed=True),
        FrameworkArray("dense_h.kernel", ("weight_hh",), gates, transposed=True),
        FrameworkArray(f"dense_{bias}.bias", _BIASES, gates),
    )
    states = ("c", "h") if cell == "lstm" else ("h",)
    return Convention("flax", cell, layer, arrays, _flax_settings(cell), states)


def _flax_apart(framework: Framework, cell: Kind, layer: str, bias: str) -> Convention:
    """A module for each gate; NNX calls that of f ``if_``, as ``if`` is a word of Python."""
    arrays = []
    for gate in ORDER[cell]:
        letter = gate if cell in {"lstm", "gru"} else ""  # a plain RNN's are called i and h
        own = "if_" if (framework, gate) == ("flax", "f") else f"i{letter}"
        arrays += [
            FrameworkArray(f"{own}.kernel", ("weight_ih",), gate, transposed=True),
            FrameworkArray(f"h{letter}.kernel", ("weight_hh",), gate, transposed=True),
        ]
        if gate in TWO_BIASES.get(cell, ""):
            arrays += [
                FrameworkArray(f"{own}.bias", ("bias_ih",), gate),
                FrameworkArray(f"h{letter}.bias", ("bias_hh",), gate),
            ]
        else:
            arrays.append(FrameworkArray(f"{bias}{letter}.bias", _BIASES, gate))
    states = ("c", "h") if cell == "lstm" else ("h",)
    return Convention(framework, cell, layer, tuple(arrays), _flax_settings(cell), states)


def _onnx(
    cell: Kind, layer: str, gates: str, functions: tuple[str, ...], *more: Setting
) -> Convention:
    arrays = (
        FrameworkArray("W", ("weight_ih",), gates),
        FrameworkArray("R", ("weight_hh",), gates),
        FrameworkArray("B", _BIASES, gates, joined="concatenate"),
    )
    default = ("Tanh",) if layer == "RNN" else functions
    settings = (
        Setting("activations", functions, _OTHER_ACTIVATION, default=default),
        Setting("clip", None, "birnn's cells clip nothing. Train the layer without."),
        *more,
    )
    return Convention("onnx", cell, layer, arrays, settings, _STATES.get(cell, ("h",)))


def _linear(
    framework: Framework, layer: str, weight: str, bias: str, transposed: bool
) -> Convention:
    arrays = (
        FrameworkArray(weight, ("weight",), "y", transposed=transposed),
        FrameworkArray(bias, ("bias",), "y"),
    )
    return Convention(framework, "linear", layer, arrays)


CONVENTIONS: dict[Framework, tuple[Convention, ...]] = {
    "torch": (
        _torch("lstm", "LSTM"),
        _torch("gru", "GRU"),
        _torch("rnn_tanh", "RNN", Setting("nonlinearity", "tanh", _OTHER_ACTIVATION, "tanh")),
        _torch("rnn_relu", "RNN", Setting("nonlinearity", "relu", _OTHER_ACTIVATION, "tanh")),
        _linear("torch", "Linear", "weight", "bias", transposed=False),
    ),
    "keras": (
        _keras("lstm", "LSTM", "ifgo", _KERAS_GATES),
        _keras("gru", "GRU", "zrn", _KERAS_GATES, _RESET_AFTER),
        _keras("rnn_tanh", "SimpleRNN", "n"),
        _keras("rnn_relu", "SimpleRNN", "n"),
        _linear("keras", "Dense", "kernel", "bias", transposed=True),
    ),
    "flax": (
        _flax("lstm", "OptimizedLSTMCell", "h"),
        _flax_apart("flax", "lstm", "LSTMCell", "h"),
        _flax("gru", "GRUCell", "i"),
        _flax("rnn_tanh", "SimpleCell", "i"),
        _flax("rnn_relu", "SimpleCell", "i"),
        _linear("flax", "Linear", "kernel", "bias", transposed=True),
    ),
    "linen": (
        _flax_apart("linen", "lstm", "OptimizedLSTMCell", "h"),
        _flax_apart("linen", "lstm", "LSTMCell", "h"),
        _flax_apart("linen", "gru", "GRUCell", "i"),
        _flax_apart("linen", "rnn_tanh", "SimpleCell", "i"),
        _flax_apart("linen", "rnn_relu", "SimpleCell", "i"),
        _linear("linen", "Dense", "kernel", "bias", transposed=True),
    ),
    "onnx": (
        _onnx(
            *("lstm", "LSTM", "iofg", ("Sigmoid", "Tanh", "Tanh")),
            Setting("input_forget", 0, _LACKS.format("coupled input and forget gate")),
            Setting("peepholes", False, _LACKS.format("peepholes")),
        ),
        _onnx(
            *("gru", "GRU", "zrn", ("Sigmoid", "Tanh")),
            Setting("linear_before_reset", 1, _RESET.format("linear_before_reset=1"), default=0),
        ),
        _onnx("rnn_tanh", "RNN", "n", ("Tanh",)),
        _onnx("rnn_relu", "RNN", "n", ("Relu",)),
        _linear("onnx", "Gemm", "B", "C", transposed=False),  # with transB=1
    ),
}


def convention(framework: Framework, cell: Kind, *, layer: str | None = None) -> Convention:
    """The convention of a framework for a cell; its first one where it has several layers of it.

    Raises:
        ConversionError: There is no such framework or layer.

    Example:
        >>> convention("flax", "lstm").layer
        'OptimizedLSTMCell'
        >>> convention("flax", "lstm").states
        ('c', 'h')
    """
    if framework not in CONVENTIONS:
        hint = nearest(str(framework), get_args(Framework))
        raise ConversionError(f"framework is {framework!r}: {hint}")
    rows = [row for row in CONVENTIONS[framework] if row.cell == cell]
    for row in rows:
        if layer in {None, row.layer}:
            return row
    hint = nearest(str(layer), {row.layer for row in rows} or get_args(CellName))
    raise ConversionError(f"{TITLES[framework]} has no {layer or ''} for cell {cell!r}: {hint}")


def matching(
    framework: Framework, layer: str, settings: Mapping[str, Any], *, where: str = ""
) -> Convention:
    """The convention of a foreign layer, from its name and options.

    Args:
        framework: The framework.
        layer: Its name of the layer.
        settings: Options of the layer, as far as they are known; of a layer of ONNX with two
            directions the activations of each, asked for one by one.
        where: The layer, for messages.

    Raises:
        ConversionError: birnn has no such layer, or not with these options.

    Example:
        >>> matching("keras", "SimpleRNN", {"activation": "relu"}).cell
        'rnn_relu'
        >>> matching("onnx", "GRU", {"linear_before_reset": 0})
        Traceback (most recent call last):
        ...
        birnn.errors.ConversionError: GRU: linear_before_reset is 0, it must be 1: it resets ...
    """
    rows = [row for row in CONVENTIONS[framework] if row.layer == layer]
    if not rows:
        layers = dict.fromkeys(row.layer for row in CONVENTIONS[framework])
        raise ConversionError(
            f"{where or layer}: birnn has no counterpart of {TITLES[framework]}'s {layer}. "
            f"It has those of {', '.join(layers)}."
        )
    faults = [row.faults(settings) for row in rows]
    fewest = min(faults, key=lambda found: len(found))
    if fewest:
        raise ConversionError(f"{where or layer}: {'; '.join(fewest)}")
    return rows[faults.index(fewest)]


# ---------------------------------------------------------------------- whole stacks


@dataclass(frozen=True, slots=True)
class LayerArrays:
    """One layer of a stack in a framework's arrays.

    Args:
        halves: Arrays of each direction, the forward one first.
        merge: Arrays of the linear layer that merges the halves, where ``merge="project"``.
    """

    halves: tuple[Arrays, ...]
    merge: Arrays | None = None


def direction(parameters: Mapping[str, np.ndarray], ending: str) -> Arrays:
    """The four arrays of one direction of one layer, without its ending.

    Args:
        parameters: Parameters by torch's names.
        ending: ``l0``, ``l0_reverse``, ``l1`` and so on.

    Example:
        >>> parameters = {f"{name}_l0": np.zeros(1) for name in PARTS}
        >>> sorted(direction(parameters, "l0"))
        ['bias_hh', 'bias_ih', 'weight_hh', 'weight_ih']
    """
    return {name: parameters[f"{name}_{ending}"] for name in PARTS}


def stacked(halves: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    """Arrays of all directions on a leading axis, as ONNX has them: W (S, G, D) and so on."""
    return {name: np.stack([half[name] for half in halves]) for name in halves[0]}


def layers_to(
    framework: Framework, stack: Stack, parameters: Mapping[str, np.ndarray]
) -> list[LayerArrays]:
    """The layers of a stack in a framework's arrays.

    Args:
        framework: The framework.
        stack: The stack.
        parameters: Its parameters by torch's names.

    Raises:
        ShapeError: They are not the stack's; all faults are named at once.
        ConversionError: They have no counterpart.

    Example:
        >>> stack = Stack("gru", 5, 2, num_layers=2, merge="project")
        >>> zeros = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
        >>> [len(layer.halves) for layer in layers_to("keras", stack, zeros)]
        [2, 2]
        >>> {name: a.shape for name, a in layers_to("keras", stack, zeros)[1].merge.items()}
        {'kernel': (4, 2), 'bias': (2,)}
    """
    check_parameters(parameters, stack)
    cell, linear = convention(framework, stack.cell), convention(framework, "linear")
    return [
        LayerArrays(
            tuple(cell.to(direction(parameters, ending)) for ending in endings),
            linear.to({part: parameters[f"{merge}.{part}"] for part in LINEAR_PARTS})
            if merge
            else None,
        )
        for endings, merge in _names(stack)
    ]


def parameter_count(framework: Framework, stack: Stack) -> int:
    """Parameters of a stack in a framework, with the biases that it has.

    Example:
        >>> stack = Stack("lstm", 100, 256, bidirectional=False)
        >>> parameter_count("torch", stack), parameter_count("keras", stack)
        (366592, 365568)
    """
    cell, linear = convention(framework, stack.cell), convention(framework, "linear")
    shapes = stack.shapes()
    sizes = [
        cell.shapes(shapes[f"weight_ih_{ending}"][1], stack.hidden_size)
        for endings, _ in _names(stack)
        for ending in endings
    ]
    sizes += [
        linear.shapes(*shapes[f"{merge}.weight"][::-1]) for _, merge in _names(stack) if merge
    ]
    return sum(math.prod(shape) for each in sizes for shape in each.values())


def layers_back(framework: Framework, stack: Stack, layers: Sequence[LayerArrays]) -> Arrays:
    """Parameters of a stack by torch's names, from the layers in a framework's arrays.

    Args:
        framework: The framework.
        stack: The stack that they are.
        layers: Its layers, the first one first.

    Raises:
        ConversionError: A layer, a direction or an array is missing or too many.
        ShapeError: Arrays whose shapes do not fit each other or the stack.
    """
    names = list(_names(stack))
    if len(layers) != len(names):
        raise ConversionError(f"there are {len(layers)} layers, the stack has {len(names)}.")
    cell, linear = convention(framework, stack.cell), convention(framework, "linear")
    found: Arrays = {}
    for n, ((endings, merge), layer) in enumerate(zip(names, layers, strict=True)):
        if len(layer.halves) != len(endings):
            which = "the reverse direction is missing" if len(endings) == 2 else "one is too many"
            raise ConversionError(
                f"layer {n} has {len(layer.halves)} direction{'s' * (len(layer.halves) != 1)}, "
                f"the stack has {len(endings)}: {which}."
            )
        if (layer.merge is None) == bool(merge):
            what = "has no projection of its two halves" if merge else "has a projection"
            raise ConversionError(f"layer {n} {what}, the stack {'has' if merge else 'has none'}.")
        for ending, arrays in zip(endings, layer.halves, strict=True):
            parts = cell.back(arrays, where=f"layer {n}{ending.removeprefix(f'l{n}')}")
            found |= {f"{part}_{ending}": parts[part] for part in PARTS}
        if layer.merge is not None:
            parts = linear.back(layer.merge, where=f"projection of layer {n}")
            found |= {f"{merge}.{part}": parts[part] for part in LINEAR_PARTS}
    wrong = [
        f"{name} {found[name].shape} for {shape}"
        for name, shape in stack.shapes().items()
        if found[name].shape != shape
    ]
    if wrong:
        raise ShapeError(f"shapes disagree with the stack's: {', '.join(wrong[:5])}.")
    return {name: found[name] for name in stack.shapes()}


def _names(stack: Stack) -> Iterable[tuple[tuple[str, ...], str | None]]:
    """Of each layer the endings of its directions' parameters, and the name of its projection."""
    for n in range(stack.num_layers):
        endings = tuple(f"l{n}{suffix}" for suffix in stack.suffixes(n))
        yield endings, f"merge_l{n}" if stack.projects(n) else None
