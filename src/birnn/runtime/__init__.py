"""A trained model at work: NumPy alone, no torch."""

from birnn.runtime.deciding import Decision, Decisions, decisions
from birnn.runtime.predictor import Predictor
from birnn.runtime.search import Hypothesis, Search
from birnn.runtime.streaming import Online
from birnn.runtime.tracing import TargetTrace, trace_target

__all__ = [
    "Decision",
    "Decisions",
    "Hypothesis",
    "Online",
    "Predictor",
    "Search",
    "TargetTrace",
    "decisions",
    "trace_target",
]
