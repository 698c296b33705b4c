"""Rows of a matrix whose largest value takes the steps of int8 from all others.

A row's scale is a 127th of its largest value. Where that is far above the others, they are rounded
to one step or to zero, which a bfloat16 matrix, with an exponent for each value, does not do.
"""

# R rows, C columns

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

OUTLIER = 100
"""A row of int8 has an outlier if its largest value is more than so many times its median one.

Its scale is a 127th of the largest: half of the row's values then have one step or none.
"""


@dataclass(frozen=True, slots=True)
class Outliers:
    """A matrix with rows whose largest value takes the steps of all others, see `OUTLIER`.

    Args:
        tensor: Its name.
        rows: How many such rows it has.
        of: How many rows it has.
        worst: Largest value of a row, relative to the row's median.
    """

    tensor: str
    rows: int
    of: int
    worst: float

    @property
    def notice(self) -> str:
        """What to tell of it, one line."""
        have = "row has" if self.rows == 1 else "rows have"
        return (
            f"{self.tensor}: {self.rows:,} {have} a value of more than {OUTLIER} times the median "
            f"one, {self.worst:.3g} times at most (of {self.of:,} rows). In int8 the others of "
            "such a row have few steps or none; bf16 keeps them."
        )


def outliers(tensor: str, weights: npt.NDArray[Any]) -> Outliers | None:
    """The outliers of a matrix that is to be int8; None without any.

    Args:
        tensor: Its name.
        weights: (R, C), float32.

    Example:
        >>> weights = np.ones((2, 5), np.float32)
        >>> outliers("encoder.weight_hh_l0", weights) is None
        True
        >>> weights[1, 3] = 1e30
        >>> outliers("encoder.weight_hh_l0", weights).rows
        1
    """
    magnitude_RC = np.sort(np.abs(weights), axis=1)
    rows, columns = magnitude_RC.shape
    if not columns:
        return None
    # The median of the values that are not 0: most of a row may be.
    zeros_R = (magnitude_RC == 0).sum(axis=1)
    middle_R = np.minimum((zeros_R + columns) // 2, columns - 1)
    median_R = magnitude_RC[np.arange(rows), middle_R].astype(np.float64)
    ratio_R = np.divide(magnitude_RC[:, -1], median_R, out=np.zeros(rows), where=median_R > 0)
    beyond = int((ratio_R > OUTLIER).sum())
    return Outliers(tensor, beyond, rows, float(ratio_R.max())) if beyond else None
