"""A file that birnn exported is imported as the bundle that it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from birnn.bundle import Bundle
from birnn.errors import FormatError
from birnn.export.onnx import bundle_from, metadata_of, model_of, write
from birnn.export.verify import random_batch
from birnn.importing import import_model
from birnn.runtime import Predictor

Model = Callable[..., Bundle]


def weights_of(bundle: Bundle) -> dict[str, np.ndarray]:
    constants = model_of(bundle).graph.initializer
    return {each.name: np.array(onnx.numpy_helper.to_array(each)) for each in constants}


def test_what_is_exported_comes_back_to_the_bit(model: Model, name: str, tmp_path: Path) -> None:
    bundle = model(name)
    write(bundle, tmp_path / "m.onnx")
    told: list[str] = []
    found = import_model(tmp_path / "m.onnx", tell=told.append)
    assert told == []
    assert found.spec == bundle.spec
    assert found.bundle.vocabularies == bundle.vocabularies
    assert found.bundle.tensors.keys() == bundle.tensors.keys()
    for key, tensor in bundle.tensors.items():
        np.testing.assert_array_equal(found.bundle.tensors[key], tensor, err_msg=key)
    sequences = random_batch(bundle)
    assert found.predict(sequences) == Predictor(bundle).predict(sequences)


def test_what_is_given_beside_an_own_file_is_said_to_be_unused(
    model: Model, tmp_path: Path
) -> None:
    write(model("mixed"), tmp_path / "m.onnx")
    told: list[str] = []
    import_model(tmp_path / "m.onnx", tell=told.append, labels=["x", "y"])
    assert len(told) == 1
    assert told[0].endswith("what was given beside is unused")


def without(name: str) -> Callable[[Any, Any], None]:
    return lambda weights, kept: weights.pop(name)


def one_direction(weights: Any, kept: Any) -> None:
    for part in ("W", "R", "B"):
        weights[f"encoder.layer_0.{part}"] = weights[f"encoder.layer_0.{part}"][:1]


def narrower(weights: Any, kept: Any) -> None:
    weights["encoder.layer_0.W"] = weights["encoder.layer_0.W"][:, :, :-1]


def flat(weights: Any, kept: Any) -> None:
    weights["encoder.layer_0.W"] = np.float32(1)


def other_spec(weights: Any, kept: Any) -> None:
    kept["birnn.spec"] = json.dumps({"inputs": {}})


def broken_spec(weights: Any, kept: Any) -> None:
    kept["birnn.spec"] = kept["birnn.spec"][:-1]


def fewer_words(weights: Any, kept: Any) -> None:
    words = json.loads(kept["birnn.vocabularies"])
    kept["birnn.vocabularies"] = json.dumps(words | {"words": words["words"][:-1]})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("head.linear.weight"), "lacks tensor head.linear.weight"),
        (without("encoder.layer_1.R"), "it lacks 'encoder.layer_1.R'"),
        (one_direction, "the reverse direction is missing"),
        (narrower, "encoder.*weight_ih|weight_ih"),
        (flat, "layer 0"),
        (other_spec, "spec.inputs"),
        (broken_spec, "birnn.spec is not whole JSON"),
        (fewer_words, "vocabulary of words has 8 items, spec says 9"),
    ],
)
def test_a_file_that_was_changed_is_refused(model: Model, change: Any, told: str) -> None:
    bundle = model("lstm-iob2")
    weights, kept = weights_of(bundle), dict(metadata_of(bundle))
    assert bundle_from(weights, kept, "m.onnx").spec == bundle.spec
    change(weights, kept)
    with pytest.raises(FormatError, match=told) as found:
        bundle_from(weights, kept, "m.onnx")
    assert str(found.value).startswith("m.onnx: ")
