"""Groups of answers: by a mark on each step, by position, by length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from birnn.tasks import TASKS

Member = tuple[int, int]  # number of the test sequence, step in it; the label of a text is step 0
FEWEST = 20  # steps or sequences that a group needs to have an accuracy of its own


def by_step(steps: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, list[Member]]:
    """Groups of steps from a mark on each.

    Args:
        steps: For each sequence the number of each step's group in ``names``, (T,).
        names: Names of the groups.

    Example:
        >>> by_step([np.array([0, 1]), np.array([1])], ["so far", "later"])
        {'so far': [(0, 0)], 'later': [(0, 1), (1, 0)]}
    """
    groups: dict[str, list[Member]] = {name: [] for name in names}
    for number, marks in enumerate(steps):
        for at, mark in enumerate(marks.tolist()):
            groups[names[mark]].append((number, at))
    return groups


def position_groups(task: str, lengths: Sequence[int]) -> dict[str, list[Member]]:
    """Steps by their positions, or labels by their sequences' lengths.

    Args:
        task: ``tagger``, or another one, whose sequences have one label each.
        lengths: Steps of each sequence.
    """
    places = places_of(task, lengths)
    edges = groups_of(np.concatenate(places))
    names = [group_name(first, last) for first, last in edges]
    return by_step([np.searchsorted([last for _, last in edges], place) for place in places], names)


def places_of(task: str, lengths: Sequence[int]) -> list[np.ndarray]:
    """For each sequence the position of each step; its length, where it has one label."""
    if TASKS[task].per_step:
        return [np.arange(1, length + 1) for length in lengths]
    return [np.array([length]) for length in lengths]


def groups_of(places: np.ndarray, *, alone: int = 10) -> list[tuple[int, int]]:
    """Stretches of positions, the first ones alone, later ones by tens, none nearly empty.

    Args:
        places: Position of each step, or length of each sequence, from 0 or 1 on.
        alone: Up to which position each stands for itself.

    Returns:
        First and last position of each stretch, in order; together they hold every place.

    Example:
        >>> groups_of(np.repeat([1, 2, 3, 14], [30, 25, 1, 1]))
        [(1, 1), (2, 14)]
    """
    edges: list[tuple[int, int]] = []
    if places.size == 0:
        return edges
    begun, first, top = int(places.min()), int(places.min()), int(places.max())
    while first <= top:
        last = min(top, first if first <= alone else first + 9 - (first - 1) % 10)
        if int(((places >= begun) & (places <= last)).sum()) >= FEWEST:
            edges.append((begun, last))
            begun = last + 1
        first = last + 1
    if begun <= top:  # too few are left at the end: they join the stretch before
        edges[-1:] = [(edges[-1][0] if edges else begun, top)]
    return edges


def group_name(first: int, last: int) -> str:
    """A stretch of positions in words: ``7``, or ``11-20``."""
    return str(first) if first == last else f"{first}-{last}"
