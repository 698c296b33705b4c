"""Ragged batches, and the conversions from other forms of batch and back.

A batch of sequences is its rows, one sequence after another, and the length of each:
no padding inside, so nothing can leak from it.

```
values  (N, ...)   N rows: the steps of all sequences, first sequence first
lengths (B,)       int64 on the host, N = lengths.sum(); 0 is legal
```

``values`` is a NumPy array or a torch tensor (on any device); every conversion answers in the kind
it was given. This module never imports torch by itself.
"""

# N rows of all sequences, B sequences, T steps of the longest

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from birnn.errors import LengthError, ShapeError, require

A = TypeVar("A", bound=Any)
Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Ragged(Generic[A]):
    """A batch of sequences of different lengths, without padding.

    Args:
        values: Rows of all sequences one after another, shape (N, ...).
        lengths: Length of each sequence, shape (B,), non-negative, summing to N.

    Raises:
        LengthError: A negative length, or lengths that do not sum to N.
        ShapeError: Lengths that are not a vector of integers.

    Example:
        >>> batch = Ragged(np.arange(5.0).reshape(5, 1), np.array([3, 0, 2]))
        >>> [sequence.ravel().tolist() for sequence in batch]
        [[0.0, 1.0, 2.0], [], [3.0, 4.0]]
    """

    values: A
    lengths: Lengths

    def __post_init__(self) -> None:
        lengths = host_lengths(self.lengths)
        _check_rows(self.values, int(lengths.sum()))
        object.__setattr__(self, "lengths", lengths)

    def __len__(self) -> int:
        """Number of sequences."""
        return int(self.lengths.shape[0])

    def __iter__(self) -> Iterator[A]:
        """The sequences one by one, as views of shape (length, ...)."""
        for start, stop in itertools.pairwise(self.offsets.tolist()):
            yield self.values[start:stop]

    @property
    def offsets(self) -> Lengths:
        """Row at which each sequence starts, and N at the end; shape (B + 1,)."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])

    @property
    def sequence_of_row(self) -> Lengths:
        """Sequence that each row belongs to; shape (N,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @property
    def step_of_row(self) -> Lengths:
        """Step of each row within its sequence; shape (N,)."""
        return np.arange(int(self.lengths.sum()), dtype=np.int64) - np.repeat(
            self.offsets[:-1], self.lengths
        )

    def with_values(self, values: A) -> Ragged[A]:
        """The same lengths over other rows.

        Raises:
            LengthError: Another number of rows.
        """
        _check_rows(values, int(self.values.shape[0]))
        return self.of_checked(values, self.lengths)

    @classmethod
    def of_checked(cls, values: A, lengths: Lengths) -> Ragged[A]:
        """A batch past the checks, of lengths that are known to be those of its rows.

        Example:
            >>> len(Ragged.of_checked(np.zeros((3, 1)), np.array([1, 2])))
            2
        """
        batch: Ragged[A] = object.__new__(cls)
        object.__setattr__(batch, "values", values)
        object.__setattr__(batch, "lengths", lengths)
        return batch

    def map(self, function: Callable[[A], A]) -> Ragged[A]:
        """Apply a row-wise function to all rows at once."""
        return self.with_values(function(self.values))

    def kept(self, keep: npt.NDArray[np.bool_]) -> Ragged[A]:
        """Some rows of each sequence, in their order.

        Args:
            keep: Which rows, (N,).

        Example:
            >>> batch = Ragged(np.array([1, 2, 3, 9, 8]), np.array([3, 2]))
            >>> kept = batch.kept(np.array([True, False, True, False, False]))
            >>> kept.values.tolist(), kept.lengths.tolist()
            ([1, 3], [2, 0])
        """
        counts = np.bincount(self.sequence_of_row[keep], minlength=len(self))
        values: Any = self.values
        return Ragged(values[np.flatnonzero(keep)], counts.astype(np.int64))

    def reversed(self) -> Ragged[A]:
        """Each sequence reversed within its own length.

        Example:
            >>> batch = Ragged(np.array([1, 2, 3, 9, 8]), np.array([3, 2]))
            >>> batch.reversed().values.tolist()
            [3, 2, 1, 8, 9]
        """
        return self.with_values(self.values[self.reversal()])

    def reversal(self) -> Lengths:
        """Row that takes each row's place when all sequences are reversed; shape (N,)."""
        first = np.repeat(self.offsets[:-1], self.lengths)
        last = np.repeat(self.offsets[1:] - 1, self.lengths)
        return first + last - np.arange(first.shape[0], dtype=np.int64)

    def select(self, order: npt.ArrayLike) -> Ragged[A]:
        """The sequences ``order`` names, in that order.

        Args:
            order: Indices of sequences, shape (K,); repeats are allowed, negative ones count
                from the end.

        Raises:
            ShapeError: Not a vector of integers.

        Example:
            >>> batch = Ragged(np.array([1, 2, 3, 9, 8]), np.array([3, 0, 2]))
            >>> batch.select([2, 0]).values.tolist()
            [9, 8, 1, 2, 3]
        """
        order = np.asarray(order)
        if order.ndim != 1 or (order.size and order.dtype.kind not in "iu"):
            raise ShapeError(
                f"an order is a vector of integers, got shape {order.shape} of {order.dtype}"
            )
        order = order.astype(np.int64, copy=False)
        lengths = self.lengths[order]
        starts = np.cumsum(lengths) - lengths
        within = np.arange(int(lengths.sum()), dtype=np.int64) - np.repeat(starts, lengths)
        first = self.offsets[:-1][order]
        return Ragged(self.values[np.repeat(first, lengths) + within], lengths)

    def rows_at(self, step: int) -> Lengths:
        """Row of each sequence at ``step`` (negative: from its end); sequences must be long enough.

        Raises:
            LengthError: A sequence is too short to have that step.
        """
        needed = step + 1 if step >= 0 else -step
        if len(self) and int(self.lengths.min()) < needed:
            short = int(np.argmin(self.lengths))
            raise LengthError(
                f"sequence {short} has {int(self.lengths[short])} steps, step {step} needs {needed}"
            )
        return self.offsets[:-1] + step if step >= 0 else self.offsets[1:] + step

    # ------------------------------------------------------------------ conversions in

    @classmethod
    def from_list(cls, sequences: Sequence[A]) -> Ragged[A]:
        """From one array of shape (length, ...) for each sequence.

        Raises:
            ShapeError: No sequence at all, or sequences that differ beyond their length.

        Example:
            >>> Ragged.from_list([np.ones((2, 3)), np.ones((0, 3))]).lengths.tolist()
            [2, 0]
        """
        if not len(sequences):
            raise ShapeError("a ragged batch from a list needs at least one sequence, got none")
        shapes = {tuple(sequence.shape[1:]) for sequence in sequences}
        if len(shapes) > 1:
            raise ShapeError(f"sequences differ beyond their length: rows of {sorted(shapes)}")
        lengths = np.array([int(sequence.shape[0]) for sequence in sequences], dtype=np.int64)
        first: Any = sequences[0]
        values: Any
        if isinstance(first, np.ndarray):
            values = np.concatenate(list(sequences))
        else:
            values = require("torch", extra="train").cat(list(sequences))
        return cls(values, lengths)

    @classmethod
    def from_padded(cls, padded: A, lengths: Any = None, *, batch_first: bool = True) -> Ragged[A]:
        """From padded (B, T, ...) and lengths; the padding is never read.

        Args:
            padded: Padded batch, (B, T, ...), or (T, B, ...) with ``batch_first=False``.
            lengths: Length of each sequence, (B,); ``None`` says that all are full.
            batch_first: Which of the first two axes is the batch.

        Raises:
            ShapeError: Fewer than two axes, or lengths for another number of sequences.
            LengthError: A negative length, or one beyond the padded steps.

        Example:
            >>> padded = np.array([[1, 2, 0], [3, 0, 0]])
            >>> Ragged.from_padded(padded, [2, 1]).values.tolist()
            [1, 2, 3]
        """
        if getattr(padded, "ndim", 0) < 2:
            raise ShapeError(f"a padded batch is (B, T, ...), got shape {tuple(np.shape(padded))}")
        if not batch_first:
            padded = padded.swapaxes(0, 1)
        batch, steps = int(padded.shape[0]), int(padded.shape[1])
        counts = host_lengths(np.full(batch, steps) if lengths is None else lengths)
        if counts.shape[0] != batch:
            raise ShapeError(f"{counts.shape[0]} lengths for {batch} sequences")
        check_lengths(counts, steps)
        sequence, step = _positions(counts)
        return cls(padded[sequence, step], counts)

    @classmethod
    def from_packed(cls, packed: Any) -> Ragged[Any]:
        """From a ``torch.nn.utils.rnn.PackedSequence``, in the order the batch had unpacked."""
        batch_sizes = host_lengths(packed.batch_sizes)
        width = int(batch_sizes[0]) if batch_sizes.size else 0
        sorted_lengths = (batch_sizes[None, :] > np.arange(width)[:, None]).sum(axis=1)
        order = (
            np.arange(width)
            if packed.unsorted_indices is None
            else packed.unsorted_indices.detach().cpu().numpy()
        )
        lengths = sorted_lengths[order].astype(np.int64)
        sequence, step = _positions(lengths)
        step_starts = np.cumsum(batch_sizes) - batch_sizes
        return cls(packed.data[step_starts[step] + order[sequence]], lengths)

    @classmethod
    def from_jagged(cls, nested: Any) -> Ragged[Any]:
        """From a torch nested tensor of jagged layout, (B, ragged, ...)."""
        offsets = nested.offsets().detach().cpu().numpy().astype(np.int64)
        lengths = nested.lengths()
        if lengths is None:
            return cls(nested.values()[int(offsets[0]) : int(offsets[-1])], np.diff(offsets))
        counts = host_lengths(lengths)
        _, step = _positions(counts)
        return cls(nested.values()[np.repeat(offsets[:-1], counts) + step], counts)

    # ------------------------------------------------------------------ conversions out

    def to_list(self) -> list[A]:
        """One array of shape (length, ...) for each sequence."""
        return list(self)

    def to_padded(
        self, *, fill: float = 0.0, steps: int | None = None, batch_first: bool = True
    ) -> A:
        """Padded (B, T, ...), T the longest length or ``steps``.

        Raises:
            LengthError: A sequence is longer than ``steps``.

        Example:
            >>> Ragged(np.array([1, 2, 3]), np.array([2, 1])).to_padded().tolist()
            [[1, 2], [3, 0]]
        """
        longest = int(self.lengths.max(initial=0))
        if steps is not None and steps < longest:
            raise LengthError(f"the longest sequence has {longest} steps, got steps={steps}")
        shape = (len(self), longest if steps is None else steps, *self.values.shape[1:])
        sequence, step = _positions(self.lengths)
        padded: Any
        values: Any = self.values
        if isinstance(values, np.ndarray):
            padded = np.full(shape, fill, dtype=values.dtype)
            padded[sequence, step] = values
        else:
            torch = require("torch", extra="train")
            index = tuple(torch.from_numpy(i).to(values.device) for i in (sequence, step))
            padded = values.new_full(shape, fill).index_put(index, values)
        return padded if batch_first else padded.swapaxes(0, 1)  # type: ignore[no-any-return]

    def to_packed(self) -> Any:
        """A ``torch.nn.utils.rnn.PackedSequence``; torch has no packed sequence of length 0.

        Raises:
            LengthError: A sequence is empty.
        """
        if len(self) == 0 or int(self.lengths.min()) == 0:
            raise LengthError("a PackedSequence cannot hold a sequence of length 0")
        torch = require("torch", extra="train")
        order = np.argsort(-self.lengths, kind="stable")
        longest = int(self.lengths.max())
        batch_sizes = (self.lengths[None, :] > np.arange(longest)[:, None]).sum(axis=1)
        position = np.concatenate([np.arange(size) for size in batch_sizes])
        step = np.repeat(np.arange(longest), batch_sizes)
        rows = self.offsets[order[position]] + step
        unsorted = np.empty_like(order)
        unsorted[order] = np.arange(len(self))
        device = self.values.device
        return torch.nn.utils.rnn.PackedSequence(
            self.values[torch.from_numpy(rows).to(device)],
            torch.from_numpy(batch_sizes.astype(np.int64)),
            torch.from_numpy(order).to(device),
            torch.from_numpy(unsorted).to(device),
        )

    def to_jagged(self) -> Any:
        """A torch nested tensor of jagged layout."""
        torch = require("torch", extra="train")
        offsets = torch.from_numpy(self.offsets).to(self.values.device)
        return torch.nested.nested_tensor_from_jagged(self.values, offsets)


def _check_rows(values: Any, rows: int) -> None:
    """Refuse values that are not so many rows."""
    if getattr(values, "ndim", 0) < 1:
        raise ShapeError("values of a ragged batch are rows (N, ...), got a scalar")
    if values.shape[0] != rows:
        raise LengthError(
            f"lengths sum to {rows}, values has {int(values.shape[0])} rows. "
            "Give one length for each sequence, summing to the number of rows."
        )


def host_lengths(lengths: Any) -> Lengths:
    """Lengths as an int64 vector on the host, checked.

    Raises:
        ShapeError: Not a vector of integers.
        LengthError: A negative length.
    """
    if hasattr(lengths, "detach"):
        lengths = lengths.detach().cpu().numpy()
    counts = np.asarray(lengths)
    if counts.size == 0:
        counts = counts.astype(np.int64)
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths are a vector of integers, got shape {counts.shape} of {counts.dtype}"
        )
    counts = np.ascontiguousarray(counts, dtype=np.int64)
    check_lengths(counts)
    return counts


def check_lengths(lengths: Lengths, steps: int | None = None) -> None:
    """Refuse lengths that a sequence, or rows of so many steps, cannot have.

    Raises:
        LengthError: A negative length, or one beyond ``steps``.

    Example:
        >>> check_lengths(np.array([2, 9]), 7)
        Traceback (most recent call last):
        ...
        birnn.errors.LengthError: lengths[1] is 9, x has 7 steps. Trim it to 7 or pad x to 9.
    """
    most = np.iinfo(np.int64).max if steps is None else steps
    # As unsigned numbers, negative ones are the largest of all.
    if lengths.size == 0 or int(lengths.view(np.uint64).max()) <= most:
        return
    i = int(np.flatnonzero((lengths < 0) | (lengths > most))[0])
    if lengths[i] < 0:
        raise LengthError(f"lengths[{i}] is {lengths[i]}. A sequence has 0 or more steps.")
    raise LengthError(
        f"lengths[{i}] is {lengths[i]}, x has {steps} steps. "
        f"Trim it to {steps} or pad x to {lengths[i]}."
    )


def _positions(lengths: Lengths) -> tuple[Lengths, Lengths]:
    """Sequence and step of each row."""
    starts = np.cumsum(lengths) - lengths
    sequence = np.repeat(np.arange(lengths.shape[0], dtype=np.int64), lengths)
    return sequence, np.arange(sequence.shape[0], dtype=np.int64) - starts[sequence]
