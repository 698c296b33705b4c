"""What tasks share that answer once for a sequence: pooling over its steps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from birnn.schema import Frozen, Shape, Size, linear

PoolingName = Literal["last", "max", "mean", "last+max+mean", "attention"]


class Pooled(Frozen):
    """Base of the heads that answer once for a sequence."""

    pooling: PoolingName = "last+max+mean"
    attention_size: Size = Field(default=64, description="hidden units of the attention")

    def pooled_width(self, width: int) -> int:
        """Width of a pooled sequence."""
        return width * len(self.pooling.split("+"))

    def pooling_tensors(self, width: int) -> dict[str, Shape]:
        """Tensors of the pooling; only attention has any."""
        if self.pooling != "attention":
            return {}
        query: dict[str, Shape] = {"attention.query": (self.attention_size,)}
        return linear("attention", self.attention_size, width) | query
