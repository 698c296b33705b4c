"""Validation of a model at rest: every check returns all the faults that it finds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from birnn.bundle.spec import SCALES, Spec, StoredTensor
from birnn.data.alphabet import UNKNOWN
from birnn.inputs.vocabulary import WITHOUT_UNKNOWN
from birnn.reference.bf16_sums import SMALLEST_NORMAL
from birnn.reference.low_precision import BF16_INFINITY, LARGEST

# Most faults and names in a message, and characters of each: a damaged file may have any number.
MOST_NAMED = 10
LONGEST_NAME = 100
LONGEST_FAULT = 1500

# Most values of a description; it has about twelve, and an offset per channel and target value.
MOST_VALUES = 100_000

OTHER_DIGEST = (
    "is damaged, or is not the file that was saved: its digest is not the one in the manifest"
)

# Other formats of models, by their first bytes. Such files are never parsed.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes (pickle inside)"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
)


def shortlist(names: Sequence[str]) -> str:
    """Names for a message: the first ten, long ones cut.

    Example:
        >>> shortlist([f"w{i}" for i in range(200)])
        'w0, w1, w2, w3, w4, w5, w6, w7, w8, w9 and 190 more'
    """
    shown = ", ".join(_cut(name, LONGEST_NAME) for name in names[:MOST_NAMED])
    rest = len(names) - MOST_NAMED
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def summary(faults: Sequence[str]) -> str:
    """All faults in one line, numbered where there are several; the first ten.

    Example:
        >>> summary(["vocab.json is missing", "metrics is not an object"])
        '2 faults: (1) vocab.json is missing; (2) metrics is not an object.'
    """
    shown = [_cut(fault, LONGEST_FAULT) for fault in faults[:MOST_NAMED]]
    if len(faults) == 1:
        return f"{shown[0]}."
    listed = "; ".join(f"({i}) {fault}" for i, fault in enumerate(shown, start=1))
    rest = len(faults) - MOST_NAMED
    return f"{len(faults):,} faults: {listed}" + (f"; and {rest:,} more." if rest > 0 else ".")


def vocabulary_sizes(spec: Spec) -> dict[str, int]:
    """Name and size of each vocabulary that a model has.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=5, dim=8), encoder=Encoder(), head=Tags(size=3))
        >>> vocabulary_sizes(spec)
        {'symbols': 5, 'labels': 3}
    """
    return spec.inputs.vocabularies() | spec.head.vocabularies()


def spec_faults(raw: Any) -> tuple[Spec | None, list[str]]:
    """The description as a `Spec`, or all its faults."""
    held, below = 0, [raw]
    while below and held <= MOST_VALUES:
        inner = [list(v.values()) if isinstance(v, dict) else v for v in below]
        below = [value for values in inner if isinstance(values, list) for value in values]
        held += len(below)
    if held > MOST_VALUES:
        # Each could be a fault, and a fault takes a thousand times the memory of its value.
        return None, [f"spec has more than {MOST_VALUES:,} values, as no model's has"]
    try:
        return Spec.model_validate(raw), []
    except ValidationError as error:
        found = []
        for fault in error.errors(include_url=False, include_context=False):
            # What contradicts across fields is a fault of the whole.
            place = ".".join(_cut(str(part), LONGEST_NAME) for part in ("spec", *fault["loc"]))
            what = fault["msg"].removeprefix("Value error, ").rstrip(".")
            found.append(f"{place}: {_cut(what, LONGEST_FAULT)}")
        return None, found


def vocabulary_faults(spec: Spec, vocabularies: Mapping[str, Any]) -> list[str]:
    """All faults of the vocabularies of a model."""
    found: list[str] = []
    sizes = vocabulary_sizes(spec)
    for name, size in sizes.items():
        if name not in vocabularies:
            found.append(f"there is no vocabulary of {name}, spec says {size} items")
            continue
        items = vocabularies[name]
        if not isinstance(items, list | tuple) or not all(
            issubclass(kind, str) for kind in set(map(type, items))
        ):
            found.append(f"the vocabulary of {name} is not a list of strings")
        elif len(items) != size:
            found.append(f"the vocabulary of {name} has {len(items)} items, spec says {size}")
        elif len(set(items)) != size:
            twice = Counter(items).most_common(1)[0][0]
            twice = _cut(twice, LONGEST_NAME)
            found.append(f"the vocabulary of {name} has {twice!r} more than once")
        elif name not in WITHOUT_UNKNOWN and items[0] != UNKNOWN:
            first = _cut(items[0], LONGEST_NAME)
            found.append(f"the vocabulary of {name} must begin with {UNKNOWN}, got {first!r}")
    if not found:
        found += spec.head.vocabulary_faults(vocabularies)
    extra = sorted(set(vocabularies) - set(sizes))
    if extra:
        found.append(f"spec knows no vocabulary of {shortlist(extra)}")
    return found


def tensor_faults(
    expected: Mapping[str, StoredTensor],
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, str],
) -> list[str]:
    """All faults in names, shapes and dtypes of the tensors that a spec expects."""
    found: list[str] = []
    missing = [f"{name} {each.shape}" for name, each in expected.items() if name not in shapes]
    if missing:
        found.append(f"lacks {_tensors(len(missing))} {shortlist(missing)}")
    unknown = sorted(set(shapes) - set(expected))
    if unknown:
        found.append(f"has {_tensors(len(unknown))} that spec does not know: {shortlist(unknown)}")
    for name, (shape, dtype) in expected.items():
        if name in shapes and shapes[name] != shape:
            found.append(f"tensor {name} has shape {shapes[name]}, spec says {shape}")
        if name in dtypes and dtypes[name] != dtype:
            found.append(f"tensor {name} is {dtypes[name]}, it must be {dtype}")
    return found


def value_faults(stored: Mapping[str, np.ndarray]) -> list[str]:
    """All tensors with values that no model can run with.

    Args:
        stored: Tensors as they are stored, by their names: float32, int8 with row scales, or the
            bits of bfloat16.
    """
    found: list[str] = []
    for name, tensor in stored.items():
        bad = _not_finite(tensor)
        if bad:
            found.append(f"tensor {name} has {bad} values that are NaN or infinite")
        elif name == "inputs.scale" and float(tensor.min(initial=1.0)) <= 0:
            found.append(f"tensor {name} has values of 0 or less, rows are divided by them")
        elif name.endswith(SCALES) and (
            wrong := int(((tensor != 0) & (tensor < SMALLEST_NORMAL)).sum())
        ):
            found.append(f"tensor {name} has {wrong} values that are negative or denormal")
        if tensor.dtype == np.int8:
            found += _int8_faults(name, tensor, stored[name + SCALES])
    return found


def _int8_faults(name: str, values_RC: np.ndarray, scales_R: np.ndarray) -> Iterator[str]:
    """What is wrong with an int8 matrix: values that rounding cannot give."""
    if below := int((values_RC < -LARGEST).sum()):
        yield f"tensor {name} has {below} values of -128, the least is -127"
    if rows := int(values_RC[scales_R == 0].any(axis=1).sum()):
        yield f"tensor {name} has {rows} rows that are not 0, whose scale is 0"


def _not_finite(tensor: np.ndarray) -> int:
    """How many values are NaN or infinite."""
    if tensor.dtype == np.int8:
        return 0
    if tensor.dtype == np.uint16:
        # Of bfloat16: an exponent of ones alone.
        return int(((tensor & BF16_INFINITY) == BF16_INFINITY).sum())
    # One pass without a temporary: a sum over finite float32 values is finite in float64.
    with np.errstate(invalid="ignore"):
        total = tensor.sum(dtype=np.float64)
    return 0 if np.isfinite(total) else int((~np.isfinite(tensor)).sum())


def path_fault(folder: Path, role: str, name: Any, root: Path | None = None) -> str | None:
    """The fault of a file name in a manifest, or None; only files inside the folder are read.

    Args:
        folder: The folder of the manifest.
        role: What the file is for.
        name: Its name.
        root: The folder that it may be a link into; by default ``folder``.
    """
    if not isinstance(name, str) or not name:
        return f"the manifest names no file for {role}, got {_cut(repr(name), LONGEST_NAME)}"
    shown = _cut(repr(name), LONGEST_NAME)
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return f"the manifest's file for {role}, {shown}, is no name that a file can have"
    leaves = (
        Path(name).is_absolute()
        or "\\" in name
        or ":" in name
        or ".." in Path(name).parts
        or "\0" in name
    )
    inside = os.path.realpath(folder if root is None else root)
    if leaves or not Path(os.path.realpath(folder / name)).is_relative_to(inside):
        return f"the manifest's file for {role}, {shown}, leaves the folder: refused"
    return None


def sniff_format(start: bytes) -> str | None:
    r"""Recognise by its first bytes a file that is neither JSON nor safetensors.

    Example:
        >>> sniff_format(b"\x80\x04\x95")
        'a Python pickle'
    """
    return next((what for magic, what in SIGNATURES if start.startswith(magic)), None)


def _tensors(count: int) -> str:
    return "tensor" if count == 1 else f"{count:,} tensors"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
