"""Kinds of input, a file each: words, symbols, vectors."""

from birnn.data.alphabet import UNKNOWN
from birnn.inputs.encoding import Batch, Encoded, EncodedRows
from birnn.inputs.forms import Characters, Surface
from birnn.inputs.kind import Codec, InputRows, InputSpec, InputStage, LearntInputs, RowPart, Steps
from birnn.inputs.kinds import KINDS, Inputs, InputSettings, KindName, kind_of
from birnn.inputs.symbols import SymbolRows, Symbols
from birnn.inputs.vectors import Dense, Offset, VectorRows, Vectors
from birnn.inputs.vocabulary import Vocabularies, Vocabulary, normalise, restored
from birnn.inputs.words import WordRows, Words

__all__ = [
    "KINDS",
    "UNKNOWN",
    "Batch",
    "Characters",
    "Codec",
    "Dense",
    "Encoded",
    "EncodedRows",
    "InputRows",
    "InputSettings",
    "InputSpec",
    "InputStage",
    "Inputs",
    "KindName",
    "LearntInputs",
    "Offset",
    "RowPart",
    "Steps",
    "Surface",
    "SymbolRows",
    "Symbols",
    "VectorRows",
    "Vectors",
    "Vocabularies",
    "Vocabulary",
    "WordRows",
    "Words",
    "kind_of",
    "normalise",
    "restored",
]
