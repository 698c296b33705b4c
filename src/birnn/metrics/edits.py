"""Edit distance of two sequences, and which symbol stands for which.

A column of the table of distances is held as the bits of a few integers, one bit for each symbol
of the first sequence: a step takes as long as one addition of such integers.
"""

# M symbols of one sequence, K of the other

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class _Column(NamedTuple):
    """A column of the table of distances, as bits: row i + 1 is bit i."""

    distance: int  # in the last row
    level: int  # the distance is that of the row above, one column before
    down: int  # the distance is one more than in the row above


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions that turn one sequence into the other.

    Source: Hyyrö 2003, A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit
    Distances; the distance is that of Wagner and Fischer 1974.

    Example:
        >>> edit_distance("kitten", "sitting")
        3
    """
    distance = len(one)
    if not one:
        return len(other)
    for column in _columns(one, other):
        distance = column.distance
    return distance


def alignment(
    one: Sequence[str], other: Sequence[str]
) -> list[tuple[str, str] | tuple[str, None] | tuple[None, str]]:
    """Symbols of two sequences side by side, with as few differences as there can be.

    Of several such alignments it is the one that, from the end on, takes substitutions before
    deletions, and these before insertions.

    Args:
        one: Symbols (M).
        other: Symbols (K).

    Returns:
        Pairs in their order: a symbol of each; (symbol, None) is a deletion, (None, symbol) an
        insertion.

    Example:
        >>> alignment("abc", "xbcd")
        [('a', 'x'), ('b', 'b'), ('c', 'c'), (None, 'd')]
    """
    columns = list(_columns(one, other)) if one else []
    found: list[tuple[str, str] | tuple[str, None] | tuple[None, str]] = []
    i, j = len(one), len(other)
    while i and j:
        level, down = (bits >> (i - 1) & 1 for bits in columns[j - 1][1:])
        # Equal symbols side by side are never worse than any other choice.
        if one[i - 1] == other[j - 1] or not level:
            i, j = i - 1, j - 1
            found.append((one[i], other[j]))
        elif down:
            i -= 1
            found.append((one[i], None))
        else:
            j -= 1
            found.append((None, other[j]))
    found += [(symbol, None) for symbol in reversed(one[:i])]
    found += [(None, symbol) for symbol in reversed(other[:j])]
    return found[::-1]


def _columns(one: Sequence[str], other: Sequence[str]) -> Iterator[_Column]:
    """The columns of the table after the first, one for each symbol of ``other``."""
    places: dict[str, int] = {}
    for i, symbol in enumerate(one):
        places[symbol] = places.get(symbol, 0) | 1 << i
    every = (1 << len(one)) - 1
    last = len(one) - 1
    distance, down, up = len(one), every, 0  # up: one less than in the row above
    for symbol in other:
        equal = places.get(symbol, 0)
        level = (((equal & down) + down) ^ down | equal | up) & every
        right, left = up | every & ~(level | down), level & down  # from the column before
        distance += (right >> last & 1) - (left >> last & 1)
        right, left = (right << 1 | 1) & every, left << 1 & every
        down, up = left | every & ~(level | right), right & level
        yield _Column(distance, level, down)
