"""Which column of a CoNLL file holds the tokens and which the tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from birnn.data.column_rows import (
    Line,
    Row,
    counted,
    sequences_of,
    width_of,
)
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.errors import FormatError

FEW_ROWS = 20  # fewer that begin alike may be chance

# What a header of a CoNLL file calls its columns, in lower case.
TOKEN_NAMES = frozenset(("token", "tokens", "word", "words", "form", "text", "surface"))
TAG_NAMES = frozenset(
    (
        *("tag", "tags", "label", "labels", "class", "target", "annotation", "bio", "iob", "chunk"),
        *("ner", "ne", "ner_tag", "ner_tags", "ner-tag", "netag", "entity", "entities"),
        *("pos", "upos", "xpos", "pos_tag", "pos-tag", "postag", "upostag", "xpostag"),
    )
)
SENTENCE_NAMES = frozenset(
    ("sentence", "sent", "sent_id", "sentence_id", "sentence #", "sentence_number", "sent #")
)
OTHER_NAMES = frozenset(
    (
        *("id", "idx", "index", "n", "no", "nr", "number", "lemma", "feats", "head", "deprel"),
        *("deps", "misc", "start", "end", "offset", "doc", "doc_id", "document", "#"),
        *SENTENCE_NAMES,
    )
)

# Of these a lone column is called, and hardly ever is one the first word of a sentence.
LONE_NAMES = frozenset(("token", "tokens", "word", "words"))

_MARK = re.compile(r"O|[BIESLUMW]-\S+")
_CHANCE = re.compile(r"0\.\d+|1\.0*")


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
    width, measured = width_of(ahead)
    sequences = list(sequences_of(ahead, width))
    rows = [row for sequence in sequences for row in sequence]
    header = _header(source, rows, request)
    named = _named(source, width, measured, request)
    if named is not None:
        return replace(named, header=header.header if header is not None else 0)
    if header is None and _may_be_universal(source, ahead, rows, measured, request):
        return None
    found = header or _recognised(source, ahead, sequences, width, measured, request)
    _check_parted(source, sequences, found, header is not None)
    if request.labelled:
        _check_tags(source, rows[header is not None :], found)
    elif width > 1 and header is None and found.token == 0:
        others = "column 2" if width == 2 else f"columns 2 to {width}"
        source.notice(
            f"tokens are read from column 1; not read: {others} (--columns token=N says otherwise)",
            measured,
        )
    return found


def _named(source: Source, width: int, measured: int, request: ReadRequest) -> Columns | None:
    """The columns as the options name them; ``None`` where a model's do not fit the file."""
    given = request.options.columns
    if given is None:
        return None
    token, tag = (given.get(name, 1 if name == "token" else -1) for name in ("token", "tag"))
    needed = (token, tag) if request.labelled else (token,)
    if request.options.of_model("columns") and any(abs(n) > width for n in needed):
        source.notice(
            f"{counted(width)}, and the model was trained on tokens of column {token}, tags of "
            f"column {tag}: found anew (--columns sets them)",
            measured,
        )
        return None
    place = [n - 1 if n > 0 else n for n in (token, tag)]
    return Columns(place[0], place[1], width, measured, fixed=False)


def _may_be_universal(
    source: Source,
    ahead: Sequence[Line],
    rows: Sequence[Row],
    measured: int,
    request: ReadRequest,
) -> bool:
    """Whether a file is CoNLL-U by its columns, which is told, and refused of a format given."""
    if not _is_universal(rows) or any("\t" not in line for n, line in ahead if n == measured):
        return False
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
    return True


def _recognised(
    source: Source,
    ahead: Sequence[Line],
    sequences: Sequence[Sequence[Row]],
    width: int,
    measured: int,
    request: ReadRequest,
) -> Columns:
    """The columns as the rows themselves show them."""
    rows = [row for sequence in sequences for row in sequence]
    if width == 1 and rows and re.match(r">\S", rows[0][1][0]):
        raise source.fault("this looks like FASTA. Say so: --format 3line or fasta", rows[0][0])
    counting = _counting(sequences)
    if any(line.startswith("#begin document") for _, line in ahead) and width > 3:
        raise _unclear(source, "a document of CoNLL-2012, with words in column 4", 4, measured)
    room = width > (2 if request.labelled else 1)
    if counting == 0:
        if room:
            return _second(source, "counts the rows", width, measured)
        if request.labelled and len(rows) > 2:
            raise _unclear(source, "column 1 counts the rows, as if it held no tokens", 1, measured)
    elif counting is not None:
        raise _unclear(source, f"column {counting + 1} counts the rows", counting + 2, measured)
    firsts = {cells[0] for _, cells in rows if cells}
    if width > 2 and len(rows) >= FEW_ROWS and len(firsts) == 1:
        [only] = firsts
        raise _unclear(source, f"column 1 is {only!r} in every row", 2, measured)
    if room and _names_sequences(sequences, width):
        return _second(source, "is the same throughout a sentence", width, measured)
    if width > 1 and _tags_first(rows):
        source.notice(
            "tags stand in column 1: tokens are read from the last one "
            "(--columns token=1,tag=-1 says otherwise)",
            measured,
        )
        return Columns(-1, 0, width, measured)
    return Columns(0, -1, width, measured)


def _second(source: Source, what: str, width: int, measured: int) -> Columns:
    """Tokens in the second column, which is told with its reason."""
    source.notice(
        f"column 1 {what}: tokens are read from column 2 (--columns token=1,tag=-1 says otherwise)",
        measured,
    )
    return Columns(1, -1, width, measured)


def _check_parted(
    source: Source, sequences: Sequence[Sequence[Row]], found: Columns, headed: bool
) -> None:
    """Refuse sentences that a column tells apart and no blank line.

    Raises:
        FormatError: Column 1, which holds no tokens by its name or by what stands in it, changes
            within a sequence.
    """
    if found.width < 3:
        return
    rows = [cells for sequence in sequences for _, cells in sequence]
    if headed:
        if rows[0][0].lower() not in SENTENCE_NAMES:
            return
        sequences = [sequences[0][1:], *sequences[1:]]
    else:
        runs = [first for first, _ in groupby(cells[0] for cells in rows)]
        # Of each value one run, and of two rows or more on average: no words come so.
        if len(set(runs)) < len(runs) or 2 * len(runs) > len(rows) or len(rows) < FEW_ROWS:
            return
    for sequence in sequences:
        firsts = [(line, cells[0]) for line, cells in sequence if cells[0]]
        for (_, before), (line, first) in pairwise(firsts):
            if first != before:
                raise source.fault(
                    f"column 1 goes from {before!r} to {first!r}, as if it told sentences apart, "
                    "without a blank line. Put one between them; or say which columns hold tokens "
                    "and tags: --columns token=2,tag=-1",
                    line,
                )


def _check_tags(source: Source, rows: Sequence[Row], columns: Columns) -> None:
    """Refuse a column of tags that holds none: probabilities, or nothing but ``_``.

    Raises:
        FormatError: All rows at the start of the file have such cells.
    """
    # Rows of other widths are refused where they are read.
    rows = [row for row in rows if len(row[1]) == columns.width > 1]
    if not rows:
        return
    line = rows[0][0]
    tags = [cells[columns.tag] for _, cells in rows]
    place = columns.tag % columns.width + 1
    if columns.width > 2 and columns.tag == -1 and all(map(_CHANCE.fullmatch, tags)):
        raise source.fault(
            f"column {place} holds numbers from 0 to 1, as predict --probabilities writes them, "
            f"and no tags. Say which column holds them: --columns "
            f"token={columns.token % columns.width + 1},tag={place - 1}",
            line,
        )
    if set(tags) == {"_"}:
        raise source.fault(
            f"column {place} holds no tags, only _. Say which columns hold tokens and tags: "
            "--columns token=2,tag=4 (as in CoNLL-U)",
            line,
        )


def _unclear(source: Source, what: str, token: int, line: int) -> FormatError:
    return source.fault(
        f"{what}. Say which columns hold tokens and tags: --columns token={token},tag=-1", line
    )


def _header(source: Source, rows: Sequence[Row], request: ReadRequest) -> Columns | None:
    """The columns as the first row names them; ``None`` where it is a row like the others."""
    wanted = request.options.header
    if wanted is False or not rows:
        return None
    line, cells = rows[0]
    names = [cell.lower() for cell in cells]
    tokens = [i for i, name in enumerate(names) if name in TOKEN_NAMES]
    tags = [i for i, name in enumerate(names) if name in TAG_NAMES]
    known = bool(tokens and tags) and _are_names(names, rows, tags[-1])
    lone = not request.labelled and len(names) == 1 and names[0] in LONE_NAMES and len(rows) > 1
    if not known and not lone and wanted is None:
        _refuse_strange_header(source, rows, names, request)
        return None
    token, tag = (tokens or [0])[0], (tags or [len(cells) - 1])[-1]
    if wanted is None:
        tagged = f", tags from {cells[tag]}" if request.labelled else ", and nothing else"
        source.notice(
            f"a header: tokens are read from {cells[token]}{tagged} "
            "(--no-header reads it as a row)",
            line,
        )
    return Columns(token, tag, len(cells), line, header=line)


def _are_names(names: Sequence[str], rows: Sequence[Row], tag: int) -> bool:
    """Whether names of tokens and tags are a header's: all are known, or two of three."""
    strange = [name for name in names if name not in TOKEN_NAMES | TAG_NAMES | OTHER_NAMES]
    if 3 * len(strange) > len(names):
        return False
    return not strange or all(
        cells[tag : tag + 1] != rows[0][1][tag : tag + 1] for _, cells in rows[1:]
    )


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


def _names_sequences(sequences: Sequence[Sequence[Row]], width: int) -> bool:
    """Whether the first column is the same throughout each sequence, and so is no token.

    One sequence of a word over and over may be chance: of words two are asked for that differ, of
    numbers one will do where there are more columns. What would be read instead must vary.
    """
    several = [[cells for _, cells in rows] for rows in sequences if len(rows) > 1]
    if any(len({cells[0] for cells in rows}) > 1 for rows in several):
        return False
    firsts = {cells[0] for rows in sequences for _, cells in rows}
    enough = len({rows[0][0] for rows in several}) > 1 or (
        all(map(str.isdecimal, firsts)) and (width > 2 or len(firsts) > 1)
    )
    varied = any(len({cells[1] for cells in rows if len(cells) > 1}) > 1 for rows in several)
    return enough and varied


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
