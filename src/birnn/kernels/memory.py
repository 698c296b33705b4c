"""Arrays as the kernels like them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
CACHE_LINE = 64


def aligned_empty(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An empty vector that begins with a cache line: elsewhere every load of a vector meets two.

    Example:
        >>> aligned_empty(3, np.dtype("f4")).ctypes.data % CACHE_LINE
        0
    """
    memory = np.empty(count * dtype.itemsize + CACHE_LINE, np.uint8)
    skip = -memory.ctypes.data % CACHE_LINE
    return memory[skip : skip + count * dtype.itemsize].view(dtype)


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
