"""The root package: its names, and how little it loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import birnn
from birnn.ragged import Ragged
from birnn.runtime import Predictor

SOURCE = Path(__file__).resolve().parents[1] / "src"

IMPORT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import __future__, importlib, operator, typing
before = set(sys.modules)
import birnn
print(json.dumps({"loaded": sorted(set(sys.modules) - before), "version": birnn.__version__}))
"""


def test_exported_names_are_pinned() -> None:
    names = ["Ragged", "__version__", "accelerate", "decelerate", "export_model"]
    names += ["import_model", "load", "push", "set_num_threads", "train"]
    assert sorted(birnn.__all__) == names
    assert set(birnn.__all__) <= set(dir(birnn))
    assert all(hasattr(birnn, name) for name in birnn.__all__)


def test_names_are_those_of_their_rooms() -> None:
    from birnn.importing.importer import import_model
    from birnn.nn.accelerate import accelerate, decelerate
    from birnn.training.train import train

    assert birnn.accelerate is accelerate
    assert birnn.decelerate is decelerate
    assert birnn.import_model is import_model
    assert birnn.Ragged is Ragged
    assert birnn.load == Predictor.load
    assert birnn.train is train


def test_the_version_is_that_of_the_distribution() -> None:
    assert birnn.__version__ == metadata.version("birnn")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        birnn.lode  # noqa: B018


def test_import_loads_nothing_else() -> None:
    """Not even modules of its own, so that it takes milliseconds on any machine."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT, str(SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # An editable install finds modules by more of importlib than others do.
    loaded = [name for name in told["loaded"] if name.partition(".")[0] != "importlib"]
    assert (loaded, told["version"]) == (["birnn"], birnn.__version__)


def test_every_extra_has_code_that_asks_for_it() -> None:
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())["project"]
    sources = "\n".join(path.read_text() for path in (SOURCE / "birnn").rglob("*.py"))
    asked = set(re.findall(r'extra="(\w+)"', sources))
    assert asked >= {"train"}
    asked |= {"plots"} if re.search(r'"jinja2", "plots"', sources) else set()
    assert set(project["optional-dependencies"]) - {"docs", "dev"} <= asked
