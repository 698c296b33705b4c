"""Pooling in NumPy: from the rows of each sequence to one vector for it.

Each pooling is a class: a call pools a batch of whole sequences; `stream` returns a function that
pools one sequence row by row, in constant memory.
"""

# N rows of all sequences, B sequences, W width of a row

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from birnn.ragged import Ragged

Floats = npt.NDArray[np.float32]
Stream = Callable[[Floats, Floats], Floats]
"""From the next row (1, W) and the encoder's final state after it to the pooled row so far."""


class Pooling(Protocol):
    """Interface of a pooling."""

    def __call__(self, x: Ragged[Floats], final_BW: Floats) -> Floats:
        """Pool the rows (N, W) of each sequence, (B, W); final_BW are its merged final states."""

    def stream(self) -> Stream:
        """Pool a new sequence row by row."""


class Last:
    """The encoder's merged final states: each half after it has read the whole sequence."""

    def __call__(self, x: Ragged[Floats], final_BW: Floats) -> Floats:
        """The final states."""
        del x
        return final_BW

    def stream(self) -> Stream:
        """The final state so far."""
        return _last_so_far


class Reduction:
    """A reduction of each unit over the steps, (B, W); zeros for an empty sequence.

    Args:
        operation: The binary operation.
        start: Its identity element.
        mean: Whether the result is divided by the number of steps.

    Example:
        >>> stream = POOLINGS["mean"].stream()
        >>> for row in ([[1.0, 4.0]], [[2.0, 0.0]]):
        ...     so_far = stream(np.array(row, np.float32), np.zeros((1, 2), np.float32))
        >>> so_far.tolist()
        [[1.5, 2.0]]
    """

    def __init__(self, operation: np.ufunc, start: float, *, mean: bool = False) -> None:
        self._operation, self._start, self._mean = operation, start, mean

    def __call__(self, x: Ragged[Floats], final_BW: Floats) -> Floats:
        """Pool whole sequences."""
        del final_BW
        pooled = _reduce(x, self._operation)
        if self._mean:
            pooled = pooled / np.maximum(x.lengths, 1).astype(np.float32)[:, None]
        return pooled

    def stream(self) -> ReductionStream:
        """Pool row by row."""
        return ReductionStream(self._operation, self._start, mean=self._mean)


class ReductionStream:
    """A `Reduction` of the rows of a sequence so far, (1, W)."""

    def __init__(self, operation: np.ufunc, start: float, *, mean: bool) -> None:
        self._operation, self._mean = operation, mean
        self.count = 0
        # In float64: a sum of float32 stops growing after some millions of steps.
        self.total = np.full((1, 1), start)

    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row."""
        del final_1W
        self.count += 1
        self.total = self._operation(self.total, row_1W.astype(np.float64))
        pooled = self.total / self.count if self._mean else self.total
        return pooled.astype(np.float32)


class Attention:
    """Weighted mean of each sequence's rows, (B, W); zeros for an empty sequence.

    ``a = softmax(scores)`` over the real steps of each sequence.

    Args:
        score: Scores (N, 1) of rows (N, W).

    Source:
        Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and
        Translate, appendix A.1.2.
    """

    def __init__(self, score: Callable[[Floats], Floats]) -> None:
        self._score = score

    def __call__(self, x: Ragged[Floats], final_BW: Floats) -> Floats:
        """Pool whole sequences."""
        del final_BW
        scores_N1 = self._score(x.values)
        top_B1 = _reduce(x.with_values(scores_N1), np.maximum)
        weights = x.with_values(np.exp(scores_N1 - np.repeat(top_B1, x.lengths, axis=0)))
        total_B1 = _reduce(weights, np.add)
        total_B1[x.lengths == 0] = 1.0
        pooled: Floats = _reduce(x.with_values(x.values * weights.values), np.add) / total_B1
        return pooled

    def stream(self) -> Stream:
        """Pool row by row."""
        return AttentionStream(self._score)


class AttentionStream:
    """Mean of the rows so far, weighted by ``exp(score)``, (1, W).

    The sums of the weights and of the weighted rows are relative to the largest score so far, and
    scaled down when a larger one comes.

    Source:
        Milakov & Gimelshein 2018, Online Normalizer Calculation for Softmax, algorithm 3.
    """

    def __init__(self, score: Callable[[Floats], Floats]) -> None:
        self._score = score
        self._top, self._total, self._weighted = -np.inf, 0.0, np.zeros((1, 1))

    # NaN is a legal answer, and no fault.
    @np.errstate(under="ignore", invalid="ignore")
    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row."""
        del final_1W
        score = float(self._score(row_1W)[0, 0])
        top = float(np.maximum(self._top, score))
        shrink, weight = np.exp(self._top - top), np.exp(score - top)
        self._top, self._total = top, self._total * shrink + weight
        self._weighted = self._weighted * shrink + weight * row_1W.astype(np.float64)
        pooled: Floats = (self._weighted / self._total).astype(np.float32)
        return pooled


class Concatenated:
    """Several poolings, concatenated, (B, parts * W)."""

    def __init__(self, parts: Sequence[Pooling]) -> None:
        self._parts = parts

    def __call__(self, x: Ragged[Floats], final_BW: Floats) -> Floats:
        """Pool whole sequences."""
        return np.concatenate([part(x, final_BW) for part in self._parts], axis=1)

    def stream(self) -> Stream:
        """Pool row by row."""
        return ConcatenatedStreams([part.stream() for part in self._parts])


class ConcatenatedStreams:
    """Several streams, concatenated, (1, parts * W)."""

    def __init__(self, parts: Sequence[Stream]) -> None:
        self._parts = parts

    def __call__(self, row_1W: Floats, final_1W: Floats) -> Floats:
        """Take a row, and the final state after it."""
        return np.concatenate([part(row_1W, final_1W) for part in self._parts], axis=1)


POOLINGS: dict[str, Pooling] = {
    "last": Last(),
    "max": Reduction(np.maximum, -np.inf),
    "mean": Reduction(np.add, 0.0, mean=True),
}


def _reduce(x: Ragged[Floats], operation: np.ufunc) -> Floats:
    """An operation over the rows of each sequence, (B, W); zeros where there are none."""
    out = np.zeros((len(x), x.values.shape[1]), np.float32)
    filled = np.flatnonzero(x.lengths)
    # reduceat of an empty range gives the row at its start, so empty sequences are left out.
    if filled.size:
        out[filled] = operation.reduceat(x.values, x.offsets[:-1][filled], axis=0)
    return out


def _last_so_far(row_1W: Floats, final_1W: Floats) -> Floats:
    del row_1W
    return final_1W
