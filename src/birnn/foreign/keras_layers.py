"""A Keras 3 model, from its config and weights, as a list of layers; Keras itself is not needed.

`birnn.keras.from_keras` reads a live model through it, `keras_file` a file.
"""

# D inputs, H hidden units

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from birnn.bundle.conventions import matching
from birnn.bundle.framework_arrays import Arrays
from birnn.errors import ConversionError, ShapeError
from birnn.foreign.keras_chain import OWN, POOLS, RECURRENT, Config, chain
from birnn.foreign.layers import (
    Activation,
    Array,
    Embedding,
    Layer,
    Masking,
    Normalisation,
    Pool,
    PoolName,
    RecurrentLayer,
    TrainingOnly,
    faults_named,
    linear_layer,
    wide,
)
from birnn.reference.stack import MergeName

Weights = Sequence[Array]
Reader = Callable[[str, Config, Weights], list[Layer]]

MERGES: dict[str, MergeName] = {
    "concat": "concat",
    "sum": "sum",
    "ave": "mean",
    "mul": "product",
}
KERAS_EPSILON = 1e-7  # the least deviation of a Normalization layer
# Layers that have an axis; those with a count of what they have seen; those of a row alone.
ALONG_AXIS = {"BatchNormalization", "Normalization", "Softmax"}
COUNTING = {"Normalization"}
STEPWISE = {"Activation", "BatchNormalization", "Dense", "Dropout", "ReLU", "Softmax"}
MODELS = {"Sequential", "Functional", "Model"}
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
    with faults_named("the config is not one of Keras 3"):
        return _read(config, weights)


def _read(config: Config, weights: Mapping[str, Weights]) -> list[Layer]:
    found: list[Layer] = []
    rank = 3  # axes of rows: sequences, steps, values
    for number, (kind, own) in enumerate(chain(config)):
        name = str(own.get("name", f"layer {number}"))
        if kind not in READERS:
            raise ConversionError(f"{name} (layer {number}): {_unread(kind)}")
        arrays = [np.asarray(w) for w in weights.get(name, ())]
        _check_kept(name, kind, arrays)
        _check_axis(name, kind, own, rank)
        found += READERS[kind](name, own, arrays)
        if any(isinstance(layer, Pool) or getattr(layer, "final", False) for layer in found):
            rank = 2
    return found


def mask_notices(layers: Sequence[Layer]) -> list[str]:
    """A notice of a model in which nothing masks padding: in Keras it reads that too.

    Example:
        >>> mask_notices([Embedding("items", np.zeros((3, 2)), padded=True)])
        []
    """
    if any(isinstance(each, Masking) or getattr(each, "padded", False) for each in layers):
        return []
    return [
        "no layer masks padding: Keras read it in padded sequences, here each is read by itself"
    ]


def _unread(kind: str) -> str:
    """Why a layer of a class is not read, and what to do."""
    if kind in MODELS:
        return (
            f"is a model within the model ({kind}). Build one model of the layers of both: "
            "model.layers has them, with their weights."
        )
    if kind.startswith(OWN):
        return (
            f"is of a class {kind.removeprefix(OWN).strip()} of its own, whose code says what it "
            "does; birnn runs none. Build the model of Keras' layers and give them its weights."
        )
    return (
        f"birnn has no counterpart of Keras' {kind}. It has those of "
        f"{', '.join(sorted(READERS))}. Leave the layer out and train again, or compute it outside."
    )


def _check_kept(name: str, kind: str, weights: Weights) -> None:
    """Refuse weights that are quantised: integers, with a scale beside them."""
    whole = [str(w.dtype) for w in weights if w.dtype.kind in "iu"]
    if whole and kind not in COUNTING:
        raise ConversionError(
            f"{name}: has weights of {whole[0]}, as a quantised model has. Import the model as it "
            "was before it was quantised."
        )


def _check_axis(name: str, kind: str, config: Config, rank: int) -> None:
    """Refuse what works along another axis than that of a row's values."""
    axis = config.get("axis", -1)
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    if kind in ALONG_AXIS and axes not in ([-1], [rank - 1]):
        raise ConversionError(
            f"{name}: its axis is {axis}, it must be the last, that of the values of a row."
        )


# ---------------------------------------------------------------------- layers


def _nothing(name: str, config: Config, weights: Weights) -> list[Layer]:
    del name, config, weights
    return []


def _lookup(name: str, config: Config, weights: Weights) -> list[Layer]:
    """Items to numbers; their vocabulary comes beside, `birnn.keras.from_keras` asks the layer."""
    del weights
    for setting, value in (("output_mode", "int"), ("ngrams", None), ("invert", False)):
        given = config.get(setting, value)
        if given != value:
            raise ConversionError(
                f"{name}: {setting} is {given!r}, it must be {value!r}: birnn's models read the "
                "number of one item at each step."
            )
    return []


def _training_only(name: str, config: Config, weights: Weights) -> list[Layer]:
    del config, weights
    return [TrainingOnly(name)]


def _embedding(name: str, config: Config, weights: Weights) -> list[Layer]:
    if len(weights) != 1:
        raise ConversionError(f"{name}: it has {len(weights)} arrays, needed is its table.")
    [table] = weights
    return [Embedding(name, table, padded=bool(config.get("mask_zero", False)))]


def _masking(name: str, config: Config, weights: Weights) -> list[Layer]:
    del weights
    return [Masking(name, float(config.get("mask_value", 0.0)))]


def _dense(name: str, config: Config, weights: Weights) -> list[Layer]:
    if not weights:
        raise ConversionError(f"{name}: there are no weights of it.")
    _check_count(name, config, weights, 1)
    kernel, bias = weights[0], weights[1] if len(weights) > 1 else None
    if kernel.ndim != 2 or (bias is not None and bias.shape != kernel.shape[1:]):
        shapes = ", ".join(str(w.shape) for w in weights)
        raise ShapeError(f"{name}: shapes {shapes} are none of a dense layer, (D, O) and (O,).")
    _check_units(name, config, kernel.shape[1])
    return [linear_layer(name, kernel.T, bias), *_function(name, config.get("activation"))]


def _check_count(name: str, config: Config, weights: Weights, kernels: int) -> None:
    """Refuse arrays that are too few or too many for a layer with or without a bias."""
    needed = kernels + bool(config.get("use_bias", True))
    if len(weights) != needed:
        raise ConversionError(
            f"{name}: it has {len(weights)} arrays, needed are {needed} (use_bias="
            f"{config.get('use_bias', True)}). Save the model again."
        )


def _check_units(name: str, config: Config, units: int) -> None:
    """Refuse weights that are those of another layer than the config describes."""
    said = config.get("units", units)
    if said != units:
        raise ShapeError(f"{name}: it has {said} units by its config, {units} by its weights.")


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
    del config, weights
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


def _standardised(name: str, config: Config, weights: Weights) -> list[Layer]:
    """Mean and variance, of the settings or learnt by ``adapt``, which counts its rows too."""
    given: Sequence[Any] = weights[:2] or [config.get("mean"), config.get("variance")]
    mean, variance = (np.ravel(wide(np.asarray(values))) for values in given)
    if config.get("invert") or len(mean) != len(variance):
        raise ConversionError(f"{name}: birnn standardises channels, each by its mean and scale.")
    deviation = np.maximum(np.sqrt(variance), KERAS_EPSILON)
    return [Normalisation(name, mean, deviation, np.ones(len(mean)), np.zeros(len(mean)))]


def _distributed(name: str, config: Config, weights: Weights) -> list[Layer]:
    """A layer for each step, which all of birnn's are."""
    inner = config["layer"]
    kind = inner["class_name"]
    if kind not in STEPWISE:
        raise ConversionError(
            f"{name}: birnn has no counterpart of Keras' TimeDistributed of {kind}, but of "
            f"{', '.join(sorted(STEPWISE))}. Each of its steps is one row of values."
        )
    _check_axis(name, kind, inner["config"], 2)
    return READERS[inner["class_name"]](name, inner["config"], weights)


def _pool(part: PoolName) -> Reader:
    def read(name: str, config: Config, weights: Weights) -> list[Layer]:
        del weights
        if (given := config.get("data_format", "channels_last")) != "channels_last":
            raise ConversionError(
                f"{name}: its data_format is {given!r}, so that it pools the values of each step; "
                "birnn pools steps."
            )
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
        return [
            RecurrentLayer(name, cell, (half,), final=not config.get("return_sequences", False))
        ]

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
    count, other = (2 + bool(half["config"].get("use_bias", True)) for half in (forward, backward))
    if len(weights) != count + other:
        raise ConversionError(
            f"{name}: the reverse direction is missing: there are {len(weights)} arrays, "
            f"needed are {count} of the forward and {other} of the backward direction."
        )
    halves, cells = [], []
    for half, own in ((forward, weights[:count]), (backward, weights[count:])):
        cell, arrays = _half(half["class_name"], name, half["config"], own)
        cells.append(cell)
        halves.append(arrays)
    first, second = forward["config"], backward["config"]
    if first.get("go_backwards"):
        raise ConversionError(
            f"{name}: its first half reads backwards, and its rows stay in the order read. Give "
            "that half as backward_layer."
        )
    if cells[0] != cells[1] or halves[0]["weight_hh"].shape != halves[1]["weight_hh"].shape:
        raise ShapeError(f"{name}: its two halves have different cells or sizes, birnn's have one.")
    sequences = bool(first.get("return_sequences", False))
    if sequences != bool(second.get("return_sequences", False)):
        raise ConversionError(f"{name}: one half returns sequences, the other does not.")
    return [RecurrentLayer(name, cells[0], tuple(halves), MERGES[mode], final=not sequences)]


def _half(kind: str, name: str, config: Config, weights: Weights) -> tuple[Any, Arrays]:
    """Cell and torch's arrays of one direction."""
    if not len(weights):
        raise ConversionError(f"{name}: there are no weights of it.")
    if config.get("stateful"):
        raise ConversionError(
            f"{name}: it is stateful, each batch goes on where the last one ended; birnn's models "
            "read whole sequences. Build it with stateful=False."
        )
    convention = matching("keras", kind, config, where=name)
    _check_count(name, config, weights, 2)
    arrays = dict(zip(KERNELS, weights, strict=False))
    _check_units(name, config, len(arrays["recurrent_kernel"]))
    return convention.cell, convention.back(arrays, where=name)


READERS: dict[str, Reader] = {
    "InputLayer": _nothing,
    "Identity": _nothing,
    "StringLookup": _lookup,
    "TextVectorization": _lookup,
    "Normalization": _standardised,
    "Dropout": _training_only,
    "SpatialDropout1D": _training_only,
    "GaussianNoise": _training_only,
    "GaussianDropout": _training_only,
    "ActivityRegularization": _training_only,
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
