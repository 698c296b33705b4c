"""On how many threads layers run: torch's in other programs, birnn's own in its own work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from birnn.engine import isa
from birnn.engine.threads import WorkerThreads, get_num_threads, num_threads, worker_threads

_own: ContextVar[bool] = ContextVar("birnn_own_work", default=False)


def layer_threads() -> WorkerThreads:
    """The threads that run a layer now: torch's, or inside of `own_threads` those of birnn.

    Example:
        >>> with own_threads(3):
        ...     layer_threads()
        WorkerThreads(threads=3, openmp=False)
        >>> layer_threads().threads == torch.get_num_threads()
        True
    """
    if _own.get():
        return worker_threads(None)
    threads = torch.get_num_threads()
    return WorkerThreads(threads, openmp=threads > 1)


@contextmanager
def own_threads(count: int | None = None) -> Iterator[None]:
    """Within it layers run on birnn's own thread pool and torch's operators on one thread.

    For training, explaining and measuring. Torch's threads spin for milliseconds after each
    operator, and wait for each other in each: where another process wants a processor, training
    took two to ten times as long, though these operators are a tenth of a step's work. They also
    give other bits on another number of threads, and so would a training. Without a compiled
    module the layers are torch's own and get all threads.

    Args:
        count: Threads of the layers; as many as are set where it is None.

    Example:
        >>> before = torch.get_num_threads()
        >>> with own_threads():
        ...     inside = torch.get_num_threads()
        >>> torch.get_num_threads() == before
        True
    """
    before, token = torch.get_num_threads(), _own.set(True)
    try:
        with num_threads(count):
            reference = isa.active().name == isa.REFERENCE
            torch.set_num_threads(get_num_threads() if reference else 1)
            yield
    finally:
        torch.set_num_threads(before)
        _own.reset(token)
