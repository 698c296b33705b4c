r"""Texts in NFC, and where tokens stand in the text that they came from.

A text is cleaned before it is split into words, so a token may be shorter than what it was read
from: ``e`` and an accent become one character, a soft hyphen is dropped. Offsets count characters
of the text as it came in.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from birnn.errors import DataError

Offsets = tuple[tuple[int, int], ...]
"""Start and end of each token, the end exclusive."""

# Zero-width space, soft hyphen, byte order mark, word joiners, bidi marks, and the variation
# selectors that choose between a character's text and emoji form: they change no word.
INVISIBLE = (
    "[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe0e\ufe0f\ufeff]"
)
_invisible = re.compile(INVISIBLE)
_chosen_form = re.compile("[\ufe0e\ufe0f]*")
# What stands between two tokens: the tokeniser drops joiners that join nothing.
_between = re.compile(rf"(?:\s|{INVISIBLE}|[\u200c\u200d])*")

# Marks on one character. Python sorts a run of them in a time that grows with its square, so a
# longer one, which no language writes, is composed part by part (UAX 15, stream-safe text).
MOST_MARKS = 32
_LONG = re.compile(rf"[^\x00-\x7f]{{{MOST_MARKS + 1},}}")


def composed(text: str) -> str:
    r"""A text in NFC, in which letters with accents are one character where there is one.

    Example:
        >>> composed("cafe\u0301") == "caf\u00e9"
        True
    """
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    if _LONG.search(text) is None:
        return unicodedata.normalize("NFC", text)
    cuts = [0, *_cuts(text), len(text)]
    return "".join(unicodedata.normalize("NFC", text[a:b]) for a, b in pairwise(cuts))


def visible(text: str) -> str:
    r"""A text without invisible characters.

    Example:
        >>> visible("co\u00adop")
        'coop'
    """
    return _invisible.sub("", text)


def token_offsets(text: str, tokens: Sequence[str]) -> Offsets:
    r"""Where each token stands in the text that it came from.

    A token covers the characters that it was made of: those that one character replaced (``e`` and
    its accent), the invisible ones within it, and the selector of an emoji's form after it. Starts
    and ends never decrease. Two tokens overlap only where one character of the text was
    split in two.

    Args:
        text: The text as it came in.
        tokens: Its tokens in order, by the tokeniser, by white space or by an alphabet, in NFC or
            not.

    Returns:
        Start and end of each in characters of ``text``, the end exclusive.

    Raises:
        DataError: A token that the text does not hold there.

    Example:
        >>> token_offsets("I don't.", ("I", "do", "n't", "."))
        ((0, 1), (2, 4), (4, 7), (7, 8))
        >>> token_offsets("un cafe\u0301 ici", ("un", "caf\u00e9", "ici"))
        ((0, 2), (3, 8), (9, 12))
    """
    found = _places(text, tokens, strict=True)
    if found is not None:
        return found if text.isascii() else tuple(_with_form(text, *place) for place in found)
    for strict in (True, False):
        for dropping in (False, True):
            cleaned = _Cleaned.of(text, dropping)
            known = [visible(token) or token for token in tokens] if dropping else tokens
            # The tokens as they are first: a long run of marks changes when it is composed again.
            found = _places(cleaned.text, known, strict=strict)
            if found is None:
                found = _places(cleaned.text, list(map(composed, known)), strict=strict)
            if found is not None:
                return tuple(
                    _with_form(text, cleaned.starts[start], cleaned.ends[end - 1])
                    for start, end in found
                )
    raise DataError(
        "the tokens are not those of the text: they do not follow one another in it. Give the text "
        "that they came from, or the tokens alone."
    )


def joined_offsets(tokens: Sequence[str], between: str = " ") -> Offsets:
    """Where each token stands in all of them, joined.

    Example:
        >>> joined_offsets(["the", "bank"])
        ((0, 3), (4, 8))
    """
    found, at = [], 0
    for token in tokens:
        found.append((at, at + len(token)))
        at += len(token) + len(between)
    return tuple(found)


def _places(text: str, tokens: Sequence[str], *, strict: bool) -> Offsets | None:
    """Tokens in a text that holds them as they are; None where one is missing.

    Args:
        text: The text.
        tokens: Its tokens.
        strict: Nothing but white space and what is invisible stands between two of them.
    """
    found, at = [], 0
    for token in tokens:
        if not token:
            return None
        # A token may be white space, or invisible, itself: it is looked for there, too.
        between = _between.match(text, at)
        assert between is not None
        last = between.end() + len(token) if strict else len(text)
        start = text.find(token, at, last)
        if start < 0:
            return None
        at = start + len(token)
        found.append((start, at))
    return tuple(found)


def _with_form(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's place with the selectors of its form, which are drawn as part of it."""
    found = _chosen_form.match(text, end)
    assert found is not None
    return start, found.end()


class _Cleaned(NamedTuple):
    """A text in NFC, and for each of its characters where what it was made of starts and ends."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(cls, text: str, dropping: bool) -> _Cleaned:
        """A text cleaned.

        Args:
            text: The text as it came in.
            dropping: Whether invisible characters are dropped.
        """
        kept: Sequence[int] = range(len(text))
        if dropping:
            runs = [0, *chain.from_iterable(m.span() for m in _invisible.finditer(text)), len(text)]
            kept = [i for a, b in zip(runs[::2], runs[1::2], strict=True) for i in range(a, b)]
            text = visible(text)
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for first, stop in _segments(text):
            part = text[first:stop]
            made = composed(part)
            same = len(part) if made == part else _common(part, made)
            starts += [kept[i] for i in range(first, first + same)]
            ends += [kept[i] + 1 for i in range(first, first + same)]
            if rest := len(made) - same:
                starts += [kept[first + same]] * rest
                ends += [kept[stop - 1] + 1] * rest
            parts.append(made)
        return cls("".join(parts), starts, ends)


def _common(part: str, made: str) -> int:
    """How many first characters are the same, but the last of ``part``, which differ as a whole."""
    pairs = enumerate(zip(part[:-1], made, strict=False))
    return next((at for at, (one, other) in pairs if one != other), len(part) - 1)


def _segments(text: str) -> Iterator[tuple[int, int]]:
    """Parts of a text that are composed each by itself: one character and its marks, or more."""
    cuts = [0, *_cuts(text), len(text)]
    for start, stop in pairwise(cuts):
        for chunk in re.finditer(r"\s+|\S+", text[start:stop]):
            first, end = start + chunk.start(), start + chunk.end()
            if unicodedata.is_normalized("NFC", chunk.group()):
                yield first, end
                continue
            at = first
            for here in range(first + 1, end):
                if _begins(text, at, here):
                    yield at, here
                    at = here
            yield at, end


def _begins(text: str, start: int, here: int) -> bool:
    """Whether the character ``here`` is composed with none of those from ``start`` on."""
    character = text[here]
    if character.isascii():
        return True
    if _is_mark(character):
        return False
    before = text[start:here]
    apart = unicodedata.normalize("NFC", before) + unicodedata.normalize("NFC", character)
    return unicodedata.normalize("NFC", before + character) == apart


@functools.lru_cache(1 << 14)
def _is_mark(character: str) -> bool:
    """Whether it stands on the character before; some of two marks say so only when taken apart."""
    return unicodedata.combining(unicodedata.normalize("NFD", character)[0]) != 0


def _cuts(text: str) -> Iterator[int]:
    """Places within runs of marks that are too long to be composed as wholes."""
    for run in _LONG.finditer(text):
        marks = 0
        for at in range(*run.span()):
            marks = marks + 1 if _is_mark(text[at]) else 0
            if marks == MOST_MARKS:
                yield at
                marks = 0
