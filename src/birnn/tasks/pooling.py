"""Base of the tasks that answer once for a sequence: pooling over its steps."""

# B sequences

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar, Literal

from pydantic import Field

from birnn.reference.stack import Stack
from birnn.schema import Shape, Size, linear_shapes
from birnn.tasks.head import ATTENTION_KEPT, HeadLayer
from birnn.tasks.scored import HiddenSettings, Scored, hidden_of

PoolingName = Literal["last", "max", "mean", "last+max+mean", "attention"]
AttentionScore = Literal["additive", "linear"]
"""Score of a row h in the attention: ``q . tanh(W h + b)``, or ``q . h``."""


class PoolingSettings(HiddenSettings):
    """Settings of pooling: how the rows of a sequence become one, and of the layers after it."""

    pooling: PoolingName = Field(
        default="last+max+mean", description="last, max, mean, last+max+mean or attention"
    )
    attention_size: Size = Field(
        default=64, description="hidden units of the attention, where its score is additive"
    )
    attention_score: AttentionScore = Field(
        default="additive",
        description="how the attention scores a row: additive, with hidden units, or linear, "
        "by one weight for each unit of the row",
    )


class Pooled(Scored, ABC):
    """Base of the heads that answer once for a sequence: pooling, then layers."""

    added: ClassVar = Scored.added | {"attention_score"}
    kept_in_float32: ClassVar = ATTENTION_KEPT

    pooling: PoolingName = "last+max+mean"
    attention_size: Size = Field(default=64, description="hidden units of the attention")
    attention_score: AttentionScore = "additive"

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
        if self.pooling == "attention" and self.attention_score == "linear":
            attention["attention.query"] = (width,)
        elif self.pooling == "attention":
            attention = linear_shapes("attention", self.attention_size, width)
            attention["attention.query"] = (self.attention_size,)
        return attention | self.layer_tensors(self.pooled_width(width))

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """The pooling and the hidden layers; the layer above them is the task's."""
        width = encoder.output_size
        name, boxes = "one row for the whole sequence", [(width, p) for p in self.pooling_parts]
        if self.pooling == "attention":
            linear = self.attention_score == "linear"
            units = "linear" if linear else f"{self.attention_size} hidden units"
            name = f"attention over all steps, {units}"
            boxes = [(width, "weighted mean")]
        return [HeadLayer(name, ("attention.",), boxes, encoder=True), *self.hidden_stages()]

    def outline(self, encoder: Stack) -> str:
        """The head in one line, from the rows of an encoder on."""
        width = encoder.output_size
        what = "labels" if self.has_labels else "values"
        linear = self.pooling == "attention" and self.attention_score == "linear"
        called = f"{'linear ' if linear else ''}{self.pooling}"
        pooled = f"{called} pooling {self.pooled_width(width)}{self.hidden_outline()}"
        return f"{width} → {pooled} → {self.size} {what}"


def pooling_of(settings: Any) -> dict[str, Any]:
    """The fields of a `Pooled` head from the settings."""
    names = ("pooling", "attention_size", "attention_score")
    return {name: getattr(settings, name) for name in names} | hidden_of(settings)
