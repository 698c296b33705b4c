"""Where the rows of a batch's sequences stand, as tensors that a graph can hold.

Padded, packed and ragged batches differ in nothing else: step ``t`` of sequence ``b`` is row
``starts[b] + steps[t]``, so none of them has to be copied into another.

```
ragged              starts = rows before the sequence   steps = 0, 1, 2, ...
padded (B, T, ...)  starts = 0, T, 2 T, ...             steps = 0, 1, 2, ...
padded (T, B, ...)  starts = 0, 1, 2, ...               steps = 0, B, 2 B, ...
packed              starts = rank of the sequence       steps = rows before the step
```
"""

# B sequences, T steps of the longest

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from birnn.engine.arrays import RowLayout
from birnn.errors import ShapeError
from birnn.nn._engine.private_torch import is_plain
from birnn.ragged import Lengths, host_lengths

M = TypeVar("M")
CACHED_STEPS = 1 << 13  # steps; layouts of longer batches are not kept for the next one
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, eq=False)
class TensorLayout:
    """Row of each step of each sequence: ``starts[b] + steps[t]``; int64 on the CPU.

    Args:
        lengths: Length of each sequence, (B,).
        starts: What the sequence adds to a row's number, (B,).
        steps: What the step adds to it, (T,); no sequence is longer than T.
        cache: What an engine has made of the layout, for the next layer to use.
    """

    lengths: Tensor
    starts: Tensor
    steps: Tensor
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lengths, starts, steps."""
        return self.lengths, self.starts, self.steps

    def cached(self, name: Any, make: Callable[[], M]) -> M:
        """What ``make`` makes of the layout, made when it is first asked for."""
        if name not in self.cache:
            self.cache[name] = make()
        found: M = self.cache[name]
        return found

    def row_layout(self, rows: int) -> RowLayout:
        """The layout as the native engine reads it.

        Args:
            rows: Rows R of the array.

        Raises:
            LengthError: A length that the rows cannot have.
        """
        lengths, starts, steps = self.parts
        return self.cached(
            RowLayout, lambda: RowLayout(lengths.numpy(), starts.numpy(), steps.numpy(), rows)
        )

    @classmethod
    def of(cls, host: RowLayout) -> TensorLayout:
        """A layout whose numbers are known."""
        lengths, starts, steps = map(torch.from_numpy, (host.lengths, host.starts, host.steps))
        return cls(lengths, starts, steps, {RowLayout: host})

    @classmethod
    def ragged(cls, lengths: Lengths) -> TensorLayout:
        """The rows of each sequence one after another."""
        return cls.of(RowLayout.ragged(lengths))

    @classmethod
    def padded(
        cls, batch: int, steps: int, lengths: Tensor | None = None, *, batch_first: bool = True
    ) -> TensorLayout:
        """Rows (B, T) or, with ``batch_first=False``, (T, B), laid flat; without lengths all full.

        Raises:
            LengthError: A length that the rows cannot have, where lengths can be read already.

        Example:
            >>> layout = TensorLayout.padded(2, 3, batch_first=False)
            >>> layout.starts.tolist(), layout.steps.tolist()
            ([0, 1], [0, 2, 4])
        """
        if is_plain(lengths):
            make = _full if steps <= CACHED_STEPS else _full.__wrapped__
            full = make(batch, steps, batch_first)
            if lengths is None:
                return full
            # The lengths are to be those of the forward pass in the backward pass as well.
            own = lengths.numpy().copy()
            host = full.row_layout(batch * steps).with_lengths(own)
            return cls(torch.from_numpy(own), full.starts, full.steps, {RowLayout: host})
        if lengths is None:
            lengths = torch.full((batch,), steps, device="cpu")
        sequence, step = (torch.arange(count, device="cpu") for count in (batch, steps))
        if batch_first:
            return cls(lengths, sequence * steps, step)
        return cls(lengths, sequence, step * batch)

    @classmethod
    def packed(cls, packed: PackedSequence) -> TensorLayout:
        """The rows of a ``PackedSequence``, its sequences in the order they had unpacked."""
        sizes = packed.batch_sizes.numpy()
        if packed.unsorted_indices is None:
            ranks = np.arange(sizes.max(initial=0))
        else:
            ranks = packed.unsorted_indices.cpu().numpy()
        # Sizes fall: a sequence's length is the first step that no longer has its rank.
        lengths = torch.from_numpy(np.searchsorted(-sizes, -ranks))
        first = packed.batch_sizes.cumsum(0) - packed.batch_sizes
        return cls(lengths, torch.from_numpy(ranks), first)


@functools.lru_cache(maxsize=256)
def _full(batch: int, steps: int, batch_first: bool) -> TensorLayout:
    """Batches of a shape share a layout, or all of it but the lengths.

    Making it takes longer than running a small one.
    """
    with torch.inference_mode(False):  # whose tensors could not be kept for a backward pass
        lengths = np.full(batch, steps)
        return TensorLayout.of(RowLayout.padded(lengths, steps=steps, batch_first=batch_first))


def as_lengths(lengths: Any, batch: int) -> Tensor:
    """Lengths of any kind, on any device, as an int64 tensor on the CPU; values are not read.

    Args:
        lengths: Tensor, array or list of whole numbers, (B,).
        batch: Number of sequences B.

    Raises:
        ShapeError: Not a vector of whole numbers, or not one for each sequence.

    Example:
        >>> as_lengths([3, 0], 2)
        tensor([3, 0])
    """
    if not isinstance(lengths, Tensor):
        if torch.compiler.is_compiling():
            lengths = torch.tensor(lengths, dtype=torch.int64, device="cpu")
        else:
            lengths = torch.from_numpy(host_lengths(lengths))
    if lengths.ndim != 1 or lengths.dtype not in INTEGERS:
        raise ShapeError(
            f"lengths are a vector of integers, got shape {tuple(lengths.shape)} of {lengths.dtype}"
        )
    if lengths.shape[0] != batch:
        raise ShapeError(f"{lengths.shape[0]} lengths for {batch} sequences")
    there = lengths.dtype is torch.int64 and lengths.is_cpu
    on_host: Tensor = lengths if there else lengths.detach().to("cpu", torch.int64)
    return on_host
