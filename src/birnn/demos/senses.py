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

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo
from birnn.errors import ConfigError

EVIDENCE = ("left", "right", "both")
ORDINARY = "O"
WORDS = demo.words_of("senses")
CHOICES = 5  # openers, clauses of a topic, closings: the same number of each


def sentences(split: demo.SplitName = "train") -> Iterator[demo.Sample]:
    """Every sentence of a split once: first all with evidence left, then right, then both.

    Args:
        split: ``train``, or ``test`` for the combinations that training never shows.

    Raises:
        ConfigError: No such split.

    Example:
        >>> for evidence in EVIDENCE:
        ...     sample = next(sample for sample in sentences("test") if sample.kind == evidence)
        ...     print(f"{evidence:5}", " ".join(sample.example.inputs))
        left  the river rose , so she left the bank early .
        right she left the bank early , because the river rose .
        both  she noticed the bark early , because the oak was old .
    """
    combinations = _combinations(split)
    plain, closings = WORDS["openers"], WORDS["closings"]
    for evidence in ("left", "right"):
        for word, senses in WORDS["topics"].items():
            for sense, clauses in senses.items():
                for i, j, k in combinations:
                    yield _sample(evidence, word, sense, plain[i], clauses[j], closings[k])
    kinds = (WORDS["thing_openers"], WORDS["deed_openers"])
    for word, topics in WORDS["fourfold"].items():
        for topic in topics.values():
            for openers, sense in zip(kinds, topic["senses"], strict=True):
                for i, j, k in combinations:
                    yield _sample("both", word, sense, openers[i], topic["clauses"][j], closings[k])


def generate(count: int, seed: int, *, split: demo.SplitName = "train") -> list[demo.Sample]:
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
        >>> sum(sample.kind == "right" for sample in drawn)
        100
    """
    if count < 0:
        raise ConfigError(f"count is {count}, it must be 0 or more")
    random = np.random.default_rng(seed)
    samples = list(sentences(split))
    drawn: list[demo.Sample] = []
    for number, evidence in enumerate(EVIDENCE):
        kind = [sample for sample in samples if sample.kind == evidence]
        wanted = len(range(number, count, len(EVIDENCE)))
        while wanted > 0:
            drawn += [kind[index] for index in random.permutation(len(kind))[:wanted]]
            wanted -= len(kind)
    return [drawn[index] for index in random.permutation(len(drawn))]


def ceiling(split: demo.SplitName = "test") -> dict[str, float]:
    """Accuracy at the ambiguous word that no left-to-right reader can exceed in expectation.

    Its best rule answers, for all that it has read up to the word, the tag that is the most
    frequent one after just that; here every sentence of the split is counted.

    Example:
        >>> ceiling()
        {'left': 1.0, 'right': 0.5, 'both': 0.5}
    """
    answers: dict[tuple[str, ...], Counter[tuple[str, str]]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    for sample in sentences(split):
        tokens = sample.example.inputs
        read = tuple(str(tokens[place]) for place in range(sample.position + 1))
        answers[read][sample.kind, sample.tag] += 1
        total[sample.kind] += 1
    best = dict.fromkeys(EVIDENCE, 0)
    for counts in answers.values():
        # what was read tells the place of the evidence as well, so one tag is best for all
        (evidence, _), count = counts.most_common(1)[0]
        best[evidence] += count
    return {evidence: best[evidence] / total[evidence] for evidence in EVIDENCE}


def _combinations(split: demo.SplitName) -> list[tuple[int, int, int]]:
    """Indices of opener, clause and closing: a Latin square is held out.

    Whatever two of the three are, the third is held out in one of five sentences. So every pair
    comes in training, and in both splits an opener meets all clauses equally often and tells
    nothing about them.
    """
    demo.check_split(split)
    choices = range(CHOICES)
    return [
        (i, j, k)
        for i in choices
        for j in choices
        for k in choices
        if ((i + j + k) % CHOICES == 0) == (split == "test")
    ]


def _sample(
    evidence: str, word: str, sense: str, opener: str, clause: str, closing: str
) -> demo.Sample:
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
    return demo.Sample(Example(tokens, tags), evidence, position=len(left), clues=(*opened, *clues))


DEMO = demo.Demo(
    name="senses",
    title="A word whose sense is settled elsewhere",
    about="Which bank, which bark? The words that settle it stand to the left, to the right, or on "
    "both sides, where each side alone leaves two senses open. The test sentences combine openers, "
    "reasons and closings in ways that training never showed.",
    one_direction="With the evidence on the left both ways of reading know it; what is still to "
    "come, only two directions know. One direction is left with a coin toss between two senses.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=1500, test=600, epochs=16),
    settings=demo.BASE_SETTINGS
    | {
        "inputs.word_dim": 64,
        "inputs.character_hidden": 0,
        "inputs.surface_dim": 0,
        "encoder.cell": "gru",
        "encoder.hidden_size": 64,
        "dropout.words": 0.01,  # so that the model has met an unknown word
        "dropout.rare_words": 0,
        "dropout.inputs": 0.1,
        "dropout.output": 0.1,
    },
    unit="ambiguous words",
    grouping="evidence",
    groups=demo.by_kind(*EVIDENCE),
    limit=ceiling,
    shown={
        "left": "Evidence on the left",
        "right": "Evidence on the right",
        "both": "Evidence on both sides: a thing or a deed, and of which kind",
    },
    shown_each=2,
)
