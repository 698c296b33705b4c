"""What a demo is: one value, with data whose law is known; and what its generators share."""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal, get_args

import numpy as np

from birnn.data.examples import Example
from birnn.data.gaps import GAP
from birnn.errors import ConfigError
from birnn.studies.compare.groups import Member, by_step

SplitName = Literal["train", "test"]
Groups = Mapping[str, Sequence[Member]]

LATER, SO_FAR, ALL = "decided later", "decided so far", "all"  # groups of steps
HELD_OUT = 5  # of symbol sequences one in so many belongs to the test split
DEV_SHARE = 5  # so many training sequences for one that chooses the weights

# Settings of training that the demos share: small models, no dropout, and the same number of
# epochs for all, so that ways of reading differ in nothing but their direction.
BASE_SETTINGS: dict[str, Any] = {
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
class Size:
    """How much a demo trains and tests: numbers of sequences, and epochs."""

    train: int
    test: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled sequence, and what is known about how it was made.

    Args:
        example: Inputs and tags, or a label.
        kind: What sort of sequence it is; the generator names its kinds.
        decided_later: For each step, whether what was read up to it leaves its tag open.
        position: Index of the word in question; 0 where the whole sequence is.
        clues: Indices of the words that settle the answer, in order.
    """

    example: Example
    kind: str
    decided_later: tuple[bool, ...] = ()
    position: int = 0
    clues: tuple[int, ...] = ()

    @property
    def place(self) -> int:
        """Place of the answer in question: its step, or which of the gaps it is of."""
        gaps = self.example.inputs if isinstance(self.example.inputs, tuple) else ()
        return gaps[: self.position].count(GAP) if GAP in gaps else self.position

    @property
    def tag(self) -> str:
        """The right tag of the word in question."""
        assert isinstance(self.example.target, tuple)
        tag: str = self.example.target[self.place]
        return tag


DrawnSamples = tuple[Sequence[Sample], Sequence[Sample], Sequence[Sample]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomProcess:
    """A random process whose next values are forecast, and what no forecast of them exceeds.

    Args:
        draw: Series of one channel, without targets, from a number and a seed.
        naive: In words, the forecast that is made of the last value alone.
        unit: What errors are counted in.
        floor: The least root mean squared error of the next value, in expectation.
        floor_ahead: The same, of the value so many steps ahead.
        of_changes: Whether the series are the changes of what is forecast: the value to come is
            then the last one plus the changes to come.
    """

    draw: Callable[[int, int], list[Example]]
    naive: str
    unit: str
    floor: Callable[[], float]
    floor_ahead: Callable[[int], float]
    of_changes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A demonstration that comes with its data: one direction against two.

    Args:
        name: Name on the command line.
        title: Heading of its page, a few words.
        about: One paragraph: what the sequences are and what is asked.
        one_direction: What a reader from the left cannot know, and how good its best bet is.
        draw: Samples for training, dev and test of a size and a seed.
        size: How much is trained and tested.
        settings: Changes to the task's recipe.
        unit: What is counted.
        grouping: What the groups are.
        groups: The answers that count, of test samples, by group.
        limit: Group to the accuracy that no left-to-right reader can exceed in expectation; None
            where that is not known.
        task: What is learnt.
        marked: Tags that examples on a page show as filled; where there are none, the tags are
            written.
        shown: Kinds of samples that the page has examples of, each with a note; where there are
            none, examples are drawn from all.
        shown_each: Number of examples of a kind.
        variants: Further models that are compared: name to what else is changed.
        process: What the series are drawn from, where their next values are forecast too.
    """

    name: str
    title: str
    about: str
    one_direction: str
    draw: Callable[[Size, int], DrawnSamples]
    size: Size
    settings: Mapping[str, Any]
    unit: str
    grouping: str
    groups: Callable[[Sequence[Sample]], Groups]
    limit: Callable[[], Mapping[str, float]] | None = None
    task: str = "tagger"
    marked: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)
    shown_each: int = 1
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    process: RandomProcess | None = None


def from_splits(generate: Callable[..., list[Any]]) -> Callable[[Size, int], DrawnSamples]:
    """The draw of a generator that takes ``split=``: what dev holds, training never shows.

    Args:
        generate: From a number, a seed and ``split`` to samples.
    """

    def draw(size: Size, seed: int) -> DrawnSamples:
        pool = generate(size.train + size.train // DEV_SHARE, seed)
        return pool[: size.train], pool[size.train :], generate(size.test, seed, split="test")

    return draw


def by_decision(samples: Sequence[Sample]) -> Groups:
    """Steps that are decided by what was read so far, and those that are decided later."""
    return by_step([np.array(sample.decided_later, int) for sample in samples], (SO_FAR, LATER))


def by_kind(*kinds: str) -> Callable[[Sequence[Sample]], Groups]:
    """The words in question by their samples' kinds, in this order."""

    def groups(samples: Sequence[Sample]) -> Groups:
        found: dict[str, list[Member]] = {kind: [] for kind in kinds}
        for number, sample in enumerate(samples):
            found[sample.kind].append((number, sample.place))
        return {kind: members for kind, members in found.items() if members}

    return groups


def words_of(demo: str) -> dict[str, Any]:
    """The words that a demo's sentences are made of: `data/NAME.toml` of this package.

    Example:
        >>> words_of("senses")["closings"][0]
        'early'
    """
    file = resources.files("birnn.demos").joinpath("data", f"{demo}.toml")
    return tomllib.loads(file.read_text("utf-8"))


def rng(count: int, seed: int, split: SplitName) -> np.random.Generator:
    """The random numbers of a draw: its seed and its split name the stream.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> rng(1, 0, "dev")
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: split is 'dev': known: test, train
    """
    if count < 0:
        raise ConfigError(f"count is {count}, it must be 0 or more")
    check_split(split)
    return np.random.default_rng([seed, get_args(SplitName).index(split)])


def check_split(split: str) -> None:
    """Refuse what is no split."""
    if split not in get_args(SplitName):
        raise ConfigError(f"split is {split!r}: known: {', '.join(sorted(get_args(SplitName)))}")


def one_of(random: np.random.Generator, choices: Sequence[str]) -> str:
    """One of the choices, all equally likely."""
    return choices[int(random.integers(len(choices)))]


def between(random: np.random.Generator, ends: tuple[int, int]) -> int:
    """A whole number from the first end to the last, all equally likely."""
    return int(random.integers(ends[0], ends[1] + 1))


def in_split(symbols: Sequence[str], split: SplitName) -> bool:
    """Whether a sequence of symbols is of this split: its checksum says so, whatever the seed.

    So no sequence can stand in both splits, and of all sequences one in `HELD_OUT` is held out.

    Example:
        >>> in_split("GATTACA", "train") == in_split("GATTACA", "test")
        False
    """
    checksum = zlib.crc32(" ".join(symbols).encode())
    return (checksum % HELD_OUT == 0) == (split == "test")


def limit_by_group(later: float, open_right: float) -> dict[str, float]:
    """Shares of right answers by group of steps, of a reader that knows all that can be known.

    Args:
        later: Share of all steps whose tag is decided later.
        open_right: Share of all steps that are decided later and answered rightly all the same.

    Example:
        >>> limit_by_group(later=0.5, open_right=0.25)
        {'decided later': 0.5, 'decided so far': 1.0, 'all': 0.75}
    """
    return {LATER: open_right / later, SO_FAR: 1.0, ALL: 1 - later + open_right}
