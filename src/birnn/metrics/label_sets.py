"""Scores of sets of labels: micro, macro and samples F1, and how many sets are right as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from birnn.metrics.labels import mean_of, ordered, ratios, shares
from birnn.metrics.resampling import Array, Statistics


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
        self._f1 += _f1(one, other)

    def statistics(
        self, golds: Sequence[Collection[str]], answers: Sequence[Collection[str]]
    ) -> Statistics:
        """Sums over sequences that the scores of sets are functions of.

        Example:
            >>> found = LabelSetScorer("xy").statistics([("x", "y"), ()], [("x",), ()])
            >>> {name: round(score, 3) for name, score in found.scores().items()}
            {'exact_match': 0.5, 'samples_f1': 0.833, 'precision': 1.0, 'recall': 0.5, \
'f1': 0.667, 'macro_f1': 0.5}
        """
        pairs = [(frozenset(g), frozenset(a)) for g, a in zip(golds, answers, strict=True)]
        numbers = {label: n for n, label in enumerate(sorted(frozenset().union(*sum(pairs, ()))))}
        whole = np.array([(1.0, one == other, _f1(one, other)) for one, other in pairs])
        held_BL = np.zeros((len(pairs), 3 * len(numbers)))
        for row, (one, other) in enumerate(pairs):
            for kind, labels in enumerate((one & other, other, one)):
                held_BL[row, [3 * numbers[label] + kind for label in labels]] = 1
        return Statistics(np.hstack([whole.reshape(-1, 3), held_BL]), _measures)

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


def _f1(gold: frozenset[str], predicted: frozenset[str]) -> float:
    """F1 of one set; nothing that was to be found, and nothing found, is right."""
    if not gold and not predicted:
        return 1.0
    return 2 * len(gold & predicted) / (len(gold) + len(predicted))


def _measures(sums: Array) -> dict[str, Array]:
    """Scores from the sums of `LabelSetScorer.statistics`, (R, 3 + 3 L)."""
    right_RL, said_RL, gold_RL = (sums[:, 3 + kind :: 3] for kind in range(3))
    right_R, said_R, gold_R = (each.sum(axis=1) for each in (right_RL, said_RL, gold_RL))
    occurring_R = np.maximum(1, (said_RL + gold_RL > 0).sum(axis=1))
    return {
        "exact_match": shares(sums[:, 1], sums[:, 0]),
        "samples_f1": shares(sums[:, 2], sums[:, 0]),
        "precision": shares(right_R, said_R),
        "recall": shares(right_R, gold_R),
        "f1": shares(2 * right_R, said_R + gold_R),
        "macro_f1": shares(2 * right_RL, said_RL + gold_RL).sum(axis=1) / occurring_R,
    }
