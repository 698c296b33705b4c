"""The OpenAPI document against a server: schemathesis sends requests, right and wrong ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from serving_models import model_of, running

from birnn.bundle import save

# Small, so that the requests just beyond them are small; but no body is too long: schemathesis
# does not take 413 for a refusal of wrong data.
LIMITS = ("--max-tokens", "60", "--max-texts", "4", "--max-body", str(1 << 26))


def found(made_once: Callable[..., Path], tmp_path: Path, name: str, *options: str) -> str:
    """What schemathesis says of a server of one model, "" where it finds nothing."""
    folder = made_once(f"served-{name}", lambda at: save(model_of(*name.split("-")).bundle, at))
    with running("-m", "birnn", "serve", f"m={folder}", "--port", "0", *LIMITS) as (_, port):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"http://127.0.0.1:{port}/openapi.json",
                *("--checks", "all", "--no-color", *options),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=400,
        )
    assert done.returncode in (0, 1), done.stderr
    failures = done.stdout[done.stdout.find("FAILURES") :]
    return "" if done.returncode == 0 else failures[:5000]


def test_nothing_is_found(made_once, tmp_path):
    # The cases that cover every field are all asked; drawn ones are for the slow test.
    assert found(made_once, tmp_path, "words-label", "--max-examples", "1") == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["words-tags", "words-labels", "vectors-label", "words-sequence"])
def test_nothing_is_found_of_any_model(made_once, tmp_path, name):
    assert found(made_once, tmp_path, name, "--max-examples", "200") == ""
