"""From files to the arrays that a model reads."""

from birnn.data.batching import batches, in_order, windows
from birnn.data.encoding import Codec, Encoded
from birnn.data.examples import Example, Task
from birnn.data.options import ReadOptions, ReadRequest
from birnn.data.read import FORMATS, read
from birnn.data.rows import Batch, SymbolRows, VectorRows, WordRows
from birnn.data.schemes import (
    Span,
    convert,
    detect,
    find,
    in_letters_of,
    marks,
    spans,
    transitions,
    violations,
)
from birnn.data.surface import learn_traits
from birnn.data.vectors import read_vectors
from birnn.data.vocab import UNKNOWN, Vocabulary, normalise
from birnn.data.vocabularies import Vocabularies
from birnn.data.words import tokenise

__all__ = [
    "FORMATS",
    "UNKNOWN",
    "Batch",
    "Codec",
    "Encoded",
    "Example",
    "ReadOptions",
    "ReadRequest",
    "Span",
    "SymbolRows",
    "Task",
    "VectorRows",
    "Vocabularies",
    "Vocabulary",
    "WordRows",
    "batches",
    "convert",
    "detect",
    "find",
    "in_letters_of",
    "in_order",
    "learn_traits",
    "marks",
    "normalise",
    "read",
    "read_vectors",
    "spans",
    "tokenise",
    "transitions",
    "violations",
    "windows",
]
