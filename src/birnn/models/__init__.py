"""Whole models in torch, built from a `birnn.bundle.spec.Spec`."""

from birnn.models.build import build
from birnn.models.mean_states import MeanStates, mean_states
from birnn.models.network import Answer, Network
from birnn.models.regularisation import Dropout

__all__ = ["Answer", "Dropout", "MeanStates", "Network", "build", "mean_states"]
