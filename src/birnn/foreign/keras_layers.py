"""A Keras 3 model, from its config and weights, as a list of layers; Keras itself is not needed.

`birnn.keras.from_keras` reads a live model through it, `keras_file` a file.
"""

# D inputs, H hidden units

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from birnn.bundle.conventions import matching
from birnn.bundle.framework_arrays import Arrays
from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import (
    Activation,
    Array,
    Embedding,
    Layer,
    Masking,
    Normalisation,
    Pool,
    PoolName,
    Recurrent,
    linear,
    wide,
)
from birnn.reference.stack import MergeName

Config = Mapping[str, Any]
Weights = Sequence[Array]
Reader = Callable[[str, Config, Weights], list[Layer]]

MERGES: dict[str, MergeName] = {
    "concat": "concat",
    "sum": "sum",
    "ave": "mean",
    "mul": "product",
}
RECURRENT = ("LSTM", "GRU", "SimpleRNN")
KERNELS = ("kernel", "recurrent_kernel", "bias")


def keras_layers(config: Config, weights: Mapping[str, Weights]) -> list[Layer]:
    """The layers of a Keras model in the order in which data passes through them.

    Args:
        config: What ``model.get_config()`` gives, of a ``Sequential`` or functional model whose
            layers are a chain; or what a file holds of it: ``{"class_name": ..., "config": ...}``.
        weights: Of each layer by its name, what ``layer.get_weights()`` gives.

    Raises:
        ConversionError: A layer without counterpart, or layers that are no chain.
        ShapeError: Shapes that disagree.

    Example:
        >>> gru = {"name": "gru", "units": 1, "return_sequences": True, "use_bias": False}
        >>> config = {"layers": [{"class_name": "GRU", "config": gru}]}
        >>> [layer] = keras_layers(config, {"gru": [np.ones((2, 3)), np.ones((1, 3))]})
        >>> layer.cell, layer.input_size, layer.hidden_size, layer.final
        ('gru', 2, 1, False)
    """
    found: list[Layer] = []
    for number, (kind, own) in enumerate(_chain(config)):
        name = str(own.get("name", f"layer {number}"))
        if kind not in READERS:
            raise ConversionError(
                f"{name} (layer {number}): birnn has no counterpart of Keras' {kind}. It has those "
                f"of {', '.join(sorted(READERS))}. Leave the layer out and train again, or compute "
                "it outside."
            )
        try:
            found += READERS[kind](name, own, [np.asarray(w) for w in weights.get(name, ())])
        except (KeyError, TypeError, IndexError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ConversionError(f"{name}: its config is not one of Keras 3 ({what}).") from None
    return found


# ---------------------------------------------------------------------- the chain


def _chain(config: Config) -> Iterator[tuple[str, Config]]:
    """Class and config of each layer, in order."""
    if "layers" not in config and isinstance(config.get("config"), Mapping):
        config = config["config"]
    layers = config.get("layers")
    if not isinstance(layers, list):
        raise ConversionError(
            "the config has no list of layers: only Sequential and functional models can be read."
        )
    if any("inbound_nodes" in layer for layer in layers):
        layers = _in_order(config, layers)
    for layer in layers:
        own = layer.get("config")
        kind = layer.get("class_name")
        if not isinstance(kind, str) or not isinstance(own, Mapping):
            raise ConversionError(f"the config has a layer without class or config: {layer!r:.100}")
        yield kind, {"name": layer.get("name")} | dict(own)


def _in_order(config: Config, layers: list[Any]) -> list[Any]:
    """The layers of a functional model from its input to its output, which must be one chain.

    Poolings side by side, which one layer concatenates, are the one exception.
    """
    named = {layer["config"]["name"]: layer for layer in layers}
    ends = _names(config.get("output_layers"))
    if len(ends) != 1:
        raise ConversionError(f"the model has {len(ends)} outputs, birnn's have one.")
    order: list[Any] = []
    at: str | None = ends[0]
    while at is not None:
        layer = named[at]
        below = list(dict.fromkeys(_below(layer)))
        if layer["class_name"] == "Concatenate" and len(below) > 1:
            layer, below = _pools(layer, [named[name] for name in below])
        order.append(layer)
        if len(order) > len(layers):
            raise ConversionError("the layers of the model are a circle.")
        if len(below) > 1:
            raise ConversionError(
                f"{at}: it reads {len(below)} layers ({', '.join(below)}), birnn's models are "
                "chains of layers."
            )
        at = below[0] if below else None
    return order[::-1]


def _names(ends: Any) -> list[str]:
    """Names of layers, of ``[name, 0, 0]`` or a list of such."""
    if isinstance(ends, list) and ends and isinstance(ends[0], str):
        return [ends[0]]
    return [end[0] for end in ends or []]


def _below(layer: Config) -> Iterator[str]:
    """Names of the layers that a layer reads; a mask that is passed beside is not one."""

    def tensors(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            if value.get("class_name") == "__keras_tensor__":
                yield value["config"]["keras_history"][0]
            else:
                for inner in value.values():
                    yield from tensors(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from tensors(inner)

    for node in layer.get("inbound_nodes") or []:
        yield from tensors(node.get("args") if isinstance(node, Mapping) else node)


def _pools(layer: Config, below: Sequence[Config]) -> tuple[Any, list[str]]:
    """Poolings side by side as one layer, and what they read."""
    kinds = [each["class_name"] for each in below]
    if not set(kinds) <= set(POOLS):
        names = ", ".join(each["config"]["name"] for each in below)
        raise ConversionError(
            f"{layer['config']['name']}: it concatenates {names}, birnn concatenates poolings of "
            "the same rows alone."
        )
    own = {"name": layer["config"]["name"], "parts": [POOLS[kind] for kind in kinds]}
    read = dict.fromkeys(name for each in below for name in _below(each))
    return {"class_name": "Concatenate", "config": own}, list(read)


# ---------------------------------------------------------------------- layers


def _nothing(name: str, config: Config, weights: Weights) -> list[Layer]:
    del name, config, weights
    return []


def _embedding(name: str, config: Config, weights: Weights) -> list[Layer]:
    [table] = weights
    return [Embedding(name, table, padded=bool(config.get("mask_zero", False)))]


def _masking(name: str, config: Config, weights: Weights) -> list[Layer]:
    del weights
    return [Masking(name, float(config.get("mask_value", 0.0)))]


def _dense(name: str, config: Config, weights: Weights) -> list[Layer]:
    if not weights:
        raise ConversionError(f"{name}: there are no weights of it.")
    kernel, bias = weights[0], weights[1] if len(weights) > 1 else None
    if kernel.ndim != 2 or (bias is not None and bias.shape != kernel.shape[1:]):
        shapes = ", ".join(str(w.shape) for w in weights)
        raise ShapeError(f"{name}: shapes {shapes} are none of a dense layer, (D, O) and (O,).")
    return [linear(name, kernel.T, bias), *_function(name, config.get("activation"))]


def _function(name: str, function: Any) -> list[Layer]:
    """An activation that is given by its name, or by a dict of class and config."""
    if isinstance(function, Mapping):
        return READERS.get(str(function.get("class_name")), _strange)(
            name, function.get("config", {}), ()
        )
    if function in (None, "linear"):
        return []
    return [Activation(name, str(function))]


def _strange(name: str, config: Config, weights: Weights) -> list[Layer]:
    del weights
    raise ConversionError(f"{name}: birnn has no counterpart of its activation {config!r:.100}.")


def _activation(name: str, config: Config, weights: Weights) -> list[Layer]:
    del weights
    return _function(name, config.get("activation"))


def _relu(name: str, config: Config, weights: Weights) -> list[Layer]:
    del weights
    for setting in ("negative_slope", "threshold", "max_value"):
        if config.get(setting):
            raise ConversionError(f"{name}: {setting} is {config[setting]}, birnn's ReLU has none.")
    return [Activation(name, "relu")]


def _softmax(name: str, config: Config, weights: Weights) -> list[Layer]:
    del weights
    if config.get("axis", -1) not in (-1, [-1]):
        raise ConversionError(f"{name}: its axis is {config['axis']}, it must be the last.")
    return [Activation(name, "softmax")]


def _normalisation(name: str, config: Config, weights: Weights) -> list[Layer]:
    """Gamma and beta where there are any, then moving mean and variance."""
    scale, centre = config.get("scale", True), config.get("center", True)
    if len(weights) != scale + centre + 2:
        raise ConversionError(
            f"{name}: it has {len(weights)} arrays, needed: {scale + centre + 2}."
        )
    left = list(weights)
    width = left[0].shape
    if len(width) != 1 or any(each.shape != width for each in left):
        shapes = ", ".join(str(w.shape) for w in weights)
        raise ShapeError(f"{name}: shapes {shapes} disagree, each must be (D,).")
    gamma = left.pop(0) if scale else np.ones(width)
    beta = left.pop(0) if centre else np.zeros(width)
    mean, variance = map(wide, left)
    deviation = np.sqrt(variance + config.get("epsilon", 1e-3))
    return [Normalisation(name, mean, deviation, wide(gamma), wide(beta))]


def _distributed(name: str, config: Config, weights: Weights) -> list[Layer]:
    """A layer for each step, which all of birnn's are."""
    inner = config["layer"]
    return READERS[inner["class_name"]](name, inner["config"], weights)


def _pool(part: PoolName) -> Reader:
    def read(name: str, config: Config, weights: Weights) -> list[Layer]:
        del config, weights
        return [Pool(name, (part,))]

    return read


def _concatenated(name: str, config: Config, weights: Weights) -> list[Layer]:
    del weights
    if "parts" not in config:
        raise ConversionError(f"{name}: it concatenates nothing that birnn's models concatenate.")
    return [Pool(name, tuple(config["parts"]))]


def _recurrent(kind: str) -> Reader:
    def read(name: str, config: Config, weights: Weights) -> list[Layer]:
        if config.get("go_backwards"):
            raise ConversionError(
                f"{name}: it reads backwards alone, birnn's layers read forwards or both ways. "
                "Put it into a Bidirectional layer."
            )
        cell, half = _half(kind, name, config, weights)
        return [Recurrent(name, cell, (half,), final=not config.get("return_sequences", False))]

    return read


def _bidirectional(name: str, config: Config, weights: Weights) -> list[Layer]:
    """Two layers, each with its own settings; the backward one's weights come after."""
    forward, backward = config["layer"], config.get("backward_layer") or config["layer"]
    kinds = {forward["class_name"], backward["class_name"]}
    if not kinds <= set(RECURRENT) or len(kinds) > 1:
        raise ConversionError(
            f"{name}: its halves are {' and '.join(sorted(kinds))}, needed are two of one of "
            f"{', '.join(RECURRENT)}."
        )
    mode = config.get("merge_mode", "concat")
    if mode not in MERGES:
        raise ConversionError(
            f"{name}: merge_mode is {mode!r}, birnn has {', '.join(MERGES)}: halves that stay "
            "apart have no counterpart."
        )
    count = len(weights) // 2
    if not count or len(weights) != 2 * count:
        raise ConversionError(
            f"{name}: the reverse direction is missing: there are {len(weights)} arrays, "
            "as many are needed of each direction."
        )
    halves, cells = [], []
    for half, own in ((forward, weights[:count]), (backward, weights[count:])):
        cell, arrays = _half(half["class_name"], name, half["config"], own)
        cells.append(cell)
        halves.append(arrays)
    first, second = forward["config"], backward["config"]
    if cells[0] != cells[1] or halves[0]["weight_hh"].shape != halves[1]["weight_hh"].shape:
        raise ShapeError(f"{name}: its two halves have different cells or sizes, birnn's have one.")
    sequences = bool(first.get("return_sequences", False))
    if sequences != bool(second.get("return_sequences", False)):
        raise ConversionError(f"{name}: one half returns sequences, the other does not.")
    return [Recurrent(name, cells[0], tuple(halves), MERGES[mode], final=not sequences)]


def _half(kind: str, name: str, config: Config, weights: Weights) -> tuple[Any, Arrays]:
    """Cell and torch's arrays of one direction."""
    if not len(weights):
        raise ConversionError(f"{name}: there are no weights of it.")
    convention = matching("keras", kind, config, where=name)
    arrays = dict(zip(KERNELS, weights, strict=False))
    return convention.cell, convention.back(arrays, where=name)


POOLS: dict[str, PoolName] = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "mean"}

READERS: dict[str, Reader] = {
    "InputLayer": _nothing,
    "Dropout": _nothing,
    "SpatialDropout1D": _nothing,
    "GaussianNoise": _nothing,
    "GaussianDropout": _nothing,
    "ActivityRegularization": _nothing,
    "Embedding": _embedding,
    "Masking": _masking,
    "Dense": _dense,
    "TimeDistributed": _distributed,
    "Activation": _activation,
    "ReLU": _relu,
    "Softmax": _softmax,
    "BatchNormalization": _normalisation,
    "Bidirectional": _bidirectional,
    "Concatenate": _concatenated,
    **{kind: _recurrent(kind) for kind in RECURRENT},
    **{kind: _pool(part) for kind, part in POOLS.items()},
}
"""Of each class of Keras, how it is read."""
