"""Where predictions go: standard output, or a file that appears only once it is whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from birnn.errors import OutputError, UsageError


@contextmanager
def writing(path: Path | None, *, reading: str) -> Iterator[TextIO]:
    """A stream to write to: standard output where no path is given.

    A file is written beside its place and renamed into it at the end, so what stood there stays
    until the new one is whole.

    Args:
        path: Where to write.
        reading: The file that is read meanwhile.

    Raises:
        UsageError: Both are the same file.
        OutputError: The place cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    if path.is_dir():
        raise OutputError(f"{path} is a directory. Give --out a file.")
    if path.exists() and reading != "-" and path.samefile(reading):
        raise UsageError(f"--out {path} is the file that is read. Give --out another.")
    # Devices and pipes are no files that could be replaced.
    if path.exists() and not path.is_file():
        with _watched(path), path.open("w", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream
        return
    place = path.resolve()
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with _watched(path):
            with part.open("x", encoding="utf-8", errors="backslashreplace") as stream:
                yield stream
            part.replace(place)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def _watched(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}. Give another --out."
        ) from None
