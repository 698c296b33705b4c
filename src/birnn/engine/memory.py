"""Arrays as the kernels like them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
CACHE_LINE = 64
LARGE = 1 << 20  # bytes; what is smaller the allocator has at hand


def aligned_empty(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An empty vector that begins with a cache line: elsewhere every load of a vector meets two.

    Example:
        >>> aligned_empty(3, np.dtype("f4")).ctypes.data % CACHE_LINE
        0
    """
    memory = np.empty(count * dtype.itemsize + CACHE_LINE, np.uint8)
    skip = -memory.ctypes.data % CACHE_LINE
    return memory[skip : skip + count * dtype.itemsize].view(dtype)


def pooled_empty(native: ModuleType, count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The same for a vector that a training step needs and the next step again.

    A large one is lent by the compiled module: its pages come back when the last array on them is
    gone, and wait for the next loan. Fresh ones would be cleared and unmapped at every step.

    Raises:
        MemoryError: There is not enough memory.

    Example:
        >>> from birnn.engine import isa
        >>> pooled_empty(isa.native_module(), 3, np.dtype("f4")).shape
        (3,)
    """
    if count * dtype.itemsize < LARGE:
        return aligned_empty(count, dtype)
    memory: npt.NDArray[Any] = native.lend(count * dtype.itemsize)
    return memory.view(dtype)


def contiguous(array: npt.NDArray[Any], dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """The array as the kernels read it: row after row, aligned; a copy only where it is not so.

    Example:
        >>> contiguous(np.zeros((2, 3)).T).flags.c_contiguous
        True
    """
    flags = array.flags
    if flags.c_contiguous and flags.aligned and (dtype is None or array.dtype == dtype):
        return array
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])
