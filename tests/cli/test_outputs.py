"""Places to write to: what stands there is kept, what cannot be written is told in one line."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birnn.runtime import Predictor

Trained = Callable[[str], Path]

FULL = Path("/dev/full")
TOKENS = ("--columns", "token=1")  # so that no notice says that tags are not read
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_training_into_what_is_no_bundle(
    call: Any, training: Any, tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    for name in ("file", "folder"):
        told = call(*training("tagger", tmp_path / name, *more))
        assert told.status == 1
        assert "--out" in told.complaint
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_training_over_a_bundle_needs_a_word(call: Any, training: Any, spoilt: Path) -> None:
    before = (spoilt / "model.safetensors").read_bytes()
    told = call(*training("tagger", spoilt))
    assert told.status == 1
    assert "--overwrite" in told.complaint
    assert (spoilt / "model.safetensors").read_bytes() == before
    assert call(*training("tagger", spoilt, "--overwrite", "--seed", 7)).status == 0
    assert (spoilt / "model.safetensors").read_bytes() != before


def test_bad_data_leaves_the_former_bundle_and_the_run_that_was_stopped(
    call: Any, training: Any, spoilt: Path
) -> None:
    state = spoilt.with_name(f"{spoilt.name}.training")
    state.mkdir()
    (state / "run.json").write_text("{}")
    (state / "last.ckpt").write_text("an hour of work")
    told = call(*training("tagger", spoilt, "--overwrite", "--dev", "nowhere.tsv"))
    assert "nowhere.tsv" in told.complaint
    assert (state / "last.ckpt").read_text() == "an hour of work"
    assert Predictor.load(spoilt).labels


def test_a_folder_of_the_user_is_not_taken_for_the_state_of_a_run(
    call: Any, training: Any, tmp_path: Path
) -> None:
    (tmp_path / "model.training").mkdir()
    (tmp_path / "model.training" / "notes.txt").write_text("mine")
    for more in ([], ["--overwrite"]):
        told = call(*training("tagger", tmp_path / "model", *more))
        assert told.status == 1
        assert "model.training" in told.complaint
    assert (tmp_path / "model.training" / "notes.txt").read_text() == "mine"


def test_training_into_an_empty_folder(call: Any, training: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert call(*training("tagger", tmp_path / "model")).status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("place", ["file/model", "file/deep/model", "/proc/model", "/"])
def test_training_where_nothing_can_be_written(
    call: Any, training: Any, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("mine")
    told = call(*training("tagger", tmp_path / place))
    assert told.status == 1
    assert "--out" in told.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("place", ["file/out", "none/out", "folder"])
def test_predicting_where_nothing_can_be_written(
    call: Any, trained: Trained, files: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    out = tmp_path / place
    told = call("predict", trained("tagger"), files / "test.tsv", *TOKENS, "--out", out)
    assert told.status == 1
    assert all(word in told.complaint for word in (str(out), "--out"))


def test_predicting_into_the_file_that_is_read(
    call: Any, trained: Trained, write: Any, tmp_path: Path
) -> None:
    data = write.tags(tmp_path / "data.tsv", seed=1)
    before = data.read_bytes()
    (tmp_path / "link.tsv").symlink_to(data)
    for out in (data, tmp_path / "link.tsv"):
        told = call("predict", trained("tagger"), data, "--out", out)
        assert told.status == 2
        assert "is read" in told.complaint
    assert data.read_bytes() == before


def test_predictions_in_a_file_are_those_of_standard_output(
    call: Any, trained: Trained, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.tsv"
    out.write_text("an older answer")
    told = call("predict", trained("tagger"), files / "test.tsv", *TOKENS, "--out", out)
    assert (told.status, told.out, told.err) == (0, "", "")
    assert out.read_text() == call("predict", trained("tagger"), files / "test.tsv", *TOKENS).out
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
def test_a_prediction_that_ends_early_leaves_the_older_file(
    call: Any,
    trained: Trained,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: type[BaseException],
) -> None:
    def broken(self: Predictor, sequences: Any, *, search: Any, wait: bool) -> Any:
        yield ["NOUN"] * len(next(iter(sequences)))
        raise fault

    monkeypatch.setattr(Predictor, "stream", broken)
    out = tmp_path / "out.tsv"
    out.write_text("an older answer")
    told = call("predict", trained("tagger"), files / "test.tsv", *TOKENS, "--out", out)
    assert told.status == (130 if fault is KeyboardInterrupt else 1)
    assert told.complaint
    assert out.read_text() == "an older answer"
    assert list(tmp_path.iterdir()) == [out]


def test_a_prediction_that_is_terminated_leaves_nothing_half_written(
    start: Any, trained: Trained, tmp_path: Path
) -> None:
    # Its input is a pipe, so that it waits for more with one answer written.
    out = tmp_path / "out.tsv"
    with start("predict", trained("tagger"), "--out", out, stdin=subprocess.PIPE) as process:
        process.stdin.write(b"the dog\n")
        process.stdin.flush()
        while not any(part.stat().st_size for part in tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, b"birnn: terminated\n")
    assert list(tmp_path.iterdir()) == []


@needs_full
def test_a_full_disk_behind_out(call: Any, trained: Trained, files: Path) -> None:
    told = call("predict", trained("tagger"), files / "test.tsv", *TOKENS, "--out", FULL)
    assert told.status == 1
    assert "No space left" in told.complaint
    assert FULL.is_char_device()


@needs_full
def test_a_full_disk_behind_standard_output(start: Any, trained: Trained, files: Path) -> None:
    # A process of its own: Python writes what is left when it ends.
    with (
        FULL.open("wb") as full,
        start("predict", trained("tagger"), files / "test.tsv", *TOKENS, stdout=full) as process,
    ):
        err = process.stderr.read()
    assert process.returncode == 1
    assert err.decode().splitlines() == ["birnn: cannot read or write: No space left on device"]


def test_a_reader_that_has_seen_enough(start: Any, trained: Trained, tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("the dog runs\n" * 20_000)
    with start("predict", trained("tagger"), data) as process:
        assert process.stdout.readline().startswith(b"the\t")
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_tokens_are_written_as_utf_8_whatever_the_locale(
    start: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    data = tmp_path / "data.txt"
    data.write_text("naïve 狗\n", encoding="utf-8")
    with start("predict", trained("tagger"), data) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert [line.split("\t")[0] for line in out.decode().split("\n")[:2]] == ["naïve", "狗"]


def test_a_bundle_moves_with_its_folder(
    call: Any, trained: Trained, files: Path, spoilt: Path
) -> None:
    moved = spoilt.rename(spoilt.with_name("moved"))
    here, there = (
        call("predict", model, files / "test.tsv", *TOKENS) for model in (trained("tagger"), moved)
    )
    assert here == there
    assert here.status == 0
