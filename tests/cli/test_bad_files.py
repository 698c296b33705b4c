"""Bad data: one line that names the file and the line, and nothing is left behind."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birnn.data import tokenise

Trained = Callable[[str], Path]

NOT_TAGS: dict[str, tuple[bytes | None, list[str]]] = {
    "missing.tsv": (None, ["missing.tsv", "no such file"]),
    "empty.tsv": (b"", ["empty.tsv", "empty"]),
    "short.tsv": (b"dog\tNOUN\nbarks\n", ["short.tsv:2", "column"]),
    "latin.tsv": (b"dog\tNOUN\ncaf\xe9\tNOUN\n", ["latin.tsv:2", "UTF-8", "0xe9"]),
    "single.tsv": (b"dog\tNOUN\n\ncat\tNOUN\n\n" * 3, ["single label", "NOUN"]),
    "tags.doc": (b"dog\tNOUN\n", ["tags.doc", ".doc", "--format"]),
    "table.csv": (b"text,label\ngood,pos\n", ["table.csv", "csv", "tags"]),
    "not.tsv.gz": (b"dog\tNOUN\n", ["not.tsv.gz", "gzip"]),
    "half.tsv.gz": (gzip.compress(b"dog\tNOUN\nruns\tVERB\n" * 99)[:-9], ["half.tsv.gz", "early"]),
    "not.npz": (b"PK no", ["not.npz", "NumPy"]),
    "plain.txt": (b"the dog\n", ["plain.txt", "no labels"]),
    "bad.jsonl": (b'{"tokens": ["a"], "tags": ["X"]}\n{"tokens": \n', ["bad.jsonl:2"]),
    "uneven.jsonl": (b'{"tokens": ["a", "b"], "tags": ["X"]}\n', ["uneven.jsonl:1"]),
}

NOT_SERIES: dict[str, tuple[bytes, list[str]]] = {
    "nan.ts": (
        b"@classLabel true a b\n@data\n1,2:3,4:a\n1,nan:3,4:b\n",
        ["nan.ts:4", "sequence 1", "step 1", "nan"],
    ),
    "inf.ts": (
        b"@classLabel true a b\n@data\n1,2:-inf,4:a\n1,2:3,4:b\n",
        ["inf.ts:3", "sequence 0", "step 0", "-inf"],
    ),
    "missing.ts": (b"@classLabel true a b\n@data\n1,?:3,4:a\n", ["missing.ts:3", "?"]),
    "channels.ts": (
        b"@classLabel true a b\n@data\n1,2:3,4:a\n1,2:b\n",
        ["channels.ts:4", "1 channel", "2"],
    ),
    "words.ts": (b"@classLabel true a b\n@data\n1,two:3,4:a\n", ["words.ts:3", "'two'"]),
}


@pytest.fixture
def train(call: Any, small: tuple[str, ...]) -> Any:
    """Train a small model for one epoch."""

    def run(task: str, out: Path, *files: object) -> Any:
        return call("train", task, "--train", *files, "--out", out, "--epochs", 1, *small)

    return run


@pytest.mark.parametrize("name", NOT_TAGS)
def test_training_on_bad_tags(train: Any, tmp_path: Path, name: str) -> None:
    content, said = NOT_TAGS[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    told = train("tagger", tmp_path / "model", tmp_path / name, "--quiet")
    assert told.status == 1
    assert all(word in told.complaint for word in said)
    # Nothing is left that would be in the way of the next try.
    assert [path.name for path in tmp_path.iterdir()] == ([name] if content is not None else [])


@pytest.mark.parametrize("role", ["--dev", "--test"])
def test_bad_dev_and_test_files_are_found_before_training(
    train: Any, files: Path, tmp_path: Path, role: str
) -> None:
    bad = tmp_path / "short.tsv"
    bad.write_text("dog\tNOUN\nbarks\n")
    told = train("tagger", tmp_path / "model", files / "train.tsv", role, bad, "--quiet")
    assert told.status == 1
    assert "short.tsv:2" in told.complaint
    assert not (tmp_path / "model.training").exists()


@pytest.mark.parametrize("name", NOT_SERIES)
def test_training_on_bad_series(train: Any, tmp_path: Path, name: str) -> None:
    content, said = NOT_SERIES[name]
    (tmp_path / name).write_bytes(content)
    told = train("classifier", tmp_path / "model", tmp_path / name)
    assert told.status == 1
    assert all(word in told.complaint for word in said)


@pytest.mark.parametrize("name", NOT_SERIES)
def test_predicting_bad_series(call: Any, trained: Trained, tmp_path: Path, name: str) -> None:
    content, said = NOT_SERIES[name]
    (tmp_path / name).write_bytes(content)
    told = call("predict", trained("series"), tmp_path / name)
    assert told.status == 1
    assert all(word in told.fault for word in said)


def test_bad_arrays_name_sequence_and_step(call: Any, trained: Trained, tmp_path: Path) -> None:
    values = np.ones((5, 2), np.float32)
    values[3, 1] = np.inf
    np.savez(tmp_path / "a.npz", values=values, lengths=[2, 3], labels=["up", "down"])
    for command in ("predict", "evaluate"):
        said = call(command, trained("series"), tmp_path / "a.npz").fault
        assert all(word in said for word in ("a.npz", "sequence 1", "step 1", "inf"))


@pytest.mark.parametrize("role", ["--dev", "--test"])
def test_channels_that_differ_between_files(
    train: Any, write: Any, files: Path, tmp_path: Path, role: str
) -> None:
    wide = write.series(tmp_path / "wide.ts", seed=1, channels=3)
    told = train("classifier", tmp_path / "model", files / "train.ts", role, wide, "--quiet")
    assert told.status == 1
    assert all(word in told.complaint for word in ("wide.ts:3", "3 channels", "2 channels"))


def test_vectors_and_tokens_in_one_run(train: Any, files: Path, tmp_path: Path) -> None:
    told = train("classifier", tmp_path / "model", files / "train.ts", "--dev", files / "dev.csv")
    assert told.status == 1
    assert all(word in told.complaint for word in ("dev.csv:2", "tokens", "vectors"))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_channels_that_the_model_does_not_read(
    call: Any, write: Any, trained: Trained, tmp_path: Path, command: str
) -> None:
    wide = write.series(tmp_path / "wide.ts", seed=1, channels=3)
    told = call(command, trained("series"), wide)
    assert told.status == 1
    assert all(word in told.complaint for word in ("wide.ts", "sequence 0", "3", "2 channels"))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("name", ["missing.tsv", "empty.tsv", "latin.tsv", "tags.doc"])
def test_bad_files_of_other_commands(
    call: Any, trained: Trained, tmp_path: Path, command: str, name: str
) -> None:
    content, said = NOT_TAGS[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    told = call(command, trained("tagger"), tmp_path / name)
    assert told.status == 1
    assert all(word in told.complaint for word in said)


def test_a_directory_is_no_file(call: Any, train: Any, trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "folder.tsv"
    folder.mkdir()
    for told in (
        train("tagger", tmp_path / "model", folder),
        call("predict", trained("tagger"), folder),
        call("evaluate", trained("tagger"), folder),
    ):
        assert "is a directory" in told.complaint


@pytest.fixture
def locked(write: Any) -> Iterator[Path]:
    """A file that may not be read; for root, the rights of nobody are taken on meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        file = write.tags(folder / "locked.tsv", seed=1)
        file.chmod(0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield file
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such rights")
def test_a_file_that_may_not_be_read(train: Any, locked: Path) -> None:
    told = train("tagger", locked.with_name("model"), locked)
    assert told.status == 1
    assert "cannot be" in told.complaint or "may not be" in told.complaint


def test_labels_that_training_never_saw_are_named_and_wrong(
    call: Any, train: Any, files: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.tsv"
    other.write_text("dog\tNOUN\nwow\tINTJ\nhey\tINTJ\n")
    told = train(
        "tagger", tmp_path / "model", files / "train.tsv", "--dev", other, "--test", other,
        "--json",
    )  # fmt: skip
    assert told.status == 0
    assert "labels in dev that training never saw, counted as wrong: INTJ (2)" in told.err
    assert "labels in test that training never saw, counted as wrong: INTJ (2)" in told.err
    scores = json.loads(told.out)
    for name in ("dev", "test"):
        assert scores[name]["unknown_labels"] == {"INTJ": 2}
        assert scores[name]["accuracy"] <= 1 / 3
    evaluated = call("evaluate", tmp_path / "model", other)
    assert evaluated.status == 0
    assert evaluated.err == "labels that the model never saw, counted as wrong: INTJ (2)\n"


def test_sequences_of_length_0_are_kept_and_counted(call: Any, train: Any, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("text,label\n" + "good dog,pos\nbad dog,neg\n,neg\n" * 4)
    told = train("classifier", tmp_path / "model", table, "--dev", table, "--json")
    assert told.status == 0
    assert "8 examples of length 0 are kept" in told.err
    assert json.loads(told.out)["dev"]["empty_sequences"] == 4
    scores = json.loads(call("evaluate", tmp_path / "model", table, "--json").out)
    assert (scores["sequences"], scores["empty_sequences"], scores["tokens"]) == (12, 4, 16)
    assert len(call("predict", tmp_path / "model", table).out.splitlines()) == 12


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A sequence of 50,000 tokens, and one of a single token."""
    words = "dog\tNOUN\nruns\tVERB\n" * 25_000
    path = tmp_path / "long.tsv"
    path.write_text(f"{words}\nthe\tDET\n\n")
    return path


def test_training_on_one_sequence_of_50_000_tokens(
    train: Any, files: Path, tmp_path: Path, long: Path
) -> None:
    # The cell of the fewest operations: this is about the length.
    cell = ("--set", "encoder.cell=rnn_relu", "--set", "encoder.bidirectional=false")
    told = train("tagger", tmp_path / "model", long, "--dev", files / "dev.tsv", "--json", *cell)
    assert told.status == 0
    manifest = json.loads((tmp_path / "model" / "birnn.json").read_text())
    assert manifest["facts"]["train_steps"] == 50_001


def test_predicting_one_sequence_of_50_000_tokens(call: Any, trained: Trained, long: Path) -> None:
    told = call("predict", trained("tagger"), long, "--json")
    assert [len(json.loads(line)["tags"]) for line in told.out.splitlines()] == [50_000, 1]


def test_an_input_of_punctuation_alone(call: Any, trained: Trained) -> None:
    text = "?! ... \t☃"
    told = call("predict", trained("tagger"), "--json", "--format", "text", stdin=text.encode())
    assert told.status == 0
    assert json.loads(told.out)["tokens"] == list(tokenise(text))
