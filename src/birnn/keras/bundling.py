"""A Keras model as a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from birnn.bundle import Bundle, BundleSource, as_float32, faults
from birnn.bundle.checks import summary
from birnn.errors import ConversionError, Tell, log_notice
from birnn.foreign import Beside, bundle_of, keras_layers, mask_notices
from birnn.foreign.keras_chain import refuse_own_class
from birnn.keras.weights import placements, weights_of

LOOKUPS = ("StringLookup", "TextVectorization")


def from_keras(
    model: Any, *, like: BundleSource | None = None, tell: Tell = log_notice, **beside: Any
) -> Bundle:
    """A Keras model as a bundle, which predicts without Keras.

    A model that somebody wrote is read layer by layer: inputs (``Embedding``, ``Masking``,
    ``Normalization``, ``Dense``), recurrent layers (``LSTM``, ``GRU``, ``SimpleRNN``, with or
    without ``Bidirectional``), pooling, ``Dense`` layers. The bundle has the same answers for
    sequences whose padding is masked; dropout is left out, as it acts in training alone.

    Args:
        model: The model, built, ``Sequential`` or functional.
        like: What `to_keras` made the model of, where it did: the bundle is that one with the
            weights of the model, which may have been trained further.
        tell: Takes each notice of what was guessed or changed, one line.
        beside: What the model does not say: ``vocabulary`` (the items of its embedding in order;
            where the model has a ``StringLookup`` or ``TextVectorization``, that says it),
            ``labels``, and the others of `birnn.foreign.Beside`.

    Raises:
        ConversionError: A layer that has no counterpart; vocabulary or labels of another size.
        ShapeError: Shapes that disagree.
        UsageError: Vocabulary or labels that are missing, or have no use.

    Example:
        >>> from birnn.keras.backend import load_keras
        >>> layers = load_keras().layers
        >>> gru = layers.Bidirectional(layers.GRU(3), merge_mode="ave")
        >>> model = load_keras().Sequential([layers.Input((None, 2)), gru, layers.Dense(2)])
        >>> bundle = from_keras(model, labels=["calm", "busy"])
        >>> bundle.spec.encoder.merge, bundle.spec.head.pooling
        ('mean', 'last')
    """
    if like is not None:
        return _updated(as_float32(like, tell=tell), model)
    refuse_own_class({"class_name": type(model).__name__, "module": type(model).__module__})
    layers = {layer.name: layer for layer in model.layers}
    if {"encoder_l0", "scores"} <= set(layers):
        raise ConversionError(
            f"{model.name}: to_keras made this model, and its bundle says what it is. "
            "Give from_keras(model, like=bundle)."
        )
    for layer in model.layers:
        if type(layer).__name__ in LOOKUPS:
            beside = _looked_up(layer, tell) | beside
    notices: list[str] = []
    read = keras_layers(
        model.get_config(), {name: layer.get_weights() for name, layer in layers.items()}
    )
    notices += mask_notices(read)
    bundle = bundle_of(read, Beside.checked(**beside), notices, where=model.name)
    for line in notices:
        tell(line)
    return replace(bundle, metadata={"imported": {"format": "keras", "file": model.name}})


def _looked_up(layer: Any, tell: Tell) -> dict[str, Any]:
    """What a layer that looks items up says of the vocabulary."""
    found: dict[str, Any] = {"vocabulary": [str(item) for item in layer.get_vocabulary()]}
    tell(f"{layer.name}: the vocabulary, {len(found['vocabulary']):,} items")
    standardise = layer.get_config().get("standardize")
    if standardise is not None:
        found |= {"inputs": "words", "lowercase": "lower" in str(standardise)}
        tell(
            f"{layer.name}: give the bundle the tokens of a text as the layer made them "
            f"(standardize={standardise!r}): birnn splits texts by rules of its own"
        )
    return found


def _updated(bundle: Bundle, model: Any) -> Bundle:
    """A bundle with the weights of the model that `to_keras` made of it."""
    try:
        found = weights_of(model, placements(bundle.spec))
    except ValueError as error:  # of Keras, where it has no layer of that name
        raise ConversionError(
            f"{model.name}: is not the model that to_keras makes of this bundle: {error}"
        ) from None
    tensors = {
        name: np.asarray(found.get(name, tensor), np.float32)
        for name, tensor in bundle.tensors.items()
    }
    updated = replace(bundle, tensors=tensors, mean_states={}, metrics={})
    if wrong := faults(updated):
        raise ConversionError(
            f"{model.name}: is not the model that to_keras makes of this bundle: {summary(wrong)}"
        )
    return updated
