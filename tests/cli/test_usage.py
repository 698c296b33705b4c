"""Wrong usage: one line, exit status 2, and the nearest name of what there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import birnn
from birnn.errors import MissingExtra
from birnn.kernels import isa

COMMANDS = ("train", "evaluate", "predict", "quickstart", "settings", "bench", "info")


def test_version(call: Any) -> None:
    told = call("--version")
    assert (told.status, told.out, told.err) == (0, f"birnn {birnn.__version__}\n", "")


def test_help_names_every_command(call: Any) -> None:
    told = call("--help")
    assert told.status == 0
    assert all(f"  {command} " in told.out for command in COMMANDS)


def test_no_arguments_show_the_help(call: Any) -> None:
    bare = call()
    assert bare.status == 2
    assert bare.out == call("--help").out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(call: Any, command: str) -> None:
    told = call(command, "--help")
    assert told.status == 0
    assert told.out.startswith(f"Usage: birnn {command}")
    assert max(map(len, told.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], ["trian", "train", "--help"]),
        (["train"], ["TASK"]),
        (["train", "tagger"], ["--train", "birnn train --help"]),
        (["train", "tagger", "--train", "f.tsv"], ["--out"]),
        (["train", "tagger", "--train", "f.tsv", "--out", "m", "--epoch", "1"], ["--epochs"]),
        (["train", "tagger", "--train", "f.tsv", "--out", "m", "--epochs", "0"], ["--epochs", "1"]),
        (["train", "tagger", "--train", "f.tsv", "--out", "m", "--epochs", "x"], ["--epochs"]),
        (["train", "tagger", "--train", "f.tsv", "--out", "m", "--seed", "-1"], ["--seed", "0"]),
        (
            ["train", "tagger", "--train", "f.tsv", "--out", "m", "--seed", str(2**32)],
            ["--seed", str(2**32 - 1)],
        ),
        (["train", "tager", "--train", "f.tsv", "--out", "m"], ["tager", "tagger"]),
        (["train", "tagger", "--train", "f.tsv", "--out", "m", "--field", "upso"], ["upos"]),
        (["evaluate", "model"], ["F"]),
        (["evaluate", "model", "-"], ["standard input"]),
        (["evaluate", "model", "f.tsv", "--field", "xpso"], ["xpos"]),
        (["predict"], ["DIR"]),
        (["settings", "tager"], ["tager", "tagger"]),
        (["info", "extra"], ["extra"]),
    ],
)
def test_wrong_usage(call: Any, arguments: list[str], said: list[str]) -> None:
    told = call(*arguments)
    assert told.status == 2
    assert all(word in told.complaint for word in said)


def test_settings_are_listed_with_their_defaults(call: Any) -> None:
    from birnn.training.recipe import default

    listed = json.loads(call("settings", "classifier", "--json").out)
    recipe = default("classifier").model_dump()
    assert set(listed) == {f"{section}.{key}" for section in recipe for key in recipe[section]}
    assert listed["head.pooling"]["default"] == recipe["head"]["pooling"]


def test_tables_fit_eighty_columns_without_colour(call: Any) -> None:
    told = call("settings", "tagger")
    assert told.status == 0
    assert "encoder.hidden_size" in told.out
    assert "\x1b" not in told.out
    assert max(map(len, told.out.splitlines())) <= 80


def test_info_tells_the_engine_and_the_version(call: Any) -> None:
    told = json.loads(call("info", "--json").out)
    assert told["birnn"] == birnn.__version__
    assert told["engine"].startswith(isa.active().name)
    assert all(name in call("info").out for name in told)


def test_info_tells_why_there_is_no_native_module(
    call: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(isa, "_import_native", lambda: (None, "no compiler was here"))
    # What runs is found out once; here, and again for the tests that follow.
    isa._module_for.cache_clear()
    request.addfinalizer(isa._module_for.cache_clear)
    assert "no compiler was here" in call("info").out
    assert json.loads(call("info", "--json").out)["native module"] == "no compiler was here"


def test_info_refuses_an_engine_that_is_not_here(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(isa.FORCE, "referense")
    assert "reference" in call("info").complaint


def test_training_without_torch_names_the_extra(
    call: Any, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(module: str, *, extra: str) -> None:
        raise MissingExtra(f"this needs {module}: pip install 'birnn[{extra}]'")

    monkeypatch.setattr("birnn.cli.commands.require", absent)
    told = call("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model")
    assert told.status == 2
    assert "pip install 'birnn[train]'" in told.complaint
