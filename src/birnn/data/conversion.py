"""Conversion of JSON and Python values for sequences and targets into examples."""

# T steps of a sequence, D channels of a step, K target values of a sequence

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from birnn.data.examples import Example
from birnn.data.headers import plain_name
from birnn.data.numeric import Reals, as_array, is_array, reals, require_finite
from birnn.data.options import ReadRequest
from birnn.errors import DataError

# Keys under which numbers are tokens.
NUMBERED = ("tokens", "words", "forms", "source")
# Names of several target sequences of one source, in a list.
SEVERAL = ("targets", "references")


def example_of(
    inputs: Any,
    target: Any,
    request: ReadRequest,
    where: str = "",
    *,
    names: Sequence[str] = ("inputs", "target"),
    called: Any = None,
    others: tuple[Any, str] = ((), ""),
) -> Example:
    """The example of a sequence and its target; a target that is missing becomes None.

    Args:
        inputs: A text, a list of tokens, or rows of numbers.
        target: A target of the kind that is asked for, as lists, strings, numbers or arrays.
        request: What is read.
        where: ``file:line`` of the example.
        names: What messages call inputs and target.
        called: Name of the sequence in the data, of any type.
        others: Further target sequences, and what messages call them.

    Raises:
        DataError: One of them is something else, or tags are not as many as steps.
    """
    steps = _inputs(inputs, request, names[0], where or "a text")
    text = inputs if isinstance(inputs, str) else None
    name = None if called is None else str(called)
    if request.target == "sequence":
        targets = () if is_missing(target) else _targets(target, names[-1])
        if targets and others[1]:
            targets += _targets(*others)
        return Example(steps, targets[0] if targets else None, where, name, text, None, targets[1:])
    answer = None if is_missing(target) else _target(target, request, names[-1], where)
    if request.target == "tags" and answer is not None and len(answer) != len(steps):
        raise DataError(f"{len(steps)} steps and {len(answer)} tags. Give every step one tag.")
    return Example(steps, answer, where, name, text)


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one: None, NaN (unequal to itself), pandas' NA."""
    if value is None or isinstance(value, str):
        return value is None
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return type(value).__name__ in ("NAType", "NaTType")


def is_list(given: Any) -> bool:
    """Whether something is a list, a tuple or an array or tensor of one axis or more."""
    return isinstance(given, list | tuple) or (is_array(given) and getattr(given, "ndim", 0) > 0)


def is_several(name: str) -> bool:
    """Whether a name says that a list holds several target sequences, and not one."""
    return plain_name(name) in SEVERAL


def shortened(value: Any, most: int = 60) -> str:
    """A value as a message shows it: on one line, cut where it is long.

    Example:
        >>> shortened("so good", 6), shortened(None)
        ("'so...", 'null (None in Python)')
        >>> shortened(np.str_("a"))
        "'a'"
    """
    if isinstance(value, np.generic):
        value = value.item()  # 'a', not np.str_('a')
    return "null (None in Python)" if value is None else _cut(repr(value), most)


def described(value: Any) -> str:
    """Type and value as a message shows them, likewise."""
    return _cut(f"{type(value).__name__} {value!r}", 60)


def _cut(text: str, most: int) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= most else text[: most - 3] + "..."


def _inputs(given: Any, request: ReadRequest, name: str, where: str) -> tuple[str, ...] | Reals:
    given = as_array(given)
    if isinstance(given, str):
        if request.target == "tags" and request.labelled:
            raise DataError(f"{name} is a str, a list of strings is needed.")
        return request.steps(str(given), where)
    if isinstance(given, np.ndarray) and given.dtype.kind in "fiub":
        return _rows(_in_one_channel(given, name), name)
    if not is_list(given):
        what = "a list"
        if name not in ("tokens", "vectors"):
            what = "a string or a list of symbols" if request.target == "sequence" else "a string"
        raise DataError(f"{name} is {shortened(given, 40)}, {what} is needed.")
    if set(map(type, given)) == {str} and name != "vectors":
        return _strings(given, name)
    # An empty list of vectors is called by its name.
    if name == "vectors" or any(is_list(item) for item in given):
        return _rows(given, name)
    # Numbers are tokens under a key of tokens; otherwise they are a series of one channel.
    numbers = (int, float, np.number)
    if name not in NUMBERED and any(isinstance(item, numbers) for item in given):
        if all(isinstance(item, numbers) or item is None for item in given):
            cells = [np.nan if item is None else item for item in given]
            return _rows(_in_one_channel(np.asarray(cells), name), name)
        odd = next(item for item in given if not isinstance(item, numbers))
        raise DataError(
            f"{name} holds {shortened(odd, 40)} among numbers. Give rows of numbers (T, D), "
            "[[0.5], [1.5]], or tokens."
        )
    return _strings(given, name)


def _in_one_channel(given: Any, name: str) -> Any:
    """A list of numbers as the steps of one channel; whole numbers alone may be tokens, too."""
    if given.ndim != 1 or name == "vectors" or not given.size:
        return given
    if given.dtype.kind != "f":
        raise DataError(
            f"{name} is {shortened(given.tolist(), 40)}: whole numbers may be tokens or the steps "
            "of a series. Give strings, or rows of numbers (T, D): [[1], [2]]."
        )
    return given[:, None]


def _target(
    given: Any, request: ReadRequest, name: str, where: str
) -> str | tuple[str, ...] | Reals:
    if request.target == "labels":
        return request.label_sets.of(given, name, where)
    given = as_array(given)
    if request.target == "label":
        return _label(given, name)
    if request.target == "values":
        return _values(given, name)
    if request.target == "gaps" and is_list(given):
        return _strings(given, name)
    if not is_list(given):
        raise DataError(
            f"{name} is {shortened(given, 40)}, a list of tags is needed, one for each step."
        )
    tags = tuple(map(str.strip, _strings(given, name)))
    if "" in tags:
        raise DataError(f"{name}[{tags.index('')}] is blank. Give every step a tag.")
    return tags


def _targets(given: Any, name: str) -> tuple[Any, ...]:
    """Target sequences of one source: symbols, or texts that `birnn.data.pairs` splits.

    A list of lists holds several; of strings it is the symbols of one, unless its name says that
    it holds several.
    """
    if isinstance(given, str):
        return (str(given),)
    if not is_list(given):
        what = "a string or a list of symbols"
        raise DataError(f"{name} is {shortened(given, 40)}, {what} is needed.")
    given = given.tolist() if hasattr(given, "tolist") else list(given)
    if not is_several(name) and not any(map(is_list, given)):
        return (_strings(given, name),)
    found: tuple[Any, ...] = ()
    for at, each in enumerate(given):
        called = f"{name}[{at}]"
        if not isinstance(each, str) and not is_list(each):
            what = "a string or a list of symbols"
            raise DataError(f"{called} is {shortened(each, 40)}, {what} is needed.")
        found += (str(each) if isinstance(each, str) else _strings(each, called),)
    return found


def _values(given: Any, name: str) -> Reals:
    """Target values: a number or a list of K, finite."""
    try:
        values = reals(given)
    except ValueError:
        raise DataError(f"{name} is {shortened(given, 40)}, numbers are needed.") from None
    values = values.reshape(1) if values.ndim == 0 else values
    if values.ndim != 1 or not len(values):
        raise DataError(f"{name} has shape {values.shape}, a list of numbers is needed.")
    require_finite(values, name, "value")
    return values


def _label(given: Any, name: str) -> str:
    """A label: a string, an integer or a truth value, as a string."""
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given[()]
    # Of a column with missing cells pandas makes whole numbers floats.
    if isinstance(given, float | np.floating) and float(given).is_integer():
        return str(int(given))
    if isinstance(given, bytes):
        try:
            given = given.decode()
        except UnicodeDecodeError:
            raise DataError(f"{name} is {given[:40]!r}, bytes that are not UTF-8.") from None
    if not isinstance(given, str | int | np.integer | np.bool_) or not str(given).strip():
        raise DataError(f"{name} is {shortened(given, 40)}, a string or an integer is needed.")
    return str(given)


def _strings(given: Sequence[Any], name: str) -> tuple[str, ...]:
    """Tokens or tags, integers among them as strings; none may be empty."""
    given = tuple(given)
    if set(map(type, given)) <= {str} and "" not in given:
        return given
    for position, item in enumerate(given):
        if not isinstance(item, str | int | np.integer | np.bool_) or not str(item):
            raise DataError(f"{name}[{position}] is {shortened(item, 40)}, a string is needed.")
    return tuple(map(str, given))


def _rows(given: Any, name: str) -> Reals:
    try:
        rows = reals(given)
    except ValueError:
        try:
            # A value that is null is missing.
            rows = reals([[np.nan if x is None else x for x in row] for row in given])
        except (ValueError, TypeError):
            raise DataError(f"{name} is no even table of numbers.") from None
    if rows.ndim != 2 and rows.size:
        raise DataError(f"{name} has shape {rows.shape}, rows of numbers (T, D) are needed.")
    if rows.ndim == 2 and rows.shape[0] and not rows.shape[1]:
        raise DataError(f"{name} has 0 channels. Give every step at least one number.")
    return rows if rows.ndim == 2 else rows.reshape(0, 0)
