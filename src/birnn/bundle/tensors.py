"""Tensors in a safetensors file: written, and read with all of it validated.

The file is read, not mapped: if it were truncated while mapped, the process would be killed
(SIGBUS), and a change after validation would go unnoticed.

```
8 bytes    length of the header, little-endian
header     JSON: {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
the rest   the tensors one after another, without gaps
```

An int8 matrix is stored as two tensors, its values and, under its name and `.scales`, its row
scales; one in bfloat16 as its bits.

Source: https://huggingface.co/docs/safetensors/index, section Format.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle import documents
from birnn.bundle.checks import OTHER_DIGEST, shortlist, sniff_format, tensor_faults, value_faults
from birnn.bundle.spec import SCALES, StoredTensor
from birnn.engine.arrays import aligned_empty
from birnn.errors import ShapeError
from birnn.reference.low_precision import Bf16Matrix, Int8Matrix, Matrix
from birnn.schema import Shape

MOST_HEADER = 1 << 24  # bytes; 50,000 tensors need a third of it
DTYPES = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16", "I8": "int8"}
CODES = {dtype: code for code, dtype in DTYPES.items()}
IN_MEMORY = {"float32": "<f4", "bfloat16": "<u2", "int8": "i1"}
"""What NumPy holds the stored dtypes as: of bfloat16, which it does not know, the bits."""

Tensor = npt.NDArray[np.float32] | Matrix
"""A tensor of a model: float32, or a matrix in low precision."""


def as_stored(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
    """Name, dtype and values of each tensor as it is stored.

    Example:
        >>> matrix = Int8Matrix.of(np.array([[1.0, 0.5]], np.float32))
        >>> [(name, dtype) for name, dtype, _ in as_stored({"w.weight": matrix})]
        [('w.weight', 'int8'), ('w.weight.scales', 'float32')]
    """
    for name, tensor in tensors.items():
        if isinstance(tensor, Int8Matrix):
            yield name, "int8", tensor.values
            yield name + SCALES, str(tensor.scales.dtype), tensor.scales
        elif isinstance(tensor, Bf16Matrix):
            yield name, "bfloat16", tensor.bits
        else:
            yield name, str(tensor.dtype), tensor


def written_tensors(tensors: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]) -> bytes:
    """The content of a safetensors file.

    It is put together here, since NumPy has no bfloat16 that the library could be given; of float32
    tensors it is what the library writes.

    Args:
        tensors: Tensors by name.
        stored: Names, shapes and dtypes of the file.
    """
    values = {name: array for name, _, array in as_stored(tensors)}
    # As the library orders them: the widest dtype first, so that each stands at its own multiple.
    names = sorted(stored, key=lambda name: (-_width(stored[name].dtype), name))
    header, parts, end = {}, [], 0
    for name in names:
        shape, dtype = stored[name]
        part = np.ascontiguousarray(values[name], IN_MEMORY[dtype]).reshape(shape)
        begin, end = end, end + part.nbytes
        header[name] = {"dtype": CODES[dtype], "shape": shape, "data_offsets": (begin, end)}
        parts.append(part.tobytes())
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


def read_only(value: Any) -> Any:
    """A read-only view of an array, or of those of a matrix; anything else unchanged."""
    if isinstance(value, Matrix):
        held = [getattr(value, each.name) for each in fields(value)]
        closed = [read_only(array) for array in held]
        return value if all(map(operator.is_, held, closed)) else type(value)(*closed)
    if not isinstance(value, np.ndarray) or not value.flags.writeable:
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _width(dtype: str) -> int:
    return np.dtype(IN_MEMORY[dtype]).itemsize


def read_tensors(
    path: Path, expected: Mapping[str, StoredTensor] | None, digest: str | None, found: list[str]
) -> dict[str, Tensor]:
    """The tensors of a file, read-only; faults are added to ``found``.

    Args:
        path: The file.
        expected: Names, shapes and dtypes that it must have; None if unknown.
        digest: SHA-256 of the file; None if unknown.
        found: Receives faults.
    """
    own: list[str] = []
    stored: dict[str, npt.NDArray[Any]] = {}
    try:
        # Unbuffered: a buffer would be a second copy of the tensors.
        with path.open("rb", buffering=0) as file:
            stored = _read(file, expected, digest, own)
    except OSError as error:
        own.append(f"cannot be read: {error.strerror}")
    tensors: dict[str, Tensor] = {}
    for name, array in stored.items() if not own else ():
        try:
            if array.dtype == np.int8:
                tensors[name] = Int8Matrix(array, stored[name + SCALES])
            elif array.dtype == np.uint16:
                tensors[name] = Bf16Matrix(array)
            elif not name.endswith(SCALES):
                tensors[name] = array
        except ShapeError as error:  # more columns than int8 can sum
            own.append(f"tensor {name}: {error}".rstrip("."))
    found += [f"{path.name} {fault}" for fault in own]
    return tensors


def _read(
    file: FileIO,
    expected: Mapping[str, StoredTensor] | None,
    digest: str | None,
    found: list[str],
) -> dict[str, npt.NDArray[Any]]:
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
    stored = {}
    for tensor in expected:
        dtype, shape, begin, end = places[tensor]
        flat = memory[begin:end].view(IN_MEMORY[dtype])
        array = flat.reshape(shape).astype(flat.dtype.newbyteorder("="), copy=False)
        if not array.flags.aligned:  # where another program wrote them in another order
            array = array.copy()
        stored[tensor] = array
    found += value_faults(stored)
    return stored


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
    """The fault of the places of tensors of these shapes and dtypes in so many bytes, or None."""
    reached = 0
    for name, (dtype, shape, begin, end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if begin != reached or end - begin != _width(dtype) * math.prod(shape):
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
