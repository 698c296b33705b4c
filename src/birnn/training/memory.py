"""The memory of a run: kept at hand, asked for in time, and told about where there is none."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from birnn.bundle.spec import Spec
from birnn.errors import ConfigError, torch_lacks_memory

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGE = 1 << 30  # bytes
COPIES = 4  # of each parameter in training: itself, its gradient, and two moments of AdamW
GB = 10**9


def keep_freed_memory() -> bool:
    """Keep freed blocks up to a gigabyte for the next batch, where the C library is glibc.

    By default glibc maps a block of some megabytes afresh for each tensor and unmaps it when the
    tensor goes, so the kernel zeroes the same pages at every step. The price is memory: a block
    that is kept is not there for others, and batches of many shapes leave gaps.

    Returns:
        Whether the allocator took the setting.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(M_MMAP_THRESHOLD, LARGE) and libc.mallopt(M_TRIM_THRESHOLD, LARGE))
    except (OSError, AttributeError):
        return False


def check_size(spec: Spec) -> None:
    """Refuse a model whose parameters alone are more than the memory of the machine.

    Raises:
        ConfigError: They are.
    """
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return  # systems that do not tell
    needed = COPIES * 4 * spec.parameter_count()
    if needed > there:
        raise ConfigError(
            f"a model of {_named(spec.parameter_count())} parameters needs at least "
            f"{_named(needed // GB)} GB of memory in training, this machine has "
            f"{_named(there // GB)} GB. Make it smaller: encoder.hidden_size is "
            f"{_named(spec.encoder.hidden_size)}."
        )


def _named(count: int) -> str:
    # Python does not print integers of more than 4,300 digits.
    return f"{count:,}" if count < 10**18 else "over 10^18"


@contextmanager
def memory_errors_explained() -> Iterator[None]:
    """What torch raises where there is no memory, as a `MemoryError` that says what to do.

    Raises:
        MemoryError: There is no memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not torch_lacks_memory(error):
            raise
        raise MemoryError(
            "no memory for the model and a batch of it. Make training.batch_tokens, "
            "training.batch_sequences or encoder.hidden_size smaller."
        ) from None
