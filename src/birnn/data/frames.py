"""Tables as Python programs hold them: data frames and dicts of columns, and what a cell holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from birnn.errors import DataError


def is_iterable(given: Any) -> bool:
    """Whether it can be gone through: an array of no axis cannot, though it has the method."""
    try:
        iter(given)
    except TypeError:
        return False
    return True


def is_table(given: Any) -> bool:
    """Whether something holds columns by their names: a data frame or a dict of lists."""
    # pandas and polars; neither is imported for it.
    frame = hasattr(given, "columns") and hasattr(given, "__getitem__")
    return isinstance(given, Mapping) or frame


def columns_of(given: Any) -> dict[str, Sequence[Any]]:
    """Columns of a table by their names.

    Raises:
        DataError: One record and no table, columns of different lengths, or none.
    """
    if isinstance(given, Mapping):
        found: dict[str, Sequence[Any]] = {}
        for name, column in given.items():
            if isinstance(column, str | bytes) or not is_iterable(column):
                raise DataError(
                    f"one dict whose {name!r} is {shortened(column)}. Give a list of such dicts, "
                    "or a dict of columns: {'text': [...], ...}."
                )
            found[str(name)] = list(column)
    else:
        # PyArrow's columns are arrays, which it names apart.
        keys = list(getattr(given, "column_names", given.columns))
        names = [str(key) for key in keys]
        if len(set(names)) < len(names):
            raise DataError(f"a data frame with two columns of one name: {', '.join(names)}")
        found = {name: _cells(given[key]) for name, key in zip(names, keys, strict=True)}
    sizes = {name: len(column) for name, column in found.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"a dict of columns of different lengths: {told}. Give all as many rows.")
    if not found or not next(iter(sizes.values())):
        raise DataError("a table without rows. Give at least one.")
    for name in ("tokens", "words", "forms"):
        if isinstance(given, Mapping) and name in found and isinstance(found[name][0], str):
            raise DataError(f"one dict of {name}. Give a list of such dicts, one for a sequence.")
    return found


def _cells(column: Any) -> list[Any]:
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)


def row_of(columns: Mapping[str, Sequence[Any]], at: int) -> dict[str, Any]:
    """A row of columns, by their names."""
    return {name: _as_list(column[at]) for name, column in columns.items()}


def _as_list(cell: Any) -> Any:
    """A cell that holds a list: polars has one of its own for it."""
    if hasattr(cell, "to_list") and not isinstance(cell, str):
        return cell.to_list()
    return cell


def is_missing(value: Any) -> bool:
    """Whether a cell says that there is nothing: None, NaN (which is not itself), pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(value != value)


def shortened(value: Any) -> str:
    """A value as a message shows it: on one line, cut where it is long."""
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
