"""Whole models in torch, built from a `birnn.bundle.spec.Spec`."""

from birnn.models.build import build
from birnn.models.mean_states import StateSums, mean_states
from birnn.models.network import Answer, Network
from birnn.models.regularisation import Dropout

__all__ = ["Answer", "Dropout", "Network", "StateSums", "build", "mean_states"]
