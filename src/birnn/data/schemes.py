"""Tag schemes (IOB1, IOB2, IOBES and others): conversion, spans, legal transitions.

```
tokens  Ann  Lee  Paris  Rome  .
IOB1    I-P  I-P  I-L    B-L   O     B only where a span follows one of its own type
IOB2    B-P  I-P  B-L    B-L   O     B begins every span
IOBES   B-P  E-P  S-L    S-L   O     E ends a span, S is a span of one token
BILOU   B-P  L-P  U-L    U-L   O     IOBES with L for E and U for S
BMES    B-P  E-P  S-L    S-L   O     IOBES with M for I
BMEWO   B-P  E-P  W-L    W-L   O     IOBES with M for I and W for S
```

Each exists with the mark after the type (``P-B``), called ``iob2-suffix`` and so on. A letter means
the same in all schemes, so spans can be read under the name of another scheme.
"""

# L labels

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import numpy.typing as npt

from birnn.errors import ConfigError, nearest
from birnn.reference.span_marginals import SpanRules

Allowed = npt.NDArray[np.bool_]

# How tags mark spans; with -suffix the mark stands after the type, PER-B.
# fmt: off
SchemeName = Literal[
    "none", "iob1", "iob2", "iobes", "bilou", "bmes", "bmewo", "iob1-suffix", "iob2-suffix",
    "iobes-suffix", "bilou-suffix", "bmes-suffix", "bmewo-suffix",
]
# fmt: on
# Letters of a scheme for the begin, inside and end of a span, and for a span of one token.
SPAN_LETTERS = {
    "iob1": "BI",
    "iob2": "BI",
    "iobes": "BIES",
    "bilou": "BILU",
    "bmes": "BMES",
    "bmewo": "BMEW",
}

SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)

MEANING = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}

LAST_MARK = re.compile(r"(.+)-([BIESLUMW])", re.DOTALL)


class Span(NamedTuple):
    """A span: the steps from ``start`` up to but not including ``stop``, and its type."""

    start: int
    stop: int
    type: str


def marks(label: str, scheme: SchemeName) -> bool:
    """Whether a label begins, goes on with or ends a span, in letters of the scheme.

    Example:
        >>> [marks(label, "iob2") for label in ("B-PER", "O", "S-PER")]
        [True, False, False]
    """
    _check(scheme)
    if scheme == "none" or _parts(label, scheme)[0] == "O":
        return False
    letter = label[-1] if scheme.endswith("-suffix") else label[0]
    return letter in SPAN_LETTERS[scheme.removesuffix("-suffix")]


def unseen(labels: Iterable[str], known: Collection[str], scheme: SchemeName) -> set[str]:
    """The labels that are none of the known ones; of those that mark spans, by their types.

    Spans are compared as spans, so that a label of a known type is known whatever its letter.

    Example:
        >>> sorted(unseen(["I-PER", "I-LOC", "0"], ["O", "B-PER"], "iob2"))
        ['0', 'I-LOC']
    """
    strange = set(labels).difference(known)
    if scheme == "none":
        return strange
    types = {_parts(label, scheme)[1] for label in known if marks(label, scheme)}
    parts = ((label, *_parts(label, scheme)) for label in strange)
    return {label for label, mark, type_ in parts if mark == "O" or type_ not in types}


def spans(tags: Sequence[str], scheme: SchemeName) -> list[Span]:
    """The spans that tags mark, by the rules of the conlleval script.

    A span begins at B and S, after E and S, after O, and where the type changes; it ends before
    such a beginning and before O. So every sequence of tags has a meaning, legal or not. A label
    that is no mark counts as O. The rules are the same for all schemes; ``none`` marks no span.

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
    for step, tag in enumerate(itertools.chain(tags, ["O"])):
        if tag == before == "O":
            continue
        mark, type_ = ("O", "") if tag == "O" else _parts(tag, scheme)
        begins = _begins(before, before_type, mark, type_)
        if before != "O" and (mark == "O" or begins):
            found.append(Span(start, step, before_type))
        if begins:
            start = step
        before, before_type = mark, type_
    return found


def convert(tags: Sequence[str], source: SchemeName, target: SchemeName) -> tuple[str, ...]:
    """The same spans in another scheme; what was illegal is read by conlleval's rules.

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
    # What marks no span is no part of any, and stays.
    marked = tags_of(spans(tags, source), len(tags), target)
    return tuple(
        tag if _parts(tag, source)[0] == "O" else mark
        for tag, mark in zip(tags, marked, strict=True)
    )


def tags_of(spans: Iterable[Span], length: int, scheme: SchemeName) -> tuple[str, ...]:
    """The tags that mark spans, given in order and without overlap, in a sequence of a length.

    Example:
        >>> tags_of([Span(0, 2, "PER"), Span(3, 4, "LOC")], 5, "iobes")
        ('B-PER', 'E-PER', 'O', 'S-LOC', 'O')
    """
    rules, suffix = _rules(scheme), scheme.endswith("-suffix")
    letters = dict(zip("BIES", SPAN_LETTERS[scheme.removesuffix("-suffix")], strict=False))
    out = ["O"] * length
    last = Span(0, 0, "")
    for span in spans:
        marks = ["I"] * (span.stop - span.start)
        if rules != "iob1" or (span.start == last.stop and span.type == last.type and last.stop):
            marks[0] = "B"
        if rules == "iobes":
            marks[-1] = "S" if len(marks) == 1 else "E"
        for step, mark in enumerate(marks, span.start):
            parts = (span.type, letters[mark]) if suffix else (letters[mark], span.type)
            out[step] = "-".join(parts) if span.type else letters[mark]
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
    rules = _rules(scheme)
    parts = [("O", ""), *(_parts(tag, scheme) for tag in tags), ("O", "")]
    return sum(not _may_follow(rules, *a, *b) for a, b in itertools.pairwise(parts))


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
    all_free = np.ones((size, size), bool), np.ones(size, bool), np.ones(size, bool)
    if scheme == "none" or not size:
        return all_free
    rules = _rules(scheme)
    parts = [_parts(label, scheme) for label in labels]
    allowed = np.array([[_may_follow(rules, *a, *b) for b in parts] for a in parts], bool)
    start = np.array([_may_follow(rules, "O", "", *part) for part in parts], bool)
    end = np.array([_may_follow(rules, *part, "O", "") for part in parts], bool)
    if not (start & end & allowed.diagonal()).any():
        return all_free
    return allowed, start, end


def span_rules(labels: Sequence[str], scheme: SchemeName) -> tuple[SpanRules, tuple[str, ...]]:
    """How labels mark spans, as `spans` reads them; and the names of the types by number.

    Example:
        >>> rules, types = span_rules(["O", "B-X", "I-X"], "iob2")
        >>> rules.begins.tolist(), types
        ([[False, True, True], [False, True, False], [False, True, False]], ('X',))
        >>> rules.types.tolist()
        [-1, 0, 0]
    """
    _check(scheme)
    parts = [("O", "") if scheme == "none" else _parts(label, scheme) for label in labels]
    types = list(dict.fromkeys(type_ for mark, type_ in parts if mark != "O"))
    inside = np.array([mark != "O" for mark, _ in parts], bool)
    begins = np.array([[_begins(*one, *other) for other in parts] for one in parts], bool)
    begins = begins.reshape(len(parts), len(parts)) & inside
    numbers = [types.index(type_) if mark != "O" else -1 for mark, type_ in parts]
    rules = SpanRules(inside, begins, inside & ~begins, np.array(numbers, np.int64))
    return rules, tuple(types)


Rules = Literal["iob1", "iob2", "iobes"]


def scheme_of(name: str) -> SchemeName:
    """The scheme of a name in any case.

    Raises:
        ConfigError: There is none of this name, or it marks no span.

    Example:
        >>> scheme_of("IOBES")
        'iobes'
    """
    scheme = name.lower()
    _check(scheme)
    if scheme == "none":
        raise ConfigError("the scheme none marks no spans: name one that does.")
    return cast("SchemeName", scheme)


def _check(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ConfigError(f"no tag scheme {scheme!r}: {nearest(scheme, SCHEMES)}")


def _rules(scheme: SchemeName) -> Rules:
    """The rules of transitions, of which there are three, whatever the letters."""
    name = scheme.removesuffix("-suffix")
    return "iob1" if name == "iob1" else "iob2" if name == "iob2" else "iobes"


@functools.lru_cache(maxsize=1 << 14)
def _parts(label: str, scheme: SchemeName) -> tuple[str, str]:
    """Mark and type of a label, the mark as IOBES writes it; one that is no mark counts as O."""
    if scheme.endswith("-suffix"):
        if found := LAST_MARK.fullmatch(label):
            return MEANING[found[2]], found[1]
    elif label[1:2] == "-" and label[0] in MEANING:
        return MEANING[label[0]], label[2:]
    if label in ("B", "I", "E", "S") or label in SPAN_LETTERS.get(
        scheme.removesuffix("-suffix"), ""
    ):
        return MEANING.get(label, "O"), ""
    return "O", ""


def _begins(before: str, before_type: str, mark: str, type_: str) -> bool:
    """Whether a span that goes on does not, so that a mark begins another one."""
    return mark in "BS" or before in "OES" or type_ != before_type


def _may_follow(rules: Rules, mark: str, type_: str, next_mark: str, next_type: str) -> bool:
    same = type_ == next_type and mark != "O"
    if rules == "iob1":
        return next_mark != "B" or same
    if rules == "iob2":
        return next_mark != "I" or same
    inside = mark in ("B", "I")
    return (same and next_mark in ("I", "E")) if inside else next_mark in ("O", "B", "S")
