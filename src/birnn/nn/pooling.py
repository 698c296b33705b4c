"""From the rows of each sequence to one vector for it; real rows only."""

# N rows of all sequences, B sequences, W width of a row

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from birnn.errors import ConfigError, ShapeError, nearest
from birnn.nn.conversions import ragged_rows
from birnn.ragged import Ragged

Pool = Callable[[Ragged[Tensor], Tensor], Tensor]


def last(x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """The encoder's merged final states: each half after it has read the whole sequence.

    Not the last row: there the backward half has read a single step.
    """
    return final_BW


def maximum(x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """Largest value of each unit over the steps, (B, W); zeros for a sequence of length 0."""
    lowest = x.values.new_full((len(x), x.values.shape[1]), -torch.inf)
    top_BW = lowest.scatter_reduce(
        0, _sequence(x).unsqueeze(1).expand_as(x.values), x.values, "amax"
    )
    empty_B = torch.from_numpy(x.lengths == 0).to(x.values.device)
    return top_BW.masked_fill(empty_B.unsqueeze(1), 0.0)


def mean(x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """Mean of each unit over the steps, (B, W); zeros for a sequence of length 0."""
    total_BW = x.values.new_zeros(len(x), x.values.shape[1]).index_add(0, _sequence(x), x.values)
    counts_B = torch.from_numpy(x.lengths).to(x.values).clamp(min=1)
    return total_BW / counts_B.unsqueeze(1)


POOLS: dict[str, Pool] = {"last": last, "max": maximum, "mean": mean}


def pool(name: str, x: Ragged[Tensor], final_BW: Tensor) -> Tensor:
    """Pool as ``name`` says; parts joined by ``+`` stand side by side.

    Args:
        name: ``last``, ``max``, ``mean`` or several of them joined by ``+``.
        x: Rows of the encoder, (N, W).
        final_BW: Merged final states of the encoder, (B, W).

    Returns:
        (B, parts * W).

    Raises:
        ConfigError: A part that does not exist.
        ShapeError: No ragged rows of floating-point numbers, or no final state for each sequence.

    Example:
        >>> import numpy as np
        >>> x = Ragged(torch.tensor([[1.0], [3.0], [5.0]]), np.array([2, 1]))
        >>> pool("max+mean", x, torch.zeros(2, 1)).tolist()
        [[3.0, 2.0], [5.0, 5.0]]
    """
    x, parts = ragged_rows(x, "pool"), name.split("+")
    for part in parts:
        if part not in POOLS:
            raise ConfigError(f"pooling has a part {part!r}: {nearest(part, POOLS)}")
    if "last" in parts and (not isinstance(final_BW, Tensor) or final_BW.shape[:-1] != (len(x),)):
        found = getattr(final_BW, "shape", type(final_BW).__name__)
        raise ShapeError(f"final states are (B, W), here of {len(x)} sequences, got {found}")
    return torch.cat([POOLS[part](x, final_BW) for part in parts], dim=1)


def _sequence(x: Ragged[Tensor]) -> Tensor:
    return torch.from_numpy(x.sequence_of_row).to(x.values.device)
