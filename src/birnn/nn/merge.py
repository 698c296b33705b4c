"""How the two halves of a bidirectional layer become one row."""

# R rows or sequences, H hidden units

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from birnn.reference.stack import MergeName, Stack

MERGES: dict[MergeName, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda forward, backward: torch.cat([forward, backward], dim=-1),
    "sum": torch.add,
    "mean": lambda forward, backward: (forward + backward) / 2,
    "product": torch.mul,
}


class Projection(nn.Linear):
    """Merge by a learned projection: W [forward; backward] + b, (R, H) each to (R, H)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(2 * hidden_size, hidden_size)

    def forward(self, forward_RH: Tensor, backward_RH: Tensor) -> Tensor:  # type: ignore[override]
        """Project the concatenated halves."""
        return super().forward(MERGES["concat"](forward_RH, backward_RH))


def merge_halves(
    stack: Stack, projection: Projection | None, forward_RH: Tensor, backward_RH: Tensor | None
) -> Tensor:
    """Merge the halves as ``stack`` says; with one direction there is nothing to merge."""
    if backward_RH is None:
        return forward_RH
    if projection is not None:
        merged: Tensor = projection(forward_RH, backward_RH)
        return merged
    return MERGES[stack.merge](forward_RH, backward_RH)
