"""Demonstrations: data whose law is known, and what one direction and two make of it."""

from birnn.demos.demo import Demo, RandomProcess, Sample, Size
from birnn.demos.runner import DEMOS, DemoResult, run, run_merges
from birnn.studies.merges import MergeComparison

__all__ = [
    "DEMOS",
    "Demo",
    "DemoResult",
    "MergeComparison",
    "RandomProcess",
    "Sample",
    "Size",
    "run",
    "run_merges",
]
