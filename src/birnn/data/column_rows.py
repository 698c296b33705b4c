"""The rows of a CoNLL file: their cells, and the lines that are no rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

Line = tuple[int, str]
Row = tuple[int, list[str]]

_SPACES = re.compile(" +")
_DOCUMENT = re.compile(r"-DOCSTART-|#(?:begin|end) document\b")
_COMMENT = re.compile(r"# id |# ?(?:newdoc|newpar|sent_id)\b|# ?[\w.:-]+(?: [\w.:-]+)? = ")


def cells_of(line: str) -> list[str]:
    r"""The cells of a row.

    Example:
        >>> cells_of("New York\tB-LOC "), cells_of("Anna   B-PER ")
        (['New York', 'B-LOC'], ['Anna', 'B-PER'])
    """
    if "\t" in line:
        # A token may be a blank, as some tokenisers have it.
        return [cell.strip(" ") or cell for cell in line.split("\t")]
    return _SPACES.split(line.strip(" "))


def is_document(line: str) -> bool:
    """Whether a line begins or ends a document."""
    return _DOCUMENT.match(line) is not None


def is_comment(line: str, cells: Sequence[str], width: int, *, opening: bool = False) -> bool:
    r"""Whether a line that begins with ``#`` is a comment; ``#`` and ``#tag`` are words, too.

    Args:
        line: The line.
        cells: Its cells.
        width: Columns of the rows.
        opening: Whether it stands before the first row of a sequence: a line of other columns is
            taken for a comment there.

    Example:
        >>> is_comment("# id 12\tdomain=en", ["# id 12", "domain=en"], 2)
        True
        >>> is_comment("#tag O", ["#tag", "O"], 2, opening=True)
        False
        >>> is_comment("# from a page", ["#", "from", "a", "page"], 2, opening=True)
        True
    """
    if _COMMENT.match(line):
        return True
    if not opening:
        return False
    # "# some words<TAB>more" in a table of two columns; GermEval's "#<TAB>https://...".
    spaced = len(cells) > 1 and "\t" in line and re.match(r"# +\S", cells[0]) is not None
    return len(cells) != width or spaced or (cells[0] == "#" and "://" in cells[-1])


def width_of(ahead: Iterable[Line]) -> tuple[int, int]:
    """Columns of the rows, and the first line that has them: one that is surely no comment."""
    found = (0, 0)
    for number, line in ahead:
        if not line or line.isspace() or is_document(line):
            continue
        if line[0] != "#":
            return len(cells_of(line)), number
        if not found[0] and not _COMMENT.match(line):
            found = len(cells_of(line)), number
    return found


def sequences_of(ahead: Iterable[Line], width: int) -> Iterator[list[Row]]:
    """The rows of each sequence that has any."""
    rows: list[Row] = []
    for number, line in ahead:
        if not line or line.isspace() or is_document(line):
            if rows:
                yield rows
            rows = []
            continue
        cells = cells_of(line)
        if line[0] != "#" or not is_comment(line, cells, width, opening=not rows):
            rows.append((number, cells))
    if rows:
        yield rows


def counted(width: int) -> str:
    """So many columns, in words.

    Example:
        >>> counted(1), counted(2)
        ('1 column', '2 columns')
    """
    return "1 column" if width == 1 else f"{width} columns"
