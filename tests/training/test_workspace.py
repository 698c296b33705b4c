"""Where a run may write, and what it never destroys."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from birnn.errors import OutputError, UsageError
from birnn.training.checkpoints import MAGIC
from birnn.training.workspace import LOCK, RUN, Workspace

FRESH = {"resume": False, "overwrite": False}
DESCRIPTION = {"settings": {"seed": 1}, "data": {"training data": {"source": "t", "digest": "5f"}}}


def opened(folder, *, resume=False, overwrite=False):
    return Workspace.open(folder, resume=resume, overwrite=overwrite)


def begun(folder, *, epochs=0, **how):
    """A run at ``folder`` that was killed after so many epochs."""
    with opened(folder, **how) as workspace:
        workspace.begin(DESCRIPTION)
        if epochs:
            checkpoint(workspace, epochs)
    return workspace


def checkpoint(workspace, epoch):
    for name in ("best", "last"):
        workspace.checkpoints().save_checkpoint(
            {"epoch": epoch, "state_dict": {"network.w": torch.ones(3)}},
            workspace.state / f"{name}.ckpt",
        )


def refused(folder, **how):
    """What is said where a place is refused."""
    with pytest.raises((OutputError, UsageError)) as caught, opened(folder, **how):
        pass
    message = str(caught.value)
    assert "\n" not in message
    return message


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_asking_for_a_place_leaves_no_trace(tmp_path):
    with opened(tmp_path / "deep" / "down" / "m"):
        pass
    assert not tree(tmp_path)
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "m"):
        raise KeyboardInterrupt
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
    message = refused(tmp_path / "m")
    assert "not finished" in message
    assert "--resume" in message
    assert "--overwrite" in message
    assert (tmp_path / "m.training" / "last.ckpt").is_file()
    with opened(tmp_path / "m", resume=True) as workspace:
        assert workspace.last_checkpoint()
    said = []
    with opened(tmp_path / "m", overwrite=True) as dropped:
        dropped.begin(DESCRIPTION, tell=said.append)
        assert dropped.last_checkpoint() is None
    assert said == [f"{dropped.state}: dropped what a run left that was not finished"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["m", "m.training"])
@pytest.mark.parametrize("beside", [None, LOCK, RUN])
def test_what_birnn_did_not_write_is_never_touched(tmp_path, place, overwrite, beside):
    (tmp_path / place).mkdir()
    names = {"thesis.tex"} | ({beside} if beside else set())
    for name in names:
        (tmp_path / place / name).write_text("years of work")
    assert "another --out" in refused(tmp_path / "m", overwrite=overwrite)
    assert tree(tmp_path) == {place, *(f"{place}/{name}" for name in names)}


def test_what_stands_in_the_way_is_named(tmp_path):
    (tmp_path / "m.training").mkdir()
    (tmp_path / "m.training" / "thesis.tex").touch()
    assert "did not write thesis.tex there" in refused(tmp_path / "m")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["m", "m.training"])
def test_a_file_is_no_folder(tmp_path, place, overwrite):
    (tmp_path / place).write_text("a file")
    assert "another --out" in refused(tmp_path / "m", overwrite=overwrite)
    assert (tmp_path / place).read_text() == "a file"


def test_a_bundle_needs_overwrite(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "birnn.json").write_text("{}")
    assert "--overwrite" in refused(tmp_path / "m")
    with opened(tmp_path / "m", overwrite=True) as workspace:
        assert workspace.folder == tmp_path / "m"


def test_an_empty_folder_is_free(tmp_path):
    (tmp_path / "m").mkdir()
    with opened(tmp_path / "m") as workspace:
        assert workspace.folder == tmp_path / "m"


@pytest.mark.parametrize("name", [".", "", "../here", "{absolute}"])
def test_the_folder_one_is_in_is_refused_at_once(tmp_path, monkeypatch, name):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert "--out" in refused(Path(name.format(absolute=here)))
    assert "is the folder you are in" in refused(Path(name.format(absolute=here)), overwrite=True)
    assert tree(tmp_path) == {"here"}


@pytest.mark.skipif(sys.platform != "linux", reason="this system has no such mounts")
def test_a_mounted_disk_is_refused_at_once():
    mounts = [Path("/dev/shm"), Path("/proc"), Path("/dev")]
    mount = next(path for path in mounts if path.is_mount())
    assert "give a new folder in it" in refused(mount).lower()


def test_resume_and_overwrite_exclude_each_other(tmp_path):
    assert "Give one of them" in refused(tmp_path / "m", resume=True, overwrite=True)


def test_nothing_to_resume(tmp_path):
    begun(tmp_path / "m")
    assert "holds no finished epoch" in refused(tmp_path / "m", resume=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be written" in refused(tmp_path / "m")


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written: Not a directory" in refused(tmp_path / "file" / "m")


# ---------------------------------------------------------------------- one run at a time


def test_a_second_run_is_refused_while_the_first_is_at_work(tmp_path):
    other = tmp_path / "other name"
    other.symlink_to(tmp_path / "m")
    with opened(tmp_path / "m") as workspace:
        for how in ({}, {"overwrite": True}, {"resume": True}):
            assert "another training is at work" in refused(tmp_path / "m", **how)
            assert "another training is at work" in refused(other, **how)
        workspace.begin(DESCRIPTION)
        checkpoint(workspace, 1)
        before = tree(tmp_path)
        assert "another training is at work" in refused(tmp_path / "m", overwrite=True)
        assert tree(tmp_path) == before
    with opened(tmp_path / "m", overwrite=True):
        pass


@pytest.mark.slow  # test_resume.py kills a process, and another one goes on
def test_the_lock_goes_with_the_process_that_held_it(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from birnn.training.workspace import Workspace\n"
        "with Workspace.open(Path(sys.argv[1]), resume=False, overwrite=False) as workspace:\n"
        f"    workspace.begin({DESCRIPTION!r}); os._exit(9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "m")], check=False)
    assert ended.returncode == 9
    assert tree(tmp_path) == {"m.training", f"m.training/{LOCK}", f"m.training/{RUN}"}
    begun(tmp_path / "m")


# ---------------------------------------------------------------------- what a kill leaves


@pytest.mark.parametrize(
    "left",
    [
        [".probe"],  # of an older version, as the two others
        ["run.json", ".probe"],
        [".run.json.new"],
        [LOCK],
        [LOCK, "last.ckpt", "best.ckpt", "training.csv"],  # run.json was taken away
        [LOCK, RUN, ".last.ckpt.new", ".training.csv.new", "tensorboard"],
    ],
)
def test_what_a_kill_left_locks_nobody_out(tmp_path, left):
    state = tmp_path / "m.training"
    state.mkdir()
    for name in left:
        (state / name).touch()
    if "last.ckpt" in left:
        assert "--overwrite" in refused(tmp_path / "m")
    begun(tmp_path / "m", overwrite="last.ckpt" in left)
    assert tree(state) == {LOCK, RUN}


def test_a_run_without_its_description_says_so(tmp_path):
    begun(tmp_path / "m", epochs=1)
    (tmp_path / "m.training" / RUN).unlink()
    with (
        opened(tmp_path / "m", resume=True) as workspace,
        pytest.raises(UsageError, match=r"run\.json is missing: .*--overwrite"),
    ):
        workspace.begin(DESCRIPTION)


# ---------------------------------------------------------------------- going on


def test_only_the_run_that_was_begun_is_gone_on_with(tmp_path):
    begun(tmp_path / "m", epochs=1)
    with opened(tmp_path / "m", resume=True) as workspace:
        workspace.begin(DESCRIPTION)
        with pytest.raises(UsageError, match="seed was 1, now 2"):
            workspace.begin(DESCRIPTION | {"settings": {"seed": 2}})
        assert workspace.last_checkpoint() is not None


@contextmanager
def resumed(folder):
    """A run that is gone on with; what is said where it cannot be."""
    said = []
    try:
        with opened(folder, resume=True) as workspace:
            workspace.begin(DESCRIPTION)
            workspace.best_weights()
            workspace.checkpoints().load_checkpoint(workspace.last_checkpoint())
    except UsageError as error:
        said.append(str(error))
    yield said


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt", RUN])
@pytest.mark.parametrize(
    "damage",
    {
        "empty": lambda content: b"",
        "short": lambda content: content[:-7],
        "half": lambda content: content[: len(content) // 2],
        "long": lambda content: content + b"more",
        "foreign": lambda content: b"PK\x03\x04 of somebody else",
        "text": lambda content: b"[1, 2",
        "other json": lambda content: b'{"settings": {}, "data": [], "digest": 3}',
        "array": lambda content: b"[]",
        "latin": lambda content: b"\xff" + content,
        "deep": lambda content: b"[" * 100_000,
        "number": lambda content: b"9" * 5000,
        "header": lambda content: MAGIC + bytes(32) + b"{}" + b"\n" + content,
    }.items(),
    ids=lambda item: item[0],
)
def test_a_damaged_state_is_refused_in_one_line(tmp_path, name, damage):
    begun(tmp_path / "m", epochs=1)
    path = tmp_path / "m.training" / name
    path.write_bytes(damage[1](path.read_bytes()))
    with resumed(tmp_path / "m") as said:
        assert len(said) == 1, "it was gone on with"
        assert name in said[0]
        assert "--overwrite" in said[0]
        assert "\n" not in said[0]


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_each_bit_of_a_checkpoint_counts(tmp_path, name):
    begun(tmp_path / "m", epochs=1)
    path = tmp_path / "m.training" / name
    content = path.read_bytes()
    with resumed(tmp_path / "m") as said:
        assert not said
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        with resumed(tmp_path / "m") as said:
            assert len(said) == 1, place
            assert name in said[0]


def test_checkpoints_of_another_run_or_epoch_do_not_mix(tmp_path):
    begun(tmp_path / "m", epochs=2)
    begun(tmp_path / "other", epochs=2)
    state = tmp_path / "m.training"
    mine = (state / "best.ckpt").read_bytes()
    (state / "best.ckpt").write_bytes((tmp_path / "other.training" / "best.ckpt").read_bytes())
    with resumed(tmp_path / "m") as said:
        assert "best.ckpt was written by another run" in said[0]
    (state / "best.ckpt").write_bytes(mine)
    with opened(tmp_path / "m", resume=True) as workspace:
        workspace.begin(DESCRIPTION)
        save = workspace.checkpoints().save_checkpoint
        best = {"state_dict": {"network.w": torch.zeros(3)}}
        # A kill between the two leaves a newer best epoch, which the last state comes to again.
        save(best | {"epoch": 3}, state / "best.ckpt")
    with resumed(tmp_path / "m") as said:
        assert not said
    with opened(tmp_path / "m", resume=True) as workspace:
        workspace.begin(DESCRIPTION)
        save(best | {"epoch": 1}, state / "best.ckpt")
    with resumed(tmp_path / "m") as said:
        assert "does not belong to last.ckpt" in said[0]


def test_a_finished_run_leaves_its_logs_in_the_bundle_and_no_state(tmp_path):
    with opened(tmp_path / "model") as workspace:
        workspace.begin(DESCRIPTION)
        workspace.log.write_text("epoch\n1\n")
        workspace.tensorboard.mkdir()
        (workspace.tensorboard / "events").write_text("new")
        (workspace.folder / "tensorboard").mkdir(parents=True)
        (workspace.folder / "tensorboard" / "old").touch()
        workspace.close()
    assert (workspace.folder / "training.csv").read_text() == "epoch\n1\n"
    assert [p.name for p in (workspace.folder / "tensorboard").iterdir()] == ["events"]
    assert not workspace.state.exists()
