"""Atomic checkpoints with a digest: a damaged or foreign one is refused at a resume."""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch.plugins.io import CheckpointIO, TorchCheckpointIO

from birnn.bundle.folder import synchronise
from birnn.errors import OutputError, UsageError

BEST, LAST = "best.ckpt", "last.ckpt"
MAGIC = b"birnn checkpoint 1\n"
DIGEST_SIZE = hashlib.sha256().digest_size
LONGEST_HEADER = 4096  # bytes: whatever is longer was not written here


@dataclass(frozen=True, slots=True)
class Header:
    """What a checkpoint says of itself, before the state that torch reads.

    Args:
        run: Name of the run that wrote it, drawn when the run began.
        epoch: Whole epochs behind it.
        best: Digest of the best weights so far, of the state of the last epoch.
        digest: Of all that follows it in the file, hexadecimal.
    """

    run: str
    epoch: int
    best: str | None
    digest: str


class MemoryCheckpoints(CheckpointIO):
    """The weights of the last checkpoint, kept in memory: for runs that nobody resumes."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Keep a copy of the weights, in the place of those before."""
        state = checkpoint["state_dict"]
        self.weights = {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Nothing is kept that a run could go on from."""
        raise NotImplementedError

    def remove_checkpoint(self, path: str | Path) -> None:
        """The next one takes its place."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints written atomically: a kill leaves the old file or the new one, whole.

    A file is the line `MAGIC`, the digest (SHA-256) of what follows, a line of JSON, then what
    `torch.save` writes. Lightning's own go through the system's temporary folder: from another
    disk a move is a copy.

    Args:
        run: Name of the run; a checkpoint of another one is not loaded.
    """

    def __init__(self, run: str) -> None:
        self._run = run

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write beside the place, then rename into it.

        Raises:
            OutputError: It cannot be written; the checkpoint before stays.
        """
        place = Path(path)
        best = place.with_name(BEST)
        header = {
            "run": self._run,
            "epoch": int(checkpoint["epoch"]),
            # Which weights are best is part of the state, though they stand in another file.
            "best": read_header(best).digest if place.name == LAST and best.exists() else None,
        }

        def write(file: BinaryIO) -> None:
            file.write(MAGIC + bytes(DIGEST_SIZE))
            counted = DigestWriter(file)
            counted.write((json.dumps(header) + "\n").encode())
            try:
                torch.save(checkpoint, counted)  # type: ignore[arg-type]
            except RuntimeError:
                # What torch says of a full disk is where its own writer stood.
                if counted.fault is not None:
                    raise counted.fault from None
                raise
            file.seek(len(MAGIC))
            file.write(counted.digest.digest())

        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            replace_file(place, write)
        except OSError as error:
            raise OutputError(
                f"{place}: cannot be written: {error.strerror or error}. "
                "Make room, then go on with --resume."
            ) from None

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = "cpu",
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint after checking its digest and its run.

        Raises:
            UsageError: It is missing, damaged, or of another run.
        """
        _, content = read_checkpoint(Path(path), run=self._run)
        state: dict[str, Any] = torch.load(
            content, map_location=map_location, weights_only=weights_only
        )
        return state


class DigestWriter:
    """A file to write to that keeps the digest of what is written, and the fault if it fails."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.fault: OSError | None = None

    def write(self, data: Any) -> int:
        """Write and count in."""
        self.digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        """Write what is held back."""
        try:
            self._file.flush()
        except OSError as error:
            self.fault = error
            raise


def read_header(path: Path) -> Header:
    """What a checkpoint says of itself; its state is not read.

    Raises:
        UsageError: It is missing, or is no checkpoint of ours.
    """
    with _opened(path) as file:
        return _header(path, file.read(LONGEST_HEADER))[0]


def read_checkpoint(path: Path, *, run: str) -> tuple[Header, io.BytesIO]:
    """Header and state of a checkpoint, once its digest is known to be right.

    Raises:
        UsageError: It is missing, damaged, or of another run.
    """
    with _opened(path) as file:
        content = file.read()
    header, start = _header(path, content[:LONGEST_HEADER])
    if hashlib.sha256(memoryview(content)[len(MAGIC) + DIGEST_SIZE :]).hexdigest() != header.digest:
        raise UsageError(_refusal(path, "is damaged: its digest is not that of its content"))
    if header.run != run:
        raise UsageError(_refusal(path, "was written by another run"))
    return header, io.BytesIO(content[start:])


def replace_file(place: Path, write: Any) -> None:
    """Write a file beside its place and rename it into it, both synchronised to the disk.

    Args:
        place: Where the file is to stand.
        write: Takes the open file.

    Raises:
        OSError: It cannot be written; what stood there before stays.
    """
    fresh = place.with_name(f".{place.name}.new")
    try:
        with fresh.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        synchronise(place.parent)
        fresh.replace(place)
        synchronise(place.parent)
    finally:
        # Half a file on a full disk is room that others need.
        with suppress(OSError):
            fresh.unlink()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UsageError(_refusal(path, "is missing")) from None
    except OSError as error:
        raise UsageError(_refusal(path, f"cannot be read: {error.strerror or error}")) from None


def _header(path: Path, start: bytes) -> tuple[Header, int]:
    """The header at the start of a file, and where the state begins."""
    if not start.startswith(MAGIC):
        raise UsageError(_refusal(path, "is no checkpoint of birnn, or its start is damaged"))
    digest, line = start[len(MAGIC) :][:DIGEST_SIZE], start[len(MAGIC) + DIGEST_SIZE :]
    text, newline, _ = line.partition(b"\n")
    try:
        found = json.loads(text)
        header = Header(found["run"], int(found["epoch"]), found["best"], digest.hex())
    except (ValueError, KeyError, TypeError, RecursionError):
        newline = b""
    if not newline:
        raise UsageError(_refusal(path, "is damaged: its header does not read"))
    return header, len(MAGIC) + DIGEST_SIZE + len(text) + 1


def _refusal(path: Path, fault: str) -> str:
    return f"{path} {fault}. The run cannot be gone on with: start anew with --overwrite."
