"""Tables: ``.csv`` and ``.tsv``, one sequence in each row."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from birnn.data import delimited
from birnn.data.columns import TableColumns, recognise
from birnn.data.examples import Example
from birnn.data.label_sets import LIST, guess_split
from birnn.data.numeric import Reals
from birnn.data.options import ReadRequest, Unlabelled
from birnn.data.series import SeriesTable
from birnn.data.series_columns import SeriesColumns, find_series
from birnn.data.source import NumberedRow, Source
from birnn.data.timeseries import finite_numbers
from birnn.data.token_lists import OPTIONS as LIST_OPTIONS
from birnn.data.token_lists import find_lists, listed_sentences
from birnn.data.token_tables import OPTIONS as TOKEN_OPTIONS
from birnn.data.token_tables import Sentences, TokenTable, find_tokens, token_cells
from birnn.data.writing import WriteRequest, numbers
from birnn.errors import DataError, FormatError

# Lines that are looked at before the first row is read; of a pipe few, its rows are waited for.
SAMPLE, LIVE_SAMPLE = 100, 8

_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

# What each delimiter is called.
CALLED = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read_tsv(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Columns separated by tabs: text and target.

    Where tags are learnt, its rows are tokens, see `birnn.data.token_tables`, or steps of series.
    A first row that names the columns is recognised, see `birnn.data.headers`; without one the
    text comes first, then the label, the values or the target sequence. Both sides of a pair stay
    texts, see `birnn.data.pairs`. Values are every column of
    numbers that does not number the rows; sets of labels are a column whose cells hold any number
    of them, or columns of 0 and 1 that are named after their labels. A cell that is quoted as a
    whole is unquoted; any other quote is a character.

    Raises:
        FormatError: A row of other cells than the first, columns that cannot be distinguished, an
            empty label, values that are no finite numbers.

    Example:
        >>> text = "label\ttext\n1\ta fine film\n"
        >>> [example] = read_tsv(Source.from_text(text), ReadRequest("label"))
        >>> example.inputs, example.target, example.where
        (('a', 'fine', 'film'), '1', 'text:2')
    """
    yield from _Table(source, request, "\t").examples()


def read_csv(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Columns separated by commas: text and target, as `read_tsv` reads them; with quoting.

    Raises:
        FormatError: What `read_tsv` raises, and quotes that do not close.

    Example:
        >>> text = 'text,label\n"so, so",negative\n'
        >>> [example] = read_csv(Source.from_text(text), ReadRequest("label"))
        >>> example.inputs, example.target
        (('so', ',', 'so'), 'negative')
    """
    yield from _Table(source, request, ",").examples()


def read_series_file(
    source: Source, request: ReadRequest, default: str, series: SeriesTable
) -> Iterator[Example]:
    """The series of one of several files, which are counted and reported together.

    Args:
        source: The file.
        request: What is read; its options say that it holds series.
        default: The delimiter of the file's format.
        series: Makes the series of all files; it reports when all are read.

    Raises:
        FormatError: What `read_csv` raises of a table of series.
    """
    yield from _Table(source, request, default, series).examples()


class _Table:
    """A table that is read: its lines, a sample of the first ones, the delimiter of its format."""

    def __init__(
        self,
        source: Source,
        request: ReadRequest,
        default: str,
        series: SeriesTable | None = None,
    ) -> None:
        self.source, self.request, self.default = source, request, default
        self.series = series
        self.lines = iter(enumerate(source.lines(), 1))
        # If the first row has the columns that a model was trained on, no more is read ahead: the
        # file may be a pipe.
        self.sample = list(itertools.islice(self.lines, 1))
        if self.sample and (named := _SEPARATOR.fullmatch(self.sample[0][1])):
            # A line of Excel's that names the delimiter and is no row.
            if not request.options.given("delimiter"):
                options = request.options.model_copy(update={"delimiter": named[1]})
                self.request = replace(request, options=options)
            self.sample = list(itertools.islice(self.lines, 1))
        if not self._is_settled():
            self.sample += itertools.islice(self.lines, LIVE_SAMPLE if source.live else SAMPLE)

    def examples(self) -> Iterator[Example]:
        """The examples of the rows, one by one."""
        source, request = self.source, self.request
        delimiter = self._delimiter()
        table = delimited.rows(
            source,
            itertools.chain(self.sample, self.lines),
            delimiter,
            quoted=delimited.is_quoted(self.default, delimiter),
            longest=request.options.max_line,
        )
        empty: list[NumberedRow] = []  # lines before the first row
        for number, names in table:
            if names:
                break
            empty.append((number, names))
        else:
            return
        try:
            rest = self._sampled(delimiter)[1:]
            lists = find_lists(names, rest, request)
            tokens = self._found_tokens(names, rest) if lists is None else None
            of_tokens = lists is not None or tokens is not None
            series = None if of_tokens else find_series(names, rest, request)
            if series is None and not of_tokens and request.target == "tags" and request.labelled:
                raise DataError(
                    "neither a table of tokens nor one of series, in which a column tells "
                    "sentences or series apart (--id-column, and for tokens --text-column and "
                    "--label-column). If its lines are tokens and tags: --format conll"
                )
            settled = of_tokens or series is not None
            columns = None if settled else recognise(names, rest, request)
        except DataError as error:
            raise source.fault(f"{error}.", number) from None
        if lists is not None:
            request.found.update(lists.found(), delimiter=delimiter)
            source.notice(f"{lists.notice}. Options: {LIST_OPTIONS}", number)
            yield from listed_sentences(lists, table, source.where, source.fault)
            return
        if tokens is not None:
            yield from self._sentences(tokens, [*empty, (number, names)], table, delimiter)
            return
        if columns is None:
            yield from self._series(series, [*empty, (number, names)], table, delimiter)
            return
        self._keep(columns, names, delimiter)
        self.labels = [
            names[at].strip() if columns.header else str(at + 1) for at in columns.targets
        ]
        notices = list(columns.notices)
        notices += self._found_label_split(columns, delimiter)
        if delimiter not in (self.default, request.options.delimiter):
            notices.append(f"cells are separated by {CALLED.get(delimiter, repr(delimiter))}")
        if notices:
            options = "--text-column, --label-column, --delimiter, --header"
            options += ", --label-split" if request.target == "labels" else ""
            source.notice(f"{'; '.join(notices)}. Options: {options}", number)
        unlabelled = Unlabelled(source, request)
        blank: list[int] = []
        above = [] if columns.header else [*empty, (number, names)]
        for number, row in itertools.chain(above, table):
            if not row:
                # Nothing can be learnt from an empty line; where it is answered, it is a sequence
                # without a step, for answers to stand in the lines of their questions.
                if request.labelled:
                    blank.append(number)
                    continue
                row = [""] * columns.width
            if len(row) != columns.width:
                has = "the header names" if columns.header else "the first row has"
                remedy = f"Quote cells that hold {delimiter!r}, or set another --delimiter."
                if request.target == "sequence" and len(row) < columns.width:
                    remedy = f"A target may be empty, but {delimiter!r} has to stand before it."
                raise source.fault(
                    f"{len(row)} {'cell' if len(row) == 1 else 'cells'}, {has} {columns.width}. "
                    f"{remedy}",
                    number,
                )
            answers = [row[at].strip() for at in columns.targets]
            if answers and all(map(self._is_missing, answers)):
                fault = "an empty label" if not answers[0] else "a target that is not finite"
                unlabelled.skip(fault, number)
            else:
                yield self._example(row, answers, columns, number)
        unlabelled.report()
        if blank:
            lines = "an empty line" if len(blank) == 1 else f"{len(blank):,} empty lines, the first"
            source.notice(f"{lines} here, left out", blank[0])

    def _found_tokens(self, names: list[str], rest: list[list[str]]) -> TokenTable | None:
        ends = [not line.strip() for _, line in self.sample]
        parted = any(blank and not all(ends[at:]) for at, blank in enumerate(ends))
        return find_tokens(names, rest, self.request, parted=parted)

    def _sentences(
        self,
        found: TokenTable,
        first: list[NumberedRow],
        table: Iterator[NumberedRow],
        delimiter: str,
    ) -> Iterator[Example]:
        """The sentences of a table of tokens, one by one."""
        source = self.source
        self.request.found.update(found.found(), delimiter=delimiter)
        source.notice(f"{found.notice}. Options: {TOKEN_OPTIONS}", first[-1][0])
        rows = itertools.chain([] if found.header else first, table)
        yield from Sentences(found, source.where, source.fault, source.notice).examples(rows)

    def _series(
        self,
        found: SeriesColumns | None,
        first: list[NumberedRow],
        table: Iterator[NumberedRow],
        delimiter: str,
    ) -> Iterator[Example]:
        """The series of a table, which is read as a whole: the rows of one need not be together."""
        assert found is not None
        source, width = self.source, len(found.names)
        self.request.found.update(found.found(), delimiter=delimiter, header=found.header)
        told = found.notices
        if told:
            options = "--series, --id-column, --time-column, --channels, --label-column"
            source.notice(f"{'; '.join(told)}. Options: {options}", first[-1][0])
        lines: list[int] = []
        columns: list[list[str]] = [[] for _ in range(width)]
        for number, row in itertools.chain([] if found.header else first, table):
            if not row:
                continue
            if len(row) != width:
                raise source.fault(f"{len(row)} cells, the first row has {width}.", number)
            lines.append(number)
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
        if not lines:
            number = first[-1][0]
            if found.layout == "single" and not found.targets:
                yield Example(np.zeros((0, len(found.channels))), None, source.where(number))
            else:
                source.notice("a header without rows, left out", number)
            return
        series = self.series or SeriesTable(self.request, source.notice)
        try:
            yield from series.examples(found, columns, lambda row: source.where(lines[row]))
        except DataError as error:
            raise FormatError(str(error)) from None
        if self.series is None:
            series.report()

    def _sampled(self, delimiter: str) -> list[list[str]]:
        return delimited.sampled(self.source, self.sample, delimiter, self.default)

    def _is_settled(self) -> bool:
        """Whether the first line is all that has to be seen: nothing is left to guess."""
        options = self.request.options
        if options.delimiter is None or options.text_column is None:
            return False
        if self.request.labelled and options.label_column is None:
            return False
        if self.request.labelled and self.request.target == "labels" and not options.label_split:
            return False
        # With columns given by number only the next rows show whether the first is a header; a pipe
        # is not waited for.
        if not options.header and options.text_column.isdigit() and not self.source.live:
            return False
        # Where the line holds both delimiters, one may be part of a text.
        two = options.delimiter != self.default and any(
            self.default in line for _, line in self.sample
        )
        if two and options.of_model("delimiter"):
            return False
        found = self._sampled(options.delimiter)
        try:
            return bool(found) and not recognise(found[0], [], self.request).missing
        except DataError:
            return False

    def _delimiter(self) -> str:
        given = self.request.options.delimiter
        if given is not None and not self.request.options.of_model("delimiter"):
            return given
        found = [] if given is None else self._sampled(given)
        if given is not None and found and len(set(map(len, found))) == 1 < len(found[0]):
            return given
        return delimited.sniff(self.source, self.sample, self.default, self.request.target)

    def _keep(self, columns: TableColumns, names: Sequence[str], delimiter: str) -> None:
        """Record what was found as the options that would say the same."""

        def ref(at: int) -> str:
            named = columns.header and names[at].strip() and list(names).count(names[at]) == 1
            return names[at].strip() if named else str(at + 1)

        found, text = self.request.found, ref(columns.text)
        found.update(delimiter=delimiter, header=columns.header, text_column=text)
        targets = [ref(at) for at in columns.targets]
        if targets and not (len(targets) > 1 and any("," in name for name in targets)):
            found["label_column"] = ",".join(targets)

    def _found_label_split(self, columns: TableColumns, delimiter: str) -> list[str]:
        """Set how cells of several labels are split, by the sample; what is to be told of it."""
        request = self.request
        if request.target != "labels" or len(columns.targets) != 1 or request.options.label_split:
            return []
        rows = self._sampled(delimiter)[columns.header :]
        at = columns.targets[0]
        way = guess_split([row[at] for row in rows if len(row) == columns.width])
        if way is None:
            return []
        options = request.options.model_copy(update={"label_split": way})
        self.request = replace(request, options=options)
        request.found["label_split"] = way
        return [f"labels are {'lists' if way == LIST else f'split at {way!r}'}"]

    def _is_missing(self, cell: str) -> bool:
        """Whether a cell stands for a missing target; sequences and sets of labels may be empty."""
        if self.request.target == "sequence":
            return False
        if self.request.target == "labels":
            return len(self.labels) > 1 and not cell
        return not cell or (self.request.target == "values" and cell.lower() in ("nan", "na", "?"))

    def _example(
        self, row: Sequence[str], answers: Sequence[str], columns: TableColumns, line: int
    ) -> Example:
        text, where = row[columns.text], self.source.where(line)
        target: str | tuple[str, ...] | Reals | None = None
        if answers and self.request.target == "values":
            try:
                target = finite_numbers(answers, "targets")
            except DataError as error:
                raise self.source.fault(error, line) from None
        elif answers and self.request.target == "labels":
            read = self.request.label_sets
            try:
                if len(answers) > 1:
                    target = read.of_truths(answers, self.labels, where)
                else:
                    target = read.of(answers[0], self.labels[0], where)
            except DataError as error:
                raise self.source.fault(error, line) from None
        elif answers:
            target = answers[0]
        name = row[columns.id].strip() if columns.id is not None else ""
        return Example(self.request.steps(text, where), target, where, name or None, text)


LABEL_SEPARATOR = "|"  # of several labels in a cell that is written
SPECIAL = '",\n\r'  # a cell of .csv that has one of them is quoted


def write_csv(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""A header, and a row for each text: its id where there are some, its target.

    Example:
        >>> example = Example(("so", ",", "so"), "bad", text="so, so")
        >>> "".join(write_csv([example], WriteRequest("label", "csv")))
        'text,label\n"so, so",bad\n'
    """
    yield from _written(examples, request, ",", SPECIAL)


def write_tsv(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    """The same with tabs; cells that begin with a quote are quoted as a whole."""
    yield from _written(examples, request, "\t", "")


def _written(
    examples: Iterable[Example], request: WriteRequest, delimiter: str, special: str
) -> Iterator[str]:
    if request.target == "tags":
        for cells in token_cells(examples, request):
            yield delimiter.join(_cell(cell, special) for cell in cells) + "\n"
        return
    names = False
    for number, example in enumerate(examples):
        if request.target == "values" and example.target is not None:
            targets = numbers(cast("Reals", example.target))
            keys = [f"value{at}" for at in range(1, len(targets) + 1)]
        elif request.target == "sequence":
            targets, keys = [request.sequence(example.target or ())], ["target"]
        elif request.target == "labels":
            targets, keys = [LABEL_SEPARATOR.join(request.names(example))], ["labels"]
        else:
            targets, keys = request.names(example), ["label"]
        text = request.text(example) if special else request.line(example)
        if not number:
            names = example.id is not None
            first = "source" if request.target == "sequence" else "text"
            header = [*(["id"] if names else []), first, *(keys if targets else [])]
            yield delimiter.join(header) + "\n"
        cells = [*([example.id or ""] if names else []), text, *targets]
        yield delimiter.join(_cell(cell, special) for cell in cells) + "\n"


def csv_row(cells: Iterable[str]) -> str:
    r"""A line of a .csv file.

    Example:
        >>> csv_row(["1.0", "so, so"])
        '1.0,"so, so"\n'
    """
    return ",".join(_cell(cell, SPECIAL) for cell in cells) + "\n"


def _cell(cell: str, special: str) -> str:
    """A cell as it is written: quoted where it has to be."""
    quoted = any(mark in cell for mark in special) if special else cell.startswith('"')
    return '"' + cell.replace('"', '""') + '"' if quoted else cell
