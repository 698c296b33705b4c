"""Scores of vectors of real numbers: errors, and the share of variation that is explained."""

# B sequences, K target values

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from birnn.errors import ShapeError
from birnn.metrics.resampling import Array, Statistics


class ValueScorer:
    """Scores of a vector of real numbers for each sequence.

    Example:
        >>> scorer = ValueScorer()
        >>> scorer.update([1.0], [2.0])
        >>> scorer.update([3.0], [3.0])
        >>> scorer.result()
        {'mse': 0.5, 'rmse': 0.7071067811865476, 'mae': 0.5, 'r2': 0.5, 'sequences': 2}
    """

    directions: ClassVar[Mapping[str, bool]] = {
        "rmse": False,
        "mse": False,
        "mae": False,
        "r2": True,
    }

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

    def statistics(
        self, golds: Sequence[npt.ArrayLike], answers: Sequence[npt.ArrayLike]
    ) -> Statistics:
        """Sums over sequences that the errors and R² are functions of."""
        gold_BK, predicted_BK = (
            np.array(values, np.float64).reshape(len(values), -1) for values in (golds, answers)
        )
        error_BK = predicted_BK - gold_BK
        # Near 0, so that the sums of squares do not cancel.
        near_BK = gold_BK - gold_BK.mean(axis=0)
        ones = np.ones((len(gold_BK), 1))
        parts = error_BK**2, np.abs(error_BK), near_BK, near_BK**2
        return Statistics(np.hstack([ones, *parts]), _measures)

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


def _measures(sums: Array) -> dict[str, Array]:
    """Scores from the sums of `ValueScorer.statistics`, (R, 1 + 4 K)."""
    count_R1 = sums[:, :1]
    missed_RK, apart_RK, near_RK, square_RK = np.split(sums[:, 1:], 4, axis=1)
    mse_R = (missed_RK / count_R1).mean(axis=1)
    spread_RK = square_RK - near_RK**2 / count_R1
    varies = spread_RK > 1e-12 * square_RK
    r2_RK = np.where(varies, 1 - missed_RK / np.where(varies, spread_RK, 1), missed_RK == 0)
    return {
        "mse": mse_R,
        "rmse": np.sqrt(mse_R),
        "mae": (apart_RK / count_R1).mean(axis=1),
        "r2": r2_RK.mean(axis=1),
    }
