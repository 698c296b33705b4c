"""Settings that do not exist or do not fit: the nearest one is named, exit status 2."""

from __future__ import annotations

import json
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
    "training.class_weights={NOUN=nan}": ["training.class_weights", "finite", "nan"],
    "training.class_weights={NOUN=inf}": ["training.class_weights", "finite", "inf"],
    "training.class_weights={NOUN=-1.0}": ["training.class_weights", "-1.0"],
    "training.class_weights={NOUN=0, DET=0, VERB=0, ADJ=0}": ["every label weighs 0"],
    "training.learning_rate=nan": ["training.learning_rate", "finite", "nan"],
    "training.learning_rate=inf": ["training.learning_rate", "finite", "inf"],
    "training.clip=inf": ["training.clip", "finite"],
    "dropout.noise=inf": ["dropout.noise", "finite"],
    "training.device=gpu": ["training.device", "auto, cpu, cuda or cuda:N", "gpu"],
    "training.device=cuda:99": ["training.device is cuda:99", "this machine has"],
    "encoder.hidden_size=900000": ["parameters", "GB", "encoder.hidden_size is 900,000"],
    "encoder.hidden_size=999999999999": ["encoder.hidden_size", "1000000", "999999999999"],
    f"encoder.hidden_size=1{'0' * 4000}": ["encoder.hidden_size", "1000000", "000..."],
    "inputs.word_dim=999999999999": ["inputs.word_dim", "1000000000", "999999999999"],
    "inputs.word_dim=999999999": ["parameters", "GB"],
    "inputs.prefixes=[5000]": ["inputs.prefixes", "1000"],
    f"training.epochs=1{'0' * 4000}": ["training.epochs", "1000000000"],
    f"training.rows=1{'0' * 400}": ["training.rows", "1000000000"],
    f"training.learning_rate=1{'0' * 400}": ["training.learning_rate"],
    f"encoder.hidden_size={'9' * 5000}": ["encoder.hidden_size", "more digits"],
    f"encoder.hidden_size={'[' * 5000}": ["encoder.hidden_size", "nested too deep"],
    "inputs.kind=vectors": ["inputs.kind", "vectors", "tokens"],
}

CONFIGS = {
    "[encoder]\nhiden_size = 4\n": ["config.toml", "encoder.hiden_size", "hidden_size"],
    "[trainin]\nepochs = 4\n": ["config.toml", "trainin", "training"],
    "encoder = 4\n": ["config.toml", "encoder", "section"],
    "[encoder\n": ["config.toml", "not TOML", "line 1"],
    "[encoder]\ncell = 'lstn'\nhidden_size = 0\n": ["encoder.cell", "encoder.hidden_size"],
    "[encoder]\na = 1\nb = 2\n": ["encoder.a", "encoder.b"],
    f"a = {'[' * 5000}": ["config.toml", "nested too deep"],
    f"a = {'{b=' * 5000}": ["config.toml", "nested too deep"],
    f"[encoder]\nhidden_size = {'9' * 5000}\n": ["config.toml", "more digits"],
    f"[a{'.a' * 5000}]\nb = 1\n": ["config.toml", "a is no section"],
}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting[:50])
def test_bad_setting(call: Any, files: Path, tmp_path: Path, setting: str) -> None:
    out = tmp_path / "model"
    told = call(
        "train", "tagger", "--train", files / "train.tsv", "--out", out, "--set", setting, "--quiet"
    )
    assert told.status == 2
    assert all(word in told.complaint for word in SETTINGS[setting])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", CONFIGS, ids=lambda content: content[:40])
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
    ("name", "said"), [("conl", "conll"), ("csv", "tags"), ("text", "no labels")]
)
def test_bad_format(call: Any, files: Path, tmp_path: Path, name: str, said: str) -> None:
    told = call(
        *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model"),
        *("--format", name),
    )
    assert said in told.complaint


# ---------------------------------------------------------------------- given twice


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        (("train", "tagger"), "--train", ("a.tsv", "b.tsv")),
        (("train", "tagger"), "--out", ("m", "m")),
        (("train", "tagger"), "--seed", ("1", "2")),
        (("train", "tagger"), "--format", ("conll", "conll")),
        (("evaluate", "m", "a.tsv"), "--format", ("conll", "csv")),
        (("predict", "m"), "--out", ("a", "b")),
        (("compare", "tagger"), "--seeds", ("1", "2")),
        (("demo", "brackets"), "--epochs", ("1", "2")),
        (("explain", "m", "text"), "--target", ("a", "b")),
        (("cost",), "--batch", ("1", "2")),
        (("settings",), "--kind", ("words", "symbols")),
        (("bench",), "--rounds", ("1", "2")),
    ],
)
def test_an_option_of_one_value_is_given_once(
    call: Any, command: tuple[str, ...], option: str, values: tuple[str, str]
) -> None:
    told = call(*command, option, values[0], f"{option}={values[1]}")
    assert told.status == 2
    assert f"{option} is given 2 times and takes one value" in told.complaint


def test_a_value_that_looks_like_an_option_is_no_second_one(call: Any, files: Path) -> None:
    told = call("train", "tagger", "--train", "--train", "--out", files / "none" / "m")
    assert "given 2 times" not in told.complaint


def test_a_setting_is_given_once(call: Any, files: Path, tmp_path: Path) -> None:
    told = call(
        *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model"),
        *("--set", "encoder.hidden_size=4", "--set", "encoder.hidden_size = 8"),
    )
    assert told.status == 2
    assert "encoder.hidden_size is set twice" in told.complaint


@pytest.mark.parametrize("command", ["train", "compare", "demo"])
def test_an_option_and_the_setting_of_it_are_one(
    call: Any, files: Path, tmp_path: Path, command: str
) -> None:
    data = ("--train", files / "train.tsv")
    told = {
        "train": lambda *more: call("train", "tagger", *data, "--out", tmp_path / "m", *more),
        "compare": lambda *more: call("compare", "tagger", *data, "--test", data[1], *more),
        "demo": lambda *more: call("demo", "brackets", *more),
    }[command]("--epochs", 2, "--set", "training.epochs=3")
    assert told.status == 2
    assert "training.epochs is set twice" in told.complaint


def test_vectors_are_a_setting_too(call: Any, files: Path, tmp_path: Path) -> None:
    told = call(
        *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model"),
        *("--vectors", 'a "b".vec', "--set", "inputs.vectors=b.vec"),
    )
    assert told.status == 2
    assert "inputs.vectors is set twice" in told.complaint


def test_settings_as_json_are_values(call: Any) -> None:
    told = call("settings", "classifier", "--kind", "vectors", "--json")
    defaults = {name: entry["default"] for name, entry in json.loads(told.out).items()}
    assert defaults["encoder.hidden_size"] == 100
    assert defaults["training.learning_rate"] == 0.003
    assert defaults["encoder.bidirectional"] is True
    assert defaults["training.epochs"] is None
    assert defaults["training.epochs_range"] == [6, 120]
    assert defaults["head.pooling"] == "mean"


def test_settings_of_a_table_can_be_set_as_they_stand(call: Any) -> None:
    out = call("settings", "tagger").out
    assert "[1, 2, 3, 4]" in out
    assert "true" in out
    assert "True" not in out
