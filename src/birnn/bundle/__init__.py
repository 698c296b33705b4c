"""A model at rest: what it is (`spec`), how it is kept on disk (`io`), how others lay it out."""

from birnn.bundle.card import card
from birnn.bundle.conventions import CONVENTIONS, convention, direction
from birnn.bundle.framework_arrays import Convention
from birnn.bundle.io import Bundle, BundleSource, as_bundle, faults, load, save
from birnn.bundle.manifest import FORMAT_VERSION
from birnn.bundle.quantising import (
    QuantisingReport,
    as_float32,
    dequantised,
    quantised,
    quantising_report,
)
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
    "QuantisingReport",
    "Spec",
    "Surface",
    "Symbols",
    "Tags",
    "TargetSequence",
    "Values",
    "Vectors",
    "Words",
    "as_bundle",
    "as_float32",
    "card",
    "convention",
    "dequantised",
    "direction",
    "faults",
    "load",
    "quantised",
    "quantising_report",
    "save",
]
