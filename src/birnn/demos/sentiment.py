"""Reviews whose verdict turns on what comes later, or on what is said of the words themselves.

```
the acting started out great and ended up awful .          negative
the acting ended up great , it had started out awful .     positive
although the plot was awful , the film was amazing .       positive
nothing about the soup was bad .                           positive
the lobby was average , far from being a joy .             neutral
```

A frame (`sentiment_lexicon.FRAMES`) holds one finding or two, and its words say which of them is
the verdict. Where there are two they differ, and each pair of findings comes in both orders, with
opposite verdicts and the same words: so no count of words can tell which is right (`bag_ceiling`),
let alone a single word (`word_ceiling`).

A held-out sentence is new in one of two ways (`Case.novelty`): `filler`, a finding that training
never shows in that frame, or `combination`, findings and aspect that it never shows together.

What is one direction short of here? In principle nothing, if it is asked at the end: the state
after the last word has read all of them, so with pooling `last` one direction can be right always,
and two directions can do no better. With `mean` and `max` the answer rests on the states at all
words, and those of one direction up to the turn speak for the wrong verdict: the model has to
learn to hold back, or to outvote them. That is harder to learn, not impossible, so there is no
ceiling for it. `early_ceiling` says what can be known before the last finding is read: the most
that a reader from the left can make of any state before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

import numpy as np

from birnn.data.examples import Example
from birnn.demos.cases import STEADY, Facts, Size, Split, source_of_chance
from birnn.demos.sentiment_lexicon import FINDINGS, FRAMES, THINGS

Novelty = Literal["", "filler", "combination"]

LABELS = tuple(FINDINGS)
KINDS = tuple(FRAMES)
NOVELTIES: dict[Split, tuple[Novelty, ...]] = {"train": ("",), "test": ("filler", "combination")}
SLOTS = ("{first}", "{second}")  # where a frame holds its findings
_OPPOSITE = {"positive": "negative", "negative": "positive"}

FACTS = Facts(
    title="A verdict that turns",
    about="Short reviews, each positive, negative or neutral. Most hold two findings, and the "
    "words around them say which one counts: what came in the end, what the writer thinks and not "
    "the critics, what is not denied. The same words in another order give another verdict.",
    one_direction="Asked after the last word, one direction has read everything and can be right, "
    "so two directions need not be better. But its states before the turn speak for the wrong "
    "verdict. Pooling by mean or maximum takes them in, and the model has to learn to outvote "
    "them.",
)
SETTINGS = STEADY | {
    "inputs.word_dim": 32,
    "inputs.character_hidden": 0,
    "inputs.surface_dim": 0,
    "inputs.class_ratios": "false",
    "encoder.cell": "lstm",
    "encoder.hidden_size": 32,
    "head.pooling": "last",
    "dropout.words": 0.01,  # so that the model has met an unknown word
    "dropout.rare_words": 0,
    "dropout.inputs": 0.1,
    "dropout.output": 0.1,
    "training.label_smoothing": 0,
}
DEFAULT = Size(train=1200, test=600, epochs=10)


@dataclass(frozen=True, slots=True)
class Case:
    """A review, and what there is to know about it.

    Args:
        example: Tokens and their verdict.
        kind: A key of `sentiment_lexicon.FRAMES`.
        novelty: What training never shows of it; empty for a sentence of training.
        clues: Indices of the words that decide, in order.
        lure: Indices of the words that speak for another verdict, in order.
    """

    example: Example
    kind: str
    novelty: Novelty
    clues: tuple[int, ...]
    lure: tuple[int, ...]

    @property
    def turns(self) -> bool:
        """Whether words that speak for another verdict come before the last that decides.

        Example:
            >>> turned = next(case for case in generate(50, seed=0) if case.kind == "turn")
            >>> print(" ".join(turned.example.inputs))
            the concert was a routine job until the stage turned it into something charming .
            >>> turned.turns, turned.example.target
            (True, 'positive')
        """
        return bool(self.lure) and self.lure[0] < self.clues[-1]


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame as the law sees it; ``number`` shifts which findings are held out."""

    kind: str
    text: str
    verdict: str
    number: int

    def findings(self, label: str) -> list[tuple[str, ...]]:
        """The findings, in order, that give this label here."""
        others = [finding for finding in LABELS if finding != label]
        if self.verdict == "opposite":
            return [(_OPPOSITE[label],)] if label in _OPPOSITE else []
        if self.verdict == "neither":
            return (
                [] if label in _OPPOSITE else [("positive", "negative"), ("negative", "positive")]
            )
        if "{second}" not in self.text:
            return [(label,)]
        if self.verdict == "first":
            return [(label, other) for other in others]
        return [(other, label) for other in others]


_FRAMES = [
    _Frame(kind, text, verdict, number)
    for number, (kind, (text, verdict)) in enumerate(
        (kind, frame) for kind, frames in FRAMES.items() for frame in frames
    )
]


@dataclass(frozen=True, slots=True)
class _Choice:
    """All that makes a sentence: a frame, findings with a phrase for each, an aspect of a thing."""

    frame: _Frame
    findings: tuple[str, ...]
    phrases: tuple[int, ...]
    thing: str
    aspect: int

    @property
    def novelty(self) -> Novelty:
        """A sixth of the phrases is held out from a frame; of what is left, a Latin square.

        Neither looks at the order of the findings: with a sentence its mirror image is held out.
        """
        if any((phrase + self.frame.number) % 6 == 0 for phrase in self.phrases):
            return "filler"
        return "combination" if (sum(self.phrases) + self.aspect) % 5 == 0 else ""

    @property
    def label(self) -> str:
        """The verdict."""
        match self.frame.verdict:
            case "opposite":
                return _OPPOSITE[self.findings[0]]
            case "neither":
                return "neutral"
            case "first":
                return self.findings[0]
            case _:
                return self.findings[1]

    def slots(self) -> Iterator[tuple[str, list[str]]]:
        """The frame's parts, in order, each with the words that it becomes."""
        spoken = [FINDINGS[f][p].split() for f, p in zip(self.findings, self.phrases, strict=True)]
        fillers = dict(zip(SLOTS, spoken, strict=False)) | {
            "{thing}": [self.thing],
            "{aspect}": [THINGS[self.thing][self.aspect]],
        }
        for slot in self.frame.text.split():
            yield slot, fillers.get(slot) or [slot.removeprefix("^")]

    def early(self) -> int:
        """Number of words before the last finding."""
        slots = list(self.slots())
        last = max(place for place, (slot, _) in enumerate(slots) if slot in SLOTS)
        return sum(len(words) for _, words in slots[:last])

    def case(self) -> Case:
        """The sentence."""
        tokens: list[str] = []
        clues: list[int] = []
        lure: list[int] = []
        for slot, words in self.slots():
            places = range(len(tokens), len(tokens) + len(words))
            tokens += words
            if slot.startswith("^") or slot == f"{{{self.frame.verdict}}}":
                clues += places
            elif slot in SLOTS:
                lure += places
        example = Example(tuple(tokens), self.label)
        return Case(example, self.frame.kind, self.novelty, tuple(clues), tuple(lure))


def generate(count: int, seed: int, *, split: Split = "train") -> list[Case]:
    """Reviews drawn at random, as many of each kind and of each verdict.

    Args:
        count: Number of reviews.
        seed: Seed of the draw; the same seed gives the same reviews.
        split: ``train``, or ``test`` for reviews that training never shows, half of them for
            each `Case.novelty`.

    Returns:
        Cases whose inputs are tokens and whose target is ``positive``, ``negative`` or
        ``neutral``, in random order.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> for case in generate(3, seed=1, split="test"):
        ...     print(case.kind, "|", " ".join(case.example.inputs), "|", case.example.target)
        plain | we all agreed that the story was a triumph . | positive
        turn | the room started out dreadful and ended up a mixed bag . | neutral
        negation | nothing about the lighting was a real treat . | negative
    """
    random = source_of_chance(count, seed, split)
    novelties = NOVELTIES[split]
    cases = [
        _draw(
            random,
            KINDS[number % len(KINDS)],
            LABELS[number % len(LABELS)],
            novelties[number % len(novelties)],
        ).case()
        for number in range(count)
    ]
    return [cases[index] for index in random.permutation(count)]


def _draw(random: np.random.Generator, kind: str, label: str, novelty: Novelty) -> _Choice:
    """One of the sentences of this sort, all of them equally likely."""
    able = [(f, findings) for f in _FRAMES if f.kind == kind for findings in f.findings(label)]
    things = tuple(THINGS)
    while True:
        frame, findings = able[random.integers(len(able))]
        phrases = tuple(int(random.integers(len(FINDINGS[finding]))) for finding in findings)
        thing = things[random.integers(len(things))]
        aspect = int(random.integers(len(THINGS[thing])))
        choice = _Choice(frame, findings, phrases, thing, aspect)
        if choice.novelty == novelty:
            return choice


def bag_ceiling(split: Split = "test") -> float:
    """Accuracy that no reader of the words without their order can exceed in expectation.

    For all that it can see, a bag of words, its best rule answers the likeliest verdict; every
    sentence is counted.

    Example:
        >>> round(bag_ceiling(), 3)
        0.643
    """
    return _best(split, lambda sentence: tuple(sorted(sentence.tokens)))["all"]


def word_ceiling(split: Split = "test") -> float:
    """Accuracy that no reader who looks for a single word can exceed in expectation.

    Example:
        >>> round(word_ceiling(), 3)
        0.369
    """
    every: dict[str, float] = dict.fromkeys(LABELS, 0.0)
    present: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(LABELS, 0.0))
    for sentence in _law(split):
        every[sentence.label] += sentence.probability
        for word in set(sentence.tokens):
            present[word][sentence.label] += sentence.probability
    return max(
        max(there.values()) + max(every[label] - there[label] for label in LABELS)
        for there in present.values()
    )


def early_ceiling(split: Split = "test") -> dict[str, float]:
    """Accuracy that no reader can exceed before it comes to the last finding, by kind.

    Returns:
        A share for each kind, and for ``all``. Where the verdict comes first, it is known early.

    Example:
        >>> early = early_ceiling()
        >>> round(early["plain"], 2), round(early["turn"], 2), round(early["all"], 2)
        (0.33, 0.67, 0.63)
    """
    return _best(split, lambda sentence: sentence.tokens[: sentence.early])


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of the law; ``early`` words stand before its last finding."""

    probability: float
    kind: str
    label: str
    tokens: tuple[str, ...]
    early: int


def _best(split: Split, view: Callable[[_Sentence], tuple[str, ...]]) -> dict[str, float]:
    """Chance that the likeliest verdict given a view of the sentence is right, by kind and of all.

    Two kinds may give the same view; then one answer serves both, and is best for the two together.
    """
    seen: dict[tuple[str, ...], dict[tuple[str, str], float]] = defaultdict(dict)
    for sentence in _law(split):
        chances = seen[view(sentence)]
        sort = (sentence.label, sentence.kind)
        chances[sort] = chances.get(sort, 0.0) + sentence.probability
    right = dict.fromkeys((*KINDS, "all"), 0.0)
    for chances in seen.values():
        votes = {
            label: sum(chance for (given, _), chance in chances.items() if given == label)
            for label in LABELS
        }
        best = max(votes, key=votes.__getitem__)
        right["all"] += votes[best]
        for kind in KINDS:
            right[kind] += len(KINDS) * chances.get((best, kind), 0.0)
    return right


@cache
def _law(split: Split) -> list[_Sentence]:
    """Every sentence of a split about one thing, with its probability.

    About any other thing the sentences are the same but for its name and those of its aspects,
    which say nothing about the verdict.
    """
    choices = [
        choice for choice in _choices(next(iter(THINGS))) if choice.novelty in NOVELTIES[split]
    ]
    alike = Counter((choice.frame.kind, choice.label, choice.novelty) for choice in choices)
    return [
        _Sentence(
            1 / (len(alike) * alike[choice.frame.kind, choice.label, choice.novelty]),
            choice.frame.kind,
            choice.label,
            tuple(word for _, words in choice.slots() for word in words),
            choice.early(),
        )
        for choice in choices
    ]


def _choices(thing: str) -> Iterator[_Choice]:
    for frame in _FRAMES:
        for label in LABELS:
            for findings in frame.findings(label):
                numbers = (range(len(FINDINGS[finding])) for finding in findings)
                for *phrases, aspect in product(*numbers, range(len(THINGS[thing]))):
                    yield _Choice(frame, findings, tuple(phrases), thing, aspect)
