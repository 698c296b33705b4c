"""The head that answers with sequences, at work: a search for targets."""

# B sources, V symbols

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from birnn.data.conversion import described
from birnn.errors import DataError, Tell, UsageError, nearest
from birnn.reference.bidirectional import Outcome
from birnn.reference.stack import Stack
from birnn.runtime.beam import Target, search
from birnn.runtime.decoder import DecoderLayers
from birnn.runtime.forced import score_targets
from birnn.runtime.heads import Answering, Tensors, Vocabularies
from birnn.runtime.search import Hypothesis, Search, checked
from birnn.tasks.seq2seq import TargetSequence

# Hypotheses that go through the decoder together, and the most scores of their next symbols.
HYPOTHESES = 1024
SCORES = 1 << 22


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

    def answers(self, search: Search | None, tell: Tell) -> Answering:
        """The symbols of the best target, a list."""
        found = self.hypotheses(search, tell, attention=False)

        def decode(encoded: Outcome, batch: Sequence[int]) -> list[Any]:
            return [list(nbest[0].symbols) for nbest in found.decode(encoded, batch)]

        return Answering(decode, found.sequences)

    def hypotheses(self, search: Search | None, tell: Tell, *, attention: bool) -> Answering:
        """The n best targets."""
        settings = checked(search)
        told = False

        def decode(encoded: Outcome, batch: Sequence[int]) -> list[Any]:
            nonlocal told
            del batch
            found = self._search(encoded, settings, attention=attention)
            if not told and not all(nbest[0].ended for nbest in found):
                told = True
                tell(self._cut(encoded, found, settings))
            return [[self._named(target) for target in nbest] for nbest in found]

        return Answering(decode, self._sources(settings.beam))

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

    def _cut(self, encoded: Outcome, found: list[list[Target]], settings: Search) -> str:
        """The notice that an answer reached the bound."""
        source = next(i for i, nbest in enumerate(found) if not nbest[0].ended)
        steps, symbols = int(encoded.output.lengths[source]), len(found[source][0].symbols)
        whose = "the search" if settings.longest is not None else "the model"
        return (
            f"an answer to a source of {steps:,} steps did not end within {symbols:,} symbols, the "
            f"most that {whose} allows, and is cut there: `ended` is false of such answers. "
            "Search(longest=) sets another bound."
        )

    def _named(self, target: Target) -> Hypothesis:
        return Hypothesis(
            tuple(self._symbols[number] for number in target.symbols.tolist()),
            target.score,
            target.log_probability,
            tuple(target.log_probabilities.tolist()),
            target.ended,
            target.attention,
        )
