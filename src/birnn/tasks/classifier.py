"""The classifier: one label for a sequence."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from birnn.schema import Shape, Size, linear
from birnn.tasks.pooling import Pooled


class Label(Pooled):
    """One label for a sequence."""

    kind: Literal["label"] = "label"
    size: Size = Field(description="labels")

    def tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes on encoder rows of ``width``."""
        return self.pooling_tensors(width) | linear("linear", self.size, self.pooled_width(width))
