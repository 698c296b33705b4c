"""Where a run keeps what a resume needs: a folder beside the bundle-to-be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from birnn.bundle.manifest import MANIFEST
from birnn.errors import OutputError, Tell, UsageError, no_notice
from birnn.training.checkpoints import (
    BEST,
    LAST,
    AtomicCheckpoints,
    read_checkpoint,
    replace_file,
)
from birnn.training.fingerprint import differences

RUN = "run.json"  # what the run is
LOCK = "birnn.lock"  # held while a run is at work, and the mark by which a folder is known as ours
LOG = "training.csv"
TENSORBOARD = "tensorboard"
WRITTEN = {RUN, LOCK, LOG, BEST, LAST, TENSORBOARD}
# What a kill may leave of the writing of the others, and of an older version's trial of the place.
UNFINISHED = {f".{name}.new" for name in (RUN, LOG, BEST, LAST)} | {".probe"}


@dataclass(slots=True)
class Workspace:
    """The bundle's folder, and beside it the state of the run: checkpoints and log.

    The bundle itself is written once, at the end, so that no half-trained model stands in its
    place. A finished run removes its state. One run at a time: the state is locked while a
    workspace is open, and the system gives the lock back when the process ends, however it ends.

    Args:
        folder: Where the bundle is to stand, as the user calls it.
        place: The same with links followed: one place has one name, so one lock.
        resume: Whether the run that stands there is resumed.
        run: Name of the run, by which its checkpoints are known; drawn when it begins.
    """

    folder: Path
    place: Path
    resume: bool = False
    run: str = ""
    _made: list[Path] = field(default_factory=list)  # to be undone where no run begins

    @property
    def state(self) -> Path:
        """Folder of the state."""
        return self.place.with_name(f"{self.place.name}.training")

    @property
    def log(self) -> Path:
        """A row for each epoch."""
        return self.state / LOG

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's log, where TensorBoard is installed."""
        return self.state / TENSORBOARD

    @classmethod
    @contextmanager
    def open(
        cls, folder: str | Path, *, resume: bool = False, overwrite: bool = False
    ) -> Iterator[Workspace]:
        """Refuse a place that cannot be used, before any work is done, and lock it.

        Where no run begins, all is left as it was.

        Raises:
            OutputError: Something stands there already, it cannot be written, or another run is
                at work there.
            UsageError: Nothing to resume.
        """
        if resume and overwrite:
            raise UsageError("--resume goes on with a run, --overwrite drops it. Give one of them.")
        workspace = cls(Path(folder), Path(os.path.realpath(folder)), resume)
        workspace._refuse_place()
        with workspace._locked():
            workspace._refuse_occupied(replace=overwrite or resume)
            if resume and workspace.last_checkpoint() is None:
                raise UsageError(workspace._nothing_to_resume())
            workspace._refuse_unfinished(drop=overwrite, resume=resume)
            yield workspace

    def begin(self, run: Mapping[str, Any], *, tell: Tell = no_notice) -> None:
        """Claim the place for a run, or make sure that it is the one to resume.

        Args:
            run: What decides the result of the run, see `birnn.training.fingerprint.describe`.
            tell: Takes a line where the state of an earlier run is dropped.

        Raises:
            UsageError: The run that stands there had other data or another recipe, or its state
                is damaged.
            OutputError: The place cannot be written.
        """
        if self.resume:
            earlier = self._read_run()
            changed = differences(earlier, json.loads(json.dumps(run)))
            if changed:
                raise UsageError(
                    f"--resume goes on with the run in {self.state}, which is another: "
                    f"{'; '.join(changed)}. Go on with what it had, or start again with "
                    "--overwrite."
                )
            self.run = earlier["run"]
            self._check_checkpoints()
        else:
            left = sorted(path.name for path in self.state.iterdir() if path.name != LOCK)
            for name in left:
                _remove(self.state / name)
            if left:
                tell(f"{self.state}: dropped what a run left that was not finished")
            self.run = uuid.uuid4().hex
            described = {**run, "run": self.run}
            text = json.dumps(described | {"digest": _digest(described)}, indent=1) + "\n"
            with self._output_errors():
                replace_file(self.state / RUN, lambda file: file.write(text.encode()))
        self._made.clear()

    def checkpoints(self) -> AtomicCheckpoints:
        """What writes and reads the checkpoints of this run."""
        return AtomicCheckpoints(self.run)

    def last_checkpoint(self) -> Path | None:
        """State after the last whole epoch, if there is one."""
        path = self.state / LAST
        return path if path.is_file() else None

    def best_weights(self) -> dict[str, torch.Tensor] | None:
        """The best weights so far, by their names in the trained module; None before any."""
        path = self.state / BEST
        if not path.is_file():
            return None
        _, content = read_checkpoint(path, run=self.run)
        state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
        return state["state_dict"]  # type: ignore[no-any-return]

    def close(self) -> None:
        """Drop the state; what a user may read again, the logs, moves into the bundle."""
        if self.log.is_file():
            shutil.copyfile(self.log, self.place / LOG)
        if self.tensorboard.is_dir():
            shutil.rmtree(self.place / TENSORBOARD, ignore_errors=True)
            shutil.copytree(self.tensorboard, self.place / TENSORBOARD)
        self.drop()

    def drop(self) -> None:
        """Drop the state."""
        shutil.rmtree(self.state)

    # ------------------------------------------------------------------ whether the place is free

    def _refuse_place(self) -> None:
        """A bundle is put in its place by renaming, which these places do not bear."""
        if not self.place.name:
            raise OutputError(f"{self.folder} is no place for a bundle. Give another --out.")
        try:
            if self.place.exists() and self.place.samefile(Path.cwd()):
                raise OutputError(
                    f"--out {self.folder} is the folder you are in, and a bundle is put in its "
                    f"place as a whole. Give a new one in it, such as --out {self.folder / 'model'}"
                )
        except FileNotFoundError:
            return  # the folder we are in is gone
        if os.path.ismount(self.place):
            raise OutputError(
                f"{self.folder} is where a disk is mounted, and a bundle is put in its place as a "
                f"whole. Give a new folder in it, such as --out {self.folder / 'model'}"
            )

    def _refuse_occupied(self, *, replace: bool) -> None:
        folder = self.folder
        if not folder.exists():
            return
        if not folder.is_dir():
            raise OutputError(f"{folder} is a file, a bundle is a folder. Give another --out.")
        if not any(folder.iterdir()):
            return
        if not (folder / MANIFEST).is_file():
            raise OutputError(f"{folder} exists and holds no bundle. Give another --out.")
        if not replace and self.last_checkpoint() is None:
            raise OutputError(
                f"{folder} exists. Give another --out, or --overwrite to replace the bundle there."
            )

    def _refuse_foreign(self) -> None:
        """Only what a run of ours left may be dropped."""
        if not self.state.exists():
            return
        names = {path.name for path in self.state.iterdir()} if self.state.is_dir() else {LOG}
        ours = names & {LOCK, RUN} and names <= WRITTEN | UNFINISHED
        if ours or names <= UNFINISHED:
            return
        strange = ", ".join(sorted(names - WRITTEN - UNFINISHED))
        what = f"did not write {strange[:200]} there" if strange else "may not have written it"
        raise OutputError(
            f"{self.state} is needed for the run, and birnn {what}. "
            "Move it away, or give another --out."
        )

    def _refuse_unfinished(self, *, drop: bool, resume: bool) -> None:
        """Only a whole epoch is worth keeping."""
        if self.last_checkpoint() is not None and not (drop or resume):
            raise OutputError(
                f"{self.state} holds a run that was not finished. "
                "Go on with it by --resume, or drop it by --overwrite."
            )

    def _nothing_to_resume(self) -> str:
        if (self.folder / MANIFEST).is_file():
            return (
                f"nothing to resume: {self.folder} holds a finished run. "
                "To train it anew: --overwrite in place of --resume."
            )
        return (
            f"nothing to resume: {self.state} holds no finished epoch ({LAST}). "
            "Leave --resume out to start anew."
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the state; where no run begins, what was made for it goes again."""
        lock = FileLock(self.state / LOCK)
        with self._output_errors():
            self._refuse_foreign()
            missing = [self.state / LOCK, self.state, *self.state.parents]
            self._made = [path for path in missing if not path.exists()]
        try:
            with self._output_errors():
                self.state.mkdir(parents=True, exist_ok=True)
                if not os.access(self.state, os.W_OK):
                    raise PermissionError(13, "Permission denied")
                try:
                    acquire(lock, self.state)
                except OutputError:
                    self._made.clear()
                    raise
            yield
        finally:
            with suppress(OSError):
                for path in self._made:
                    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            lock.release()

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"{self.folder} cannot be written: {error.strerror}. Give another --out."
            ) from None

    # ------------------------------------------------------------------ whether it can be resumed

    def _read_run(self) -> dict[str, Any]:
        """What the run is that stands there."""
        marker = self.state / RUN
        fault = "is damaged"
        try:
            found = json.loads(marker.read_bytes().decode())
            digest = found.pop("digest")
            if isinstance(found["run"], str) and digest == _digest(found):
                return found  # type: ignore[no-any-return]
        except FileNotFoundError:
            fault = "is missing"
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise UsageError(
            f"{marker} {fault}: which run stands there is not known, so it cannot be gone on with. "
            "Start anew with --overwrite."
        )

    def _check_checkpoints(self) -> None:
        """Both checkpoints are whole, of this run, and belong together.

        Raises:
            UsageError: They are not.
        """
        last, _ = read_checkpoint(self.state / LAST, run=self.run)
        best, _ = read_checkpoint(self.state / BEST, run=self.run)
        # A kill between the two leaves a best epoch that the last state is still to come to.
        if best.digest != last.best and best.epoch <= last.epoch:
            raise UsageError(
                f"{self.state / BEST} does not belong to {LAST} beside it. "
                "The run cannot be gone on with: start anew with --overwrite."
            )


def acquire(lock: FileLock, folder: Path) -> None:
    """Take the lock of a folder that one training at a time may write.

    Raises:
        OutputError: Another process, or another thread, holds it, or it cannot be written.
    """
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise OutputError(
            f"another training is at work in {folder}. Wait for its end, or give another --out."
        ) from None
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}. Give another --out."
        ) from None


def _digest(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
