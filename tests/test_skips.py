"""In CI a test is skipped for what a machine cannot have, and fails for anything else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_of_a_processor():
    pytest.skip("the engine avx512 does not run here")

def test_of_a_browser(opened):
    pass

def test_of_data(shared_data):
    pass

@pytest.mark.skipif(True, reason="no compiled module")
def test_of_the_module():
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""
MODULE = "import pytest\npytest.importorskip('no_such_module')\n"


@pytest.mark.parametrize(
    ("ci", "skipped", "failed"), [({}, 5, 0), ({"CI": "true"}, 1, 4)], ids=["at home", "in CI"]
)
def test_what_is_skipped(tmp_path: Path, ci: dict[str, str], skipped: int, failed: int) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_functions.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text(MODULE)
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    options = ("-q", "-rA", "-p", "no:cacheprovider", "--continue-on-collection-errors")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "."],
        cwd=tmp_path,
        env=environment | {"PATH": str(tmp_path)} | ci,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout
    assert told.count("\nFAILED ") + told.count("\nERROR ") == failed, told
    assert told.count("\nSKIPPED ") == skipped, told
    assert told.count("\nXFAIL ") == 1
    assert ("nothing is skipped in CI, and this was: no browser is here" in told) == bool(failed)
