"""Tables: ``.csv``, ``.tsv`` and ``.jsonl``, one sequence in each row."""

# T steps of a sequence, D channels of a step, K target values of a sequence

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from birnn.data.examples import Example, Vectors
from birnn.data.numeric import not_finite, reals
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.text import split_source, tokenise
from birnn.data.timeseries import check_vectors, numbers

Row = tuple[int, list[str]]

# names that a header gives the column of the sequence, and the column of what is learnt of it
INPUTS = {
    "classifier": ("text", "sentence"),
    "regressor": ("text", "sentence"),
    "seq2seq": ("source",),
}
TARGETS = {"classifier": ("label",), "seq2seq": ("target",)}


def read_tsv(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Columns parted by tabs, without quoting: text and label, as the task needs them.

    Without a header: the text, then the label (classifier), the values (regressor) or the target
    (seq2seq). A header is a first line that names ``text`` and ``label`` (``source`` and
    ``target``); its other columns are not read, except by a regressor, for which every column
    besides the text is a value.

    Raises:
        FormatError: Too few columns, an empty label, values that are no finite numbers.

    Example:
        >>> text = "label\ttext\n1\ta fine film\n"
        >>> [example] = read_tsv(Source.from_text(text), ReadRequest("classifier"))
        >>> example.inputs, example.target, example.where
        (('a', 'fine', 'film'), '1', 'text:2')
        >>> [example] = read_tsv(Source.from_text("cat\tK AE1 T"), ReadRequest("seq2seq"))
        >>> example.inputs, example.target
        (('c', 'a', 't'), ('K', 'AE1', 'T'))
    """
    rows = ((number, line.split("\t")) for number, line in enumerate(source.lines(), 1) if line)
    yield from _examples(source, rows, request)


def read_csv(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Columns parted by commas, with quoting: text and label, as `read_tsv` reads them.

    Raises:
        FormatError: What `read_tsv` raises, and quotes that do not close.

    Example:
        >>> text = 'text,label\n"so, so",negative\n'
        >>> [example] = read_csv(Source.from_text(text), ReadRequest("classifier"))
        >>> example.inputs, example.target
        (('so', ',', 'so'), 'negative')
    """
    yield from _examples(source, _csv_rows(source), request)


def read_jsonl(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""A JSON object on each line.

    Sequence: ``tokens`` (strings), ``vectors`` (T rows of D numbers), ``text``, or ``source``.
    Learnt of it: ``tags`` (tagger), ``label`` (classifier), ``values`` (regressor, a number or a
    list of K), ``target`` (seq2seq, a list or a string parted by spaces).

    Raises:
        FormatError: Not JSON, a key that is missing, a value of a wrong kind.

    Example:
        >>> text = '{"tokens": ["no", "way"], "tags": ["DET", "NOUN"]}\n'
        >>> [example] = read_jsonl(Source.from_text(text), ReadRequest("tagger"))
        >>> example.inputs, example.target
        (('no', 'way'), ('DET', 'NOUN'))
    """
    channels: int | None = None
    index = 0
    for number, line in enumerate(source.lines(), 1):
        if not line.strip():
            continue
        record = _Record(source, number, line)
        inputs = record.inputs(request)
        if isinstance(inputs, np.ndarray):
            # an empty list of vectors says nothing of its channels
            if not len(inputs):
                inputs = np.zeros((0, channels or 0))
            elif channels is None:
                channels = inputs.shape[1]
            check_vectors(source, inputs, index, channels or inputs.shape[1], number)
        target = record.target(request) if request.labelled else None
        if request.task == "tagger" and target is not None and len(target) != len(inputs):
            raise source.fault(
                f"{len(inputs)} tokens and {len(target)} tags. Give every token one tag.", number
            )
        yield Example(inputs, target, source.where(number))
        index += 1


@dataclass(frozen=True, slots=True)
class _Columns:
    inputs: int
    targets: tuple[int, ...]

    @property
    def width(self) -> int:
        return max(self.inputs, *self.targets) + 1 if self.targets else self.inputs + 1


def _csv_rows(source: Source) -> Iterator[Row]:
    # the csv module refuses cells over 128 KiB; a text of 50,000 words is longer
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    reader = csv.reader((line + "\n" for line in source.lines()), strict=True)
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise source.fault(
                f"not CSV: {error}. Double the quotes inside a quoted cell.", start
            ) from None
        if cells:
            yield start, cells


def _examples(source: Source, rows: Iterator[Row], request: ReadRequest) -> Iterator[Example]:
    columns: _Columns | None = None
    for position, (number, cells) in enumerate(rows):
        if position == 0:
            columns = _header(source, cells, request, number)
            if columns is not None:
                continue
        yield _row(
            source, cells, columns or _plain(source, cells, request, number), request, number
        )


def _header(source: Source, cells: list[str], request: ReadRequest, line: int) -> _Columns | None:
    """Columns as a header names them; ``None`` where the first row is no header."""
    names = [cell.strip().lower() for cell in cells]
    inputs = [i for i, name in enumerate(names) if name in INPUTS[request.task]]
    if not inputs:
        return None
    if request.task == "regressor":
        targets = tuple(i for i in range(len(names)) if i != inputs[0])
    else:
        known = TARGETS[request.task]
        targets = tuple(i for i, name in enumerate(names) if name in known)[:1]
    if not request.labelled:
        return _Columns(inputs[0], ())
    if not targets:
        needed = TARGETS.get(request.task, ("value",))[0]
        raise source.fault(
            f"the header names {', '.join(names)}, a {request.task} needs a column {needed}. "
            "Rename the column.",
            line,
        )
    return _Columns(inputs[0], targets)


def _plain(source: Source, cells: list[str], request: ReadRequest, line: int) -> _Columns:
    """Columns of a row in a file without header."""
    if not request.labelled and len(cells) == 1:
        return _Columns(0, ())
    if len(cells) > 2 and request.task != "regressor":
        raise source.fault(
            f"{len(cells)} columns and no header that says which is which. "
            f"Begin the file with a line that names {INPUTS[request.task][0]} and "
            f"{TARGETS[request.task][0]}.",
            line,
        )
    if not request.labelled:
        return _Columns(0, ())
    return _Columns(0, tuple(range(1, max(2, len(cells)))))


def _row(
    source: Source, cells: list[str], columns: _Columns, request: ReadRequest, line: int
) -> Example:
    if len(cells) < columns.width:
        raise source.fault(
            f"{len(cells)} {'column' if len(cells) == 1 else 'columns'}, {columns.width} are "
            "needed. Separate the columns, or name the --format of the file.",
            line,
        )
    text = cells[columns.inputs]
    inputs = split_source(text) if request.task == "seq2seq" else tokenise(text)
    if not columns.targets:
        return Example(inputs, None, source.where(line))
    if request.task == "regressor":
        values = numbers(source, [cells[i] for i in columns.targets], line, "targets")
        return Example(inputs, _finite(source, values, line), source.where(line))
    answer = cells[columns.targets[0]].strip()
    if request.task == "seq2seq":
        return Example(inputs, tuple(answer.split()), source.where(line))
    if not answer:
        raise source.fault("an empty label. Give every text one.", line)
    return Example(inputs, answer, source.where(line))


def _finite(source: Source, values: Vectors, line: int) -> Vectors:
    if not_finite(values) is not None:
        raise source.fault("a target that is not finite. Fill it in or drop the row.", line)
    return values


class _Record:
    """One line of JSON, asked for what a task needs."""

    def __init__(self, source: Source, line: int, text: str) -> None:
        self._source = source
        self._line = line
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise source.fault(f"not JSON: {error}. Write one object on each line.", line) from None
        if not isinstance(record, dict):
            raise self._fault(f"a JSON {type(record).__name__}, an object is needed")
        self._record: dict[str, Any] = record

    def inputs(self, request: ReadRequest) -> tuple[str, ...] | Vectors:
        if "tokens" in self._record:
            return self._strings("tokens", empty=False)
        if "vectors" in self._record:
            return self._rows("vectors")
        if request.task == "seq2seq":
            given = self._need("source")
            if isinstance(given, str):
                return split_source(given)
            return self._strings("source", empty=False)
        if request.task == "tagger" and request.labelled:
            self._need("tokens")
        text = self._need("text")
        if not isinstance(text, str):
            raise self._fault(f"text is {text!r}, a string is needed")
        return tokenise(text)

    def target(self, request: ReadRequest) -> str | tuple[str, ...] | Vectors:
        if request.task == "tagger":
            return self._strings("tags", empty=False)
        if request.task == "seq2seq":
            given = self._need("target")
            return tuple(given.split()) if isinstance(given, str) else self._strings("target")
        if request.task == "regressor":
            given = self._need("values")
            values = self._rows("values", [given] if not isinstance(given, list) else given)
            if values.ndim != 1:
                raise self._fault(f"values has shape {values.shape}, a list of numbers is needed")
            return _finite(self._source, values, self._line)
        label = self._need("label")
        if label is None or isinstance(label, list | dict | float) or label == "":
            raise self._fault(f"label is {label!r}, a string or an integer is needed")
        return str(label)

    def _strings(self, key: str, *, empty: bool = True) -> tuple[str, ...]:
        given = self._need(key)
        if not isinstance(given, list):
            raise self._fault(f"{key} is a {type(given).__name__}, a list of strings is needed")
        for position, item in enumerate(given):
            if not isinstance(item, str | int) or (item == "" and not empty):
                raise self._fault(f"{key}[{position}] is {item!r}, a string is needed")
        return tuple(map(str, given))

    def _rows(self, key: str, given: Any = None) -> Vectors:
        given = self._need(key) if given is None else given
        try:
            rows = reals(given)
        except ValueError:
            raise self._fault(f"{key} is no even table of numbers") from None
        if key == "vectors" and rows.ndim != 2 and rows.size:
            raise self._fault(f"{key} has shape {rows.shape}, rows of numbers (T, D) are needed")
        return rows

    def _need(self, key: str) -> Any:
        if key not in self._record:
            raise self._fault(f"no {key}, it has {', '.join(self._record) or 'nothing'}")
        return self._record[key]

    def _fault(self, what: str) -> Exception:
        return self._source.fault(f"{what}.", self._line)
