"""A bundle that is not whole or not safe: refused with one line, whatever the command."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from birnn.bundle import FORMAT_VERSION, save
from birnn.runtime import Predictor

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


def flip_a_weight(model: Path) -> None:
    content = bytearray((model / TENSORS).read_bytes())
    content[-2] ^= 1
    (model / TENSORS).write_bytes(content)


def flip_a_word(model: Path) -> None:
    content = (model / "vocab.json").read_bytes()
    (model / "vocab.json").write_bytes(content.replace(b'"the"', b'"tie"'))


def link_the_manifest_out(model: Path) -> None:
    (model / "birnn.json").rename(model.parent / "birnn.json")
    (model / "birnn.json").symlink_to("../birnn.json")


def huge_number(model: Path) -> None:
    (model / "birnn.json").write_text('{"format_version": ' + "9" * 5000 + "}")


def half_a_pair(model: Path) -> None:
    rewrite(model, lambda manifest: manifest["files"].update(tensors="\ud800"))


def steer_the_terminal(model: Path) -> None:
    rewrite(model, lambda manifest: manifest["spec"].update({"\x1b[2J\n\u202e": 1}))


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
    flip_a_weight: [TENSORS, "damaged", "digest"],
    flip_a_word: ["vocab.json", "damaged", "digest"],
    link_the_manifest_out: ["birnn.json", "link", "refused"],
    huge_number: ["birnn.json", "5,000 digits"],
    half_a_pair: ["tensors", r"\ud800"],
    steer_the_terminal: [r"\x1b[2J\n\u202e"],
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
    assert told.complaint.isprintable()


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


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_the_root_of_the_file_system(call: Any, files: Path, command: str) -> None:
    assert call(command, "/", files / "test.tsv").complaint == (
        "birnn: /: is not a bundle: it has no birnn.json. Give a folder that `birnn train` wrote."
    )


def test_a_bundle_from_before_there_were_digests(call: Any, files: Path, spoilt: Path) -> None:
    right = call("predict", spoilt, files / "test.tsv")
    rewrite(spoilt, lambda manifest: (manifest.pop("sha256"), manifest.pop("digests")))
    heard: list[str] = []
    model = Predictor.load(spoilt, tell=heard.append)
    tokens = [[line.split("\t")[0] for line in block.splitlines()] for block in blocks(right.out)]
    tags = [[line.split("\t")[1] for line in block.splitlines()] for block in blocks(right.out)]
    assert model.predict(tokens) == tags
    assert [str(spoilt) in line and "digests" in line for line in heard] == [True]


def blocks(text: str) -> list[str]:
    return [block for block in text.split("\n\n") if block]


STEERING = "\x1b[2J\ta\nb\u202e\x9b"


def test_labels_that_steer_a_terminal_or_break_a_line(
    call: Any, files: Path, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    for kind, data in (("tagger", "test.tsv"), ("classifier", "test.csv")):
        bundle = Predictor.load(trained(kind)).bundle
        labels = tuple(f"{label}{STEERING}" for label in bundle.vocabularies["labels"])
        model = tmp_path / kind
        save(replace(bundle, vocabularies={**bundle.vocabularies, "labels": labels}), model)
        plain = call("predict", trained(kind), files / data)
        steered = call("predict", model, files / data)
        columns = 2 if kind == "tagger" else 1
        for line in steered.out.splitlines():
            assert line == "" or len(line.split("\t")) == columns
        # The same answers, each label with what is escaped of it behind.
        shown = r"\x1b[2J\ta\nb\u202e\x9b"
        assert steered.out.replace(shown, "") == plain.out
        assert steered.out.count(shown) > 0
        # Programs get the label itself.
        written = call("predict", model, files / data, "--json").out
        assert not set(written) & set("\x1b\u202e\x9b")
        answers = [json.loads(line) for line in written.splitlines()]
        given = {
            tag for one in answers for tag in (one["tags"] if columns == 2 else [one["label"]])
        }
        assert given <= set(labels)
        for told in (
            call("evaluate", model, files / data),
            call("evaluate", model, files / data, "--json"),
            call("explain", model, "the dog barks"),
        ):
            assert told.status == 0, told
            for line in (told.out + told.err).splitlines():
                assert not set(line) & set("\x1b\u202e\x9b"), line
