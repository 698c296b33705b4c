"""`birnn import` of what `birnn export` wrote: the bundle that it was made of."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest

from birnn.errors import FormatError
from birnn.export import EXPORTERS
from birnn.foreign import Beside
from birnn.importing import imported
from birnn.runtime import Predictor

MODELS = (
    "attention",
    "far",
    "gaps",
    "gru-tags",
    "lstm-iob2",
    "mixed",
    "relu-last",
    "rnn-three",
    "values",
)
QUICK = ("mixed",)


def sequences_of(bundle):
    if bundle.spec.inputs.holds == "vectors":
        random = np.random.default_rng(0)
        return [random.standard_normal((t, bundle.spec.inputs.size)) for t in (4, 0, 1)]
    known = next(iter(bundle.vocabularies.values()))[1:]
    return [list(known), [], ["?"]]


# Keras takes half a second to build each of them, and has a test of every kind of its own.
GRID = [
    pytest.param(model, to, marks=pytest.mark.slow if to == "keras" and model not in QUICK else ())
    for model in MODELS
    for to in ("torch", "onnx", "keras")
]


@pytest.mark.parametrize(("which", "to"), GRID)
def test_it_is_the_same_model(which, to, model, tmp_path):
    exporter = EXPORTERS[to]
    metrics = {"dev": {"score": 0.5}}
    bundle = replace(
        model(which), metadata={"seed": 3, "reading": {"field": "xpos"}}, metrics=metrics
    )
    path = tmp_path / f"model{exporter.ending}"
    exporter.write(bundle, path)
    told = []
    again = imported(path, Beside(), told.append)
    assert told == []
    assert (again.spec, dict(again.vocabularies)) == (bundle.spec, dict(bundle.vocabularies))
    origin = {"imported": {"file": path.name, "format": again.metadata["imported"]["format"]}}
    assert (again.metadata, again.metrics) == (bundle.metadata | origin, bundle.metrics)
    if to != "keras":  # where two biases become one
        for key, tensor in bundle.tensors.items():
            np.testing.assert_array_equal(again.tensors[key], tensor, err_msg=key)
    sequences = sequences_of(bundle)
    ours, theirs = Predictor(bundle).scores(sequences), Predictor(again).scores(sequences)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(other, own, rtol=1e-5, atol=1e-5)
    imported(path, Beside(labels=["x"]), told.append)
    assert "what was given beside is unused" in told[0]


@pytest.mark.parametrize("holding", ["torch", "onnx"])
def test_it_is_the_same_writer(writer, holding, model, tmp_path):
    bundle = model(writer)
    path = tmp_path / f"model{EXPORTERS[holding].ending}"
    EXPORTERS[holding].write(bundle, path)
    again = imported(path, Beside())
    assert (again.spec, dict(again.vocabularies)) == (bundle.spec, dict(bundle.vocabularies))
    for key, tensor in bundle.tensors.items():
        np.testing.assert_array_equal(again.tensors[key], tensor, err_msg=key)


def test_a_program_of_jax_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model.stablehlo", b"")
    with pytest.raises(FormatError, match="a program of JAX"):
        imported(tmp_path / "model.zip", Beside())


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_one_that_was_changed_is_refused(to, model, tmp_path):
    """A size in its spec that its arrays do not have."""
    path = tmp_path / f"model{EXPORTERS[to].ending}"
    EXPORTERS[to].write(model("gru-tags"), path)
    content = path.read_bytes()
    for mark in (b'hidden_size\\": 4', b'hidden_size": 4'):
        content = content.replace(mark, mark[:-1] + b"5")
    assert content != path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(FormatError, match=path.name):
        imported(path, Beside())
