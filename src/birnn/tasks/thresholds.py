"""From which probability on a label is given: chosen on a dev set for the best F1."""

# B sequences, L labels

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from birnn.metrics import LabelSetScorer, Statistics

Array = npt.NDArray[Any]
Rule = Literal["per_label", "one"] | float
"""``per_label``: each label's own F1 decides; ``one``: micro F1, for all alike; or a number."""

EVEN = 0.5
# Of a logit: so far its sigmoid in float64 gives the same float32 back.
FURTHEST = 20.0


def cuts_of(thresholds: Sequence[float], size: int) -> npt.NDArray[np.float32]:
    """The logits from which on labels are given, (L,); zeros where there are no thresholds.

    Example:
        >>> cuts_of([0.5, 0.75], 2).round(3).tolist(), cuts_of((), 2).tolist()
        ([0.0, 1.0989999771118164], [0.0, 0.0])
    """
    if not thresholds:
        return np.zeros(size, np.float32)
    p = np.asarray(thresholds, np.float64)
    return (np.log(p) - np.log1p(-p)).astype(np.float32)


def chosen_thresholds(scores_BL: Array, gold_BL: Array, rule: Rule) -> tuple[float, ...]:
    """The threshold of each label by a rule; none where all are 0.5.

    Of the thresholds that give the best F1 it is 0.5 where that is one of them, else the one in
    the middle between the two logits that it parts (1 below the lowest of all), nearest to 0.5; of
    two that are equally near as logits the higher. A label that no sequence has keeps 0.5.

    Args:
        scores_BL: Logits.
        gold_BL: Which sequence has which label.
        rule: How they are chosen.

    Source:
        Lipton et al. 2014, Optimal Thresholding of Classifiers to Maximize F1 Measure.

    Example:
        >>> scores = np.array([[2.0, -3.0], [0.5, -1.0], [1.0, -2.5]])
        >>> gold = np.array([[1, 0], [0, 1], [1, 0]])
        >>> [round(p, 3) for p in chosen_thresholds(scores, gold, "per_label")]
        [0.679, 0.148]
        >>> chosen_thresholds(scores, gold, 0.5)
        ()
    """
    scores_BL, gold_BL = np.asarray(scores_BL, np.float64), np.asarray(gold_BL, np.bool_)
    size = scores_BL.shape[1]
    if not isinstance(rule, str):
        return () if rule == EVEN else (float(rule),) * size
    if rule == "one":
        cuts = [best_cut(scores_BL.ravel(), gold_BL.ravel())] * size
    else:
        cuts = [best_cut(*each) for each in zip(scores_BL.T, gold_BL.T, strict=True)]
    if not any(cuts):
        return ()
    return tuple((1 / (1 + np.exp(-np.array(cuts)))).tolist())


def best_cut(scores_B: Array, gold_B: Array) -> float:
    """The logit from which on a label is given, for the best F1; see `chosen_thresholds`."""
    if not gold_B.any():
        return 0.0
    order = np.argsort(-scores_B, kind="stable")
    ranked_B, right_B = scores_B[order], np.cumsum(gold_B[order])
    # As many are given as have the score or a higher one.
    last_B = np.append(ranked_B[1:] < ranked_B[:-1], True)
    f1_B = 2 * right_B / (np.arange(1, len(ranked_B) + 1) + right_B[-1])
    f1_B = np.where(last_B, f1_B, -1.0)
    best = np.flatnonzero(f1_B >= f1_B.max() - 1e-12)
    upper = ranked_B[best]
    lower = np.append(ranked_B[1:], -np.inf)[best]
    # Where 0 parts the two as well it is the cut.
    middle = (upper + np.where(np.isinf(lower), upper - 2, lower)) / 2
    middle = middle.astype(np.float32).astype(np.float64)
    cuts = np.where((lower < 0) & (upper >= 0), 0.0, np.where(middle > lower, middle, upper))
    cuts = np.clip(cuts, -FURTHEST, FURTHEST)
    nearest = np.abs(cuts).min()
    return float(cuts[np.abs(cuts) == nearest].max())


class TunedScorer:
    """Scores of sets of labels at thresholds that are chosen on the sequences that it counts.

    Args:
        labels: Names of the labels.
        rule: How thresholds are chosen.

    Example:
        >>> scorer = TunedScorer(["x"], "per_label")
        >>> scorer.update(("x",), np.array([-1.0]))
        >>> scorer.update((), np.array([-2.0]))
        >>> scorer.result()["f1"]
        1.0
    """

    directions: ClassVar[Mapping[str, bool]] = LabelSetScorer.directions

    def __init__(self, labels: Sequence[str], rule: Rule) -> None:
        self._labels, self._rule = tuple(labels), rule
        self._golds: list[Any] = []
        self._scores: list[Array] = []

    def update(self, gold: Any, predicted: Array) -> None:
        """Count one sequence, of which the logits (L,) are given."""
        self._golds.append(gold)
        self._scores.append(predicted)

    def result(self) -> dict[str, Any]:
        """The result of a `birnn.metrics.LabelSetScorer`."""
        scorer = LabelSetScorer(self._labels)
        for gold, answer in zip(self._golds, self._tuned(self._golds, self._scores), strict=True):
            scorer.update(gold, answer)
        return scorer.result()

    def statistics(self, golds: Sequence[Any], answers: Sequence[Array]) -> Statistics:
        """As `birnn.metrics.LabelSetScorer.statistics`, of logits at their own thresholds."""
        return LabelSetScorer(self._labels).statistics(golds, self._tuned(golds, answers))

    def _tuned(self, golds: Sequence[Any], scores: Sequence[Array]) -> list[list[str]]:
        """The labels that are given at the thresholds that the right answers choose."""
        if not golds:
            return []
        scores_BL = np.stack(scores)
        found = chosen_thresholds(scores_BL, held(golds, self._labels), self._rule)
        given_BL = scores_BL >= cuts_of(found, len(self._labels))
        return [named(given_L, self._labels) for given_L in given_BL]


def held(sets: Sequence[Any], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which set has which label, (B, L); those that are not among the labels are left out.

    Example:
        >>> held([("b", "z"), ()], "ab").tolist()
        [[False, True], [False, False]]
    """
    numbers = {label: number for number, label in enumerate(labels)}
    held_BL = np.zeros((len(sets), len(labels)), np.bool_)
    for row, each in enumerate(sets):
        held_BL[row, [numbers[label] for label in each if label in numbers]] = True
    return held_BL


def named(given_L: Array, labels: Sequence[str]) -> list[str]:
    """The labels that are marked, in their order."""
    return [labels[number] for number in np.flatnonzero(given_L).tolist()]
