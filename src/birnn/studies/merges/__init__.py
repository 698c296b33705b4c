"""The ways of merging two halves: what each reaches on one task, and what each can lose."""

from birnn.studies.merges.cases import Opposed, Vanishing, opposed_halves, vanishing_half
from birnn.studies.merges.comparison import (
    LEARNED,
    ONE,
    VARIED,
    Choice,
    MergeComparison,
    choices,
    compare_merges,
)

__all__ = [
    "LEARNED",
    "ONE",
    "VARIED",
    "Choice",
    "MergeComparison",
    "Opposed",
    "Vanishing",
    "choices",
    "compare_merges",
    "opposed_halves",
    "vanishing_half",
]
