"""A number of threads for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from birnn.kernels import isa


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Run with so many threads, in training and in prediction; as many as before with None.

    Example:
        >>> before = torch.get_num_threads()
        >>> with threads(1):
        ...     torch.get_num_threads(), isa.get_num_threads()
        (1, 1)
        >>> torch.get_num_threads() == before
        True
    """
    before = torch.get_num_threads(), isa.get_num_threads()
    torch.set_num_threads(count or before[0])
    isa.set_num_threads(count or before[1])
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        isa.set_num_threads(before[1])
