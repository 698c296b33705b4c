"""Bundles from Keras models: those that birnn made, and what else people write."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import battery
import keras
import numpy as np
import pytest
from keras import layers

from birnn.bundle import dequantised, quantised, save
from birnn.errors import BundleError, ConversionError, FormatError, UsageError
from birnn.export import export_model
from birnn.importing import import_model
from birnn.keras import from_keras, to_keras
from birnn.runtime import Predictor

LABELS = ["x", "y", "z"]


@pytest.mark.parametrize("name", battery.MODELS)
def test_a_bundle_comes_back_from_its_model(name: str) -> None:
    bundle = battery.bundle_of(name)
    found, expected = Predictor(from_keras(to_keras(bundle), like=bundle)), Predictor(bundle)
    sequences = battery.sequences_of(bundle)
    for ours, theirs in zip(found.scores(sequences), expected.scores(sequences), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_model_comes_as_a_bundle_a_folder_or_a_predictor(tmp_path: Path) -> None:
    bundle = battery.bundle_of("symbols")
    save(bundle, tmp_path / "m")
    wanted = to_keras(bundle).get_weights()
    for given in (tmp_path / "m", str(tmp_path / "m"), Predictor(bundle)):
        model = to_keras(given)
        for own, weight in zip(model.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(own, weight)
        found = from_keras(model, like=given)
        np.testing.assert_array_equal(found.tensors["head.linear.bias"], wanted[-1])
    with pytest.raises(UsageError, match=r"model is a dict\. Give a bundle, its folder, or what"):
        to_keras({})
    with pytest.raises(BundleError, match="nowhere: there is no such folder"):
        to_keras("nowhere")


def test_weights_that_were_trained_further_are_taken() -> None:
    bundle = battery.bundle_of("words")
    model = to_keras(bundle)
    random = np.random.default_rng(4)
    model.set_weights([random.standard_normal(w.shape) for w in model.get_weights()])
    given = battery.feeds(bundle, battery.sequences_of(bundle))
    trained = Predictor(from_keras(model, like=bundle))
    expected = keras.ops.convert_to_numpy(model(given))
    for row, scores in zip(expected, trained.scores(battery.sequences_of(bundle)), strict=True):
        np.testing.assert_allclose(scores, row[: len(scores)], rtol=1e-4, atol=1e-5)


def test_the_model_of_another_bundle_is_refused() -> None:
    bundle, other = battery.bundle_of("symbols"), battery.bundle_of("final states")
    with pytest.raises(ConversionError, match=r"Give from_keras\(model, like=bundle\)"):
        from_keras(to_keras(bundle), labels=LABELS)
    with pytest.raises(ConversionError, match="not the model that to_keras makes of this bundle"):
        from_keras(to_keras(bundle), like=other)


def spoilt(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with its description changed."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(held["birnn.json"])
    change(described)
    held["birnn.json"] = json.dumps(described).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("vocabularies"), "vocabularies are missing"),
        (lambda d: d.update(metadata=[1]), "metadata is not a JSON object"),
        (lambda d: d.pop("tensors"), "lacks tensors"),
        (lambda d: d["tensors"].pop("head.crf.start"), "it lacks 'head.crf.start'"),
        (lambda d: d["tensors"].update({"head.crf.start": [[1], [1, 2]]}), "inhomogeneous"),
        (lambda d: d["spec"]["encoder"].update(hidden_size=4), "has shape"),
        (lambda d: d["spec"]["encoder"].update(num_layers=3), "it lacks 'encoder_l2'"),
        (lambda d: d["vocabularies"]["labels"].pop(), "4 items, spec says 5"),
        (lambda d: d["spec"]["encoder"].update(cell="gru"), r"encoder_l0: shapes disagree"),
    ],
)
def test_a_spoilt_description_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    path = export_model(battery.bundle_of("words"), tmp_path / "model.keras", to="keras")
    with pytest.raises(FormatError, match=message):
        import_model(spoilt(path, change))


# ---------------------------------------------------------------------- what people write


def both(half: Any, **how: Any) -> Any:
    return layers.Bidirectional(half, **how)


def lstm_states() -> Any:
    x = layers.Input((None, 6))
    rows = layers.Masking(9.0)(x)
    _, forward, _, backward, _ = both(layers.LSTM(4, return_state=True))(rows)
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([forward, backward])))


def gru_states() -> Any:
    x = layers.Input((None, 6))
    half = layers.GRU(4, return_state=True, return_sequences=True)
    _, forward, backward = both(half, merge_mode="sum")(x)
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([forward, backward])))


def one_state() -> Any:
    x = layers.Input((None, 6))
    _, state, _ = layers.LSTM(4, return_state=True, return_sequences=True)(x)
    return keras.Model(x, layers.Dense(3)(state))


def adapted() -> Any:
    standard = layers.Normalization()
    standard.adapt(np.random.default_rng(0).standard_normal((5, 7, 6)) * 3 + 2)
    half = layers.SimpleRNN(4, return_sequences=True)
    return keras.Sequential(
        [
            layers.Input((None, 6)),
            standard,
            layers.Dropout(0.3, name="off"),
            both(half),
            layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("make", [lstm_states, gru_states, one_state, adapted])
def test_it_answers_as_keras_does(make: Callable[[], Any], tmp_path: Path) -> None:
    model, notices = make(), []
    predictor = Predictor(from_keras(model, labels=LABELS, tell=notices.append))
    x = np.random.default_rng(1).standard_normal((5, 6)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(x[None]))[0]
    np.testing.assert_allclose(predictor.scores([x])[0], expected, rtol=1e-5, atol=1e-6)
    masks = [line for line in notices if "no layer masks padding" in line]
    assert len(masks) == (make is not lstm_states)
    dropped = [line for line in notices if "acts in training alone" in line]
    assert [line.partition(":")[0] for line in dropped] == ["off"] * (make is adapted)
    model.save(tmp_path / "model.keras")
    read = import_model(tmp_path / "model.keras", labels=LABELS)
    np.testing.assert_allclose(read.scores([x])[0], expected, rtol=1e-5, atol=1e-6)


def cell_state() -> Any:
    x = layers.Input((None, 6))
    _, _, state = layers.LSTM(4, return_state=True, name="own")(x)
    return keras.Model(x, layers.Dense(3, name="scores_of")(state))


def swapped() -> Any:
    x = layers.Input((None, 6))
    _, forward, backward = both(layers.GRU(4, return_state=True), name="own")(x)
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([backward, forward])))


def backwards_first() -> Any:
    halves = (layers.GRU(4, return_sequences=True, go_backwards=back) for back in (True, False))
    own = both(next(halves), backward_layer=next(halves), name="own")
    return keras.Sequential([layers.Input((None, 6)), own, layers.Dense(3)])


def stateful() -> Any:
    own = layers.LSTM(4, stateful=True, name="own")
    return keras.Sequential([layers.Input((None, 6), batch_size=1), own, layers.Dense(3)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (cell_state, "scores_of: it reads output 2 of own"),
        (swapped, "it reads output 2 of own, output 1 of own"),
        (backwards_first, "own: its first half reads backwards"),
        (stateful, "own: it is stateful"),
    ],
)
def test_what_has_no_counterpart_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        from_keras(make(), labels=LABELS)


def test_a_quantised_bundle_is_dequantised_and_told() -> None:
    bundle = battery.bundle_of("symbols")
    small, told = quantised(bundle, "int8"), list[str]()
    made = to_keras(small, tell=told.append)
    assert len([line for line in told if "weights are int8, dequantised" in line]) == 1
    for ours, wanted in zip(
        made.get_weights(), to_keras(dequantised(small)).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, wanted)
    back = from_keras(made, like=small, tell=told.append)
    assert back.spec == bundle.spec
