"""Figures of measured numbers, and the self-contained page that shows them."""

from birnn.explain.report import (
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
    render,
    write,
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
