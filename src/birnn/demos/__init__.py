"""Demonstrations: data whose law is known, and what one direction and two make of it."""

from birnn.errors import require

require("torch", extra="train")
require("lightning", extra="train")

from birnn.demos.demo import Demo, RandomProcess, Sample, Size
from birnn.demos.runner import DEMOS, DemoResult, run, run_variants
from birnn.studies.variants import VariantComparison

__all__ = [
    "DEMOS",
    "Demo",
    "DemoResult",
    "RandomProcess",
    "Sample",
    "Size",
    "VariantComparison",
    "run",
    "run_variants",
]
