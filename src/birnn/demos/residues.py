"""Helix, strand or neither? A run of residues whose structure its last neighbour settles.

```
D N A V L K E I G S N D V L Y I A P N S ...
C C H H H H H H C C C C E E E E E C C C
```

A chain is made of linkers (residues of `LINKERS`, tagged coil) with runs between them. A run is a
helix, a strand or unstructured, a third each. Residues of `FAVOUR_HELIX` make up `LEANING` of a
helix, as much less of a strand, and half of an unstructured run: they hint, they do not settle.
What settles it is the residue after the run: `HELIX_CAP` ends a helix, `STRAND_CAP` a strand, and
after an unstructured run the linker begins at once. Caps are coil.

That a glycine caps a helix is so in real proteins; that a proline has to end a strand is not, nor
are the chances real ones. `ceiling` works out how often a reader from the left can be right.

Source:
    Aurora and Rose 1998, Helix capping, Protein Science 7 (the glycine at the end of a helix).
"""

from __future__ import annotations

from math import comb

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo

FAVOUR_HELIX = tuple("AELMQKRH")
FAVOUR_STRAND = tuple("VIYCWFT")
LINKERS = tuple("DNS")
HELIX_CAP, STRAND_CAP = "G", "P"
HELIX, STRAND, COIL = "H", "E", "C"

LEANING = 0.65  # share of helix-favouring residues in a helix, and of the others in a strand
RUNS = {  # tag of a run -> chance of a helix-favouring residue, the cap after it
    HELIX: (LEANING, (HELIX_CAP,)),
    STRAND: (1 - LEANING, (STRAND_CAP,)),
    COIL: (0.5, ()),
}
RUNS_OF_A_CHAIN = (2, 4)  # fewest and most, all numbers equally likely; likewise the lengths of
RUN_LENGTHS = (4, 8)
LINKER_LENGTHS = (2, 4)


def generate(count: int, seed: int, *, split: demo.SplitName = "train") -> list[demo.Sample]:
    """Chains of residues, each residue tagged ``H`` (helix), ``E`` (strand) or ``C`` (coil).

    The kind of a sample names what its runs are, in order, as in ``HCE``.

    Args:
        count: Number of chains.
        seed: Seed of the draw.
        split: ``train``, or ``test`` for chains that no training set can hold.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> sample = generate(1, seed=3)[0]
        >>> print("".join(sample.example.inputs), sample.kind)
        DDDDLMKKHQNDSLWHVEYICDDSQWQKYPNDNSIRYHWMESDNS CCEC
        >>> print("".join(sample.example.target))
        CCCCCCCCCCCCCCCCCCCCCCCCEEEEECCCCCCCCCCCCCCCC
        >>> print("".join("-?"[later] for later in sample.decided_later))
        ----??????---????????---?????-----???????----
    """
    random = demo.rng(count, seed, split)
    samples: list[demo.Sample] = []
    while len(samples) < count:
        sample = _sample(random)
        if demo.in_split([str(symbol) for symbol in sample.example.inputs], split):
            samples.append(sample)
    return samples


def _sample(random: np.random.Generator) -> demo.Sample:
    symbols, tags, later = _linker(random), "", ""
    kind = ""
    for _ in range(demo.between(random, RUNS_OF_A_CHAIN)):
        tag = list(RUNS)[random.integers(len(RUNS))]
        chance, cap = RUNS[tag]
        run = [
            demo.one_of(random, FAVOUR_HELIX if random.random() < chance else FAVOUR_STRAND)
            for _ in range(demo.between(random, RUN_LENGTHS))
        ]
        tags = tags.ljust(len(symbols), COIL) + tag * len(run)
        later = later.ljust(len(symbols)) + "?" * len(run)
        symbols += [*run, *cap, *_linker(random)]
        kind += tag
    tags, later = tags.ljust(len(symbols), COIL), later.ljust(len(symbols))
    example = Example(tuple(symbols), tuple(tags))
    return demo.Sample(example, kind, tuple(mark == "?" for mark in later))


def _linker(random: np.random.Generator) -> list[str]:
    return [demo.one_of(random, LINKERS) for _ in range(demo.between(random, LINKER_LENGTHS))]


def ceiling() -> dict[str, float]:
    """Accuracy that no left-to-right reader can exceed in expectation, by group of residues.

    At the j-th residue of a run, k of which favour a helix, a run with chance p of such a residue
    has made this with probability p^k (1 - p)^(j - k) in any order. The best answer is the
    likeliest of the three; which residues of a group stand there tells nothing, and neither does
    j, since all runs have the same lengths. Two directions see the cap and need not bet.

    Returns:
        Shares of residues decided later (those of runs), decided so far, and of all.

    Example:
        >>> {group: round(share, 3) for group, share in ceiling().items()}
        {'decided later': 0.486, 'decided so far': 1.0, 'all': 0.711}
    """
    fewest, most = RUN_LENGTHS
    lasting = {j: min(1.0, (most + 1 - j) / (most + 1 - fewest)) for j in range(1, most + 1)}
    right = sum(share * _right(j) for j, share in lasting.items())
    run = sum(lasting.values())
    cap = sum(len(cap) for _, cap in RUNS.values()) / len(RUNS)
    runs, linker = sum(RUNS_OF_A_CHAIN) / 2, sum(LINKER_LENGTHS) / 2
    length = runs * (run + cap) + (runs + 1) * linker
    return demo.limit_by_group(runs * run / length, runs * right / length)


def _right(residues: int) -> float:
    """Chance that the likeliest of the kinds is the right one after so many residues of a run."""
    return sum(
        comb(residues, k) * max(p**k * (1 - p) ** (residues - k) for p, _ in RUNS.values())
        for k in range(residues + 1)
    ) / len(RUNS)


DEMO = demo.Demo(
    name="residues",
    title="Helix or strand",
    about="Chains of residues in which linkers alternate with runs. A run is a helix, a strand or "
    "unstructured. Its residues lean one way or the other; the residue that comes after the run "
    "settles it: a glycine has capped a helix, a proline a strand, a linker neither.",
    one_direction="Inside a run a reader from the left has only the leaning of the residues so "
    "far to go by. The cap that settles what all of them were comes after the last of them.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=500, test=500, epochs=8),
    settings=demo.BASE_SETTINGS
    | {
        "inputs.symbol_dim": 16,
        "encoder.hidden_size": 32,
        "dropout.words": 0,
    },
    unit="residues",
    grouping="tag",
    groups=demo.by_decision,
    limit=ceiling,
)
