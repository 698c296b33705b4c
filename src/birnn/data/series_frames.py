"""Tables of series that Python programs hold: data frames, and the rows of data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from birnn.data.examples import Example
from birnn.data.frames import (
    SAMPLE,
    class_names,
    columns_of,
    in_python,
    is_table,
    sample_of,
    splits_of,
    with_names,
)
from birnn.data.options import ReadRequest
from birnn.data.series import SeriesTable
from birnn.data.series_columns import SeriesColumns, find_series
from birnn.errors import DataError, Tell


def found_series(
    columns: Mapping[str, Sequence[Any]], request: ReadRequest, where: str = ""
) -> SeriesColumns | None:
    """The columns of a table of series; None where it is none."""
    if "tokens" in columns or "vectors" in columns:
        return None
    names, rows = sample_of(columns)
    try:
        return find_series(names, rows, request, header=True)
    except DataError as error:
        what = "a table of series" if request.options.series else "a table"
        raise DataError(in_python(f"{where}{what}: {error}.")) from None


def series_of(
    found: SeriesColumns,
    columns: Mapping[str, Sequence[Any]],
    request: ReadRequest,
    tell: Tell,
    where: str,
) -> Iterator[Example]:
    """The series of a table, and what there is to tell of them."""
    request.keep(found.found())
    for line in found.notices:
        tell(in_python(line))
    table = SeriesTable(request, lambda line: tell(in_python(line)))
    cells = list(columns.values())
    try:
        yield from table.examples(found, cells, lambda row: f"{where}row {row}")
    except DataError as error:
        raise DataError(in_python(str(error))) from None
    table.report()


def as_frame(given: Any, request: ReadRequest) -> dict[str, Sequence[Any]] | None:
    """The columns of a data set whose rows are steps of series, or wide ones; else None."""
    # One that is streamed has rows alone.
    held = all(hasattr(given, name) for name in ("column_names", "__getitem__", "__len__"))
    if not held or not len(given):
        return None
    first = [given[at] for at in range(min(len(given), SAMPLE))]
    if not all(isinstance(row, Mapping) and row.keys() == first[0].keys() for row in first):
        return None
    if found_series({str(key): [row[key] for row in first] for key in first[0]}, request) is None:
        return None
    names = class_names(given)
    rows = [with_names(row, names, list(names)) for row in given]
    return {str(key): [row[key] for row in rows] for key in first[0]}


def with_series(
    given: tuple[Any, Any], request: ReadRequest, tell: Tell, where: str
) -> tuple[Any, Any]:
    """``(X, y)`` with the series of X, where it is a long table and y has one target for each."""
    inputs, targets = given
    if not is_table(inputs) or splits_of(inputs) or not hasattr(targets, "__len__"):
        return given
    columns = columns_of(inputs)
    rows, unlabelled = len(next(iter(columns.values()))), replace(request, labelled=False)
    if len(targets) == rows or (found := found_series(columns, unlabelled, where)) is None:
        return given
    if found.layout != "long":
        return given
    tell("y has the targets of the series in the order of their first rows")
    return [each.inputs for each in series_of(found, columns, unlabelled, tell, where)], targets
