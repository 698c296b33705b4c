"""Which column of a CoNLL file holds the tokens and which the tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.errors import FormatError

Line = tuple[int, str]
Row = tuple[int, list[str]]

# What a header calls its columns, in lower case.
TOKEN_NAMES = frozenset(("token", "tokens", "word", "words", "form", "text", "surface"))
TAG_NAMES = frozenset(
    (
        *("tag", "tags", "label", "labels", "class", "target", "annotation", "bio", "iob", "chunk"),
        *("ner", "ne", "ner_tag", "ner_tags", "ner-tag", "netag", "entity", "entities"),
        *("pos", "upos", "xpos", "pos_tag", "pos-tag", "postag", "upostag", "xpostag"),
    )
)
OTHER_NAMES = frozenset(
    (
        *("id", "idx", "index", "n", "no", "nr", "number", "lemma", "feats", "head", "deprel"),
        *("deps", "misc", "start", "end", "offset", "doc", "doc_id", "document", "sentence"),
        *("sent", "sent_id", "sentence_id", "#"),
    )
)

FEW_ROWS = 20  # fewer that begin alike may be chance

_SPACES = re.compile(" +")
_DOCUMENT = re.compile(r"-DOCSTART-|#(?:begin|end) document\b")
_COMMENT = re.compile(r"# id |# ?(?:newdoc|newpar|sent_id)\b|# ?[\w.:-]+(?: [\w.:-]+)? = ")
_MARK = re.compile(r"O|[BIESLUMW]-\S+")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where things stand in the rows of a file.

    Args:
        token: Place of the token, from 0, or from -1 backwards.
        tag: Place of the tag likewise.
        width: Number of columns.
        measured: The line that has so many.
        fixed: Whether all rows of the file have so many, or, where the user names the columns, all
            rows of a sequence have as many.
        header: The line that names the columns, or 0.
    """

    token: int = 0
    tag: int = -1
    width: int = 0
    measured: int = 0
    fixed: bool = True
    header: int = 0


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


def find_columns(source: Source, ahead: Sequence[Line], request: ReadRequest) -> Columns | None:
    """Find out from the first lines of a file which column is which.

    Args:
        source: The file; takes what was guessed.
        ahead: Its first lines.
        request: What is wanted; ``options.columns`` and ``options.header`` decide where given.

    Returns:
        The columns; ``None`` where the file is CoNLL-U.

    Raises:
        FormatError: The token is probably not where it would be looked for.
    """
    width, measured = _width(ahead)
    sequences = list(_rows(ahead, width))
    rows = [row for sequence in sequences for row in sequence]
    given = request.options.columns
    header = _header(source, rows, request)
    first = header.header if header is not None else 0
    if given is not None:
        token, tag = (given.get(name, 1 if name == "token" else -1) for name in ("token", "tag"))
        place = [n - 1 if n > 0 else n for n in (token, tag)]
        return Columns(place[0], place[1], width, measured, fixed=False, header=first)
    if header is not None:
        return header
    if width == 1 and rows and re.match(r">\S", rows[0][1][0]):
        raise source.fault("this looks like FASTA. Say so: --format 3line or fasta", rows[0][0])
    counting = _counting(sequences)
    if _is_universal(rows) and all("\t" in line for number, line in ahead if number == measured):
        if request.options.format is not None:
            raise source.fault(
                "the columns of CoNLL-U. Say so: --format conllu, or name the columns: "
                "--columns token=2,tag=4",
                measured,
            )
        source.notice(
            f"the columns of CoNLL-U: read as such, tags from {request.options.field} "
            "(--field; or name the columns: --columns token=2,tag=4)",
            measured,
        )
        return None
    if any(line.startswith("#begin document") for _, line in ahead) and width > 3:
        raise _unclear(source, "a document of CoNLL-2012, with words in column 4", 4, measured)
    if counting == 0:
        if width > (2 if request.labelled else 1):
            source.notice(
                "column 1 counts the rows: tokens are read from column 2 "
                "(--columns token=1,tag=-1 says otherwise)",
                measured,
            )
            return Columns(1, -1, width, measured)
        if request.labelled and len(rows) > 2:
            raise _unclear(source, "column 1 counts the rows, as if it held no tokens", 1, measured)
    elif counting is not None:
        raise _unclear(source, f"column {counting + 1} counts the rows", counting + 2, measured)
    firsts = {cells[0] for _, cells in rows if cells}
    if width > 2 and len(rows) >= FEW_ROWS and len(firsts) == 1:
        [only] = firsts
        raise _unclear(source, f"column 1 is {only!r} in every row", 2, measured)
    if width > 1 and _tags_first(rows):
        source.notice(
            "tags stand in column 1: tokens are read from the last one "
            "(--columns token=1,tag=-1 says otherwise)",
            measured,
        )
        return Columns(-1, 0, width, measured)
    return Columns(0, -1, width, measured)


def _unclear(source: Source, what: str, token: int, line: int) -> FormatError:
    return source.fault(
        f"{what}. Say which columns hold tokens and tags: --columns token={token},tag=-1", line
    )


def _width(ahead: Iterable[Line]) -> tuple[int, int]:
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


def _rows(ahead: Iterable[Line], width: int) -> Iterator[list[Row]]:
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


def _header(source: Source, rows: Sequence[Row], request: ReadRequest) -> Columns | None:
    """The columns as the first row names them; ``None`` where it is a row like the others."""
    wanted = request.options.header
    if wanted is False or not rows:
        return None
    line, cells = rows[0]
    names = [cell.lower() for cell in cells]
    tokens = [i for i, name in enumerate(names) if name in TOKEN_NAMES]
    tags = [i for i, name in enumerate(names) if name in TAG_NAMES]
    known = bool(tokens and tags) and all(
        name in TOKEN_NAMES | TAG_NAMES | OTHER_NAMES for name in names
    )
    if not known and wanted is None:
        _refuse_strange_header(source, rows, names, request)
        return None
    token, tag = (tokens or [0])[0], (tags or [len(cells) - 1])[-1]
    if wanted is None:
        source.notice(
            f"a header: tokens are read from {cells[token]}, tags from {cells[tag]} "
            "(--no-header reads it as a row)",
            line,
        )
    return Columns(token, tag, len(cells), line, header=line)


def _refuse_strange_header(
    source: Source, rows: Sequence[Row], names: Sequence[str], request: ReadRequest
) -> None:
    """Refuse a first row that names the token, and beside it what occurs in no other row."""
    line, cells = rows[0]
    if not request.labelled or names[0] not in TOKEN_NAMES or len(cells) < 2 or len(rows) <= 10:
        return
    if all(other[-1:] != cells[-1:] for _, other in rows[1:]):
        raise source.fault(
            f"this looks like a header, but {cells[-1]!r} is no known name of a column. "
            "Say whether it is one: --header or --no-header",
            line,
        )


def _counting(sequences: Sequence[Sequence[Row]]) -> int | None:
    """The first column that counts rows: 0, 1, 2 or 1, 2, 3, in each sequence or in the file."""
    if max(map(len, sequences), default=0) < 2:
        return None
    for column in range(3):
        cells = [[cells[column : column + 1] for _, cells in rows] for rows in sequences]
        if any(
            not cell or not cell[0].isdecimal() or len(cell[0]) > 9 for s in cells for cell in s
        ):
            continue
        counts = [[int(cell[0]) for cell in sequence] for sequence in cells]
        start = counts[0][0]
        if start > 1:
            continue
        running = [count for sequence in counts for count in sequence]
        if running == list(range(start, start + len(running))) or all(
            sequence == list(range(start, start + len(sequence))) for sequence in counts
        ):
            return column
    return None


def _is_universal(rows: Sequence[Row]) -> bool:
    """Whether rows have CoNLL-U's ten columns: ids first, heads in the seventh."""
    return bool(rows) and all(
        len(cells) == 10
        and re.fullmatch(r"\d+([-.]\d+)?", cells[0]) is not None
        and re.fullmatch(r"\d+|_", cells[6]) is not None
        for _, cells in rows
    )


def _tags_first(rows: Sequence[Row]) -> bool:
    """Whether marks of spans stand in the first column and not in the last."""
    firsts = {cells[0] for _, cells in rows}
    lasts = {cells[-1] for _, cells in rows}
    return (
        len(rows) > 1
        and any(first != "O" for first in firsts)
        and all(map(_MARK.fullmatch, firsts))
        and not all(map(_MARK.fullmatch, lasts))
    )
