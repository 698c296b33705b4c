"""What the generators of embedded data say about themselves and about each sequence they make."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from birnn.data.examples import Example
from birnn.errors import ConfigError

Split = Literal["train", "test"]

LATER, SO_FAR, ALL = "decided later", "decided so far", "all"  # groups of steps
HELD_OUT = 5  # of symbol sequences one in so many belongs to the test split


# Settings of training that the experiments share: small models, no dropout, and the same number of
# epochs for all, so that ways of reading differ in nothing but their direction.
STEADY: dict[str, Any] = {
    "encoder.num_layers": 1,
    "dropout.inputs": 0,
    "dropout.layers": 0,
    "dropout.output": 0,
    "training.batch_sequences": 16,
    "training.ema": 0.98,
    "training.learning_rate": 0.01,
    "training.patience": 1000,
}


@dataclass(frozen=True, slots=True)
class Case:
    """A tagged sequence, and what is known about how it was made.

    Args:
        example: Inputs and tags.
        kind: What sort of sequence it is; the generator names its kinds.
        decided_later: For each step, whether what was read up to it leaves its tag open.
    """

    example: Example
    kind: str
    decided_later: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """How much a demo trains and tests: numbers of sequences, and epochs."""

    train: int
    test: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a page says about an experiment.

    Args:
        title: A few words.
        about: One paragraph: what the sequences are and what is asked.
        one_direction: What a reader from the left cannot know, and how good its best bet is.
    """

    title: str
    about: str
    one_direction: str


def source_of_chance(count: int, seed: int, split: Split) -> np.random.Generator:
    """Random numbers of a draw: its seed and its split name the stream.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> source_of_chance(1, 0, "dev")
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: split is 'dev': known: test, train
    """
    if count < 0:
        raise ConfigError(f"count is {count}, it must be 0 or more")
    splits = get_args(Split)
    if split not in splits:
        raise ConfigError(f"split is {split!r}: known: {', '.join(sorted(splits))}")
    return np.random.default_rng([seed, splits.index(split)])


def belongs(symbols: Sequence[str], split: Split) -> bool:
    """Whether a sequence of symbols is of this split: its checksum says so, whatever the seed.

    So no sequence can stand in both splits, and of all sequences one in `HELD_OUT` is held out.

    Example:
        >>> belongs("GATTACA", "train") == belongs("GATTACA", "test")
        False
    """
    checksum = zlib.crc32(" ".join(symbols).encode())
    return (checksum % HELD_OUT == 0) == (split == "test")


def by_group(later: float, open_right: float) -> dict[str, float]:
    """Shares of right answers by group of steps, of a reader that knows all that can be known.

    Args:
        later: Share of all steps whose tag is decided later.
        open_right: Share of all steps that are decided later and answered rightly all the same.

    Example:
        >>> by_group(later=0.5, open_right=0.25)
        {'decided later': 0.5, 'decided so far': 1.0, 'all': 0.75}
    """
    return {LATER: open_right / later, SO_FAR: 1.0, ALL: 1 - later + open_right}
