"""Tables: ``.csv`` and ``.tsv``, one sequence in each row."""

# K target values of a sequence

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from birnn.data import cells
from birnn.data.cells import Row
from birnn.data.examples import Example, Vectors
from birnn.data.headers import Columns, recognise
from birnn.data.names import named_header
from birnn.data.numeric import not_finite, said_of
from birnn.data.options import ReadRequest
from birnn.data.records import SKIP
from birnn.data.source import Source
from birnn.data.text import split_source
from birnn.data.timeseries import numbers
from birnn.errors import DataError

# Lines that are looked at before the first row is read; of a pipe few, its rows are waited for.
SAMPLE, LIVE_SAMPLE = 100, 8

_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

# What each delimiter is called.
CALLED = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read_tsv(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Columns parted by tabs: text and target.

    A first row that names the columns is recognised, see `birnn.data.headers`; without one the
    text comes first, then the label, the values or the target sequence. Values are
    every column of numbers that does not number the rows. A cell that is quoted
    as a whole is unquoted; any other quote is a character.

    Raises:
        FormatError: A row of other cells than the first, columns that cannot be told apart, an
            empty label, values that are no finite numbers.

    Example:
        >>> text = "label\ttext\n1\ta fine film\n"
        >>> [example] = read_tsv(Source.from_text(text), ReadRequest("label"))
        >>> example.inputs, example.target, example.where
        (('a', 'fine', 'film'), '1', 'text:2')
    """
    yield from _read(source, request, "\t")


def read_csv(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Columns parted by commas: text and label, as `read_tsv` reads them; with quoting.

    Raises:
        FormatError: What `read_tsv` raises, and quotes that do not close.

    Example:
        >>> text = 'text,label\n"so, so",negative\n'
        >>> [example] = read_csv(Source.from_text(text), ReadRequest("label"))
        >>> example.inputs, example.target
        (('so', ',', 'so'), 'negative')
    """
    yield from _read(source, request, ",")


def _read(source: Source, request: ReadRequest, own: str) -> Iterator[Example]:
    lines = iter(enumerate(source.lines(), 1))
    # What a model was trained on decides as soon as the first row has it: a pipe is read no
    # further ahead than that.
    sample = list(itertools.islice(lines, 1))
    if sample and (said := _SEPARATOR.fullmatch(sample[0][1])):
        # Excel's own line, which says the delimiter and belongs to no row.
        if not request.options.given("delimiter"):
            options = request.options.model_copy(update={"delimiter": said[1]})
            request = replace(request, options=options)
        sample = list(itertools.islice(lines, 1))
    if not _settled(source, sample, request, own):
        sample += itertools.islice(lines, LIVE_SAMPLE if source.live else SAMPLE)
    delimiter = _delimiter(source, sample, request, own)
    quoted = _quoting(own, delimiter)
    table = cells.rows(
        source,
        itertools.chain(sample, lines),
        delimiter,
        quoted=quoted,
        longest=request.options.max_line,
    )
    first = next(table, None)
    if first is None:
        return
    number, names = first
    rest = [row for _, row in _sampled(source, sample, delimiter, own)][1:]
    try:
        columns = recognise(names, rest, request)
    except DataError as error:
        raise source.fault(f"{error}.", number) from None
    _keep(request, columns, names, delimiter)
    told = list(columns.told)
    if delimiter not in (own, request.options.delimiter):
        told.append(f"cells are parted by {CALLED.get(delimiter, repr(delimiter))}")
    if told:
        source.notice(
            f"{'; '.join(told)}. Options: --text-column, --label-column, --delimiter, --header",
            number,
        )
    body = table if columns.header else itertools.chain([first], table)
    yield from _examples(source, body, columns, request, delimiter)


def _settled(
    source: Source, sample: Sequence[tuple[int, str]], request: ReadRequest, own: str
) -> bool:
    """Whether the first line is all that has to be seen: nothing is left to guess."""
    options = request.options
    if options.delimiter is None or options.text_column is None:
        return False
    if request.labelled and options.label_column is None:
        return False
    # Of columns by their numbers only rows say whether the first one names them; a pipe is not
    # waited for.
    if not options.header and options.text_column.isdigit() and not source.live:
        return False
    # Of two that part the line, one may stand in a text.
    two = options.delimiter != own and any(own in line for _, line in sample)
    if two and options.of_model("delimiter"):
        return False
    found = _sampled(source, sample, options.delimiter, own)
    try:
        return bool(found) and not recognise(found[0][1], [], request).missing
    except DataError:
        return False


def _delimiter(
    source: Source, sample: Sequence[tuple[int, str]], request: ReadRequest, own: str
) -> str:
    options = request.options
    given = options.delimiter
    if given is not None:
        if not options.of_model("delimiter"):
            return given
        found = _sampled(source, sample, given, own)
        if found and len({len(row) for _, row in found}) == 1 < len(found[0][1]):
            return given
    return cells.sniff(source, sample, own, lambda row: named_header(row, request.target))


def _quoting(own: str, delimiter: str) -> bool:
    """Whether quotes are marks, as in .csv, and not characters, as in .tsv."""
    return own == "," or delimiter != "\t"


def _sampled(
    source: Source, sample: Sequence[tuple[int, str]], delimiter: str, own: str
) -> list[Row]:
    return cells.sampled(source, sample, delimiter, quoted=_quoting(own, delimiter))


def _keep(request: ReadRequest, columns: Columns, names: Sequence[str], delimiter: str) -> None:
    """What was found, as options that find it again."""

    def ref(at: int) -> str:
        named = columns.header and names[at].strip() and list(names).count(names[at]) == 1
        return names[at].strip() if named else str(at + 1)

    request.found["delimiter"] = delimiter
    request.found["header"] = columns.header
    request.found["text_column"] = ref(columns.text)
    targets = [ref(at) for at in columns.targets]
    if targets and not (len(targets) > 1 and any("," in name for name in targets)):
        request.found["label_column"] = ",".join(targets)


def _examples(
    source: Source, rows: Iterator[Row], columns: Columns, request: ReadRequest, delimiter: str
) -> Iterator[Example]:
    skipped = 0
    for number, row in rows:
        if len(row) != columns.width:
            first = "the header names" if columns.header else "the first row has"
            raise source.fault(
                f"{len(row)} {'cell' if len(row) == 1 else 'cells'}, {first} {columns.width}. "
                f"Quote cells that hold {delimiter!r}, or set another --delimiter.",
                number,
            )
        if columns.targets and all(_missing(row[at], request) for at in columns.targets):
            if request.options.skip_unlabelled:
                skipped += 1
                continue
            blank = not row[columns.targets[0]].strip()
            raise source.fault(
                f"{'an empty label' if blank else 'a target that is not finite'}. {SKIP}", number
            )
        yield _row(source, row, columns, request, number)
    if skipped:
        source.notice(f"{skipped} {'row' if skipped == 1 else 'rows'} without a label left out")


def _missing(cell: str, request: ReadRequest) -> bool:
    """Whether a cell says that there is no label."""
    cell = cell.strip()
    return not cell or (request.target == "values" and cell.lower() in ("nan", "na", "?"))


def _row(
    source: Source, row: Sequence[str], columns: Columns, request: ReadRequest, line: int
) -> Example:
    text = row[columns.text]
    where = source.where(line)
    if request.alphabet is not None:
        inputs = request.alphabet.split(text)
    else:
        inputs = split_source(text) if request.target == "sequence" else request.words(text, where)
    name = row[columns.id].strip() if columns.id is not None else ""
    target: str | tuple[str, ...] | Vectors | None = None
    if columns.targets and request.target == "values":
        target = values = numbers(source, [row[at] for at in columns.targets], line, "targets")
        bad = not_finite(values)
        if bad is not None:
            raise source.fault(
                f"target {bad[0]} is {said_of(values[bad])}. A finite number is needed: fill it in "
                "or drop the row.",
                line,
            )
    elif columns.targets:
        answer = row[columns.targets[0]].strip()
        target = tuple(answer.split()) if request.target == "sequence" else answer
    return Example(inputs, target, where, name or None, text)
