"""Kinds of input, a file each: words, symbols, vectors."""

from typing import Annotated

from pydantic import Field

from birnn.data.alphabet import UNKNOWN
from birnn.inputs.encoding import Codec, Encoded
from birnn.inputs.rows import Batch, SymbolRows, VectorRows, WordRows
from birnn.inputs.surface import learn_traits
from birnn.inputs.symbols import Symbols
from birnn.inputs.vectors import Vectors
from birnn.inputs.vocabulary import Vocabularies, Vocabulary, normalise, restored
from birnn.inputs.words import Characters, Surface, Words

Inputs = Annotated[Words | Symbols | Vectors, Field(discriminator="kind")]
"""The description of any kind of input."""

__all__ = [
    "UNKNOWN",
    "Batch",
    "Characters",
    "Codec",
    "Encoded",
    "Inputs",
    "Surface",
    "SymbolRows",
    "Symbols",
    "VectorRows",
    "Vectors",
    "Vocabularies",
    "Vocabulary",
    "WordRows",
    "Words",
    "learn_traits",
    "normalise",
    "restored",
]
