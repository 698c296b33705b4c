"""Tags that mark spans: IOB1, IOB2, IOBES; what they mean and which may follow which.

```
tokens  Ann  Lee  Paris  Rome  .
IOB1    I-P  I-P  I-L    B-L   O     B only where a span follows one of its own type
IOB2    B-P  I-P  B-L    B-L   O     B begins every span
IOBES   B-P  E-P  S-L    S-L   O     E ends a span, S is a span of one token
```
"""

# L labels

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import SchemeName
from birnn.errors import ConfigError, nearest

Allowed = npt.NDArray[np.bool_]

SCHEMES: tuple[SchemeName, ...] = ("none", "iob1", "iob2", "iobes")

_TYPED = re.compile(r"[BIES]-.+", re.DOTALL)


class Span(NamedTuple):
    """A span: the steps from ``start`` up to but not including ``stop``, and its type."""

    start: int
    stop: int
    type: str


def detect(sequences: Iterable[Sequence[str]]) -> SchemeName:
    """The scheme of tag sequences.

    Every label must be O or one of B-, I-, E-, S- with a type (or, where O, B and I stand alone,
    without one). E or S tell IOBES; between IOB1 and IOB2 the one with fewer violations is taken,
    IOB2 if there is no difference.

    Args:
        sequences: Tags of training sequences.

    Example:
        >>> detect([["B-PER", "I-PER", "O"]]), detect([["O", "I-PER"]]), detect([["NOUN"]])
        ('iob2', 'iob1', 'none')
    """
    sequences = [list(tags) for tags in sequences]
    labels = {tag for tags in sequences for tag in tags}
    typed = any(_TYPED.fullmatch(label) for label in labels)
    bare = {"O", "B"} <= labels <= {"O", "B", "I", "E", "S"}
    if not bare and not (typed and all(_is_mark(label) for label in labels)):
        return "none"
    if any(label[0] in "ES" for label in labels):
        return "iobes"
    faults = {scheme: sum(violations(tags, scheme) for tags in sequences) for scheme in _IOB}
    return "iob1" if faults["iob1"] < faults["iob2"] else "iob2"


def spans(tags: Sequence[str], scheme: SchemeName) -> list[Span]:
    """The spans that tags mark, by the rules of the conlleval script.

    A span begins at B and S, after E and S, after O, and where the type changes; it ends before
    such a beginning and before O. So every sequence of tags has a meaning, legal or not. A label
    that is no mark counts as O.

    Args:
        tags: Tags of one sequence.
        scheme: How they mark spans; ``none`` marks none. The rules are the same for all others.

    Source: Tjong Kim Sang and Buchholz 2000, conlleval.

    Example:
        >>> spans(["B-PER", "I-PER", "I-LOC", "O"], "iob2")
        [Span(start=0, stop=2, type='PER'), Span(start=2, stop=3, type='LOC')]
    """
    _check(scheme)
    if scheme == "none":
        return []
    found: list[Span] = []
    start = 0
    before, before_type = "O", ""
    for step, tag in enumerate(tags):
        if tag == "O":
            if before != "O":
                found.append(Span(start, step, before_type))
                before, before_type = "O", ""
            continue
        mark, type_ = _parts(tag)
        begins = mark in "BS" or before in "OES" or type_ != before_type
        if before != "O" and (mark == "O" or begins):
            found.append(Span(start, step, before_type))
        if begins:
            start = step
        before, before_type = mark, type_
    if before != "O":
        found.append(Span(start, len(tags), before_type))
    return found


def convert(tags: Sequence[str], source: SchemeName, target: SchemeName) -> tuple[str, ...]:
    """The same spans in another scheme; what was illegal is read by conlleval's rules.

    Args:
        tags: Tags of one sequence.
        source: Their scheme.
        target: The scheme wanted.

    Raises:
        ConfigError: A scheme that does not exist, or ``none`` on one side only.

    Example:
        >>> convert(["I-PER", "I-PER", "B-PER"], "iob1", "iobes")
        ('B-PER', 'E-PER', 'S-PER')
    """
    _check(source)
    _check(target)
    if source == target == "none":
        return tuple(tags)
    if "none" in (source, target):
        raise ConfigError(f"tags cannot be converted from {source} to {target}: none marks no span")
    out = ["O"] * len(tags)
    last = Span(0, 0, "")
    for span in spans(tags, source):
        marks = ["I"] * (span.stop - span.start)
        if target != "iob1" or (span.start == last.stop and span.type == last.type and last.stop):
            marks[0] = "B"
        if target == "iobes":
            marks[-1] = "S" if len(marks) == 1 else "E"
        out[span.start : span.stop] = [f"{m}-{span.type}" if span.type else m for m in marks]
        last = span
    return tuple(out)


def violations(tags: Sequence[str], scheme: SchemeName) -> int:
    """How many steps of a sequence its scheme forbids, the step from its end counted too.

    Example:
        >>> violations(["O", "I-PER", "B-PER"], "iob2"), violations(["B-X", "O"], "iobes")
        (1, 1)
    """
    _check(scheme)
    if scheme == "none":
        return 0
    parts = [("O", ""), *map(_parts, tags), ("O", "")]
    return sum(not _may_follow(scheme, *a, *b) for a, b in itertools.pairwise(parts))


def transitions(labels: Sequence[str], scheme: SchemeName) -> tuple[Allowed, Allowed, Allowed]:
    """Which labels may follow which, begin and end a sequence.

    Where the labels are such that a sequence of some length would have no legal tags at all
    (IOBES without O and S), nothing is forbidden.

    Args:
        labels: The L labels in order of their numbers.
        scheme: Their scheme.

    Returns:
        ``allowed`` (L, L), [from, to]; ``allowed_start`` (L,); ``allowed_end`` (L,).

    Example:
        >>> allowed, start, end = transitions(["O", "B-X", "I-X"], "iob2")
        >>> allowed.tolist()
        [[True, True, False], [True, True, True], [True, True, True]]
        >>> start.tolist(), end.tolist()
        ([True, True, False], [True, True, True])
    """
    _check(scheme)
    size = len(labels)
    parts = [_parts(label) for label in labels]
    allowed = np.ones((size, size), dtype=bool)
    start, end = np.ones(size, dtype=bool), np.ones(size, dtype=bool)
    if scheme == "none":
        return allowed, start, end
    for i, one in enumerate(parts):
        start[i] = _may_follow(scheme, "O", "", *one)
        end[i] = _may_follow(scheme, *one, "O", "")
        for j, other in enumerate(parts):
            allowed[i, j] = _may_follow(scheme, *one, *other)
    if size and not (start & end & allowed.diagonal()).any():
        return np.ones((size, size), bool), np.ones(size, bool), np.ones(size, bool)
    return allowed, start, end


_IOB: tuple[SchemeName, ...] = ("iob1", "iob2")


def _check(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ConfigError(f"no tag scheme {scheme!r}: {nearest(scheme, SCHEMES)}")


def _is_mark(label: str) -> bool:
    return label == "O" or label in ("B", "I", "E", "S") or _TYPED.fullmatch(label) is not None


def _parts(label: str) -> tuple[str, str]:
    """Mark and type of a label; one that is no mark counts as O."""
    if label[1:2] == "-" and label[0] in "BIES":
        return label[0], label[2:]
    return (label, "") if label in ("B", "I", "E", "S") else ("O", "")


def _may_follow(scheme: SchemeName, mark: str, type_: str, next_mark: str, next_type: str) -> bool:
    same = type_ == next_type and mark != "O"
    if scheme == "iob1":
        return next_mark != "B" or same
    if scheme == "iob2":
        return next_mark != "I" or same
    inside = mark in ("B", "I")
    return (same and next_mark in ("I", "E")) if inside else next_mark in ("O", "B", "S")
