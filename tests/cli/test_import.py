"""`birnn import`: the model, what is told, and what is refused before anything is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from birnn.runtime import Predictor

ITEMS, LABELS = ["<pad>", "<unk>", *"abcd"], ["x", "y"]


@pytest.fixture
def arguments(tmp_path: Path) -> list[object]:
    """What makes a model of a state dict, to go on with options."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"emb.weight": (6, 3), "fc.weight": (2, 4)}
    for end in ("l0", "l0_reverse"):
        shapes |= {f"rnn.weight_ih_{end}": (6, 3), f"rnn.weight_hh_{end}": (6, 2)}
    arrays = {n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    file, items, labels = (tmp_path / name for name in ("m.safetensors", "i.json", "l.txt"))
    safetensors.numpy.save_file(arrays, file)
    items.write_text(json.dumps(ITEMS), "utf-8")
    labels.write_text("\n".join(LABELS), "utf-8")
    return ["import", file, "--out", tmp_path / "model", "--vocabulary", items, "--labels", labels]


def test_a_model_is_made_and_what_was_guessed_is_told(
    call: Any, arguments: list[object], tmp_path: Path
) -> None:
    told = call(*arguments, "--task", "tagger")
    assert told.status == 0
    model = Predictor.load(tmp_path / "model")
    count = model.spec.parameter_count()
    assert told.out == f"tagger of symbols 5 × 3 in {tmp_path / 'model'}, {count} parameters\n"
    lines = told.err.splitlines()
    assert all(line.startswith(str(tmp_path / "m.safetensors")) for line in lines)
    assert "rnn is a gru of 1 layer, two directions; below it emb; above it fc" in lines[0]
    assert "'<pad>' is padding and left out" in lines[1]
    assert len(model.predict(["abba"])[0]) == 4
    again = call(*arguments, "--task", "tagger")
    assert "holds a model. Give another --out, or --overwrite" in again.complaint
    [found] = call(*arguments, "--task", "tagger", "--overwrite", "--json").objects
    assert found == {
        "model": str(tmp_path / "model"),
        "task": "tagger",
        "inputs": "symbols 5 × 3",
        "parameters": count,
    }


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ([], 2, "Give the task"),
        (["--task", "taggr"], 2, "did you mean tagger?"),
        (["--task", "tagger", "--unknown", "?"], 1, "is none of the vocabulary's"),
        (["--task", "tagger", "--cell", "lstm"], 1, "said to be lstm"),
        (["--task", "classifier"], 2, "Give the pooling"),
    ],
)
def test_what_is_refused_writes_nothing(
    call: Any,
    arguments: list[object],
    tmp_path: Path,
    options: list[str],
    status: int,
    message: str,
) -> None:
    told = call(*arguments, *options)
    assert told.status == status
    assert message in told.complaint
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_no_model_stays(
    call: Any, arguments: list[object], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine", "utf-8")
    told = call(*arguments, "--task", "tagger")
    assert told.status == 1
    assert told.err.splitlines()[-1].startswith("birnn: ")
    assert "exists and is not a bundle" in told.err
    assert [each.name for each in (tmp_path / "model").iterdir()] == ["thesis.txt"]
