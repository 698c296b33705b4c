"""Base of the tasks that answer once for a sequence: pooling over its steps."""

# B sequences

from __future__ import annotations

from abc import ABC
from typing import Any, Literal

from pydantic import Field

from birnn.schema import Frozen, Shape, Size, linear_shapes
from birnn.tasks.head import Head, HeadLayer

PoolingName = Literal["last", "max", "mean", "last+max+mean", "attention"]


class PoolingSettings(Frozen):
    """Settings of pooling: how the rows of a sequence become one."""

    pooling: PoolingName = Field(
        default="last+max+mean", description="last, max, mean, last+max+mean or attention"
    )
    attention_size: Size = Field(default=64, description="hidden units of the attention")


class Pooled(Head, ABC):
    """Base of the heads that answer once for a sequence: pooling, then a linear layer."""

    pooling: PoolingName = "last+max+mean"
    attention_size: Size = Field(default=64, description="hidden units of the attention")

    @property
    def pooling_parts(self) -> tuple[str, ...]:
        """The poolings that are concatenated."""
        return tuple(self.pooling.split("+"))

    def pooled_width(self, width: int) -> int:
        """Width of a pooled sequence."""
        return width * len(self.pooling_parts)

    def tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes on encoder rows of ``width``; of the poolings only attention has any."""
        attention: dict[str, Shape] = {}
        if self.pooling == "attention":
            attention = linear_shapes("attention", self.attention_size, width)
            attention["attention.query"] = (self.attention_size,)
        return attention | linear_shapes("linear", self.size, self.pooled_width(width))

    def stages(self, width: int) -> list[HeadLayer]:
        """The pooling; the layers above it are the task's."""
        if self.pooling == "attention":
            name = f"attention over all steps, {self.attention_size} hidden units"
            return [HeadLayer(name, ("attention.",), [(width, "weighted mean")], encoder=True)]
        boxes = [(width, part) for part in self.pooling_parts]
        return [HeadLayer("one row for the whole sequence", ("attention.",), boxes, encoder=True)]

    def outline(self, width: int) -> str:
        """The head in one line, on encoder rows of ``width``."""
        what = "labels" if self.has_labels else "values"
        return f"{width} → {self.pooling} pooling {self.pooled_width(width)} → {self.size} {what}"


def pooling_of(settings: Any) -> dict[str, Any]:
    """The fields of a `Pooled` head from the settings."""
    return {"pooling": settings.pooling, "attention_size": settings.attention_size}
