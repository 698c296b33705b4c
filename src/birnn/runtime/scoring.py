"""How the answers of a model are scored, and the targets that they are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from birnn.data.examples import Example
from birnn.data.schemes import SchemeName, in_letters_of, other_letters
from birnn.errors import DataError
from birnn.metrics import LabelScorer, TagScorer, ValueScorer
from birnn.tasks import Head, Tags, Values

Scorer = TagScorer | LabelScorer | ValueScorer


def new_scorer(head: Head, labels: Sequence[str]) -> Scorer:
    """An empty scorer for the answers of a head.

    Args:
        head: Description of the head.
        labels: Its labels, by id; empty for values.

    Example:
        >>> from birnn.tasks import Label
        >>> scorer = new_scorer(Label(size=2), ["ham", "spam"])
        >>> scorer.update("ham", "ham")
        >>> scorer.result()["accuracy"]
        1.0
    """
    if isinstance(head, Tags):
        return TagScorer(labels, head.scheme)
    return ValueScorer() if isinstance(head, Values) else LabelScorer(labels)


class Targets:
    """The targets that the answers of a head are held against, checked one by one.

    Args:
        head: Description of the head.
        labels: Its labels. Tags that are none of them are brought into the letters of its scheme.
        tell: Takes, once, that spans are marked in letters of another scheme.

    Example:
        >>> from birnn.tasks import Tags
        >>> targets = Targets(Tags(size=2, scheme="iob2"), ["O", "B-X"], print)
        >>> targets.checked(Example(("a",), ("U-X",), "gold:1"), 0)
        gold:1: spans are marked as BILOU, the model's as IOB2: they are compared as spans
        ('B-X',)
    """

    def __init__(self, head: Head, labels: Sequence[str], tell: Callable[[str], None]) -> None:
        self._head = head
        self._labels = frozenset(labels)
        self._tell = tell
        self._told = False

    def checked(self, example: Example, number: int) -> Any:
        """The target of an example, once it is of the kind that the head answers with.

        Args:
            example: The example.
            number: What messages call it where it does not say where it stands.

        Raises:
            DataError: No target, or one of another kind.
        """
        where, target = example.where or f"example {number}", example.target
        if target is None:
            raise DataError(f"{where}: it has no target. Evaluation needs labelled data.")
        if isinstance(self._head, Tags):
            if isinstance(target, str | np.ndarray):
                raise DataError(f"{where}: its target is {target!r}, a tagger needs tags")
            if len(target) != len(example):
                raise DataError(f"{where}: {len(target)} tags for {len(example)} steps")
            if not self._labels.issuperset(target):
                return self._in_own_letters(self._head.scheme, target, where)
        elif isinstance(self._head, Values):
            size = self._head.size
            values = None if isinstance(target, str) else np.asarray(target)
            if values is None or values.dtype.kind not in "fiu" or values.shape != (size,):
                raise DataError(f"{where}: its target is {target!r}, needed: {size} values")
        elif not isinstance(target, str):
            raise DataError(f"{where}: its target is {target!r}, a classifier needs one label")
        return target

    def _in_own_letters(
        self, scheme: SchemeName, tags: Sequence[str], where: str
    ) -> tuple[str, ...]:
        written = None if self._told else other_letters(scheme, tags)
        if written is not None:
            self._told = True
            self._tell(
                f"{where}: spans are marked as {written.upper()}, the model's as "
                f"{scheme.upper()}: they are compared as spans"
            )
        return in_letters_of(scheme, tags)
