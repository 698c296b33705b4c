"""Reviews whose verdict turns on what comes later, or on what is said of the words themselves.

```
the acting started out great and ended up awful .          negative
the acting ended up great , it had started out awful .     positive
although the plot was awful , the film was amazing .       positive
nothing about the soup was bad .                           positive
the lobby was average , far from being a joy .             neutral
```

A frame (`FRAMES`) holds one finding or two, and its words say which of them is the verdict. Where
there are two they differ, and each pair of findings comes in both orders, with opposite verdicts
and the same words: so no reader of the words without their order is right on more than 64 % of the
held-out sentences, and none who looks for a single word on more than 37 %.

A held-out sentence is new in one of two ways (`_Choice.novelty`): `filler`, a finding that training
never shows in that frame, or `combination`, findings and aspect that it never shows together.

What is one direction short of here? In principle nothing, if it is asked at the end: the state
after the last word has read all of them, so with pooling `last` one direction can be right always,
and two directions can do no better. With `mean` and `max` the answer rests on the states at all
words, and those of one direction up to the turn speak for the wrong verdict: the model has to
learn to hold back, or to outvote them. That is harder to learn, not impossible, so there is no
ceiling for it. Before the last finding is read, 63 % can be known at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo
from birnn.tasks import PoolingName

Novelty = Literal["", "filler", "combination"]

WORDS = demo.words_of("sentiment")
FINDINGS: dict[str, list[str]] = WORDS["findings"]
THINGS: dict[str, list[str]] = WORDS["things"]
FRAMES: dict[str, list[list[str]]] = WORDS["frames"]
LABELS = tuple(FINDINGS)
KINDS = tuple(FRAMES)
NOVELTIES: dict[demo.SplitName, tuple[Novelty, ...]] = {
    "train": ("",),
    "test": ("filler", "combination"),
}
SLOTS = ("{first}", "{second}")  # where a frame holds its findings
_OPPOSITE = {"positive": "negative", "negative": "positive"}


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

    def sample(self) -> demo.Sample:
        """The sentence."""
        tokens: list[str] = []
        clues: list[int] = []
        for slot, words in self.slots():
            places = range(len(tokens), len(tokens) + len(words))
            tokens += words
            if slot.startswith("^") or slot == f"{{{self.frame.verdict}}}":
                clues += places
        example = Example(tuple(tokens), self.label)
        return demo.Sample(example, self.frame.kind, clues=tuple(clues))


def generate(count: int, seed: int, *, split: demo.SplitName = "train") -> list[demo.Sample]:
    """Reviews drawn at random, as many of each kind and of each verdict.

    Args:
        count: Number of reviews.
        seed: Seed of the draw; the same seed gives the same reviews.
        split: ``train``, or ``test`` for reviews that training never shows, half of them for
            each `_Choice.novelty`.

    Returns:
        Samples whose inputs are tokens and whose target is ``positive``, ``negative`` or
        ``neutral``, in random order.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> for sample in generate(3, seed=1, split="test"):
        ...     print(sample.kind, "|", " ".join(sample.example.inputs), "|", sample.example.target)
        plain | we all agreed that the story was a triumph . | positive
        turn | the room started out dreadful and ended up a mixed bag . | neutral
        negation | nothing about the lighting was a real treat . | negative
    """
    random = demo.rng(count, seed, split)
    novelties = NOVELTIES[split]
    samples = [
        _draw(
            random,
            KINDS[number % len(KINDS)],
            LABELS[number % len(LABELS)],
            novelties[number % len(novelties)],
        ).sample()
        for number in range(count)
    ]
    return [samples[index] for index in random.permutation(count)]


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


DEMO = demo.Demo(
    name="sentiment",
    title="A verdict that turns",
    about="Short reviews, each positive, negative or neutral. Most hold two findings, and the "
    "words around them say which one counts: what came in the end, what the writer thinks and not "
    "the critics, what is not denied. The same words in another order give another verdict.",
    one_direction="Asked after the last word, one direction has read everything and can be right, "
    "so two directions need not be better. But its states before the turn speak for the wrong "
    "verdict. Pooling by mean or maximum takes them in, and the model has to learn to outvote "
    "them.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=1200, test=600, epochs=10),
    settings=demo.BASE_SETTINGS
    | {
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
    },
    unit="sentences",
    grouping="kind",
    groups=demo.by_kind(*sorted(KINDS)),
    task="classifier",
    shown={kind: kind.capitalize() for kind in sorted(KINDS)},
    variants={name: {"head.pooling": name} for name in get_args(PoolingName)},
)
