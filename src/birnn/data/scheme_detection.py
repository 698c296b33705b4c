"""Which tag scheme tags are in, of those in `birnn.data.schemes`, as their letters show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, cast

from birnn.data.schemes import (
    LAST_MARK,
    MEANING,
    SPAN_LETTERS,
    SchemeName,
    convert,
    marks,
    violations,
)

# Labels that mark no span where others do are taken for mistakes, if they are at most so many, or
# cover at most this share of the tokens.
FEW_LABELS = 3
FEW_TOKENS = 0.05

_FIRST_MARK = re.compile(r"([BIESLUMW])-(.+)", re.DOTALL)


class Found(NamedTuple):
    """The scheme of tags, and the few labels of them that are none of its marks."""

    scheme: SchemeName
    strays: tuple[str, ...]


def find(sequences: Iterable[Sequence[str]]) -> Found:
    """The scheme of tag sequences, and the labels that do not fit where all but a few do.

    Labels are O and marks with a type, before it or after it; or, where O and B stand alone, or all
    four of BMES, BIES or BMEW, marks without a type. The letters decide; between IOB1 and
    IOB2 the one with fewer violations is taken, IOB2 if there is no difference.

    Example:
        >>> find([["B-PER", "I-PER", "0"]])
        Found(scheme='iob2', strays=('0',))
        >>> find([["B-PER", "L-PER", "O"]]), find([["PER-B", "PER-I", "O"]])
        (Found(scheme='bilou', strays=()), Found(scheme='iob2-suffix', strays=()))
    """
    sequences = [list(tags) for tags in sequences]
    counts = Counter(tag for tags in sequences for tag in tags)
    letters, suffix = _typed(counts)
    # Marks are usually in front; labels that happen to end in -S or -E begin no span.
    surely = {"B", "I"} if suffix or "O" not in counts else set(MEANING)
    if not surely & set(letters.values()):
        letters, suffix = _bare(counts), False
    if not letters:
        return Found("none", ())
    family = _family(counts, letters)
    marks = {label for label, letter in letters.items() if letter in SPAN_LETTERS[family]} | {"O"}
    strays = tuple(sorted(counts.keys() - marks, key=lambda label: (-counts[label], label)))
    rare = sum(counts[label] for label in strays) <= FEW_TOKENS * counts.total()
    few = len(strays) <= FEW_LABELS and len(strays) < len(marks & counts.keys())
    if strays and not rare and not few:
        return Found("none", ())
    if family == "iob2":
        faults = {
            name: sum(violations(tags, _named(name, suffix)) for tags in sequences)
            for name in ("iob1", "iob2")
        }
        family = "iob1" if faults["iob1"] < faults["iob2"] else "iob2"
    return Found(_named(family, suffix), strays)


def detect(sequences: Iterable[Sequence[str]]) -> SchemeName:
    """The scheme of tag sequences; ``none`` where a single label does not fit, see `find`.

    Example:
        >>> detect([["B-PER", "I-PER", "O"]]), detect([["O", "I-PER"]]), detect([["NOUN"]])
        ('iob2', 'iob1', 'none')
    """
    found = find(sequences)
    return "none" if found.strays else found.scheme


def in_letters_of(scheme: SchemeName, tags: Sequence[str]) -> tuple[str, ...]:
    """The tags as the scheme writes them, where they mark spans in letters of another one.

    Example:
        >>> in_letters_of("iob2", ["U-PER", "O"]), in_letters_of("iob2", ["I-PER", "X"])
        (('B-PER', 'O'), ('I-PER', 'X'))
    """
    written = other_letters(scheme, tags)
    # Labels without a mark may be mistakes, or tags of another kind: the tags stay as they are.
    if written is None or not set(tags) <= _typed(tags)[0].keys() | {"O"}:
        return tuple(tags)
    return convert(tags, written, scheme)


def other_letters(scheme: SchemeName, tags: Sequence[str]) -> SchemeName | None:
    """The scheme in which tags are written, where they mark spans in letters of another one."""
    counts = Counter(tags)
    letters, suffix = _typed(counts)
    if scheme == "none" or all(marks(tag, scheme) for tag in letters):
        return None
    return _named(_family(counts, letters), suffix)


def _named(family: str, suffix: bool) -> SchemeName:
    return cast("SchemeName", f"{family}-suffix" if suffix else family)


def _typed(labels: Collection[str]) -> tuple[dict[str, str], bool]:
    """The letter of each label that has a mark and a type, and whether the mark is last."""
    first, last = {}, {}
    for label in labels:
        if mark := _FIRST_MARK.fullmatch(label):
            first[label] = mark[1]
        if mark := LAST_MARK.fullmatch(label):
            last[label] = mark[2]
    return (last, True) if len(last) > len(first) else (first, False)


def _bare(labels: Iterable[str]) -> dict[str, str]:
    """The marks of labels without types."""
    present = set(labels)
    single = {label: label for label in present if label in MEANING}
    alphabets = ({*"BIES"}, {*"BILU"}, {*"BMES"}, {*"BMEW"})
    if {"O", "B"} <= present and any(present <= letters | {"O"} for letters in alphabets):
        return single
    # As in Chinese word segmentation: every character is part of a word, so there is no O.
    if any(present == letters for letters in alphabets):
        return single
    return single if {"O", "B", "I"} <= present and len(present - {*"OBIES"}) == 1 else {}


def _family(counts: Counter[str], letters: dict[str, str]) -> str:
    """The scheme whose letters hold most; IOB2 for both of IOB."""
    weight: Counter[str] = Counter()
    for label, letter in letters.items():
        weight[letter] += counts[label]
    if weight.keys() <= {"B", "I"}:
        return "iob2"
    families = ("iobes", "bilou", "bmes", "bmewo")
    return max(families, key=lambda name: sum(weight[letter] for letter in SPAN_LETTERS[name]))
