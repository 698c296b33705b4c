"""The plain PyTorch model: only torch's own layers, and nothing of birnn to run it."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from birnn.bundle import Bundle
from birnn.export import export_model, feeds, plain_decoder, plain_torch
from birnn.export.torch import state_dict
from birnn.export.verify import random_batch
from birnn.export.written import random_targets
from birnn.runtime import Predictor
from birnn.runtime.search import GREEDY

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


@pytest.mark.parametrize(
    ("module", "needs"), [(plain_torch, {"torch", "safetensors"}), (plain_decoder, {"torch"})]
)
def test_its_source_imports_nothing_of_birnn(module: ModuleType, needs: set[str]) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    names = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    roots = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert roots == needs


def test_copies_of_both_files_write_as_the_runtime(
    model: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = model("concat")
    path = export_model(bundle, tmp_path / "model.safetensors", to="torch")
    for module in (plain_torch, plain_decoder):
        source = Path(str(module.__file__))
        (tmp_path / source.name).write_text(source.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("plain_torch", "plain_decoder"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    copy = importlib.import_module("plain_torch").load(path)
    assert type(copy.head).__module__ == "plain_decoder"
    batch = random_batch(bundle)
    arrays = tensors_of(bundle, batch)
    written = copy.write(**arrays)
    symbols = copy.vocabularies["targets"]
    found = [[symbols[n] for n in row if n] for row in written.targets.tolist()]
    assert found == Predictor(bundle).predict(batch, search=GREEDY)
    # The bound that it works out by itself is the one that comes with the arrays.
    del arrays["longest"]
    assert copy.write(**arrays).targets.equal(written.targets)


def tensors_of(bundle: Bundle, *batch: Any) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in feeds(bundle, *batch).items()}


def plain_of(bundle: Bundle) -> plain_torch.PlainModel:
    plain = plain_torch.PlainModel(bundle.spec.model_dump(mode="json"), bundle.vocabularies)
    own = state_dict(bundle)
    plain.load_state_dict({name: torch.tensor(array) for name, array in own.items()})
    return plain


def test_a_writer_is_made_of_torchs_own_layers(model: Callable[..., Bundle], writer: str) -> None:
    bundle = model(writer)
    plain = plain_of(bundle)
    leaves = {type(m) for m in plain.modules() if not [*m.children()] and [*m.parameters()]}
    assert leaves <= {nn.Embedding, nn.LSTM, nn.GRU, nn.RNN, nn.Linear, nn.ParameterDict}
    # Buffers of vectors' means and scales are tensors of the bundle, too.
    assert sum(t.numel() for t in plain.state_dict().values()) == bundle.spec.parameter_count()


@pytest.mark.parametrize("which", ["concat", "project", "mean"])  # each way through its layers
def test_padding_reaches_no_target(model: Callable[..., Bundle], which: str) -> None:
    bundle = model(which)
    batch = random_batch(bundle)[:4]
    plain, targets = plain_of(bundle), random_targets(bundle, len(batch))
    given = tensors_of(bundle, batch, targets)
    spoilt = {name: tensor.clone() for name, tensor in given.items()}
    beyond = torch.arange(int(given["lengths"].max())) >= given["lengths"][:, None]
    for name in set(given) - {"lengths", "longest", "targets", "target_lengths"}:
        spoilt[name][beyond] = 1
    width = given["targets"].shape[1]
    spoilt["targets"][torch.arange(width) >= given["target_lengths"][:, None]] = 1
    torch.testing.assert_close(plain(**spoilt), plain(**given), rtol=0, atol=0)
    for one, other in zip(plain.write(**spoilt), plain.write(**given), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_writer_can_be_trained_further(model: Callable[..., Bundle]) -> None:
    bundle = model("project")
    plain = plain_of(bundle)
    sources = ["ACG", "", "A"]
    given = tensors_of(bundle, sources, [["K", "S"], ["T"], []])
    plain(**given).square().sum().backward()
    for name, parameter in plain.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    del given["targets"]
    with pytest.raises(ValueError, match="give targets and target_lengths to score, or call write"):
        plain(**given)
    tagger = plain_of(model("mixed"))
    with pytest.raises(ValueError, match="this model writes no sequences"):
        tagger.write(**tensors_of(model("mixed"), sources))


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
