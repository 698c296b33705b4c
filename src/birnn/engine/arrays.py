"""Arrays for the kernels: where a batch's rows stand, and cache-aligned, pooled allocations."""

# B sequences, T steps, R rows of the array, padding included

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.errors import ShapeError
from birnn.ragged import Lengths, check_lengths
from birnn.reference.low_precision import Int8Matrix, Matrix, Precision

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
CACHE_LINE = 64
LARGE = 1 << 20  # bytes; smaller blocks the allocator has at hand


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
        check_lengths(self.lengths, self.steps.shape[0])

    def with_lengths(self, lengths: Lengths) -> RowLayout:
        """The same places, for a sequence of another length at each.

        Raises:
            LengthError: A length that is negative or beyond the steps.

        Example:
            >>> RowLayout.padded(np.array([3, 3]), steps=3).with_lengths(np.array([2, 1])).rows
            6
        """
        other = self._of(lengths=lengths, starts=self.starts, steps=self.steps, rows=self.rows)
        if isa.native_module() is None:
            check_lengths(lengths, self.steps.shape[0])
        else:
            _ = other.plan  # soon needed, and made of no lengths but those that fit
        return other

    def _places(self) -> tuple[Lengths | None, Lengths | None]:
        """Starts and steps as the module takes them."""
        return self.starts, self.steps

    @classmethod
    def _of(cls, **own: Any) -> RowLayout:
        """A layout past the checks, of arrays that are known to fit."""
        layout = object.__new__(cls)
        layout.__dict__.update(own)
        return layout

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
            return native.Plan(self.lengths, *self._places(), self.rows)
        except ValueError:
            check_lengths(self.lengths, self.steps.shape[0])  # names the one, and what helps
            raise

    @classmethod
    def ragged(cls, lengths: Lengths) -> RowLayout:
        """Sequences one after another, as in `Ragged`.

        Example:
            >>> RowLayout.ragged(np.array([2, 0, 1])).starts.tolist()
            [0, 2, 2]
        """
        return RaggedLayout._of(lengths=lengths, rows=sum(lengths.tolist()))

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


class RaggedLayout(RowLayout):
    """Sequences one after another: where they stand is written out only for who asks for it."""

    @property
    def starts(self) -> Lengths:
        """Row of each sequence's first step, (B,)."""
        starts: Lengths = np.cumsum(self.lengths) - self.lengths
        return starts

    @property
    def steps(self) -> Lengths:
        """Offset of each step, (T,)."""
        return np.arange(self.lengths.max(initial=0))

    def _places(self) -> tuple[None, None]:
        return None, None


def aligned_empty(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An empty vector aligned to a cache line, so that no load of a vector meets two.

    Example:
        >>> aligned_empty(3, np.dtype("f4")).ctypes.data % CACHE_LINE
        0
    """
    memory = np.empty(count * dtype.itemsize + CACHE_LINE, np.uint8)
    skip = -memory.ctypes.data % CACHE_LINE
    return memory[skip : skip + count * dtype.itemsize].view(dtype)


def pooled_empty(native: ModuleType, count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The same for a vector that a training step needs and the next step again.

    A large one comes from a pool of the compiled module, and goes back to it when the last array
    on it is gone. Fresh pages would be cleared and unmapped at every step.

    Raises:
        MemoryError: There is not enough memory.

    Example:
        >>> pooled_empty(isa.native_module(), 3, np.dtype("f4")).shape
        (3,)
    """
    if count * dtype.itemsize < LARGE:
        return aligned_empty(count, dtype)
    memory: npt.NDArray[Any] = native.lend(count * dtype.itemsize)
    return memory.view(dtype)


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


def stored(weight: npt.NDArray[Any] | Matrix) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """A matrix as the compiled module takes it: its numbers, and of int8 the scales of its rows.

    Example:
        >>> numbers, scales = stored(Int8Matrix.of(np.ones((1, 2), np.float32)))
        >>> numbers.tolist(), scales.shape
        ([[127, 127]], (1,))
    """
    if not isinstance(weight, Matrix):
        return weight, None
    return (weight.values, weight.scales) if isinstance(weight, Int8Matrix) else (weight.bits, None)


def precision_number(precision: Precision, dtype: np.dtype[Any]) -> int:
    """The compiled module's number for weights of a precision and rows of a dtype.

    Example:
        >>> precision_number("float32", np.dtype(np.float64))
        1
    """
    wide = precision == "float32" and dtype == np.float64
    return isa.PRECISION_NUMBERS["float64" if wide else precision]
