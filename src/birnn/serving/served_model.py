"""A model behind the server: what it is, and how it answers the questions of a batch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from birnn.errors import DataError
from birnn.runtime import Predictor, decisions
from birnn.runtime.annotation import Annotation
from birnn.serving.batching import Job
from birnn.serving.limits import Limits
from birnn.serving.schemas import Question, as_json

MANY = ("texts", "sequences")  # fields with several sequences


class ServedModel:
    """A model and its name.

    Args:
        name: Its name in requests.
        predictor: The model.
        limits: What may be asked of it.
        count: Called with the tokens of each batch.
    """

    def __init__(
        self, name: str, predictor: Predictor, limits: Limits, count: Callable[[str, int], None]
    ) -> None:
        self.name, self._predictor, self._limits, self._count = name, predictor, limits, count

    @property
    def ranks(self) -> bool:
        """Whether it ranks answers, so that the best can be asked for."""
        return self._predictor.spec.head.ranks

    @property
    def holds(self) -> str:
        """What its sequences hold: tokens or vectors."""
        return "vectors" if self._predictor.spec.inputs.holds == "vectors" else "tokens"

    @property
    def channels(self) -> int:
        """Numbers of a step, of a model of vectors."""
        return self._predictor.spec.inputs.size

    def description(self) -> dict[str, Any]:
        """What it is, for ``GET /model``."""
        spec, predictor = self._predictor.spec, self._predictor
        return {
            "name": self.name,
            "task": spec.task,
            "gives": spec.head.gives,
            "inputs": spec.inputs.kind,
            "holds": self.holds,
            "labels": list(predictor.labels),
            "per_step": spec.head.per_step,
            "ranks": self.ranks,
            "directions": spec.stack.directions_of(-1),
            "parameters": spec.parameter_count(),
            "precision": spec.precision,
            "metrics": predictor.metrics,
        }

    def predict(self, question: Question) -> Job:
        """The job of a prediction."""
        name, given = question.given()
        many = name in MANY
        sequences = given if many else [given]
        top = getattr(question, "top", None)

        def answer(asked: Sequence[Any], first: int) -> list[bytes]:
            return [as_json(found.record()) for found in self._annotated(asked, top, first)]

        def whole(answers: Sequence[bytes]) -> bytes:
            begin = b'{"model":%b,"answer%b":' % (as_json(self.name), b"s" if many else b"")
            joined = b",".join(answers)
            return begin + (b"[%b]}" % joined if many else b"%b}" % joined)

        kind = ("predict", self.name, name in ("text", "texts"), top)
        return Job(kind, answer, sequences, list(map(_size, sequences)), whole)

    def explain(self, question: Question) -> Job:
        """The job of an explanation."""
        _, given = question.given()

        def answer(asked: Sequence[Any], first: int) -> list[bytes]:
            del first
            return [as_json(self._explained(one)) for one in asked]

        # Alone in its batch, since it takes as long as many predictions.
        size = self._limits.batch_characters
        return Job(("explain", self.name), answer, [given], [size], b"".join)

    def _annotated(
        self, sequences: Sequence[Any], top: int | None, first: int = 0
    ) -> list[Annotation]:
        """Annotations of the sequences of one or more requests.

        Args:
            sequences: The sequences.
            top: How many of the best answers are given.
            first: Number of the first in its request, for messages.

        Raises:
            DataError: A sequence that the model cannot read, or one too long.
            UsageError: ``top``, and a model that does not rank.
        """
        for number, sequence in enumerate(sequences):
            # A text has no more tokens than characters: most need not be split to be counted.
            if isinstance(sequence, str) and len(sequence) > self._limits.tokens:
                self._check_length(len(self._predictor.tokens(sequence)), first + number)
        try:
            found = self._predictor.annotate(sequences, top=top)
        except DataError as error:
            raise DataError(_renumbered(str(error), first)) from None
        steps = (
            sum(len(one.tokens) for one in found)
            if self.holds == "tokens"
            else sum(map(len, sequences))
        )
        self._count(self.name, steps)
        return found

    def _check_length(self, tokens: int, number: int) -> None:
        if tokens > self._limits.tokens:
            raise DataError(
                f"sequence {number} has {tokens:,} tokens, and this server takes at most "
                f"{self._limits.tokens:,}. Cut it."
            )

    def _explained(self, given: Any) -> dict[str, Any]:
        """An answer, and which half decided it at each word."""
        [found] = self._annotated([given], None)
        steps = len(found.tokens) if self.holds == "tokens" else len(given)
        if steps > self._limits.explained_tokens:
            unit = "tokens" if self.holds == "tokens" else "steps"
            raise DataError(
                f"the sequence has {steps:,} {unit}, and this server explains at most "
                f"{self._limits.explained_tokens:,}. Cut it."
            )
        decided = decisions(self._predictor, given)
        words = [
            {"text": token.text, "start": token.start, "end": token.end} for token in found.tokens
        ] or [{"text": str(step), "start": None, "end": None} for step in range(1, steps + 1)]
        nothing = dict.fromkeys(("forward", "backward", "both", "balance"))
        return {
            "model": self.name,
            "answer": found.record(),
            "measure": decided.measure,
            "words": [
                word | (nothing if decision is None else decision.record())
                for word, decision in zip(words, decided.steps, strict=True)
            ],
            "whole": None if decided.whole is None else decided.whole.record(),
            "own_means": decided.own_means,
        }


def _size(sequence: Any) -> int:
    """Characters of a text or of tokens, numbers of vectors: about what they cost to answer."""
    return len(sequence) if isinstance(sequence, str) else sum(map(len, sequence))


def _renumbered(message: str, first: int) -> str:
    """A message about one of a part of the sequences, by its number among all.

    Example:
        >>> _renumbered("sequence 2: step 7 is no token", 64)
        'sequence 66: step 7 is no token'
    """
    return re.sub(
        r"^sequence (\d+)", lambda found: f"sequence {int(found[1]) + first}", message, count=1
    )
