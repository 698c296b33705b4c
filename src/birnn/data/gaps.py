"""Gaps in a text: the symbol that stands for a missing word, and other usual marks of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from birnn.data.offsets import Offsets, token_offsets

GAP = "___"
"""The token that stands for a word that is asked for."""

# Three or more underscores are a gap also where they touch a word or a mark, fewer only by
# themselves: they are part of names of programs.
_MARK = re.compile(r"(?i:\[mask\]|<mask>)|_{3,}")
_ALONE = {"_", "__"}
_IN_TEXT = re.compile(rf"{_MARK.pattern}|(?<!\S)_{{1,2}}(?!\S)")


def marked(text: str) -> str:
    """A text whose marks of gaps are all `GAP`: ``[MASK]``, ``<mask>``, any run of underscores.

    Example:
        >>> marked("I am [MASK], and _ am <mask>.")
        'I am ___, and ___ am ___.'
    """
    return _IN_TEXT.sub(GAP, text)


def with_gaps(tokens: Iterable[str]) -> tuple[str, ...]:
    """Tokens whose marks of gaps are tokens of their own, each `GAP`.

    Example:
        >>> with_gaps(["I", "am", "[MASK]", ",", "not", "___."])
        ('I', 'am', '___', ',', 'not', '___', '.')
    """
    return tuple(part for token in tokens for part in _parts(token))


def filled(text: str | None, tokens: Sequence[str], words: Sequence[str]) -> str:
    """A text with words in the place of its gaps, in order.

    Args:
        text: The text as it was written; None where there are tokens alone.
        tokens: Its tokens, whose gaps are `GAP`.
        words: A word for each gap.

    Example:
        >>> filled("I am ___, very.", ["I", "am", "___", ",", "very", "."], ["hungry"])
        'I am hungry, very.'
        >>> filled(None, ["I", "am", "___"], ["hungry"])
        'I am hungry'
    """
    if text is not None:
        parts = marked(text).split(GAP)
        if len(parts) == len(words) + 1:
            return parts[0] + "".join(
                f"{w}{part}" for w, part in zip(words, parts[1:], strict=True)
            )
    given = iter(words)
    return " ".join(next(given, GAP) if token == GAP else token for token in tokens)


def gap_offsets(text: str, tokens: Sequence[str]) -> Offsets:
    """Where each token of a text stands in it, and the mark of each gap.

    Args:
        text: The text as it was written.
        tokens: Its tokens, whose gaps are `GAP`.

    Raises:
        DataError: A token that the text does not hold there.

    Example:
        >>> gap_offsets("I am [MASK].", ["I", "am", "___", "."])
        ((0, 1), (2, 4), (5, 11), (11, 12))
    """
    marks = [mark.span() for mark in _IN_TEXT.finditer(text)]
    gaps = [at for at, token in enumerate(tokens) if token == GAP]
    if len(marks) != len(gaps):  # a mark with an invisible character in it
        return token_offsets(text, tokens)
    found: list[tuple[int, int]] = []
    ends = [*zip(gaps, marks, strict=True), (len(tokens), (len(text), len(text)))]
    token = at = 0
    for gap, (start, end) in ends:
        inside = token_offsets(text[at:start], tokens[token:gap])
        found += [(at + a, at + b) for a, b in inside]
        if gap < len(tokens):
            found.append((start, end))
        token, at = gap + 1, end
    return tuple(found)


def _parts(token: str) -> Iterator[str]:
    if token in _ALONE:
        yield GAP
        return
    end = 0
    for mark in _MARK.finditer(token):
        if mark.start() > end:
            yield token[end : mark.start()]
        yield GAP
        end = mark.end()
    if end < len(token):
        yield token[end:]
