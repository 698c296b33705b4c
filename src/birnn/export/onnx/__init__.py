"""A model as an ONNX graph, for ONNX Runtime and others; nothing is traced."""

from birnn.export.onnx.bundling import bundle_from
from birnn.export.onnx.exporter import OnnxModel, load, session_of, write
from birnn.export.onnx.graph import OPSET
from birnn.export.onnx.inputs import graph_feeds
from birnn.export.onnx.model import metadata_of, model_of, stack_model

__all__ = [
    "OPSET",
    "OnnxModel",
    "bundle_from",
    "graph_feeds",
    "load",
    "metadata_of",
    "model_of",
    "session_of",
    "stack_model",
    "write",
]
