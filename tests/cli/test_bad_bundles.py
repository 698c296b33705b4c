"""A bundle that is not whole or not safe: refused with one line, whatever the command."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from birnn.bundle.io import FORMAT_VERSION

TENSORS = "model.safetensors"


def truncate(model: Path) -> None:
    content = (model / TENSORS).read_bytes()
    (model / TENSORS).write_bytes(content[: len(content) // 2])


def empty(model: Path) -> None:
    (model / TENSORS).write_bytes(b"")


def drop_tensor(model: Path) -> None:
    tensors = safetensors.numpy.load_file(model / TENSORS)
    del tensors["head.linear.bias"]
    safetensors.numpy.save_file(tensors, model / TENSORS)


def reshape(model: Path) -> None:
    tensors = safetensors.numpy.load_file(model / TENSORS)
    tensors["head.linear.weight"] = np.ascontiguousarray(tensors["head.linear.weight"].T)
    safetensors.numpy.save_file(tensors, model / TENSORS)


def spoil_value(model: Path) -> None:
    tensors = safetensors.numpy.load_file(model / TENSORS)
    tensors["head.linear.bias"][0] = np.nan
    safetensors.numpy.save_file(tensors, model / TENSORS)


def rewrite(model: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((model / "birnn.json").read_text())
    change(manifest)
    (model / "birnn.json").write_text(json.dumps(manifest))


def from_the_future(model: Path) -> None:
    rewrite(model, lambda manifest: manifest.update(format_version=FORMAT_VERSION + 1))


def climb(model: Path) -> None:
    rewrite(model, lambda manifest: manifest["files"].update(tensors="../model/model.safetensors"))


def absolute(model: Path) -> None:
    rewrite(model, lambda manifest: manifest["files"].update(tensors="/etc/passwd"))


def link_out(model: Path) -> None:
    (model / TENSORS).rename(model.parent / TENSORS)
    (model / TENSORS).symlink_to(model.parent / TENSORS)


def disguise(model: Path) -> None:
    (model / TENSORS).write_bytes(pickle.dumps({"weight": 1.0}))


def disguise_manifest(model: Path) -> None:
    (model / "birnn.json").write_bytes(pickle.dumps({"format_version": 1}))


def no_manifest(model: Path) -> None:
    (model / "birnn.json").unlink()


def half_manifest(model: Path) -> None:
    content = (model / "birnn.json").read_bytes()
    (model / "birnn.json").write_bytes(content[: len(content) // 2])


def no_vocabulary(model: Path) -> None:
    (model / "vocab.json").unlink()


def short_vocabulary(model: Path) -> None:
    vocabularies = json.loads((model / "vocab.json").read_text())
    vocabularies["labels"].pop()
    (model / "vocab.json").write_text(json.dumps(vocabularies))


def unknown_cell(model: Path) -> None:
    rewrite(model, lambda manifest: manifest["spec"]["encoder"].update(cell="lstn"))


FAULTS: dict[Callable[[Path], None], list[str]] = {
    truncate: [TENSORS, "truncated"],
    empty: [TENSORS],
    drop_tensor: ["head.linear.bias"],
    reshape: ["head.linear.weight"],
    spoil_value: ["head.linear.bias"],
    from_the_future: [str(FORMAT_VERSION + 1), "Upgrade"],
    climb: ["../model/model.safetensors"],
    absolute: ["/etc/passwd"],
    link_out: [TENSORS],
    disguise: [TENSORS, "pickle"],
    disguise_manifest: ["birnn.json", "pickle"],
    no_manifest: ["birnn.json"],
    half_manifest: ["birnn.json"],
    no_vocabulary: ["vocab.json"],
    short_vocabulary: ["labels"],
    unknown_cell: ["cell"],
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_spoilt_bundle(
    call: Any, files: Path, spoilt: Path, spoil: Callable[[Path], None], command: str
) -> None:
    spoil(spoilt)
    told = call(command, spoilt, files / "test.tsv")
    assert told.status == 1
    assert str(spoilt) in told.complaint
    assert all(word in told.complaint for word in FAULTS[spoil])


def test_all_faults_are_told_at_once(call: Any, files: Path, spoilt: Path) -> None:
    drop_tensor(spoilt)
    short_vocabulary(spoilt)
    complaint = call("predict", spoilt, files / "test.tsv").complaint
    assert all(word in complaint for word in ("head.linear.bias", "labels", "(1)", "(2)"))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_no_bundle_at_all(call: Any, files: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "file").write_text("x")
    for name in ("nowhere", "other", "file"):
        told = call(command, tmp_path / name, files / "test.tsv")
        assert told.status == 1
        assert str(tmp_path / name) in told.complaint
