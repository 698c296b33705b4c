"""Answers with what they were read from: entities and tokens by character offsets, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from birnn.data.offsets import Offsets, joined_offsets
from birnn.inputs.kind import Steps
from birnn.tasks.annotated import AnswerParts, Scores
from birnn.tasks.head import Head

DIGITS = 6  # of a probability in a JSON object


@dataclass(frozen=True, slots=True)
class Entity:
    """A span of a text with its label.

    Args:
        text: What stands there, ``text[start:end]`` of the annotated text.
        label: Its label.
        start: Its first character in the text as it came in.
        end: The character after its last.
        score: The probability of exactly this span with this label: the sum over all tag
            sequences that mark it.
        first: Its first token.
        stop: The token after its last.
    """

    text: str
    label: str
    start: int
    end: int
    score: float
    first: int
    stop: int

    def record(self) -> dict[str, Any]:
        """The entity as a JSON object."""
        return {
            "text": self.text,
            "label": self.label,
            "start": self.start,
            "end": self.end,
            "score": round(self.score, DIGITS),
            "first": self.first,
            "stop": self.stop,
        }


@dataclass(frozen=True, slots=True)
class AnnotatedToken:
    """A token of a text.

    Args:
        text: What stands there, ``text[start:end]`` of the annotated text.
        start: Its first character in the text as it came in.
        end: The character after its last.
        tag: Its tag; None where the model gives none for each token.
        score: The probability of the tag at this token, whatever the other tags are.
    """

    text: str
    start: int
    end: int
    tag: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label of a whole text.

    Args:
        label: The label.
        score: Its probability.
    """

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a model says of one text.

    Args:
        text: The text as it came in; of a list of tokens these, joined; None of vectors.
        answer: What `Predictor.predict` gives.
        tokens: The tokens that were read, with their tags where the model gives some.
        entities: The spans that tags mark; none of a model whose tags mark no spans.
        labels: Labels of the whole text, the best first.
        fields: The fields of the answer in a JSON object.

    Example:
        >>> tokens = (AnnotatedToken("Ada", 0, 3, "B-PER", 0.9), AnnotatedToken("ran", 4, 7, "O"))
        >>> entity = Entity("Ada", "PER", 0, 3, 0.9, 0, 1)
        >>> found = Annotation("Ada ran", ["B-PER", "O"], tokens, (entity,))
        >>> found.bracketed()
        '[Ada PER] ran'
    """

    text: str | None
    answer: Any
    tokens: tuple[AnnotatedToken, ...] = ()
    entities: tuple[Entity, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def record(self) -> dict[str, Any]:
        """The annotation as one JSON object, of one shape for all tasks.

        ``text``, ``tokens`` and their ``offsets`` (not of vectors); the answer as ``birnn predict
        --json`` has it; ``entities`` of a model whose tags mark spans; ``labels`` with
        ``score`` of one that labels whole texts.
        """
        record: dict[str, Any] = {}
        if self.text is not None:
            record["text"] = self.text
            record["tokens"] = [token.text for token in self.tokens]
            record["offsets"] = [[token.start, token.end] for token in self.tokens]
        record |= self.fields
        return record

    def bracketed(self) -> str:
        """The text with its entities in brackets, each with its label at its end."""
        text, parts, at = self.text or "", [], 0
        for entity in self.entities:
            parts += [text[at : entity.start], f"[{entity.text} {entity.label}]"]
            at = entity.end
        return "".join(parts) + text[at:]


def annotation(
    head: Head,
    labels: Sequence[str],
    text: str | None,
    steps: Steps,
    scores: Scores,
    *,
    top: int | None,
    between: str = " ",
) -> Annotation:
    """An answer as an annotation of what was read.

    Args:
        head: The head that gave it.
        labels: The labels by number.
        text: The text as it came in; None where tokens or vectors did.
        steps: The validated sequence.
        scores: The answer and its scores.
        top: How many of the best are given, where the task ranks answers.
        between: What tokens that came without a text are joined by.

    Raises:
        DataError: Tokens that are not those of the text.
    """
    parts = head.parts(scores, labels, top)
    fields = dict(parts.record)
    ranked = tuple(LabelScore(*pair) for pair in parts.labels)
    if ranked:
        fields["labels"] = [
            {"label": each.label, "score": round(each.score, DIGITS)} for each in ranked
        ]
    if not isinstance(steps, tuple | list):
        return Annotation(None, scores.answer, labels=ranked, fields=fields)
    if text is None:
        text, offsets = between.join(steps), joined_offsets(steps, between)
    else:
        offsets = head.token_offsets(text, steps)
    entities = _entities(text, offsets, parts)
    if parts.spans is not None:
        fields["entities"] = [entity.record() for entity in entities]
    return Annotation(text, scores.answer, _tokens(text, offsets, parts), entities, ranked, fields)


def _tokens(text: str, offsets: Offsets, parts: AnswerParts) -> tuple[AnnotatedToken, ...]:
    if parts.tags is None:
        return tuple(AnnotatedToken(text[a:b], a, b) for a, b in offsets)
    return tuple(
        AnnotatedToken(text[a:b], a, b, tag, score)
        for (a, b), (tag, score) in zip(offsets, parts.tags, strict=True)
    )


def _entities(text: str, offsets: Offsets, parts: AnswerParts) -> tuple[Entity, ...]:
    found = []
    for first, stop, label, score in parts.spans or ():
        start, end = offsets[first][0], offsets[stop - 1][1]
        found.append(Entity(text[start:end], label, start, end, score, first, stop))
    return tuple(found)
