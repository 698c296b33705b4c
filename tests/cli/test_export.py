"""`birnn export`: the file, the report of --verify, and what is refused before any work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birnn.export import EXPORTERS
from birnn.export.verify import random_batch
from birnn.runtime import Predictor

Trained = Callable[[str], Path]


def test_an_export_is_written_and_verified(
    call: Any, trained: Trained, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tagger.safetensors"
    told = call("export", trained("chain"), "--to", "torch", "--out", out, "--verify")
    assert told.status == 0
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0] == f"torch model in {out}, {out.stat().st_size:,} bytes"
    assert lines[1].startswith("compared ")
    assert lines[2].startswith("largest difference ")
    assert lines[3:] == ["all answers are the same"]
    again = call("export", trained("chain"), "--to", "torch", "--out", out)
    assert "exists. Give another --out, or --overwrite" in again.complaint
    options = ("--verify", "--data", files / "test.iob2", "--overwrite", "--json")
    [found] = call("export", trained("chain"), "--to", "torch", "--out", out, *options).objects
    model = Predictor.load(trained("chain"))
    examples = list(model.read(files / "test.iob2", tell=lambda line: None))
    random = random_batch(model.bundle)
    assert found["verification"]["sequences"] == len(examples) + len(random)
    assert found["verification"]["steps"] == sum(map(len, [*examples, *random]))
    assert found["verification"]["passed"] is True
    assert (found["to"], found["file"], found["bytes"]) == ("torch", str(out), out.stat().st_size)


def test_a_file_that_answers_otherwise_exits_with_1(
    call: Any, trained: Trained, tmp_path: Path
) -> None:
    out = tmp_path / "tagger.safetensors"
    arguments = ("export", trained("chain"), "--to", "torch", "--out", out, "--verify")
    told = call(*arguments, "--tolerance", "1e-30")
    assert told.status == 1
    assert told.err == "birnn: the file does not answer as the model does\n"
    assert "sequence" in told.out
    assert out.exists()


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--to", "tourch", "--out", "x.safetensors"], 2, "did you mean torch"),
        (["--to", "torch", "--out", "x.pt"], 2, "Give --out x.safetensors"),
        (["--to", "torch", "--out", "no/x.safetensors"], 1, "no folder that can be written to"),
        (["--to", "torch", "--out", "x.safetensors", "--data", "f"], 2, "of --verify"),
        (
            ["--to", "torch", "--out", "x.safetensors", "--verify", "--data", "f.tsv"],
            1,
            "f.tsv",
        ),
    ],
)
def test_what_is_refused_is_one_line_and_no_file(
    call: Any,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    told = call("export", trained("chain"), *options)
    assert told.status == status
    assert said in told.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "absent", "extra"),
    [
        ("torch", "torch", "train"),
        ("onnx", "onnx", "onnx"),
        ("onnx", "onnxruntime", "onnx"),
        ("jax", "jax", "jax"),
        ("keras", "keras", "keras"),
        ("keras", "h5py", "keras"),
    ],
)
def test_what_is_not_installed_is_told_before_a_file_is_written(
    call: Any,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    to: str,
    absent: str,
    extra: str,
) -> None:
    model, out = trained("chain"), tmp_path / f"x{EXPORTERS[to].ending}"
    monkeypatch.setitem(sys.modules, absent, None)
    told = call("export", model, "--to", to, "--out", out, "--verify")
    assert told.status == 2
    assert f"this needs {absent}: pip install 'birnn[{extra}]'" in told.complaint
    assert list(tmp_path.iterdir()) == []


def test_onnx_is_written_where_nothing_runs_it(
    call: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    told = call("export", trained("chain"), "--to", "onnx", "--out", tmp_path / "x.onnx")
    assert (told.status, told.err) == (0, "")


def test_a_folder_without_a_bundle_is_refused(call: Any, tmp_path: Path) -> None:
    told = call("export", tmp_path, "--to", "torch", "--out", tmp_path / "x.safetensors")
    assert "is not a bundle" in told.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # Keras in a process of its own; tests/keras tries how its backend is chosen
def test_keras_runs_on_a_backend_that_is_installed_where_none_is_set(
    trained: Trained, tmp_path: Path
) -> None:
    unset = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "birnn", "export", trained("chain"), "--to", "keras"),
            *("--out", tmp_path / "tagger.keras", "--verify"),
        ],
        env=unset | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "all answers are the same" in done.stdout
    assert "Traceback" not in done.stderr
