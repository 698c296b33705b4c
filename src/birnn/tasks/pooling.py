"""Base of the tasks that answer once for a sequence: pooling over its steps."""

# B sequences

from __future__ import annotations

from abc import ABC
from typing import Any, Literal

from pydantic import Field

from birnn.reference.stack import Stack
from birnn.schema import Shape, Size, linear_shapes
from birnn.tasks.head import HeadLayer
from birnn.tasks.scored import HiddenSettings, Scored, hidden_of

PoolingName = Literal["last", "max", "mean", "last+max+mean", "attention"]


class PoolingSettings(HiddenSettings):
    """Settings of pooling: how the rows of a sequence become one, and of the layers after it."""

    pooling: PoolingName = Field(
        default="last+max+mean", description="last, max, mean, last+max+mean or attention"
    )
    attention_size: Size = Field(default=64, description="hidden units of the attention")


class Pooled(Scored, ABC):
    """Base of the heads that answer once for a sequence: pooling, then layers."""

    pooling: PoolingName = "last+max+mean"
    attention_size: Size = Field(default=64, description="hidden units of the attention")

    @property
    def pooling_parts(self) -> tuple[str, ...]:
        """The poolings that are concatenated."""
        return tuple(self.pooling.split("+"))

    def pooled_width(self, width: int) -> int:
        """Width of a pooled sequence."""
        return width * len(self.pooling_parts)

    def tensors(self, encoder: Stack) -> dict[str, Shape]:
        """Names and shapes behind an encoder; of the poolings only attention has any."""
        width = encoder.output_size
        attention: dict[str, Shape] = {}
        if self.pooling == "attention":
            attention = linear_shapes("attention", self.attention_size, width)
            attention["attention.query"] = (self.attention_size,)
        return attention | self.layer_tensors(self.pooled_width(width))

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """The pooling and the hidden layers; the layer above them is the task's."""
        width = encoder.output_size
        name, boxes = "one row for the whole sequence", [(width, p) for p in self.pooling_parts]
        if self.pooling == "attention":
            name = f"attention over all steps, {self.attention_size} hidden units"
            boxes = [(width, "weighted mean")]
        return [HeadLayer(name, ("attention.",), boxes, encoder=True), *self.hidden_stages()]

    def outline(self, encoder: Stack) -> str:
        """The head in one line, from the rows of an encoder on."""
        width = encoder.output_size
        what = "labels" if self.has_labels else "values"
        pooled = f"{self.pooling} pooling {self.pooled_width(width)}{self.hidden_outline()}"
        return f"{width} → {pooled} → {self.size} {what}"


def pooling_of(settings: Any) -> dict[str, Any]:
    """The fields of a `Pooled` head from the settings."""
    pooling = {"pooling": settings.pooling, "attention_size": settings.attention_size}
    return pooling | hidden_of(settings)
