"""How the answers of a model are scored, and the targets that they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from birnn.bundle.spec import Head, Tags, Values
from birnn.data.examples import Example
from birnn.data.schemes import in_letters_of
from birnn.errors import DataError
from birnn.metrics import LabelScorer, TagScorer, ValueScorer

Scorer = TagScorer | LabelScorer | ValueScorer


def new_scorer(head: Head, labels: Sequence[str]) -> Scorer:
    """An empty scorer for the answers of a head.

    Args:
        head: Description of the head.
        labels: Its labels, by id; empty for values.

    Example:
        >>> from birnn.bundle.spec import Label
        >>> scorer = new_scorer(Label(size=2), ["ham", "spam"])
        >>> scorer.update("ham", "ham")
        >>> scorer.result()["accuracy"]
        1.0
    """
    if isinstance(head, Tags):
        return TagScorer(labels, head.scheme)
    return ValueScorer() if isinstance(head, Values) else LabelScorer(labels)


def checked_target(head: Head, labels: Sequence[str], example: Example, number: int) -> Any:
    """The target of an example, once it is of the kind that the head answers with.

    Args:
        head: Description of the head.
        labels: Its labels. Tags that are none of them are brought into the letters of its scheme.
        example: The example.
        number: What messages call it where it does not say where it stands.

    Raises:
        DataError: No target, or one of another kind.
    """
    where, target = example.where or f"example {number}", example.target
    if target is None:
        raise DataError(f"{where}: it has no target. Evaluation needs labelled data.")
    if isinstance(head, Tags):
        if isinstance(target, str | np.ndarray):
            raise DataError(f"{where}: its target is {target!r}, a tagger needs tags")
        if len(target) != len(example):
            raise DataError(f"{where}: {len(target)} tags for {len(example)} steps")
        if not set(labels).issuperset(target):
            return in_letters_of(head.scheme, target)
    elif isinstance(head, Values):
        values = None if isinstance(target, str) else np.asarray(target)
        if values is None or values.dtype.kind not in "fiu" or values.shape != (head.size,):
            raise DataError(f"{where}: its target is {target!r}, needed: {head.size} values")
    elif not isinstance(target, str):
        raise DataError(f"{where}: its target is {target!r}, a classifier needs one label")
    return target
