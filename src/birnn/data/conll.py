"""Column files: one token on each line, a blank line after each sequence.

A blank line ends a sequence, so one with no tokens before it is an empty sequence: predictions for
a file have the same lines as the file. `birnn.data.conll_columns` finds out which column is which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from birnn.data.conll_columns import (
    TokenColumns,
    cells_of,
    counted,
    find_columns,
    is_comment,
    is_document,
)
from birnn.data.examples import Example
from birnn.data.options import FIELDS, ReadRequest
from birnn.data.source import NumberedLine, Source
from birnn.data.writing import WriteRequest

COLUMNS = 10
LOOK_AHEAD = 200  # lines by which columns are recognised

_ID = re.compile(r"\d{1,9}")
_NO_WORD = re.compile(r"\d+[-.]\d+")


def read_conllu(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""CoNLL-U: words and one of their fields as tags; ranges (1-2) and empty nodes (1.1) skipped.

    Args:
        source: The file.
        request: ``options.field`` names the column of the tags.

    Raises:
        FormatError: Too few columns, other columns than the lines before, an empty word or tag,
            words that are not numbered.

    Source: https://universaldependencies.org/format.html

    Example:
        >>> rows = ["# text = dogs", "1\tdogs\tdog\tNOUN\tNNS\t_\t0\troot\t_\t_", "", ""]
        >>> from birnn.data.options import ReadOptions
        >>> request = ReadRequest(options=ReadOptions(field="xpos"))
        >>> [example] = read_conllu(Source.from_text("\n".join(rows)), request)
        >>> example.inputs, example.target, example.where
        (('dogs',), ('NNS',), 'text:2')
    """
    yield from _universal(source, enumerate(source.lines(), 1), request)


def read_conll(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Tokens and tags in columns, separated by tabs or, in lines without one, by spaces.

    The first column holds the token and the last the tag, unless ``options.columns``, a header or
    the rows themselves say otherwise: numbers of the rows (1, 2, 3) are no tokens. Comments, the
    lines of a document's start and end (``-DOCSTART-``, ``#begin document``) and a header are no
    rows.

    Raises:
        FormatError: Lines of different numbers of columns, an empty token or tag, columns of which
            the first is no token.

    Example:
        >>> text = "EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n"
        >>> for example in read_conll(Source.from_text(text), ReadRequest()):
        ...     print(example.inputs, example.target)
        ('EU', 'rejects') ('B-ORG', 'O')
        ('Peter',) ('B-PER',)
    """
    lines = enumerate(source.lines(), 1)
    ahead = _ahead(source, lines)
    columns = find_columns(source, ahead, request)
    if columns is None:
        yield from _universal(source, chain(ahead, lines), request)
    else:
        if request.options.given("field"):
            source.notice("the option field serves CoNLL-U, this is no such file")
        yield from _sequences(source, chain(ahead, lines), columns, request)


def _ahead(source: Source, lines: Iterator[NumberedLine]) -> list[NumberedLine]:
    """The first lines, by which columns are found; of a pipe no more than the first sequence."""
    ahead: list[NumberedLine] = []
    rows = 0
    for number, line in lines:
        ahead.append((number, line))
        blank = not line or line.isspace()
        rows += not blank and not is_document(line)
        if len(ahead) >= LOOK_AHEAD or (source.live and blank and rows):
            break
    return ahead


def _sequences(
    source: Source, lines: Iterable[NumberedLine], columns: TokenColumns, request: ReadRequest
) -> Iterator[Example]:
    needed = 2 if request.labelled and columns.fixed else 1
    tokens: list[str] = []
    tags: list[str] = []
    places: list[int] = []
    width, measured = columns.width, columns.measured
    after_document = False
    for number, line in lines:
        blank = not line or line.isspace()
        if blank or number == columns.header or is_document(line):
            if tokens or (blank and not after_document):
                yield _example(source, tokens, tags, places, number, request)
                tokens, tags, places = [], [], []
            after_document = not blank
            continue
        cells = cells_of(line)
        if line[0] == "#" and is_comment(line, cells, width, opening=not tokens):
            if len(cells) != width and not is_comment(line, cells, width):
                source.notice(
                    f"read as a comment, as others like it: it has {counted(len(cells))}, the "
                    f"rows have {width}",
                    number,
                    once="comment",
                )
            continue
        after_document = False
        if not columns.fixed and not tokens:
            width, measured = len(cells), number
        if len(cells) != width:
            raise source.fault(
                f"{counted(len(cells))}, line {measured} has {width}. Give every line as many "
                "columns; part them by tabs where a token holds spaces.",
                number,
            )
        if len(cells) < needed:
            raise source.fault(
                f"{counted(len(cells))}, a token and its tag are needed, "
                "separated by a tab or a space.",
                number,
            )
        tokens.append(_cell(source, cells, columns.token, "token", number))
        if request.labelled:
            tags.append(_cell(source, cells, columns.tag, "tag", number))
        places.append(number)
    if tokens:
        yield _example(source, tokens, tags, places, places[0], request)


def _cell(source: Source, cells: list[str], place: int, name: str, line: int) -> str:
    if not -len(cells) <= place < len(cells):
        raise source.fault(
            f"{counted(len(cells))}, --columns looks for the {name} in column "
            f"{place + 1 if place >= 0 else place}. Give the number of a column, from 1.",
            line,
        )
    cell = cells[place].strip() if name == "tag" else cells[place]
    if not cell:
        raise source.fault(
            f"an empty {name}. Give every token one, or end the sequence with a blank line.", line
        )
    return cell


def _universal(
    source: Source, lines: Iterable[NumberedLine], request: ReadRequest
) -> Iterator[Example]:
    """The sentences of CoNLL-U lines."""
    field = request.options.field
    column = FIELDS[field]
    needed = COLUMNS if request.labelled else 2
    words: list[str] = []
    tags: list[str] = []
    places: list[int] = []
    missing, first_missing, filled = 0, 0, set[str]()
    total = width = measured = last = 0
    seen = False
    for number, line in lines:
        if not line or line.isspace():
            yield _example(source, words, tags, places, number, request)
            words, tags, places, seen, last = [], [], [], False, 0
            continue
        seen = True
        if line[0] == "#":
            continue
        cells = line.split("\t")
        if len(cells) < needed:
            raise source.fault(
                f"{counted(len(cells))} separated by tabs, CoNLL-U has {COLUMNS}. "
                "If the file has other columns, say so: --format conll --columns token=2,tag=4",
                number,
            )
        if not width:
            width, measured = len(cells), number
        if len(cells) != width:
            raise source.fault(
                f"{counted(len(cells))}, line {measured} has {width}. Give every line as many.",
                number,
            )
        count = cells[0].strip()
        if _NO_WORD.fullmatch(count):
            continue
        if not _ID.fullmatch(count):
            raise source.fault(
                f"column 1 is {cells[0]!r}, CoNLL-U numbers its words there. "
                "If the file has other columns, say so: --format conll",
                number,
            )
        if int(count) <= last:
            raise source.fault(
                f"word {count} after word {last}. End each sentence with a blank line.", number
            )
        last = int(count)
        # A form may hold blanks, but none at its ends.
        word = cells[1].strip(" ") or cells[1]
        if not word:
            raise source.fault("an empty word. Write _ for a missing form.", number)
        if request.labelled:
            tag = cells[column].strip()
            if not tag:
                raise source.fault(f"an empty {field}. Write _ for a missing one.", number)
            tags.append(tag)
            total += 1
            if tag == "_":
                missing, first_missing = missing + 1, first_missing or number
                filled.update(name for name, at in FIELDS.items() if cells[at].strip() != "_")
        places.append(number)
        words.append(word)
    if missing and missing == total:
        raise source.fault(
            f"no word has a tag in the field {field}, only _. Choose another: "
            f"--field {'|'.join(name for name in FIELDS if name in filled) or '|'.join(FIELDS)}; "
            "or if the file has other columns, say so: --format conll",
            first_missing,
        )
    # Words without features are common: their _ is no missing tag.
    if missing and field != "feats":
        source.notice(
            f"{missing:,} of {total:,} words have _ for {field}, which is read as a tag",
            first_missing,
        )
    if seen:
        yield _example(source, words, tags, places, number, request)


def _example(
    source: Source,
    tokens: list[str],
    tags: list[str],
    places: list[int],
    end: int,
    request: ReadRequest,
) -> Example:
    """A sequence; an empty one is located by the blank line that ends it."""
    start = places[0] if places else end
    lines: Sequence[int] = range(start, start + len(places))
    # A range takes no memory, and few sequences have other lines between their own.
    if places and places[-1] != lines[-1]:
        lines = tuple(places)
    target = tuple(tags) if request.labelled else None
    return Example(tuple(tokens), target, source.where(start), lines=lines)


def write_conll(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""Lines of a token and its tag, with a tab between, and a blank line after each sequence.

    Example:
        >>> "".join(write_conll([Example(("dogs",), ("NOUN",))], WriteRequest("tags", "conll")))
        'dogs\tNOUN\n\n'
    """
    for example in examples:
        tokens = request.tokens(example)
        for token, tag in zip(tokens, example.target or ("",) * len(tokens), strict=True):
            yield f"{token}\t{tag}\n" if tag else f"{token}\n"
        yield "\n"


def write_conllu(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""CoNLL-U with one field filled, the others ``_``.

    Example:
        >>> request = WriteRequest("tags", "conllu", tag_field="xpos")
        >>> "".join(write_conllu([Example(("dogs",), ("NNS",))], request))
        '1\tdogs\t_\t_\tNNS\t_\t_\t_\t_\t_\n\n'
    """
    place = FIELDS[request.tag_field]
    for example in examples:
        tokens = request.tokens(example)
        for number, (token, tag) in enumerate(
            zip(tokens, example.target or ("_",) * len(tokens), strict=True), 1
        ):
            cells = [str(number), token, *["_"] * (COLUMNS - 2)]
            cells[place] = tag
            yield "\t".join(cells) + "\n"
        yield "\n"
