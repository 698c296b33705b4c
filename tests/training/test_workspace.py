"""Where a run may write, and what it never destroys."""

from __future__ import annotations

import os

import pytest
import torch

from birnn.errors import OutputError, UsageError
from birnn.training.workspace import WholeCheckpoints, Workspace

FRESH = {"resume": False, "overwrite": False}
RUN = {"settings": {"seed": 1}, "data": {"dev data": "5f"}}


def begun(folder, *, epochs=0):
    """A run at ``folder`` that was killed after so many epochs."""
    workspace = Workspace.open(folder, **FRESH)
    workspace.begin(RUN, resume=False)
    if epochs:
        (workspace.state / "last.ckpt").write_bytes(b"state")
    return workspace


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_asking_for_a_place_leaves_no_trace(tmp_path):
    Workspace.open(tmp_path / "deep" / "down" / "m", **FRESH)
    assert not tree(tmp_path)


def test_state_stands_beside_the_bundle(tmp_path):
    workspace = begun(tmp_path / "m.v2")
    assert workspace.folder == tmp_path / "m.v2"
    assert workspace.state == tmp_path / "m.v2.training"


def test_a_run_without_a_whole_epoch_is_no_loss(tmp_path):
    begun(tmp_path / "m")
    assert begun(tmp_path / "m").last_checkpoint() is None


def test_a_run_with_a_whole_epoch_is_kept_until_it_is_dropped(tmp_path):
    begun(tmp_path / "m", epochs=1)
    with pytest.raises(OutputError, match=r"not finished.*--resume.*--overwrite"):
        Workspace.open(tmp_path / "m", **FRESH)
    assert (tmp_path / "m.training" / "last.ckpt").is_file()
    assert Workspace.open(tmp_path / "m", resume=True, overwrite=False).last_checkpoint()
    dropped = Workspace.open(tmp_path / "m", resume=False, overwrite=True)
    dropped.begin(RUN, resume=False)
    assert dropped.last_checkpoint() is None


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["m", "m.training"])
def test_what_birnn_did_not_write_is_never_touched(tmp_path, place, overwrite):
    (tmp_path / place).mkdir()
    (tmp_path / place / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="Give another --out"):
        Workspace.open(tmp_path / "m", resume=False, overwrite=overwrite)
    assert tree(tmp_path) == {place, f"{place}/thesis.tex"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["m", "m.training"])
def test_a_file_is_no_folder(tmp_path, place, overwrite):
    (tmp_path / place).write_text("a file")
    with pytest.raises(OutputError):
        Workspace.open(tmp_path / "m", resume=False, overwrite=overwrite)
    assert (tmp_path / place).read_text() == "a file"


def test_a_bundle_needs_overwrite(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "birnn.json").write_text("{}")
    with pytest.raises(OutputError, match="--overwrite"):
        Workspace.open(tmp_path / "m", **FRESH)
    assert Workspace.open(tmp_path / "m", resume=False, overwrite=True).folder == tmp_path / "m"


def test_an_empty_folder_is_free(tmp_path):
    (tmp_path / "m").mkdir()
    assert Workspace.open(tmp_path / "m", **FRESH).folder == tmp_path / "m"


def test_resume_and_overwrite_exclude_each_other(tmp_path):
    with pytest.raises(UsageError, match="Give one of them"):
        Workspace.open(tmp_path / "m", resume=True, overwrite=True)


def test_nothing_to_resume(tmp_path):
    begun(tmp_path / "m")
    with pytest.raises(UsageError, match="holds no finished epoch"):
        Workspace.open(tmp_path / "m", resume=True, overwrite=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        Workspace.open(tmp_path / "m", **FRESH)


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        Workspace.open(tmp_path / "file" / "m", **FRESH)


def test_only_the_run_that_was_begun_is_gone_on_with(tmp_path):
    workspace = begun(tmp_path / "m", epochs=1)
    workspace.begin(RUN, resume=True)
    with pytest.raises(UsageError, match="seed was 1, now 2"):
        workspace.begin(RUN | {"settings": {"seed": 2}}, resume=True)
    assert workspace.last_checkpoint() is not None


def test_a_checkpoint_is_old_or_whole_when_its_writing_is_cut_short(tmp_path, monkeypatch):
    path = tmp_path / "state" / "last.ckpt"
    checkpoints = WholeCheckpoints()
    checkpoints.save_checkpoint({"epoch": 1}, path)

    def cut_short(state, place):
        place.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut_short)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}


def test_a_finished_run_leaves_its_logs_in_the_bundle_and_no_state(tmp_path):
    workspace = Workspace.open(tmp_path / "model", resume=False, overwrite=False)
    workspace.begin({"task": "tagger"}, resume=False)
    workspace.log.write_text("epoch\n1\n")
    workspace.tensorboard.mkdir()
    (workspace.tensorboard / "events").write_text("new")
    (workspace.folder / "tensorboard").mkdir(parents=True)
    (workspace.folder / "tensorboard" / "old").touch()
    workspace.close()
    assert (workspace.folder / "training.csv").read_text() == "epoch\n1\n"
    assert [p.name for p in (workspace.folder / "tensorboard").iterdir()] == ["events"]
    assert not workspace.state.exists()
