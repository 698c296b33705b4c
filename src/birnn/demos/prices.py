"""A price that rises in some weeks and falls in others: what is known of it, now and afterwards.

```
price   100 exp(x_t / 100)        x_t = x_{t-1} + r_t
r_t     N(drift, volatility) of the regime at t, in per cent
regime  rising or falling; after each step it ends with chance 1 / its mean length
```

A price with switching drift and volatility: a falling one moves more, as prices do. The regime is
hidden, and changes of single weeks tell little of it, so that it is known from many:

- Said of **now**, from the changes so far: `ceiling`. The *next* price is forecast from that, and
  since drifts are small beside volatilities, the last price again is nearly as good; `floor` is the
  least error of any forecast.
- Said of **then**, in a finished series, from the changes before and after: ``ceiling(both=True)``.
  That is work for two directions. At the last step there is nothing after it, and they know no more
  than one.

The best reader that there can be weighs every course of the regimes by how well it fits the
changes: the regimes are a hidden Markov chain.

Source:
    Hamilton 1989, A new approach to the economic analysis of nonstationary time series and the
    business cycle, Econometrica 57, equations 4.5 to 4.9 (filtering); Rabiner 1989, A tutorial on
    hidden Markov models, Proceedings of the IEEE 77, equations 19 to 27 (smoothing).
"""

# B series, T steps, R regimes

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.data.examples import Example
from birnn.demos import demo
from birnn.errors import ConfigError

RISING, FALLING = REGIMES = ("rising", "falling")
DRIFT = (0.5, -0.7)  # mean of a week's change in each regime, per cent
VOLATILITY = (0.7, 1.2)  # its standard deviation, per cent
WEEKS = (20.0, 12.0)  # mean length of each regime
LENGTH = 60
START = 100.0  # price before the first change

Floats = npt.NDArray[np.float64]

_DRIFT_R, _VOLATILITY_R = np.array(DRIFT), np.array(VOLATILITY)
_NEXT_RR = np.array([[1 - 1 / WEEKS[0], 1 / WEEKS[0]], [1 / WEEKS[1], 1 - 1 / WEEKS[1]]])
_LONG_RUN_R = np.array(WEEKS) / sum(WEEKS)  # share of each regime in the long run


def generate(
    count: int, seed: int, *, split: demo.SplitName = "train", length: int = LENGTH
) -> list[demo.Sample]:
    """Changes of a price, each tagged with the regime that it was made in.

    The kind of a sample is its number of turning points, the steps at which the regime changes.

    Args:
        count: Number of series.
        seed: Seed of the draw.
        split: ``train`` or ``test``: streams of random numbers that have nothing in common.
        length: Steps of each series.

    Returns:
        Samples whose inputs are float32 of shape (T, 1): changes of the price's logarithm, in per
        cent.

    Raises:
        ConfigError: A negative count or length, or no such split.

    Example:
        >>> sample = generate(1, seed=2, length=30)[0]
        >>> "".join(tag[0] for tag in sample.example.target)
        'ffffffffffffffffrrrrrrrrrrrrrr'
        >>> sample.kind, prices(sample.example.inputs[:, 0]).round(1)[[11, 29]].tolist()
        ('1', [97.0, 102.3])
    """
    random = demo.rng(count, seed, split)
    if length < 0:
        raise ConfigError(f"length is {length}, it must be 0 or more")
    return [_sample(random, length) for _ in range(count)]


def _sample(random: np.random.Generator, length: int) -> demo.Sample:
    chance_T, noise_T = random.random(length), random.standard_normal(length)
    regimes: list[int] = []
    for chance in chance_T:
        falls = _NEXT_RR[regimes[-1], 1] if regimes else _LONG_RUN_R[1]
        regimes.append(int(chance < falls))
    change_T = _DRIFT_R[regimes] + _VOLATILITY_R[regimes] * noise_T
    turns = sum(one != other for one, other in pairwise(regimes))
    tags = tuple(REGIMES[regime] for regime in regimes)
    return demo.Sample(Example(change_T[:, None].astype(np.float32), tags), str(turns))


def prices(change_T: npt.NDArray[np.floating[Any]]) -> Floats:
    """The price after each change, from `START` on.

    Example:
        >>> prices(np.array([10.0, -10.0])).round(2).tolist()
        [110.52, 100.0]
    """
    price_T: Floats = START * np.exp(np.cumsum(change_T.astype(np.float64)) / 100)
    return price_T


# ---------------------------------------------------------------------- the best reader


def regimes_given(change_BT: npt.NDArray[np.floating[Any]], *, both: bool) -> Floats:
    """Chance of each regime at each step, given the changes up to it or all of them.

    Args:
        change_BT: Changes of the price's logarithm in per cent, (T,), or (B, T) of several series.
        both: Whether the changes after a step are known too.

    Returns:
        (T, 2) or (B, T, 2): rising and falling, which sum to 1.

    Example:
        >>> up_then_down = np.array([0.5, 0.5, 0.5, 0.5, -1.5, -1.5, -1.5])
        >>> regimes_given(up_then_down, both=False)[:, 1].round(2).tolist()
        [0.18, 0.08, 0.05, 0.03, 0.7, 0.98, 1.0]
        >>> regimes_given(up_then_down, both=True)[:, 1].round(2).tolist()
        [0.11, 0.12, 0.18, 0.38, 0.98, 1.0, 1.0]
    """
    likelihood_TBR = np.moveaxis(_likelihood(change_BT), -2, 0)
    filtered_TBR, chance_BR = np.empty_like(likelihood_TBR), _LONG_RUN_R
    for t, likelihood_BR in enumerate(likelihood_TBR):
        filtered_TBR[t] = _shares(chance_BR * likelihood_BR)
        chance_BR = filtered_TBR[t] @ _NEXT_RR
    if not both:
        return np.moveaxis(filtered_TBR, 0, -2)
    smoothed_TBR, rest_BR = np.empty_like(filtered_TBR), np.ones(len(REGIMES))
    for t in reversed(range(len(likelihood_TBR))):
        smoothed_TBR[t] = _shares(filtered_TBR[t] * rest_BR)
        rest_BR = _shares((rest_BR * likelihood_TBR[t]) @ _NEXT_RR.T)
    return np.moveaxis(smoothed_TBR, 0, -2)


def _likelihood(change_BT: npt.NDArray[np.floating[Any]]) -> Floats:
    """How likely each change is in each regime, as a share of the likelier."""
    z_BTR = (change_BT[..., None].astype(np.float64) - _DRIFT_R) / _VOLATILITY_R
    log_BTR = -0.5 * z_BTR**2 - np.log(_VOLATILITY_R)
    likelihood_BTR: Floats = np.exp(log_BTR - log_BTR.max(axis=-1, keepdims=True))
    return likelihood_BTR


def _shares(weight_BR: Floats) -> Floats:
    shares_BR: Floats = weight_BR / weight_BR.sum(axis=-1, keepdims=True)
    return shares_BR


@cache
def _held_out() -> Floats:
    """Series that what is possible is averaged over, (1000, T)."""
    drawn = generate(1000, 0, split="test")
    return np.stack([np.asarray(sample.example.inputs, np.float64)[:, 0] for sample in drawn])


def ceiling_by_position(*, both: bool = False) -> Floats:
    """Share of right answers at each step that no reader can exceed in expectation.

    The best reader says the likelier regime and is right with just its chance, which is averaged
    over a thousand held-out series.

    Args:
        both: Whether the reader knows the changes after a step too.

    Returns:
        A share for each of `LENGTH` steps.

    Example:
        >>> one, two = ceiling_by_position(), ceiling_by_position(both=True)
        >>> bool((one[:-1] < two[:-1]).all()), bool(one[-1] == two[-1])
        (True, True)
    """
    share_T: Floats = regimes_given(_held_out(), both=both).max(axis=-1).mean(axis=0)
    return share_T


def ceiling(*, both: bool = False) -> float:
    """The mean of `ceiling_by_position`.

    Example:
        >>> ceiling() < 0.9 < ceiling(both=True)
        True
    """
    return float(ceiling_by_position(both=both).mean())


# ---------------------------------------------------------------------- the forecast


def floor() -> float:
    """The least root mean squared error of the next price that any forecast reaches, in per cent.

    Example:
        >>> round(naive_error(), 2), round(floor(), 2)
        (1.09, 1.01)
    """
    return floor_ahead(1, first=0)


def floor_ahead(steps: int, *, first: int = LENGTH // 2) -> float:
    """The least error of the price so many steps ahead, in per cent.

    The best forecast is the mean of the sum of the changes to come, over both regimes with their
    chances; what is left is the variance of that sum, averaged over a thousand held-out series.

    Args:
        steps: How far ahead.
        first: The first step that is forecast from; as far into the series, all is read that helps.
    """
    # Mean and mean square of the sum of the changes to come, given the regime now.
    mean_R, square_R = np.zeros(len(REGIMES)), np.zeros(len(REGIMES))
    for _ in range(steps):
        square_R = _NEXT_RR @ (_VOLATILITY_R**2 + _DRIFT_R**2 + 2 * _DRIFT_R * mean_R + square_R)
        mean_R = _NEXT_RR @ (_DRIFT_R + mean_R)
    known_BTR = regimes_given(_held_out(), both=False)[:, first:-1]
    return math.sqrt((known_BTR @ square_R - (known_BTR @ mean_R) ** 2).mean())


def naive_error() -> float:
    """Root mean squared error of saying the last price again, in expectation, in per cent."""
    return math.sqrt(_LONG_RUN_R @ (_DRIFT_R**2 + _VOLATILITY_R**2))


def _changes(count: int, seed: int) -> list[Example]:
    return [Example(sample.example.inputs) for sample in generate(count, seed)]


# ---------------------------------------------------------------------- the demo

# Steps in groups that say how much is known on either side: first and last of each, from 1 on.
STRETCHES = (
    *((1, 1), (2, 5), (6, 10), (11, LENGTH - 10)),
    *((LENGTH - 9, LENGTH - 5), (LENGTH - 4, LENGTH - 1), (LENGTH, LENGTH)),
)


def _named() -> Iterator[tuple[str, slice]]:
    for first, last in STRETCHES:
        yield str(first) if first == last else f"{first}-{last}", slice(first - 1, last)


def _by_position(samples: Sequence[demo.Sample]) -> demo.Groups:
    return {
        name: [(n, at) for n in range(len(samples)) for at in range(part.start, part.stop)]
        for name, part in _named()
    }


def _limit() -> dict[str, float]:
    share_T = ceiling_by_position()
    return {name: float(share_T[part].mean()) for name, part in _named()}


PROCESS = demo.RandomProcess(
    draw=_changes,
    of_changes=True,
    naive="the last price again",
    unit="per cent of the price",
    floor=floor,
    floor_ahead=floor_ahead,
)

DEMO = demo.Demo(
    name="prices",
    title="Rising or falling",
    about="A price that drifts upwards in some weeks and downwards, more restlessly, in others. "
    "Nobody says when the one becomes the other. Of a finished series it is asked which weeks "
    "were which; and the next price is forecast.",
    one_direction="A reader from the left learns of a turning point some weeks after it. A reader "
    "in both directions has seen them, but for the last week: of that it knows what one direction "
    "knows, so that for saying where the price stands now, or goes next, it is of no use.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=800, test=500, epochs=12),
    settings=demo.BASE_SETTINGS
    | {
        "encoder.cell": "gru",
        "encoder.hidden_size": 16,
        "training.learning_rate": 0.02,
    },
    unit="steps",
    grouping="position",
    groups=_by_position,
    limit=_limit,
    marked=(FALLING,),
    process=PROCESS,
)
