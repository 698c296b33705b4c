"""Settings that do not exist or do not fit: the nearest one is named, exit status 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SETTINGS = {
    "encoder.hiden_size=4": ["encoder.hiden_size", "hidden_size"],
    "encodr.hidden_size=4": ["encodr", "encoder"],
    "hidden_size=4": ["section.key=value", "hidden_size=4"],
    "encoder.hidden_size": ["section.key=value"],
    "encoder.hidden_size=-4": ["encoder.hidden_size", "-4"],
    "encoder.hidden_size=four": ["encoder.hidden_size", "four"],
    "encoder.cell=lstn": ["encoder.cell", "lstm", "lstn"],
    "training.epochs=1.5": ["training.epochs", "1.5"],
    "training.learning_rate=0": ["training.learning_rate", "0"],
    "training.class_weights={NOUM=2.0}": ["training.class_weights", "NOUM", "NOUN"],
    "inputs.kind=vectors": ["inputs.kind", "vectors", "tokens"],
}

CONFIGS = {
    "[encoder]\nhiden_size = 4\n": ["config.toml", "encoder.hiden_size", "hidden_size"],
    "[trainin]\nepochs = 4\n": ["config.toml", "trainin", "training"],
    "encoder = 4\n": ["config.toml", "encoder", "section"],
    "[encoder\n": ["config.toml", "not TOML", "line 1"],
    "[encoder]\ncell = 'lstn'\nhidden_size = 0\n": ["encoder.cell", "encoder.hidden_size"],
    "[encoder]\na = 1\nb = 2\n": ["encoder.a", "encoder.b"],
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_bad_setting(call: Any, files: Path, tmp_path: Path, setting: str) -> None:
    out = tmp_path / "model"
    told = call(
        "train", "tagger", "--train", files / "train.tsv", "--out", out, "--set", setting, "--quiet"
    )
    assert told.status == 2
    assert all(word in told.complaint for word in SETTINGS[setting])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", CONFIGS)
def test_bad_config(call: Any, files: Path, tmp_path: Path, content: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(content)
    told = call(
        *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model"),
        *("--config", config),
    )
    assert told.status == 2
    assert all(word in told.complaint for word in CONFIGS[content])


def test_config_that_cannot_be_read(call: Any, files: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    for name, said in (("none.toml", "no such file"), ("", "directory"), ("latin.toml", "UTF-8")):
        told = call(
            *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model"),
            *("--config", tmp_path / name),
        )
        assert told.status == 2
        assert said in told.complaint
        assert "Errno" not in told.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ["no such file"]),
        ("dog\n", [":1"]),
        ("dog 1 2\ncat 1\n", [":2"]),
        ("dog 1 x\n", [":1", "x"]),
        ("dog 1 nan\n", [":1", "nan"]),
    ],
)
def test_bad_pretrained_vectors(
    call: Any, files: Path, tmp_path: Path, content: str | None, said: list[str]
) -> None:
    vectors = tmp_path / "vectors.vec"
    if content is not None:
        vectors.write_text(content)
    told = call(
        *("train", "tagger", "--train", files / "train.tsv", "--dev", files / "dev.tsv"),
        *("--out", tmp_path / "model", "--vectors", vectors, "--quiet"),
    )
    assert told.status == 1
    assert all(word in told.complaint for word in ["vectors.vec", *said])


@pytest.mark.parametrize(
    ("name", "said"), [("conl", "conll"), ("csv", "tagger"), ("text", "no labels")]
)
def test_bad_format(call: Any, files: Path, tmp_path: Path, name: str, said: str) -> None:
    told = call(
        *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model"),
        *("--format", name),
    )
    assert said in told.complaint
