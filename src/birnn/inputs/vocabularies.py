"""The vocabularies of a model, together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Literal

import numpy as np

from birnn.data.examples import Example
from birnn.data.words import canonical
from birnn.inputs.vocabulary import Vocabulary, normalise


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """What numbers stand for, each ``None`` where a model has no use for it.

    Args:
        words: Words as they are looked up (normalised), with an unknown one.
        characters: Characters of written forms, with an unknown one.
        traits: Traits of written forms, with an unknown one.
        symbols: Symbols, with an unknown one.
        labels: Labels or tags; no unknown one.

    Example:
        >>> known = Vocabularies(symbols=Vocabulary("AC"), labels=Vocabulary("xy", unknown=False))
        >>> known.to_dict()
        {'symbols': ['<unk>', 'A', 'C'], 'labels': ['x', 'y']}
        >>> Vocabularies.from_dict(known.to_dict()) == known
        True
    """

    words: Vocabulary | None = None
    characters: Vocabulary | None = None
    traits: Vocabulary | None = None
    symbols: Vocabulary | None = None
    labels: Vocabulary | None = None

    @classmethod
    def learn(
        cls,
        examples: Sequence[Example],
        kind: Literal["words", "symbols", "vectors"],
        *,
        lowercase: bool = True,
        digits: bool = True,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Vocabularies:
        """The vocabularies of training examples.

        Args:
            examples: Training examples.
            kind: What their steps are.
            lowercase: Words are looked up in lower case.
            digits: Words are looked up with every digit as 0.
            min_count: Rarer words or symbols are unknown.
            max_size: At most so many words or symbols.

        Returns:
            Vocabularies with counts; labels are ordered by frequency, then by name.

        Example:
            >>> known = Vocabularies.learn([Example(("The", "the"), ("D", "D"))], "words")
            >>> known.words.items, known.characters.items, known.labels.items
            (('<unk>', 'the'), ('<unk>', 'e', 'h', 'T', 't'), ('D',))
        """
        labels = Vocabulary.count(_labels(examples), unknown=False)
        named = labels if len(labels) else None
        if kind == "vectors":
            return cls(labels=named)
        items = _items(examples)
        if kind == "symbols":
            return cls(symbols=Vocabulary.count(items, min_count, max_size), labels=named)
        words = list(map(canonical, items))
        # every distinct form is normalised once
        looked_up = {form: normalise(form, lowercase, digits) for form in set(words)}
        return cls(
            words=Vocabulary.count(map(looked_up.__getitem__, words), min_count, max_size),
            characters=Vocabulary.count(chain.from_iterable(words)),
            labels=named,
        )

    def to_dict(self) -> dict[str, list[str]]:
        """What ``vocab.json`` holds: the items of each vocabulary in order of their numbers."""
        return {
            field.name: list(vocabulary.items)
            for field in fields(self)
            if (vocabulary := getattr(self, field.name)) is not None
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Sequence[str]]) -> Vocabularies:
        """The vocabularies that `to_dict` wrote."""
        return cls(
            **{name: Vocabulary(items, unknown=name != "labels") for name, items in stored.items()}
        )


def _items(examples: Iterable[Example]) -> Iterable[str]:
    return chain.from_iterable(
        example.inputs for example in examples if not isinstance(example.inputs, np.ndarray)
    )


def _labels(examples: Iterable[Example]) -> Iterable[str]:
    for example in examples:
        if isinstance(example.target, str):
            yield example.target
        elif isinstance(example.target, tuple):
            yield from example.target
