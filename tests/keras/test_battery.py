"""The battery on torch in this process, on JAX and TensorFlow in one of their own each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import battery
import pytest

import birnn
from birnn.data import read

WARNING = "__array__ implementation doesn't accept a copy keyword"

TESTS = str(Path(battery.__file__).parents[1])  # where `random_tensors` stands


@pytest.mark.parametrize("check", battery.CHECKS)
def test_on_the_backend_of_this_process(check: str, tmp_path: Path) -> None:
    battery.CHECKS[check](tmp_path)


def said_on(backend: str, checks: list[str], folder: Path) -> None:
    """Run checks in a process on another backend; what each said is left in the folder."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "error", "-W", f"ignore:{WARNING}:DeprecationWarning"]
    if backend == "tensorflow":  # whose own modules warn when they are imported
        command = [sys.executable]
    subprocess.run(
        [*command, str(Path(battery.__file__)), str(folder), *checks],
        env=os.environ | quiet | {"KERAS_BACKEND": backend, "PYTHONPATH": TESTS},
        capture_output=True,
        check=True,
    )
    assert json.loads((folder / "said.json").read_text())["backend"] == backend


def test_on_jax(tmp_path: Path) -> None:
    check = "predict_and_fit_work"  # compiled, with gradients; the others compile for a minute
    said_on("jax", [check], tmp_path / "jax")
    assert json.loads((tmp_path / "jax" / "said.json").read_text())[check] == ""


@pytest.mark.slow  # one check and all of torch's are in `make test`
@pytest.mark.parametrize("check", battery.CHECKS)
def test_all_on_jax(check: str, made_once: Callable[..., Path]) -> None:
    checks = list(battery.CHECKS)
    folder = made_once("keras on jax", lambda place: said_on("jax", checks, place))
    assert json.loads((folder / "said.json").read_text())[check] == ""


@pytest.mark.tensorflow
@pytest.mark.parametrize("check", battery.ON_TENSORFLOW)
def test_on_tensorflow(check: str, made_once: Callable[..., Path]) -> None:
    checks = list(battery.ON_TENSORFLOW)
    folder = made_once("keras on tensorflow", lambda place: said_on("tensorflow", checks, place))
    assert json.loads((folder / "said.json").read_text())[check] == ""


# ---------------------------------------------------------------------- real data

SMALL = {
    "training.epochs": 2,
    "encoder.hidden_size": 12,
    "inputs.word_dim": 12,
    "inputs.character_hidden": 6,
    "inputs.surface_dim": 6,
}


def tagger(folder: Path, data: Path, *, sentences: int | None) -> None:
    """A small tagger, trained on a few sentences of a corpus, and sentences of its test set."""
    train, test = (data / "ud-english-lines" / f"{name}.conllu" for name in ("train", "test"))
    examples = list(islice(read(train, "tags"), 80))
    folder.mkdir(exist_ok=True)
    birnn.train("tagger", train=examples, settings=SMALL, out=folder / "pos", quiet=True)
    given = [[], *(list(example.inputs) for example in islice(read(test, "tags"), sentences))]
    (folder / "sentences.json").write_text(json.dumps(given), "utf-8")


@pytest.mark.shared
def test_tags_of_a_slice_are_the_runtimes(shared_data: Path, tmp_path: Path) -> None:
    tagger(tmp_path, shared_data, sentences=65)
    battery.REAL(tmp_path)


@pytest.mark.slow
@pytest.mark.shared
def test_tags_of_more_are_the_runtimes_on_jax(shared_data: Path, tmp_path: Path) -> None:
    # JAX compiles for every shape of a batch: the whole test set took three minutes.
    check_real_data("jax", shared_data, tmp_path, sentences=256)


@pytest.mark.tensorflow
@pytest.mark.shared
def test_tags_of_the_test_set_are_the_runtimes_on_tensorflow(
    shared_data: Path, tmp_path: Path
) -> None:
    check_real_data("tensorflow", shared_data, tmp_path, sentences=None)


def check_real_data(backend: str, data: Path, folder: Path, *, sentences: int | None) -> None:
    check = battery.REAL.__name__
    tagger(folder, data, sentences=sentences)
    said_on(backend, [check], folder)
    assert json.loads((folder / "said.json").read_text())[check] == ""
