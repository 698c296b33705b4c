"""Sentences whose ambiguous word is settled by what stands left of it, right of it, or both.

```
left    the river rose , so she left the [bank] early .
right   she left the [bank] early , because the river rose .
both    they wanted to [seal] again , because the letter was ready .
```

The same clauses serve on the left and on the right, so a model knows what they mean either way;
what it may not know yet is what comes next. In `both`, the left side tells a thing from a deed,
the right side tells the topic, and each leaves two of the word's four senses standing.

Every token is tagged: `word/sense` at the ambiguous word, `O` elsewhere. Opener, clause and
closing of a held-out sentence each occur in training, their combination does not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from birnn.data.examples import Example
from birnn.demos.cases import STEADY, Facts, Size
from birnn.demos.lexicon import (
    CLOSINGS,
    DEED_OPENERS,
    FOURFOLD,
    OPENERS,
    THING_OPENERS,
    TOPICS,
)
from birnn.errors import ConfigError

Evidence = Literal["left", "right", "both"]
Split = Literal["train", "test"]

EVIDENCE: tuple[Evidence, ...] = ("left", "right", "both")
ORDINARY = "O"
CHOICES = 5  # openers, clauses of a topic, closings: the same number of each

FACTS = Facts(
    title="A word whose sense is settled elsewhere",
    about="Which bank, which bark? The words that settle it stand to the left, to the right, or on "
    "both sides, where each side alone leaves two senses open. The test sentences combine openers, "
    "reasons and closings in ways that training never showed.",
    one_direction="With the evidence on the left both ways of reading know it; what is still to "
    "come, only two directions know. One direction is left with a coin toss between two senses.",
)
SETTINGS = STEADY | {
    "inputs.word_dim": 64,
    "inputs.character_hidden": 0,
    "inputs.surface_dim": 0,
    "encoder.cell": "gru",
    "encoder.hidden_size": 64,
    "dropout.words": 0.01,  # so that the model has met an unknown word
    "dropout.rare_words": 0,
    "dropout.inputs": 0.1,
    "dropout.output": 0.1,
}
DEFAULT = Size(train=1500, test=600, epochs=16)


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence, and what there is to know about its ambiguous word.

    Args:
        example: Tokens and their tags.
        evidence: Where the words stand that settle the sense.
        position: Index of the ambiguous word.
        clues: Indices of the words that settle the sense, in order.
    """

    example: Example
    evidence: Evidence
    position: int
    clues: tuple[int, ...]

    @property
    def tag(self) -> str:
        """The right tag of the ambiguous word.

        Example:
            >>> case = next(cases("train"))
            >>> case.example.inputs[case.position], case.tag
            ('bank', 'bank/river')
        """
        assert isinstance(self.example.target, tuple)
        return self.example.target[self.position]


def cases(split: Split = "train") -> Iterator[Case]:
    """Every sentence of a split once: first all with evidence left, then right, then both.

    Args:
        split: ``train``, or ``test`` for the combinations that training never shows.

    Raises:
        ConfigError: No such split.

    Example:
        >>> for evidence in EVIDENCE:
        ...     case = next(case for case in cases("test") if case.evidence == evidence)
        ...     print(f"{evidence:5}", " ".join(case.example.inputs))
        left  the river rose , so she left the bank early .
        right she left the bank early , because the river rose .
        both  she noticed the bark early , because the oak was old .
    """
    combinations = _combinations(split)
    for evidence in ("left", "right"):
        for word, senses in TOPICS.items():
            for sense, clauses in senses.items():
                for i, j, k in combinations:
                    yield _case(evidence, word, sense, OPENERS[i], clauses[j], CLOSINGS[k])
    for word, topics in FOURFOLD.items():
        for named, clauses in topics.values():
            for openers, sense in zip((THING_OPENERS, DEED_OPENERS), named, strict=True):
                for i, j, k in combinations:
                    yield _case("both", word, sense, openers[i], clauses[j], CLOSINGS[k])


def generate(count: int, seed: int, *, split: Split = "train") -> list[Case]:
    """Sentences drawn at random, a third for each place of the evidence.

    Args:
        count: Number of sentences.
        seed: Seed of the draw; the same seed gives the same sentences.
        split: ``train``, or ``test`` for the combinations that training never shows.

    Returns:
        Sentences in random order. No sentence comes twice before all of its kind have come.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> drawn = generate(300, seed=0)
        >>> sum(case.evidence == "right" for case in drawn)
        100
    """
    if count < 0:
        raise ConfigError(f"count is {count}, it must be 0 or more")
    random = np.random.default_rng(seed)
    every = list(cases(split))
    drawn: list[Case] = []
    for number, evidence in enumerate(EVIDENCE):
        kind = [case for case in every if case.evidence == evidence]
        wanted = len(range(number, count, len(EVIDENCE)))
        while wanted > 0:
            drawn += [kind[index] for index in random.permutation(len(kind))[:wanted]]
            wanted -= len(kind)
    return [drawn[index] for index in random.permutation(len(drawn))]


def ceiling(split: Split = "test") -> dict[Evidence, float]:
    """Accuracy at the ambiguous word that no left-to-right reader can exceed in expectation.

    Its best rule answers, for all that it has read up to the word, the tag that is the most
    frequent one after just that; here every sentence of the split is counted.

    Example:
        >>> ceiling()
        {'left': 1.0, 'right': 0.5, 'both': 0.5}
    """
    answers: dict[tuple[str, ...], Counter[tuple[Evidence, str]]] = defaultdict(Counter)
    total: Counter[Evidence] = Counter()
    for case in cases(split):
        tokens = case.example.inputs
        read = tuple(str(tokens[place]) for place in range(case.position + 1))
        answers[read][case.evidence, case.tag] += 1
        total[case.evidence] += 1
    best = dict.fromkeys(EVIDENCE, 0)
    for counts in answers.values():
        # what was read tells the place of the evidence as well, so one tag is best for all
        (evidence, _), count = counts.most_common(1)[0]
        best[evidence] += count
    return {evidence: best[evidence] / total[evidence] for evidence in EVIDENCE}


def _combinations(split: Split) -> list[tuple[int, int, int]]:
    """Indices of opener, clause and closing: a Latin square is held out.

    Whatever two of the three are, the third is held out in one of five sentences. So every pair
    comes in training, and in both splits an opener meets all clauses equally often and tells
    nothing about them.
    """
    if split not in ("train", "test"):
        raise ConfigError(f"split is {split!r}: known: test, train")
    choices = range(CHOICES)
    return [
        (i, j, k)
        for i in choices
        for j in choices
        for k in choices
        if ((i + j + k) % CHOICES == 0) == (split == "test")
    ]


def _case(
    evidence: Evidence, word: str, sense: str, opener: str, clause: str, closing: str
) -> Case:
    if evidence == "left":
        left, right = [*clause.split(), ",", "so", *opener.split()], [*closing.split(), "."]
        clues = range(len(clause.split()))
    else:
        reason = [",", "because", *clause.split(), "."]
        left, right = opener.split(), [*closing.split(), *reason]
        end = len(left) + len(right)
        clues = range(end - len(clause.split()), end)
    opened = range(len(left)) if evidence == "both" else range(0)
    tokens = (*left, word, *right)
    tags = (*[ORDINARY] * len(left), f"{word}/{sense}", *[ORDINARY] * len(right))
    return Case(Example(tokens, tags), evidence, len(left), (*opened, *clues))
