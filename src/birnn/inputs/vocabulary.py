"""Vocabularies: numbers of words, characters, symbols and labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from birnn.data.alphabet import UNKNOWN
from birnn.data.tokeniser import canonical
from birnn.errors import DataError

NOT_THERE = -1
WITHOUT_UNKNOWN = frozenset({"labels", "targets"})
"""Vocabularies that have no item for unknown ones: what a model answers is known."""

# Words whose normal forms are remembered: a text has the same ones again and again.
NORMALISED = 1 << 15

_DIGIT = re.compile(r"\d")


class Vocabulary:
    """Items and their numbers, in a fixed order.

    With ``unknown`` item 0 is ``<unk>``, the number of all unknown items; without it (labels)
    unknown items have number -1.

    Args:
        items: The items in order of their numbers; ``<unk>`` is put in front where it is missing.
        counts: How often each was seen, as long as ``items``.
        unknown: Whether there is an item for unknown ones.

    Raises:
        DataError: An item twice, or counts of another length.

    Example:
        >>> words = Vocabulary(["the", "bank"])
        >>> words.items
        ('<unk>', 'the', 'bank')
        >>> words.ids(["bank", "river"]).tolist()
        [2, 0]
    """

    __slots__ = ("_ids", "counts", "items", "unknown")

    def __init__(
        self,
        items: Iterable[str],
        counts: Sequence[int] | npt.NDArray[np.int64] | None = None,
        unknown: bool = True,
    ) -> None:
        ordered = tuple(items)
        tallies = None if counts is None else np.asarray(counts, dtype=np.int64)
        if tallies is not None and tallies.shape != (len(ordered),):
            raise DataError(f"{tallies.size} counts for {len(ordered)} items. Give each one.")
        if unknown and ordered[:1] != (UNKNOWN,):
            ordered = (UNKNOWN, *ordered)
            tallies = None if tallies is None else np.concatenate([[0], tallies])
        self.items = ordered
        self.counts = tallies
        self.unknown = unknown
        self._ids = {item: number for number, item in enumerate(ordered)}
        if len(self._ids) != len(ordered):
            [(twice, _)] = Counter(ordered).most_common(1)
            raise DataError(f"{twice!r} stands twice in a vocabulary. Give every item once.")

    @classmethod
    def count(
        cls,
        items: Iterable[str],
        min_count: int = 1,
        max_size: int | None = None,
        unknown: bool = True,
    ) -> Vocabulary:
        """The vocabulary of a stream of items: most frequent first, ties in order of the items.

        Args:
            items: Every occurrence.
            min_count: Rarer items are left out.
            max_size: At most so many items, ``<unk>`` not counted.
            unknown: As for `Vocabulary`; its count is that of all that was left out.

        Example:
            >>> Vocabulary.count("abracadabra", min_count=2).items
            ('<unk>', 'a', 'b', 'r')
        """
        tally = Counter(items)
        total = tally.total()
        if unknown:
            tally.pop(UNKNOWN, None)
        kept = sorted(
            (pair for pair in tally.items() if pair[1] >= min_count),
            key=lambda pair: (-pair[1], pair[0]),
        )[:max_size]
        names = [item for item, _ in kept]
        counts = [count for _, count in kept]
        if unknown:
            names, counts = [UNKNOWN, *names], [total - sum(counts), *counts]
        return cls(names, counts, unknown)

    def grown(self, other: Vocabulary) -> Vocabulary:
        """This vocabulary, and after it the items of another that it lacks.

        What was known keeps its number. Counts are those of the other, 0 of what it does not have.

        Args:
            other: The other one, which knows an unknown item as this one does, or does not.

        Example:
            >>> grown = Vocabulary(["the", "bank"]).grown(Vocabulary(["river", "the"], [3, 5]))
            >>> grown.items, grown.counts.tolist()
            (('<unk>', 'the', 'bank', 'river'), [0, 5, 0, 3])
        """
        items = (*self.items, *(item for item in other.items if item not in self))
        counts = None
        if other.counts is not None:
            counts = np.zeros(len(items), np.int64)
        grown = Vocabulary(items, counts, self.unknown)
        if grown.counts is not None and other.counts is not None:
            grown.counts[grown.ids(other.items)] = other.counts
        return grown

    def __len__(self) -> int:
        """Number of items, the unknown one included."""
        return len(self.items)

    def __contains__(self, item: object) -> bool:
        return item in self._ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.items == other.items and self.unknown == other.unknown

    def __hash__(self) -> int:
        return hash((self.items, self.unknown))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} items, unknown={self.unknown})"

    def id(self, item: str) -> int:
        """Number of an item; 0, or -1 without an unknown item, where it is not known."""
        return self._ids.get(item, 0 if self.unknown else NOT_THERE)

    def known(self, items: Iterable[str]) -> int:
        """How many of the items it has."""
        return sum(map(self._ids.__contains__, items))

    def ids(self, items: Iterable[str]) -> npt.NDArray[np.int64]:
        """Numbers of items, int64 of shape (number of items,)."""
        get = self._ids.get
        default = 0 if self.unknown else NOT_THERE
        return np.array([get(item, default) for item in items], dtype=np.int64)


Vocabularies = Mapping[str, Vocabulary]
"""The vocabularies of a model by their names: words, characters, labels ..."""


def restored(stored: Mapping[str, Sequence[str]]) -> dict[str, Vocabulary]:
    """The vocabularies that a bundle holds; all but those of answers know an unknown item.

    Example:
        >>> known = restored({"symbols": ["<unk>", "A", "C"], "labels": ["x", "y"]})
        >>> known["symbols"].id("G"), known["labels"].id("z")
        (0, -1)
    """
    return {
        name: Vocabulary(items, unknown=name not in WITHOUT_UNKNOWN)
        for name, items in stored.items()
    }


@lru_cache(NORMALISED)
def normalise(word: str, lowercase: bool, digits: bool) -> str:
    """A word as it is looked up: in NFC, see `birnn.data.tokeniser.canonical`.

    Args:
        word: As written.
        lowercase: In lower case.
        digits: With every digit as 0.

    Example:
        >>> normalise("B-52s", lowercase=True, digits=True)
        'b-00s'
    """
    word = canonical(word)
    if lowercase:
        word = canonical(word.lower())  # the lower case of some letters is not in NFC
    return _DIGIT.sub("0", word) if digits else word
