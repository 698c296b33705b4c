"""Where a run keeps what it needs to go on: a folder beside the bundle-to-be."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from birnn.bundle.io import MANIFEST
from birnn.errors import OutputError, UsageError


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
        """Claim the place before any work is done.

        Raises:
            OutputError: Something stands there already, or it cannot be written.
            UsageError: Nothing to resume.
        """
        workspace = cls(folder, folder.with_name(f"{folder.name}.training"))
        _refuse_occupied(folder, replace=overwrite or resume)
        if resume and workspace.last_checkpoint() is None:
            raise UsageError(
                f"nothing to resume: {workspace.state} holds no finished epoch. "
                "Leave --resume out to start anew."
            )
        if not resume and workspace.state.exists():
            if not overwrite:
                raise OutputError(
                    f"{workspace.state} holds a run that was not finished. "
                    "Go on with it by --resume, or drop it by --overwrite."
                )
            shutil.rmtree(workspace.state)
        try:
            workspace.state.mkdir(parents=True, exist_ok=True)
            probe = workspace.state / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written: {error.strerror}. Give another --out."
            ) from None
        return workspace

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
        """Drop the state; what a user may read again, the log, moves into the bundle."""
        if self.log.is_file():
            shutil.copyfile(self.log, self.folder / self.log.name)
        shutil.rmtree(self.state)


def _refuse_occupied(folder: Path, *, replace: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file, a bundle is a folder. Give another --out.")
    if not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise OutputError(f"{folder} exists and holds no bundle. Give another --out.")
    if not replace:
        raise OutputError(
            f"{folder} exists. Give another --out, or --overwrite to replace the bundle there."
        )
