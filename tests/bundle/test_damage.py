"""Damaged and hostile bundles: told from what was saved, refused in a line, at little cost."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import pytest
import safetensors.numpy

from birnn.bundle import Bundle, documents, io, load, save
from birnn.bundle import tensors as module
from birnn.errors import BundleError, OutputError
from birnn.runtime import Predictor
from grids import sampled

FILES = ("birnn.json", "vocab.json", "model.safetensors", "background.safetensors")
ASKED = [["the", "bank"], ["café", "x", "The"]]


@pytest.fixture
def folder(tmp_path: Path, bundle: Bundle) -> Path:
    draw = np.random.default_rng(0)
    means = {
        name: draw.standard_normal(shape, np.float32)
        for name, shape in bundle.spec.mean_states().items()
    }
    save(replace(bundle, mean_states=means), tmp_path / "model")
    return tmp_path / "model"


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load(folder)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 5000 + len(str(folder))
    return message.removeprefix(f"{folder}: ")


def change(folder: Path, edit: Callable[[dict[str, Any]], Any], *, signed: bool = True) -> None:
    """Change the manifest, its own digest made to fit, or as before there were any."""
    path = folder / "birnn.json"
    told = json.loads(path.read_text())
    edit(told)
    if signed:
        others = {role: digest for role, digest in told["sha256"].items() if role != "manifest"}
        canonical = json.dumps(
            told | {"sha256": others}, sort_keys=True, separators=(",", ":")
        ).encode()
        told["sha256"]["manifest"] = hashlib.sha256(canonical).hexdigest()
    else:
        for key in ("digests", "sha256"):
            told.pop(key, None)
    path.write_text(json.dumps(told))


def unsigned(folder: Path) -> None:
    change(folder, lambda told: None, signed=False)


# ------------------------------------------------------------------ digests


def test_the_manifest_has_the_digest_of_every_file_and_its_own(folder: Path) -> None:
    told = json.loads((folder / "birnn.json").read_text())
    assert set(told["files"]) == {"vocabularies", "tensors", "background"}
    for role, name in told["files"].items():
        assert told["sha256"][role] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    before = (folder / "birnn.json").read_bytes()
    # However it is spaced and ordered: the same manifest.
    backwards = dict(reversed(told.items()))
    (folder / "birnn.json").write_text(json.dumps(backwards, indent=7, ensure_ascii=True))
    assert load(folder).metadata == json.loads(before)["facts"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_or_changes_nothing(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    right = Predictor.load(folder)
    answers, facts, metrics = right.predict(ASKED), right.metadata, right.metrics
    told = []
    for place in range(0, len(whole), max(1, len(whole) // 400)):
        for bit in (0, 5):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            (folder / name).write_bytes(flipped)
            try:
                model = Predictor.load(folder)
            except BundleError as error:
                told.append(str(error))
            else:
                # A space of the manifest became another.
                assert name == "birnn.json"
                assert model.predict(ASKED) == answers
                assert (model.metadata, model.metrics) == (facts, metrics)
    assert len(told) > 300
    assert all(name in message for message in told)


@pytest.mark.parametrize(
    "edit",
    [
        lambda told: told["spec"]["inputs"].update(lowercase=False),
        lambda told: told["spec"]["head"].update(scheme="iob1"),
        lambda told: told["facts"].update(field="xpos"),
        lambda told: told["files"].update(background="model.safetensors"),
        lambda told: told.pop("metrics"),
        lambda told: told.update(new=1),
        lambda told: told["sha256"].update(tensors="0" * 64),
        lambda told: told["sha256"].pop("manifest"),
        lambda told: told["sha256"].pop("vocabularies"),
        lambda told: told.update(sha256=[]),
        lambda told: told.update(sha256=None),
        lambda told: told.pop("sha256"),
        lambda told: told.update(digests="crc32"),
    ],
)
def test_a_manifest_changed_by_hand_is_refused(folder: Path, edit: Any) -> None:
    path = folder / "birnn.json"
    told = json.loads(path.read_text())
    edit(told)
    path.write_text(json.dumps(told))
    assert "sha256" in refusal(folder)


def test_files_of_another_model_are_told(folder: Path, make: Any, tmp_path: Path) -> None:
    save(make(1), tmp_path / "other")
    for name in ("model.safetensors", "vocab.json"):
        (tmp_path / "other" / name).replace(folder / name)
    # The vocabularies are the same, to the byte.
    message = refusal(folder)
    assert "model.safetensors is damaged, or is not the file that was saved" in message
    assert "vocab.json" not in message


def test_an_older_bundle_loads_with_a_notice(
    folder: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    unsigned(folder)
    heard: list[str] = []
    model = Predictor.load(folder, tell=heard.append)
    assert model.predict(ASKED) == Predictor(bundle).predict(ASKED)
    [line] = heard
    assert str(folder) in line
    assert "digests" in line
    assert not caplog.records
    load(folder)
    assert [record.getMessage() for record in caplog.records] == heard
    # Saved again, it has them.
    caplog.clear()
    save(model.bundle, folder)
    load(folder)
    assert not caplog.records


def test_an_older_bundle_has_no_keys_but_those_there_were(folder: Path) -> None:
    change(folder, lambda told: told.update(sha257=told["sha256"]), signed=False)
    assert "sha257" in refusal(folder)


def test_an_older_birnn_finds_all_that_it_reads(folder: Path) -> None:
    told = json.loads((folder / "birnn.json").read_text())
    assert told["format_version"] == 1
    former = ["format", "format_version", "files", "spec", "facts", "metrics"]
    assert [key for key in told if key not in {"digests", "sha256"}] == former


def test_the_card_may_be_edited(folder: Path) -> None:
    before = load(folder)
    (folder / "README.md").write_text("# Our tagger")
    assert load(folder).spec == before.spec


# ------------------------------------------------------------------ JSON that no bundle needs


@pytest.mark.parametrize("name", ["birnn.json", "vocab.json"])
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"a": %s}' % ("9" * 5000), "a number of 5,000 digits"),
        ('{"a": -%s}' % ("9" * 4300), "digits"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' twice"),
        ('{"b": [{"\\u001b": 1, "\\u001b": 1}]}', r"the key '\x1b' twice"),
        ('{"a": NaN}', "NaN, which JSON does not have"),
        ('{"a": [-Infinity]}', "-Infinity, which JSON does not have"),
        (f'{{"a": {"[" * 120}1{"]" * 120}}}', "nested too deeply"),
        ("\ufeff{}", "not whole JSON"),
    ],
)  # fmt: skip
def test_what_json_allows_and_a_bundle_does_not(
    folder: Path, name: str, text: str, part: str
) -> None:
    (folder / name).write_text(text)
    message = refusal(folder)
    assert name in message
    assert part in message


def test_a_header_may_be_no_worse(folder: Path) -> None:
    unsigned(folder)
    tensor = '"dtype":"F32","shape":[1],"data_offsets":[0,4]'
    for text, part in (
        (f'{{"a":{{{tensor}}},"a":{{{tensor}}}}}', "the key 'a' twice"),
        ('{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}' % ("9" * 5000), "5,000 digits"),
        ('{"NAME":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', "where tensors stand: NAME"),
        ('{"NAME":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', "tensors stand: NAME"),
        ('{"NAME":{"dtype":"F32","shape":[1]}}', "where tensors stand: NAME"),
        ('{"NAME":[]}', "where tensors stand: NAME"),
        ('{"a":' + "[" * 10_000, "nested too deeply"),
    ):  # fmt: skip
        header = text.replace("NAME", "head.linear.bias").encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
        message = refusal(folder)
        assert message.startswith("model.safetensors is damaged: its header")
        assert part.replace("NAME", "head.linear.bias") in message


@pytest.mark.parametrize(
    "name", ["a\ud800b", "\udcff", "x" * 100_000, "a\0b", "\x1b[2J", "\u202eslaver", "..", "."]
)
def test_file_names_that_cannot_be(folder: Path, name: str) -> None:
    change(folder, lambda told: told["files"].update(tensors=name))
    refusal(folder)


def test_sizes_beyond_any_model(folder: Path) -> None:
    def edit(told: dict[str, Any]) -> None:
        told["spec"]["encoder"]["hidden_size"] = 10**4000
        told["spec"]["inputs"]["surface"]["prefixes"] = [1] * 1000
        told["spec"]["head"]["size"] = 10**12

    change(folder, edit)
    message = refusal(folder)
    for part in ("encoder.hidden_size", "surface.prefixes", "head.tags.size"):
        assert part in message


# ------------------------------------------------------------------ bounds


@pytest.mark.parametrize("name", ["birnn.json", "vocab.json"])
def test_a_file_of_three_gigabytes_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(3_000_000_000)  # of which the disk holds nothing
    with mutations.limits(name, seconds=1, memory=10_000_000):
        message = refusal(folder)
    assert f"{name} has 3,000,000,000 bytes" in message
    assert "in memory whole" in message


@pytest.mark.parametrize("name", ["model.safetensors", "background.safetensors"])
def test_tensors_of_three_gigabytes_that_the_spec_does_not_explain_are_not_read(
    folder: Path, name: str
) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(3_000_000_000)
    with mutations.limits(name, seconds=1, memory=10_000_000):
        assert f"{name} is damaged: " in refusal(folder)
    with (folder / name).open("r+b") as file:
        file.write(struct.pack("<Q", 2_000_000_000))
    with mutations.limits(name, seconds=1, memory=10_000_000):
        assert f"{name} is damaged: its header would have 2,000,000,000 bytes" in refusal(folder)


def test_a_model_that_could_not_be_read_is_not_saved(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = replace(bundle, metadata={"log": "x" * 20_000_000})
    with pytest.raises(BundleError, match=r"birnn\.json would have 20,0"):
        save(large, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(io, "MOST_VOCABULARIES", 50)
    with pytest.raises(BundleError, match=r"vocab\.json would have"):
        save(bundle, tmp_path / "model")


@pytest.mark.parametrize("count", sampled([20_000, 200_000], [20_000]))
def test_strange_tensors_are_counted_and_ten_are_named(folder: Path, count: int) -> None:
    entries = {
        f"strange.{i:06}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        for i in range(count)
    }
    header = json.dumps(entries, separators=(",", ":")).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with mutations.limits("strange tensors"):
        message = refusal(folder)
    assert f"{count:,} tensors that spec does not know" in message
    assert message.count("strange.") == 10
    assert f"and {count - 10:,} more" in message
    assert "lacks 24 tensors" in message


def test_every_list_of_faults_is_cut(folder: Path) -> None:
    vocabularies = json.loads((folder / "vocab.json").read_text())
    strange = {f"strange{i:06}{'x' * 1000}": [] for i in range(2_000)}
    (folder / "vocab.json").write_text(json.dumps(vocabularies | strange))
    message = refusal(folder)
    assert message.count("strange") == 10
    assert "and 1,990 more" in message
    change(folder, lambda told: told["spec"]["encoder"].update({f"k{i}": 0 for i in range(20_000)}))
    with mutations.limits("strange keys"):
        message = refusal(folder)
    assert "and " in message
    assert " more" in message
    change(folder, lambda told: told["spec"]["encoder"].update({f"{i}": 0 for i in range(120_000)}))
    with mutations.limits("more strange keys than a spec has values"):
        assert "more than 100,000 values" in refusal(folder)
    keys = {f"strange{i:06}": 0 for i in range(20_000)}
    change(folder, lambda told: told.update(keys), signed=False)
    message = refusal(folder)
    assert message.count("strange") == 10


def test_what_contradicts_across_fields_is_told_in_a_sentence(folder: Path) -> None:
    head = {"kind": "sequence", "size": 3, "hidden_size": 1, "bridge": "sum", "num_layers": 200}
    change(folder, lambda told: told["spec"].update(head=head))
    message = refusal(folder)
    assert "spec: bridge is sum: the decoder has 200 layers" in message
    assert "Value error" not in message
    assert ".." not in message


def test_long_names_are_cut(folder: Path) -> None:
    header = json.dumps({"n" * 1_000_000: {}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refusal(folder)
    vocabularies = json.loads((folder / "vocab.json").read_text())
    for words in (["x" * 1_000_000] * 4, ["x" * 1_000_000, "a", "b", "c"]):
        (folder / "vocab.json").write_text(json.dumps(vocabularies | {"words": words}))
        assert "words" in refusal(folder)
    change(folder, lambda told: told["spec"]["head"].update(kind="k" * 1_000_000))
    assert "kkk" in refusal(folder)
    change(folder, lambda told: told.update(format_version="v" * 1_000_000))
    assert "format_version" in refusal(folder)
    change(folder, lambda told: told.update(format_version=10**4000))
    assert len(refusal(folder)) < 200


# ------------------------------------------------------------------ names and links


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_names_that_no_folder_can_have(name: str, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no name that a folder can have"):
        load(name)
    with pytest.raises(OutputError, match="no name that a folder can have"):
        save(bundle, name)


def test_the_root_is_no_bundle(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"^/: is not a bundle"):
        load("/")
    with pytest.raises(OutputError, match=r"^/: exists and is not a bundle"):
        save(bundle, "/")


def test_the_manifest_may_not_be_a_link_out_of_the_folder(folder: Path) -> None:
    path = folder / "birnn.json"
    path.rename(folder / "other.json")
    path.symlink_to("other.json")
    load(folder)
    (folder / "other.json").rename(folder.parent / "outside.json")
    path.unlink()
    for target in ("../outside.json", str(folder.parent / "outside.json")):
        path.symlink_to(target)
        assert refusal(folder) == "birnn.json is a link that leaves the folder: refused."
        path.unlink()


def test_what_steers_a_terminal_is_escaped(folder: Path, tmp_path: Path) -> None:
    bad = "\x1b]0;owned\x07\u202e\n\u2028"
    shown = r"\x1b]0;owned\x07\u202e\n\u2028"
    change(folder, lambda told: told["spec"].update({bad: 0}))
    assert shown in refusal(folder)
    vocabularies = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps(vocabularies | {bad: []}))
    assert shown in refusal(folder)
    change(folder, lambda told: told["files"].update(tensors=bad))
    assert shown in refusal(folder)
    with pytest.raises(BundleError) as caught:
        load(tmp_path / bad)
    assert shown in str(caught.value)


# ------------------------------------------------------------------ read, not mapped


def test_a_file_cut_short_while_it_is_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module._fill

    def cut(file: Any, memory: memoryview) -> int:
        os.truncate(folder / "model.safetensors", 900)
        return original(file, memory)

    monkeypatch.setattr(module, "_fill", cut)
    assert "model.safetensors is truncated" in refusal(folder)


def test_a_file_cut_short_afterwards_changes_nothing(folder: Path) -> None:
    model = Predictor.load(folder)
    answers = Predictor.load(folder).predict(ASKED)
    for name in FILES:
        os.truncate(folder / name, 0)
    assert model.predict(ASKED) == answers


def test_tensors_are_those_that_the_library_reads(folder: Path) -> None:
    for name, held in (
        ("model.safetensors", load(folder).tensors),
        ("background.safetensors", load(folder).mean_states),
    ):
        expected = safetensors.numpy.load_file(folder / name)
        assert set(held) == set(expected)
        for tensor, array in expected.items():
            np.testing.assert_array_equal(held[tensor], array)
            assert held[tensor].dtype == np.float32


def test_what_the_library_refuses_is_refused(folder: Path) -> None:
    """Without a digest: the header alone has to tell."""
    unsigned(folder)
    content = (folder / "model.safetensors").read_bytes()
    refused = 0
    for damaged in mutations.mutations(content, 1500, seed=3):
        try:
            safetensors.numpy.load(damaged)
        except Exception:
            (folder / "model.safetensors").write_bytes(damaged)
            refusal(folder)
            refused += 1
    assert refused > 300


def test_the_digest_of_a_value_is_that_of_its_canonical_form() -> None:
    value = {"é": [1, 2.5, None, True, "\ud800"], "a": {}}
    canonical = b'{"a":{},"\\u00e9":[1,2.5,null,true,"\\ud800"]}'
    assert documents.digest_of_value(value) == hashlib.sha256(canonical).hexdigest()
