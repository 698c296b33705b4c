"""The table of the kinds of input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from birnn.data.examples import Example
from birnn.errors import ConfigError
from birnn.inputs.kind import InputSpec
from birnn.inputs.symbols import Symbols, SymbolSettings
from birnn.inputs.vectors import Vectors, VectorSettings
from birnn.inputs.words import Words, WordSettings
from birnn.schema import Frozen, Size

Inputs = Annotated[Words | Symbols | Vectors, Field(discriminator="kind")]
"""The description of any kind of input."""

KindName = Literal["words", "symbols", "vectors"]

# In the order in which their `fits` is called.
KINDS: dict[KindName, type[InputSpec]] = {"vectors": Vectors, "symbols": Symbols, "words": Words}


class SharedSettings(Frozen):
    """Settings of training that all kinds of input have."""

    kind: Literal["auto", KindName] = Field(
        default="auto",
        description="auto: vectors where the file has them, symbols where all tokens are single "
        "characters, words otherwise",
    )
    min_count: Size = Field(default=2, description="rarer words or symbols are unknown")
    max_words: Size | None = Field(default=None, description="keep the most frequent")


class InputSettings(VectorSettings, SymbolSettings, WordSettings, SharedSettings):
    """Settings of the input rows."""


def kind_of(train: Sequence[Example], settings: InputSettings) -> KindName:
    """The kind of the steps of training examples: as set, or by the examples.

    Raises:
        ConfigError: A setting that does not fit the examples.
    """
    if settings.kind == "auto":
        return next(name for name, kind in KINDS.items() if kind.fits(train))
    holds = "vectors" if Vectors.fits(train) else "tokens"
    if holds != KINDS[settings.kind].holds:
        raise ConfigError(f"inputs.kind is {settings.kind}, the training data holds {holds}")
    return settings.kind
