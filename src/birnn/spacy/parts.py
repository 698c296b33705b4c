"""What a model reads of a document, and which of its tokens an answer is about."""

from __future__ import annotations

from collections.abc import Iterator

from spacy.tokens import Span, Token

from birnn.runtime.annotation import Annotation, Entity


class TokenPart:
    """A part of a document whose tokens are read, but for those of white space alone."""

    def __init__(self, span: Span) -> None:
        self._places = [token for token in span if not token.is_space]

    @property
    def given(self) -> list[str]:
        """What the model is given."""
        return [token.text for token in self._places]

    def tokens_of(self, entity: Entity) -> tuple[int, int]:
        """First token of an entity in the document, and the one after its last."""
        return self._places[entity.first].i, self._places[entity.stop - 1].i + 1

    def tagged(self, annotation: Annotation) -> Iterator[tuple[Token, str, float | None]]:
        """Tokens with their tags and the probabilities of these."""
        for token, found in zip(self._places, annotation.tokens, strict=True):
            if found.tag is not None:
                yield token, found.tag, found.score


class TextPart:
    """A part of a document whose text is read, and split by the model."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def given(self) -> str:
        """What the model is given."""
        return self._span.text

    def tokens_of(self, entity: Entity) -> tuple[int, int]:
        """The tokens that an entity touches: it may begin or end inside of one."""
        found = self._span.char_span(entity.start, entity.end, alignment_mode="expand")
        return found.start, found.end

    def tagged(self, annotation: Annotation) -> Iterator[tuple[Token, str, float | None]]:
        """Tags of the tokens that the model splits the text into as spaCy does."""
        first = self._span.start_char
        places = {(t.idx - first, t.idx - first + len(t)): t for t in self._span}
        for found in annotation.tokens:
            token = places.get((found.start, found.end))
            if token is not None and found.tag is not None:
                yield token, found.tag, found.score


Part = TokenPart | TextPart
