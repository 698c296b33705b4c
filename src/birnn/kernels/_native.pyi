"""Compiled kernels of birnn."""

import numpy as np
import numpy.typing as npt

compiler: str

def count_rows(lengths: npt.NDArray[np.int64]) -> int:
    """Sum of non-negative int64 lengths."""
