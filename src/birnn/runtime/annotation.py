"""Answers with what they were read from: entities and tokens by character offsets, labels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from birnn.data.offsets import Offsets, joined_offsets
from birnn.errors import DataError, Tell, UsageError, log_notice
from birnn.inputs import Steps
from birnn.runtime.batches import WINDOW
from birnn.runtime.loaded import LoadedModel
from birnn.runtime.validation import GivenText
from birnn.tasks.annotated import AnswerParts

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


class Annotator(LoadedModel):
    """What a predictor says of texts, by their characters."""

    @overload
    def annotate(self, texts: str, *, top: int | None = None) -> Annotation: ...

    @overload
    def annotate(self, texts: Iterable[Any], *, top: int | None = None) -> list[Annotation]: ...

    def annotate(
        self, texts: str | Iterable[Any], *, top: int | None = None
    ) -> Annotation | list[Annotation]:
        """What the model says of a text, with the characters that it says it of.

        Args:
            texts: One text, or what `predict` takes: a list of texts or of lists of tokens, which
                are then joined by a blank.
            top: Of a classifier how many labels are given, of a model that writes sequences how
                many targets, of a filler how many words for a gap; by default all labels, one
                target, as many words as the filler was trained to name.

        Returns:
            For one text its `Annotation`, else one for each, in their order: entities by character
            offsets of a tagger whose tags mark spans, tokens with their offsets (and tags), labels
            with probabilities, the best first.

        Raises:
            DataError: A text that the model cannot read.
            UsageError: ``top``, and a model that does not rank answers, or below 1.

        Example:
            >>> import numpy as np
            >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
            >>> head = Tags(size=2, scheme="iob2")
            >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(), head=head)
            >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
            >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("B-HELIX", "O")}
            >>> model = Annotator(Bundle(spec, vocabularies, tensors))
            >>> found = model.annotate(" A C")
            >>> [(e.text, e.label, e.start, e.end, e.score) for e in found.entities]
            [('A', 'HELIX', 1, 2, 0.5), ('C', 'HELIX', 3, 4, 0.5)]
        """
        if isinstance(texts, str):
            return next(self.stream_annotations([texts], top=top, window=1))
        return list(self.stream_annotations(texts, top=top))

    def stream_annotations(
        self,
        texts: Iterable[Any],
        *,
        top: int | None = None,
        window: int = WINDOW,
        wait: bool = True,
        tell: Tell = log_notice,
    ) -> Iterator[Annotation]:
        """As `annotate`, text by text; memory does not grow with the number of texts.

        Args:
            texts: As for `predict`; a `birnn.data.Example` has its own text.
            top: As for `annotate`.
            window: As for `stream`.
            wait: As for `stream`.
            tell: As for `predict`.

        Raises:
            UsageError: A window below 1; ``top`` as of `annotate`.
            DataError: A text that the model cannot read; those before it are answered.
        """
        head = self.spec.head
        if top is not None and not head.ranks:
            raise UsageError(f"a {head.task} does not rank its answers: leave top out.")
        whole = isinstance(top, int | np.integer) and not isinstance(top, bool)
        if top is not None and not (whole and top >= 1):
            raise UsageError(f"top is {top!r}, it must be a whole number from 1 on")
        alphabet = self._runner.codec.alphabet
        between = " " if alphabet is None or not alphabet.single else ""
        given: deque[GivenText] = deque()
        read: deque[Steps] = deque()

        def sequences() -> Iterator[Steps]:
            for steps in self._validated(texts, texts=given, tell=tell):
                read.append(steps)
                yield steps

        if window < 1:
            raise UsageError(f"window is {window}, it must be a whole number from 1 on")
        found = self._runner.stream(sequences(), self._head.annotations(top), window, wait, tell)

        def annotated() -> Iterator[Annotation]:
            for number, scores in enumerate(found):
                (text, offsets), steps = given.popleft(), read.popleft()
                parts = head.parts(scores, self.labels, top)
                try:
                    if isinstance(steps, tuple | list):
                        if text is None:
                            text, offsets = between.join(steps), joined_offsets(steps, between)
                        elif offsets is None:
                            offsets = head.token_offsets(text, steps)
                    yield annotation(text, offsets or (), scores.answer, parts)
                except DataError as error:
                    raise DataError(f"sequence {number}: {error}") from None

        return annotated()


def annotation(text: str | None, offsets: Offsets, answer: Any, parts: AnswerParts) -> Annotation:
    """An answer as an annotation of what was read.

    Args:
        text: The text; None where vectors were read.
        offsets: Where its tokens stand in it.
        answer: The answer.
        parts: What it is made of.
    """
    fields = dict(parts.record)
    ranked = tuple(LabelScore(*pair) for pair in parts.labels)
    if ranked:
        fields["labels"] = [
            {"label": each.label, "score": round(each.score, DIGITS)} for each in ranked
        ]
    if text is None:
        return Annotation(None, answer, labels=ranked, fields=fields)
    entities = _entities(text, offsets, parts)
    if parts.spans is not None:
        fields["entities"] = [entity.record() for entity in entities]
    return Annotation(text, answer, _tokens(text, offsets, parts), entities, ranked, fields)


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
