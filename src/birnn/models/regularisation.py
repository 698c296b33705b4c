"""Dropout and noise: regularisation, which is part of training and not of a model."""

from __future__ import annotations

from pydantic import Field

from birnn.schema import Frozen


class Dropout(Frozen):
    """Rates of dropout, each in [0, 1), and their kin."""

    words: float = Field(default=0.0, ge=0, lt=1, description="chance that any word is unknown")
    rare_words: float = Field(
        default=0.0, ge=0, description="pull a: a word seen n times is unknown with a / (a + n)"
    )
    traits: float = Field(
        default=0.0, ge=0, lt=1, description="of affix and shape features of a word"
    )
    spelling: float = Field(
        default=0.0, ge=0, lt=1, description="chance that a character is unknown"
    )
    characters: float = Field(default=0.0, ge=0, lt=1, description="of character vectors")
    inputs: float = Field(default=0.0, ge=0, lt=1, description="of the encoder's input rows")
    layers: float = Field(default=0.0, ge=0, lt=1, description="between encoder layers")
    output: float = Field(default=0.0, ge=0, lt=1, description="of the encoder's output rows")
    noise: float = Field(
        default=0.0, ge=0, description="standard deviation of noise added to standardised vectors"
    )
    shift: float = Field(
        default=0.0,
        ge=0,
        description="standard deviation of a shift of all steps of a sequence, one for each "
        "channel, added to standardised vectors",
    )
