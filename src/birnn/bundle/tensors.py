"""Tensors of a safetensors file, validated in full.

The file is read, not mapped: if it were truncated while mapped, the process would be killed
(SIGBUS), and a change after validation would go unnoticed.

```
8 bytes    length of the header, little-endian
header     JSON: {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
the rest   the tensors one after another, without gaps
```

Source: https://huggingface.co/docs/safetensors/index, section Format.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle import documents
from birnn.bundle.checks import OTHER_DIGEST, shortlist, sniff_format, tensor_faults, value_faults
from birnn.engine.arrays import aligned_empty
from birnn.schema import Shape

MOST_HEADER = 1 << 24  # bytes; 50,000 tensors need a third of it
DTYPES = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16"}
FLOAT32 = np.dtype("<f4")


def read_tensors(
    path: Path, expected: Mapping[str, Shape] | None, digest: str | None, found: list[str]
) -> dict[str, np.ndarray]:
    """The tensors of a file, read-only; faults are added to ``found``.

    Args:
        path: The file.
        expected: Names and shapes that it must have; None if unknown.
        digest: SHA-256 of the file; None if unknown.
        found: Receives faults.
    """
    own: list[str] = []
    tensors: dict[str, np.ndarray] = {}
    try:
        # Unbuffered: a buffer would be a second copy of the tensors.
        with path.open("rb", buffering=0) as file:
            tensors = _read(file, expected, digest, own)
    except OSError as error:
        own.append(f"cannot be read: {error.strerror}")
    found += [f"{path.name} {fault}" for fault in own]
    return tensors


def _read(
    file: FileIO,
    expected: Mapping[str, Shape] | None,
    digest: str | None,
    found: list[str],
) -> dict[str, np.ndarray]:
    size = os.fstat(file.fileno()).st_size
    start = file.read(9)
    if start[8:] != b"{":
        what = sniff_format(start)
        found.append(
            "is not a safetensors file"
            if what is None
            else f"is {what}, not safetensors: refused, it could run code"
        )
        return {}
    length = int.from_bytes(start[:8], "little")
    if length > MOST_HEADER:
        found.append(f"is damaged: its header would have {length:,} bytes")
        return {}
    header = start[8:] + file.read(length - 1)
    if len(header) < length:
        found.append("is truncated: it ends within its header")
        return {}
    entries = documents.parse(header, "is damaged: its header", found)
    entries.pop("__metadata__", None)
    if found or expected is None:
        return {}
    # Only tensors that the spec knows: of others, in any number, the names are enough.
    places = _places({tensor: entries[tensor] for tensor in expected if tensor in entries}, found)
    shapes = dict.fromkeys(entries, ()) | {tensor: place[1] for tensor, place in places.items()}
    dtypes = {tensor: place[0] for tensor, place in places.items()}
    found += tensor_faults(expected, shapes, dtypes) if not found else []
    if found:
        return {}
    room = size - 8 - length
    fault = _extent_fault(places, room)
    if fault is not None:
        found.append(fault)
        return {}
    memory = aligned_empty(room, np.dtype(np.uint8))
    if _fill(file, memory.data) < room:
        found.append("is truncated: it became shorter while it was read")
        return {}
    if digest is not None:
        sha256 = hashlib.sha256(start[:8])
        sha256.update(header)
        sha256.update(memory.data)
        if sha256.hexdigest() != digest:
            found.append(OTHER_DIGEST)
    _close(memory)
    tensors = {}
    for tensor in expected:
        _, shape, begin, end = places[tensor]
        flat = memory[begin:end].view(FLOAT32)
        tensors[tensor] = flat.reshape(shape).astype(np.float32, copy=False)
    found += value_faults(tensors)
    return tensors


Place = tuple[str, Shape, int, int]
"""Dtype and shape of a tensor, where it begins behind the header, and where it ends."""


def _places(entries: Mapping[str, Any], found: list[str]) -> dict[str, Place]:
    """Dtype, shape and place of tensors by the header; the file is not compared with it yet."""
    places: dict[str, Place] = {}
    wrong: list[str] = []
    for name, entry in entries.items():
        match entry:
            case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if all(
                type(number) is int and 0 <= number < 1 << 62 for number in (*shape, begin, end)
            ):
                places[name] = (DTYPES.get(dtype, dtype), tuple(shape), begin, end)
            case _:
                wrong.append(name)
    if wrong:
        found.append(f"is damaged: its header does not say where tensors stand: {shortlist(wrong)}")
    return places


def _extent_fault(places: Mapping[str, Place], room: int) -> str | None:
    """The fault of the places of float32 tensors of these shapes in so many bytes, or None."""
    reached = 0
    for name, (_, shape, begin, end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if begin != reached or end - begin != 4 * math.prod(shape):
            return f"is damaged: tensor {name} {shape} cannot stand at bytes {begin} to {end}"
        reached = end
    if reached > room:
        return f"is truncated: its tensors take {reached:,} bytes, {room:,} are there"
    return None if reached == room else f"is damaged: {room - reached:,} bytes follow its tensors"


def _close(array: np.ndarray) -> None:
    """Make an array and its bases read-only: through a writeable base it could be changed."""
    if isinstance(array.base, np.ndarray):
        _close(array.base)
    array.flags.writeable = False


def _fill(file: FileIO, memory: memoryview) -> int:
    """Bytes that were read; fewer than there is room for where the file ends before."""
    filled = 0
    while filled < len(memory):
        count = file.readinto(memory[filled:])
        if not count:
            break
        filled += count
    return filled
