"""Is this base coding, and which of its codon? Both ends of a reading frame have to be found.

```
C A T G C C A G A T T G A C      ATG CCA GAT TGA: closed, so it is coding
0 1 2 3 1 2 3 1 2 3 1 2 3 0
C A T G C C A G A T T C A C      no stop codon in the frame: nothing is coding
0 0 0 0 0 0 0 0 0 0 0 0 0 0
```

The rule that tags a sequence (`tags_of`): the first ``ATG`` opens a reading frame; the first of
``TAA``, ``TAG``, ``TGA`` in that frame closes it, and the bases from the one to the other, both
included, are tagged with their places in their codons. Then the search starts anew. A frame that
is open at the end of the sequence has no coding base, and nothing inside of it is searched.

Bases are drawn one by one, with chances (`CHANCES`) that depend on where the reader of the rule
stands, so that start and stop codons are frequent enough to be learnt from short sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo
from birnn.errors import ConfigError

BASES = "ACGT"
OUTSIDE = "0"
START, STOPS = "ATG", ("TAA", "TAG", "TGA")
LENGTH = 45

# Where the reader of the rule stands: what of a start codon it has read, or after SEARCHED, what
# of a codon in an open frame. For each, the chances of A, C, G and T to come next.
_ANY = (0.25, 0.25, 0.25, 0.25)
CHANCES: dict[str, tuple[float, float, float, float]] = {
    "": (0.3, 0.2, 0.2, 0.3),
    "A": (0.2, 0.2, 0.2, 0.4),
    "AT": (0.15, 0.15, 0.55, 0.15),
    "+": (0.2, 0.15, 0.2, 0.45),
    "+T": (0.35, 0.2, 0.25, 0.2),
    "+TA": (0.3, 0.2, 0.3, 0.2),
    "+TG": (0.4, 0.2, 0.2, 0.2),
    "+-": _ANY,
    "+--": _ANY,
}


def generate(
    count: int, seed: int, *, split: demo.SplitName = "train", length: int = LENGTH
) -> list[demo.Sample]:
    """Sequences of bases, each base tagged with its place in its codon, or ``0``.

    The kind of a sample is ``open`` if its last frame is never closed, else ``closed`` if there is
    a frame, else ``none``.

    Args:
        count: Number of sequences.
        seed: Seed of the draw.
        split: ``train``, or ``test`` for sequences that no training set can hold.
        length: Bases of each sequence.

    Raises:
        ConfigError: A negative count, no such split, or a length without room for a frame.

    Example:
        >>> sample = generate(1, seed=5, length=30)[0]
        >>> print("".join(sample.example.inputs), sample.kind)
        TTGAACCAATGCCTTTCGGATATAGTCTTA open
        >>> print("".join(sample.example.target))
        000000000000000000000000000000
        >>> print("".join("-?"[later] for later in sample.decided_later))
        ---??--???????????????????----
    """
    if length < len(START) + len(STOPS[0]):
        raise ConfigError(f"length is {length}, a start and a stop codon need 6 or more")
    random = demo.rng(count, seed, split)
    samples: list[demo.Sample] = []
    while len(samples) < count:
        bases = _draw(random, length)
        if demo.in_split(bases, split):
            samples.append(_sample(bases))
    return samples


def tags_of(bases: Sequence[str]) -> tuple[str, ...]:
    """The tags that the rule gives to a sequence of bases.

    Example:
        >>> "".join(tags_of("CATGCCATAGAT")), "".join(tags_of("ATGATGA"))
        ('012312312300', '0000000')
    """
    tags = [OUTSIDE] * len(bases)
    text = "".join(bases)
    start = text.find(START)
    while start >= 0:
        codons = range(start, len(text) - 2, 3)
        end = next((at + 3 for at in codons if text[at : at + 3] in STOPS), None)
        if end is None:
            break
        tags[start:end] = ["1", "2", "3"] * ((end - start) // 3)
        start = text.find(START, end)
    return tuple(tags)


def ceiling_by_position(length: int = LENGTH) -> list[dict[str, float]]:
    """What a left-to-right reader can reach at each position, in expectation.

    Where the reader of the rule stands says all that the bases so far tell about the tag of the
    last one. So the chance of standing anywhere is followed base by base; the chance that the
    last base turns out coding, `_coding`, comes from what is left; the better bet loses the
    smaller of the two chances.

    Args:
        length: Bases of each sequence.

    Returns:
        For each position: ``later``, the share of sequences in which the tag is still open, and
        ``right``, in which it is and the best bet is right. Elsewhere the tag is known.
    """
    standing = {"": 1.0}
    found = []
    for position in range(length):
        after: dict[str, float] = {}
        share = {"later": 0.0, "right": 0.0}
        for place, probability in standing.items():
            for base, chance in zip(BASES, CHANCES[place], strict=True):
                arrived, closed = _read(place, base)
                after[arrived] = after.get(arrived, 0.0) + probability * chance
                coding = 1.0 if closed else _coding(arrived, length - 1 - position)
                if 0 < coding < 1:
                    share["later"] += probability * chance
                    share["right"] += probability * chance * max(coding, 1 - coding)
        standing = after
        found.append(share)
    return found


def ceiling(length: int = LENGTH) -> dict[str, float]:
    """Accuracy that no left-to-right reader can exceed in expectation, by group of bases.

    Returns:
        Shares of the bases whose tag is decided later, decided so far, and of all.

    Example:
        >>> {group: round(share, 3) for group, share in ceiling().items()}
        {'decided later': 0.733, 'decided so far': 1.0, 'all': 0.843}
    """
    found = ceiling_by_position(length)
    later, right = (sum(share[name] for share in found) / length for name in ("later", "right"))
    return demo.limit_by_group(later, right)


def _draw(random: np.random.Generator, length: int) -> list[str]:
    place, bases = "", []
    for _ in range(length):
        bases.append(BASES[random.choice(len(BASES), p=CHANCES[place])])
        place, _ = _read(place, bases[-1])
    return bases


def _sample(bases: list[str]) -> demo.Sample:
    place, later = "", []
    for position, base in enumerate(bases):
        place, closed = _read(place, base)
        later.append(not closed and 0 < _coding(place, len(bases) - 1 - position) < 1)
    tags = tags_of(bases)
    kind = "open" if place.startswith("+") else "closed" if set(tags) != {OUTSIDE} else "none"
    return demo.Sample(Example(tuple(bases), tags), kind, tuple(later))


def _read(place: str, base: str) -> tuple[str, bool]:
    """Where the reader of the rule stands after one more base, and whether that closed a frame."""
    if not place.startswith("+"):
        read = place + base
        if read == START:
            return "+", False
        return next(read[at:] for at in range(len(read) + 1) if START.startswith(read[at:])), False
    if len(place) == 3:
        closed = place[1:] + base in STOPS
        return ("", True) if closed else ("+", False)
    read = place[1:] + base
    return "+" + (read if any(stop.startswith(read) for stop in STOPS) else "-" * len(read)), False


@cache
def _coding(place: str, left: int) -> float:
    """Chance that the base just read turns out coding, with so many bases left to come."""
    if not place:
        return 0.0
    if place.startswith("+"):
        return _closing(place, left)
    if left < len(START) - len(place):
        return 0.0
    goes_on = CHANCES[place][BASES.index(START[len(place)])]
    return goes_on * (_coding("AT", left - 1) if place == "A" else _closing("+", left - 1))


@cache
def _closing(place: str, left: int) -> float:
    """Chance that the open frame is closed within the bases that are left."""
    if left == 0:
        return 0.0
    total = 0.0
    for base, chance in zip(BASES, CHANCES[place], strict=True):
        after, closed = _read(place, base)
        total += chance * (1.0 if closed else _closing(after, left - 1))
    return total


DEMO = demo.Demo(
    name="bases",
    title="Open reading frames",
    about="Sequences of the bases A, C, G and T. A reading frame opens at the first ATG and is "
    "coding only if a stop codon follows in the same frame before the sequence ends. Coding bases "
    "are tagged with their places in their codons (1, 2, 3), all others 0.",
    one_direction="A reader from the left sees the frame open and counts its codons, but whether a "
    "stop codon will come it can only bet: yes while much of the sequence is left, no near its "
    "end.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=1500, test=500, epochs=16),
    settings=demo.BASE_SETTINGS
    | {
        "inputs.symbol_dim": 8,
        "encoder.cell": "gru",
        "encoder.hidden_size": 32,
        "dropout.words": 0,
        "training.learning_rate": 0.03,
    },
    unit="bases",
    grouping="tag",
    groups=demo.by_decision,
    limit=ceiling,
)
