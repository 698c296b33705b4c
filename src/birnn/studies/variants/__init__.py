"""Models that differ in one setting: what each merge or cell reaches on one task, and can lose."""

from birnn.errors import require

require("torch", extra="train")
require("lightning", extra="train")

from birnn.studies.variants.cases import Opposed, Vanishing, opposed_halves, vanishing_half
from birnn.studies.variants.comparison import (
    LEARNED,
    ONE,
    VARIATIONS,
    Variant,
    VariantComparison,
    Variation,
    cells,
    compare_variants,
    merges,
    variation_of,
)

__all__ = [
    "LEARNED",
    "ONE",
    "VARIATIONS",
    "Opposed",
    "Vanishing",
    "Variant",
    "VariantComparison",
    "Variation",
    "cells",
    "compare_variants",
    "merges",
    "opposed_halves",
    "vanishing_half",
    "variation_of",
]
