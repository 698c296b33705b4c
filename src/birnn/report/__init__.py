"""Pages: what they are made of, charts in one style, one HTML file that needs no network."""

from birnn.report.page import render, write
from birnn.report.parts import (
    Code,
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
    Words,
)

__all__ = [
    "Code",
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
    "Words",
    "render",
    "write",
]
