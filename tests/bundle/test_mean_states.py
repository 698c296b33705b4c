"""Mean states in a bundle: kept, checked, and not needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from birnn.bundle import Bundle, load, save
from birnn.errors import BundleError
from birnn.runtime import Predictor

FILE = "background.safetensors"


@pytest.fixture
def known(bundle: Bundle) -> Bundle:
    random = np.random.default_rng(0)
    shapes = bundle.spec.mean_states()
    means = {n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    return replace(bundle, mean_states=means)


def test_it_comes_back_as_it_was_and_predictions_do_not_care(
    bundle: Bundle, known: Bundle, tmp_path: Path
) -> None:
    save(known, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert set(loaded.mean_states) == {"rows", "last"}
    for name, array in known.mean_states.items():
        np.testing.assert_array_equal(loaded.mean_states[name], array)
    words = [["the", "bank"], ["café"]]
    assert Predictor(loaded).predict(words) == Predictor(bundle).predict(words)


def test_a_bundle_without_it_is_whole(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "model")
    assert not (tmp_path / "model" / FILE).exists()
    assert load(tmp_path / "model").mean_states == {}


def test_one_that_is_no_longer_meant_is_not_read(known: Bundle, tmp_path: Path) -> None:
    save(known, tmp_path / "model")
    save(replace(known, mean_states={}), tmp_path / "model")
    assert load(tmp_path / "model").mean_states == {}


@pytest.mark.parametrize(
    ("background", "fault"),
    [
        ({"rows": np.zeros((2, 3), np.float32)}, r"lacks tensor last \(2, 3\)"),
        (
            {name: np.zeros((2, 4), np.float32) for name in ("rows", "last")},
            r"tensor rows has shape \(2, 4\), spec says \(2, 3\)",
        ),
        (
            {name: np.full((2, 3), np.nan, np.float32) for name in ("rows", "last")},
            "tensor last has 6 values that are NaN",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    known: Bundle, tmp_path: Path, background: dict[str, np.ndarray], fault: str
) -> None:
    with pytest.raises(BundleError, match=fault):
        save(replace(known, mean_states=background), tmp_path / "other")
    save(known, tmp_path / "model")
    (tmp_path / "model" / FILE).write_bytes(safetensors.numpy.save(background))
    with pytest.raises(BundleError, match=f"{FILE} {fault}"):
        load(tmp_path / "model")


def test_a_missing_or_foreign_file_is_named(known: Bundle, tmp_path: Path) -> None:
    save(known, tmp_path / "model")
    (tmp_path / "model" / FILE).unlink()
    with pytest.raises(BundleError, match=f"{FILE} is missing"):
        load(tmp_path / "model")
    manifest = tmp_path / "model" / "birnn.json"
    told = json.loads(manifest.read_text())
    told["files"]["background"] = "../elsewhere"
    manifest.write_text(json.dumps(told))
    with pytest.raises(BundleError, match="leaves the folder: refused"):
        load(tmp_path / "model")
