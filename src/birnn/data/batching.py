"""Which sequences go into one batch: as many rows as the budget allows, of similar length."""

# B sequences

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from birnn.errors import ConfigError
from birnn.ragged import host_lengths

Integers = npt.NDArray[np.int64]

# Lengths are blurred by up to this share before they are sorted, so that each epoch groups other
# sequences, still of similar lengths.
BLUR = 0.1


class Sized(Protocol):
    """What has a length."""

    def __len__(self) -> int: ...


S = TypeVar("S", bound=Sized)


def batches(
    lengths: npt.ArrayLike, *, tokens: int, seed: int, epoch: int, sequences: int | None = None
) -> list[Integers]:
    """Batches of an epoch of training, each sequence in exactly one.

    Args:
        lengths: Length of each sequence, (B,).
        tokens: Rows of a batch at most; a longer sequence stands alone.
        seed: Seed of the random numbers, together with the epoch.
        epoch: Number of the epoch.
        sequences: Sequences of a batch at most.

    Returns:
        Numbers of the sequences of each batch, int64, in random order.

    Raises:
        ConfigError: A budget below 1.

    Example:
        >>> parts = batches([3, 9, 3, 4, 0, 20], tokens=10, seed=1, epoch=0)
        >>> sorted(np.concatenate(parts).tolist())
        [0, 1, 2, 3, 4, 5]
    """
    _check_budget(tokens, sequences)
    counts = host_lengths(lengths)
    random = np.random.default_rng((seed, epoch))
    blurred = counts * (1 + BLUR * random.random(len(counts))) + random.random(len(counts))
    parts = _cut(np.argsort(blurred, kind="stable"), counts, tokens, sequences)
    return [parts[i] for i in random.permutation(len(parts)).tolist()]


def in_order(
    lengths: npt.ArrayLike, *, tokens: int, sequences: int | None = None
) -> list[Integers]:
    """Batches for prediction: sorted by length, nothing random.

    Args, Returns and Raises are those of `batches`; the shortest sequences come first.

    Example:
        >>> [part.tolist() for part in in_order([3, 9, 3, 4], tokens=10)]
        [[0, 2, 3], [1]]
    """
    _check_budget(tokens, sequences)
    counts = host_lengths(lengths)
    return _cut(np.argsort(counts, kind="stable"), counts, tokens, sequences)


def windows(items: Iterable[S], *, tokens: int, sequences: int) -> Iterator[list[S]]:
    """A stream in pieces that fit into memory, in the order of the stream.

    An exception of the stream is raised after the items before it were yielded.

    Args:
        items: The stream; lists and examples have a length.
        tokens: Rows at which a piece ends.
        sequences: Sequences at which a piece ends.

    Example:
        >>> list(windows(["ab", "c", "defg", "h"], tokens=3, sequences=10))
        [['ab', 'c'], ['defg'], ['h']]
    """
    _check_budget(tokens, sequences)
    waiting = iter(items)
    ended: Exception | None = None
    while ended is None:
        window: list[S] = []
        rows = 0
        while ended is None and rows < tokens and len(window) < sequences:
            try:
                window.append(next(waiting))
                rows += len(window[-1])
            except Exception as error:
                ended = error
        if window:
            yield window
    if not isinstance(ended, StopIteration):
        raise ended


def arrivals(items: Iterable[S], *, tokens: int, sequences: int) -> Iterator[list[S]]:
    """A stream in pieces as `windows` cuts it; a piece ends early rather than wait for an item.

    The stream is read in a thread of its own, at most ``sequences`` items ahead. An exception of
    the stream is raised after the items before it were yielded.
    """
    _check_budget(tokens, sequences)
    waiting: queue.Queue[tuple[S | None, BaseException | None]] = queue.Queue(sequences)
    left = threading.Event()

    def put(item: S | None, error: BaseException | None) -> None:
        while not left.is_set():
            with suppress(queue.Full):
                waiting.put((item, error), timeout=0.1)
                return

    def read() -> None:
        try:
            for item in items:
                put(item, None)
                if left.is_set():
                    return
        except BaseException as error:
            put(None, error)
        else:
            put(None, StopIteration())

    # A daemon: a read of a pipe that nobody writes to must not keep the process from ending.
    threading.Thread(target=read, name="birnn reader", daemon=True).start()
    try:
        ended: BaseException | None = None
        while ended is None:
            item, ended = waiting.get()
            window: list[S] = []
            rows = 0
            while ended is None:
                assert item is not None
                window.append(item)
                rows += len(item)
                if rows >= tokens or len(window) >= sequences or waiting.empty():
                    break
                item, ended = waiting.get()
            if window:
                yield window
        if not isinstance(ended, StopIteration):
            raise ended
    finally:
        left.set()


def _check_budget(tokens: int, sequences: int | None) -> None:
    if tokens < 1 or (sequences is not None and sequences < 1):
        raise ConfigError(f"a batch needs a budget of 1 or more, got {tokens=}, {sequences=}")


def _cut(order: Integers, lengths: Integers, tokens: int, sequences: int | None) -> list[Integers]:
    """Cut an order of sequences into runs within the budget, each as long as it can be."""
    ends = np.cumsum(lengths[order])
    parts: list[Integers] = []
    start = used = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(ends, used + tokens, side="right")))
        if sequences is not None:
            stop = min(stop, start + sequences)
        parts.append(order[start:stop].astype(np.int64, copy=False))
        used = int(ends[stop - 1])
        start = stop
    return parts
