"""Sequences and what is learnt of them, out of the values that JSON and Python have for them."""

# T steps of a sequence, D channels of a step, K target values of a sequence

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from birnn.data.examples import Vectors
from birnn.data.numeric import as_array, is_array, not_finite, reals, said_of
from birnn.data.options import ReadRequest
from birnn.data.text import split_source
from birnn.errors import DataError

# Under these names numbers are tokens.
NUMBERED = ("tokens", "words", "forms", "source")


def inputs_of(
    given: Any, request: ReadRequest, name: str, where: str = "a text"
) -> tuple[str, ...] | Vectors:
    """A text, a list of tokens or rows of numbers as inputs; ``name`` calls it in messages.

    Raises:
        DataError: It is none of these.

    Example:
        >>> inputs_of([[1, 2]], ReadRequest("label"), "inputs").tolist()
        [[1.0, 2.0]]
    """
    given = as_array(given)
    if isinstance(given, str):
        if request.target == "sequence":
            return split_source(given)
        if request.target == "tags" and request.labelled:
            raise DataError(f"{name} is a str, a list of strings is needed.")
        return request.words(str(given), where)
    if isinstance(given, np.ndarray) and given.dtype.kind in "fiub":
        return _rows(given, name)
    if is_list(given):
        items = list(given)
        # an empty list of vectors is called by its name
        if name == "vectors" or any(is_list(item) for item in items):
            return _rows(given, name)
        # Numbers may be tokens where they are called so, and else the only channel of a series.
        if name not in NUMBERED and any(isinstance(item, int | float) for item in items):
            raise DataError(
                f"{name} is {_short(given)}, rows of numbers (T, D) are needed: [[0.5], [1.5]]."
            )
        return strings(items, name)
    what = "a string" if name not in ("tokens", "vectors") else "a list"
    raise DataError(f"{name} is {_short(given)}, {what} is needed.")


def target_of(given: Any, request: ReadRequest, name: str) -> str | tuple[str, ...] | Vectors:
    """What is learnt, as a target of the kind that is asked for; ``name`` calls it in messages.

    Raises:
        DataError: It is no target of that kind.

    Example:
        >>> target_of([0, 3], ReadRequest("tags"), "ner_tags")
        ('0', '3')
        >>> target_of(np.bool_(True), ReadRequest("label"), "label")
        'True'
    """
    given = as_array(given)
    if request.target == "tags":
        if not is_list(given):
            raise DataError(
                f"{name} is {_short(given)}, a list of tags is needed, one for each step."
            )
        tags = tuple(tag.strip() for tag in strings(list(given), name))
        if "" in tags:
            raise DataError(f"{name}[{tags.index('')}] is blank. Give every step a tag.")
        return tags
    if request.target == "sequence":
        if isinstance(given, str):
            return tuple(given.split())
        if not is_list(given):
            raise DataError(f"{name} is {_short(given)}, a string or a list of symbols is needed.")
        return strings(list(given), name)
    return values_of(given, name) if request.target == "values" else label_of(given, name)


def label_of(given: Any, name: str) -> str:
    """A label: a string, an integer or a truth value, as a string.

    Raises:
        DataError: It is none of these, or empty.

    Example:
        >>> label_of(np.int64(3), "label"), label_of(True, "label")
        ('3', 'True')
    """
    given = as_array(given)
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given[()]
    if isinstance(given, bytes):
        try:
            given = given.decode()
        except UnicodeDecodeError:
            raise DataError(f"{name} is {given[:40]!r}, bytes that are not UTF-8.") from None
    if not isinstance(given, str | int | np.integer | np.bool_) or not str(given).strip():
        raise DataError(f"{name} is {_short(given)}, a string or an integer is needed.")
    return str(given)


def values_of(given: Any, name: str) -> Vectors:
    """Target values: a number or a list of K.

    Raises:
        DataError: It is none of these, or not finite.
    """
    try:
        values = reals(given)
    except ValueError:
        raise DataError(f"{name} is {_short(given)}, numbers are needed.") from None
    values = values.reshape(1) if values.ndim == 0 else values
    if values.ndim != 1 or not len(values):
        raise DataError(f"{name} has shape {values.shape}, a list of numbers is needed.")
    bad = not_finite(values)
    if bad is not None:
        raise DataError(
            f"{name}: a target that is {said_of(values[bad])}. Fill it in or drop the row."
            if np.isfinite(values[bad])
            else f"{name}: a target that is not finite: {values[bad]}. Fill it in or drop the row."
        )
    return values


def strings(given: Sequence[Any], name: str) -> tuple[str, ...]:
    """Tokens or tags, integers among them as strings.

    Raises:
        DataError: One of them is something else, or empty.
    """
    for position, item in enumerate(given):
        if not isinstance(item, str | int | np.integer | np.bool_) or not str(item):
            raise DataError(f"{name}[{position}] is {_short(item)}, a string is needed.")
    return tuple(map(str, given))


def _rows(given: Any, name: str) -> Vectors:
    try:
        rows = reals(given)
    except ValueError:
        raise DataError(f"{name} is no even table of numbers.") from None
    if rows.ndim != 2 and rows.size:
        raise DataError(f"{name} has shape {rows.shape}, rows of numbers (T, D) are needed.")
    if rows.ndim == 2 and rows.shape[0] and not rows.shape[1]:
        raise DataError(f"{name} has 0 channels. Give every step at least one number.")
    return rows if rows.ndim == 2 else rows.reshape(0, 0)


def is_list(given: Any) -> bool:
    """Whether something is a list, a tuple or an array or tensor of one axis or more."""
    return isinstance(given, list | tuple) or (is_array(given) and getattr(given, "ndim", 0) > 0)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
