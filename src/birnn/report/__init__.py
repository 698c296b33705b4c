"""Pages: what they are made of, charts in one style, one HTML file that needs no network."""

from birnn.report.page import render, write
from birnn.report.parts import (
    Code,
    ColouredWords,
    Notes,
    Picture,
    Section,
    Sentence,
    Sentences,
    Strip,
    Strips,
    Table,
    Text,
    Tiles,
)

__all__ = [
    "Code",
    "ColouredWords",
    "Notes",
    "Picture",
    "Section",
    "Sentence",
    "Sentences",
    "Strip",
    "Strips",
    "Table",
    "Text",
    "Tiles",
    "render",
    "write",
]
