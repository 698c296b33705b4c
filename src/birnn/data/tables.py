"""Tables: ``.csv`` and ``.tsv``, one sequence in each row."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from birnn.data import cells
from birnn.data.columns import Columns, recognise
from birnn.data.examples import Example, Vectors
from birnn.data.headers import named_header
from birnn.data.numeric import require_finite
from birnn.data.options import ReadRequest, Unlabelled
from birnn.data.source import Source
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
    text comes first, then the label, the values or the target sequence. Values are every column of
    numbers that does not number the rows. A cell that is quoted as a whole is unquoted; any other
    quote is a character.

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
    r"""Columns parted by commas: text and target, as `read_tsv` reads them; with quoting.

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
    if not _is_settled(source, sample, request, own):
        sample += itertools.islice(lines, LIVE_SAMPLE if source.live else SAMPLE)
    delimiter = _delimiter(source, sample, request, own)
    table = cells.rows(
        source,
        itertools.chain(sample, lines),
        delimiter,
        quoted=cells.is_quoted(own, delimiter),
        longest=request.options.max_line,
    )
    first = next(table, None)
    if first is None:
        return
    number, names = first
    rest = [row for _, row in cells.sampled(source, sample, delimiter, own)][1:]
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
    unlabelled = Unlabelled(source, request)
    for number, row in body:
        if len(row) != columns.width:
            has = "the header names" if columns.header else "the first row has"
            raise source.fault(
                f"{len(row)} {'cell' if len(row) == 1 else 'cells'}, {has} {columns.width}. "
                f"Quote cells that hold {delimiter!r}, or set another --delimiter.",
                number,
            )
        answers = [row[at].strip() for at in columns.targets]
        if answers and all(_is_missing(answer, request) for answer in answers):
            blank = "an empty label" if not answers[0] else "a target that is not finite"
            unlabelled.meet(blank, number)
        else:
            yield _example(source, row, answers, columns, request, number)
    unlabelled.tell()


def _is_settled(
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
    found = cells.sampled(source, sample, options.delimiter, own)
    try:
        return bool(found) and not recognise(found[0][1], [], request).missing
    except DataError:
        return False


def _delimiter(
    source: Source, sample: Sequence[tuple[int, str]], request: ReadRequest, own: str
) -> str:
    given = request.options.delimiter
    if given is not None:
        if not request.options.of_model("delimiter"):
            return given
        found = cells.sampled(source, sample, given, own)
        if found and len({len(row) for _, row in found}) == 1 < len(found[0][1]):
            return given
    return cells.sniff(source, sample, own, lambda row: named_header(row, request.target))


def _keep(request: ReadRequest, columns: Columns, names: Sequence[str], delimiter: str) -> None:
    """What was found, as options that find it again."""

    def ref(at: int) -> str:
        named = columns.header and names[at].strip() and list(names).count(names[at]) == 1
        return names[at].strip() if named else str(at + 1)

    text = ref(columns.text)
    request.found.update(delimiter=delimiter, header=columns.header, text_column=text)
    targets = [ref(at) for at in columns.targets]
    if targets and not (len(targets) > 1 and any("," in name for name in targets)):
        request.found["label_column"] = ",".join(targets)


def _is_missing(cell: str, request: ReadRequest) -> bool:
    """Whether a cell says that there is no target."""
    return not cell or (request.target == "values" and cell.lower() in ("nan", "na", "?"))


def _example(
    source: Source,
    row: Sequence[str],
    answers: Sequence[str],
    columns: Columns,
    request: ReadRequest,
    line: int,
) -> Example:
    text, where = row[columns.text], source.where(line)
    target: str | tuple[str, ...] | Vectors | None = None
    if answers and request.target == "values":
        try:
            target = values = numbers(answers, "targets")
            require_finite(values, "targets", "value")
        except DataError as error:
            raise source.fault(error, line) from None
    elif answers:
        target = tuple(answers[0].split()) if request.target == "sequence" else answers[0]
    name = row[columns.id].strip() if columns.id is not None else ""
    return Example(request.steps(text, where), target, where, name or None, text)
