"""On how many threads birnn works; ``BIRNN_NUM_THREADS`` or the program sets it."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from birnn.errors import ConfigError

THREADS = "BIRNN_NUM_THREADS"
MAX_THREADS = 256  # as in native/dispatch.cpp


class WorkerThreads(NamedTuple):
    """How many threads work on a call at most, and whose.

    Args:
        threads: How many.
        openmp: Those of the OpenMP runtime that torch has loaded, not birnn's own pool. Torch's
            spin after each of its operators, on the processors that others would need.
    """

    threads: int
    openmp: bool = False


def set_num_threads(threads: int) -> None:
    """Set on how many threads birnn works: to train, to predict and to explain.

    The default is ``BIRNN_NUM_THREADS``, or the number of processors this process may use. Fewer
    work on what is small, and where other processes want the processors. Results have the same bits
    with any number. Layers of `birnn.nn` in a program of your own go by
    ``torch.set_num_threads``.

    Args:
        threads: From 1 to 256.

    Raises:
        ConfigError: Not a whole number from 1 to 256.

    Example:
        >>> before = get_num_threads()
        >>> set_num_threads(1)
        >>> get_num_threads()
        1
        >>> set_num_threads(before)
    """
    global _threads
    whole = isinstance(threads, int) and not isinstance(threads, bool)
    if not whole or not 1 <= threads <= MAX_THREADS:
        raise ConfigError(
            f"the number of threads is {threads!r}, "
            f"it must be a whole number from 1 to {MAX_THREADS}"
        )
    _threads = threads


def get_num_threads() -> int:
    """Threads that birnn works on at most.

    Raises:
        ConfigError: ``BIRNN_NUM_THREADS`` is no whole number from 1 to 256.
    """
    return _threads if _threads is not None else _threads_by_default(os.environ.get(THREADS, ""))


def worker_threads(threads: int | WorkerThreads | None) -> WorkerThreads:
    """Whoever is asked for; with None as many threads of our own as are set.

    Example:
        >>> worker_threads(2)
        WorkerThreads(threads=2, openmp=False)
    """
    if isinstance(threads, WorkerThreads):
        return threads
    return WorkerThreads(get_num_threads() if threads is None else threads)


@contextmanager
def num_threads(threads: int | None) -> Iterator[None]:
    """`set_num_threads` for a while; with None nothing is set.

    Example:
        >>> before = get_num_threads()
        >>> with num_threads(3):
        ...     get_num_threads()
        3
        >>> get_num_threads() == before
        True
    """
    global _threads
    before = _threads
    if threads is not None:
        set_num_threads(threads)
    try:
        yield
    finally:
        _threads = before


def threads_set_by() -> str:
    """What says how many threads there are.

    Example:
        >>> with num_threads(3):
        ...     threads_set_by()
        'the program'
    """
    if _threads is not None:
        return "the program"
    return THREADS if os.environ.get(THREADS, "") else "processors that this process may use"


_threads: int | None = None


@functools.lru_cache(maxsize=8)
def _threads_by_default(setting: str) -> int:
    if not setting:
        has = getattr(os, "sched_getaffinity", None)
        return len(has(0)) if has is not None else os.cpu_count() or 1
    # Python reads no integer of thousands of digits.
    short = setting.isdecimal() and len(setting) < 10
    if not short or not 1 <= int(setting) <= MAX_THREADS:
        shown = setting if len(setting) < 50 else f"{setting[:50]}..."
        raise ConfigError(
            f"{THREADS} is {shown!r}, it must be a whole number from 1 to {MAX_THREADS}. "
            "Unset it for all cores."
        )
    return int(setting)
