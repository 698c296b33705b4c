"""What can be wrong with a model at rest, said in full: every check answers with all its faults."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from birnn.bundle.spec import Label, Shape, Spec, Symbols, Tags, Words

# What stands first in every vocabulary but the labels'.
UNKNOWN = "<unk>"

# Files that other tools save models in, by their first bytes. None of them is ever opened further.
DISGUISES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes (pickle inside)"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
)


def vocabulary_sizes(spec: Spec) -> dict[str, int]:
    """Name and size of each vocabulary that a model has.

    Example:
        >>> from birnn.bundle.spec import Encoder
        >>> spec = Spec(inputs=Symbols(size=5, dim=8), encoder=Encoder(), head=Tags(size=3))
        >>> vocabulary_sizes(spec)
        {'symbols': 5, 'labels': 3}
    """
    sizes: dict[str, int] = {}
    if isinstance(spec.inputs, Words):
        sizes["words"] = spec.inputs.size
        if spec.inputs.characters is not None:
            sizes["characters"] = spec.inputs.characters.size
        if spec.inputs.surface is not None:
            sizes["traits"] = spec.inputs.surface.size
    elif isinstance(spec.inputs, Symbols):
        sizes["symbols"] = spec.inputs.size
    if isinstance(spec.head, Tags | Label):
        sizes["labels"] = spec.head.size
    return sizes


def spec_faults(raw: Any) -> tuple[Spec | None, list[str]]:
    """The description as a `Spec`, or all that is wrong with it."""
    try:
        return Spec.model_validate(raw), []
    except ValidationError as error:
        return None, [
            f"spec.{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False)
        ]


def vocabulary_faults(spec: Spec, vocabularies: Mapping[str, Any]) -> list[str]:
    """All that is wrong with the vocabularies of a model."""
    found: list[str] = []
    sizes = vocabulary_sizes(spec)
    for name, size in sizes.items():
        if name not in vocabularies:
            found.append(f"there is no vocabulary of {name}, spec says {size} items")
            continue
        items = vocabularies[name]
        if not isinstance(items, list | tuple) or not all(isinstance(i, str) for i in items):
            found.append(f"the vocabulary of {name} is not a list of strings")
        elif len(items) != size:
            found.append(f"the vocabulary of {name} has {len(items)} items, spec says {size}")
        elif len(set(items)) != size:
            twice = Counter(items).most_common(1)[0][0]
            found.append(f"the vocabulary of {name} has {twice!r} more than once")
        elif name != "labels" and items[0] != UNKNOWN:
            found.append(f"the vocabulary of {name} must begin with {UNKNOWN}, got {items[0]!r}")
    extra = sorted(set(vocabularies) - set(sizes))
    if extra:
        found.append(f"spec knows no vocabulary of {', '.join(extra)}")
    return found


def tensor_faults(
    expected: Mapping[str, Shape],
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, str],
) -> list[str]:
    """All that is wrong with the names, shapes and dtypes of tensors that a spec expects."""
    found: list[str] = []
    missing = [f"{name} {shape}" for name, shape in expected.items() if name not in shapes]
    if missing:
        found.append(f"lacks {_tensors(len(missing))} {', '.join(missing)}")
    unknown = sorted(set(shapes) - set(expected))
    if unknown:
        found.append(f"has {_tensors(len(unknown))} that spec does not know: {', '.join(unknown)}")
    for name, shape in expected.items():
        if name in shapes and shapes[name] != shape:
            found.append(f"tensor {name} has shape {shapes[name]}, spec says {shape}")
        if name in dtypes and dtypes[name] != "float32":
            found.append(f"tensor {name} is {dtypes[name]}, it must be float32")
    return found


def value_faults(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """All tensors that hold values no model can run with."""
    found: list[str] = []
    for name, tensor in tensors.items():
        # One pass without a temporary: a sum over finite float32 values is finite in float64.
        with np.errstate(invalid="ignore"):
            total = tensor.sum(dtype=np.float64)
        if not np.isfinite(total):
            bad = int((~np.isfinite(tensor)).sum())
            found.append(f"tensor {name} has {bad} values that are NaN or infinite")
        elif name == "inputs.scale" and float(tensor.min(initial=1.0)) <= 0:
            found.append(f"tensor {name} has values of 0 or less, rows are divided by them")
    return found


def path_fault(folder: Path, role: str, name: Any) -> str | None:
    """What is wrong with a file name in a manifest; only files inside the folder are read."""
    if not isinstance(name, str) or not name:
        return f"the manifest names no file for {role}, got {name!r}"
    leaves = (
        Path(name).is_absolute()
        or "\\" in name
        or ":" in name
        or ".." in Path(name).parts
        or "\0" in name
    )
    if leaves or not Path(os.path.realpath(folder / name)).is_relative_to(os.path.realpath(folder)):
        return f"the manifest's file for {role}, {name!r}, leaves the folder: refused"
    return None


def disguise(start: bytes) -> str | None:
    r"""What a file is that should have been JSON or safetensors, told by its first bytes.

    Example:
        >>> disguise(b"\x80\x04\x95")
        'a Python pickle'
    """
    return next((what for magic, what in DISGUISES if start.startswith(magic)), None)


def _tensors(count: int) -> str:
    return "tensor" if count == 1 else f"{count} tensors"
