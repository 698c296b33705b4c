"""Standard streams that are closed, or whose other end is gone: one rule for every command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grids import sampled

Trained = Callable[[str], Path]


@pytest.fixture
def gone() -> Any:
    """The writing end of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def commands(trained: Trained, files: Path) -> dict[str, tuple[object, ...]]:
    """A call of each command that ends quickly, by its name."""
    tagger = trained("tagger")
    return {
        "--help": ("--help",),
        "evaluate": ("evaluate", tagger, files / "test.tsv"),
        "evaluate --json": ("evaluate", tagger, files / "test.tsv", "--json"),
        "predict": ("predict", tagger, files / "test.tsv", "--columns", "token=1"),
        "settings": ("settings", "tagger"),
        "settings --json": ("settings", "tagger", "--json"),
        "info": ("info",),
        "cost": ("cost", "--no-measure"),
    }


NAMES = (
    *("--help", "evaluate", "evaluate --json", "predict"),
    *("settings", "settings --json", "info", "cost"),
)


@pytest.mark.parametrize("name", sampled(NAMES, ["predict", "settings --json"]))
def test_a_reader_that_has_gone_ends_every_command_alike(
    start: Any, commands: Any, gone: int, name: str
) -> None:
    with start(*commands[name], stdout=gone) as process:
        err = process.stderr.read()
        process.wait(timeout=60)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("name", sampled(["evaluate", "predict", "info"], ["evaluate"]))
def test_notices_that_nobody_reads_stop_nothing(
    start: Any, commands: Any, gone: int, name: str
) -> None:
    with start(*commands[name]) as process:
        expected, _ = process.communicate(timeout=60)
    with start(*commands[name], stderr=gone) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.split(b"tokens/s")[0] == expected.split(b"tokens/s")[0]


def shell(line: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell in which "$@" is birnn with these arguments."""
    source = Path(__file__).resolve().parents[2] / "src"
    program = (sys.executable, "-W", "error", "-c", "from birnn.cli.main import run; run()")
    return subprocess.run(
        ["sh", "-c", line, "sh", *map(str, (*program, *arguments))],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(source)},
        timeout=60,
        check=False,
    )


def test_standard_input_that_is_closed(trained: Trained) -> None:
    told = shell('"$@" <&-', "predict", trained("tagger"))
    assert (told.returncode, told.stdout) == (1, b"")
    assert told.stderr == b"birnn: standard input: cannot be read: Bad file descriptor\n"


@pytest.mark.parametrize("name", ["predict", "info"])
def test_standard_output_that_is_closed(commands: Any, name: str) -> None:
    told = shell('"$@" >&-', *commands[name])
    assert (told.returncode, told.stdout) == (1, b"")
    assert told.stderr == b"birnn: standard output is closed.\n"


def test_errors_never_go_to_standard_output(files: Path, commands: Any) -> None:
    told = shell('"$@" 2>&-', "evaluate", files / "nowhere", files / "test.tsv")
    assert (told.returncode, told.stdout) == (1, b"")
    told = shell('"$@" 2>&-', *commands["predict"])
    assert told.returncode == 0
    assert told.stdout
