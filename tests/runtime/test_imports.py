"""Prediction in a new process: no torch, no typer, quick."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from birnn.bundle import Bundle, Characters, Encoder, Spec, Tags, Words, save
from birnn.runtime import Predictor

UNWANTED = {"torch", "lightning", "typer", "rich", "matplotlib", "jinja2"}
SCRIPT = """
import json, sys, time

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "lightning", "pytorch_lightning"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
started = time.process_time()
from birnn.runtime import Predictor
answers = Predictor.load(sys.argv[1]).predict([["The", "bank"], [], ["x"]])
spent = time.process_time() - started
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"answers": answers, "spent": spent, "loaded": loaded}))
"""


def test_a_new_process_predicts_without_torch(make: Callable[..., Bundle], tmp_path: Path) -> None:
    spec = Spec(
        inputs=Words(size=50, dim=8, characters=Characters(size=10, dim=4, hidden_size=5)),
        encoder=Encoder(hidden_size=16),
        head=Tags(size=5, decoder="crf"),
    )
    bundle = make(spec)
    save(bundle, tmp_path / "model")
    expected = Predictor(bundle).predict([["The", "bank"], [], ["x"]])
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "model")]
    spent = []
    # Half a second is promised. Processor time, and the best of a few, as the machine is shared.
    while not spent or (min(spent) >= 0.5 and len(spent) < 4):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        assert result["answers"] == expected
        assert not UNWANTED & set(result["loaded"])
        spent.append(result["spent"])
    assert min(spent) < 0.5
