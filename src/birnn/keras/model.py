"""A bundle as a functional Keras model."""

# B sequences, T steps of the longest, C characters of the longest word, K features of a word,
# D channels, H hidden units, W width of a row, L scores

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from birnn.bundle import BundleSource, as_float32
from birnn.errors import ConversionError, Tell, log_notice
from birnn.inputs import Symbols, Vectors, Words
from birnn.keras.backend import DType, load_keras, precision
from birnn.keras.recurrent import KerasStackOutput, Steps, Tensor, encode, steps_of, zeroed
from birnn.keras.weights import placements, set_weights
from birnn.tasks import Values


def to_keras(model: BundleSource, *, dtype: DType = "float32", tell: Tell = log_notice) -> Any:
    """A bundle as a functional Keras 3 model, of layers and operations of Keras alone.

    It can be saved, loaded, trained further and exported as any Keras model; nothing of birnn is
    in it. Sequences stand at the left of their rows, any numbers beside them.

    Args:
        model: A bundle, its folder, or what `birnn.load` gave.
        dtype: Of its weights and results; ``float64`` on TensorFlow only.
        tell: Takes notices: of the backend that was chosen, of weights that were dequantised.

    Returns:
        The model. Its inputs are, by name, ``lengths`` (B,); of words ``words`` (B, T), with
        characters ``characters`` (B, T, C) and ``character_lengths`` (B, T), with affix features
        ``features`` (B, T, K); of symbols ``symbols`` (B, T); of vectors ``vectors`` (B, T, D),
        less the offset of the bundle's inputs where it has one.

        Its output are the scores of the head: (B, T, L) where it answers for every step, which mean
        nothing where there is no step, else (B, L). Of a regressor they are its values, less the
        offset of the bundle's head where it has one; `birnn.export.with_offset` adds it.

    Raises:
        ConversionError: A model that writes sequences.
        MissingExtra: Keras or its backend is not installed.
        ConfigError: ``float64`` on a backend where Keras computes in float32 all the same.
        BundleError: A folder that holds no whole bundle.
        UsageError: No model.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2)
        ... )
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("coil", "helix")}
        >>> model = to_keras(Bundle(spec, vocabularies, tensors))
        >>> model.predict(
        ...     {"symbols": np.array([[1, 2, 0]]), "lengths": np.array([2])}, verbose=0
        ... ).shape
        (1, 3, 2)
    """
    bundle = as_float32(model, tell=tell)
    spec = bundle.spec
    if spec.head.searches:
        raise ConversionError(
            f"a {spec.task} model writes its answer symbol by symbol, each after the one before, "
            "and a functional Keras model has no layer for that. Export it to onnx, jax or torch."
        )
    head = spec.head.scored("a Keras model")
    keras = load_keras(tell)
    with precision(keras, dtype):
        read = INPUTS[type(spec.inputs)](keras, spec.inputs, bundle.tensors)
        parts = head.pooling_parts
        encoded = encode(
            keras,
            spec.stack,
            read.rows,
            read.steps,
            name="encoder",
            rows_wanted=parts != ("last",),
            final_wanted="last" in parts,
        )
        rows = _pooled(keras, head, encoded, read.steps)
        for name, size in zip(head.hidden_layers, head.hidden, strict=True):
            rows = keras.layers.Dense(size, activation=head.activation, name=name)(rows)
        scores = keras.layers.Dense(head.size, name="scores")(rows)
        if isinstance(head, Values):
            scores = keras.layers.Rescaling(
                bundle.tensors["head.scale"].tolist(),
                offset=bundle.tensors["head.mean"].tolist(),
                name="values",
            )(scores)
        made = keras.Model(read.inputs, scores, name=spec.task)
        set_weights(made, placements(spec), bundle.tensors)
    return made


class Read(NamedTuple):
    """The inputs of a model.

    Args:
        inputs: Its input layers by name.
        rows: The rows that the encoder reads, (B, T, W).
        steps: Which steps are real.
    """

    inputs: dict[str, Tensor]
    rows: Tensor
    steps: Steps


def _input(keras: Any, name: str, *shape: int | None, dtype: str = "int32") -> Tensor:
    return keras.Input(shape, dtype=dtype, name=name)


# ---------------------------------------------------------------------- inputs


def _words(keras: Any, described: Words, tensors: Any) -> Read:
    """Word vector, characters and features side by side."""
    layers, ops = keras.layers, keras.ops
    inputs = {"words": _input(keras, "words", None), "lengths": _input(keras, "lengths")}
    parts = [layers.Embedding(described.size, described.dim, name="words_vectors")(inputs["words"])]
    if described.characters is not None:
        inputs["characters"] = _input(keras, "characters", None, None)
        inputs["character_lengths"] = _input(keras, "character_lengths", None)
        parts.append(_spelling(keras, described, **inputs))
    if described.surface is not None:
        surface = described.surface
        inputs["features"] = _input(keras, "features", None, surface.features)
        vectors = layers.Embedding(surface.size, surface.dim, name="features_vectors")
        parts.append(ops.sum(vectors(inputs["features"]), axis=2))
    rows = layers.Concatenate(name="rows")(parts) if len(parts) > 1 else parts[0]
    return Read(inputs, rows, steps_of(keras, inputs["words"], inputs["lengths"]))


def _spelling(
    keras: Any, described: Words, characters: Tensor, character_lengths: Tensor, **_: Tensor
) -> Tensor:
    """The final states of the network over the characters of each word, (B, T, 2H).

    All words are read as one batch (BT, C). Keras reshapes to one unknown size and not to two, so
    the characters are gathered by their numbers in the flat array, and the words' vectors likewise.
    """
    ops, network = keras.ops, described.characters
    assert network is not None
    flat_lengths = ops.reshape(character_lengths, (-1,))
    column = ops.max(_counted(ops, characters, axis=2), axis=(0, 1))
    number = ops.expand_dims(_counted(ops, flat_lengths, axis=0), axis=-1)
    place_of = number * (ops.max(column) + 1) + ops.expand_dims(column, axis=0)
    flat = ops.take(ops.reshape(characters, (-1,)), place_of)
    vectors = keras.layers.Embedding(network.size, network.dim, name="characters_vectors")(flat)
    final = encode(
        keras,
        network.stack,
        vectors,
        steps_of(keras, flat, flat_lengths),
        name="characters",
        rows_wanted=False,
    ).final
    step = _counted(ops, character_lengths, axis=1)
    word = _counted(ops, character_lengths, axis=0) * (ops.max(step) + 1) + step
    return ops.take(final, word, axis=0)


def _counted(ops: Any, ids: Tensor, axis: int) -> Tensor:
    """The number of each place along an axis, from 0 on."""
    return ops.cumsum(ops.ones_like(ids), axis=axis) - 1


def _symbols(keras: Any, described: Symbols, tensors: Any) -> Read:
    """A vector for each symbol."""
    inputs = {"symbols": _input(keras, "symbols", None), "lengths": _input(keras, "lengths")}
    vectors = keras.layers.Embedding(described.size, described.dim, name="symbols_vectors")
    return Read(
        inputs, vectors(inputs["symbols"]), steps_of(keras, inputs["symbols"], inputs["lengths"])
    )


def _vectors(keras: Any, described: Vectors, tensors: Any) -> Read:
    """Standardised channels."""
    floats = keras.config.floatx()
    inputs = {
        "vectors": _input(keras, "vectors", None, described.size, dtype=floats),
        "lengths": _input(keras, "lengths"),
    }
    steps = steps_of(keras, keras.ops.take(inputs["vectors"], 0, axis=-1), inputs["lengths"])
    rows = zeroed(keras, inputs["vectors"], steps)
    # Two layers: x / scale - mean / scale would round where the mean is large.
    centred = keras.layers.Rescaling(1.0, offset=(-tensors["inputs.mean"]).tolist(), name="centred")
    scale = 1.0 / tensors["inputs.scale"].astype(np.float64)
    rows = keras.layers.Rescaling(scale.tolist(), name="standardised")(centred(rows))
    if described.dense is not None:
        size, activation = described.dense.size, described.dense.activation
        rows = keras.layers.Dense(size, activation=activation, name="dense")(rows)
    return Read(inputs, rows, steps)


INPUTS: dict[type, Callable[[Any, Any, Any], Read]] = {
    Words: _words,
    Symbols: _symbols,
    Vectors: _vectors,
}


# ---------------------------------------------------------------------- heads


def _pooled(keras: Any, head: Any, encoded: KerasStackOutput, steps: Steps) -> Tensor:
    """What the head's layers read: the rows (B, T, W), or one row for a sequence (B, W)."""
    if head.per_step:
        return encoded.rows
    parts = [POOLINGS[part](keras, head, encoded, steps) for part in head.pooling_parts]
    return keras.layers.Concatenate(name="pooled")(parts) if len(parts) > 1 else parts[0]


LOWEST = float(np.finfo(np.float32).min)


def _last(keras: Any, head: Any, encoded: KerasStackOutput, steps: Steps) -> Tensor:
    return encoded.final


def _max(keras: Any, head: Any, encoded: KerasStackOutput, steps: Steps) -> Tensor:
    ops = keras.ops
    # The least number, not -inf: an empty sequence's maximum must be finite to have a gradient.
    lowest = ops.full_like(encoded.rows, LOWEST)
    rows = ops.where(ops.expand_dims(steps.real, axis=-1), encoded.rows, lowest)
    top = ops.max(rows, axis=1)
    return ops.where(steps.empty, ops.zeros_like(top), top)


def _mean(keras: Any, head: Any, encoded: KerasStackOutput, steps: Steps) -> Tensor:
    ops = keras.ops
    # `GlobalAveragePooling1D` divides by 0 steps of an empty sequence.
    count = ops.sum(ops.cast(steps.read, keras.config.floatx()), axis=1, keepdims=True)
    return ops.sum(zeroed(keras, encoded.rows, steps), axis=1) / count


def _attention(keras: Any, head: Any, encoded: KerasStackOutput, steps: Steps) -> Tensor:
    layers, ops = keras.layers, keras.ops
    rows = zeroed(keras, encoded.rows, steps)
    hidden = rows
    if head.attention_score == "additive":
        hidden = layers.Dense(head.attention_size, activation="tanh", name="attention")(rows)
    scores = layers.Dense(1, use_bias=False, name="attention_query")(hidden)
    # A softmax over the steps that are read: of an empty sequence 1 on its first row, which is
    # zero. Keras' own layer warns of sequences of length 1.
    mask = ops.expand_dims(steps.read, axis=-1)
    scores = ops.where(mask, scores, ops.full_like(scores, LOWEST))
    powers = ops.exp(scores - ops.max(scores, axis=1, keepdims=True))
    return ops.sum(powers * rows, axis=1) / ops.sum(powers, axis=1)


POOLINGS: dict[str, Callable[[Any, Any, KerasStackOutput, Steps], Tensor]] = {
    "last": _last,
    "max": _max,
    "mean": _mean,
    "attention": _attention,
}
