"""The battery on torch in this process, on JAX and TensorFlow in one of their own each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import battery
import pytest

WARNING = "__array__ implementation doesn't accept a copy keyword"


@pytest.mark.parametrize("check", battery.CHECKS)
def test_on_the_backend_of_this_process(check: str, tmp_path: Path) -> None:
    battery.CHECKS[check](tmp_path)


def said_on(backend: str, checks: list[str], folder: Path) -> None:
    """Run checks in a process on another backend; what each said is left in the folder."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    folder.mkdir()
    command = [sys.executable, "-W", "error", "-W", f"ignore:{WARNING}:DeprecationWarning"]
    if backend == "tensorflow":  # whose own modules warn when they are imported
        command = [sys.executable]
    subprocess.run(
        [*command, str(Path(battery.__file__)), str(folder), *checks],
        env=os.environ | quiet | {"KERAS_BACKEND": backend},
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
