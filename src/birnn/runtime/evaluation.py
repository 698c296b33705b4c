"""Measures of a model on labelled examples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from birnn.data.batching import windows
from birnn.data.examples import Example
from birnn.data.pairs import grouped
from birnn.errors import DataError, Tell
from birnn.inputs import Steps
from birnn.runtime.batches import WINDOW, WINDOW_ROWS, BatchRunner
from birnn.runtime.heads import Answering
from birnn.tasks.head import Head


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """An example that was answered.

    Args:
        example: As it was asked.
        steps: Its validated sequence.
        gold: The right answer, as the task's `golds` gives it.
        counted: What the scorer counts: the answer.
    """

    example: Example
    steps: Steps
    gold: Any
    counted: Any


class Evaluation:
    """Answers to labelled examples, and their scores once all are answered.

    Args:
        examples: Examples with targets.
        head: The head of the model.
        labels: Its labels.
        runner: Answers.
        answering: How.
        validate: Validates the inputs of examples, of which the first has the number given.
        tell: Takes each notice, one line.
    """

    def __init__(
        self,
        examples: Iterable[Example],
        head: Head,
        labels: Sequence[str],
        runner: BatchRunner,
        answering: Answering,
        validate: Callable[[Iterable[Any], int], Iterator[Steps]],
        tell: Tell,
    ) -> None:
        self.scorer = head.scorer(labels)
        self._examples, self._head, self._tell = examples, head, tell
        self._gold = head.golds(labels, tell)
        self._runner, self._answering, self._validate = runner, answering, validate
        self._sequences = self._empty = self._tokens = 0
        self._seconds = 0.0

    def windows(self) -> Iterator[list[Counted]]:
        """Answer all, some at a time; each is scored when it is given.

        Raises:
            DataError: No example, or one without a target or with a target of another kind.
        """
        head = self._head
        examples = grouped(self._examples, head.target, self._tell)
        examples = (head.question(example, number) for number, example in enumerate(examples))
        for window in windows(examples, tokens=WINDOW_ROWS, sequences=WINDOW):
            first = self._sequences
            golds = [self._gold(example, first + i) for i, example in enumerate(window)]
            inputs = list(self._validate((example.inputs for example in window), first))
            if not first:
                self._runner.notice(inputs, self._tell)
            started = time.perf_counter()
            answers = self._runner.run(inputs, self._answering, golds, first=first)
            self._seconds += time.perf_counter() - started
            for gold, answer in zip(golds, answers, strict=True):
                self.scorer.update(gold, answer)
            self._sequences += len(window)
            self._empty += sum(len(example) == 0 for example in window)
            self._tokens += sum(map(len, window))
            yield list(map(Counted, window, inputs, golds, answers))
        if not self._sequences:
            raise DataError("no example to evaluate on. Give at least one.")
        self._runner.notice_answers(self._answering, self._tell)

    def result(self) -> dict[str, Any]:
        """The measures that `Predictor.evaluate` gives, of all that `windows` answered."""
        seconds, tokens = self._seconds, self._tokens
        return (
            self.scorer.result()
            | self._head.overlap(self.scorer, self._tell)
            | {
                "sequences": self._sequences,
                "empty_sequences": self._empty,
                "tokens": tokens,
                "seconds": seconds,
                "tokens_per_second": tokens / seconds if seconds > 0 else 0.0,
            }
        )
