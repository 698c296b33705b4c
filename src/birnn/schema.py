"""Base of all descriptions, frozen and validated; names and shapes of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
Shape = tuple[int, ...]
# Larger than any model's: bounds the memory and the messages that a description can cause.
Size = Annotated[int, Field(ge=1, le=10**9)]


class Frozen(BaseModel):
    """Base of all descriptions: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def prefixed(prefix: str, tensors: Mapping[str, T]) -> dict[str, T]:
    """The same tensors, or their shapes, one level down."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def linear_shapes(name: str, outputs: int, inputs: int) -> dict[str, Shape]:
    """Names and shapes of the weight and bias of a linear layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
