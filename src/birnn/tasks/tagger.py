"""The tagger: a label for every step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from birnn.data.schemes import SchemeName
from birnn.schema import Frozen, Shape, Size, linear


class Tags(Frozen):
    """A label for every step, each on its own (softmax) or as a sequence (CRF)."""

    kind: Literal["tags"] = "tags"
    size: Size = Field(description="labels")
    decoder: Literal["softmax", "crf"] = "softmax"
    scheme: SchemeName = Field(
        default="none", description="how the labels mark spans; forbids impossible sequences"
    )

    def tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes on encoder rows of ``width``; transitions are [from, to]."""
        shapes: dict[str, Shape] = linear("linear", self.size, width)
        if self.decoder == "crf":
            shapes["crf.transitions"] = (self.size, self.size)
            shapes["crf.start"] = (self.size,)
            shapes["crf.end"] = (self.size,)
        return shapes
