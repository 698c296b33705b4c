"""The kinds of input that there are, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from birnn.data.examples import Example
from birnn.errors import ConfigError
from birnn.inputs.kind import InputSpec
from birnn.inputs.symbols import Symbols, SymbolSettings
from birnn.inputs.vectors import Vectors
from birnn.inputs.words import Words, WordSettings
from birnn.schema import Frozen, Size

Inputs = Annotated[Words | Symbols | Vectors, Field(discriminator="kind")]
"""The description of any kind of input."""

KindName = Literal["words", "symbols", "vectors"]

# In the order in which they are asked whether examples are theirs.
KINDS: dict[KindName, type[InputSpec]] = {"vectors": Vectors, "symbols": Symbols, "words": Words}


class SharedSettings(Frozen):
    """What can be set of any kind of input in training."""

    kind: Literal["auto", KindName] = Field(
        default="auto",
        description="auto: vectors where the file has them, symbols where all tokens are single "
        "characters, words otherwise",
    )
    min_count: Size = Field(default=2, description="rarer words or symbols are unknown")
    max_words: Size | None = Field(default=None, description="keep the most frequent")


class InputSettings(SymbolSettings, WordSettings, SharedSettings):
    """What the rows of the encoder are made of."""


def kind_of(train: Sequence[Example], settings: InputSettings) -> KindName:
    """What the steps of training examples are: as set, or as the examples show.

    Raises:
        ConfigError: A setting that the examples do not fit.
    """
    if settings.kind == "auto":
        return next(name for name, kind in KINDS.items() if kind.fits(train))
    holds = "vectors" if Vectors.fits(train) else "tokens"
    if holds != KINDS[settings.kind].holds:
        raise ConfigError(f"inputs.kind is {settings.kind}, the training data holds {holds}")
    return settings.kind
