"""A file, its compression and its faults: where every reader gets lines or bytes from."""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from birnn.errors import FormatError

STANDARD_INPUT = "-"


def log_notice(line: str) -> None:
    """Log a notice as a warning of the logger ``birnn``; unless set otherwise, it is printed."""
    logging.getLogger("birnn").warning(line)


@dataclass(frozen=True, slots=True)
class Source:
    r"""Bytes with a name.

    Args:
        name: What messages call it.
        open: Opens the bytes, decompressed, from their start.
        tell: Takes each notice about the file, one line.

    Example:
        >>> source = Source.from_text("one\r\ntwo")
        >>> list(source.lines())
        ['one', 'two']
        >>> str(source.fault("too few columns", 2))
        'text:2: too few columns'
    """

    name: str
    open: Callable[[], contextlib.AbstractContextManager[IO[bytes]]]
    tell: Callable[[str], None] = log_notice

    @classmethod
    def from_path(
        cls, path: str | os.PathLike[str], *, tell: Callable[[str], None] = log_notice
    ) -> Source:
        """A file, ``.gz`` decompressed on the way, or ``-`` for standard input.

        Raises:
            FormatError: Nothing there, a folder, empty, or not to be read.
        """
        if str(path) == STANDARD_INPUT:
            return cls("standard input", _standard_input, tell)
        path = Path(path)
        if not path.exists():
            raise FormatError(f"{path}: no such file. Check the path.")
        if path.is_dir():
            raise FormatError(f"{path}: is a directory. Name a file in it.")
        if not os.access(path, os.R_OK):
            raise FormatError(f"{path}: may not be read. Change its permissions (chmod +r).")
        if path.is_file() and path.stat().st_size == 0:
            raise FormatError(f"{path}: empty. A file of at least one sequence is needed.")
        if path.suffix.lower() == ".gz":
            return cls(str(path), lambda: _gunzipped(path), tell)
        return cls(str(path), lambda: path.open("rb"), tell)

    @classmethod
    def from_text(cls, text: str, name: str = "text") -> Source:
        """A text that stands in memory."""
        return cls(name, lambda: io.BytesIO(text.encode()))

    def lines(self) -> Iterator[str]:
        r"""The lines, decoded, without their ends; a byte order mark and ``\r\n`` are accepted.

        Raises:
            FormatError: Not UTF-8, not gzip, or not to be read.
        """
        with self._watched(), self.open() as stream:
            for number, raw in enumerate(stream, 1):
                try:
                    line = raw.decode()
                except UnicodeDecodeError as error:
                    raise self.fault(
                        f"not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} "
                        "of the line. Convert the file, for example: iconv -f latin1 -t utf-8",
                        number,
                    ) from None
                if number == 1:
                    line = line.removeprefix("\ufeff")
                yield line.rstrip("\r\n")

    def content(self) -> bytes:
        """All bytes at once.

        Raises:
            FormatError: Not gzip, or not to be read.
        """
        with self._watched(), self.open() as stream:
            return stream.read()

    def where(self, line: int | None = None) -> str:
        """``file:line``, as messages begin."""
        return self.name if line is None else f"{self.name}:{line}"

    def fault(self, what: str, line: int | None = None) -> FormatError:
        """The error that says ``what`` is wrong at ``line``."""
        return FormatError(f"{self.where(line)}: {what}")

    def notice(self, what: str, line: int | None = None) -> None:
        """Tell what was guessed about the file, at ``line``."""
        self.tell(f"{self.where(line)}: {what}")

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except EOFError:
            raise self.fault("the gzip data ends early. Copy the file again.") from None
        except (gzip.BadGzipFile, zlib.error):
            raise self.fault(
                "named .gz but not gzip, or damaged. Drop the .gz or copy the file again."
            ) from None
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror or error}") from None


def _standard_input() -> contextlib.AbstractContextManager[IO[bytes]]:
    """Standard input, by a reader of its own.

    A thread may wait in it while the process ends, and Python aborts where one waits in the reader
    that is ``sys.stdin``.
    """
    try:
        number = os.dup(sys.stdin.fileno())
    except (OSError, ValueError):  # no file: something that stands in for it
        return contextlib.nullcontext(sys.stdin.buffer)
    return open(number, "rb")  # noqa: PTH123 - it has no path


def _gunzipped(path: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    # a GzipFile is no IO[bytes] to the type checker, a reader over it is
    return io.BufferedReader(gzip.GzipFile(path, "rb"))
