"""Words as inputs: a vector for each known word, and what its written form tells."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from birnn.reference.stack import Stack
from birnn.schema import Frozen, Shape, Size, prefixed

AffixLengths = Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(max_length=64)]


class Characters(Frozen):
    """A word's characters, read by a bidirectional LSTM once for each distinct word.

    The word's vector is the forward half's state after the last character beside the backward
    half's state after the first: 2 * hidden_size wide.
    """

    size: Size = Field(description="known characters, the unknown one included")
    dim: Size = Field(description="width of a character's vector")
    hidden_size: Size = Field(description="hidden units of each direction")

    @property
    def stack(self) -> Stack:
        """The recurrent network over characters."""
        return Stack("lstm", self.dim, self.hidden_size)

    @property
    def width(self) -> int:
        """Width of a word's vector."""
        return self.stack.output_size


class Surface(Frozen):
    """Traits of a word's written form: its prefixes, its suffixes and its shape.

    Each known trait has a vector; a word's vector is the sum of those that it has.
    """

    size: Size = Field(description="known traits, the unknown one included")
    dim: Size = Field(description="width of a trait's vector")
    prefixes: AffixLengths = Field(description="lengths of the prefixes")
    suffixes: AffixLengths = Field(description="lengths of the suffixes")

    @property
    def traits(self) -> int:
        """Number of traits that a word may have: the prefixes, the suffixes and the shape."""
        return len(self.prefixes) + len(self.suffixes) + 1

    @property
    def width(self) -> int:
        """Width of a word's vector."""
        return self.dim


class Words(Frozen):
    """Sequences of words: a vector for each known word, and what its written form tells."""

    kind: Literal["words"] = "words"
    size: Size = Field(description="known words, the unknown one included")
    dim: Size = Field(description="width of a word's vector")
    lowercase: bool = Field(default=True, description="look words up in lower case")
    digits: bool = Field(default=True, description="look words up with every digit as 0")
    characters: Characters | None = None
    surface: Surface | None = None

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        parts = (self.characters, self.surface)
        return self.dim + sum(part.width for part in parts if part is not None)

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes, in the order of the concatenated row: word, characters, surface."""
        shapes: dict[str, Shape] = {"words.weight": (self.size, self.dim)}
        if self.characters is not None:
            shapes["characters.symbols.weight"] = (self.characters.size, self.characters.dim)
            shapes |= prefixed("characters.encoder", self.characters.stack.shapes())
        if self.surface is not None:
            shapes["surface.weight"] = (self.surface.size, self.surface.dim)
        return shapes
