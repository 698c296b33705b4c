"""A Keras 3 file: a zip of config.json and model.weights.h5; h5py reads it, not Keras.

Only these two entries are read, and of the HDF5 file only what lies in it: no link leaves the file.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle import documents
from birnn.errors import ConversionError, FormatError, require
from birnn.foreign.layers import Array
from birnn.keras.weights import ENTRY

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MOST_CONFIG = 1 << 24
# Keras stores weights as they are; what unpacks to many times its size is no model.
MOST_RATIO = 50

# RuntimeError: an entry that is encrypted, or compressed in a way that nobody has.
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError)

KerasFile = tuple[dict[str, Any], dict[str, list[Array]]]


def read_keras_file(path: Path) -> KerasFile:
    """The config of a Keras file, and the weights of each layer by its name.

    Raises:
        FormatError: It is damaged, or no Keras 3 file.
        ConversionError: Its layers are not those of its weights.
        MissingExtra: h5py is not installed.
    """
    h5py = require("h5py", extra="keras")
    try:
        with zipfile.ZipFile(path) as archive:
            config = _json(path, _entry(path, archive, CONFIG), CONFIG)
            content = _entry(path, archive, WEIGHTS)
    except DAMAGED as error:
        raise FormatError(f"{path}: is no whole Keras file: {error}. Save it again.") from None
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return config, dict(_weights(path, config, file, h5py))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, FormatError | ConversionError):
            raise
        what = str(error).split("\n")[0][:200]
        raise FormatError(f"{path}: {WEIGHTS} is damaged: {what}. Save it again.") from None


def read_description(path: Path) -> dict[str, Any] | None:
    """What `birnn.export` keeps in a Keras file of the bundle that it was made of; else None.

    Raises:
        FormatError: It is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if ENTRY not in archive.namelist():
                return None
            content = _entry(path, archive, ENTRY)
    except DAMAGED as error:
        raise FormatError(f"{path}: is no whole Keras file: {error}. Save it again.") from None
    return _json(path, content, ENTRY)


def _json(path: Path, content: bytes, name: str) -> dict[str, Any]:
    found: list[str] = []
    config = documents.parse(content, name, found)
    if found:
        raise FormatError(f"{path}: {found[0]}")
    return config


def _entry(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of an entry, of a size that it may have."""
    strange = [
        each for each in archive.namelist()
        if each.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", each) or ":" in each
    ]  # fmt: skip
    if strange:
        raise FormatError(f"{path}: its entry {strange[0]!r:.100} leaves the archive: refused")
    try:
        entry = archive.getinfo(name)
    except KeyError:
        held = ", ".join(archive.namelist()[:5])
        raise FormatError(
            f"{path}: is no Keras 3 file: it has no {name}, but {held}. Save the model with "
            "model.save('model.keras')."
        ) from None
    most = max(MOST_CONFIG, MOST_RATIO * path.stat().st_size)
    if name == CONFIG:
        most = MOST_CONFIG
    if entry.file_size > most:
        raise FormatError(
            f"{path}: {name} unpacks to {entry.file_size:,} bytes, at most {most:,} are read"
        )
    with archive.open(entry) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise FormatError(f"{path}: {name} unpacks to more than {most:,} bytes: refused")
    return content


# ---------------------------------------------------------------------- weights


def _weights(
    path: Path, config: Mapping[str, Any], file: Any, h5py: Any
) -> Iterator[tuple[str, list[Array]]]:
    """Of each layer with weights its name and its arrays, in the order of Keras.

    The file has layers under the names of their classes with a number, not under their own.
    """
    inner = config.get("config", {})
    layers = inner.get("layers") if isinstance(inner, dict) else None
    group = _within(path, file, "layers", h5py)
    if not isinstance(layers, list) or group is None:
        raise FormatError(
            f"{path}: has no list of layers. Only Sequential and functional models can be read."
        )
    counts: Counter[str] = Counter()
    for layer in layers:
        described = layer if isinstance(layer, dict) else {}
        kind, own = described.get("class_name"), described.get("config")
        if not isinstance(kind, str) or not isinstance(own, dict):
            raise FormatError(f"{path}: {CONFIG} has a layer without class or config")
        name = _snake_case(kind)
        stored = f"{name}_{counts[name]}" if counts[name] else name
        counts[name] += 1
        found = _within(path, group, stored, h5py)
        if found is not None:
            yield (
                str(own.get("name", described.get("name"))),
                list(_arrays(path, found, kind, h5py)),
            )


def _snake_case(name: str) -> str:
    """The name of a class as Keras has it in files.

    Example:
        >>> _snake_case("BatchNormalization"), _snake_case("ReLU"), _snake_case("LSTM")
        ('batch_normalization', 're_lu', 'lstm')
    """
    return re.sub("(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", name).lower()


PLACES = {
    "Bidirectional": ("forward_layer/cell", "backward_layer/cell"),
    "TimeDistributed": ("layer",),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), ("cell",)),
}
"""Where a layer's arrays stand in its group; right in it where nothing is said."""


def _arrays(path: Path, group: Any, kind: str, h5py: Any) -> Iterator[Array]:
    for place in PLACES.get(kind, ("",)):
        held = _within(path, group, f"{place}/vars".strip("/"), h5py)
        if held is None:
            continue
        for number in range(len(held)):
            array = _within(path, held, str(number), h5py)
            if array is None or not isinstance(array, h5py.Dataset):
                raise FormatError(f"{path}: {held.name} has no array {number}. Save it again.")
            yield _read(path, array)


def _read(path: Path, array: Any) -> Array:
    if array.external or array.is_virtual:
        raise FormatError(f"{path}: {array.name} stands in another file: refused")
    if array.dtype.kind not in "fiu":  # integers count: the rows that a layer has been adapted to
        raise FormatError(f"{path}: {array.name} is {array.dtype}, needed are numbers")
    if array.nbytes > max(1 << 16, MOST_RATIO * array.id.get_storage_size()):
        raise FormatError(
            f"{path}: {array.name} {array.shape} unpacks to {array.nbytes:,} bytes, the file has "
            f"{array.id.get_storage_size():,} of it: refused"
        )
    read: Array = np.asarray(array)
    return read


def _within(path: Path, group: Any, name: str, h5py: Any) -> Any:
    """What stands in a group under a path of names, or None; never what a link leads to."""
    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            return None
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise FormatError(f"{path}: {part!r} in {WEIGHTS} is a link: refused")
        group = group[part]
    return group
