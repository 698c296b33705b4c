"""Where a run keeps what it needs to go on: a folder beside the bundle-to-be."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from birnn.bundle.io import MANIFEST
from birnn.errors import OutputError, UsageError
from birnn.training.fingerprint import differences

RUN = "run.json"  # what the run is: the mark by which a folder is known to be ours


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that a kill leaves either as they were or new and whole.

    Lightning's own go through the system's temporary folder: from another disk a move is a copy.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write beside the place, then rename into it."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.new")
        torch.save(checkpoint, fresh)
        fresh.replace(place)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The bundle's folder, and beside it the state of the run: checkpoints and log.

    The bundle itself is written once, at the end, so that no half-trained model stands in its
    place. A finished run removes its state.
    """

    BEST: ClassVar[str] = "best"
    LAST: ClassVar[str] = "last"

    folder: Path
    state: Path

    @property
    def log(self) -> Path:
        """A row for each epoch."""
        return self.state / "training.csv"

    @classmethod
    def open(cls, folder: Path, *, resume: bool, overwrite: bool) -> Workspace:
        """Refuse a place that cannot be used, before any work is done; nothing is changed yet.

        Raises:
            OutputError: Something stands there already, or it cannot be written.
            UsageError: Nothing to resume.
        """
        place = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow links
        if not place.name:
            raise OutputError(f"{folder} is no place for a bundle. Give another --out.")
        workspace = cls(folder, place.with_name(f"{place.name}.training"))
        if resume and overwrite:
            raise UsageError("--resume goes on with a run, --overwrite drops it. Give one of them.")
        try:
            workspace._refuse_occupied(replace=overwrite or resume)
            if resume and workspace.last_checkpoint() is None:
                raise UsageError(workspace._nothing_to_resume())
            workspace._refuse_state(drop=overwrite, resume=resume)
            _probe(workspace.state)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written: {error.strerror}. Give another --out."
            ) from None
        return workspace

    def begin(self, run: Mapping[str, Any], *, resume: bool) -> None:
        """Claim the place for a run, or make sure that it is the one that is gone on with.

        Args:
            run: What decides the result of the run, see `birnn.training.fingerprint.describe`.
            resume: Whether the run goes on from a checkpoint.

        Raises:
            UsageError: The run that stands there had other data or another recipe.
        """
        marker = self.state / RUN
        if resume:
            earlier = json.loads(marker.read_text(encoding="utf-8"))
            changed = differences(earlier, json.loads(json.dumps(run)))
            if changed:
                raise UsageError(
                    f"--resume goes on with the run in {self.state}, which is another: "
                    f"{'; '.join(changed)}. Give what it had, or start anew with --overwrite."
                )
            return
        if self.state.exists():
            shutil.rmtree(self.state)
        self.state.mkdir(parents=True)
        marker.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's log, where TensorBoard is installed."""
        return self.state / "tensorboard"

    def last_checkpoint(self) -> Path | None:
        """State after the last whole epoch, if there is one."""
        path = self.state / f"{self.LAST}.ckpt"
        return path if path.is_file() else None

    def best_tensors(self, names: Iterable[str]) -> dict[str, np.ndarray[Any, Any]] | None:
        """The best model's tensors so far, by the names of its spec; None before any."""
        path = self.state / f"{self.BEST}.ckpt"
        if not path.is_file():
            return None
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        return {name: state[f"network.{name}"].numpy() for name in names}

    def close(self) -> None:
        """Drop the state; what a user may read again, the logs, moves into the bundle."""
        if self.log.is_file():
            shutil.copyfile(self.log, self.folder / self.log.name)
        if self.tensorboard.is_dir():
            shutil.rmtree(self.folder / self.tensorboard.name, ignore_errors=True)
            shutil.copytree(self.tensorboard, self.folder / self.tensorboard.name)
        shutil.rmtree(self.state)

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

    def _refuse_state(self, *, drop: bool, resume: bool) -> None:
        """Only what a run of ours left may be dropped, and only a whole epoch is worth keeping."""
        if not self.state.exists():
            return
        if not self.state.is_dir() or (
            any(self.state.iterdir()) and not (self.state / RUN).is_file()
        ):
            raise OutputError(
                f"{self.state} is needed for the run, and birnn did not write what stands there. "
                "Give another --out."
            )
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
            f"nothing to resume: {self.state} holds no finished epoch. "
            "Leave --resume out to start anew."
        )


def _probe(state: Path) -> None:
    """Find out whether a folder can be written, and leave nothing of the trial.

    Raises:
        OSError: It cannot.
    """
    made = [state, *(parent for parent in state.parents)]
    made = [path for path in made if not path.exists()]
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / ".probe"
        probe.touch()
        probe.unlink()
    finally:
        for path in made:
            if path.is_dir():
                path.rmdir()
