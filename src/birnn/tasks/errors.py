"""Errors of answers, each with its context: what was right, what was said, and how surely."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from birnn.data.examples import Example
from birnn.data.schemes import SchemeName, Span, spans
from birnn.tasks.annotated import Array, ScoredSpan, probability_of

CONTEXT = 5  # tokens on each side
DIGITS = 6  # of a number in a record


@dataclass(frozen=True, slots=True)
class AnswerError:
    """One error of an answer.

    Args:
        where: ``file:line`` of it; empty where the example has no place.
        kind: What it is of: ``tag``, ``label``, ``labels``, ``values``, ``target``, ``word``; of a
            span or one of several labels ``missed`` or ``spurious``, of a span also ``type`` (right
            steps, wrong type), ``boundary`` (wrong steps, right type) or ``type and boundary``.
        text: The token or tokens that it is about, or the whole text.
        gold: What was right.
        predicted: What was said; empty where a span was missed.
        before: Tokens before it.
        after: Tokens after it.
        probability: Of what was said, where the task has probabilities.
        gold_probability: Of what was right, likewise.
        size: How bad it is, by which errors of one task are ranked: how sure the model was, or how
            far away its answer is.
    """

    where: str
    kind: str
    text: str
    gold: Any
    predicted: Any
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    probability: float | None = None
    gold_probability: float | None = None
    size: float = 1.0

    def record(self) -> dict[str, Any]:
        """The error as a JSON object.

        Example:
            >>> error = AnswerError("f:3", "tag", "bank", "NOUN", "VERB", ("the",), size=0.75)
            >>> record = error.record()
            >>> record["before"], record["probability"], record["size"]
            (['the'], None, 0.75)
        """
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def cells(self) -> list[str]:
        """The fields of `record` as cells of a table: tokens joined by blanks, None as nothing."""
        return [_cell(value) for value in self.record().values()]

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the cells."""
        return [field.name for field in fields(cls)]


def text_of(example: Example) -> str:
    """What an example reads, as one text; empty of vectors."""
    if example.text is not None:
        return example.text
    if isinstance(example.inputs, np.ndarray):
        return example.id or ""
    single = all(len(token) == 1 for token in example.inputs)
    return ("" if single else " ").join(example.inputs)


def shown(answer: Any) -> Any:
    """An answer as a record has it: lists for tuples and arrays."""
    if isinstance(answer, np.ndarray):
        return answer.tolist()
    return list(answer) if isinstance(answer, tuple | list) else answer


def around(example: Example, start: int, stop: int) -> dict[str, Any]:
    """Place, text and context of some steps, as fields of an `AnswerError`.

    Example:
        >>> around(Example(("by", "the", "bank", "of"), where="f:1", lines=(1, 2, 3, 4)), 1, 3)
        {'where': 'f:2', 'text': 'the bank', 'before': ('by',), 'after': ('of',)}
    """
    tokens: Sequence[str] = example.inputs if isinstance(example.inputs, tuple) else ()
    text = " ".join(tokens[start:stop])
    if not tokens:
        text = f"step {start}" if stop == start + 1 else f"steps {start} to {stop - 1}"
    return {
        "where": example.place(start) if example.lines is not None else example.where,
        "text": text,
        "before": tuple(tokens[max(0, start - CONTEXT) : start]),
        "after": tuple(tokens[stop : stop + CONTEXT]),
    }


def step_errors(
    example: Example,
    kind: str,
    answers: Iterable[tuple[int, str, str, Array]],
    labels: Sequence[str],
) -> list[AnswerError]:
    """Errors of answers for single steps, with the tokens around them; the larger the surer.

    Args:
        example: The example that was answered.
        kind: What they are of.
        answers: A step, its right label, the label that was said, and the probabilities (L,).
        labels: The labels by number.

    Example:
        >>> example = Example(("the", "bank"), where="f:2")
        >>> row = np.array([0.25, 0.75])
        >>> answers = [(0, "DET", "DET", row), (1, "NOUN", "VERB", row)]
        >>> [error] = step_errors(example, "tag", answers, ["NOUN", "VERB"])
        >>> error.text, error.before, error.gold_probability, error.size
        ('bank', ('the',), 0.25, 0.75)
    """
    found = []
    for step, gold, said, row_L in answers:
        if gold == said:
            continue
        sure = probability_of(said, row_L, labels)
        error = AnswerError(
            kind=kind,
            gold=gold,
            predicted=said,
            probability=sure,
            gold_probability=probability_of(gold, row_L, labels),
            size=sure or 0.0,
            **around(example, step, step + 1),
        )
        found.append(error)
    return found


def span_errors(
    example: Example,
    gold: Sequence[str],
    predicted: Sequence[str],
    scheme: SchemeName,
    scored: Sequence[ScoredSpan],
    sure: Sequence[float],
) -> Iterator[AnswerError]:
    """Errors of the spans that tags mark: each wrong span is paired with one that it overlaps.

    First with one of the same steps, then with one of the same type, then with any; what has no
    partner was missed, or is spurious.

    Args:
        example: The example that was answered.
        gold: Its tags.
        predicted: The tags of the answer.
        scheme: How tags mark spans.
        scored: The spans of the answer, with their probabilities.
        sure: Probability of each tag of the answer.
    """
    right, said = set(spans(gold, scheme)), set(spans(predicted, scheme))
    chances = {(span.start, span.stop, span.type): span.score for span in scored}
    left, spare = sorted(right - said), sorted(said - right)
    pairs: list[tuple[Span | None, Span | None, str]] = []
    for kind, fits in _KINDS.items():
        for one in list(left):
            other = next((each for each in spare if fits(one, each)), None)
            if other is not None:
                pairs.append((one, other, kind))
                left.remove(one)
                spare.remove(other)
    pairs += [(span, None, "missed") for span in left]
    pairs += [(None, span, "spurious") for span in spare]
    pairs.sort(key=lambda pair: pair[0] or pair[1] or ())
    for wanted, found, kind in pairs:
        first = min(span.start for span in (wanted, found) if span is not None)
        last = max(span.stop for span in (wanted, found) if span is not None)
        chance = None if found is None else chances.get((found.start, found.stop, found.type))
        yield AnswerError(
            kind=kind,
            gold=_named(example, wanted),
            predicted=_named(example, found),
            probability=chance,
            # Of a span that was missed: how sure the model was of the tags that it gave there.
            size=min(sure[first:last]) if chance is None else chance,
            **around(example, first, last),
        )


_KINDS: dict[str, Callable[[Span, Span], bool]] = {
    "type": lambda one, other: one[:2] == other[:2],
    "boundary": lambda one, other: one.type == other.type and _overlap(one, other),
    "type and boundary": lambda one, other: _overlap(one, other),
}


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.stop and other.start < one.stop


def _named(example: Example, span: Span | None) -> str:
    """A span as a record has it: its type and its tokens."""
    if span is None:
        return ""
    return f"{span.type}: {around(example, span.start, span.stop)['text']}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(_cell, value)) if isinstance(value, list) else str(value)
