"""Pools that take a sequence row by row: what they keep does not grow with its length."""

# W width of a row, A hidden units of the attention

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Pool = Callable[[Floats, Floats], Floats]


class Last:
    """The encoder's final state so far, (1, W)."""

    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row, and the final state after it."""
        del row_1W
        return final_1W


class Maximum:
    """Largest value of each unit so far, (1, W)."""

    def __init__(self) -> None:
        self._top: Floats | None = None

    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row, and the final state after it."""
        del final_1W
        self._top = row_1W if self._top is None else np.maximum(self._top, row_1W)
        return self._top


class Mean:
    """Mean of each unit so far, (1, W).

    Example:
        >>> mean = Mean()
        >>> for row in ([[1.0, 4.0]], [[2.0, 0.0]]):
        ...     so_far = mean(np.array(row, np.float32), np.zeros((1, 2), np.float32))
        >>> so_far.tolist()
        [[1.5, 2.0]]
    """

    def __init__(self) -> None:
        self._count = 0
        # In float64: a sum of float32 stops growing after some millions of steps.
        self._total = np.zeros((1, 1))

    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row, and the final state after it."""
        del final_1W
        self._count += 1
        self._total = self._total + row_1W.astype(np.float64)
        mean: Floats = (self._total / self._count).astype(np.float32)
        return mean


class Attention:
    """Mean of the rows so far, weighted by ``exp(score)``, (1, W).

    The sums of the weights and of the weighted rows are kept relative to the largest score so
    far, and scaled down when a larger one comes.

    Args:
        score: Score (1, 1) of a row (1, W).

    Source:
        Milakov & Gimelshein 2018, Online Normalizer Calculation for Softmax, algorithm 3.
    """

    def __init__(self, score: Callable[[Floats], Floats]) -> None:
        self._score = score
        self._top = -np.inf
        self._weights = 0.0
        self._weighted = np.zeros((1, 1))

    # NaN stays in the answer; it is no fault.
    @np.errstate(under="ignore", invalid="ignore")
    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row, and the final state after it."""
        del final_1W
        score = float(self._score(row_1W)[0, 0])
        top = float(np.maximum(self._top, score))
        shrink, weight = np.exp(self._top - top), np.exp(score - top)
        self._top = top
        self._weights = self._weights * shrink + weight
        self._weighted = self._weighted * shrink + weight * row_1W.astype(np.float64)
        pooled: Floats = (self._weighted / self._weights).astype(np.float32)
        return pooled


class Beside:
    """Several pools side by side, (1, parts * W)."""

    def __init__(self, parts: Sequence[Pool]) -> None:
        self._parts = parts

    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row, and the final state after it."""
        return np.concatenate([part(row_1W, final_1W) for part in self._parts], axis=1)


POOLS: dict[str, Callable[[], Any]] = {"last": Last, "max": Maximum, "mean": Mean}
