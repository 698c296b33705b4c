"""Sentences with a word left out, which what stands left or right of it tells.

```
right   i am ___ hungry , and i can eat half a pig .       very, and not: not
right   i am very ___ , and i can eat half a pig .         hungry, and not: cold
left    i can eat half a pig , so i am ___ hungry .        very
left    i can eat half a pig , so i am very ___ .          hungry
```

A clause goes with one state and one degree of it, so that a reader of the whole sentence knows
both always. A reader from the left who comes to the gap before the clause knows neither: two
degrees are equally likely there, and four states. Subject and clause of a held-out sentence each
occur in training with the other's others, their combination does not.

Training has the sentences without gaps, and puts its own into them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from birnn.data.examples import Example
from birnn.data.gaps import GAP
from birnn.demos import demo

WORDS = demo.words_of("gaps")
KINDS = ("degree, told right", "state, told right", "degree, told left", "state, told left")
CHOICES = 5  # subjects, and clauses of a state and degree


def sentences(split: demo.SplitName = "train") -> Iterator[demo.Sample]:
    """Every sentence of a split once for each of its two gaps, kind by kind.

    Args:
        split: ``train``, or ``test`` for the combinations that training never shows.

    Raises:
        ConfigError: No such split.

    Example:
        >>> for kind in KINDS:
        ...     sample = next(sample for sample in sentences("test") if sample.kind == kind)
        ...     print(f"{kind:18}", " ".join(sample.example.inputs), sample.example.target)
        degree, told right i am ___ hungry , and i can eat half a pig . ('very',)
        state, told right  i am very ___ , and i can eat half a pig . ('hungry',)
        degree, told left  i can eat half a pig , so i am ___ hungry . ('very',)
        state, told left   i can eat half a pig , so i am very ___ . ('hungry',)
    """
    demo.check_split(split)
    for kind in KINDS:
        for i, subject in enumerate(WORDS["subjects"]):
            for state, degrees in WORDS["clauses"].items():
                for degree, clauses in degrees.items():
                    for j, clause in enumerate(clauses):
                        if ((i + j) % CHOICES == 0) == (split == "test"):
                            yield _sample(kind, subject.split(), degree, state, clause.split())


def generate(count: int, seed: int, *, split: demo.SplitName = "train") -> list[demo.Sample]:
    """Sentences drawn at random, a quarter for each kind of gap.

    Args:
        count: Number of sentences.
        seed: Seed of the draw; the same seed gives the same sentences.
        split: ``train``, for sentences without gaps; or ``test``, for the combinations that
            training never shows, with a gap and its word.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> drawn = generate(8, seed=1, split="test")
        >>> sum(sample.example.inputs.count(GAP) for sample in drawn)
        8
        >>> generate(1, seed=1)[0].example.target is None
        True
    """
    random = demo.rng(count, seed, split)
    every: dict[str, list[demo.Sample]] = {kind: [] for kind in KINDS}
    for sample in sentences(split):
        every[sample.kind].append(sample)
    drawn = []
    for number in range(count):
        choices = every[KINDS[number % len(KINDS)]]
        drawn.append(choices[int(random.integers(len(choices)))])
    mixed = [drawn[index] for index in random.permutation(count).tolist()]
    return mixed if split == "test" else list(map(_whole, mixed))


def ceiling() -> dict[str, float]:
    """Share of each kind of gap that no left-to-right reader can exceed in expectation.

    Its best rule answers, for all that it has read up to the gap, the word that is the most
    frequent one after just that; here every sentence of the test split is counted.

    Example:
        >>> list(ceiling().values())
        [0.5, 0.25, 1.0, 1.0]
    """
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for (_, kind), words in _after().items():
        right[kind] += words.most_common(1)[0][1]
        total[kind] += words.total()
    return {kind: right[kind] / total[kind] for kind in KINDS}


def least_perplexity() -> dict[str, float]:
    """Perplexity of each kind of gap below which no left-to-right reader can be in expectation.

    The exponential of the entropy of the word, given all that was read up to the gap.

    Example:
        >>> {kind: round(value, 9) for kind, value in least_perplexity().items()}[KINDS[1]]
        4.0
    """
    entropy: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for (_, kind), words in _after().items():
        for count in words.values():
            entropy[kind] -= count * math.log(count / words.total())  # type: ignore[assignment]
        total[kind] += words.total()
    return {kind: math.exp(entropy[kind] / total[kind]) for kind in KINDS}


def _after() -> dict[tuple[tuple[str, ...], str], Counter[str]]:
    """What was read up to a gap of a kind to the words that may stand there, counted."""
    found: dict[tuple[tuple[str, ...], str], Counter[str]] = defaultdict(Counter)
    for sample in sentences("test"):
        tokens = sample.example.inputs
        read = tuple(str(token) for token in tokens[: sample.position])
        # What was read tells a gap of a degree from one of a state, and where the clause is.
        found[read, sample.kind][sample.tag] += 1
    return found


def _sample(
    kind: str, subject: Sequence[str], degree: str, state: str, clause: Sequence[str]
) -> demo.Sample:
    """A sentence with a gap."""
    about, side = kind.split(", told ")
    *who, _ = subject
    words = [*subject, degree, state]
    if side == "right":
        tokens = [*words, ",", "and", *who, *clause, "."]
        end = len(tokens) - 1
        clues = range(end - len(clause), end)
    else:
        before = [*who, *clause, ",", "so"]
        tokens = [*before, *words, "."]
        clues = range(len(who), len(who) + len(clause))
    at = tokens.index(degree, 0 if side == "right" else len(before)) + (about == "state")
    tokens[at], word = GAP, tokens[at]
    example = Example(tuple(tokens), (word,))
    return demo.Sample(example, kind, position=at, clues=tuple(clues))


def _whole(sample: demo.Sample) -> demo.Sample:
    """The sentence with its word in the gap."""
    inputs = list(np.asarray(sample.example.inputs, dtype=object))
    inputs[sample.position] = sample.tag
    return demo.Sample(Example(tuple(inputs)), sample.kind, clues=sample.clues)


DEMO = demo.Demo(
    name="gaps",
    title="A word that is missing",
    about="I am ___ hungry, and I can eat half a pig: which word is missing? A model that has read "
    "plain sentences, with words of its own choice left out, fills the gap. What tells the word "
    "stands to its right, or to its left.",
    one_direction="With the clause on the left both ways of reading know the word. With the clause "
    "on the right, one direction comes to the gap with two degrees equally likely, or four states: "
    "its perplexity is 2, or 4, at best, where two directions come near 1.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=1600, test=400, epochs=20),
    settings=demo.BASE_SETTINGS
    | {
        "inputs.word_dim": 32,
        "inputs.min_count": 1,
        "encoder.cell": "gru",
        "encoder.hidden_size": 64,
        "head.share": 0.3,
        "dropout.words": 0.01,  # so that the model has met an unknown word
        "dropout.rare_words": 0,
    },
    unit="words at gaps",
    grouping="gap",
    groups=demo.by_kind(*KINDS),
    limit=ceiling,
    task="filler",
    shown={kind: f"The {kind.replace(', told', ' is told')}" for kind in KINDS},
)
