"""Keras models, live and from their files, against what Keras itself answers."""

from __future__ import annotations

import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from birnn.errors import ConversionError, FormatError, ShapeError
from birnn.foreign import Beside, bundle_of, keras_layers
from birnn.importing.keras_file import read_keras_file
from birnn.keras import from_keras
from birnn.runtime import Predictor

LABELS = ["x", "y", "z"]


def sleep_like(cell="GRU"):
    """The architecture of a published sleep stager: its layers in its order."""
    recurrent = getattr(layers, cell)
    return [
        layers.Input((None, 6)),
        layers.Masking(-1.0),
        layers.BatchNormalization(),
        layers.Dense(7),
        layers.ReLU(),
        layers.Bidirectional(recurrent(4, return_sequences=True)),
        layers.Dropout(0.5),
        layers.Bidirectional(recurrent(4, return_sequences=True)),
        layers.Dense(3, activation="softmax"),
    ]


def ids(*above):
    return [layers.Input((None,)), layers.Embedding(9, 5, mask_zero=True), *above]


def both(cell="LSTM", units=4, merge="concat", *, sequences=True, **how):
    half = getattr(layers, cell)(units, return_sequences=sequences, **how)
    return layers.Bidirectional(half, merge_mode=merge)


MODELS = {
    "sleep": lambda: sleep_like(),
    "sleep-lstm": lambda: sleep_like("LSTM"),
    "normalised alone": lambda: [
        layers.Input((None, 6)),
        layers.BatchNormalization(),
        both("SimpleRNN", activation="relu"),
        layers.Dense(3),
    ],
    "folded everywhere": lambda: [
        layers.Input((None, 6)),
        layers.Dense(5),
        layers.BatchNormalization(),
        both("GRU"),
        layers.BatchNormalization(scale=False),
        layers.TimeDistributed(layers.Dense(6)),
        both("GRU"),
        layers.BatchNormalization(center=False),
        layers.Dense(5, activation="gelu"),
        layers.BatchNormalization(),
        layers.Dense(3, use_bias=False),
        layers.Softmax(),
    ],
    "sizes of their own": lambda: [
        layers.Input((None, 6)),
        both("LSTM", 5),
        both("LSTM", 2),
        layers.LSTM(3, return_sequences=True),
        layers.Dense(3, activation="softmax"),
    ],
    "activations": lambda: [
        layers.Input((None, 6)),
        layers.Activation("tanh"),
        both("GRU", merge="sum"),
        layers.Dense(4),
        layers.Activation("relu"),
        layers.Dense(4, activation=layers.ReLU()),
        layers.Dense(3),
        layers.Activation("softmax"),
    ],
    "items": lambda: ids(
        both(merge="mul"), both(merge="mul"), layers.Dense(3, activation="softmax")
    ),
    "items, dense": lambda: ids(
        layers.Dense(6, activation="relu"), both(merge="ave"), layers.Dense(3, "softmax")
    ),
    "without biases": lambda: ids(both("GRU", use_bias=False), layers.Dense(3, "softmax")),
    "final": lambda: ids(both(sequences=False), layers.Dense(3, activation="softmax")),
    "final, one direction": lambda: ids(
        layers.GRU(4, return_sequences=True), layers.GRU(4), layers.Dense(3, activation="softmax")
    ),
    "mean": lambda: ids(
        both(), layers.GlobalAveragePooling1D(), layers.Dense(3, activation="softmax")
    ),
    "several": lambda: ids(
        both(sequences=False), layers.Dense(4, "relu"), layers.Dense(3, activation="sigmoid")
    ),
    "yes or no": lambda: ids(both(sequences=False), layers.Dense(1, activation="sigmoid")),
    "values": lambda: [
        layers.Input((None, 6)),
        both(),
        layers.GlobalMaxPooling1D(),
        layers.BatchNormalization(),
        layers.Dense(2),
    ],
}


def made(name):
    """A model with every weight random, variances above 0."""
    model = keras.Sequential(MODELS[name]())
    random = np.random.default_rng(3)
    for layer in model.layers:
        weights = [random.standard_normal(w.shape) * 0.6 for w in layer.get_weights()]
        if isinstance(layer, layers.BatchNormalization):
            weights[-1] = np.abs(weights[-1]) + 0.3
        layer.set_weights(weights)
    return model


def beside_of(name, model):
    vocabulary = None
    if len(model.input_shape) == 2:
        vocabulary = ["", "[UNK]", *"abcdefg"]
    outputs = model.output_shape[-1]
    labels = None if name == "values" else LABELS[: max(2, outputs)]
    return Beside(
        vocabulary=vocabulary, labels=labels, task="regressor" if name == "values" else None
    )


def predictor_of(name, model, config=None, weights=None):
    if config is None:
        config, weights = model.get_config(), {x.name: x.get_weights() for x in model.layers}
    beside = beside_of(name, model)
    return Predictor(bundle_of(keras_layers(config, weights), beside, []))


def answers_of(name, model, predictor, lengths=(5, 1, 3)):
    """What Keras and birnn answer for sequences of these lengths, Keras for each one alone."""
    random = np.random.default_rng(5)
    ours, theirs = [], []
    for length in lengths:
        if len(model.input_shape) == 2:
            number = random.integers(1, 9, (1, length))
            sequence = ["?abcdefg"[n - 1] for n in number[0]]
        else:
            number = random.standard_normal((1, length, 6)).astype(np.float32)
            sequence = number[0]
        given = predictor.predict([sequence]) if name == "values" else None
        ours.append(np.asarray(given or predictor.predict_proba([sequence])[0]).reshape(-1))
        found = keras.ops.convert_to_numpy(model(number))[0]
        if found.shape[-1] == 1:
            found = np.concatenate([1 - found, found], -1)
        theirs.append(found)
    return ours, theirs


# What another model in this list proves too, with less.
SLOW = {"sleep-lstm", "normalised alone", "items, dense", "without biases", "final, one direction"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in MODELS]
)
def test_it_answers_as_keras_does(name):
    model = made(name)
    ours, theirs = answers_of(name, model, predictor_of(name, model))
    logits = model.layers[-1].get_config().get("activation") == "linear" and name != "values"
    for own, other in zip(ours, theirs, strict=True):
        if logits:
            powers = np.exp(other - other.max(-1, keepdims=True))
            other = powers / powers.sum(-1, keepdims=True)
        np.testing.assert_allclose(own, other.reshape(-1), rtol=2e-5, atol=3e-6)


@pytest.mark.parametrize("name", ["sleep", "folded everywhere", "sizes of their own", "final"])
def test_a_file_is_read_as_the_model_is(name, tmp_path):
    model = made(name)
    model.save(tmp_path / "model.keras")
    config, weights = read_keras_file(tmp_path / "model.keras")
    live, read = predictor_of(name, model), predictor_of(name, model, config, weights)
    assert read.spec == live.spec
    for key, tensor in live.bundle.tensors.items():
        np.testing.assert_array_equal(read.bundle.tensors[key], tensor)


def test_masked_steps_are_steps_that_are_not_there():
    """Keras passes over them, wherever they stand: without them birnn answers the same."""
    model = made("sleep")
    predictor = predictor_of("sleep", model)
    x = np.random.default_rng(0).standard_normal((1, 7, 6)).astype(np.float32)
    x[0, [0, 3, 6]] = -1
    real = (x[0] != -1).any(axis=1)
    [found] = predictor.predict_proba([x[0, real]])
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(model(x))[0, real], atol=3e-6)


def test_a_backward_layer_of_its_own_and_a_functional_model_with_poolings():
    x = layers.Input((None, 6))
    rows = layers.Bidirectional(
        layers.GRU(3, return_sequences=True, use_bias=False, name="to"),
        backward_layer=layers.GRU(3, return_sequences=True, go_backwards=True, name="fro"),
    )(x)
    pools = [layers.GlobalMaxPooling1D()(rows), layers.GlobalAveragePooling1D()(rows)]
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.Concatenate()(pools)))
    predictor = predictor_of("functional", model)
    ours, theirs = answers_of("functional", model, predictor)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-5, atol=3e-6)


def test_the_same_pooling_twice_adds_up():
    x = layers.Input((None, 6))
    rows = both("GRU")(x)
    pools = [layers.GlobalMaxPooling1D()(rows), layers.GlobalMaxPooling1D()(rows)]
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.Concatenate()(pools)))
    ours, theirs = answers_of("functional", model, predictor_of("functional", model))
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-5, atol=3e-6)


def functional(make, steps=None):
    x = layers.Input((steps, 6))
    model = keras.Model(x, make(x))
    return model.get_config(), {layer.name: layer.get_weights() for layer in model.layers}


class Negated(layers.Dense):
    """A layer of somebody's own, which has the weights of Keras' layer and not its function."""

    def call(self, inputs):
        return -super().call(inputs)


def own_class():
    config, weights = refused(both(), Negated(2, name="own"))
    config["layers"][-1]["class_name"] = "Dense"  # a class of somebody's own may be called so
    return config, weights


def quantised():
    model = keras.Sequential([layers.Input((None, 6)), both(), layers.Dense(2, name="q")])
    model.layers[-1].quantize("int8")
    return model.get_config(), {layer.name: layer.get_weights() for layer in model.layers}


def begun(x):
    state = layers.Dense(4, name="first")(layers.GlobalMaxPooling1D()(x))
    return layers.Dense(2)(layers.GRU(4, return_sequences=True, name="g")(x, initial_state=state))


def refused(*above, inputs=6):
    model = keras.Sequential([layers.Input((None, inputs)), *above])
    return model.get_config(), {layer.name: layer.get_weights() for layer in model.layers}


BAD = {
    "convolution": (
        lambda: refused(layers.Conv1D(4, 3, name="cnn"), both()),
        r"cnn \(layer 1\): birnn has no counterpart of Keras' Conv1D",
    ),
    "a GRU of before": (lambda: refused(layers.GRU(4, reset_after=False)), "reset_after is False"),
    "an activation": (lambda: refused(layers.LSTM(4, activation="relu")), "activation is 'relu'"),
    "halves apart": (
        lambda: (
            {"layers": [{"class_name": "Bidirectional", "config": {
                "name": "b", "merge_mode": None,
                "layer": {"class_name": "GRU", "config": {}}}}]},
            {"b": []},
        ),
        "merge_mode is None",
    ),
    "backwards alone": (lambda: refused(layers.LSTM(4, go_backwards=True)), "reads backwards"),
    "two cells": (
        lambda: refused(both("GRU"), both("LSTM"), layers.Dense(2)),
        "several cells: .* gru, .* lstm",
    ),
    "two merges": (
        lambda: refused(both("GRU", merge="sum"), both("GRU"), layers.Dense(2)),
        "several ways of merging",
    ),
    "two dense layers": (
        lambda: refused(layers.Dense(3, "relu"), layers.Dense(3, "relu"), both(), layers.Dense(2)),
        "a second dense layer before the encoder",
    ),
    "between layers": (
        lambda: refused(both(), layers.Dense(3, "relu", name="mid"), both(), layers.Dense(2)),
        r"mid: .* an activation \(relu\) between recurrent layers",
    ),
    "two activations": (
        lambda: refused(both(), layers.Dense(3, "relu"), layers.Dense(3, "tanh"), layers.Dense(2)),
        "one activation, these have relu and tanh",
    ),
    "elu": (
        lambda: refused(both(), layers.Dense(3, "elu"), layers.Dense(2)),
        "its activation is 'elu'",
    ),
    "several sigmoids": (
        lambda: refused(both(), layers.Dense(3, "sigmoid")),
        "answers once for a sequence, this model every step",
    ),
    "no scores": (lambda: refused(both()), "ends with it"),
    "a slope": (
        lambda: refused(layers.ReLU(negative_slope=0.1), both(), layers.Dense(2)),
        "negative_slope is 0.1",
    ),
    "another axis": (
        lambda: functional(lambda x: both()(layers.BatchNormalization(axis=1, name="n")(x)), 6),
        r"n: its axis is 1, it must be the last",
    ),
    "another axis of settings": (
        lambda: functional(
            lambda x: both()(layers.Normalization(axis=1, mean=[0] * 6, variance=[1] * 6)(x)), 6
        ),
        r"its axis is \(1,\), it must be the last",
    ),
    "pooled channels": (
        lambda: functional(
            lambda x: layers.GlobalMaxPooling1D("channels_first", name="p")(both()(x)), 8
        ),
        "p: its data_format is 'channels_first'",
    ),
    "an initial state": (
        lambda: functional(begun),
        "g: it is called with initial_state, which first computes",
    ),
    "each step a sequence": (
        lambda: (
            {"layers": [{"class_name": "TimeDistributed", "config": {
                "name": "t", "layer": {"class_name": "Bidirectional", "config": {}}}}]},
            {"t": []},
        ),
        "t: birnn has no counterpart of Keras' TimeDistributed of Bidirectional",
    ),
    "a model in a model": (
        lambda: refused(keras.Sequential([layers.Input((None, 6)), both()], name="m")),
        "m .layer 1.: is a model within the model",
    ),
    "a class of its own": (own_class, r"own \(layer 2\): is of a class .*Negated.* of its own"),
    "items as vectors": (
        lambda: (
            {"layers": [{"class_name": "StringLookup", "config": {
                "name": "s", "output_mode": "one_hot"}}]},
            {},
        ),
        "s: output_mode is 'one_hot', it must be 'int'",
    ),
    "quantised": (quantised, "q: has weights of int8"),
    "no weights": (
        lambda: (refused(both(), layers.Dense(2))[0], {}),
        "the reverse direction is missing: there are 0 arrays",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_has_no_counterpart_is_named(name):
    from birnn.foreign import assemble

    make, message = BAD[name]
    with pytest.raises((ConversionError, ShapeError), match=message):
        assemble(keras_layers(*make()))


def test_a_model_of_its_own_class_is_refused(tmp_path):
    """Its code may do anything with what its layers give."""

    class NegatedModel(keras.Model):
        def call(self, *given, **how):
            return -super().call(*given, **how)

    model = NegatedModel(x := layers.Input((None, 6)), layers.Dense(2)(both()(x)))
    with pytest.raises(ConversionError, match="NegatedModel"):
        from_keras(model, labels=LABELS[:2])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ConversionError, match="NegatedModel"):
        keras_layers(*read_keras_file(tmp_path / "model.keras"))


def test_a_missing_half_and_other_shapes_are_refused():
    config, weights = refused(both("GRU"), layers.Dense(2, name="d"))
    with pytest.raises(ConversionError, match=r"d: it has 1 arrays, needed are 2 \(use_bias=True"):
        keras_layers(config, weights | {"d": weights["d"][:1]})
    with pytest.raises(ShapeError, match="d: it has 2 units by its config, 3 by its weights"):
        keras_layers(config, weights | {"d": [np.ones((8, 3)), np.ones(3)]})
    name = next(n for n, w in weights.items() if len(w) == 6)
    with pytest.raises(ConversionError, match="reverse direction is missing: there are 5"):
        keras_layers(config, weights | {name: weights[name][:5]})
    narrow = [*weights[name][:3], *[w[:, :9] for w in weights[name][3:]]]
    with pytest.raises(ShapeError, match="shapes disagree"):
        keras_layers(config, weights | {name: narrow})


# ---------------------------------------------------------------------- files


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.keras"
    made("sleep").save(path)
    return path


def rewritten(path, **entries):
    """The same archive with some entries changed or left out (None)."""
    with zipfile.ZipFile(path) as old:
        held = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in (held | entries).items():
            if content is not None:
                new.writestr(name, content)
    return path


def test_only_the_weights_of_the_file_itself_are_read(file, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as held:
        held["x"] = np.zeros((6, 7), np.float32)
    for link in (h5py.ExternalLink(str(other), "/x"), h5py.SoftLink("/layers/dense_1/vars/0")):
        with zipfile.ZipFile(file) as archive:
            (tmp_path / "w.h5").write_bytes(archive.read("model.weights.h5"))
        with h5py.File(tmp_path / "w.h5", "r+") as weights:
            del weights["layers/dense/vars/0"]
            weights["layers/dense/vars/0"] = link
        changed = tmp_path / "changed.keras"
        changed.write_bytes(file.read_bytes())
        rewritten(changed, **{"model.weights.h5": (tmp_path / "w.h5").read_bytes()})
        with pytest.raises(FormatError, match="is a link: refused"):
            read_keras_file(changed)


def test_the_config_of_a_file_is_checked(file):
    rewritten(file, **{"config.json": json.dumps({"config": {"name": "x"}}).encode()})
    with pytest.raises(FormatError, match="has no list of layers"):
        read_keras_file(file)


def test_an_encrypted_file_is_refused(file):
    content = bytearray(file.read_bytes())
    for found in re.finditer(rb"PK\x01\x02|PK\x03\x04", bytes(content)):
        content[found.start() + (8 if found[0].endswith(b"\x02") else 6)] |= (
            1  # a flag of each entry
        )
    file.write_bytes(content)
    with pytest.raises(FormatError, match="encrypted"):
        read_keras_file(file)
