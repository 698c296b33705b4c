"""Pairs of a source and a target sequence: how both are split, and several targets of one source.

Readers leave both sides of a pair as texts: how they are split shows in more than one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, cast

from birnn.data.alphabet import CHARACTERS, SPACES, split_symbols
from birnn.data.conversion import shortened
from birnn.data.examples import Example, TargetKind
from birnn.data.options import ReadRequest
from birnn.errors import Tell

# Pairs that are looked at before the first is split; where they may still be arriving, few.
SAMPLE, LIVE_SAMPLE = 10_000, 8

Symbols = tuple[str, ...]


def split_pairs(
    examples: Iterable[Example], request: ReadRequest, tell: Tell, *, live: bool = False
) -> Iterator[Example]:
    """Examples whose sources and targets are texts, with both split into symbols.

    A way that is given and splits no text of a side is told.
    A side that is a list already stays as it is. Where the options and the model's symbols say
    nothing, a side is split at spaces if at least half of its texts have some inside, else into
    characters; that is told in one line, and recorded in ``request.found``.

    Args:
        examples: Sources: inputs, or where they are empty ``text``. Targets: tuples of symbols, or
            strings.
        request: What is read.
        tell: Takes the notice.
        live: Whether the examples may still be arriving, so that few are waited for.

    Example:
        >>> pairs = [Example((), "K AE T", text="cat"), Example((), "D AO G", text="dog")]
        >>> first, _ = split_pairs(pairs, ReadRequest("sequence"), print)
        sources are split into characters, targets at spaces. Options: --source-split, \
--target-split
        >>> first.inputs, first.target
        (('c', 'a', 't'), ('K', 'AE', 'T'))
    """
    options, alphabet = request.options, request.alphabet
    ways = {"source": options.source_split, "target": options.target_split}
    if ways["source"] is None and alphabet is not None and alphabet.known:
        ways["source"] = CHARACTERS if alphabet.single else SPACES
    if not request.labelled:
        del ways["target"]
    waiting = iter(examples)
    # Where pairs are answered only, they are not waited for.
    given = [side for side in ways if request.labelled and options.given(f"{side}_split")]
    if None in ways.values() or given:
        sample = list(islice(waiting, LIVE_SAMPLE if live else SAMPLE))
        waiting = chain(sample, waiting)
        told = []
        for side in (side for side, way in ways.items() if way is None):
            texts, lists = _side(sample, side)
            ways[side] = way = _guessed(texts) if any(texts) else _like(lists)
            request.found[f"{side}_split"] = way
            if any(texts):
                told.append(_in_words(side, way, texts))
        if told:
            names = ", ".join(f"--{side}-split" for side in ways)
            told[0] = told[0].replace("s ", "s are split ", 1)
            tell(f"{', '.join(told)}. Options: {names}")
        whole = [line for side in given if (line := _unsplit(sample, side, ways[side] or SPACES))]
        if whole:
            tell("; ".join(whole))
    for example in waiting:
        yield _split(example, ways["source"] or SPACES, ways.get("target") or SPACES)


def grouped(examples: Iterable[Example], target: TargetKind, tell: Tell) -> Iterable[Example]:
    """One example for each source, in the order of their first, with all its target sequences.

    Args:
        examples: Examples that answers are held against. Sources of vectors are never taken for
            equal.
        target: The kind of target; examples with one of another kind stay as they are.
        tell: Takes a notice, one line, where a source stands more than once.

    Example:
        >>> pairs = [Example(("a",), ("x",)), Example(("b",), ("y",)), Example(("a",), ("z",))]
        >>> found = grouped(pairs, "sequence", print)
        1 source has several targets, any of which is right: 3 pairs are 2 sequences
        >>> found[0].target, found[0].references
        (('x',), (('z',),))
    """
    if target != "sequence":
        return examples
    groups: dict[Any, list[Example]] = {}
    pairs = 0
    for number, example in enumerate(examples):
        source = example.inputs if isinstance(example.inputs, tuple) else number
        groups.setdefault(source, []).append(example)
        pairs += 1
    found = [_of_one_source(each) for each in groups.values()]
    several = sum(bool(example.references) for example in found)
    if len(found) < pairs:
        told = "pairs that stand more than once count once"
        if several:
            have = "1 source has" if several == 1 else f"{several:,} sources have"
            told = f"{have} several targets, any of which is right"
        tell(f"{told}: {pairs:,} pairs are {len(found):,} sequences")
    return found


def each_target(examples: Iterable[Example]) -> Iterator[Example]:
    """A pair for each target of the examples, as training learns them.

    Example:
        >>> [e.target for e in each_target([Example(("a",), ("x",), references=(("z",),))])]
        [('x',), ('z',)]
    """
    for example in examples:
        if not example.references:
            yield example
            continue
        for target in (cast("Symbols", example.target), *example.references):
            yield replace(example, target=target, references=())


def _of_one_source(examples: Sequence[Example]) -> Example:
    first = examples[0]
    if len(examples) == 1 and not first.references:
        return first
    targets = dict.fromkeys(cast("Symbols", e.target) for e in each_target(examples))
    target, *others = targets
    return replace(first, target=target, references=tuple(others))


def _side(examples: Sequence[Example], side: str) -> tuple[list[str], list[Symbols]]:
    """The texts of one side of pairs, and those that are lists already."""
    texts: list[str] = []
    lists: list[Symbols] = []
    for example in examples:
        given: Iterable[Any] = (example.target, *example.references)
        if side == "source":
            given = (example.inputs if len(example.inputs) else example.text,)
        for each in given:
            if isinstance(each, str):
                texts.append(each)
            elif isinstance(each, tuple):
                lists.append(each)
    return texts, lists


def _guessed(texts: Sequence[str]) -> str:
    texts = [text for text in map(str.strip, texts) if text]
    parted = sum(any(map(str.isspace, text)) for text in texts)
    return SPACES if 2 * parted >= len(texts) else CHARACTERS


def _unsplit(examples: Sequence[Example], side: str, way: str) -> str:
    """A line where a way that was asked for splits not one text of a side; empty elsewhere."""
    texts = [text for text in map(str.strip, _side(examples, side)[0]) if text]
    if all(len(text) < 2 for text in texts) or any(len(split_symbols(t, way)) > 1 for t in texts):
        return ""
    what = "white space" if way == SPACES else repr(way)
    return (
        f"--{side}-split={way} splits no {side}: none of {len(texts):,} holds {what}, so each is "
        f"one symbol, as {shortened(texts[0], 40)}"
    )


def _like(lists: Sequence[Symbols]) -> str:
    """The way in which texts would be split to be like lists."""
    return CHARACTERS if all(len(symbol) == 1 for symbol in chain(*lists)) else SPACES


def _in_words(side: str, way: str, texts: Sequence[str]) -> str:
    """The way as the notice says it, with a hint at what else may separate symbols."""
    told = f"{side}s {'at spaces' if way == SPACES else 'into characters'}"
    texts = [text for text in map(str.strip, texts) if text]
    marks = Counter(
        mark for text in texts for mark in set(text[1:-1]) if not (mark.isalnum() or mark.isspace())
    )
    for mark, count in marks.most_common(1):
        if way == CHARACTERS and len(texts) > 1 and 2 * count >= len(texts):
            told += f" (if {mark!r}, which {count:,} of {len(texts):,} hold, separates symbols: "
            told += f"--{side}-split={mark!r})"
    return told


def _split(example: Example, source_way: str, target_way: str) -> Example:
    inputs, target, references = example.inputs, example.target, example.references
    if example.text is not None and not len(inputs):
        inputs = split_symbols(example.text, source_way)
    if isinstance(target, str):
        target = split_symbols(target, target_way)
    if references:
        given: tuple[Any, ...] = references
        references = tuple(
            split_symbols(each, target_way) if isinstance(each, str) else each for each in given
        )
    return replace(example, inputs=inputs, target=target, references=references)
