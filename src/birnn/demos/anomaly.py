"""A jump in a series: a spike that passes, or a new level that stays? The first steps look alike.

```
level    0 0 0 0 2 2 0 0 0 0 0 0 0 ...   passing: the two steps at 2 are anomalous
level    0 0 0 0 2 2 2 2 2 2 2 2 2 ...   lasting: a new normal, nothing is anomalous
```

A series has `CHANNELS` channels, each with a level, a slow wave and noise. Now and then one of
them jumps. In a share of `PASSING` of the jumps it is back at its old level after 1 to `LONGEST`
steps, all equally likely, and those steps are anomalous; otherwise it stays. Height, sign, channel
and what went before say nothing about which it will be. A jump and what follows it take `EVENT`
steps, whichever it is, and stretches without events lie between.
"""

from __future__ import annotations

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo

NORMAL, ANOMALOUS = "normal", "anomalous"
CHANNELS = 3
PASSING = 2 / 3  # share of the jumps that pass
LONGEST = 4  # steps that a passing jump lasts, at most
EVENT = 8  # steps of an event: more than LONGEST, so that every return is seen
EVENTS = (2, 4)  # fewest and most in a series, all numbers equally likely; likewise the lengths of
QUIET = (4, 8)  # stretches before, between and after them

HEIGHTS = (1.5, 3.0)  # smallest and largest jump
WAVE = 0.2  # height of the slow wave
NOISE = 0.1  # standard deviation


def generate(count: int, seed: int, *, split: demo.SplitName = "train") -> list[demo.Sample]:
    """Series of vectors, each step tagged ``normal`` or ``anomalous``.

    The kind of a sample names its events in order, ``P`` for passing and ``L`` for lasting.

    Args:
        count: Number of series.
        seed: Seed of the draw.
        split: ``train`` or ``test``: streams of random numbers that have nothing in common.

    Returns:
        Samples whose inputs are float32 of shape (T, `CHANNELS`).

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> sample = generate(1, seed=0)[0]
        >>> sample.kind, sample.example.inputs.shape, len(sample.example.target)
        ('LP', (33, 3), 33)
        >>> print("".join(tag[0] for tag in sample.example.target))
        nnnnnnnnnnnnnnnnnnnnaaannnnnnnnnn
        >>> print("".join("-?"[later] for later in sample.decided_later))
        ----????------------???----------
    """
    random = demo.rng(count, seed, split)
    return [_sample(random) for _ in range(count)]


def _sample(random: np.random.Generator) -> demo.Sample:
    level_D = random.uniform(-1, 1, CHANNELS)
    quiet = demo.between(random, QUIET)
    levels = [level_D] * quiet
    anomalous, later = [False] * quiet, [False] * quiet
    kind = ""
    for _ in range(demo.between(random, EVENTS)):
        jumped_D = _jumped(random, level_D)
        passes = random.random() < PASSING
        lasts = int(random.integers(1, LONGEST + 1)) if passes else EVENT
        rest = EVENT - lasts + demo.between(random, QUIET)
        if not passes:
            level_D = jumped_D
        levels += [jumped_D] * lasts + [level_D] * rest
        anomalous += [passes] * lasts + [False] * rest
        open_steps = min(lasts, LONGEST)
        later += [True] * open_steps + [False] * (lasts - open_steps + rest)
        kind += "P" if passes else "L"
    values_TD = np.stack(levels) + _wave(random, len(levels))
    values_TD += random.normal(scale=NOISE, size=values_TD.shape)
    tags = tuple(ANOMALOUS if odd else NORMAL for odd in anomalous)
    return demo.Sample(Example(values_TD.astype(np.float32), tags), kind, tuple(later))


def _jumped(random: np.random.Generator, level_D: np.ndarray) -> np.ndarray:
    """The levels with one of them jumped: up or down, but towards 0 where it is far from it."""
    jumped_D = level_D.copy()
    channel = random.integers(CHANNELS)
    height = random.uniform(*HEIGHTS)
    down = level_D[channel] > random.uniform(-1, 1)
    jumped_D[channel] += -height if down else height
    return jumped_D


def _wave(random: np.random.Generator, steps: int) -> np.ndarray:
    period_D = random.uniform(15, 30, CHANNELS)
    phase_D = random.uniform(0, 2 * np.pi, CHANNELS)
    wave_TD: np.ndarray = WAVE * np.sin(2 * np.pi * np.arange(steps)[:, None] / period_D + phase_D)
    return wave_TD


def ceiling() -> dict[str, float]:
    """Accuracy that no left-to-right reader can exceed in expectation, by group of steps.

    At the j-th step of a jump that has not gone back, a reader has to bet: it passes, and lasts j
    steps or more, with chance PASSING (LONGEST + 1 - j) / LONGEST; it stays with 1 - PASSING. The
    better bet is right as often as the larger of the two. This holds for a reader that sees
    through the noise, so noise can only lower it.

    Returns:
        Shares of the steps whose tag is decided later (the first `LONGEST` of every jump, as long
        as it lasts), decided so far, and of all.

    Example:
        >>> {group: round(share, 3) for group, share in ceiling().items()}
        {'decided later': 0.611, 'decided so far': 1.0, 'all': 0.927}
    """
    passing = [PASSING * (LONGEST + 1 - j) / LONGEST for j in range(1, LONGEST + 1)]
    lasting = 1 - PASSING
    later = sum(share + lasting for share in passing)
    right = sum(max(share, lasting) for share in passing)
    events, quiet = sum(EVENTS) / 2, sum(QUIET) / 2
    length = events * EVENT + (events + 1) * quiet
    return demo.limit_by_group(events * later / length, events * right / length)


DEMO = demo.Demo(
    name="anomaly",
    title="Passing or here to stay",
    about="Series of three channels. Now and then a channel jumps. Some jumps pass: after a few "
    "steps the channel is back where it was, and those steps are anomalous. Others last: a new "
    "level that is as normal as the old one.",
    one_direction="At the first steps of a jump a reader from the left sees the same, whether it "
    "will pass or last. It can only bet, and it bets better the longer the jump has lasted.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=1000, test=500, epochs=12),
    settings=demo.BASE_SETTINGS
    | {
        "encoder.cell": "gru",
        "encoder.hidden_size": 16,
        "encoder.num_layers": 2,
        "training.learning_rate": 0.02,
    },
    unit="steps",
    grouping="tag",
    groups=demo.by_decision,
    limit=ceiling,
    marked=("anomalous",),
)
