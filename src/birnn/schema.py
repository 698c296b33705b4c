"""Base of all descriptions, frozen and validated; names and shapes of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

T = TypeVar("T")
Shape = tuple[int, ...]
# Larger than any model's: bounds the memory and the messages that a description can cause.
Size = Annotated[int, Field(ge=1, le=10**9)]


class Frozen(BaseModel):
    """Base of all descriptions: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    added: ClassVar[frozenset[str]] = frozenset()
    """Fields of later versions, left out where they have their default: versions without them can
    read what does not use them."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        for name in self.added:
            if getattr(self, name) == type(self).model_fields[name].default:
                written.pop(name, None)
        return written


def prefixed(prefix: str, tensors: Mapping[str, T]) -> dict[str, T]:
    """The same tensors, or their shapes, one level down."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def linear_shapes(name: str, outputs: int, inputs: int) -> dict[str, Shape]:
    """Names and shapes of the weight and bias of a linear layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
