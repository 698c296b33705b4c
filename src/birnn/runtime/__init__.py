"""A trained model at work: NumPy alone, no torch."""

from birnn.runtime.predictor import Predictor
from birnn.runtime.search import Hypothesis, Search
from birnn.runtime.streaming import Online

__all__ = ["Hypothesis", "Online", "Predictor", "Search"]
