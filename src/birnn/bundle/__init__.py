"""A model at rest: what it is (`spec`), how it is kept on disk (`io`), how others lay it out."""

from birnn.bundle.card import card
from birnn.bundle.conventions import CONVENTIONS, convention, direction
from birnn.bundle.framework_arrays import Convention
from birnn.bundle.io import Bundle, BundleSource, as_bundle, faults, load, save
from birnn.bundle.manifest import FORMAT_VERSION
from birnn.bundle.spec import Encoder, Spec
from birnn.inputs import Characters, Surface, Symbols, Vectors, Words
from birnn.tasks import Label, Labels, Tags, TargetSequence, Values

__all__ = [
    "CONVENTIONS",
    "FORMAT_VERSION",
    "Bundle",
    "BundleSource",
    "Characters",
    "Convention",
    "Encoder",
    "Label",
    "Labels",
    "Spec",
    "Surface",
    "Symbols",
    "Tags",
    "TargetSequence",
    "Values",
    "Vectors",
    "Words",
    "as_bundle",
    "card",
    "convention",
    "direction",
    "faults",
    "load",
    "save",
]
