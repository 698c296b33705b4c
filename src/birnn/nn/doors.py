"""The forms in which a batch may enter a layer, each given back at the same door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from birnn.errors import ShapeError, UsageError
from birnn.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Door:
    """Gives rows back in the form in which the batch came."""

    leave: Callable[[Ragged[Tensor]], Any]


def enter(x: Any, lengths: Any = None) -> tuple[Ragged[Tensor], Door]:
    """Take a batch in any of its forms.

    Args:
        x: `Ragged` of tensors; padded (B, T, ...); ``PackedSequence``; nested tensor, jagged.
        lengths: Lengths of the sequences, for padded input only.

    Returns:
        The ragged batch, and the door that gives rows back in the form of ``x``.

    Raises:
        UsageError: Lengths given twice.
        ShapeError: A form that is none of these.

    Example:
        >>> batch, door = enter(torch.ones(2, 3, 1), [3, 1])
        >>> batch.lengths.tolist(), door.leave(batch).squeeze(-1).tolist()
        ([3, 1], [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    """
    if isinstance(x, Tensor) and not x.is_nested:
        if x.ndim != 3:
            raise ShapeError(f"a padded batch is (B, T, D), got shape {tuple(x.shape)}")
        steps = int(x.shape[1])
        batch = Ragged.from_padded(x, lengths)
        return batch, Door(lambda rows: rows.to_padded(steps=steps))
    if lengths is not None:
        raise UsageError(f"{type(x).__name__} knows its lengths: leave lengths= out")
    if isinstance(x, Ragged):
        if not isinstance(x.values, Tensor):
            raise ShapeError("rows are a NumPy array here, give torch.from_numpy(values)")
        return x, Door(lambda rows: rows)
    if isinstance(x, PackedSequence):
        return Ragged.from_packed(x), Door(lambda rows: rows.to_packed())
    if isinstance(x, Tensor) and x.layout == torch.jagged:
        return Ragged.from_jagged(x), Door(lambda rows: rows.to_jagged())
    raise ShapeError(
        f"expected Ragged, a padded tensor, a PackedSequence or a jagged nested tensor, "
        f"got {type(x).__name__}"
    )
