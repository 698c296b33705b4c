"""A model of another framework as a list of layers, and the model of birnn that it is."""

from birnn.foreign.assembly import Assembled, assemble
from birnn.foreign.bundling import bundle_of
from birnn.foreign.keras_layers import keras_layers, mask_notices
from birnn.foreign.layers import Layer
from birnn.foreign.onnx_layers import onnx_layers
from birnn.foreign.state_dict import state_dict_layers
from birnn.foreign.vocabulary import Beside

__all__ = [
    "Assembled",
    "Beside",
    "Layer",
    "assemble",
    "bundle_of",
    "keras_layers",
    "mask_notices",
    "onnx_layers",
    "state_dict_layers",
]
