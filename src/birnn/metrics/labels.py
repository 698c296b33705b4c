"""Scores of labels and of tags: accuracy, span F1, macro F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from birnn.data.schemes import SchemeName, spans, unseen
from birnn.errors import LengthError
from birnn.metrics.resampling import Array, Statistics

Pairs = Counter[tuple[str, str]]

SHOWN = 10  # labels that a message names
# The scores that a model may be chosen by, and whether higher is better.
LABEL_SCORES = dict.fromkeys(("accuracy", "f1", "precision", "recall", "macro_f1"), True)


def named_counts(counts: Mapping[str, int]) -> str:
    """Labels with their counts for a message: the ten most frequent, and how many more there are.

    Example:
        >>> named_counts({"A": 1, "B": 3})
        'B (3), A (1)'
        >>> named_counts({str(i): 1 for i in range(12)})[-24:]
        '6 (1), 7 (1), and 2 more'
    """
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    named = [f"{label} ({count:,})" for label, count in ordered[:SHOWN]]
    if len(ordered) > SHOWN:
        named.append(f"and {len(ordered) - SHOWN:,} more")
    return ", ".join(named)


class LabelScorer:
    """Scores of one label for each sequence.

    Args:
        labels: Labels that the model knows; they come first in tables. A gold label beyond them
            is counted as wrong and named in ``unknown_labels``.

    Example:
        >>> scorer = LabelScorer(["good", "bad"])
        >>> for gold, predicted in [("good", "good"), ("bad", "good"), ("bad", "bad")]:
        ...     scorer.update(gold, predicted)
        >>> result = scorer.result()
        >>> round(result["accuracy"], 3), round(result["macro_f1"], 3), result["confusion"]["bad"]
        (0.667, 0.667, {'good': 1, 'bad': 1})
    """

    directions: ClassVar[Mapping[str, bool]] = LABEL_SCORES

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = tuple(labels)
        self._pairs: Pairs = Counter()

    def update(self, gold: str, predicted: str) -> None:
        """Count one sequence."""
        self._pairs[gold, predicted] += 1

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted.

        Returns:
            ``accuracy``; ``precision``, ``recall``, ``f1`` and ``macro_f1``: means over the labels
            that occur (``f1_kind`` is "macro"); ``per_label``, ``confusion[gold][predicted]``,
            ``unknown_labels``, ``sequences``.
        """
        table = _table(self._pairs, self._labels)
        return _macro(self._pairs, table, self._labels) | {"sequences": self._pairs.total()}

    def statistics(self, golds: Sequence[str], answers: Sequence[str]) -> Statistics:
        """Sums over sequences that the accuracy and the means over labels are functions of."""
        return _statistics([((g,), (a,)) for g, a in zip(golds, answers, strict=True)])


class TagScorer:
    """Scores of one tag for each step.

    Where a scheme marks spans, F1 is that of whole spans by conlleval's rules, micro-averaged;
    elsewhere it is the mean over the tags.

    Args:
        labels: Tags that the model knows, as for `LabelScorer`.
        scheme: How tags mark spans.

    Source: Tjong Kim Sang and Buchholz 2000, conlleval.

    Example:
        >>> scorer = TagScorer(["O", "B-X", "I-X"], "iob2")
        >>> scorer.update(["B-X", "I-X", "O", "B-X"], ["B-X", "I-X", "O", "O"])
        >>> result = scorer.result()
        >>> result["accuracy"], result["precision"], result["recall"], result["f1_kind"]
        (0.75, 1.0, 0.5, 'spans')
    """

    directions: ClassVar[Mapping[str, bool]] = LABEL_SCORES

    def __init__(self, labels: Iterable[str], scheme: SchemeName = "none") -> None:
        self._labels = tuple(labels)
        self._scheme = scheme
        self._pairs: Pairs = Counter()
        self._sequences = 0
        self._gold: Counter[str] = Counter()
        self._predicted: Counter[str] = Counter()
        self._right: Counter[str] = Counter()

    def update(self, gold: Sequence[str], predicted: Sequence[str]) -> None:
        """Count one sequence.

        Raises:
            LengthError: Not as many predicted tags as gold ones.
        """
        if len(gold) != len(predicted):
            raise LengthError(
                f"{len(gold)} gold tags and {len(predicted)} predicted ones. Give every step both."
            )
        self._sequences += 1
        self._pairs.update(zip(gold, predicted, strict=True))
        if self._scheme != "none":
            of_gold = set(spans(gold, self._scheme))
            of_predicted = set(spans(predicted, self._scheme))
            self._gold.update(span.type for span in of_gold)
            self._predicted.update(span.type for span in of_predicted)
            self._right.update(span.type for span in of_gold & of_predicted)

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted.

        Returns:
            What `LabelScorer.result` returns, and ``tokens``; with spans, ``precision``,
            ``recall`` and ``f1`` are those of spans (``f1_kind`` is "spans"), ``macro_f1`` and
            ``per_label`` are over the types of spans, and ``unknown_labels`` are those of types
            that no label of the model has.
        """
        table = _table(self._pairs, self._labels)
        result = _macro(self._pairs, table, self._labels, self._scheme)
        if self._scheme != "none":
            types = sorted(self._gold | self._predicted)
            table = {
                type_: ratios(self._right[type_], self._predicted[type_], self._gold[type_])
                for type_ in types
            }
            whole = ratios(self._right.total(), self._predicted.total(), self._gold.total())
            result |= {name: whole[name] for name in ("precision", "recall", "f1")}
            result |= {"f1_kind": "spans", "macro_f1": mean_of(table, "f1"), "per_label": table}
        return result | {"tokens": self._pairs.total(), "sequences": self._sequences}

    def statistics(
        self, golds: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]
    ) -> Statistics:
        """Sums over sequences that the accuracy and the scores of tags or spans are functions of.

        Example:
            >>> scorer = TagScorer(["O", "B-X"], "iob2")
            >>> found = scorer.statistics([["B-X", "O"], ["B-X"]], [["B-X", "O"], ["O"]])
            >>> scores = found.scores()
            >>> scores["precision"], scores["recall"], round(scores["accuracy"], 3)
            (1.0, 0.5, 0.667)
        """
        return _statistics(list(zip(golds, answers, strict=True)), self._scheme)


def ratios(right: int, predicted: int, gold: int) -> dict[str, Any]:
    """Precision, recall, F1 and support from counts; a ratio over nothing is 0."""
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / gold if gold else 0.0,
        # 2 p r / (p + r), without dividing by nothing
        "f1": 2 * right / (predicted + gold) if predicted + gold else 0.0,
        "support": gold,
    }


def _statistics(
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]], scheme: SchemeName = "none"
) -> Statistics:
    """Right steps, steps, and of each label, or type of spans, the right, said and gold ones."""
    numbers: dict[str, int] = {}
    steps = np.zeros((len(pairs), 2), np.int64)
    places: list[tuple[int, int]] = []
    for row, (gold, said) in enumerate(pairs):
        same = [one for one, other in zip(gold, said, strict=True) if one == other]
        steps[row] = len(same), len(gold)
        counted: Iterable[Iterable[str]] = (same, said, gold)
        if scheme != "none":
            sets = [set(spans(tags, scheme)) for tags in (said, gold)]
            counted = ([span.type for span in each] for each in (sets[0] & sets[1], *sets))
        for kind, labels in enumerate(counted):
            places += [
                (row, 3 * numbers.setdefault(label, len(numbers)) + kind) for label in labels
            ]
    counts = np.zeros((len(pairs), 3 * len(numbers)), np.int64)
    np.add.at(counts, tuple(np.array(places, np.int64).reshape(-1, 2).T), 1)
    return Statistics(np.hstack([steps, counts]), partial(_measures, spans=scheme != "none"))


def _measures(sums: Array, *, spans: bool) -> dict[str, Array]:
    """Scores from the sums of `_statistics`, (R, K)."""
    right_RL, said_RL, gold_RL = (sums[:, 2 + kind :: 3] for kind in range(3))
    f1_RL = shares(2 * right_RL, said_RL + gold_RL)
    occurring_R = np.maximum(1, (said_RL + gold_RL > 0).sum(axis=1))
    found = {"accuracy": shares(sums[:, 0], sums[:, 1]), "macro_f1": f1_RL.sum(axis=1)}
    parts = [right_RL, said_RL], [right_RL, gold_RL], [2 * right_RL, said_RL + gold_RL]
    for name, (part_RL, whole_RL) in zip(("precision", "recall", "f1"), parts, strict=True):
        if spans:
            found[name] = shares(part_RL.sum(axis=1), whole_RL.sum(axis=1))
        else:
            found[name] = shares(part_RL, whole_RL).sum(axis=1) / occurring_R
    return found | {"macro_f1": found["macro_f1"] / occurring_R}


def shares(part: Array, whole: Array) -> Array:
    """Ratios; 0 of nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _table(pairs: Pairs, labels: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Scores of each label that occurs, the known ones first and in their order."""
    gold: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (one, other), count in pairs.items():
        gold[one] += count
        predicted[other] += count
    return {
        label: ratios(pairs[label, label], predicted[label], gold[label])
        for label in ordered(gold | predicted, labels)
    }


def _macro(
    pairs: Pairs,
    table: dict[str, dict[str, Any]],
    labels: tuple[str, ...],
    scheme: SchemeName = "none",
) -> dict[str, Any]:
    unknown = unseen(table, labels, scheme)
    right = sum(count for (gold, predicted), count in pairs.items() if gold == predicted)
    confusion: dict[str, dict[str, int]] = {}
    for gold in table:
        row = {predicted: pairs[gold, predicted] for predicted in table if pairs[gold, predicted]}
        if row:
            confusion[gold] = row
    return {
        "accuracy": right / pairs.total() if pairs else 0.0,
        "precision": mean_of(table, "precision"),
        "recall": mean_of(table, "recall"),
        "f1": mean_of(table, "f1"),
        "f1_kind": "macro",
        "macro_f1": mean_of(table, "f1"),
        "per_label": table,
        "confusion": confusion,
        "unknown_labels": {
            label: row["support"]
            for label, row in table.items()
            if label in unknown and row["support"]
        },
    }


def mean_of(table: dict[str, dict[str, Any]], name: str) -> float:
    """The mean of a score over the rows of a table; 0 of none."""
    return sum(row[name] for row in table.values()) / len(table) if table else 0.0


def ordered(present: Iterable[str], labels: tuple[str, ...]) -> list[str]:
    """Labels that occur: the known ones first, in their order, then the others, sorted."""
    occurring = set(present)
    return [label for label in labels if label in occurring] + sorted(occurring - set(labels))
