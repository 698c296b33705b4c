"""A trained model at work: NumPy alone, no torch."""

from birnn.runtime.annotation import AnnotatedToken, Annotation, Entity, LabelScore
from birnn.runtime.deciding import Decision, Decisions, decisions
from birnn.runtime.predictor import Predictor
from birnn.runtime.search import Hypothesis, Search
from birnn.runtime.streaming import Online
from birnn.runtime.tracing import TargetTrace, trace_target

__all__ = [
    "AnnotatedToken",
    "Annotation",
    "Decision",
    "Decisions",
    "Entity",
    "Hypothesis",
    "LabelScore",
    "Online",
    "Predictor",
    "Search",
    "TargetTrace",
    "decisions",
    "trace_target",
]
