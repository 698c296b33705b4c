"""The C library's allocator, told that training asks for the same large blocks again and again."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGE = 1 << 30  # bytes


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
