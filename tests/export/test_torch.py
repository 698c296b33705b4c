"""The plain PyTorch model: only torch's own layers, and nothing of birnn to run it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from birnn.bundle import Bundle
from birnn.export import export_model, feeds, plain_torch
from birnn.export.verify import random_batch
from birnn.runtime import Predictor

SCRIPT = """
import json, sys
import torch, plain_torch
assert not any(name.partition(".")[0] == "birnn" for name in sys.modules)
model = plain_torch.load(sys.argv[1])
given = {name: torch.tensor(rows) for name, rows in json.load(open(sys.argv[2])).items()}
with torch.no_grad():
    scores = model(**given)
tags = model.decode(scores, given["lengths"])
labels = model.vocabularies["labels"]
lengths = given["lengths"].tolist()
print(json.dumps([[labels[n] for n in row[:t]] for row, t in zip(tags.tolist(), lengths)]))
"""


@pytest.mark.slow  # a process that imports torch; the next two prove it in this one
def test_a_copy_of_the_file_runs_a_model_without_birnn(
    model: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = model("lstm-iob2")
    path = export_model(bundle, tmp_path / "tagger.safetensors", to="torch")
    (tmp_path / "plain_torch.py").write_text(Path(plain_torch.__file__).read_text())
    batch = random_batch(bundle)
    arrays = {name: array.tolist() for name, array in feeds(bundle, batch).items()}
    (tmp_path / "feeds.json").write_text(json.dumps(arrays))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path, tmp_path / "feeds.json"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(done.stdout) == Predictor(bundle).predict(batch)


def test_its_source_imports_nothing_of_birnn() -> None:
    tree = ast.parse(Path(plain_torch.__file__).read_text())
    names = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    roots = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert roots == {"torch", "safetensors"}


def test_it_is_made_of_torchs_own_layers(model: Callable[..., Bundle], name: str) -> None:
    bundle = model(name)
    plain = plain_torch.PlainModel(bundle.spec.model_dump(mode="json"), bundle.vocabularies)
    leaves = {type(m) for m in plain.modules() if not [*m.children()] and [*m.parameters()]}
    assert leaves <= {nn.Embedding, nn.LSTM, nn.GRU, nn.RNN, nn.Linear, nn.ParameterDict}
    assert sum(t.numel() for t in plain.state_dict().values()) == bundle.spec.parameter_count()


def test_the_metadata_say_what_the_file_is(model: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = model("lstm-iob2")
    path = export_model(bundle, tmp_path / "tagger.safetensors", to="torch")
    with safe_open(path, framework="np") as file:
        told = {name: json.loads(text) for name, text in file.metadata().items()}
    assert type(bundle.spec).model_validate(told["birnn.spec"]) == bundle.spec
    assert {name: tuple(items) for name, items in told["birnn.vocabularies"].items()} == dict(
        bundle.vocabularies
    )


def test_what_stands_in_padding_changes_nothing(model: Callable[..., Bundle], name: str) -> None:
    bundle = model(name)
    plain = plain_torch.PlainModel(bundle.spec.model_dump(mode="json"), bundle.vocabularies)
    given = feeds(bundle, random_batch(bundle))
    lengths = given["lengths"]
    padding = np.arange(lengths.max()) >= lengths[:, None]
    spoilt = {name: array.copy() for name, array in given.items()}
    for key in set(given) - {"lengths"}:
        spoilt[key][padding] = 1
    scores = [
        plain(**{key: torch.from_numpy(array) for key, array in each.items()})
        for each in (given, spoilt)
    ]
    torch.testing.assert_close(scores[1], scores[0], rtol=0, atol=0)


def test_nan_in_padding_reaches_neither_scores_nor_gradients(model: Callable[..., Bundle]) -> None:
    for name in ("relu-last", "values", "far"):
        bundle = model(name)
        plain = plain_torch.PlainModel(bundle.spec.model_dump(mode="json"), bundle.vocabularies)
        vectors, lengths = torch.randn(3, 4, bundle.spec.inputs.size), torch.tensor([4, 0, 2])
        padding = torch.arange(4) >= lengths[:, None]
        found = []
        for stands_there in (0.0, torch.nan):
            plain.zero_grad()
            rows = vectors.masked_fill(padding[:, :, None], stands_there)
            scores = plain(lengths=lengths, vectors=rows)
            scores.square().sum().backward()
            found.append([scores.detach(), *(p.grad.clone() for p in plain.parameters())])
        torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


def test_nan_in_padding_is_not_added_by_residual_connections() -> None:
    encoder = plain_torch.PlainEncoder("gru", 4, 4, merge="sum", directions=(2, 2), residual=True)
    rows, lengths = torch.randn(3, 4, 4), torch.tensor([4, 0, 2])
    padding = torch.arange(4) >= lengths[:, None]
    spoilt = rows.masked_fill(padding[:, :, None], torch.nan)
    torch.testing.assert_close(encoder(spoilt, lengths), encoder(rows, lengths), rtol=0, atol=0)
    assert not encoder(spoilt, lengths)[0][padding].any()


@pytest.mark.parametrize("width", [1, 2, 6])
def test_rows_of_another_width_are_refused(model: Callable[..., Bundle], width: int) -> None:
    """torch's LSTM does not look at the width of packed rows, and reads past their end."""
    rows, lengths = torch.randn(2, 3, width), torch.tensor([3, 1])
    with pytest.raises(ValueError, match=rf"rows are \(B, T, 5\), got \(2, 3, {width}\)"):
        plain_torch.PlainEncoder("lstm", 5, 4)(rows, lengths)
    bundle = model("values")
    plain = plain_torch.PlainModel(bundle.spec.model_dump(mode="json"), bundle.vocabularies)
    with pytest.raises(ValueError, match=rf"rows are \(B, T, 3\), got \(2, 3, {width}\)"):
        plain(lengths=lengths, vectors=rows)


def test_other_weights_are_no_model(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"other.safetensors: no model that `birnn export"):
        plain_torch.load(path)


def test_it_can_be_trained_further(model: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = model("lstm-iob2")
    plain = plain_torch.load(export_model(bundle, tmp_path / "tagger.safetensors", to="torch"))
    given = {name: torch.from_numpy(a) for name, a in feeds(bundle, random_batch(bundle)).items()}
    plain(**given).square().sum().backward()
    without = [name for name, p in plain.named_parameters() if p.grad is None]
    assert all(name.startswith("crf.") for name in without)
    for parameter in plain.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
