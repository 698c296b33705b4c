"""Sets of labels: lists, cells that hold several, columns of 0 and 1."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from birnn.data.alphabet import SPACES
from birnn.data.numeric import as_array
from birnn.errors import DataError, Tell

ONE, LIST = "none", "list"
"""Ways to split a cell: it holds one label, or a list as JSON and Python write it."""
WAYS = (ONE, LIST, SPACES)
LIKELY = ("|", ";", ",")
"""Separators that are guessed, the likeliest first; a blank, which labels have within, never is."""
_TRUTH = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def guess_split(cells: Sequence[str]) -> str | None:
    """The way that cells of labels are split; None where each holds one label.

    Example:
        >>> guess_split(["drama", "drama|science fiction", ""])
        '|'
        >>> guess_split(["['drama', 'western']", "[]"]), guess_split(["drama", "western"])
        ('list', None)
    """
    filled = [cell.strip() for cell in cells if cell.strip()]
    if filled and all(cell.startswith("[") and cell.endswith("]") for cell in filled):
        return LIST
    return next((each for each in LIKELY if any(each in cell for cell in filled)), None)


def several_in_one(labels: Iterable[str]) -> list[str]:
    """Labels that may be several, written in one: a part of each is in another label, too.

    Example:
        >>> several_in_one(["drama", "war|drama", "war|funny", "a, b"])
        ['war|drama', 'war|funny']
    """
    parts = {
        label: {part.strip() for part in re.split("[|;,]", label) if part.strip()}
        for label in labels
    }
    counts = Counter(part for each in parts.values() for part in each)
    return [
        label for label, own in parts.items() if len(own) > 1 and any(counts[p] > 1 for p in own)
    ]


def is_truth(cell: Any) -> bool:
    """Whether a value says that a label holds or does not: 0, 1, true, false.

    Example:
        >>> is_truth("1"), is_truth(False), is_truth("2")
        (True, True, False)
    """
    return str(cell).strip().lower() in _TRUTH


class LabelSets:
    """Values of a file or a program as sets of labels: tuples without repetition, maybe empty.

    Args:
        split: How a string is split: ``none``, ``list``, ``spaces`` or a separator; None where
            that is not said, and a string that holds a likely separator is refused.
        tell: Takes one notice, a line, where a label stands twice in one set.

    Example:
        >>> LabelSets("|").of("drama | western"), LabelSets().of(["b", "a"]), LabelSets().of("")
        (('drama', 'western'), ('b', 'a'), ())
        >>> LabelSets().of("drama|western")
        Traceback (most recent call last):
        ...
        birnn.errors.DataError: labels is 'drama|western', one label or several? Say how it is \
split: --label-split '|', or --label-split none if it is one.
    """

    def __init__(self, split: str | None = None, tell: Tell | None = None) -> None:
        self._split, self._tell = split, tell

    def of(self, given: Any, name: str = "labels", where: str = "") -> tuple[str, ...]:
        """The labels of a string, of a list or set of labels, or of a single one.

        Args:
            given: The value.
            name: What messages call it.
            where: ``file:line`` of the value, for the notice.

        Raises:
            DataError: Something else, or a string of which it is not clear how it is split.
        """
        given = as_array(given)
        if isinstance(given, np.ndarray):
            given = given.tolist()
        if isinstance(given, str):
            found = self._parts(given, name)
        elif isinstance(given, set | frozenset):
            found = sorted(given, key=str)
        elif isinstance(given, list | tuple):
            found = list(given)
        else:
            found = [given]
        for item in found:
            if not isinstance(item, str | int | np.integer | np.bool_) or not str(item).strip():
                shown = repr(given)[:40]
                raise DataError(f"{name} is {shown}, a list of labels is needed, maybe empty.")
        return self._once_each([str(item).strip() for item in found], where)

    def of_truths(
        self, cells: Sequence[Any], names: Sequence[str], where: str = ""
    ) -> tuple[str, ...]:
        """The names of the columns that say 1.

        Raises:
            DataError: A cell that says neither 0 nor 1.

        Example:
            >>> LabelSets().of_truths(["1", "0", True], ["toxic", "threat", "insult"])
            ('toxic', 'insult')
        """
        for cell, name in zip(cells, names, strict=True):
            if not is_truth(cell):
                raise DataError(
                    f"{name} is {str(cell)[:40]!r}, 0 or 1 is needed: each of these columns says "
                    "whether its label holds."
                )
        named = zip(cells, names, strict=True)
        found = [name for cell, name in named if _TRUTH[str(cell).strip().lower()]]
        return self._once_each(found, where)

    def _parts(self, text: str, name: str) -> list[Any]:
        way = self._split
        if way is None:
            likely = guess_split([text])
            if likely is not None:
                raise DataError(
                    f"{name} is {text[:40]!r}, one label or several? Say how it is split: "
                    f"--label-split {likely if likely == LIST else repr(likely)}, or "
                    "--label-split none if it is one."
                )
        if way == LIST:
            return _literal(text, name)
        if way == SPACES:
            return text.split()
        parts = [text] if way in (None, ONE) else text.split(way)
        # Nothing between two separators is no label.
        return [part for part in parts if part.strip()]

    def _once_each(self, labels: list[str], where: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(labels))
        if len(found) < len(labels) and self._tell is not None:
            at = f"{where}: " if where else ""
            self._tell(f"{at}a label that stands twice in one set counts once")
            self._tell = None
        return found


def _literal(text: str, name: str) -> list[Any]:
    """A list as JSON or Python writes it; an empty cell is an empty list."""
    if not text.strip():
        return []
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | tuple):
            return list(found)
    raise DataError(
        f"{name} is {text[:40]!r}, a list such as ['a', 'b'] is needed. Write it so, or say how "
        "it is split: --label-split."
    )
