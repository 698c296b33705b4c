"""Tables that Python programs hold: columns of data frames and dicts, splits and class names.

Data frames of pandas, polars and PyArrow and data sets of Hugging Face are told by what they offer;
none of them is imported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from birnn.data.conversion import is_missing, shortened
from birnn.data.label_sets import LabelSets
from birnn.data.numeric import as_array, is_array
from birnn.errors import DataError

ClassNames = Mapping[str, tuple[str, ...]]

SAMPLE = 100  # rows of a table by which its columns are judged
# What splits are called that choose the weights.
DEV_SPLITS = ("validation", "dev", "valid", "val", "validation_matched")
# Names of the levels of an index that has none, as sktime and aeon have series in long form.
_LEVELS = ("id", "time")


def is_iterable(given: Any) -> bool:
    """Whether it can be iterated over: an array of no axis cannot, though it has ``__iter__``."""
    try:
        iter(given)
    except TypeError:
        return False
    return True


def is_table(given: Any) -> bool:
    """Whether something holds columns by their names: a data frame or a dict of lists."""
    frame = hasattr(given, "columns") and hasattr(given, "__getitem__")
    return isinstance(given, Mapping) or frame


def in_python(message: str) -> str:
    """A message with options as a program gives them: text_column for --text-column."""
    return re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda found: found[1].replace("-", "_"), message)


def columns_of(given: Any) -> dict[str, Sequence[Any]]:
    """Columns of a data frame or a dict of columns, by their names.

    The levels of an index of several are columns, too.

    Raises:
        DataError: Splits of a data set, a single record, columns of one name or of several levels,
            columns of different lengths, no row.

    Example:
        >>> columns_of({"text": ("so good", "so bad"), "label": [1, 0]})
        {'text': ['so good', 'so bad'], 'label': [1, 0]}
    """
    if splits := splits_of(given):
        raise DataError(
            f"splits of a data set: {', '.join(splits)}. Give one of them: dataset[{splits[0]!r}]."
        )
    found = _columns_of_dict(given) if isinstance(given, Mapping) else _columns_of_frame(given)
    sizes = {name: len(column) for name, column in found.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"a dict of columns of different lengths: {listed}. Give all as many rows.")
    if not any(sizes.values()):
        raise DataError("a table without rows. Give at least one.")
    for name in ("tokens", "words", "forms"):
        if isinstance(given, Mapping) and name in found and isinstance(found[name][0], str):
            raise DataError(f"one dict of {name}. Give a list of such dicts, one for a sequence.")
    return found


def row_of(columns: Mapping[str, Sequence[Any]], at: int) -> dict[str, Any]:
    """A row of columns, by their names; a cell of polars may hold a list of its own kind."""
    row = {name: column[at] for name, column in columns.items()}
    return {name: x.to_list() if hasattr(x, "to_list") else x for name, x in row.items()}


def _columns_of_dict(given: Mapping[Any, Any]) -> dict[str, Sequence[Any]]:
    for name, column in given.items():
        if isinstance(column, set | frozenset):
            raise DataError(f"the column {str(name)!r} is a set, which has no order. Give a list.")
        if isinstance(column, str | bytes) or not is_iterable(column):
            raise DataError(
                f"one dict whose {str(name)!r} is {shortened(column)}. Give a list of such "
                "dicts, or a dict of columns: {'text': [...], ...}."
            )
    return {str(key): list(x) for key, x in given.items()}


def _columns_of_frame(given: Any) -> dict[str, Sequence[Any]]:
    if hasattr(given, "collect") and not hasattr(given, "__len__"):
        raise DataError("a lazy data frame, which holds no rows yet. Give frame.collect().")
    # PyArrow's columns are arrays, which it names apart.
    keys = list(getattr(given, "column_names", given.columns))
    if levels := [key for key in keys if isinstance(key, tuple)]:
        raise DataError(
            f"a data frame whose columns have several levels: {shortened(levels[0])}. Give them "
            "one name each: df.columns = ['_'.join(map(str, c)) for c in df.columns]."
        )
    if twice := [name for name, count in Counter(map(str, keys)).items() if count > 1]:
        names = ", ".join(map(str, keys))
        raise DataError(
            f"a data frame with two columns of one name: {names}. Rename or drop one "
            f"{twice[0]!r}; of pandas df.loc[:, ~df.columns.duplicated()] keeps the first."
        )
    columns = _index_of(given, keys) | {str(key): given[key] for key in keys}
    return {
        name: column.to_pylist() if hasattr(column, "to_pylist") else list(column)
        for name, column in columns.items()
    }


def _index_of(given: Any, keys: Sequence[Any]) -> dict[str, Any]:
    """The levels of a row index that has several, which single rows are told apart by."""
    index = getattr(given, "index", None)
    if getattr(index, "nlevels", 1) < 2 or index is None:
        return {}
    found = {}
    for level, name in enumerate(index.names):
        usual = _LEVELS[level] if index.nlevels == len(_LEVELS) else f"level_{level}"
        called = usual if name is None else str(name)
        if called not in map(str, keys):
            found[called] = index.get_level_values(level)
    return found


def sample_of(columns: Mapping[str, Sequence[Any]]) -> tuple[list[str], list[list[str]]]:
    """The names of columns, and their first rows as strings."""
    sample = zip(*(column[:SAMPLE] for column in columns.values()), strict=True)
    return list(columns), [["" if is_missing(x) else str(x) for x in row] for row in sample]


# ---------------------------------------------------------------------- data sets with features


def splits_of(given: Any) -> list[str]:
    """Names of the splits of a whole data set, which is a mapping of data sets; else none."""
    if not isinstance(given, Mapping) or not given:
        return []
    parts = given.values()
    return list(map(str, given)) if all(hasattr(x, "column_names") for x in parts) else []


def train_and_dev(given: Any) -> tuple[Any, Any, str]:
    """The splits of a whole data set that training reads, and a line that says which.

    Raises:
        DataError: It has no split ``train``.
    """
    splits = splits_of(given)
    if "train" not in splits:
        raise DataError(
            f"train: a data set of the splits {', '.join(splits)}, none is called train. Give one: "
            f"train=dataset[{splits[0]!r}]."
        )
    dev = next((name for name in DEV_SPLITS if name in splits), None)
    rest = [name for name in splits if name not in ("train", dev)]
    line = "train: the split 'train'" + (f", dev: the split {dev!r}" if dev else "")
    line += f"; not read: {', '.join(map(repr, rest))}" if rest else ""
    return given["train"], None if dev is None else given[dev], line


def class_names(given: Any) -> ClassNames:
    """Of each column whose numbers stand for classes, the names of these, as its features say.

    Example:
        >>> class Labels:
        ...     names = ["neg", "pos"]
        >>> class Data:
        ...     features = {"text": None, "label": Labels()}
        >>> class_names(Data()), class_names([])
        ({'label': ('neg', 'pos')}, {})
    """
    features = getattr(given, "features", None)
    if not isinstance(features, Mapping):
        return {}
    named = {str(key): _names_in(feature) for key, feature in features.items()}
    return {key: names for key, names in named.items() if names}


def _names_in(feature: Any) -> tuple[str, ...]:
    """The names of a feature of classes, or of lists of them."""
    while feature is not None:
        names = getattr(feature, "names", None)
        if isinstance(names, list | tuple):
            return tuple(map(str, names))
        listed = isinstance(feature, list | tuple) and len(feature) == 1
        feature = feature[0] if listed else getattr(feature, "feature", None)
    return ()


def with_names(record: Mapping[Any, Any], names: ClassNames, keys: Sequence[Any]) -> dict[Any, Any]:
    """A record whose numbers of classes under these keys are their names; -1 is a missing label.

    Raises:
        DataError: A number that is none of a class.

    Example:
        >>> names = {"tags": ("O", "B-PER")}
        >>> with_names({"tokens": ["Ada", "sings"], "tags": [1, 0]}, names, ["tags"])
        {'tokens': ['Ada', 'sings'], 'tags': ['B-PER', 'O']}
    """
    found = dict(record)
    for key in keys:
        if key in names and key in found:
            found[key] = _named(found[key], names[key], str(key), alone=True)
    return found


def _named(given: Any, names: Sequence[str], what: str, *, alone: bool) -> Any:
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, list | tuple):
        cells = enumerate(given)
        return [_named(item, names, f"{what}[{at}]", alone=False) for at, item in cells]
    if alone and (is_missing(given) or (given == -1 and not isinstance(given, str))):
        return None
    if isinstance(given, str) and given in names:
        return given
    if isinstance(given, int | np.integer) and 0 <= given < len(names):
        return names[int(given)]
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    raise DataError(
        f"{what} is {shortened(given)}, its {len(names)} classes are numbered from 0 to "
        f"{len(names) - 1} ({shown}). Correct it, or leave such out."
    )


# ---------------------------------------------------------------------- sequences and targets apart


def is_xy(given: Any, pairs: bool) -> bool:
    """Whether something is ``(X, y)``, all sequences and all targets, and not two examples.

    Args:
        given: What a caller handed in.
        pairs: Whether an example may be a list of pairs (word, tag).

    Example:
        >>> is_xy((["so good", "so bad"], ["pos", "neg"]), False)
        True
        >>> is_xy((("so good", "pos"), ("so bad", "neg")), False)
        False
        >>> is_xy(([("The", "DET"), ("bank", "NOUN")], [("runs", "VERB")]), True)
        False
    """
    if not isinstance(given, tuple) or len(given) != 2:
        return False
    one, other = given
    # Two examples are two tuples, records or objects of one kind.
    if isinstance(one, str | bytes) or hasattr(one, "inputs") or not (_is_many(one)):
        return False
    if not _is_many(other) or isinstance(other, str | bytes):
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return False
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other) == 2:
        return False
    return not (pairs and all(map(_is_tagged, given)))


def _is_many(given: Any) -> bool:
    return is_table(given) or is_iterable(given)


def _is_tagged(given: Any) -> bool:
    """Whether it is a sentence as a list of tuples (word, tag)."""
    return isinstance(given, list) and all(
        isinstance(x, tuple) and len(x) == 2 and set(map(type, x)) == {str} for x in given
    )


def joined(given: tuple[Any, Any], name: str, answer: str) -> Any:
    """``(X, y)`` as pairs, one by one, or, where X is a table, as a table.

    Args:
        given: The sequences and their targets.
        name: What messages call it.
        answer: What the column of targets is called where y says nothing.

    Raises:
        DataError: A set, which has no order, or not as many targets as sequences.

    Example:
        >>> list(joined((["so good", "so bad"], [1, 0]), "train", "label"))
        [('so good', 1), ('so bad', 0)]
    """
    for what, each in zip("Xy", given, strict=True):
        if isinstance(each, set | frozenset):
            raise DataError(f"{name}{what} is a set, which has no order. Give a list.")
        if splits := splits_of(each):
            raise DataError(f"{name}{what} is a data set of the splits {', '.join(splits)}.")
    inputs, targets = given
    answers = list(_label_sets(targets) if answer == "labels" else _targets(targets))
    if not is_table(inputs):
        return _pairs(inputs, answers, name)
    columns = columns_of(inputs)
    rows = len(next(iter(columns.values())))
    if rows != len(answers):
        raise DataError(_unequal(name, str(rows), len(answers)))
    # The name has to be free.
    called = answer
    while called in columns:
        called += "_"
    return {**columns, called: answers}


def _targets(given: Any) -> Iterator[Any]:
    """Targets one by one; the rows of a table of several columns are lists."""
    if is_table(given):
        columns = list(columns_of(given).values())
        yield from columns[0] if len(columns) == 1 else map(list, zip(*columns, strict=True))
        return
    # A column (B, 1) is a column.
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    yield from given


def _label_sets(given: Any) -> Iterator[Any]:
    """Sets of labels one by one: of columns of 0 and 1 the names or numbers of those of 1."""
    if is_table(given):
        columns = columns_of(given)
        if len(columns) > 1:
            names, rows = list(columns), zip(*columns.values(), strict=True)
            yield from (LabelSets().of_truths(row, names) for row in rows)
            return
    array = as_array(given) if is_array(given) else given
    if isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "biuf":
        names = list(map(str, range(array.shape[1])))
        yield from (LabelSets().of_truths(row, names) for row in array.tolist())
        return
    yield from _targets(given)


def _pairs(inputs: Any, answers: list[Any], name: str) -> Iterator[tuple[Any, Any]]:
    size = len(inputs) if hasattr(inputs, "__len__") else None
    if size is not None and size != len(answers):
        raise DataError(_unequal(name, str(size), len(answers)))
    number = -1
    for number, each in enumerate(inputs):
        if number >= len(answers):
            raise DataError(_unequal(name, f"more than {len(answers)}", len(answers)))
        yield each, answers[number]
    if number + 1 < len(answers):
        raise DataError(_unequal(name, str(number + 1), len(answers)))


def _unequal(name: str, sequences: str, targets: int) -> str:
    return f"{name}X has {sequences} sequences, y has {targets} targets. Give each sequence one."
