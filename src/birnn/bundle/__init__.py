"""A model at rest: what it is (`spec`), how it is kept on disk (`io`), how others lay it out."""

from birnn.bundle.card import card
from birnn.bundle.io import Bundle, faults, load, save
from birnn.bundle.layouts import LAYOUTS, Layout, direction
from birnn.bundle.manifest import FORMAT_VERSION
from birnn.bundle.spec import Encoder, Spec
from birnn.inputs import Characters, Surface, Symbols, Vectors, Words
from birnn.tasks import Label, Tags, Values

__all__ = [
    "FORMAT_VERSION",
    "LAYOUTS",
    "Bundle",
    "Characters",
    "Encoder",
    "Label",
    "Layout",
    "Spec",
    "Surface",
    "Symbols",
    "Tags",
    "Values",
    "Vectors",
    "Words",
    "card",
    "direction",
    "faults",
    "load",
    "save",
]
