"""Tables of series: their rows and columns as sequences of vectors, in the order of their time."""

# N rows of a table, T steps of a series, D channels of a step

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.data.conversion import example_of, is_missing, shortened
from birnn.data.examples import Example
from birnn.data.headers import MISSING
from birnn.data.missing import MissingValues
from birnn.data.numeric import is_number
from birnn.data.options import ReadRequest
from birnn.data.series_columns import SeriesColumns
from birnn.errors import DataError, Tell

Floats = npt.NDArray[np.float64]
Where = Callable[[int], str]

# Steps of a series are evenly spaced where none differs from the median by more than this share.
EVEN = 0.05


class SeriesTable:
    """Makes series of the columns of tables, and counts what there is to tell of them.

    Args:
        request: What is read; its options say what becomes of missing values and of series
            without a label.
        tell: Takes each notice, one line.

    Example:
        >>> from birnn.data.series_columns import find_series
        >>> names = ["id", "time", "x", "label"]
        >>> rows = [["b", 2, 0.5, "calm"], ["b", 1, 0.7, "calm"], ["a", 1, 4.0, "busy"]]
        >>> request = ReadRequest("label")
        >>> found = find_series(names, [[str(cell) for cell in row] for row in rows], request)
        >>> table = SeriesTable(request, print)
        >>> for example in table.examples(found, list(zip(*rows)), lambda row: f"row {row}"):
        ...     print(example.id, example.inputs.tolist(), example.target)
        b [[0.7], [0.5]] calm
        a [[4.0]] busy
        >>> table.report()
        1 of 2 series was not in the order of the time: sorted
    """

    def __init__(self, request: ReadRequest, tell: Tell) -> None:
        self._request, self._tell = request, tell
        self._missing = MissingValues(request.options.missing)
        self._count = self._single = self._sorted = self._irregular = self._ended = 0
        self._unlabelled = 0
        self._spacing = (np.inf, 0.0)

    def examples(
        self, found: SeriesColumns, columns: Sequence[Sequence[Any]], where: Where
    ) -> Iterator[Example]:
        """The series of a table.

        Args:
            found: Which column is which.
            columns: The cells of each column, strings of a file or values of a program.
            where: What messages call a row, by its number.

        Raises:
            DataError: A cell that is no number or no time, two rows of one time, several labels of
                one series, a missing value, or a series without a label.
        """
        if found.layout == "wide":
            yield from self._wide(found, columns, where)
            return
        values_ND = self._values(found, columns, where)
        size = len(values_ND)
        groups = [("", np.arange(size))]
        if found.id is not None:
            groups = _groups(columns[found.id], found.names[found.id], where)
        times_N: Floats | None = None
        if found.time is not None:
            times_N = _times(columns[found.time], found.names[found.time], where)
        for name, rows in groups:
            times_T: Floats | None = None
            if times_N is not None:
                rows = self._in_order(rows, times_N[rows], name, where)
                times_T = times_N[rows]
            called = _called(name)
            place = _place(rows, [channel.name for channel in found.channels], where)
            values_TD = self._missing.filled(values_ND[rows], called, times_T, place)
            self._count += 1
            self._single += len(rows) == 1
            answers = [[columns[at][int(row)] for row in rows] for at in found.targets]
            yield from self._example(found, values_TD, answers, name, where(int(rows[0])))

    def report(self) -> None:
        """Give notice of what was sorted, filled or left out, at the end of all tables."""
        tell, of = self._tell, f"of {self._count:,} series"
        if self._sorted:
            verb = "was" if self._sorted == 1 else "were"
            tell(f"{self._sorted:,} {of} {verb} not in the order of the time: sorted")
        if self._irregular:
            low, high = self._spacing
            verb = "is" if self._irregular == 1 else "are"
            tell(
                f"{self._irregular:,} {of} {verb} not evenly spaced in time ({low:g} to {high:g} "
                "between steps): a model reads steps, however far apart"
            )
        if self._ended:
            verb = "ends" if self._ended == 1 else "end"
            tell(f"{self._ended:,} {of} {verb} before the last column, where cells are empty")
        if self._count > 1 and self._single == self._count:
            tell(f"each {of} has one step: is it the right column that tells them apart?")
        self._missing.report(tell)
        if self._unlabelled:
            tell(f"{self._unlabelled:,} series without a label left out")

    def _wide(
        self, found: SeriesColumns, columns: Sequence[Sequence[Any]], where: Where
    ) -> Iterator[Example]:
        steps = np.array(found.steps)
        places = [place for channel in found.channels for place in channel.places]
        cells = [_numbers(columns[at], found.names[at], where) for at in places]
        shape = (len(found.channels), len(steps), -1)
        values_NTD = np.array(cells).reshape(shape).transpose(2, 1, 0)
        self._space(steps, len(values_NTD))
        for row, padded_TD in enumerate(values_NTD):
            # What is empty up to the end of its row is no value that is missing: series differ in
            # their lengths.
            filled = np.flatnonzero(~np.isnan(padded_TD).all(axis=1))
            length = int(filled[-1]) + 1 if len(filled) else 0
            self._ended += length < len(steps)
            self._count += 1
            self._single += length == 1
            called = "" if found.id is None else str(columns[found.id][row])

            def place(step: int, channel: int, row: int = row) -> str:
                return f"{where(row)}: {found.names[found.channels[channel].places[step]]!r}"

            values_TD = self._missing.filled(
                padded_TD[:length], _called(called), steps[:length], place
            )
            answers = [[columns[at][row]] for at in found.targets]
            yield from self._example(
                found, np.ascontiguousarray(values_TD), answers, called, where(row)
            )

    def _values(
        self, found: SeriesColumns, columns: Sequence[Sequence[Any]], where: Where
    ) -> Floats:
        """The channels of all rows, NaN where a value is missing."""
        places = [channel.places[0] for channel in found.channels]
        return np.stack([_numbers(columns[at], found.names[at], where) for at in places], axis=1)

    def _in_order(
        self, rows: npt.NDArray[np.intp], times_T: Floats, name: str, where: Where
    ) -> npt.NDArray[np.intp]:
        """The rows of a series in the order of their time."""
        order = np.argsort(times_T, kind="stable")
        rows, times_T = rows[order], times_T[order]
        apart = np.diff(times_T)
        if (twice := np.flatnonzero(apart == 0)).size:
            one, other = rows[twice[0]], rows[twice[0] + 1]
            of = _called(name)
            raise DataError(
                f"{where(int(other))}: {of} has two rows of one time, the other at "
                f"{where(int(one))}. Keep one, or say what tells series apart: --id-column."
            )
        self._sorted += bool((np.diff(order) < 0).any())
        self._space(times_T, 1)
        return rows

    def _space(self, times_T: Floats, series: int) -> None:
        """Count series whose steps are not evenly spaced."""
        apart = np.diff(times_T)
        if len(apart) > 1 and np.abs(apart - np.median(apart)).max() > EVEN * np.median(apart):
            self._irregular += series
            low, high = self._spacing
            self._spacing = min(low, float(apart.min())), max(high, float(apart.max()))

    def _example(
        self,
        found: SeriesColumns,
        values_TD: Any,
        answers: Sequence[Sequence[Any]],
        name: str,
        where: str,
    ) -> Iterator[Example]:
        """The example of a series; none where it has no label and such are left out."""
        request = self._request
        target: Any = None
        label = found.names[found.targets[0]] if found.targets else ""
        if found.targets and request.target == "tags":
            target = None if any(map(_is_blank, answers[0])) else list(map(_text, answers[0]))
        elif found.targets:
            each = [self._one(cells, name, where) for cells in answers]
            if not any(x is None for x in each):
                several = request.target == "values" and len(each) > 1
                target = each if several else each[0]
        if found.targets and target is None:
            if not request.options.skip_unlabelled:
                what = "a step without a tag" if request.target == "tags" else "no label"
                raise DataError(
                    f"{where}: {_called(name)} has {what}. Give every one its own, or leave such "
                    "out: --skip-unlabelled."
                )
            self._unlabelled += 1
            return
        if request.target == "values" and target is not None:
            cells = target if isinstance(target, list) else [target]
            if any(isinstance(cell, str) for cell in cells):
                target = _numbers(cells, label, lambda _: where)
        called = name or None
        try:
            yield example_of(
                values_TD, target, request, where, names=("vectors", label), called=called
            )
        except DataError as error:
            raise DataError(f"{where}: {error}") from None

    def _one(self, cells: Sequence[Any], name: str, where: str) -> Any:
        """What all rows of a series say of it; None where none says anything."""
        said = {str(_text(cell)): _text(cell) for cell in cells if not _is_blank(cell)}
        if len(said) > 1:
            one, other = list(said)[:2]
            raise DataError(
                f"{where}: {_called(name)} has the labels {shortened(one)} and {shortened(other)}. "
                "A series has one; a tagger learns a label for each step."
            )
        return next(iter(said.values()), None)


def _called(name: str) -> str:
    """What messages call a series."""
    return f"series {name!r}" if name else "the series"


def _text(cell: Any) -> Any:
    return cell.strip() if isinstance(cell, str) else cell


def _is_blank(cell: Any) -> bool:
    return is_missing(cell) or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def _place(
    rows: npt.NDArray[np.intp], names: Sequence[str], where: Where
) -> Callable[[int, int], str]:
    return lambda step, channel: f"{where(int(rows[step]))}: {names[channel]!r}"


def _groups(
    cells: Sequence[Any], name: str, where: Where
) -> list[tuple[str, npt.NDArray[np.intp]]]:
    """The rows of each series, in the order in which series come first."""
    of: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        if _is_blank(cell):
            raise DataError(f"{where(row)}: {name!r} is empty, which series is the row of?")
        of.setdefault(str(_text(cell)), []).append(row)
    return [(key, np.array(rows, np.intp)) for key, rows in of.items()]


def _numbers(cells: Sequence[Any], name: str, where: Where) -> Floats:
    """Cells as numbers, NaN where one is missing."""
    if set(map(type, cells)) == {str}:
        joined = ",".join(cells)
        # Python's float reads 1_000 and digits of other scripts, too.
        if "_" not in joined and joined.isascii():
            try:
                return _finite(np.array([float(cell) for cell in cells]), name, where)
            except ValueError:
                pass
    elif set(map(type, cells)) <= {int, float, np.float64, np.float32, np.int64, np.int32}:
        return _finite(np.array(cells, np.float64), name, where)
    return _finite(
        np.array([_number(c, name, where, row) for row, c in enumerate(cells)]), name, where
    )


def _number(cell: Any, name: str, where: Where, row: int) -> float:
    if _is_blank(cell):
        return np.nan
    if isinstance(cell, str) and is_number(cell):
        return float(cell)
    if isinstance(cell, int | float | np.number | np.bool_ | Decimal):
        return float(cell)
    raise DataError(
        f"{where(row)}: {name!r} is {shortened(cell)}, a number is needed. Correct it, or leave "
        "the column out: --channels."
    )


def _finite(values_N: Floats, name: str, where: Where) -> Floats:
    if (infinite := np.flatnonzero(np.isinf(values_N))).size:
        row = int(infinite[0])
        raise DataError(f"{where(row)}: {name!r} is {values_N[row]}. Correct it or leave it empty.")
    return values_N


def _times(cells: Sequence[Any], name: str, where: Where) -> Floats:
    """Times as numbers, dates as seconds."""
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            found[row] = _seconds(cell)
        except (ValueError, TypeError, OverflowError):
            raise DataError(
                f"{where(row)}: {name!r} is {shortened(cell)}, no time. Write numbers or ISO 8601, "
                "2026-01-31 23:59:59, or name another column: --time-column."
            ) from None
    return found


def _seconds(cell: Any) -> float:
    """A time as a number; ValueError if it is none.

    Example:
        >>> _seconds("0.5"), _seconds("1970-01-01 00:01"), _seconds("1970-01-01T00:00:01Z")
        (0.5, 60.0, 1.0)
    """
    if isinstance(cell, str):
        cell = cell.strip()
        cell = float(cell) if is_number(cell) else datetime.fromisoformat(cell)
    if isinstance(cell, np.datetime64):
        cell = cell.astype("datetime64[us]").item()
    if isinstance(cell, timedelta):
        return cell.total_seconds()
    if isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime(cell.year, cell.month, cell.day)
    if isinstance(cell, datetime):
        zoned = cell if cell.tzinfo is not None else cell.replace(tzinfo=UTC)
        return zoned.timestamp()
    seconds = float(cell)
    if not np.isfinite(seconds):
        raise ValueError("no time")
    return seconds
