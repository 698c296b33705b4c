"""A trained model at work: NumPy alone, no torch."""

from birnn.runtime.online import Online
from birnn.runtime.predictor import Predictor

__all__ = ["Online", "Predictor"]
