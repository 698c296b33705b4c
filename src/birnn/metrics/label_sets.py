"""Scores of sets of labels: micro, macro and samples F1, and how many sets are right as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

from birnn.metrics.labels import mean_of, ordered, ratios


class LabelSetScorer:
    """Scores of a set of labels for each sequence, which may be empty.

    Args:
        labels: Labels that the model knows; they come first in tables. A gold label beyond them
            is counted as missed and named in ``unknown_labels``.

    Source: Tsoumakas & Katakis 2007, Multi-Label Classification: An Overview, section 4; with the
        names of scikit-learn.

    Example:
        >>> scorer = LabelSetScorer(["drama", "war"])
        >>> for gold, predicted in [({"drama", "war"}, {"drama"}), ((), ()), ({"war"}, {"war"})]:
        ...     scorer.update(gold, predicted)
        >>> result = scorer.result()
        >>> round(result["f1"], 3), round(result["samples_f1"], 3), round(result["exact_match"], 3)
        (0.8, 0.889, 0.667)
    """

    directions: ClassVar[Mapping[str, bool]] = dict.fromkeys(
        ("f1", "precision", "recall", "macro_f1", "samples_f1", "exact_match"), True
    )

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = tuple(labels)
        self._known = frozenset(self._labels)
        self._gold: Counter[str] = Counter()
        self._predicted: Counter[str] = Counter()
        self._right: Counter[str] = Counter()
        self._sequences = self._exact = 0
        self._f1 = 0.0

    def update(self, gold: Collection[str], predicted: Collection[str]) -> None:
        """Count one sequence."""
        one, other = frozenset(gold), frozenset(predicted)
        right = one & other
        self._gold.update(one)
        self._predicted.update(other)
        self._right.update(right)
        self._sequences += 1
        self._exact += one == other
        # Nothing that was to be found, and nothing found, is right.
        self._f1 += 2 * len(right) / (len(one) + len(other)) if one or other else 1.0

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted.

        Returns:
            ``precision``, ``recall`` and ``f1`` over all labels of all sequences together
            (``f1_kind`` is "micro"); ``macro_f1``: the mean over the labels that occur;
            ``samples_f1``: the mean over sequences, of which one without a label that is answered
            with none counts 1; ``exact_match``: the share of sequences whose set is right as a
            whole; ``per_label``, ``unknown_labels``, ``sequences``.
        """
        present = ordered(self._gold | self._predicted, self._labels)
        table = {
            label: ratios(self._right[label], self._predicted[label], self._gold[label])
            for label in present
        }
        whole = ratios(self._right.total(), self._predicted.total(), self._gold.total())
        count = max(1, self._sequences)
        return {
            **{name: whole[name] for name in ("precision", "recall", "f1")},
            "f1_kind": "micro",
            "macro_f1": mean_of(table, "f1"),
            "samples_f1": self._f1 / count,
            "exact_match": self._exact / count,
            "per_label": table,
            "unknown_labels": {
                label: n for label, n in self._gold.items() if label not in self._known
            },
            "sequences": self._sequences,
        }
