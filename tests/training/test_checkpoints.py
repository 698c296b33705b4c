"""Checkpoints: old or whole whatever happens, and on the disk before they take their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from birnn.errors import OutputError
from birnn.training.checkpoints import AtomicCheckpoints, read_header


def test_a_checkpoint_is_old_or_whole_when_its_writing_is_cut_short(tmp_path, monkeypatch):
    path = tmp_path / "state" / "last.ckpt"
    checkpoints = AtomicCheckpoints("a run")
    checkpoints.save_checkpoint({"epoch": 1}, path)

    def cut_short(state, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut_short)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save_checkpoint({"epoch": 2}, path)
    assert checkpoints.load_checkpoint(path) == {"epoch": 1}
    assert read_header(path).epoch == 1


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    happened = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        happened.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def replaced(self, target):
        happened.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    AtomicCheckpoints("a run").save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    assert happened == [".last.ckpt.new", tmp_path.name, "rename", tmp_path.name]


def test_a_full_disk_is_one_line_and_leaves_the_state_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    checkpoints = AtomicCheckpoints("a run")
    checkpoints.save_checkpoint({"epoch": 1}, path)

    class Full:
        """A file on a disk with room for so many bytes."""

        def __init__(self, file, room):
            self.file, self.room = file, room

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            self.room -= len(bytes(data))
            if self.room < 0:
                raise OSError(28, "No space left on device")
            return self.file.write(data)

    opens = Path.open
    for room in (0, 60, 150, 700, 3000, 30_000):
        with monkeypatch.context() as patch:
            patch.setattr(
                Path,
                "open",
                lambda self, mode="r": (
                    Full(opens(self, mode), room) if mode == "wb" else opens(self, mode)  # noqa: B023
                ),
            )
            with pytest.raises(OutputError) as caught:
                checkpoints.save_checkpoint({"epoch": 2, "w": torch.ones(20_000)}, path)
        assert str(caught.value) == (
            f"{path}: cannot be written: No space left on device. "
            "Make room, then go on with --resume."
        )
        assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]
        assert checkpoints.load_checkpoint(path) == {"epoch": 1}
