"""What an evaluation asks of a task: questions, right answers, their scorer, and errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from birnn.data.examples import Example
from birnn.errors import DataError, Tell
from birnn.metrics.resampling import Statistics
from birnn.tasks.annotated import Scores
from birnn.tasks.errors import AnswerError, shown, text_of

Array = npt.NDArray[Any]


class Scorer(Protocol):
    """Counts answers and scores them, see `birnn.metrics`."""

    directions: ClassVar[Mapping[str, bool]]
    """The scores that weights may be chosen by, and whether higher is better."""

    def update(self, gold: Any, predicted: Any) -> None:
        """Count one sequence."""

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted."""

    def statistics(self, golds: Sequence[Any], answers: Sequence[Any]) -> Statistics:
        """Scores of sequences as a function of sums over them, whatever was counted before.

        Args:
            golds: Right answers, as `update` takes them.
            answers: The answers to these.
        """


class Evaluated(ABC):
    """The half of `birnn.tasks.Head` that compares answers with labelled examples."""

    key: ClassVar[str]
    """The answer's key in a JSON line of `birnn predict`."""
    counts_answers: ClassVar[bool] = True
    """Whether what the scorer counts of a sequence is its answer itself."""

    @abstractmethod
    def check_target(self, example: Example, where: str) -> Any:
        """Validate and return the target of an example.

        Args:
            example: The example; its target is not None.
            where: Its name in messages.

        Raises:
            DataError: A target of another kind or size.
        """

    def question(self, example: Example, number: int) -> Example:
        """An example of an evaluation as it is asked, with what is then the right answer.

        Args:
            example: As it was read.
            number: Its number in the evaluation, from 0 on.
        """
        del number
        return example

    @abstractmethod
    def scorer(self, labels: Sequence[str]) -> Scorer:
        """An empty scorer of its answers."""

    def overlap(self, scorer: Any, tell: Tell) -> dict[str, float]:
        """Scores that take too long for every epoch, of a scorer that has counted all answers.

        Args:
            scorer: What `scorer` gave.
            tell: Takes a notice where something is missing that they need.
        """
        del scorer, tell
        return {}

    def golds(self, labels: Sequence[str], tell: Tell) -> Callable[[Example, int], Any]:
        """A function from an example and its number to the target that its answer is compared with.

        Args:
            labels: The labels of the model.
            tell: Takes one notice if targets are converted before the comparison.
        """
        del labels, tell

        def gold(example: Example, number: int) -> Any:
            where = example.where or f"example {number}"
            if example.target is None:
                raise DataError(f"{where}: it has no target. Evaluation needs labelled data.")
            return self.check_target(example, where)

        return gold

    def faults(self, gold: Any, counted: Any) -> Array:
        """How wrong an answer is, for each question that it answers; 0 where it is right.

        Args:
            gold: As `golds` gives it.
            counted: What the scorer counts: the answer.

        Returns:
            0 or 1 of each question (a step, a gap, a label) where `paired_by` is ``questions``,
            else one number of the sequence, (1,).
        """
        return np.array([float(shown(gold) != shown(counted))])

    @property
    def paired_by(self) -> Literal["questions", "counts", "numbers"]:
        """What two models are compared by: `faults` of questions, counts or real numbers."""
        return "questions"

    def errors(
        self, example: Example, gold: Any, scores: Scores, labels: Sequence[str]
    ) -> list[AnswerError]:
        """The errors of a wrong answer, each with its context; by default the answer as a whole.

        Args:
            example: The example that was answered.
            gold: As `golds` gives it.
            scores: The answer and how sure it is.
            labels: The labels by number.
        """
        del labels
        return [
            AnswerError(
                where=example.where,
                kind=self.key,
                text=text_of(example),
                gold=shown(gold),
                predicted=shown(scores.answer),
            )
        ]

    def right_answer(self, gold: Any) -> Any:
        """An answer that fits what `golds` gave."""
        return gold
