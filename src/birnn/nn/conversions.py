"""Conversions of the forms in which a batch may come, and back into the form it came in."""

# R rows with padding, B sequences, T steps, W width of a row

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from birnn.errors import DataError, ShapeError, UsageError
from birnn.nn._engine.tensor_layout import INTEGERS, TensorLayout, as_lengths
from birnn.ragged import Ragged


@dataclass(frozen=True, slots=True)
class PlacedBatch:
    """A batch where it stands: nothing is copied, whatever its form.

    Args:
        rows: Rows of all sequences, (R, ...); with padding where the batch came padded.
        layout: Which of them are the sequences'.
        restore: Gives rows (R, W) the form in which the batch came.
        spread: From a row for each sequence, (B, W), to one for each row of the batch, (R, W).
        clear: Rows (R, W) with zeros in the padding.
    """

    rows: Tensor
    layout: TensorLayout
    restore: Callable[[Tensor], Any]
    spread: Callable[[Tensor], Tensor]
    clear: Callable[[Tensor], Tensor] = lambda rows: rows


def place(x: Any, lengths: Any = None) -> PlacedBatch:
    """Read a batch where it stands, whatever its form.

    Args:
        x: `Ragged` of tensors; padded (B, T, ...); ``PackedSequence``; nested tensor, jagged.
        lengths: Lengths of the sequences, for padded input only.

    Raises:
        UsageError: Lengths given twice.
        ShapeError: A form that is none of these.

    Example:
        >>> batch = place(torch.ones(2, 3, 1), [3, 1])
        >>> batch.layout.starts.tolist(), batch.restore(batch.rows).shape
        ([0, 3], torch.Size([2, 3, 1]))
    """
    if isinstance(x, Tensor) and not x.is_nested and x.layout == torch.strided:
        if x.ndim != 3:
            raise ShapeError(f"a padded batch is (B, T, D), got shape {tuple(x.shape)}")
        return _padded(x, lengths)
    if lengths is not None:
        raise UsageError(f"{type(x).__name__} knows its lengths: leave lengths= out")
    if isinstance(x, Ragged):
        if not isinstance(x.values, Tensor):
            raise ShapeError("rows are a NumPy array here, give torch.from_numpy(values)")
        return _ragged(x, x.with_values)
    if isinstance(x, PackedSequence):
        return _packed(x)
    if isinstance(x, Tensor) and x.layout == torch.jagged:
        batch = Ragged.from_jagged(x)
        return _ragged(batch, lambda rows: batch.with_values(rows).to_jagged())
    raise ShapeError(
        f"expected Ragged, a padded tensor, a PackedSequence or a jagged nested tensor, "
        f"got {_type_name(x)}"
    )


@dataclass(frozen=True, slots=True)
class RaggedConversion:
    """A batch as ragged rows, and the form in which it came.

    Args:
        batch: Its rows, (N, ...).
        restore: Gives rows (N, ...) the form in which the batch came, zeros in padding.
    """

    batch: Ragged[Tensor]
    restore: Callable[[Tensor], Any]


def as_ragged(x: Any, lengths: Any = None, *, what: str = "rows") -> RaggedConversion:
    """Take a batch in any of the forms that `place` takes, as ragged rows.

    Args:
        x: `Ragged` of tensors; padded (B, T, ...); ``PackedSequence``; nested tensor, jagged.
        lengths: Lengths of the sequences, for padded input only.
        what: What the rows are, for messages.

    Raises:
        UsageError: Lengths given twice.
        ShapeError: A form that is none of these.
        LengthError: Lengths that do not fit.

    Example:
        >>> found = as_ragged(torch.tensor([[1, 2, 3], [4, 0, 0]]), [3, 1])
        >>> found.batch.values.tolist(), found.restore(found.batch.values).tolist()
        ([1, 2, 3, 4], [[1, 2, 3], [4, 0, 0]])
    """
    if lengths is not None and not (isinstance(x, Tensor) and not x.is_nested):
        raise UsageError(f"{type(x).__name__} knows its lengths: leave lengths= out")
    if isinstance(x, Ragged) and isinstance(x.values, Tensor):
        return RaggedConversion(x, x.with_values)
    if isinstance(x, PackedSequence):
        numbers = torch.arange(x.data.shape[0], device=x.data.device)
        places = Ragged.from_packed(x._replace(data=numbers))
        back = torch.argsort(places.values)
        return RaggedConversion(
            places.map(lambda rows: x.data[rows]), lambda rows: x._replace(data=rows[back])
        )
    if isinstance(x, Tensor) and x.is_nested and x.layout == torch.jagged:
        batch = Ragged.from_jagged(x)
        return RaggedConversion(batch, lambda rows: batch.with_values(rows).to_jagged())
    if isinstance(x, Tensor) and x.layout == torch.strided and not x.is_nested:
        steps = x.shape[1] if x.ndim > 1 else 0
        batch = Ragged.from_padded(x, lengths)
        return RaggedConversion(batch, lambda rows: batch.with_values(rows).to_padded(steps=steps))
    raise ShapeError(
        f"{what} are Ragged of tensors, a padded tensor (B, T, ...) with lengths, a PackedSequence "
        f"or a jagged nested tensor, got {_type_name(x)}"
    )


def ragged_rows(x: Any, what: str) -> Ragged[Tensor]:
    """The batch, where it is ragged rows (N, W) of floating-point numbers.

    Args:
        x: What was given.
        what: What takes them, for messages.

    Raises:
        ShapeError: Anything else.

    Example:
        >>> ragged_rows(torch.zeros(2, 3, 4), "pool")
        Traceback (most recent call last):
        ...
        birnn.errors.ShapeError: pool takes Ragged rows, got Tensor.
        Ragged.from_padded(x, lengths) makes them of a padded tensor.
    """
    if not isinstance(x, Ragged) or not isinstance(x.values, Tensor):
        raise ShapeError(
            f"{what} takes Ragged rows, got {_type_name(x)}. "
            "Ragged.from_padded(x, lengths) makes them of a padded tensor."
        )
    if x.values.ndim != 2 or not x.values.is_floating_point():
        raise ShapeError(
            f"{what} takes rows (N, W) of floating-point numbers, got shape "
            f"{tuple(x.values.shape)} of {x.values.dtype}"
        )
    return x


def ragged_symbols(x: Any, known: int, *, what: str, first: int = 0) -> Ragged[Tensor]:
    """The batch, where it is ragged numbers (N,) of symbols that there are, as int64.

    Args:
        x: What was given.
        known: How many symbols there are.
        what: What they are, for messages.
        first: The least number that they may have.

    Raises:
        ShapeError: No ragged whole numbers.
        DataError: A number that no symbol has.

    Example:
        >>> import numpy as np
        >>> ragged_symbols(Ragged(torch.tensor([1, 7]), np.array([2])), 5, what="targets")
        Traceback (most recent call last):
        ...
        birnn.errors.DataError: a symbol is 7, the model has numbers 0 to 4 in targets
    """
    if not isinstance(x, Ragged) or not isinstance(x.values, Tensor):
        raise ShapeError(
            f"{what} are Ragged of tensors, got {_type_name(x)}. "
            "Ragged.from_list makes it of a tensor for each sequence."
        )
    if x.values.ndim != 1 or x.values.dtype not in INTEGERS:
        raise ShapeError(
            f"{what} are whole numbers (N,), got rows of shape {tuple(x.values.shape[1:])} of "
            f"{x.values.dtype}"
        )
    batch = x.map(Tensor.long)
    strange = batch.values[(batch.values < first) | (batch.values >= known)]
    if strange.numel():
        raise DataError(
            f"a symbol is {int(strange[0])}, the model has numbers {first} to {known - 1} in {what}"
        )
    return batch


def _type_name(x: Any) -> str:
    """The type of something, for messages."""
    if isinstance(x, Ragged):
        return f"Ragged of {type(x.values).__name__}"
    if isinstance(x, Tensor) and (x.is_nested or x.layout != torch.strided):
        return f"{'nested ' if x.is_nested else ''}tensor of layout {x.layout}"
    return type(x).__name__


def _padded(x: Tensor, lengths: Any) -> PlacedBatch:
    batch, steps = x.shape[:2]
    counts = None if lengths is None else as_lengths(lengths, batch)

    def clear(rows_RW: Tensor) -> Tensor:
        if counts is None:
            return rows_RW
        beyond_BT = torch.arange(steps, device="cpu") >= counts.unsqueeze(1)
        # Not a product with 0: what stands in the padding may be NaN.
        return rows_RW.masked_fill(beyond_BT.reshape(-1, 1).to(rows_RW.device), 0)

    return PlacedBatch(
        x.reshape(batch * steps, x.shape[2]),
        TensorLayout.padded(batch, steps, counts),
        lambda rows_RW: rows_RW.view(batch, steps, rows_RW.shape[1]),
        lambda rows_BW: rows_BW.repeat_interleave(steps, dim=0),
        clear,
    )


def _ragged(batch: Ragged[Tensor], restore: Callable[[Tensor], Any]) -> PlacedBatch:
    def spread(rows_BW: Tensor) -> Tensor:
        sequence = torch.from_numpy(batch.sequence_of_row).to(rows_BW.device)
        return rows_BW.index_select(0, sequence)

    return PlacedBatch(batch.values, TensorLayout.ragged(batch.lengths), restore, spread)


def _packed(x: PackedSequence) -> PlacedBatch:
    def spread(rows_BW: Tensor) -> Tensor:
        ordered = rows_BW if x.sorted_indices is None else rows_BW.index_select(0, x.sorted_indices)
        return torch.cat([ordered[:size] for size in x.batch_sizes.tolist()])

    return PlacedBatch(
        x.data,
        TensorLayout.packed(x),
        lambda rows: PackedSequence(rows, x.batch_sizes, x.sorted_indices, x.unsorted_indices),
        spread,
    )
