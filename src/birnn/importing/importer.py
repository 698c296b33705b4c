"""A file of another framework to a bundle: what it is, what it holds, what comes beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors

from birnn.bundle import Bundle, documents
from birnn.bundle.checks import sniff_format
from birnn.bundle.io import save
from birnn.bundle.manifest import MANIFEST
from birnn.errors import ConversionError, FormatError, Tell, log_notice
from birnn.export import keras, onnx, torch
from birnn.export.description import is_described
from birnn.foreign import (
    Beside,
    Layer,
    bundle_of,
    keras_layers,
    mask_notices,
    onnx_layers,
    state_dict_layers,
)
from birnn.foreign.layers import Array
from birnn.importing.keras_file import read_description, read_keras_file
from birnn.importing.onnx_file import read_onnx_file
from birnn.runtime import Predictor

Format = Literal["safetensors", "keras", "onnx"]


def import_model(
    file: str | Path,
    *,
    out: str | Path | None = None,
    tell: Tell = log_notice,
    **beside: Any,
) -> Predictor:
    """A model of another framework: its file read, converted, and ready to predict without it.

    Args:
        file: A torch ``state_dict`` in safetensors, a Keras 3 file (``.keras``) or an ONNX graph.
        out: A folder to write the bundle to.
        tell: Takes each notice of what was guessed or changed, one line.
        beside: What the file does not say, see `birnn.foreign.Beside`.

    Raises:
        FormatError: A file that is damaged, or of another format.
        ConversionError: Layers that have no counterpart; vocabulary or labels of another size.
        ShapeError: Shapes that disagree.
        UsageError: What the file does not say, and nobody else.
        OutputError: ``out`` cannot be written.
    """
    bundle = imported(file, Beside.checked(**beside), tell)
    predictor = Predictor(bundle)  # refuses what it cannot use, before anything is written
    if out is not None:
        save(bundle, out)
    return predictor


def imported(file: str | Path, beside: Beside, tell: Tell = log_notice) -> Bundle:
    """The bundle that a file of another framework becomes; arguments as of `import_model`."""
    path = Path(file)
    notices: list[str] = []
    kind = import_format(path)
    read = READERS[kind](path, beside, notices)
    unused = [name for name in OF_STATE_DICTS if getattr(beside, name) is not None]
    if unused and kind != "safetensors" and not isinstance(read, Bundle):
        notices.append(f"{', '.join(unused)}: unused, as the file says it; a state dict does not")
    # A file that birnn exported is a whole bundle.
    bundle = read if isinstance(read, Bundle) else bundle_of(read, beside, notices, where=str(path))
    for line in notices:
        tell(f"{path}: {line}")
    origin = {"imported": {"file": path.name, "format": kind}}
    return replace(bundle, metadata={**bundle.metadata, **origin})


def import_format(path: Path) -> Format:
    """What a file is, by its first bytes.

    Raises:
        FormatError: None of the three; a pickle is not read, as it could run code. Or a bundle.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except IsADirectoryError:
        if (path / MANIFEST).is_file():
            raise FormatError(f"{path}: is a bundle already: it needs no import.") from None
        raise FormatError(f"{path}: is a folder. Give the file of a model.") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from None
    if not start:
        raise FormatError(f"{path}: is empty. Save or export the model again.")
    if start[8:] == b"{":
        return "safetensors"
    if start.startswith(b"PK") and path.suffix == ".keras":
        return "keras"
    if path.suffix == ".zip" and b"stablehlo" in path.read_bytes()[:100]:
        raise FormatError(
            f"{path}: is a program of JAX that birnn exported, whose weights are compiled into it. "
            "Import another export of the model."
        )
    what = sniff_format(start)
    if what is None:
        return "onnx"  # protobuf has no signature
    how = (
        "import torch, safetensors.torch as s; s.save_file(torch.load('model.pt', "
        "weights_only=True), 'model.safetensors')"
    )
    remedy = f"From a torch state dict make one with: {how}"
    if "HDF5" in what:
        remedy = "Load it in Keras and save it as .keras: model.save('model.keras')"
    raise FormatError(
        f"{path}: is {what}, which is not read"
        + (": a pickle could run code" if "ickle" in what else "")
        + f". {remedy}"
    )


OF_STATE_DICTS = ("cell", "pooling", "activation")


# ---------------------------------------------------------------------- the three formats


def _safetensors(path: Path, beside: Beside, notices: list[str]) -> list[Layer] | Bundle:
    arrays, metadata = read_safetensors(path)
    if not is_described(metadata):
        return state_dict_layers(arrays, beside, notices)
    _unused_beside(beside, notices)
    return torch.bundle_from(arrays, metadata, str(path))


def _keras(path: Path, beside: Beside, notices: list[str]) -> list[Layer] | Bundle:
    described, (config, weights) = read_description(path), read_keras_file(path)
    if described is None:
        layers = keras_layers(config, weights)
        notices += mask_notices(layers)
        return layers
    _unused_beside(beside, notices)
    return keras.bundle_from(described, weights, str(path))


def _onnx(path: Path, beside: Beside, notices: list[str]) -> list[Layer] | Bundle:
    graph, metadata = read_onnx_file(path)
    if not is_described(metadata):
        return onnx_layers(graph)
    _unused_beside(beside, notices)
    return onnx.bundle_from(graph.constants, metadata, str(path))


def _unused_beside(beside: Beside, notices: list[str]) -> None:
    if beside != Beside():
        notices.append("was exported by birnn and says all itself: what was given beside is unused")


READERS = {"safetensors": _safetensors, "keras": _keras, "onnx": _onnx}


def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays and metadata of a safetensors file, bfloat16 as float32.

    Raises:
        FormatError: It is damaged.
        ConversionError: Arrays of a type that NumPy has not.
    """
    content = path.read_bytes()
    try:
        entries: list[tuple[str, Any]] = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise FormatError(f"{path}: is damaged or truncated: {error}. Save it again.") from None
    found: list[str] = []
    header = documents.parse(content[8 : 8 + int.from_bytes(content[:8], "little")], "", found)
    arrays = {}
    for name, entry in entries:
        if entry["dtype"] in DTYPES:
            array = np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        elif entry["dtype"] == "BF16":
            halves = np.frombuffer(entry["data"], "<u2").astype(np.uint32) << 16
            array = halves.view(np.float32).reshape(entry["shape"])
        else:
            raise ConversionError(
                f"{path}: {name} is of type {entry['dtype']}, birnn reads {', '.join(DTYPES)} and "
                "BF16. Save the weights as float32."
            )
        arrays[name] = array
    return arrays, header.get("__metadata__") or {}


INTEGERS = {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"} | INTEGERS
