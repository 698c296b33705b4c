"""Answers of one model or two to labelled examples: how sure scores are, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import DataError, Tell, UsageError, log_notice
from birnn.metrics import Statistics
from birnn.metrics.resampling import LEVEL, RESAMPLES, difference_intervals, intervals
from birnn.metrics.significance import (
    PairedTest,
    drawn_permutation,
    mcnemar,
    paired_permutation,
)
from birnn.runtime import Predictor, Search
from birnn.tasks import Head
from birnn.tasks.errors import AnswerError

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model answered to labelled examples; `answers` gives one.

    Args:
        head: The head of the model.
        scores: What `birnn.runtime.Predictor.evaluate` gives.
        statistics: The same scores as a function of sums over sequences.
        faults: How wrong each answer is, see `birnn.tasks.Head.faults`.
        errors: Each error with its context, in the order of the examples.
    """

    head: Head
    scores: dict[str, Any]
    statistics: Statistics
    faults: list[npt.NDArray[Any]]
    errors: list[AnswerError]

    def intervals(
        self, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 1
    ) -> dict[str, Interval]:
        """Confidence intervals of the scores, by the bootstrap over sequences.

        Args:
            level: Share of the resamples that lie in an interval.
            resamples: How many are drawn.
            seed: One seed gives the same intervals.

        Raises:
            UsageError: A level that is no share.
        """
        return intervals(self.statistics, level=level, resamples=resamples, seed=seed)

    def worst(self, count: int | None = None) -> list[AnswerError]:
        """The errors, the worst first: those that the model was surest of, or farthest off with."""
        return sorted(self.errors, key=lambda error: -error.size)[:count]


def answers(
    model: Predictor,
    examples: str | Path | Iterable[Any],
    *,
    search: Search | None = None,
    errors: bool = True,
    tell: Tell = log_notice,
    **reading: Any,
) -> Answers:
    """Ask a model for labelled examples, and keep what it takes to judge its answers.

    Args:
        model: The model.
        examples: As for `Predictor.evaluate`.
        search: As for `Predictor.evaluate`.
        errors: Whether errors are collected: what is wrong is then asked for once more, for its
            probabilities.
        tell: As for `Predictor.evaluate`.
        reading: As for `Predictor.evaluate`.

    Raises:
        DataError: As `Predictor.evaluate` does.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=2, dim=1), encoder=Encoder(), head=Tags(size=2))
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A"), "labels": ("coil", "helix")}
        >>> model = Predictor(Bundle(spec, vocabularies, tensors))
        >>> found = answers(model, [("AAA", ["coil", "helix", "coil"])])
        >>> [error] = found.errors
        >>> error.before, error.text, error.gold, error.predicted, error.probability
        (('A',), 'A', 'helix', 'coil', 0.5)
        >>> found.intervals()["f1"] == (found.scores["f1"],) * 2  # of a single sequence
        True
    """
    head = model.spec.head
    evaluation = model.evaluation(examples, search=search, tell=tell, **reading)
    golds, counted, faults = [], [], []
    found: list[AnswerError] = []
    for window in evaluation.windows():
        of_window = [head.faults(each.gold, each.counted) for each in window]
        golds += [each.gold for each in window]
        counted += [each.counted for each in window]
        faults += of_window
        wrong = [each for each, fault in zip(window, of_window, strict=True) if fault.any()]
        if errors and wrong:
            scored = model.scored([each.steps for each in wrong], search=search)
            for each, scores in zip(wrong, scored, strict=True):
                found += head.errors(each.example, each.gold, scores, model.labels)
    statistics = evaluation.scorer.statistics(golds, counted)
    return Answers(head, evaluation.result(), statistics, faults, found)


@dataclass(frozen=True, slots=True, eq=False)
class PairedAnswers:
    """What two models answered to the same examples; `paired` gives one.

    Args:
        first: Of one model.
        second: Of the other.
        test: Whether they differ by more than chance.
    """

    first: Answers
    second: Answers
    test: PairedTest

    @property
    def questions(self) -> int:
        """How many questions the test is of: steps, gaps, labels or sequences."""
        if self.first.head.paired_by == "questions":
            return sum(map(len, self.first.faults))
        return len(self.first.faults)

    def differences(self) -> dict[str, float]:
        """What the second's scores exceed the first's by."""
        second = self.second.statistics.scores()
        return {
            name: second[name] - score
            for name, score in self.first.statistics.scores().items()
            if name in second
        }

    def intervals(
        self, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 1
    ) -> dict[str, Interval]:
        """Confidence intervals of `differences`, both models on the same resamples.

        Args:
            level: As for `Answers.intervals`.
            resamples: As for `Answers.intervals`.
            seed: As for `Answers.intervals`.
        """
        return difference_intervals(
            self.first.statistics,
            self.second.statistics,
            level=level,
            resamples=resamples,
            seed=seed,
        )

    def apart(self) -> Iterator[tuple[int, AnswerError]]:
        """The errors that one alone makes, each with the number of the model, 0 or 1.

        Where both err, and in other ways, both errors are among them.
        """
        sides = [
            {_key(error): error for error in each.errors} for each in (self.first, self.second)
        ]
        for number, side in enumerate(sides):
            for key, error in side.items():
                if key not in sides[1 - number]:
                    yield number, error


def _key(error: AnswerError) -> tuple[Any, ...]:
    asked = error.where, error.kind, error.before, error.text, error.after
    return *asked, str(error.gold), str(error.predicted)


def paired(
    first: Predictor,
    second: Predictor,
    examples: str | Path | Iterable[Any],
    *,
    search: Search | None = None,
    errors: bool = True,
    tell: Tell = log_notice,
    **reading: Any,
) -> PairedAnswers:
    """Ask two models of one task for the same labelled examples.

    McNemar's exact test is of answers that are right or wrong: labels, tags, words of gaps. Wrong
    spans and edits are numbers for each sequence, whose exact test is that of permutations; squared
    errors of values are real numbers, whose permutations are drawn.

    Args:
        first: One model.
        second: The other.
        examples: As for `Predictor.evaluate`; each model reads a file as its own training did.
        search: As for `Predictor.evaluate`.
        errors: As for `answers`.
        tell: As for `Predictor.evaluate`.
        reading: As for `Predictor.evaluate`.

    Raises:
        UsageError: Models of two tasks, or one of spans and one of single tags.
        DataError: As `Predictor.evaluate` does; or examples that the two read as other sequences.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=2, dim=1), encoder=Encoder(), head=Tags(size=2))
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A"), "labels": ("coil", "helix")}
        >>> model = Predictor(Bundle(spec, vocabularies, tensors))
        >>> found = paired(model, model, [("AAA", ["coil", "helix", "coil"])])
        >>> found.questions, found.test.significant, found.differences()["accuracy"]
        (3, False, 0.0)
    """
    heads = first.spec.head, second.spec.head
    if heads[0].task != heads[1].task:
        raise UsageError(
            f"one model is a {heads[0].task}, the other a {heads[1].task}: their answers cannot be "
            "held against each other. Give two of one task."
        )
    if heads[0].paired_by != heads[1].paired_by:
        raise UsageError(
            "one model marks spans, the other single tags: their errors are counted in two ways. "
            "Give two that are scored alike."
        )
    given = examples if isinstance(examples, str | Path) else list(examples)
    how: dict[str, Any] = {"search": search, "errors": errors, **reading}
    one, other = (answers(model, given, tell=tell, **how) for model in (first, second))
    sizes = [list(map(len, each.faults)) for each in (one, other)]
    if sizes[0] != sizes[1]:
        raise DataError(
            f"the models read the examples as other questions, {sum(sizes[0]):,} and "
            f"{sum(sizes[1]):,}: they split texts or count labels in two ways. Say how the file is "
            "read: --tokens or --text."
        )
    return PairedAnswers(one, other, _test(one, other))


def _test(one: Answers, other: Answers) -> PairedTest:
    faults = [np.concatenate([np.zeros(0), *each.faults]) for each in (one, other)]
    if one.head.paired_by == "questions":
        return mcnemar(*(each == 0 for each in faults))
    if one.head.paired_by == "counts":
        return paired_permutation(*(each.astype(np.int64) for each in faults))
    return drawn_permutation(*faults)
