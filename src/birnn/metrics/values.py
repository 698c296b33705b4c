"""Scores of vectors of real numbers: errors, and the share of variation that is explained."""

# B sequences, K target values

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import ShapeError


class ValueScorer:
    """Scores of a vector of real numbers for each sequence.

    Example:
        >>> scorer = ValueScorer()
        >>> scorer.update([1.0], [2.0])
        >>> scorer.update([3.0], [3.0])
        >>> scorer.result()
        {'mse': 0.5, 'rmse': 0.7071067811865476, 'mae': 0.5, 'r2': 0.5, 'sequences': 2}
    """

    def __init__(self) -> None:
        self._gold: list[npt.NDArray[np.float64]] = []
        self._predicted: list[npt.NDArray[np.float64]] = []

    def update(self, gold: npt.ArrayLike, predicted: npt.ArrayLike) -> None:
        """Count one sequence.

        Raises:
            ShapeError: Vectors of different lengths.
        """
        one, other = (np.array(v, dtype=np.float64).reshape(-1) for v in (gold, predicted))
        if one.shape != other.shape or (self._gold and self._gold[0].shape != one.shape):
            raise ShapeError(f"{other.size} predicted values for {one.size} gold ones. Give each.")
        self._gold.append(one)
        self._predicted.append(other)

    def result(self) -> dict[str, Any]:
        """Scores of all that was counted.

        Returns:
            ``mse``, ``rmse``, ``mae``: means over sequences and values; ``r2``: the mean over
            values of 1 - squared error / squared distance from the mean (1 or 0 where gold does
            not vary); ``sequences``.
        """
        if not self._gold:
            return {"mse": 0.0, "rmse": 0.0, "mae": 0.0, "r2": 0.0, "sequences": 0}
        gold_BK, predicted_BK = np.stack(self._gold), np.stack(self._predicted)
        error_BK = predicted_BK - gold_BK
        mse = float(np.mean(error_BK**2))
        missed_K = np.sum(error_BK**2, axis=0)
        spread_K = np.sum((gold_BK - gold_BK.mean(axis=0)) ** 2, axis=0)
        varies = spread_K > 0
        r2_K = np.where(varies, 1 - missed_K / np.where(varies, spread_K, 1), missed_K == 0)
        return {
            "mse": mse,
            "rmse": mse**0.5,
            "mae": float(np.mean(np.abs(error_BK))),
            "r2": float(np.mean(r2_K)),
            "sequences": len(self._gold),
        }
