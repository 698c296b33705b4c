r"""Pretrained word vectors in text: word2vec, GloVe and fastText."""

# D values of a vector

from __future__ import annotations

import os
from collections.abc import Container

import numpy as np

from birnn.data.examples import Vectors
from birnn.data.source import Source


def read_vectors(
    path: str | os.PathLike[str], wanted: Container[str], *, first: int = 0
) -> tuple[int, dict[str, Vectors]]:
    r"""The vectors of the wanted words.

    Each line is a word and its D values, parted by spaces; a first line ``count D`` (word2vec,
    fastText) is optional. A word may hold spaces (GloVe's 840B has some). The first line of a
    word counts. Only the wanted lines are parsed, all are counted.

    Args:
        path: The file, ``.gz`` too.
        wanted: Words to keep.
        first: Keep the first so many lines too (files are sorted by frequency), wanted or not.

    Returns:
        D, and a float32 vector of shape (D,) for each wanted word that the file has.

    Raises:
        FormatError: ``file:line`` of a row of another width, of what is no number or not finite;
            fewer vectors than the first line says.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "glove.txt")
        ...     _ = path.write_text("the 0.5 1\nof 2 3\n")
        ...     read_vectors(path, {"of", "zebra"})
        (2, {'of': array([2., 3.], dtype=float32)})
    """
    source = Source.from_path(path)
    dim = 0
    promised: int | None = None
    count = 0
    number = 1
    vectors: dict[str, Vectors] = {}
    for number, raw in enumerate(source.lines(), 1):
        line = raw.rstrip(" ")
        if number == 1 and (header := _header(line)) is not None:
            promised, dim = header
            continue
        if not line:
            continue
        if dim == 0:
            dim = line.count(" ")
            if dim == 0:
                raise source.fault(
                    "a word without values. Each line is a word and its values, parted by spaces.",
                    number,
                )
        spaces = line.count(" ")
        if spaces == dim:
            word = line.partition(" ")[0]
        else:
            word = line.rsplit(" ", dim)[0] if spaces > dim else ""
            if spaces < dim or _is_number(word.rpartition(" ")[2]):
                raise source.fault(
                    f"{spaces} values, the file has {dim} elsewhere. "
                    "The row is damaged: download the file again or drop the row.",
                    number,
                )
        count += 1
        if (count <= first or word in wanted) and word not in vectors:
            vectors[word] = _vector(source, line.rsplit(" ", dim)[1:], number)
    if promised is not None and count != promised:
        raise source.fault(
            f"{count} vectors, the first line says {promised}. "
            "The file ends early or is damaged: download it again.",
            number,
        )
    if not count:
        raise source.fault("no vector in it. Each line is a word and its values.")
    return dim, vectors


def _header(line: str) -> tuple[int, int] | None:
    cells = line.split(" ")
    if len(cells) == 2 and all(cell.isascii() and cell.isdigit() for cell in cells):
        count, dim = map(int, cells)
        return (count, dim) if dim else None
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _vector(source: Source, cells: list[str], line: int) -> Vectors:
    try:
        with np.errstate(over="ignore"):
            values_D = np.array([float(cell) for cell in cells]).astype(np.float32)
    except ValueError:
        wrong = next(cell for cell in cells if not _is_number(cell))
        raise source.fault(
            f"{wrong!r} is not a number. Vectors in text are needed, not in binary.", line
        ) from None
    if not np.isfinite(values_D).all():
        wrong = cells[int(np.argmin(np.isfinite(values_D)))]
        raise source.fault(f"the value {wrong} is not finite in float32. Drop the row.", line)
    return values_D
