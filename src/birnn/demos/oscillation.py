"""A damped oscillation that noise keeps going: a series whose best forecast is known.

```
x_t = 2 r cos(w) x_{t-1} - r^2 x_{t-2} + e_t        e_t ~ N(0, 1)
```

An autoregressive process of order 2, started in its stationary state. What nobody can know of the
next value is e, so the least error of any forecast is known: `floor` for the next value,
`floor_ahead` for those after it.
"""

# B series, T steps

from __future__ import annotations

import math

import numpy as np

from birnn.data.examples import Example
from birnn.demos.demo import RandomProcess
from birnn.errors import ConfigError

DECAY, PERIOD = 0.95, 12.0  # r; steps of one oscillation, 2 pi / w
FIRST, SECOND = 2 * DECAY * math.cos(2 * math.pi / PERIOD), -DECAY * DECAY
LENGTH = 40


def generate(count: int, seed: int, *, length: int = LENGTH) -> list[Example]:
    """Series of one channel without a target, in units of the noise's standard deviation.

    Args:
        count: Number of series.
        seed: Seed of the draw.
        length: Steps of each.

    Raises:
        ConfigError: A negative count or length.

    Example:
        >>> [example.inputs.shape for example in generate(2, seed=1, length=5)]
        [(5, 1), (5, 1)]
    """
    if count < 0 or length < 0:
        raise ConfigError(f"count is {count} and length {length}, both must be 0 or more")
    random = np.random.default_rng(seed)
    noise_BT = random.standard_normal((count, length))
    variance, next_to = stationary()
    x_BT = np.zeros((count, length))
    for t in range(length):
        match t:
            case 0:
                x_BT[:, 0] = math.sqrt(variance) * noise_BT[:, 0]
            case 1:
                spread = math.sqrt(variance * (1 - next_to**2))
                x_BT[:, 1] = next_to * x_BT[:, 0] + spread * noise_BT[:, 1]
            case _:
                x_BT[:, t] = FIRST * x_BT[:, t - 1] + SECOND * x_BT[:, t - 2] + noise_BT[:, t]
    return [Example(series[:, None].astype(np.float32)) for series in x_BT]


def stationary() -> tuple[float, float]:
    """Variance of a value, and correlation of neighbours: the Yule-Walker equations solved.

    Source:
        Box & Jenkins 1976, Time Series Analysis, section 3.2.4.
    """
    next_to = FIRST / (1 - SECOND)
    after = FIRST * next_to + SECOND
    return 1 / (1 - FIRST * next_to - SECOND * after), next_to


def floor(length: int = LENGTH) -> float:
    """The least root mean squared error of next values that any forecast reaches in expectation.

    With two values read, all but the noise is known, whose variance is 1; with one value read,
    what is left is that of its neighbour given it.

    Args:
        length: Steps of a series, at least 2.

    Raises:
        ConfigError: A series without a next value.

    Example:
        >>> round(floor(10_000), 3)
        1.0
    """
    if length < 2:
        raise ConfigError(f"length is {length}, a series with a next value has 2 or more")
    variance, next_to = stationary()
    return math.sqrt((variance * (1 - next_to**2) + length - 2) / (length - 1))


def floor_ahead(steps: int) -> float:
    """The least error of the value so many steps ahead, once two values are read.

    The noise of each step to come is unknown and goes on in the oscillation: the error's variance
    is the sum of the squares of the first ``steps`` answers to an impulse.

    Example:
        >>> floor_ahead(1)
        1.0
    """
    answers = [0.0, 1.0]
    while len(answers) <= steps:
        answers.append(FIRST * answers[-1] + SECOND * answers[-2])
    return math.sqrt(sum(answer**2 for answer in answers[1:]))


PROCESS = RandomProcess(
    draw=generate,
    naive="the last value again",
    unit="standard deviations of the noise",
    floor=floor,
    floor_ahead=floor_ahead,
)
