"""An ONNX file, read and checked: a graph of plain arrays, none of them outside its folder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle.checks import path_fault
from birnn.errors import ConversionError, FormatError, require
from birnn.foreign.layers import Array
from birnn.foreign.onnx_graph import Graph, Operator

OLDEST_OPSET = 7  # LSTM, GRU and RNN as they are now
SOFTMAX_OF_LAST = 13  # before, a softmax was over all axes from the second on


def read_onnx_file(path: Path) -> tuple[Graph, dict[str, str]]:
    """The graph of a file, and its metadata.

    Raises:
        FormatError: It is damaged, or holds arrays outside its folder.
        ConversionError: An opset or operators that are not known.
        MissingExtra: onnx is not installed.
    """
    onnx = require("onnx", extra="onnx")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:  # protobuf's DecodeError is another class in each of its engines
        if isinstance(error, OSError):
            raise FormatError(f"{path}: cannot be read: {error.strerror}") from None
        raise FormatError(
            f"{path}: is no whole ONNX file: {error!s:.200}. Export it again."
        ) from None
    if not model.graph.node:
        raise FormatError(f"{path}: is no ONNX file, or has a graph without operators")
    opset = _opset(path, model, onnx.defs.onnx_opset_version())
    names = Counter(tensor.name for tensor in model.graph.initializer)
    if twice := [name for name, count in names.items() if count > 1]:
        raise FormatError(f"{path}: has several arrays {twice[0]!r:.100}. Export it again.")
    constants = {t.name: _array(path, t, onnx) for t in model.graph.initializer}
    if model.graph.sparse_initializer:
        raise ConversionError(f"{path}: it has sparse arrays, birnn reads dense ones.")
    nodes = [
        Operator(
            node.op_type,
            node.name,
            list(node.input),
            list(node.output),
            {each.name: _attribute(path, each, onnx) for each in node.attribute},
        )
        for node in model.graph.node
    ]
    if opset < SOFTMAX_OF_LAST:
        for node in nodes:
            if node.kind in {"Softmax", "LogSoftmax"}:
                node.attributes.setdefault("axis", 1)
    inputs = {
        each.name: len(each.type.tensor_type.shape.dim)
        for each in model.graph.input
        if each.name not in constants
    }
    outputs = [each.name for each in model.graph.output]
    metadata = {each.key: each.value for each in model.metadata_props}
    return Graph(nodes, constants, inputs, outputs), metadata


def _opset(path: Path, model: Any, newest: int) -> int:
    """The version of the operators, which all are ONNX' own."""
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not versions:
        raise ConversionError(f"{path}: says no opset, so that operators may be of any version.")
    for version in versions:
        if not OLDEST_OPSET <= version <= newest:
            raise ConversionError(
                f"{path}: opset {version} is not known, this onnx knows {OLDEST_OPSET} to "
                f"{newest}. Export the model with one of these, or upgrade onnx."
            )
    own = [function.name for function in model.functions if function.domain in ("", "ai.onnx")]
    if own:
        raise ConversionError(f"{path}: it says itself what ONNX' {own[0]} is. Export it without.")
    strange = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if strange:
        names = [node.op_type for node in model.graph.node if node.domain in strange]
        raise ConversionError(
            f"{path}: operators {', '.join(names[:5])} of {', '.join(sorted(strange))} are not "
            "ONNX' own. Export the model without them."
        )
    return int(max(versions))


def _attribute(path: Path, attribute: Any, onnx: Any) -> Any:
    """The value of an attribute; graphs, which no layer has, by their name."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return _array(path, value, onnx)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value


def _array(path: Path, tensor: Any, onnx: Any) -> Array:
    """The array of a tensor, which may stand in another file of the same folder."""
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        size = math.prod(tensor.dims) * dtype.itemsize
        if min(tensor.dims, default=0) < 0:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise FormatError(
            f"{path}: array {tensor.name!r:.100} has an unknown type or shape"
        ) from None
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        try:
            return np.array(onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError) as error:
            raise FormatError(f"{path}: array {tensor.name!r:.100} is damaged: {error}") from None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = entries.get("location", "")
    fault = path_fault(path.parent, f"array {tensor.name!r:.100}", place)
    if fault is not None:
        said = fault.replace("the manifest's", "the").replace("the manifest", "it")
        raise FormatError(f"{path}: {said}")
    content = _external(path, path.parent / place, tensor.name, entries, size)
    return np.frombuffer(content, dtype.newbyteorder("<")).reshape(tuple(tensor.dims))


def _external(path: Path, place: Path, name: str, entries: Mapping[str, str], size: int) -> bytes:
    """The bytes of an array in a file of its own."""
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", size))
        if offset < 0 or length != size:
            raise ValueError(f"{length} bytes at {offset}, needed are {size}")
        # A pipe or device would never end, and a size that is not there takes no memory.
        if not place.is_file() and place.exists():
            raise FormatError(f"{place}: is no file, {path} needs it")
        if offset + size > place.stat().st_size:
            raise FormatError(f"{place}: is truncated: it ends within {name!r:.100}")
        with place.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        raise FormatError(
            f"{place}: is missing: array {name!r:.100} of {path} stands in it. Put it there."
        ) from None
    except OSError as error:
        raise FormatError(f"{place}: cannot be read: {error.strerror}, {path} needs it") from None
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: array {name!r:.100} is damaged: {error}") from None
