"""Source of lines or bytes for every reader: file, compression, errors with file:line."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from birnn.errors import DataError, FormatError, Tell, log_notice

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A line of a file and the cells of a row, each with the number of the line.
NumberedLine = tuple[int, str]
NumberedRow = tuple[int, list[str]]

STANDARD_INPUT = "-"
CHUNK = 1 << 14

# Deflate reaches a ratio of 1,032; beyond 1,000 a file is one byte repeated.
UNPACKED_RATIO = 1000
MAX_UNPACKED = 4 << 30
MAX_LINE = 16 << 20
LONGEST = 500  # characters of a message

# Marks of encodings, the longer ones first: UTF-32's begins with UTF-16's.
_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True, slots=True)
class Source:
    r"""Bytes with a name.

    Args:
        name: What messages call it.
        open: Opens the bytes, decompressed, from their start.
        tell: Takes each notice about the file, one line.
        max_line: Longest line, in bytes.
        live: Whether the bytes may still be arriving (a pipe), so that readers look ahead little.

    Example:
        >>> source = Source.from_text("one\r\ntwo\rthree")
        >>> list(source.lines())
        ['one', 'two', 'three']
        >>> str(source.fault("too few columns", 2))
        'text:2: too few columns'
    """

    name: str
    open: Callable[[], contextlib.AbstractContextManager[io.BufferedIOBase]]
    tell: Tell = log_notice
    max_line: int = MAX_LINE
    live: bool = False
    _noticed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def from_path(
        cls,
        path: str | os.PathLike[str],
        *,
        tell: Tell = log_notice,
        max_line: int = MAX_LINE,
        max_unpacked: int | None = None,
        large: bool = False,
    ) -> Source:
        """A file, ``.gz`` decompressed on the way, or ``-`` for standard input.

        A ``.gz`` may unfold to ``max_unpacked`` bytes, by default to 1,000 times its size, and to
        4 GiB at most unless it is ``large``, as files of word vectors may be.

        Raises:
            FormatError: Nothing there, a folder, empty, or not to be read.
        """
        if str(path) == STANDARD_INPUT:
            return cls("standard input", _standard_input, tell, max_line, live=True)
        path = Path(path)
        if not path.exists():
            raise FormatError(f"{path}: no such file. Check the path.")
        if path.is_dir():
            raise FormatError(f"{path}: is a directory. Name a file in it.")
        if not os.access(path, os.R_OK):
            raise FormatError(f"{path}: may not be read. Change its permissions (chmod +r).")
        size = path.stat().st_size if path.is_file() else None
        if size == 0:
            raise FormatError(f"{path}: empty. A file of at least one sequence is needed.")
        live = size is None
        if path.suffix.lower() != ".gz":
            return cls(str(path), lambda: path.open("rb"), tell, max_line, live)
        most = max_unpacked or (size or MAX_UNPACKED) * UNPACKED_RATIO
        if max_unpacked is None and not large:
            most = min(MAX_UNPACKED, most)
        unpacked = lambda: io.BufferedReader(_Unpacked(path, most), CHUNK)  # noqa: E731
        return cls(str(path), unpacked, tell, max_line, live)

    @classmethod
    def of_folder(
        cls,
        path: str | os.PathLike[str],
        *,
        tell: Tell = log_notice,
        max_line: int = MAX_LINE,
    ) -> Source:
        """A folder, whose files its reader opens; it has no bytes of its own."""

        def no_bytes() -> contextlib.AbstractContextManager[io.BufferedIOBase]:
            raise IsADirectoryError(errno.EISDIR, "is a directory. Name a file in it")

        return cls(str(path), no_bytes, tell, max_line)

    @classmethod
    def from_text(cls, text: str, name: str = "text") -> Source:
        """A text in memory."""
        return cls(name, lambda: io.BytesIO(text.encode()))

    def lines(self, *, errors: str = "strict") -> Iterator[str]:
        r"""The lines, decoded, without their ends: ``\n``, ``\r\n`` or ``\r``.

        A byte order mark of UTF-8 is accepted; ``errors`` is that of `bytes.decode`. A line is
        given as soon as it has ended, and none is held that is longer than ``max_line``.

        Raises:
            FormatError: Not UTF-8, a NUL byte, a line that is too long, not gzip, or not to be
                read; the line is named.
        """
        number = 0
        # Whether earlier lines hold non-ASCII characters, valid as UTF-8.
        is_utf8 = False
        with self._named_faults(), self.open() as stream:
            try:
                for number, raw in enumerate(self._raw_lines(stream), 1):
                    if number == 1:
                        raw = raw.removeprefix(b"\xef\xbb\xbf")
                    try:
                        line = raw.decode(errors=errors)
                    except UnicodeDecodeError as error:
                        raise self._not_utf8(raw, error, number, is_utf8) from None
                    if "\0" in line:
                        raise self._not_text(line, number)
                    is_utf8 = is_utf8 or not line.isascii()
                    yield line
            except _TooMuchError as error:
                raise self.fault(str(error), number + 1) from None

    def text(self) -> str:
        r"""The whole text, decoded, its line ends and byte order mark as they stand.

        Raises:
            FormatError: As `lines` does, but for the length of lines.

        Example:
            >>> Source.from_text("one\r\ntwo").text()
            'one\r\ntwo'
        """
        content = self.content()
        self._check_mark(content)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start]
            start = before.rfind(b"\n") + 1
            end = content.find(b"\n", error.end)
            line = content[start : None if end < 0 else end]
            error.start -= start
            raise self._not_utf8(
                line, error, before.count(b"\n") + 1, not before.isascii()
            ) from None
        if "\0" in text:
            before_nul = text[: text.index("\0")]
            number = before_nul.count("\n")
            raise self._not_text(text.split("\n", number + 1)[number], number + 1)
        return text

    def content(self) -> bytes:
        """All bytes at once.

        Raises:
            FormatError: Not gzip, or not to be read.
        """
        with self._named_faults(), self.open() as stream:
            return stream.read()

    def beginning(self) -> bytes:
        """The first bytes, of a file that can be opened again."""
        with self._named_faults(), self.open() as stream:
            return stream.read1(CHUNK)

    def where(self, line: int | None = None) -> str:
        """``file:line``, as messages begin."""
        return self.name if line is None else f"{self.name}:{line}"

    def fault(self, what: str | DataError, line: int | None = None) -> FormatError:
        """The error for what is wrong at ``line``; a `FormatError` already names its place."""
        if isinstance(what, FormatError):
            return what
        return FormatError(f"{self.where(line)}: {_shortened(str(what))}")

    def notice(self, what: str, line: int | None = None, *, once: str = "") -> None:
        """Give notice of a guess about the file, at ``line``; with ``once`` the first of a kind."""
        if not once or once not in self._noticed:
            self._noticed.add(once)
            self.tell(f"{self.where(line)}: {_shortened(what)}")

    def _raw_lines(self, stream: io.BufferedIOBase) -> Iterator[bytes]:
        """The lines as bytes; what is held of one that has not ended is bounded."""
        held = bytearray()
        first, after_cr = True, False
        while chunk := stream.read1(CHUNK):
            if first:
                self._check_mark(chunk)
                first = False
            if after_cr and chunk[:1] == b"\n":
                chunk = chunk[1:]
            after_cr = chunk[-1:] == b"\r"
            # Of bytes, splitlines ends lines at \n, \r and \r\n alone.
            lines = chunk.splitlines()
            unended = lines.pop() if lines and chunk[-1] not in b"\r\n" else b""
            for line in lines:
                if held:
                    held += line
                    line = bytes(held)
                    held.clear()
                if len(line) > self.max_line:
                    raise self._too_long()
                yield line
            held += unended
            if len(held) > self.max_line:
                raise self._too_long()
        if held:
            yield bytes(held)

    def _too_long(self) -> _TooMuchError:
        return _TooMuchError(
            f"a line longer than {self.max_line:,} bytes. End lines, or allow it: "
            "--max-line BYTES (max_line in Python)."
        )

    def _check_mark(self, start: bytes) -> None:
        if start.startswith(b"\x1f\x8b"):
            raise self.fault("gzip data under another name. Name the file .gz, or unpack it.", 1)
        if start.startswith(b"PK\x03\x04"):
            raise self.fault(
                "a zip archive, as .xlsx files are too, and no text. Unpack it, or save the table "
                "as CSV.",
                1,
            )
        for mark, encoding in _MARKS.items():
            if start.startswith(mark):
                raise self.fault(
                    f"the file is {encoding}, by the mark that it begins with; birnn reads UTF-8. "
                    f"Convert it: iconv -f {encoding} -t UTF-8 FILE > NEW",
                    1,
                )

    def _not_utf8(
        self, raw: bytes, error: UnicodeDecodeError, number: int, is_utf8: bool
    ) -> FormatError:
        rest = raw.decode(errors="replace")
        broken = rest.count("\ufffd")
        # Converting the whole file would ruin the characters that are valid.
        advice = (
            "Other letters are UTF-8: mend or take out this byte."
            if is_utf8 or sum(letter > "\x7f" for letter in rest) > 2 * broken
            else "Save the file as UTF-8, or convert it from the encoding that it was saved in."
        )
        return self.fault(
            f"not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line. "
            f"{advice}",
            number,
        )

    def _not_text(self, line: str, number: int) -> FormatError:
        # UTF-16 writes every other byte of Latin letters as NUL.
        for encoding, at in (("UTF-16LE", 1), ("UTF-16BE", 0)):
            zeros, letters = line[at:64:2], line[1 - at : 64 : 2]
            if number == 1 and len(zeros) > 1 and set(zeros) == {"\0"} and "\0" not in letters:
                return self.fault(
                    f"NUL bytes between the letters: this is {encoding} without its mark, birnn "
                    f"reads UTF-8. Convert the file: iconv -f {encoding} -t UTF-8 FILE > NEW",
                    number,
                )
        place = len(line[: line.index("\0")].encode()) + 1
        return self.fault(
            f"a NUL byte, at byte {place} of the line: this is no text. Give a text file.", number
        )

    @contextlib.contextmanager
    def _named_faults(self) -> Iterator[None]:
        """Says what is wrong with a file that cannot be read."""
        try:
            yield
        except _TooMuchError as error:
            raise self.fault(str(error)) from None
        except EOFError:
            raise self.fault("the gzip data ends early. Copy the file again.") from None
        except (gzip.BadGzipFile, zlib.error):
            raise self.fault(
                "named .gz but not gzip, or damaged. Drop the .gz or copy the file again."
            ) from None
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror or error}") from None


def _standard_input() -> contextlib.AbstractContextManager[io.BufferedIOBase]:
    """Standard input, by a reader of its own.

    A thread may block in it while the process ends, and Python aborts if it blocks in the reader of
    ``sys.stdin``.
    """
    try:
        number = os.dup(sys.stdin.fileno())
    except (OSError, ValueError):  # replaced by an object that is no file
        return contextlib.nullcontext(cast("io.BufferedIOBase", sys.stdin.buffer))
    return open(number, "rb")  # noqa: PTH123 - it has no path


def _shortened(what: str) -> str:
    """A message without the middle if it is long: the remedy is at its end."""
    return what if len(what) <= LONGEST else f"{what[: LONGEST // 2]} ... {what[-LONGEST // 2 :]}"


class _TooMuchError(Exception):
    """A line is longer, or a compressed file unfolds to more, than is allowed."""


class _Unpacked(io.RawIOBase):
    """What a gzip file unfolds to, up to a number of bytes."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__()
        self._file = gzip.GzipFile(path, "rb")
        self._most = most
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        # GzipFile would block until the buffer is full; read1 returns what a pipe has so far.
        data = self._file.read1(memoryview(buffer).nbytes)
        self._read += len(data)
        if self._read > self._most:
            raise _TooMuchError(
                f"unfolds to more than {self._most:,} bytes. If it is meant to, allow it: "
                "--max-unpacked BYTES (max_unpacked in Python)."
            )
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
