"""The head that answers with sequences, at work: a search for targets."""

# B sources, V symbols

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from birnn.data.conversion import described
from birnn.errors import DataError, UsageError, nearest
from birnn.reference.bidirectional import Outcome
from birnn.reference.stack import Stack
from birnn.runtime.beam import Target, search
from birnn.runtime.decoder import DecoderLayers
from birnn.runtime.forced import score_targets
from birnn.runtime.heads import Answering, Tensors, Vocabularies
from birnn.runtime.search import Hypothesis, Search, checked
from birnn.tasks.annotated import Scores
from birnn.tasks.seq2seq import TargetSequence

# Hypotheses that go through the decoder together, and the most scores of their next symbols.
HYPOTHESES = 1024
SCORES = 1 << 22
NAMED = 5  # cut answers that a notice names


class CutAnswers:
    """Which answers did not end within the most symbols allowed.

    Args:
        search: Settings of the search.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._answers = self._count = 0
        self._first: list[tuple[int, int]] = []  # numbers, lengths of the answers

    def count(self, numbers: Sequence[int], best: Sequence[Target]) -> None:
        """Count the best targets of sequences with these numbers."""
        cut = [(n, len(t.symbols)) for n, t in zip(numbers, best, strict=True) if not t.ended]
        self._answers += len(best)
        self._count += len(cut)
        self._first = sorted([*self._first, *cut])[:NAMED]

    def notice(self) -> str | None:
        """How many there are, and which, in one line; None where there is none."""
        if not self._count:
            return None
        named = ", ".join(str(number) for number, _ in self._first)
        others = f" and {self._count - NAMED:,} more" if self._count > NAMED else ""
        whose = "model" if self._search.longest is None else "search"
        return (
            f"{self._count:,} of {self._answers:,} answers did not end within the most symbols "
            f"that the {whose} allows, and were cut: of sequence {named}{others} (counted from 0), "
            f"the first after {self._first[0][1]:,} symbols. `ended` is false of them in --json "
            "and predict_nbest. Another bound: --longest N (Search(longest=N) in Python)."
        )


class SequenceHead:
    """The target symbols that a search finds.

    Args:
        head: Its description.
        stack: The encoder.
        tensors: Tensors of the model.
        vocabularies: Vocabularies of the model.
    """

    def __init__(
        self,
        head: TargetSequence,
        stack: Stack,
        tensors: Tensors,
        vocabularies: Vocabularies,
    ) -> None:
        self._head = head
        self._symbols = tuple(vocabularies["targets"])
        self._numbers = {symbol: i for i, symbol in enumerate(self._symbols) if i}
        self._layers = DecoderLayers(head, stack, tensors)

    def answers(self, search: Search | None) -> Answering:
        """The symbols of the best target, a list."""
        found = self.hypotheses(search, attention=False)

        def decode(encoded: Outcome, batch: Sequence[int]) -> list[Any]:
            return [list(nbest[0].symbols) for nbest in found.decode(encoded, batch)]

        return replace(found, decode=decode)

    def hypotheses(self, search: Search | None, *, attention: bool) -> Answering:
        """The n best targets."""
        settings = checked(search)
        cut = CutAnswers(settings)

        def decode(encoded: Outcome, batch: Sequence[int]) -> list[Any]:
            found = self._search(encoded, settings, attention=attention)
            cut.count(batch, [nbest[0] for nbest in found])
            return [[self._named(target) for target in nbest] for nbest in found]

        return Answering(decode, self._sources(settings.beam), notice=cut.notice)

    def annotations(self, top: int | None) -> Answering:
        """The best target, and the n best."""
        best = top or 1
        found = self.hypotheses(Search(beam=max(Search().beam, best), nbest=best), attention=False)

        def decode(encoded: Outcome, batch: Sequence[int]) -> list[Any]:
            each = found.decode(encoded, batch)
            return [Scores(list(nbest[0].symbols), nbest) for nbest in each]

        return replace(found, decode=decode)

    def given_targets(
        self, targets: Sequence[Any], search: Search | None, *, attention: bool
    ) -> Answering:
        """Targets with their log-probabilities."""
        settings = checked(search)
        one = len(targets) == 1
        numbers = [
            self._numbered(target, "" if one else f"target {i}") for i, target in enumerate(targets)
        ]

        def decode(encoded: Outcome, batch: Sequence[int]) -> list[Any]:
            own = [numbers[i] for i in batch]
            found = score_targets(self._layers, encoded, own, settings, attention=attention)
            return list(map(self._named, found))

        return Answering(decode, self._sources(1))

    def _numbered(self, target: Any, where: str) -> npt.NDArray[np.int64]:
        """The numbers of a target's symbols."""
        if not isinstance(target, list | tuple):
            raise DataError(
                f"{where or 'the target'} is {described(target)}. Give a list of its symbols."
            )
        unknown = [s for s in target if not isinstance(s, str) or s not in self._numbers]
        if unknown:
            place = f"{where}: " if where else ""
            raise DataError(
                f"{place}{unknown[0]!r} is no symbol that this model writes: "
                f"{nearest(str(unknown[0]), self._numbers)}"
            )
        return np.array([self._numbers[symbol] for symbol in target], np.int64)

    def probabilities(self, *, with_answers: bool) -> Answering:
        """Refused: log-probabilities are those of whole targets and their steps."""
        del with_answers
        self._refuse("probabilities of labels", "predict_nbest or score_targets")

    def scores(self) -> Answering:
        """Refused: the scores of a step hang on the symbols before it."""
        self._refuse("scores before they are decoded", "predict_nbest or score_targets")

    def decode(self, scores: Sequence[npt.NDArray[Any]]) -> list[Any]:
        """Refused, as `scores`."""
        del scores
        self._refuse("scores before they are decoded", "predict")

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise UsageError(f"a {self._head.task} has no {what}. Call {instead}.")

    def _sources(self, beam: int) -> int:
        """Sources that are answered together, where each has so many hypotheses."""
        return max(1, min(HYPOTHESES, SCORES // self._head.size) // beam)

    def _search(self, encoded: Outcome, settings: Search, *, attention: bool) -> list[list[Target]]:
        lengths = encoded.output.lengths
        longest = self._head.longest_answers(lengths)
        if settings.longest is not None:
            longest = np.full_like(lengths, settings.longest)
        return search(self._layers, encoded, settings, longest, attention=attention)

    def _named(self, target: Target) -> Hypothesis:
        return Hypothesis(
            tuple(self._symbols[number] for number in target.symbols.tolist()),
            target.score,
            target.log_probability,
            tuple(target.log_probabilities.tolist()),
            target.ended,
            target.attention,
        )
