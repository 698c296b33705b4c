"""Scores of target sequences: error rates by edit distance, BLEU and chrF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from birnn.errors import DataError, require
from birnn.metrics.edits import alignment, edit_distance
from birnn.metrics.resampling import Array, Statistics

WORST = 10  # answers of most errors that a result holds


class SequenceScorer:
    """Scores of a sequence of symbols for each source sequence, which may have several references.

    An answer is compared with the closest reference, the one that the fewest edits turn it into; of
    several with the longest of these, then the first. The token error rate is the number of edits
    by the number of symbols in these references, over all sequences: an answer longer than its
    reference may bring it above 1. An empty reference adds edits and no symbols; where there are no
    symbols at all, the rate is by 1.

    Args:
        symbols: Symbols that the model knows. Others in references are named in
            ``unknown_labels``.
        separator: What stands between symbols where they are written as a text, for chrF and in
            ``worst``.

    Example:
        >>> scorer = SequenceScorer()
        >>> scorer.update([["R", "EH", "D"], ["R", "IY", "D"]], ["R", "IY", "D"])
        >>> scorer.update([["K", "AE", "T"]], ["K", "T", "S"])
        >>> result = scorer.result()
        >>> round(result["token_error_rate"], 3), result["sequence_error_rate"]
        (0.333, 0.5)
        >>> result["substitutions"], result["deletions"], result["insertions"]
        (2, 0, 0)
    """

    # BLEU and chrF take longer than an epoch may, see `overlap`.
    directions: ClassVar[Mapping[str, bool]] = {
        "token_error_rate": False,
        "sequence_error_rate": False,
    }

    def __init__(self, symbols: Iterable[str] = (), *, separator: str = " ") -> None:
        self._symbols = frozenset(symbols)
        self._separator = separator
        self._answers: list[tuple[str, ...]] = []
        self._references: list[tuple[tuple[str, ...], ...]] = []
        self._wrong: Counter[int] = Counter()  # edits of each wrong answer, by its number
        self._closest: dict[int, tuple[str, ...]] = {}  # the references of these
        self._pairs: Counter[tuple[str, str]] = Counter()  # "" where one side has no symbol

    def update(self, gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> None:
        """Count one sequence.

        Args:
            gold: Its references, one or more.
            predicted: The answer.

        Raises:
            DataError: No reference.
        """
        if not gold or isinstance(gold[0], str):
            raise DataError(
                f"{len(gold)} references, each a sequence of symbols, are needed: got {gold!r}. "
                "Give a list of them, [reference] of a single one."
            )
        number, answer = len(self._answers), tuple(predicted)
        references = tuple(map(tuple, gold))
        self._answers.append(answer)
        self._references.append(references)
        if answer in references:
            self._pairs.update((symbol, symbol) for symbol in answer)
            return
        self._wrong[number], self._closest[number] = closest_reference(references, answer)
        pairs = alignment(self._closest[number], answer)
        self._pairs.update((one or "", other or "") for one, other in pairs)

    def statistics(
        self, golds: Sequence[Sequence[Sequence[str]]], answers: Sequence[Sequence[str]]
    ) -> Statistics:
        """Sums over sequences that both error rates are functions of."""
        rows = []
        for gold, answer in zip(golds, answers, strict=True):
            edits, reference = closest_reference(gold, answer)
            rows.append((edits, len(reference), edits > 0, 1))
        return Statistics(np.array(rows, np.int64).reshape(-1, 4), _measures)

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted.

        Returns:
            ``token_error_rate``; ``sequence_error_rate``: the share of answers that equal none of
            their references; ``substitutions``, ``insertions``, ``deletions``: how an answer
            differs from the closest reference, see `alignment`; ``reference_tokens``, the symbols
            of the closest references; ``confusion[symbol][answer]``, where an empty string stands
            for none; ``worst``: the answers of most edits, each ``gold`` and ``predicted`` as texts
            and ``edits``; ``unknown_labels``; ``references`` in all, ``several_references``:
            sequences that have more than one; ``sequences``.
        """
        inserted = sum(n for (gold, _), n in self._pairs.items() if not gold)
        deleted = sum(n for (_, said), n in self._pairs.items() if not said)
        length = sum(self._pairs.values()) - inserted
        edits = self._wrong.total()
        confusion: dict[str, dict[str, int]] = {}
        for (gold, said), count in sorted(self._pairs.items()):
            confusion.setdefault(gold, {})[said] = count
        return {
            "token_error_rate": edits / max(1, length),
            "sequence_error_rate": len(self._wrong) / max(1, len(self._answers)),
            "substitutions": edits - inserted - deleted,
            "insertions": inserted,
            "deletions": deleted,
            "reference_tokens": length,
            "confusion": confusion,
            "worst": [
                {
                    "gold": self._separator.join(self._closest[number]),
                    "predicted": self._separator.join(self._answers[number]),
                    "edits": count,
                }
                for number, count in self._wrong.most_common(WORST)
            ],
            "unknown_labels": self._unknown(),
            "references": sum(map(len, self._references)),
            "several_references": sum(len(each) > 1 for each in self._references),
            "sequences": len(self._answers),
        }

    def overlap(self) -> dict[str, float]:
        """BLEU and chrF of all that was counted, against all references, by sacrebleu.

        They take longer than all other scores together, and are no part of `result`.

        Returns:
            ``bleu``: of the symbols, up to four in a row, or up to as many as the longest answer
            has where that is fewer (sacrebleu's effective order); ``chrf``: of the characters of
            the answers as texts, white space left out. Both from 0 to 100, as they are published.

        Raises:
            MissingExtra: sacrebleu is not installed.

        Source: Papineni et al. 2002, BLEU; Popović 2015, chrF; Post 2018, sacreBLEU.

        Example:
            >>> scorer = SequenceScorer()
            >>> scorer.update([list("abcde")], list("abcde"))
            >>> scorer.overlap()
            {'bleu': 100.0, 'chrf': 100.0}
        """
        metrics: Any = require("sacrebleu.metrics", extra="metrics")
        if not self._answers:
            return {"bleu": 0.0, "chrf": 0.0}
        numbers: dict[str, str] = {}

        # BLEU knows words by the spaces between them, which symbols may hold.
        def numbered(symbols: tuple[str, ...]) -> str:
            return " ".join(numbers.setdefault(each, str(len(numbers))) for each in symbols)

        found = {}
        for name, measure, text in (
            ("bleu", metrics.BLEU(tokenize="none", force=True, effective_order=True), numbered),
            ("chrf", metrics.CHRF(), self._separator.join),
        ):
            most = max(map(len, self._references))
            references = [
                [text(each[at]) if at < len(each) else None for each in self._references]
                for at in range(most)
            ]
            score = measure.corpus_score(list(map(text, self._answers)), references).score
            found[name] = round(float(score), 10)
        return found

    def _unknown(self) -> dict[str, int]:
        """Symbols of references that the model does not know, each with its count."""
        if not self._symbols:
            return {}
        counts = Counter(
            symbol for each in self._references for reference in each for symbol in reference
        )
        return {symbol: n for symbol, n in counts.items() if symbol not in self._symbols}


def closest_reference(
    references: Sequence[Sequence[str]], answer: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """The fewest edits from a reference to an answer, and that reference.

    Of several the longest, then the first.

    Example:
        >>> closest_reference(["cat", "cats"], "hats")
        (1, ('c', 'a', 't', 's'))
    """
    distances = [edit_distance(reference, answer) for reference in references]
    closest = min(range(len(references)), key=lambda at: (distances[at], -len(references[at])))
    return distances[closest], tuple(references[closest])


def _measures(sums: Array) -> dict[str, Array]:
    """Scores from the sums of `SequenceScorer.statistics`, (R, 4)."""
    edits, length, wrong, count = sums.T
    return {
        "token_error_rate": edits / np.maximum(1, length),
        "sequence_error_rate": wrong / np.maximum(1, count),
    }
