"""The root package: its names, and how little it loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import birnn
from birnn.bundle import Bundle, Encoder, Spec, Tags, Words, save
from birnn.ragged import Ragged
from birnn.runtime import Predictor

SOURCE = Path(__file__).resolve().parents[1] / "src"
HEAVY = {"torch", "lightning", "pytorch_lightning", "matplotlib", "jinja2"}

IMPORT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
import birnn
spent = time.perf_counter() - started
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"spent": spent, "loaded": loaded, "version": birnn.__version__}))
"""

PREDICT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "lightning", "pytorch_lightning"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
started = time.process_time()
import birnn
answers = birnn.load(sys.argv[2]).predict([["the", "bank"], []])
spent = time.process_time() - started
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"spent": spent, "loaded": loaded, "answers": answers}))
"""


def best_of(
    program: str, *arguments: object, enough: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """What a new process tells; tried again a few times, as other processes share the machine."""
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, str(SOURCE), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        if enough(told):
            break
    return told


def test_exported_names_are_pinned() -> None:
    names = ["Ragged", "__version__", "accelerate", "decelerate", "load"]
    names += ["set_num_threads", "train"]
    assert sorted(birnn.__all__) == names
    assert set(birnn.__all__) <= set(dir(birnn))


def test_names_are_those_of_their_rooms() -> None:
    from birnn.nn.accelerate import accelerate, decelerate
    from birnn.training.api import train

    assert birnn.accelerate is accelerate
    assert birnn.decelerate is decelerate
    assert birnn.Ragged is Ragged
    assert birnn.load == Predictor.load
    assert birnn.train is train


def test_the_version_is_that_of_the_distribution() -> None:
    assert birnn.__version__ == metadata.version("birnn")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        birnn.lode  # noqa: B018


def test_import_takes_no_time_and_loads_nothing_heavy() -> None:
    told = best_of(IMPORT, enough=lambda told: told["spent"] < 0.1)
    assert told["version"] == birnn.__version__
    assert not (HEAVY | {"numpy", "pydantic", "safetensors", "typer", "rich"}) & set(told["loaded"])
    assert told["spent"] < 0.1


def test_load_and_first_prediction_need_no_torch(tmp_path: Path) -> None:
    spec = Spec(inputs=Words(size=3, dim=4), encoder=Encoder(hidden_size=5), head=Tags(size=2))
    draw = np.random.default_rng(0)
    tensors = {
        name: draw.normal(size=shape).astype(np.float32) for name, shape in spec.tensors().items()
    }
    vocabularies = {"words": ("<unk>", "the", "bank"), "labels": ("DET", "NOUN")}
    bundle = Bundle(spec, vocabularies, tensors)
    save(bundle, tmp_path / "model")
    told = best_of(PREDICT, tmp_path / "model", enough=lambda told: told["spent"] < 0.5)
    assert told["answers"] == Predictor(bundle).predict([["the", "bank"], []])
    assert not (HEAVY | {"typer", "rich"}) & set(told["loaded"])
    assert told["spent"] < 0.5


def test_every_extra_has_code_that_asks_for_it() -> None:
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())["project"]
    sources = "\n".join(path.read_text() for path in (SOURCE / "birnn").rglob("*.py"))
    asked = set(re.findall(r'extra="(\w+)"', sources))
    assert asked >= {"train"}
    asked |= {"plots"} if re.search(r'"jinja2", "plots"', sources) else set()
    # Peers of the benchmarks are measured where they are installed; the others are tools of ours.
    assert set(project["optional-dependencies"]) - {"bench", "docs", "dev"} <= asked
