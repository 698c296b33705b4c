"""Vectors as inputs: real numbers at each step, standardised by channel."""

# T steps, D channels

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from birnn.schema import Frozen, Shape, Size


class Offset(Frozen):
    """Base of what reads or answers real numbers that stand far from zero.

    1700000000 and 1700000001 are one number in float32, so the offset is subtracted from what is
    read, and added to what is answered, in float64.
    """

    size: Size
    offset: tuple[FiniteFloat, ...] = Field(
        default=(), description="of each channel or value; none where float32 holds them well"
    )

    @model_validator(mode="after")
    def _one_offset_each(self) -> Self:
        if len(self.offset) not in (0, self.size):
            raise ValueError(f"{len(self.offset)} offsets for {self.size} channels or values")
        return self

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Bundles that need no offset stay readable by versions that know of none.
        written: dict[str, Any] = write(self)
        if not self.offset:
            del written["offset"]
        return written


class Vectors(Offset):
    """Sequences of vectors (T, D), standardised by channel: (x - offset - mean) / scale."""

    kind: Literal["vectors"] = "vectors"
    size: Size = Field(description="channels of a step")

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        return self.size

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes."""
        return {"mean": (self.size,), "scale": (self.size,)}
