r"""Pretrained word vectors in text: word2vec, GloVe and fastText."""

# D values of a vector

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Container

import numpy as np

from birnn.data.numeric import Reals, is_number
from birnn.data.source import Source
from birnn.data.tokeniser import canonical
from birnn.errors import Tell, log_notice

_SEPARATORS = re.compile(r"[ \t]+")
_HALF = re.compile("[\ud800-\udfff]")  # what bytes that are not UTF-8 are read as
_NUMBERS = re.compile(rb"[-+0-9.eEnaifNAIF \t\r]*")
FASTTEXT_BINARY = b"\xba\x16\x4f\x2f"
MOST_DIGITS = 18  # of a number in the header


def read_vectors(
    path: str | os.PathLike[str],
    wanted: Container[str],
    *,
    first: int = 0,
    tell: Tell = log_notice,
) -> tuple[int, dict[str, Reals]]:
    r"""The vectors of the wanted words.

    Each line is a word and its D values, separated by spaces or tabs; a first line ``count D``
    (word2vec, fastText) is optional. A word may hold spaces (GloVe's 840B has some). Of
    several lines of a word the first is read. A wrong header and words that are not UTF-8 give a
    notice: a file may be cut by ``head``.

    Args:
        path: The file, ``.gz`` too.
        wanted: Words to keep, in NFC as the file's are read.
        first: Keep the words of so many first lines, too (files are sorted by frequency).
        tell: Takes each notice, one line.

    Returns:
        D, and a float32 vector of shape (D,) for each wanted word that the file has.

    Raises:
        FormatError: ``file:line`` of a row of another width, of what is no number or not finite;
            a binary file.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "glove.txt")
        ...     _ = path.write_text("the 0.5 1\nof 2 3\n")
        ...     read_vectors(path, {"of", "zebra"})
        (2, {'of': array([2., 3.], dtype=float32)})
    """
    source = Source.from_path(path, tell=tell, large=True)
    _refuse_binary(source)
    dim = 0
    header: tuple[int, int] | None = None
    count = 0
    undecodable: list[int] = []
    vectors: dict[str, Reals] = {}
    for number, raw in enumerate(source.lines(errors="surrogateescape"), 1):
        line = raw.strip(" \t")
        if number == 1 and (header := _header(source, line)) is not None:
            dim = header[1]
            continue
        if not line:
            continue
        if count == len(undecodable) and (not dim or header):
            dim = _width(source, line, dim, number)
        count += 1
        if not line.isascii() and _HALF.search(line):
            undecodable.append(number)
            continue
        word, values = _word_and_values(source, line, dim, number)
        if not word.isascii():
            word = canonical(word)
        if (count <= first or word in wanted) and word not in vectors:
            vectors[word] = _vector(source, values.split(), number)
    if undecodable:
        words = f"{len(undecodable):,} word" + ("s are" if len(undecodable) > 1 else " is")
        source.notice(f"{words} not UTF-8 and left out, the first here", undecodable[0])
    if header is not None and count != header[0]:
        source.notice(
            f"the header says {header[0]:,} vectors, the file has {count:,}: these are read", 1
        )
    if not count:
        raise source.fault("no vector in it. Each line is a word and its values.")
    return dim, vectors


def _refuse_binary(source: Source) -> None:
    """Refuse a binary file, naming what it is, before its bytes are read as words."""
    if source.live:
        return
    start = source.beginning()
    if start.startswith(FASTTEXT_BINARY):
        raise source.fault("a binary model of fastText. Give its vectors in text, the .vec file.")
    first, _, rest = start.partition(b"\n")
    match = re.fullmatch(rb"[0-9]{1,18} ([0-9]{1,6})\r?", first)
    if match is None:
        return
    # A word, a space, and D floats of four bytes.
    values = rest.partition(b" ")[2][: 4 * int(match[1])]
    line = values.partition(b"\n")[0]
    # Text is valid UTF-8 without control characters.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    is_text = not re.search("[\0-\b\ufffd]", decoder.decode(rest))
    if _NUMBERS.fullmatch(line) is None and not is_text:
        raise source.fault(
            "word2vec's binary format, vectors in text are needed. With gensim: "
            "KeyedVectors.load_word2vec_format(FILE, binary=True).save_word2vec_format(NEW)"
        )


def _header(source: Source, line: str) -> tuple[int, int] | None:
    cells = line.split()
    if len(cells) != 2 or not all(cell.isascii() and cell.isdigit() for cell in cells):
        return None
    if any(len(cell) > MOST_DIGITS for cell in cells):
        raise source.fault(f"a header of {len(line):,} characters. Write: count width", 1)
    count, dim = map(int, cells)
    return (count, dim) if dim else None


def _width(source: Source, line: str, dim: int, number: int) -> int:
    """The number of values of the first row, with a notice if the header gives another."""
    cells = _SEPARATORS.split(line)
    if len(cells) == 1:
        cells = line.split()
    found = len(cells) - 1
    if not found:
        raise source.fault(
            "a word without values. Each line is a word and its values, separated by spaces.",
            number,
        )
    # Otherwise the header may be right, and the word may hold spaces.
    if dim and found != dim and all(map(is_number, cells[1:])):
        source.notice(f"the header says {dim} values for each word, this row has {found}", number)
        return found
    return dim or found


def _word_and_values(source: Source, line: str, dim: int, number: int) -> tuple[str, str]:
    """A word, and its values as text."""
    if line.count(" ") == dim and "  " not in line and "\t" not in line:
        word, _, values = line.partition(" ")
        return word, values
    cells = _SEPARATORS.split(line)
    if len(cells) <= dim:
        cells = line.split()  # by spaces that do not break, too
    if len(cells) <= dim or (len(cells) > dim + 1 and is_number(cells[-dim - 1])):
        raise source.fault(
            f"{len(cells) - 1} values, the file has {dim} elsewhere. "
            "The row is damaged: download the file again or drop the row.",
            number,
        )
    return " ".join(cells[:-dim]), " ".join(cells[-dim:])


def _vector(source: Source, cells: list[str], line: int) -> Reals:
    try:
        with np.errstate(over="ignore"):
            values_D = np.array([float(cell) for cell in cells]).astype(np.float32)
    except ValueError:
        wrong = next(cell for cell in cells if not is_number(cell))
        raise source.fault(f"{wrong!r:.40} is not a number. Mend or drop the row.", line) from None
    if not np.isfinite(values_D).all():
        wrong = cells[int(np.argmin(np.isfinite(values_D)))]
        raise source.fault(f"the value {wrong:.40} is not finite in float32. Drop the row.", line)
    return values_D
