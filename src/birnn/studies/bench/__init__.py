"""Recurrent layers against whatever peers are installed: what `birnn bench` measures."""

from birnn.errors import require

require("torch", extra="train")

from birnn.studies.bench.cases import COMPARED, SHAPES, TORCH_KINDS, WIDE, Case, LayerKind, Shape
from birnn.studies.bench.measure import BenchPlan, BenchReport, Timing, run

__all__ = [
    "COMPARED",
    "SHAPES",
    "TORCH_KINDS",
    "WIDE",
    "BenchPlan",
    "BenchReport",
    "Case",
    "LayerKind",
    "Shape",
    "Timing",
    "run",
]
