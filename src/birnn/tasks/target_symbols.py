"""Target symbols: what training examples say of them, and how they are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from statistics import median
from typing import Any

import numpy as np

from birnn.data.alphabet import CHARACTERS, SPACES
from birnn.data.examples import Example
from birnn.errors import DataError, escaped
from birnn.inputs.vocabulary import Vocabulary

BOUNDARY_SYMBOL = "<s>"
"""Starts a target, as the decoder's first input, and ends it, as its last output: number 0."""

# What stands between symbols that were split so; others were split at what stands between them.
SEPARATORS = {CHARACTERS: "", SPACES: " "}

CUT = "\tcut"  # one cell more, in a line of an answer that did not end

# Most symbols of an answer, whatever its source, and for each step of the source.
MOST_FIXED = 100_000
MOST_EACH = 1_000.0

# An answer may be longer than the targets of training by this many symbols.
LONGER = 10
# The fixed part of the bound is at most so many times the length that 99 % of targets keep to.
TIMES = 4


def symbols_of(example: Example, where: str) -> tuple[str, ...]:
    """The target symbols of an example.

    Args:
        example: The example.
        where: Its name in messages.

    Raises:
        DataError: Its target is of another kind.
    """
    target = example.target
    if not isinstance(target, tuple | list):
        raise DataError(f"{where}: its target is {target!r}, a seq2seq model needs target symbols")
    return tuple(target)


def count_symbols(train: Sequence[Example], targets: Sequence[Sequence[str]]) -> Vocabulary:
    """The symbols of training targets with their counts, the boundary symbol before them.

    Args:
        train: Training examples, which are named in messages.
        targets: Their target symbols.

    Raises:
        DataError: There is no symbol, or one that is written as the boundary symbol.

    Example:
        >>> count_symbols([], ["ab", "b"]).items
        ('<s>', 'b', 'a')
    """
    counted = Vocabulary.count(chain.from_iterable(targets), unknown=False)
    if not len(counted):
        raise DataError(
            "all targets of the training data are empty: there is nothing to write. "
            "Check the column that they are read from."
        )
    if BOUNDARY_SYMBOL in counted:
        where = next(e.where or "an example" for e in train if BOUNDARY_SYMBOL in (e.target or ()))
        raise DataError(
            f"{where}: {BOUNDARY_SYMBOL} is a symbol of a target, and stands for its ends in the "
            "model. Write it in another way."
        )
    assert counted.counts is not None
    counts = np.insert(counted.counts, 0, len(targets))
    return Vocabulary((BOUNDARY_SYMBOL, *counted.items), counts, unknown=False)


def separator_of(symbols: Sequence[str]) -> str:
    """What parts printed symbols so that they can be told apart.

    Example:
        >>> separator_of("ab"), separator_of(["K", "AE"]), separator_of(["new york", "la"])
        ('', ' ', ' | ')
    """
    if all(len(symbol) == 1 for symbol in symbols):
        return ""
    written = "".join(symbols)
    if not any(map(str.isspace, written)):
        return " "
    return next((f" {mark} " for mark in "|;,/" if mark not in written), "\t")


def longest_of(train: Sequence[Example], targets: Sequence[Sequence[str]]) -> tuple[int, float]:
    """The bound of an answer's length: twice what is usual, and more if longer targets are usual.

    The part for each step is twice the median of symbols for a step. The fixed part is chosen so
    that all training targets fit, but not beyond `TIMES` the length that 99 % of them keep to: a
    few that are far longer would have every answer that does not end go on as long.

    Example:
        >>> longest_of([Example("ab"), Example("abcd"), Example("")], ["x", "xyz", "x"])
        (11, 1.25)
        >>> longest_of([Example("ab")] * 40, ["xy"] * 39 + ["x" * 20_000])
        (18, 2.0)
    """
    pairs = [(len(example), len(target)) for example, target in zip(train, targets, strict=True)]
    ratios = [symbols / steps for steps, symbols in pairs if steps]
    each = min(math.ceil(200 * median(ratios or [0.0])) / 100, MOST_EACH)
    beyond = max(symbols - math.floor(each * steps) for steps, symbols in pairs)
    lengths = sorted(symbols for _, symbols in pairs)
    usual = lengths[math.floor(0.99 * (len(lengths) - 1))]
    return min(LONGER + max(0, min(beyond, TIMES * usual)), MOST_FIXED), each


def lengths_notice(
    train: Sequence[Example], targets: Sequence[Sequence[str]], longest: tuple[int, float]
) -> str:
    """The notice of how long targets are."""
    lengths = sorted(map(len, targets))
    most = max(range(len(targets)), key=lambda number: len(targets[number]))
    where = f" ({train[most].where})" if train[most].where else ""
    fixed, each = longest
    beyond = sum(
        len(target) > fixed + math.floor(each * len(example))
        for example, target in zip(train, targets, strict=True)
    )
    more = f": {beyond:,} of {len(targets):,} targets are longer, and learnt whole"
    return (
        f"targets of {lengths[len(lengths) // 2]:,} symbols (median), {lengths[-1]:,} at most"
        f"{where}; an answer ends after {fixed:,} + {each:g} symbols for each "
        f"step of its source{more if beyond else ''}"
    )


def nbest_lines(example: Example, nbest: Sequence[Any], separator: str) -> str:
    r"""The n best targets of a source, a line each: source, rank, score and target between tabs.

    Args:
        example: The source.
        nbest: Its targets, `birnn.runtime.Hypothesis`, the best first; one that did not end has
            one cell more, `CUT`.
        separator: What stands between symbols.

    Example:
        >>> from types import SimpleNamespace
        >>> found = SimpleNamespace(symbols=("b", "e"), score=-0.5, ended=True)
        >>> nbest_lines(Example(("B",), text="B"), [found], " ")
        'B\t1\t-0.5000\tb e\n'
    """
    source = escaped(_source(example))
    return "".join(
        f"{source}\t{rank}\t{found.score:.4f}\t{escaped(separator.join(found.symbols))}"
        f"{'' if found.ended else CUT}\n"
        for rank, found in enumerate(nbest, 1)
    )


def nbest_records(nbest: Sequence[Any]) -> list[dict[str, Any]]:
    """The n best targets of a source as JSON objects."""
    return [
        {
            "target": list(found.symbols),
            "score": round(found.score, 6),
            "log_probability": round(found.log_probability, 6),
            "ended": found.ended,
        }
        for found in nbest
    ]


def _source(example: Example) -> str:
    """A source as one column has it: its text, its name, or where it stands."""
    if example.text is not None:
        return example.text
    if isinstance(example.inputs, tuple):
        single = all(len(step) == 1 for step in example.inputs)
        return ("" if single else " ").join(example.inputs)
    return example.id or example.where
