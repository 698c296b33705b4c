"""Wrong usage: one line, exit status 2, and the nearest name of what there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import birnn
from birnn.engine import isa, speed
from birnn.engine.threads import THREADS, get_num_threads
from birnn.errors import MissingExtra, UsageError
from birnn.runtime import Predictor

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "quickstart",
    "settings",
    "bench",
    "info",
    "export",
    "import",
)


def test_version(call: Any) -> None:
    told = call("--version")
    assert (told.status, told.out, told.err) == (0, f"birnn {birnn.__version__}\n", "")


def test_help_names_every_command(call: Any) -> None:
    told = call("--help")
    assert told.status == 0
    assert all(f"  {command} " in told.out for command in COMMANDS)


def test_help_loads_nothing_that_only_the_work_needs() -> None:
    program = "import sys; from birnn.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "birnn.cli.train" in loaded
    assert not {"numpy", "pydantic", "torch", "birnn.data", "birnn.runtime"} & loaded


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
        (["train"], ["--train"]),
        (["train", "--train", "f.tsv", "--out", "m"], ["TASK", "--from"]),
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
        (["settings", "--kind", "wordz"], ["wordz", "words"]),
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


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], float]:
    """What `birnn info` measures is told, not measured: by precision and engine."""
    told: dict[tuple[str, str], float] = {}

    def tell(precision: str, engine: str) -> float:
        return told.setdefault((precision, engine), 100.0 + len(told))

    monkeypatch.setattr(speed, "gflops", tell)
    return told


@pytest.mark.usefixtures("measured")
def test_info_tells_the_engine_and_the_version(call: Any) -> None:
    told = json.loads(call("info", "--json").out)
    assert told["birnn"] == birnn.__version__
    assert told["engine"].startswith(isa.active().name)
    shown = call("info").out
    assert all(name in shown for name in told)
    packages = shown[shown.index("packages:") + len("packages:") :]
    expected = [f"{name} {version}" for name, version in told["packages"].items()]
    assert [" ".join(each.split()) for each in packages.split(",")] == expected
    assert max(map(len, packages.splitlines())) <= 80


@pytest.mark.parametrize("engine", ["", isa.available()[-2:][0], isa.REFERENCE])
def test_info_tells_how_fast_each_engine_is_and_which_runs(
    call: Any, measured: dict[tuple[str, str], float], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv(isa.FORCE, engine)
    told = json.loads(call("info", "--json").out)
    shown = " ".join(call("info").out.split())
    assert measured
    for (precision, name), rate in measured.items():
        [one] = [one for one in told[precision] if one["engine"] == name]
        runs = name == isa.active(precision).name
        assert one == {"engine": name, "gflops": rate, "runs": runs}
        assert f"{name}{'*' if runs else ''} {rate}" in shown
    assert sum(one["runs"] for one in told["float32"]) == 1
    assert [one["engine"] for one in told["float32"]] == list(isa.available())
    for level, why in told["not here"].items():
        assert isa.why_not(level) == why
        assert f"{level}: {why}" in shown
    native = isa.native_module()
    known = {name for name, *_ in native.levels()} - {"amx_emulated"} if native else set()
    assert {name for _, name in measured} | set(told["not here"]) == known | {isa.REFERENCE}


@pytest.mark.usefixtures("measured")
def test_info_tells_the_threads_that_hold(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birnn.engine.threads._threads", None)
    monkeypatch.setenv(THREADS, "7")
    told = json.loads(call("info", "--json").out)
    assert (told["threads"], told["threads set by"]) == (7, THREADS)
    monkeypatch.delenv(THREADS)
    told = json.loads(call("info", "--json").out)
    assert told["threads"] == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "explain"])
@pytest.mark.parametrize(
    ("option", "setting", "threads"), [("3", "5", 3), (None, "5", 5), ("3", None, 3)]
)
def test_threads_of_a_command_are_those_of_its_option_or_of_the_environment(
    call: Any,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    option: str | None,
    setting: str | None,
    threads: int,
) -> None:
    monkeypatch.setattr("birnn.engine.threads._threads", None)
    monkeypatch.delenv(THREADS, raising=False)
    if setting is not None:
        monkeypatch.setenv(THREADS, setting)
    data = files / "train.tsv"
    arguments: dict[str, tuple[object, ...]] = {
        "train": ("tagger", "--train", data, "--out", tmp_path / "model"),
        "evaluate": (tmp_path, data),
        "predict": (tmp_path, data),
        "explain": (tmp_path, "a"),
    }
    before = get_num_threads()

    def stop(*_: object, **__: object) -> None:
        raise UsageError(f"{get_num_threads()} threads.")

    monkeypatch.setattr(Predictor, "load", stop)
    monkeypatch.setattr("birnn.training.fit.run_training", stop)
    more = () if option is None else ("--threads", option)
    told = call(command, *arguments[command], *more)
    assert told.err == f"birnn: {threads} threads.\n"
    assert get_num_threads() == before


@pytest.mark.parametrize("threads", ["0", "257", "two"])
def test_a_number_of_threads_that_cannot_be_is_wrong_usage(call: Any, threads: str) -> None:
    told = call("predict", "model", "--threads", threads)
    assert told.status == 2
    assert "--threads" in told.err


@pytest.mark.usefixtures("measured")
def test_info_tells_why_there_is_no_native_module(
    call: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(isa, "_import_native", lambda: (None, "no compiler was here"))
    # What runs is found out once; here, and again for the tests that follow.
    isa._name_for.cache_clear()
    request.addfinalizer(isa._name_for.cache_clear)
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

    monkeypatch.setattr("birnn.cli.output.require", absent)
    told = call("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model")
    assert told.status == 2
    assert "pip install 'birnn[train]'" in told.complaint
