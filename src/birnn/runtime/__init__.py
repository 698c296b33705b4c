"""A trained model at work: NumPy alone, no torch."""

from birnn.runtime.predictor import Predictor

__all__ = ["Predictor"]
