"""Metrics of predictions: accuracy, span F1, macro F1, regression, edit-distance rates.

A scorer is updated sequence by sequence; results are plain Python numbers. A ratio over nothing
(precision without a prediction) is 0.
"""

# B sequences, K target values

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.data.schemes import SchemeName, spans, unseen
from birnn.errors import DataError, LengthError, ShapeError

Pairs = Counter[tuple[str, str]]

SHOWN = 10  # labels that a message names
MATRIX = 20  # rows of a confusion matrix at most


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
                type_: _ratios(self._right[type_], self._predicted[type_], self._gold[type_])
                for type_ in types
            }
            whole = _ratios(self._right.total(), self._predicted.total(), self._gold.total())
            result |= {name: whole[name] for name in ("precision", "recall", "f1")}
            result |= {"f1_kind": "spans", "macro_f1": _mean(table, "f1"), "per_label": table}
        return result | {"tokens": self._pairs.total(), "sequences": self._sequences}


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionMatrix:
    """How often each gold label was answered by each label; `confusion_matrix` makes one.

    Args:
        labels: Labels that have a row and a column of their own, sorted.
        counts: Gold label (row) by answer (column), (L, L); one more of both where labels are
            folded, the last for all of these, whose diagonal holds their right answers.
        folded: Labels that share the last row and column, sorted.
        within: Wrong answers of one folded label for another, which have no cell.
        confused: Gold label, wrong answer and how often, the most frequent first.
    """

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    folded: tuple[str, ...]
    within: int
    confused: tuple[tuple[str, str, int], ...]

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """The counts as shares of their rows, (L, L): all answers to a gold label; else NaN."""
        totals = self.counts.sum(axis=1, keepdims=True).astype(np.float64)
        if self.folded:
            totals[-1] += self.within
        shares = np.full(self.counts.shape, np.nan)
        np.divide(self.counts, totals, out=shares, where=totals > 0)
        return shares


def confusion_matrix(
    confusion: Mapping[str, Mapping[str, int]], *, most: int = MATRIX
) -> ConfusionMatrix:
    """The confusion of a scorer's result as a matrix, of many labels the most confused ones.

    Args:
        confusion: Gold label to answer to how often, as `LabelScorer` and `TagScorer` give it.
        most: Rows at most. Of more labels those with the fewest wrong answers, given for them or
            with them, share the last row and column.

    Raises:
        DataError: Nothing was counted, or ``most`` is below 2.

    Example:
        >>> found = confusion_matrix({"b": {"b": 3, "a": 1}, "a": {"a": 2}})
        >>> found.labels, found.counts.tolist(), found.shares[1].tolist(), found.confused
        (('a', 'b'), [[2, 0], [1, 3]], [0.25, 0.75], (('b', 'a', 1),))
    """
    if most < 2:
        raise DataError(f"most is {most}, a matrix has 2 rows or more")
    pairs = {(gold, said): n for gold, row in confusion.items() for said, n in row.items() if n}
    if not pairs:
        raise DataError("nothing was counted: there is no confusion of no answers")
    wrong: Counter[str] = Counter()
    for (gold, said), count in pairs.items():
        for label in (gold, said):
            wrong[label] += count * (gold != said)
    ranked = sorted(wrong, key=lambda label: (-wrong[label], label))
    kept = ranked if len(ranked) <= most else ranked[: most - 1]
    labels, folded = sorted(kept), sorted(set(ranked) - set(kept))
    place = {label: at for at, label in enumerate(labels)}
    counts = np.zeros((len(labels) + bool(folded),) * 2, np.int64)
    within = 0
    for (gold, said), count in pairs.items():
        row, column = (place.get(label, len(labels)) for label in (gold, said))
        if row == column and gold != said:
            within += count
        else:
            counts[row, column] += count
    missed = [(*pair, count) for pair, count in pairs.items() if pair[0] != pair[1]]
    missed.sort(key=lambda each: (-each[2], each))
    return ConfusionMatrix(tuple(labels), counts, tuple(folded), within, tuple(missed))


class ValueScorer:
    """Scores of a vector of real numbers for each sequence.

    Example:
        >>> scorer = ValueScorer()
        >>> scorer.update([1.0], [2.0])
        >>> scorer.update([3.0], [3.0])
        >>> scorer.result()
        {'mse': 0.5, 'rmse': 0.7071067811865476, 'mae': 0.5, 'r2': 0.5, 'sequences': 2}
    """

    def __init__(self) -> None:
        self._gold: list[npt.NDArray[np.float64]] = []
        self._predicted: list[npt.NDArray[np.float64]] = []

    def update(self, gold: npt.ArrayLike, predicted: npt.ArrayLike) -> None:
        """Count one sequence.

        Raises:
            ShapeError: Vectors of different lengths.
        """
        one, other = (np.array(v, dtype=np.float64).reshape(-1) for v in (gold, predicted))
        if one.shape != other.shape or (self._gold and self._gold[0].shape != one.shape):
            raise ShapeError(f"{other.size} predicted values for {one.size} gold ones. Give each.")
        self._gold.append(one)
        self._predicted.append(other)

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted.

        Returns:
            ``mse``, ``rmse``, ``mae``: means over sequences and values; ``r2``: the mean over
            values of 1 - squared error / squared distance from the mean (1 or 0 where gold does
            not vary); ``sequences``.
        """
        if not self._gold:
            return {"mse": 0.0, "rmse": 0.0, "mae": 0.0, "r2": 0.0, "sequences": 0}
        gold_BK, predicted_BK = np.stack(self._gold), np.stack(self._predicted)
        error_BK = predicted_BK - gold_BK
        mse = float(np.mean(error_BK**2))
        missed_K = np.sum(error_BK**2, axis=0)
        spread_K = np.sum((gold_BK - gold_BK.mean(axis=0)) ** 2, axis=0)
        varies = spread_K > 0
        r2_K = np.where(varies, 1 - missed_K / np.where(varies, spread_K, 1), missed_K == 0)
        return {
            "mse": mse,
            "rmse": mse**0.5,
            "mae": float(np.mean(np.abs(error_BK))),
            "r2": float(np.mean(r2_K)),
            "sequences": len(self._gold),
        }


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions that turn one sequence into the other.

    Source: Wagner and Fischer 1974, The String-to-String Correction Problem.

    Example:
        >>> edit_distance("kitten", "sitting")
        3
    """
    row = list(range(len(other) + 1))
    for i, item in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, target in enumerate(other, 1):
            best = min(row[j] + 1, row[j - 1] + 1, diagonal + (item != target))
            diagonal, row[j] = row[j], best
    return row[-1]


def phoneme_error_rate(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Edit distance over all sequences by the number of gold symbols.

    Args:
        gold: B sequences of symbols.
        predicted: As many.

    Raises:
        LengthError: Not as many predicted sequences as gold ones.

    Example:
        >>> phoneme_error_rate([["K", "AE", "T"], ["D"]], [["K", "T"], ["D"]])
        0.25
    """
    _check_pairs(gold, predicted)
    edits = sum(edit_distance(a, b) for a, b in zip(gold, predicted, strict=True))
    return edits / max(1, sum(map(len, gold)))


def word_error_rate(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Share of sequences that are not right from end to end, as is usual for pronunciations.

    Args:
        gold: B sequences of symbols, each the pronunciation of a word.
        predicted: As many.

    Raises:
        LengthError: Not as many predicted sequences as gold ones.

    Example:
        >>> word_error_rate([["K", "AE", "T"], ["D"]], [["K", "T"], ["D"]])
        0.5
    """
    _check_pairs(gold, predicted)
    wrong = sum(list(a) != list(b) for a, b in zip(gold, predicted, strict=True))
    return wrong / max(1, len(gold))


def _check_pairs(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise LengthError(f"{len(predicted)} predicted sequences for {len(gold)} gold ones")


def _ratios(right: int, predicted: int, gold: int) -> dict[str, Any]:
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / gold if gold else 0.0,
        # 2 p r / (p + r), without dividing by nothing
        "f1": 2 * right / (predicted + gold) if predicted + gold else 0.0,
        "support": gold,
    }


def _table(pairs: Pairs, labels: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Scores of each label that occurs, the known ones first and in their order."""
    gold: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (one, other), count in pairs.items():
        gold[one] += count
        predicted[other] += count
    return {
        label: _ratios(pairs[label, label], predicted[label], gold[label])
        for label in _ordered(gold | predicted, labels)
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
        "precision": _mean(table, "precision"),
        "recall": _mean(table, "recall"),
        "f1": _mean(table, "f1"),
        "f1_kind": "macro",
        "macro_f1": _mean(table, "f1"),
        "per_label": table,
        "confusion": confusion,
        "unknown_labels": {
            label: row["support"]
            for label, row in table.items()
            if label in unknown and row["support"]
        },
    }


def _mean(table: dict[str, dict[str, Any]], name: str) -> float:
    return sum(row[name] for row in table.values()) / len(table) if table else 0.0


def _ordered(present: Iterable[str], labels: tuple[str, ...]) -> list[str]:
    occurring = set(present)
    return [label for label in labels if label in occurring] + sorted(occurring - set(labels))
