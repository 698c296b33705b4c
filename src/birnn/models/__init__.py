"""Whole models in torch, built from a `birnn.bundle.spec.Spec`."""

from birnn.errors import require

require("torch", extra="train")

from birnn.models.build import build
from birnn.models.inputs import Dropout
from birnn.models.mean_states import StateSums, mean_states
from birnn.models.network import Answer, Network

__all__ = ["Answer", "Dropout", "Network", "StateSums", "build", "mean_states"]
