"""Bundles on disk: what goes in comes out, and every kind of damage is named."""

from __future__ import annotations

import json
import pickle
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from birnn.bundle import (
    Bundle,
    Encoder,
    Label,
    Spec,
    Vectors,
    faults,
    io,
    load,
    quantised,
    save,
)
from birnn.bundle import folder as folder_module
from birnn.errors import BundleError, OutputError, UsageError


def manifest(folder: Path, **changes: Any) -> None:
    """Change the manifest by hand, as of a bundle from before there were digests."""
    path = folder / "birnn.json"
    changed = json.loads(path.read_text()) | changes
    for key in ("digests", "sha256"):
        changed.pop(key, None)
    path.write_text(json.dumps(changed))


def tensors(folder: Path, changed: dict[str, np.ndarray | None]) -> None:
    path = folder / "model.safetensors"
    merged = safetensors.numpy.load_file(path) | changed
    path.write_bytes(safetensors.numpy.save({n: t for n, t in merged.items() if t is not None}))


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def folder(tmp_path: Path, bundle: Bundle) -> Path:
    save(bundle, tmp_path / "model")
    return tmp_path / "model"


# ------------------------------------------------------------------ what goes in comes out


def test_load_gives_what_was_saved(bundle: Bundle, folder: Path) -> None:
    loaded = load(folder)
    assert loaded.spec == bundle.spec
    assert loaded.vocabularies == dict(bundle.vocabularies)
    assert list(loaded.tensors) == list(bundle.spec.tensors())
    for name, tensor in bundle.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
    assert loaded.metadata == {"train": "train.conllu", "seed": 0, "nested": {"epochs": 3}}
    assert loaded.metrics == {"test": {"accuracy": 0.5, "r2": None, "per_label": {"A": 1}}}


def test_files_are_plain_and_nothing_else_is_left(folder: Path) -> None:
    names = {"birnn.json", "vocab.json", "model.safetensors", "README.md"}
    assert {entry.name for entry in folder.iterdir()} == names
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]
    assert json.loads((folder / "birnn.json").read_text())["format_version"] == 1


def test_same_model_gives_same_bytes(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    save(load(folder), tmp_path / "again")
    for name in ("birnn.json", "vocab.json", "model.safetensors", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_views_and_lone_surrogates_survive(bundle: Bundle, tmp_path: Path) -> None:
    name = "encoder.weight_hh_l0"
    view = np.asfortranarray(bundle.tensors[name])
    words = ("<unk>", "the", "\ud800", "café")
    changed = replace(
        bundle,
        tensors={**bundle.tensors, name: view},
        vocabularies={**bundle.vocabularies, "words": words},
    )
    save(changed, tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.tensors[name], bundle.tensors[name])
    assert loaded.vocabularies["words"] == words


# ------------------------------------------------------------------ atomic writes


def test_a_bundle_is_replaced_and_other_entries_stay(
    make: Callable[[int], Bundle], folder: Path
) -> None:
    (folder / "log.csv").write_text("epoch,loss\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last").write_text("x")
    save(make(1), folder)
    assert load(folder).metadata["seed"] == 1
    assert (folder / "log.csv").read_text() == "epoch,loss\n"
    assert (folder / "checkpoints" / "last").read_text() == "x"
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("failing", ["_write", "synchronise"])
def test_a_failed_write_leaves_what_stood_there(
    make: Callable[[int], Bundle], folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, failing, fail)
    with pytest.raises(OutputError, match="No space left"):
        save(make(1), folder)
    assert load(folder).metadata["seed"] == 0
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_an_interrupt_between_the_renames_is_undone(
    make: Callable[[int], Bundle], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(make(1), folder)
    assert load(folder).metadata["seed"] == 0
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_a_crash_between_the_renames_loses_nothing(
    make: Callable[[int], Bundle], folder: Path
) -> None:
    # What a kill -9 right after the first rename leaves behind.
    folder.rename(folder.with_name(".model.before"))
    folder.with_name(".model.new").mkdir()
    assert load(folder).metadata["seed"] == 0
    save(make(1), folder)
    assert load(folder).metadata["seed"] == 1
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_a_crash_then_a_new_folder_without_a_bundle(
    make: Callable[[int], Bundle], folder: Path
) -> None:
    folder.rename(folder.with_name(".model.before"))
    folder.mkdir()
    assert load(folder).metadata["seed"] == 0


def test_two_that_write_at_once_do_so_one_after_another(
    bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, plain_write = replace(bundle, metrics={"by": "the other"}), folder_module._write
    waiting = threading.Thread(target=save, args=(other, folder))

    def write(path: Path, content: bytes) -> None:
        if waiting.ident is None:
            waiting.start()
            waiting.join(0.2)
            assert waiting.is_alive()
        plain_write(path, content)

    monkeypatch.setattr(folder_module, "_write", write)
    save(bundle, folder)
    waiting.join()
    assert load(folder).metrics == {"by": "the other"}
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_a_bundle_that_is_replaced_while_it_is_read_is_read_again(
    bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_read, others = io.read_manifest, [quantised(bundle, "int8"), quantised(bundle, "bf16")]

    def read_manifest(*given: Any) -> Any:
        told = plain_read(*given)
        if others:
            save(others.pop(), folder)
        return told

    monkeypatch.setattr(io, "read_manifest", read_manifest)
    assert load(folder).spec.precision == "int8"


def test_foreign_folders_and_files_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    with pytest.raises(OutputError, match="is not a bundle"):
        save(bundle, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "precious"
    with pytest.raises(OutputError, match="is a file"):
        save(bundle, tmp_path / "thesis" / "chapter.tex")
    with pytest.raises(OutputError, match="cannot be written"):
        save(bundle, tmp_path / "thesis" / "chapter.tex" / "model")
    save(bundle, tmp_path / "thesis", companions=["chapter.tex"])
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "precious"
    assert load(tmp_path / "thesis").spec == bundle.spec


def test_an_empty_folder_and_missing_parents_are_fine(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        save(bundle, place)
        assert load(place).spec == bundle.spec


def test_a_broken_model_is_not_saved(bundle: Bundle, tmp_path: Path) -> None:
    broken = dict(bundle.tensors)
    del broken["head.linear.bias"]
    broken["crf.start"] = np.zeros(3, np.float32)
    broken["words"] = np.zeros(3, np.float32)
    broken["inputs.words.weight"] = broken["inputs.words.weight"].astype(np.float64)
    broken["head.crf.end"] = np.full(3, np.inf, np.float32)
    found = faults(replace(bundle, tensors=broken))
    assert len(found) == 4
    with pytest.raises(BundleError) as caught:
        save(replace(bundle, tensors=broken), tmp_path / "model")
    for part in ("head.linear.bias", "crf.start, words", "float64", "infinite"):
        assert part in str(caught.value)
    assert not (tmp_path / "model").exists()


# ------------------------------------------------------------------ damage, one kind at a time


def test_places_that_are_no_bundle(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    assert "is a file" in refusal(tmp_path / "file")
    assert "has no birnn.json" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000))


@pytest.mark.parametrize("name", ["vocab.json", "model.safetensors"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)


@pytest.mark.parametrize("name", ["birnn.json", "vocab.json", "model.safetensors"])
def test_truncated_anywhere(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for size in {0, 1, 8, 9, 100, len(whole) // 2, len(whole) - 4}:
        (folder / name).write_bytes(whole[:size])
        assert name in refusal(folder)


@pytest.mark.parametrize("name", ["birnn.json", "vocab.json", "model.safetensors"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_in_disguise(folder: Path, name: str, protocol: int) -> None:
    (folder / name).write_bytes(pickle.dumps({"a": np.zeros(9)}, protocol=protocol))
    message = refusal(folder)
    assert "pickle" in message
    assert "could run code" in message


def test_a_zip_in_disguise(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n")
    assert "zip archive" in refusal(folder)


def test_a_header_whose_length_looks_like_a_pickle_is_read(bundle: Bundle, tmp_path: Path) -> None:
    # 0x0480 is a fine header length, and the two bytes that a pickle of protocol 4 starts with.
    save(bundle, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    manifest(tmp_path / "model")
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    wanted = 0x10480
    header = content[8 : 8 + size].ljust(wanted)
    path.write_bytes(wanted.to_bytes(8, "little") + header + content[8 + size :])
    assert path.read_bytes()[:2] == b"\x80\x04"
    assert load(tmp_path / "model").spec == bundle.spec


def test_a_newer_format(folder: Path) -> None:
    manifest(folder, format_version=io.FORMAT_VERSION + 1, spec="of another kind")
    message = refusal(folder)
    assert f"format version {io.FORMAT_VERSION + 1}" in message
    assert "Upgrade" in message


@pytest.mark.parametrize("version", [None, "1", 0, 1.5, True])
def test_a_senseless_format_version(folder: Path, version: object) -> None:
    manifest(folder, format_version=version)
    assert "format_version" in refusal(folder)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "..\\x", "C:x", "a/../../x", "", None, 3, "\0"]
)
def test_a_path_that_leaves_the_folder(folder: Path, name: object) -> None:
    (folder.parent / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    manifest(folder, files={"vocabularies": "vocab.json", "tensors": name})
    message = refusal(folder)
    assert "leaves the folder" in message or "names no file" in message


def test_a_link_out_of_the_folder(folder: Path) -> None:
    outside = folder.parent / "outside.safetensors"
    (folder / "model.safetensors").rename(outside)
    (folder / "model.safetensors").symlink_to(outside)
    assert "leaves the folder" in refusal(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")
    assert "model.safetensors" in refusal(folder)


def test_wrong_tensors_are_all_named(folder: Path) -> None:
    tensors(
        folder,
        {
            "head.linear.bias": None,
            "head.crf.start": None,
            "head.crf.end": np.zeros(4, np.float32),
            "inputs.words.weight": np.zeros((4, 3), np.float64),
            "extra": np.zeros(1, np.float32),
        },
    )
    message = refusal(folder)
    for part in (
        "head.linear.bias (3,)",
        "head.crf.start (3,)",
        "head.crf.end has shape (4,), spec says (3,)",
        "inputs.words.weight is float64",
        "extra",
    ):
        assert part in message


def test_values_that_are_not_finite(folder: Path) -> None:
    tensors(folder, {"head.crf.end": np.array([1, np.nan, -np.inf], np.float32)})
    assert "head.crf.end has 2 values that are NaN or infinite" in refusal(folder)


def test_a_scale_that_cannot_be_divided_by(tmp_path: Path) -> None:
    spec = Spec(inputs=Vectors(size=2), encoder=Encoder(hidden_size=2), head=Label(size=1))
    tensors = {name: np.ones(shape, np.float32) for name, shape in spec.tensors().items()}
    bundle = Bundle(spec, {"labels": ("A",)}, tensors)
    assert faults(bundle) == []
    spoilt = {**tensors, "inputs.scale": np.array([1, 0], np.float32)}
    [fault] = faults(replace(bundle, tensors=spoilt))
    assert "inputs.scale" in fault


def test_a_vocabulary_without_the_unknown_item(bundle: Bundle) -> None:
    words = ("the", "<unk>", "bank", "café")
    [fault] = faults(replace(bundle, vocabularies={**bundle.vocabularies, "words": words}))
    assert "words must begin with <unk>" in fault


def test_all_faults_at_once(folder: Path) -> None:
    tensors(folder, {"head.linear.bias": None})
    vocabularies = json.loads((folder / "vocab.json").read_text())
    vocabularies["words"] = ["<unk>", "the", "the", "bank"]
    vocabularies["labels"] = ["A"]
    vocabularies["symbols"] = []
    del vocabularies["characters"]
    (folder / "vocab.json").write_text(json.dumps(vocabularies))
    manifest(folder, facts=[1])
    message = refusal(folder)
    for part in (
        "6 faults",
        "lacks tensor head.linear.bias",
        "'the' more than once",
        "labels has 1 items, spec says 3",
        "no vocabulary of characters",
        "knows no vocabulary of symbols",
        "facts is not an object",
    ):
        assert part in message


def test_a_wrong_spec_names_every_key(folder: Path) -> None:
    spec = json.loads((folder / "birnn.json").read_text())["spec"]
    spec["encoder"] |= {"cell": "transformer", "hidden_size": -1, "heads": 8}
    manifest(folder, spec=spec)
    (folder / "vocab.json").unlink()
    message = refusal(folder)
    for part in ("encoder.cell", "encoder.hidden_size", "encoder.heads", "vocab.json is missing"):
        assert part in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"[]", "not a JSON object"),
        (b"\xff\xfe{}", "UTF"),
        (b"{" * 5, "not whole JSON"),
        (b'{"a":' + b"[" * 200_000, "nested too deeply"),
        (b'{"words": [1, 2], "characters": 3, "labels": null}', "not a list of strings"),
    ],
)
def test_vocabularies_that_are_no_vocabularies(folder: Path, content: bytes, part: str) -> None:
    (folder / "vocab.json").write_bytes(content)
    assert part in refusal(folder)


def test_an_absurd_number_of_layers_is_refused_at_once(folder: Path) -> None:
    spec = json.loads((folder / "birnn.json").read_text())["spec"]
    spec["encoder"]["num_layers"] = 10**12
    manifest(folder, spec=spec)
    assert "num_layers" in refusal(folder)


def test_relative_folders_and_links_to_folders(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(bundle, "model")
    Path("link").symlink_to("model")
    save(bundle, "link")
    assert Path("link").is_symlink()
    assert load("link").spec == bundle.spec


@pytest.mark.parametrize(
    ("scheme", "fits", "does_not"),
    [
        ("iob2", ("O", "B-PER", "0"), ("DET", "NOUN", "Before")),
        ("iob1", ("O", "I-PER", "I"), ("O", "PER-I", "X-")),
        ("iobes", ("O", "S-X", "x"), ("O", "U-X", "L-X")),
        ("bilou", ("O", "U-X", "L-X"), ("O", "M-X", "S-X")),
        ("iob2-suffix", ("O", "PER-B", "x"), ("O", "B-PER", "x")),
    ],
)
def test_labels_of_which_none_marks_a_span_of_the_scheme(
    bundle: Bundle, scheme: Any, fits: tuple[str, ...], does_not: tuple[str, ...]
) -> None:
    head = bundle.spec.head.model_copy(update={"scheme": scheme})
    spec = bundle.spec.model_copy(update={"head": head})
    right = {**bundle.vocabularies, "labels": fits}
    assert faults(replace(bundle, spec=spec, vocabularies=right)) == []
    wrong = {**bundle.vocabularies, "labels": does_not}
    [fault] = faults(replace(bundle, spec=spec, vocabularies=wrong))
    assert fault.startswith(f"the scheme is {scheme}, and no label marks a span so: ")


@pytest.mark.parametrize("given", [None, 5, b"model", ["model"]])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(UsageError, match=f"folder is a {type(given).__name__}"):
        load(given)
