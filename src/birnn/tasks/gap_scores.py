"""How well words at gaps were foreseen: perplexity, and accuracy at 1 and 5."""

# G gaps of a sequence or of all, L output words

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from birnn.errors import LengthError
from birnn.metrics.resampling import Statistics
from birnn.reference.softmax import log_sum_exp

Array = npt.NDArray[Any]

FIVE = 5


@dataclass(frozen=True, slots=True, eq=False)
class ScoredGaps:
    """What a model said of the right words of a sequence's gaps.

    Args:
        losses: Negative log-likelihood of each in nats, (G,); NaN of a word that is no answer.
        ranks: How many words were likelier, (G,).
    """

    losses: Array
    ranks: Array

    @classmethod
    def of(cls, scores_GL: Array, right_G: Array, lengths: Array) -> list[ScoredGaps]:
        """Of each sequence, from the scores of all words at all gaps.

        Args:
            scores_GL: Scores, (G, L).
            right_G: Number of each right word; -1 of one that is no answer.
            lengths: Gaps of each sequence, (B,).

        Example:
            >>> scores = np.log(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]))
            >>> [two, none] = ScoredGaps.of(scores, np.array([1, -1]), np.array([2, 0]))
            >>> round(float(np.exp(-two.losses[0])), 6), two.ranks.tolist(), len(none.ranks)
            (0.3, [1, 3], 0)
        """
        known = right_G >= 0
        own_G1 = np.take_along_axis(scores_GL, np.maximum(right_G, 0)[:, None], axis=1)
        losses = log_sum_exp(scores_GL, axis=1) - own_G1[:, 0].astype(np.float64)
        ranks = (scores_GL > own_G1).sum(axis=1)
        losses, ranks = np.where(known, losses, np.nan), np.where(known, ranks, scores_GL.shape[1])
        ends = np.cumsum(lengths)[:-1]
        pairs = zip(np.split(losses, ends), np.split(ranks, ends), strict=True)
        return [cls(*pair) for pair in pairs]


class GapScorer:
    """Scores of the words that a model foresees at gaps.

    Args:
        labels: The words that gaps are filled with.
        gap: What stands for a word that is not known: it counts for nothing.

    Example:
        >>> scorer = GapScorer(["a", "b"], "___")
        >>> said = ScoredGaps(np.array([math.log(4), math.log(1), np.nan]), np.array([1, 0, 2]))
        >>> scorer.update(("a", "b", "c"), said)
        >>> result = scorer.result()
        >>> round(result["perplexity"], 3), round(result["accuracy"], 3), result["unknown_words"]
        (2.0, 0.333, 1)
    """

    directions: ClassVar[Mapping[str, bool]] = {
        "perplexity": False,
        "accuracy": True,
        "accuracy_at_5": True,
    }

    def __init__(self, labels: Sequence[str], gap: str) -> None:
        self._size = len(labels)
        self._gap = gap
        self._rows: list[Array] = []

    def update(self, gold: Sequence[str], predicted: ScoredGaps) -> None:
        """Count one sequence.

        Raises:
            LengthError: Not as many right words as gaps.
        """
        if len(gold) != len(predicted.losses):
            raise LengthError(f"{len(gold)} words for {len(predicted.losses)} gaps. Give each one.")
        self._rows.append(self._counted(gold, predicted))

    def statistics(
        self, golds: Sequence[Sequence[str]], answers: Sequence[ScoredGaps]
    ) -> Statistics:
        """Sums over sequences that perplexity and accuracy are functions of."""
        rows = [self._counted(gold, said) for gold, said in zip(golds, answers, strict=True)]
        return self._statistics(rows)

    def _counted(self, gold: Sequence[str], said: ScoredGaps) -> Array:
        """Of one sequence the losses, known words, right ones, ones among five, and gaps, (5,)."""
        asked = np.array([word != self._gap for word in gold], np.bool_)
        losses, ranks = said.losses[asked], said.ranks[asked]
        known = ~np.isnan(losses)
        right = (ranks < 1).sum(), (ranks < FIVE).sum()
        return np.array([losses[known].sum(), known.sum(), *right, len(losses)])

    def _statistics(self, rows: Sequence[Array]) -> Statistics:
        return Statistics(np.array(rows).reshape(-1, 5), self._measures)

    def _measures(self, sums: Array) -> dict[str, Array]:
        losses, known, first, five, gaps = sums.T
        # No word that is known: nothing was said of any.
        mean = np.where(known > 0, losses / np.maximum(1, known), math.log(max(1, self._size)))
        return {
            "perplexity": np.exp(np.minimum(mean, 700.0)),
            "accuracy": first / np.maximum(1, gaps),
            "accuracy_at_5": five / np.maximum(1, gaps),
        }

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted.

        Returns:
            ``perplexity``: the exponential of the mean negative log-likelihood of the words that
            are among the answers; ``accuracy`` and ``accuracy_at_5``: shares of all words that
            were the likeliest, or among the five likeliest; ``gaps``; ``unknown_words``: how many
            are no answer of the model, which are wrong and not in the perplexity;
            ``vocabulary``: number of answers; ``sequences``.
        """
        found = self._statistics(self._rows)
        _, known, _, _, gaps = found.columns.sum(axis=0).tolist()
        return {
            **found.scores(),
            "gaps": int(gaps),
            "unknown_words": int(gaps - known),
            "vocabulary": self._size,
            "sequences": len(self._rows),
        }
