"""The tag scheme of training data: detection, correction of illegal tags, conversion of dev."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from birnn.data import Example, convert, find, in_letters_of, marks, violations
from birnn.data.scheme_detection import other_letters
from birnn.data.schemes import SchemeName
from birnn.errors import ConfigError, DataError

SHOWN = 3  # labels that a message names


def tag_scheme(
    train: Sequence[Example],
    dev: Sequence[Example],
    setting: Literal["auto"] | SchemeName,
    notices: list[str],
) -> SchemeName:
    """The scheme of a tagger's training examples, as set or as detected.

    Args:
        train: Training examples.
        dev: Examples that decide which weights are kept.
        setting: ``head.scheme``.
        notices: Receives notices, a line each.

    Raises:
        DataError: A few tags mark no span where all others do; the message names them.
        ConfigError: A setting that does not fit the tags.
    """
    if setting == "none":
        return "none"
    if setting != "auto":
        return _as_set(train, setting)
    scheme, strays = find(map(tags_of, train))
    if strays:
        raise _strays(train, scheme, strays)
    if scheme == "none":
        notices.append("the tags mark no spans: each is scored by itself; head.scheme sets it")
        return "none"
    strays = find(in_letters_of(scheme, tags_of(example)) for example in dev).strays
    if strays:
        raise _strays(dev, scheme, strays)
    notices.append(
        f"the tags mark spans ({scheme.upper()}), which F1 counts as wholes; head.scheme=none: no "
        "spans"
    )
    return scheme


def with_legal_tags(
    train: Sequence[Example], scheme: SchemeName, notices: list[str]
) -> Sequence[Example]:
    """The training examples with illegal tags made legal, of the spans that the scorer reads.

    A CRF gives an illegal sequence probability 0, so it could not learn from one.
    """
    legal = [
        replace(example, target=convert(example.target, scheme, scheme))
        if isinstance(example.target, tuple) and violations(example.target, scheme)
        else example
        for example in train
    ]
    changed = sum(after is not before for after, before in zip(legal, train, strict=True))
    if changed:
        notices.append(
            f"{changed} training sequences break the {scheme} scheme; their spans are kept, "
            "their tags made legal"
        )
    return legal


def with_letters_of(
    scheme: SchemeName, dev: Sequence[Example], notices: list[str]
) -> Sequence[Example]:
    """The examples with spans in letters of another scheme converted to this one."""
    for example in dev:
        other = other_letters(scheme, tags_of(example))
        if other is not None:
            where = f"{example.where}: " if example.where else ""
            notices.append(
                f"{where}dev marks spans as {other.upper()}, training as {scheme.upper()}: they "
                "are compared as spans"
            )
            break
    return [
        example
        if (tags := tags_of(example)) == (written := in_letters_of(scheme, tags))
        else replace(example, target=written)
        for example in dev
    ]


def tags_of(example: Example) -> tuple[str, ...]:
    """The tags of an example, none where its target is something else."""
    return example.target if isinstance(example.target, tuple) else ()


def _as_set(train: Iterable[Example], scheme: SchemeName) -> SchemeName:
    labels = sorted({tag for example in train for tag in tags_of(example)})
    if not any(marks(label, scheme) for label in labels):
        raise ConfigError(
            f"head.scheme is {scheme}, and no tag marks a span so: {', '.join(labels[:SHOWN])}..."
        )
    found = find(map(tags_of, train)).scheme
    # IOB1 and IOB2 share their letters, so that tags alone may not tell which was meant.
    same = {found, scheme} <= {"iob1", "iob2"} or {found, scheme} <= {"iob1-suffix", "iob2-suffix"}
    if found not in ("none", scheme) and not same:
        raise ConfigError(f"head.scheme is {scheme}, the tags mark spans as {found} has it")
    return scheme


def _strays(examples: Sequence[Example], scheme: SchemeName, strays: Sequence[str]) -> DataError:
    """The error that names the few labels, each with its first place."""
    first: dict[str, str] = {}
    for example in examples:
        for step, tag in enumerate(tags_of(example)):
            if tag in strays and tag not in first:
                first[tag] = example.place(step)
    (label, place), *others = sorted(first.items(), key=lambda pair: strays.index(pair[0]))
    more = "".join(f", {other!r} ({where})" for other, where in others[: SHOWN - 1])
    if len(others) >= SHOWN:
        more += f" and {len(others) - SHOWN + 1} more"
    return DataError(
        f"{place}: the tag {label!r}{more} marks no span, where the others do ({scheme.upper()}). "
        "Correct it, or say what is meant: head.scheme=none takes all tags as they are, "
        f"head.scheme={scheme} takes it for a tag outside spans (--set on the command line)."
    )
