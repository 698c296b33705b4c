"""Is this position inside the pair? A task that needs both directions to be done in full.

```
a b ( c d e ) a b c      c d e are inside
a b ( c d e a b c d      the pair is never closed: nothing is inside
a b c d e a ) b c d      nor was it ever opened here
```

Reading from the left, a model that has seen the open bracket can only bet that the close one
comes. `UNPAIRED` is set so that the best bet is right for 98 % of the positions of sequences of
length 10; `ceiling` works that figure out. With both directions nothing is left to bet on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo
from birnn.errors import ConfigError

OPEN, CLOSE = "(", ")"
OTHERS = ("a", "b", "c", "d", "e")
INSIDE, OUTSIDE = "inside", "outside"

UNPAIRED = 0.0375  # share of sequences that lack the close bracket, and as many the open one


def generate(count: int, seed: int, *, length: int = 10) -> list[Example]:
    """Sequences of brackets and letters, each position tagged ``inside`` or ``outside``.

    The places of the open and the close bracket are drawn uniformly, open before close; then the
    `UNPAIRED` share of the sequences (rounded to whole sequences) loses the close bracket to a
    letter, and another such share the open one. The brackets themselves are outside.

    Args:
        count: Number of sequences.
        seed: Seed of the draw.
        length: Positions of each sequence.

    Raises:
        ConfigError: A negative count, or a length that has no room for two brackets.

    Example:
        >>> example = generate(1, seed=3, length=7)[0]
        >>> print("".join(example.inputs), "".join(tag[0] for tag in example.target))
        (aa)aee oiioooo
    """
    if count < 0:
        raise ConfigError(f"count is {count}, it must be 0 or more")
    if length < 2:
        raise ConfigError(f"length is {length}, two brackets need 2 or more")
    random = np.random.default_rng(seed)
    missing = round(UNPAIRED * count)
    lacks = [CLOSE] * missing + [OPEN] * missing + [""] * (count - 2 * missing)
    return [_example(random, lacks[index], length) for index in random.permutation(count)]


def _example(random: np.random.Generator, lacks: str, length: int) -> Example:
    symbols = [OTHERS[index] for index in random.integers(len(OTHERS), size=length)]
    first, second = sorted(random.choice(length, size=2, replace=False).tolist())
    if lacks != OPEN:
        symbols[first] = OPEN
    if lacks != CLOSE:
        symbols[second] = CLOSE
    inside = range(first + 1, second) if not lacks else range(0)
    tags = tuple(INSIDE if place in inside else OUTSIDE for place in range(length))
    return Example(tuple(symbols), tags)


def ceiling_by_position(length: int = 10) -> list[float]:
    """Accuracy at each position that no left-to-right reader can exceed in expectation.

    At a position after the open bracket, before any close one, the reader has to bet on whether
    a close one comes; the better bet loses the smaller of the two probabilities. Everywhere else
    it knows.

    Args:
        length: Positions of each sequence.

    Returns:
        A share between 0 and 1 for each position.
    """
    pairs = length * (length - 1) / 2
    best = []
    for position in range(length):
        lost = 0.0
        for first in range(position):
            closed_later = (1 - 2 * UNPAIRED) * (length - 1 - position) / pairs
            never_closed = UNPAIRED * (length - 1 - first) / pairs
            lost += min(closed_later, never_closed)
        best.append(1 - lost)
    return best


def ceiling(length: int = 10) -> float:
    """The mean of `ceiling_by_position`.

    Example:
        >>> round(ceiling(10), 3)
        0.98
    """
    return sum(ceiling_by_position(length)) / length


CLOSED = "Opened and closed"
UNCLOSED = "Opened and never closed: nothing is inside"
UNOPENED = "Closed and never opened: nothing is inside"


def _samples(count: int, seed: int) -> list[demo.Sample]:
    samples = []
    for example in generate(count, seed):
        kind = UNCLOSED if CLOSE not in example.inputs else CLOSED
        samples.append(demo.Sample(example, kind if OPEN in example.inputs else UNOPENED))
    return samples


def _draw(size: demo.Size, seed: int) -> demo.DrawnSamples:
    sizes = (size.train, size.train // demo.DEV_SHARE, size.test)
    train, dev, test = (_samples(count, seed + at) for at, count in enumerate(sizes))
    return train, dev, test


def _by_position(samples: Sequence[demo.Sample]) -> demo.Groups:
    length = max((len(sample.example) for sample in samples), default=0)
    return {str(at + 1): [(n, at) for n in range(len(samples))] for at in range(length)}


DEMO = demo.Demo(
    name="brackets",
    title="Inside the pair of brackets?",
    about="Letters and at most one pair of brackets. A position is inside if a bracket was opened "
    f"before it and is closed after it. In a few sequences ({100 * UNPAIRED:.2f} %) the closing "
    "bracket never comes, and in as many the opening one never came.",
    one_direction="Reading from left to right, one can only bet that an open bracket is going to "
    "be closed. The best bet is right for 98 % of the positions.",
    draw=_draw,
    size=demo.Size(train=500, test=100, epochs=50),
    settings=demo.BASE_SETTINGS
    | {
        "inputs.symbol_dim": 8,
        "encoder.hidden_size": 16,
        "dropout.words": 0,
        "dropout.rare_words": 0,
        # plain Adam at a constant rate
        "training.warmup": 0,
        "training.final_rate": 1,
        "training.weight_decay": 0,
        "training.ema": 0,
    },
    unit="positions",
    grouping="position",
    groups=_by_position,
    limit=lambda: {str(at): share for at, share in enumerate(ceiling_by_position(), start=1)},
    shown={kind: kind for kind in (CLOSED, UNCLOSED, UNOPENED)},
    shown_each=2,
    marked=(INSIDE,),
)
