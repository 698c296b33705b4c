"""Figures of measured numbers, and the self-contained page that shows them."""

from birnn.explain.report import (
    Code,
    Picture,
    Section,
    Sentence,
    Sentences,
    Strip,
    Strips,
    Table,
    Text,
    Tiles,
    render,
    write,
)

__all__ = [
    "Code",
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
