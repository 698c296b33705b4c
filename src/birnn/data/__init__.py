"""Files read as examples: formats, tag schemes, the words of texts; and how batches are cut."""

from birnn.data.batching import batches, in_order, windows
from birnn.data.examples import Example, TargetKind
from birnn.data.formats import FORMATS
from birnn.data.offsets import token_offsets
from birnn.data.options import ReadOptions, ReadRequest
from birnn.data.pretrained import read_vectors
from birnn.data.read import read
from birnn.data.scheme_detection import detect, find, in_letters_of
from birnn.data.schemes import Span, convert, marks, spans, transitions, violations
from birnn.data.tokeniser import tokenise
from birnn.data.write import write

__all__ = [
    "FORMATS",
    "Example",
    "ReadOptions",
    "ReadRequest",
    "Span",
    "TargetKind",
    "batches",
    "convert",
    "detect",
    "find",
    "in_letters_of",
    "in_order",
    "marks",
    "read",
    "read_vectors",
    "spans",
    "token_offsets",
    "tokenise",
    "transitions",
    "violations",
    "windows",
    "write",
]
