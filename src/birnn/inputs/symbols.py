"""Symbols of a small alphabet as inputs: letters, residues, bases."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from birnn.schema import Frozen, Shape, Size


class Symbols(Frozen):
    """Sequences of symbols from a small alphabet: letters, residues, bases."""

    kind: Literal["symbols"] = "symbols"
    size: Size = Field(description="known symbols, the unknown one included")
    dim: Size = Field(description="width of a symbol's vector")

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        return self.dim

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes."""
        return {"symbols.weight": (self.size, self.dim)}
