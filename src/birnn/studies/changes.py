"""What another precision changes: scores and answers of one model, before and after."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birnn.data.examples import Example
from birnn.errors import Tell, log_notice, no_notice
from birnn.inputs import Steps
from birnn.report.parts import Table
from birnn.runtime import Predictor, Search
from birnn.studies.answer_tables import error_table
from birnn.studies.evaluation import headlines, measure_name
from birnn.tasks import Head
from birnn.tasks.errors import AnswerError, around, shown, text_of

SHOWN = 10  # answers that a table has


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What changed; `changes` gives one.

    Args:
        before: Scores before, as `birnn.runtime.Predictor.evaluate` gives them.
        after: Scores after.
        answers: How many answers there are: one for each step, gap or sequence, as the task has it.
        changed: Those that differ, in the order of the examples, numbers by how far they are apart:
            each as an error would be, with the answer before as ``gold`` and the answer after as
            ``predicted``.
        largest: The largest difference of a value; None where answers are no numbers.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    answers: int
    changed: list[AnswerError]
    largest: float | None

    def headlines(self) -> Iterator[tuple[str, float, float]]:
        """The name of each score that stands first, before and after."""
        for name in headlines(self.before):
            if self.after.get(name) is not None:
                yield name, float(self.before[name]), float(self.after[name])

    def record(self, data: str, before: str, after: str) -> dict[str, Any]:
        """What a model's metadata keep.

        Args:
            data: Name of the file that it was checked on.
            before: Name of the precision before.
            after: After.
        """
        scores = list(self.headlines())
        return {
            "file": data,
            **self._counts(),
            before: {name: value for name, value, _ in scores},
            after: {name: value for name, _, value in scores},
        }

    def to_dict(self, before: str, after: str) -> dict[str, Any]:
        """All scores and the answers that differ, as JSON values; arguments as of `record`."""
        return {
            **self._counts(),
            "scores": {before: self.before, after: self.after},
            "differing": [
                {
                    "where": each.where,
                    "text": each.text,
                    before: each.record()["gold"],
                    after: each.record()["predicted"],
                }
                for each in self.changed
            ],
        }

    def _counts(self) -> dict[str, Any]:
        counts: dict[str, Any] = {"answers": self.answers, "changed": len(self.changed)}
        return counts if self.largest is None else counts | {"largest_difference": self.largest}

    def tables(self, title: str, before: str, after: str) -> Iterator[Table]:
        """Scores side by side, and the first answers that differ.

        Args:
            title: Of the first table.
            before: Name of the precision before.
            after: After.
        """
        rows = [
            (measure_name(name, self.before), f"{one:.4f}", f"{other:.4f}", f"{other - one:+z.4f}")
            for name, one, other in self.headlines()
        ]
        yield Table(("measure", before, after, "difference"), rows, title)
        if self.changed:
            first = self.changed[:SHOWN]
            which = (
                f"first {len(first)}" if self.largest is None else f"{len(first)} farthest apart"
            )
            many = f"the {which} of " if len(first) < len(self.changed) else ""
            told = f"{many}{self.summary()}"
            yield error_table(first, title=told, answers=(before, after))

    def summary(self) -> str:
        """How many answers differ, of how many."""
        far = "" if self.largest is None else f", by {self.largest:.4g} at most"
        those = "answer that differs" if len(self.changed) == 1 else "answers that differ"
        return f"{len(self.changed):,} {those}, of {self.answers:,}{far}"


def changes(
    before: Predictor,
    after: Predictor,
    examples: str | Path | Iterable[Any],
    *,
    search: Search | None = None,
    tell: Tell = log_notice,
    **reading: Any,
) -> Changes:
    """Ask a model in two precisions for the same labelled examples.

    Args:
        before: The model.
        after: The same in another precision.
        examples: As for `Predictor.evaluate`.
        search: As for `Predictor.evaluate`.
        tell: As for `Predictor.evaluate`; of each notice once.
        reading: As for `Predictor.evaluate`.

    Raises:
        DataError: As `Predictor.evaluate` does.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=2, dim=1), encoder=Encoder(), head=Tags(size=2))
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A"), "labels": ("coil", "helix")}
        >>> model = Predictor(Bundle(spec, vocabularies, tensors))
        >>> found = changes(model, model, [("AAA", ["coil", "helix", "coil"])])
        >>> found.answers, found.changed, found.after["accuracy"] == found.before["accuracy"]
        (3, [], True)
    """
    given = examples if isinstance(examples, str | Path) else list(examples)
    asked, firsts, one = _answered(before, given, search, tell, reading)
    _, seconds, other = _answered(after, given, search, no_notice, reading)
    head, count, changed = before.spec.head, 0, []
    numbers = head.vocabulary is None
    for (example, steps), first, second in zip(asked, firsts, seconds, strict=True):
        for step, was, now in _single(head, steps, first, second):
            count += 1
            size = _apart(was, now, numbers=numbers)
            if size:
                where = _place(example) if step is None else around(example, step, step + 1)
                error = AnswerError(
                    kind=head.key, gold=shown(was), predicted=shown(now), size=size, **where
                )
                changed.append(error)
    if numbers:
        changed.sort(key=lambda each: -each.size)
    largest = max((each.size for each in changed), default=0.0) if numbers else None
    return Changes(one, other, count, changed, largest)


def _answered(
    model: Predictor, examples: Any, search: Search | None, tell: Tell, reading: dict[str, Any]
) -> tuple[list[tuple[Example, Steps]], list[Any], dict[str, Any]]:
    """What was asked, the answers, and their scores."""
    evaluation = model.evaluation(examples, search=search, tell=tell, **reading)
    asked: list[tuple[Example, Steps]] = []
    answers: list[Any] = []
    for window in evaluation.windows():
        asked += [(each.example, each.steps) for each in window]
        if model.spec.head.counts_answers:
            answers += [each.counted for each in window]
        else:
            scored = model.scored([each.steps for each in window], search=search)
            answers += [each.answer for each in scored]
    return asked, answers, evaluation.result()


def _single(
    head: Head, steps: Steps, first: Any, second: Any
) -> Iterable[tuple[int | None, Any, Any]]:
    """Each answer of a sequence, before and after, with its step; None where it has but one."""
    mask = head.asked([steps])
    if mask is not None:
        return zip(np.flatnonzero(mask).tolist(), first, second, strict=True)
    if head.per_step:
        return zip(range(len(steps)), first, second, strict=True)
    return [(None, first, second)]


def _place(example: Example) -> dict[str, Any]:
    return {"where": example.where, "text": text_of(example)}


def _apart(one: Any, other: Any, *, numbers: bool) -> float:
    """How far two answers are apart: of numbers the largest difference, else 1; 0 if alike."""
    if not numbers:
        return float(one != other)
    if np.array_equal(one, other, equal_nan=True):
        return 0.0
    far = float(np.max(np.abs(np.subtract(one, other))))
    return far if math.isfinite(far) else math.inf
