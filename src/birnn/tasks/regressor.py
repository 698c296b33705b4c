"""The regressor: a vector of real numbers for a sequence."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from birnn.inputs.vectors import Offset
from birnn.schema import Shape, Size, linear
from birnn.tasks.pooling import Pooled


class Values(Pooled, Offset):
    """One vector of real numbers for a sequence, in the units of the training targets."""

    kind: Literal["values"] = "values"
    size: Size = Field(description="target values of a sequence")

    def tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes on encoder rows of ``width``.

        Answers are raw * scale + mean + offset.
        """
        units: dict[str, Shape] = {"mean": (self.size,), "scale": (self.size,)}
        return (
            self.pooling_tensors(width)
            | linear("linear", self.size, self.pooled_width(width))
            | units
        )
