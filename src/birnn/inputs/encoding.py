"""Encoded sequences: a whole set in arrays, and the batches cut out of it."""

# N rows of all sequences, B sequences, K target values

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


class EncodedRows(Protocol):
    """Encoded steps of sequences; each kind of input has arrays of its own."""

    def __len__(self) -> int:
        """Number of rows."""

    def take(self, rows: Integers) -> EncodedRows:
        """A selection of rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some sequences, ready for a model.

    Args:
        inputs: Their N rows.
        lengths: Length of each, (B,).
        targets: Tags, int64 (N,); labels, int64 (B,); values less their offset, float32
            (B, K); or ``None``.
            A label that the vocabulary does not know is -1.
    """

    inputs: EncodedRows
    lengths: Integers
    targets: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)


class Encoded:
    """A set of sequences in arrays, from which batches are cut.

    Args:
        inputs: Rows of all sequences.
        lengths: Length of each sequence, (B,).
        targets: As in `Batch`, for all sequences.
        per_step: Whether each row has a target; otherwise each sequence has one.
    """

    __slots__ = ("_starts", "inputs", "lengths", "per_step", "targets")

    def __init__(
        self,
        inputs: EncodedRows,
        lengths: Integers,
        targets: npt.NDArray[Any] | None = None,
        *,
        per_step: bool = False,
    ) -> None:
        self.inputs = inputs
        self.lengths = lengths
        self.targets = targets
        self.per_step = per_step
        self._starts = np.cumsum(lengths) - lengths

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    def with_targets(self, targets: npt.NDArray[Any] | None, *, per_step: bool) -> Encoded:
        """The same sequences with targets."""
        return Encoded(self.inputs, self.lengths, targets, per_step=per_step)

    def batch(self, indices: npt.ArrayLike) -> Batch:
        """The sequences that ``indices`` name, in that order.

        Args:
            indices: Numbers of sequences, (K,); repeats are allowed.
        """
        order = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[order]
        first = self._starts[order] - (np.cumsum(lengths) - lengths)
        rows = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(first, lengths)
        targets = self.targets
        if targets is not None:
            targets = targets[rows if self.per_step else order]
        return Batch(self.inputs.take(rows), lengths, targets)
