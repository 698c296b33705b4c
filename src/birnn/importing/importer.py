"""A file of another framework to a bundle: what it is, what it holds, what comes beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors

from birnn.bundle import Bundle, documents, faults
from birnn.bundle.checks import sniff_format, summary
from birnn.bundle.io import save
from birnn.errors import ConversionError, FormatError, Tell, UsageError, log_notice
from birnn.importing.assembly import Assembled, assemble
from birnn.importing.keras_file import read_keras_file
from birnn.importing.keras_layers import keras_layers
from birnn.importing.layers import Array, Embedding, Layer
from birnn.importing.onnx_file import read_onnx_file
from birnn.importing.onnx_layers import onnx_layers
from birnn.importing.state_dict import Told, narrowed, state_dict_layers
from birnn.importing.vocabulary import Given, Items, KindName, reordered
from birnn.inputs import Symbols
from birnn.reference.activations import ActivationName
from birnn.reference.stack import CellName
from birnn.runtime import Predictor
from birnn.tasks import TASKS

Format = Literal["safetensors", "keras", "onnx"]


@dataclass(frozen=True, slots=True)
class Beside:
    """What comes beside a foreign model, and what its file does not say.

    Args:
        vocabulary: Items of its embedding: a file, a list in order, or the number of each.
        labels: Its labels, likewise.
        task: tagger, classifier or regressor; by default as the model shows.
        inputs: words or symbols; by default symbols where each item is one character.
        cell: The cell of a state dict.
        pooling: How a classifier of a state dict makes one row of a sequence.
        activation: Of hidden layers of a state dict.
        unknown: The item that unknown ones are read as; by default by its name.
        padding: The item of padding; by default by its name.
        lowercase: Whether words are looked up in lower case.
    """

    vocabulary: Given | None = None
    labels: Given | None = None
    task: str | None = None
    inputs: KindName | None = None
    cell: CellName | None = None
    pooling: str | None = None
    activation: ActivationName | Literal["none"] | None = None
    unknown: str | None = None
    padding: str | None = None
    lowercase: bool | None = None


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
        beside: What the file does not say, see `Beside`.

    Raises:
        FormatError: A file that is damaged, or of another format.
        ConversionError: Layers that have no counterpart; vocabulary or labels of another size.
        ShapeError: Shapes that disagree.
        UsageError: What the file does not say, and nobody else.
        OutputError: ``out`` cannot be written.
    """
    bundle = imported(file, Beside(**beside), tell)
    if out is not None:
        save(bundle, out)
    return Predictor(bundle)


def imported(file: str | Path, beside: Beside, tell: Tell = log_notice) -> Bundle:
    """The bundle that a file of another framework becomes; arguments as of `import_model`."""
    path = Path(file)
    notices: list[str] = []
    kind = format_of(path)
    layers = READERS[kind](path, beside, notices)
    assembled = assemble(layers, values=_regresses(layers, beside))
    bundle = _named(path, kind, layers, assembled, beside, notices)
    for line in (*notices, *assembled.notices):
        tell(f"{path}: {line}")
    found = faults(bundle)
    if found:
        raise ConversionError(f"{path}: {summary(found)}")
    return bundle


def format_of(path: Path) -> Format:
    """What a file is, by its first bytes.

    Raises:
        FormatError: None of the three; a pickle is not read, as it could run code.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from None
    if start[8:] == b"{":
        return "safetensors"
    if start.startswith(b"PK") and path.suffix == ".keras":
        return "keras"
    what = sniff_format(start)
    if what is None and start:
        return "onnx"  # protobuf has no signature
    how = (
        "import torch, safetensors.torch as s; s.save_file(torch.load('model.pt', "
        "weights_only=True), 'model.safetensors')"
    )
    remedy = f"From a torch state dict make one with: {how}"
    if what is not None and "HDF5" in what:
        remedy = "Load it in Keras and save it as .keras: model.save('model.keras')"
    raise FormatError(
        f"{path}: is {what or 'empty'}, which is not read"
        + (": a pickle could run code" if what and "ickle" in what else "")
        + f". {remedy}"
    )


# ---------------------------------------------------------------------- the three formats


def _safetensors(path: Path, beside: Beside, notices: list[str]) -> list[Layer]:
    arrays, _ = read_safetensors(path)
    told = Told(beside.task, beside.pooling, beside.cell, beside.activation)
    return state_dict_layers(narrowed(arrays), told, notices)


def _keras(path: Path, beside: Beside, notices: list[str]) -> list[Layer]:
    del beside, notices
    return keras_layers(*read_keras_file(path))


def _onnx(path: Path, beside: Beside, notices: list[str]) -> list[Layer]:
    del beside, notices
    graph, _ = read_onnx_file(path)
    return onnx_layers(graph)


READERS = {"safetensors": _safetensors, "keras": _keras, "onnx": _onnx}


def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays and metadata of a safetensors file, bfloat16 as float32.

    Raises:
        FormatError: It is damaged.
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
            continue  # counters and flags
        arrays[name] = array
    return arrays, header.get("__metadata__") or {}


DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


# ---------------------------------------------------------------------- what comes beside


def _regresses(layers: list[Layer], beside: Beside) -> bool:
    """Whether the scores are values."""
    del layers
    if beside.task is not None and beside.task not in TASKS:
        raise UsageError(f"task is {beside.task!r}, it must be one of {', '.join(TASKS)}")
    return beside.task == "regressor"


def _named(
    path: Path,
    kind: Format,
    layers: list[Layer],
    assembled: Assembled,
    beside: Beside,
    notices: list[str],
) -> Bundle:
    """The bundle with the vocabulary and labels that came beside the file."""
    spec, tensors = assembled.spec, dict(assembled.tensors)
    if beside.task not in (None, spec.task):
        raise ConversionError(
            f"{path}: it is said to be a {beside.task}, but its layers are those of a {spec.task}."
        )
    vocabularies: dict[str, tuple[str, ...]] = {}
    if isinstance(spec.inputs, Symbols):
        if beside.vocabulary is None:
            raise UsageError(
                f"{path}: its embedding has {spec.inputs.size:,} vectors, and which items they "
                "belong to is not in the file. Give the vocabulary."
            )
        embedding = next(layer for layer in layers if isinstance(layer, Embedding))
        found = reordered(
            Items.of(beside.vocabulary, "vocabulary"),
            tensors["inputs.symbols.weight"],
            padded=embedding.padded,
            kind=beside.inputs,
            unknown=beside.unknown,
            padding=beside.padding,
            lowercase=beside.lowercase,
            notices=notices,
        )
        spec = spec.model_copy(update={"inputs": found.inputs})
        del tensors["inputs.symbols.weight"]
        tensors[f"inputs.{found.inputs.kind}.weight"] = found.table.astype(np.float32)
        vocabularies[found.inputs.kind] = found.items
    elif beside.vocabulary is not None:
        raise UsageError(f"{path}: the model reads vectors, it has no use for a vocabulary.")
    if spec.head.has_labels:
        if beside.labels is None:
            raise UsageError(
                f"{path}: the model has {spec.head.size} labels, and their names are not in the "
                "file. Give the labels."
            )
        labels = Items.of(beside.labels, "labels")
        vocabularies["labels"] = labels.complete(spec.head.size, "labels")
    elif beside.labels is not None:
        raise UsageError(f"{path}: a regressor has no use for labels.")
    tensors = {name: tensors[name] for name in spec.tensors()}
    return Bundle(spec, vocabularies, tensors, {"imported": {"file": path.name, "format": kind}})
