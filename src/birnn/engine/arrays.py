"""Where the rows of a batch stand."""

# B sequences, T steps, R rows of the array, padding included

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from birnn.engine import isa
from birnn.engine.arrays import contiguous
from birnn.errors import LengthError, ShapeError
from birnn.ragged import Lengths


@dataclass(frozen=True, eq=False)
class RowLayout:
    """Row of step t of sequence b is ``starts[b] + steps[t]``.

    That covers rows one sequence after another, padded batches with either axis first, and packed
    sequences, so that the kernels read and write each of them where it stands.

    Args:
        lengths: Steps of each sequence, (B,).
        starts: Row of each sequence's first step less ``steps[0]``, (B,).
        steps: Offset of each step, (T,), T at least the longest length.
        rows: Rows R of the array.

    Raises:
        ShapeError: Arrays that are no vectors, or differ in number.
        LengthError: A length that is negative or beyond the steps.

    Example:
        >>> RowLayout.padded(np.array([2, 1]), steps=3).starts.tolist()
        [0, 3]
    """

    lengths: Lengths
    starts: Lengths
    steps: Lengths
    rows: int

    def __post_init__(self) -> None:
        for name in ("lengths", "starts", "steps"):
            given = getattr(self, name)
            array = contiguous(np.asarray(given), np.int64)
            if array.ndim != 1:
                raise ShapeError(f"{name} are a vector, got shape {array.shape}")
            object.__setattr__(self, name, array)
        if self.starts.shape != self.lengths.shape:
            raise ShapeError(f"{self.starts.shape[0]} starts for {self.lengths.shape[0]} lengths")
        self._check_lengths()

    def _check_lengths(self) -> None:
        """Refuse lengths that the steps do not allow."""
        lengths, steps = self.lengths, self.steps.shape[0]
        if lengths.size == 0:
            return
        # As unsigned numbers, negative ones are the largest of all.
        where = int(lengths.view(np.uint64).argmax())
        length = int(lengths[where])
        if length < 0:
            raise LengthError(f"lengths[{where}] is {length}. A sequence has 0 or more steps.")
        if length > steps:
            raise LengthError(
                f"lengths[{where}] is {length}, x has {steps} steps. "
                f"Trim it to {steps} or pad x to {length}."
            )

    def with_lengths(self, lengths: Lengths) -> RowLayout:
        """The same places, for a sequence of another length at each.

        Raises:
            LengthError: A length that is negative or beyond the steps.

        Example:
            >>> RowLayout.padded(np.array([3, 3]), steps=3).with_lengths(np.array([2, 1])).rows
            6
        """
        other = object.__new__(RowLayout)  # past the checks of what is the same
        own = {"lengths": lengths, "starts": self.starts, "steps": self.steps, "rows": self.rows}
        other.__dict__.update(own)
        if isa.native_module() is None:
            other._check_lengths()
        else:
            _ = other.plan  # soon needed, and made of no lengths but those that fit
        return other

    @cached_property
    def plan(self) -> Any:
        """The batch as the compiled module cuts it: once, for all layers and for the way back.

        Raises:
            LengthError: A length that is negative or beyond the steps.
            ValueError: The layout has a row that is not there.
        """
        native = isa.native_module()
        assert native is not None, "only the compiled kernels have use for it"
        try:
            return native.Plan(self.lengths, self.starts, self.steps, self.rows)
        except ValueError:
            self._check_lengths()  # names the one, and what helps
            raise

    @classmethod
    def ragged(cls, lengths: Lengths) -> RowLayout:
        """Sequences one after another, as in `Ragged`.

        Example:
            >>> RowLayout.ragged(np.array([2, 0, 1])).starts.tolist()
            [0, 2, 2]
        """
        starts = np.cumsum(lengths) - lengths
        return cls(lengths, starts, np.arange(int(lengths.max(initial=0))), int(lengths.sum()))

    @classmethod
    def padded(cls, lengths: Lengths, *, steps: int, batch_first: bool = True) -> RowLayout:
        """A padded batch: (B, steps) rows, or (steps, B).

        Example:
            >>> RowLayout.padded(np.array([2, 1]), steps=3, batch_first=False).steps.tolist()
            [0, 2, 4]
        """
        count = int(lengths.shape[0])
        sequence, step = np.arange(count), np.arange(steps)
        if batch_first:
            return cls(lengths, sequence * steps, step, count * steps)
        return cls(lengths, sequence, step * count, count * steps)

    @classmethod
    def packed(cls, batch_sizes: Lengths) -> RowLayout:
        """Step after step, longest sequence first, as in torch's ``PackedSequence``.

        Args:
            batch_sizes: Sequences that run at each step, (T,).

        Example:
            >>> RowLayout.packed(np.array([2, 1])).lengths.tolist()
            [2, 1]
        """
        most = int(batch_sizes[0]) if batch_sizes.size else 0
        lengths = (batch_sizes[None, :] > np.arange(most)[:, None]).sum(axis=1)
        starts = np.cumsum(batch_sizes) - batch_sizes
        return cls(lengths, np.arange(most), starts, int(batch_sizes.sum()))
