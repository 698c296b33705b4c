"""Encoded sequences: a whole set in arrays, and the batches cut out of it."""

# N rows of all sequences, B sequences, K target values, M target symbols of all sequences

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from birnn.errors import DataError

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
            (B, K); target symbols, int64 (M,); or ``None``.
            A label or symbol that the vocabulary does not know is -1.
        target_lengths: Length of each target (B,) where it is a sequence of its own, else ``None``.
        asked: Which rows the head answers for, (N,), where it does for some alone; ``targets``
            are of all rows then.
    """

    inputs: EncodedRows
    lengths: Integers
    targets: npt.NDArray[Any] | None = None
    target_lengths: Integers | None = None
    asked: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def wanted(self) -> npt.NDArray[Any]:
        """The targets that are asked for.

        Raises:
            DataError: There are none.
        """
        if self.targets is None:
            raise DataError("a loss needs targets, this batch has none")
        return self.targets if self.asked is None else self.targets[self.asked]

    @property
    def rows(self) -> int:
        """Rows that a model computes: steps, and those of target sequences with their ends."""
        targets = 0 if self.target_lengths is None else self.answers
        return int(self.lengths.sum()) + targets

    @property
    def answers(self) -> int:
        """Rows by which the loss is weighed: those of target sequences, otherwise the steps."""
        if self.target_lengths is None:
            return int(self.lengths.sum())
        return int(self.target_lengths.sum()) + len(self)


class Encoded:
    """A set of sequences in arrays, from which batches are cut.

    Args:
        inputs: Rows of all sequences.
        lengths: Length of each sequence, (B,).
        targets: As in `Batch`, for all sequences.
        per_step: Whether each row has a target; otherwise each sequence has one.
        target_lengths: As in `Batch`, for all sequences.
        asked: As in `Batch`, for all sequences.
    """

    __slots__ = (
        "_starts",
        "_target_starts",
        "asked",
        "inputs",
        "lengths",
        "per_step",
        "target_lengths",
        "targets",
    )

    def __init__(
        self,
        inputs: EncodedRows,
        lengths: Integers,
        targets: npt.NDArray[Any] | None = None,
        *,
        per_step: bool = False,
        target_lengths: Integers | None = None,
        asked: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.inputs = inputs
        self.lengths = lengths
        self.targets = targets
        self.per_step = per_step
        self.target_lengths = target_lengths
        self.asked = asked
        self._starts = _starts(lengths)
        self._target_starts = None if target_lengths is None else _starts(target_lengths)

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    def with_targets(
        self,
        targets: npt.NDArray[Any] | None,
        *,
        per_step: bool,
        target_lengths: Integers | None = None,
        asked: npt.NDArray[np.bool_] | None = None,
    ) -> Encoded:
        """The same sequences with targets."""
        return Encoded(
            self.inputs,
            self.lengths,
            targets,
            per_step=per_step,
            target_lengths=target_lengths,
            asked=asked,
        )

    @property
    def sizes(self) -> Integers:
        """Rows that each sequence takes in a batch: its steps, and those of a target sequence.

        A target sequence takes one more than its symbols, for its end.
        """
        return (
            self.lengths if self.target_lengths is None else self.lengths + self.target_lengths + 1
        )

    def batch(self, indices: npt.ArrayLike) -> Batch:
        """The sequences that ``indices`` name, in that order.

        Args:
            indices: Numbers of sequences, (K,); repeats are allowed.
        """
        order = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[order]
        rows = _rows(self._starts[order], lengths)
        inputs, targets = self.inputs.take(rows), self.targets
        asked = None if self.asked is None else self.asked[rows]
        if targets is None:
            return Batch(inputs, lengths, asked=asked)
        if self.target_lengths is None or self._target_starts is None:
            targets = targets[rows if self.per_step else order]
            return Batch(inputs, lengths, targets, asked=asked)
        target_lengths = self.target_lengths[order]
        symbols = _rows(self._target_starts[order], target_lengths)
        return Batch(inputs, lengths, targets[symbols], target_lengths)


def _starts(lengths: Integers) -> Integers:
    """Where each sequence starts among the rows of all."""
    starts: Integers = np.cumsum(lengths) - lengths
    return starts


def _rows(starts: Integers, lengths: Integers) -> Integers:
    """Numbers of the rows of sequences that start there."""
    first = starts - _starts(lengths)
    return np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(first, lengths)
