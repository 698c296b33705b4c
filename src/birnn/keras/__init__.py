"""Keras 3: a model from a bundle, and a bundle from a model."""

from birnn.keras.bundling import from_keras
from birnn.keras.model import to_keras
from birnn.keras.recurrent import stack_to_keras

__all__ = ["from_keras", "stack_to_keras", "to_keras"]
