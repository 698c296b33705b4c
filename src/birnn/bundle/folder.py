"""A bundle's folder on disk: replaced as a whole by renaming, while other writers wait."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from birnn.bundle.manifest import MANIFEST, read_manifest
from birnn.errors import OutputError, UsageError


def write_folder(
    folder: str | Path, contents: Mapping[str, bytes], *, companions: Collection[str] = ()
) -> None:
    """Write the files of a bundle, atomically; a bundle that stands there is replaced.

    Args:
        folder: Where to write them.
        contents: Content of each file by its name.
        companions: Names of entries that the folder may have before it holds a bundle.

    Raises:
        OutputError: The folder exists and is not a bundle, or cannot be written.
    """
    target = _target(folder)
    fresh, before = _beside(target, "new"), _beside(target, "before")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            try:
                _settle(target)
                _refuse_foreign(target, companions)
                fresh.mkdir()
                for name, content in contents.items():
                    _write(fresh / name, content)
                synchronise(fresh)
                if target.exists():
                    target.rename(before)
                fresh.rename(target)
                synchronise(target.parent)
            finally:
                # Also after Ctrl-C: the former bundle is restored, the half-written one removed.
                with suppress(OSError):
                    _settle(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}. "
            "Choose a folder that you may write to, on a disk with room."
        ) from error


def check_place(folder: str | Path, *, reads: str | Path, overwrite: bool = False) -> None:
    """Refuse a folder for a quantised model, before work that takes long.

    Args:
        folder: Where the model is to be written.
        reads: The folder of the model that it is made of.
        overwrite: Whether a quantised model there may be replaced.

    Raises:
        OutputError: It is no bundle, or one that is not to be replaced, or a float32 one, which may
            have taken hours to train.
        UsageError: Both are one.
    """
    target = _target(folder)
    if can_be(reads) and Path(os.path.realpath(reads)) == target:
        raise UsageError(f"{folder} is the model that is read. Choose another folder to write to.")
    _refuse_foreign(target, ())
    if not (target / MANIFEST).is_file():
        return
    spec = read_manifest(target, [], target).get("spec")
    if isinstance(spec, dict) and spec.get("precision", "float32") == "float32":
        raise OutputError(f"{folder}: holds a float32 model already. Choose another folder.")
    if not overwrite:
        raise OutputError(
            f"{folder} holds a model. Give another --out, or --overwrite to replace it."
        )


def former(folder: Path) -> Path:
    """Where the bundle stands that is being replaced, between the two renames."""
    return _beside(Path(os.path.realpath(folder)), "before")


def identity(folder: Path) -> tuple[int, ...] | None:
    """What is another where another folder has taken the place; None where there is none."""
    with suppress(OSError):
        told = folder.stat()
        return told.st_dev, told.st_ino, told.st_ctime_ns
    return None


def can_be(folder: str | Path) -> bool:
    """Whether the system can have a file of that name."""
    try:
        return b"\0" not in os.fsencode(folder)
    except UnicodeEncodeError:
        return False


def _target(folder: str | Path) -> Path:
    """The folder that a name stands for, links followed."""
    if not can_be(folder):
        raise OutputError(f"{folder}: is no name that a folder can have. Choose another.")
    return Path(os.path.realpath(folder))


def _beside(target: Path, role: str) -> Path:
    # Not `with_name`, which refuses the root of the file system.
    return target.parent / f".{target.name}.{role}"


def _refuse_foreign(target: Path, companions: Collection[str]) -> None:
    """Refuse a folder that birnn did not write."""
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{target}: is a file. Choose a folder for the model.")
    names = {entry.name for entry in target.iterdir()}
    if names - set(companions) and MANIFEST not in names:
        raise OutputError(
            f"{target}: exists and is not a bundle. Choose another folder, or empty this one."
        )


def _settle(target: Path) -> None:
    """Finish or undo an interrupted write; keep the other entries of the folder."""
    fresh, before = _beside(target, "new"), _beside(target, "before")
    if before.is_dir() and not target.exists():
        before.rename(target)
    if before.is_dir():
        for entry in before.iterdir():
            kept = target / entry.name
            if not kept.exists():
                entry.rename(kept)
        shutil.rmtree(before)
    if fresh.is_dir():
        shutil.rmtree(fresh)


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Keep other writers out of a folder; where files cannot be locked, nothing."""
    with ExitStack() as opened:
        # Imported here: Windows has none. Some file systems of networks lock no folders.
        with suppress(ImportError, OSError):
            import fcntl

            descriptor = os.open(parent, os.O_RDONLY)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Not by closing alone, which children of a fork would have to do as well.
            opened.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
        yield


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def synchronise(folder: Path) -> None:
    """Make renames in a folder survive a power cut; systems that cannot open folders skip it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
