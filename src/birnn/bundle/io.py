"""Bundles on disk: a folder of JSON and safetensors, written atomically, validated in full.

```
birnn.json          format version, spec, training facts, metrics, the names of the other files
vocab.json          vocabularies: words, characters, symbols, labels
model.safetensors   every tensor of `Spec.tensors`, float32
background.safetensors   mean states of the encoder over data, for explanations; may be missing
README.md           model card
```

Nothing is ever unpickled. A folder is replaced by renaming, so that a reader and a crash find
either what stood there before or the new one whole.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from birnn.bundle.card import card
from birnn.bundle.checks import (
    disguise,
    path_fault,
    spec_faults,
    tensor_faults,
    value_faults,
    vocabulary_faults,
)
from birnn.bundle.spec import Shape, Spec
from birnn.errors import BundleError, OutputError

FORMAT_VERSION = 1
MANIFEST = "birnn.json"
FILES = {"vocabularies": "vocab.json", "tensors": "model.safetensors"}
BACKGROUND = "background.safetensors"
CARD = "README.md"

_DTYPES = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A trained model with all that is needed to run it and to say what it is.

    Args:
        spec: What the model is.
        vocabularies: Items of each vocabulary (words, characters, symbols, labels), by id.
        tensors: Every tensor of ``spec.tensors()``, float32.
        facts: How it was trained: whatever JSON can hold.
        metrics: What it reached: whatever JSON can hold.
        background: The tensors of ``spec.background()``, float32, or nothing.
    """

    spec: Spec
    vocabularies: Mapping[str, tuple[str, ...]]
    tensors: Mapping[str, np.ndarray]
    facts: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    background: Mapping[str, np.ndarray] = field(default_factory=dict)


def faults(bundle: Bundle) -> list[str]:
    """All that is wrong with a model: names, shapes, dtypes, vocabularies, values."""
    found = vocabulary_faults(bundle.spec, bundle.vocabularies)
    parts = [(bundle.spec.tensors(), bundle.tensors)]
    parts += [(bundle.spec.background(), bundle.background)] if bundle.background else []
    for expected, tensors in parts:
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        dtypes = {name: str(tensor.dtype) for name, tensor in tensors.items()}
        found += tensor_faults(expected, shapes, dtypes) + value_faults(tensors)
    return found


def save(bundle: Bundle, folder: str | Path, *, companions: Collection[str] = ()) -> None:
    """Write a model as a folder, atomically; a bundle that stands there is replaced.

    The files are written to a hidden folder beside it, synchronised to the disk and renamed into
    place. Other entries of a bundle that is replaced (logs, checkpoints) stay.

    Args:
        bundle: The model.
        folder: Where to write it.
        companions: Names of entries that may stand in the folder before there is a bundle in it,
            such as the checkpoints of the training that writes it.

    Raises:
        BundleError: The model is not whole; nothing is written.
        OutputError: The folder exists and is not a bundle, or cannot be written.
    """
    found = faults(bundle)
    if found:
        raise BundleError(_message("this model cannot be saved", found))
    target = Path(os.path.realpath(folder))
    fresh, before = _beside(target, "new"), _beside(target, "before")
    try:
        _settle(target)
        _refuse_foreign(target, companions)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        for name, content in _contents(bundle).items():
            _write(fresh / name, content)
        _synchronise(fresh)
        if target.exists():
            target.rename(before)
        fresh.rename(target)
        _synchronise(target.parent)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}. "
            "Choose a folder that you may write to, on a disk with room."
        ) from error
    finally:
        # Also after Ctrl-C: what stood there before comes back, the half-written one goes.
        with suppress(OSError):
            _settle(target)


def load(folder: str | Path) -> Bundle:
    """Read a model from its folder, after checking all of it.

    Args:
        folder: A folder that `save` wrote.

    Raises:
        BundleError: Something is wrong with it; the message names everything that is.
    """
    try:
        return _load(folder)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be read: {error.strerror or error}.") from error


def _load(folder: str | Path) -> Bundle:
    place = Path(folder)
    before = _beside(Path(os.path.realpath(place)), "before")
    if not (place / MANIFEST).is_file() and (before / MANIFEST).is_file():
        # A write was interrupted between its two renames: the former bundle is still whole.
        place = before
    if not place.is_dir():
        what = "is a file, a bundle is a folder" if place.exists() else "there is no such folder"
        raise BundleError(f"{folder}: {what}. Give a folder that `birnn train` wrote.")
    if not (place / MANIFEST).is_file():
        raise BundleError(
            f"{folder}: is not a bundle: it has no {MANIFEST}. "
            "Give a folder that `birnn train` wrote."
        )
    found: list[str] = []
    manifest = _read_json(place / MANIFEST, found)
    version: Any = manifest.get("format_version")
    if not found and (type(version) is not int or version < 1):
        found.append(f"{MANIFEST} has no format_version, got {version!r}")
    if found:
        raise BundleError(_message(str(folder), found))
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{folder}: format version {version}, this birnn reads up to {FORMAT_VERSION}. "
            "Upgrade birnn: pip install -U birnn"
        )
    spec, spec_found = spec_faults(manifest.get("spec"))
    found += spec_found
    paths = _paths(place, manifest.get("files"), found)
    vocabularies: dict[str, Any] = {}
    if "vocabularies" in paths:
        earlier = len(found)
        vocabularies = _read_json(paths["vocabularies"], found)
        if spec is not None and len(found) == earlier:
            found += vocabulary_faults(spec, vocabularies)
    tensors: dict[str, np.ndarray] = {}
    background: dict[str, np.ndarray] = {}
    if "tensors" in paths:
        tensors = _read_tensors(paths["tensors"], None if spec is None else spec.tensors(), found)
    if "background" in paths and spec is not None:
        background = _read_tensors(paths["background"], spec.background(), found)
    for name in ("facts", "metrics"):
        if not isinstance(manifest.get(name, {}), dict):
            found.append(f"{MANIFEST}: {name} is not an object")
    if found or spec is None:
        raise BundleError(_message(str(folder), found))
    return Bundle(
        spec=spec,
        vocabularies={name: tuple(items) for name, items in vocabularies.items()},
        tensors=tensors,
        facts=manifest.get("facts", {}),
        metrics=manifest.get("metrics", {}),
        background=background,
    )


# ---------------------------------------------------------------------- reading


def _paths(folder: Path, files: Any, found: list[str]) -> dict[str, Path]:
    """Where the other files are, as far as the manifest's names may be followed."""
    if not isinstance(files, dict):
        found.append(f"{MANIFEST}: files is not an object")
        return {}
    paths: dict[str, Path] = {}
    for role in (*FILES, *({"background"} & set(files))):
        fault = path_fault(folder, role, files.get(role))
        if fault is not None:
            found.append(fault)
        elif not (folder / files[role]).is_file():
            found.append(f"{files[role]} is missing")
        else:
            paths[role] = folder / files[role]
    return paths


def _read_json(path: Path, found: list[str]) -> dict[str, Any]:
    """A JSON object from a file; what is wrong with it is added to ``found``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        found.append(f"{path.name} cannot be read: {error.strerror}")
        return {}
    what = disguise(content[:8])
    if what is not None:
        found.append(f"{path.name} is {what}, not JSON: refused, it could run code")
        return {}
    try:
        value = json.loads(content.decode())
    except UnicodeDecodeError:
        found.append(f"{path.name} is not UTF-8")
    except json.JSONDecodeError as error:
        found.append(f"{path.name} is not whole JSON: line {error.lineno}: {error.msg}")
    except RecursionError:
        found.append(f"{path.name} is nested too deeply")
    else:
        if isinstance(value, dict):
            return value
        found.append(f"{path.name} is not a JSON object")
    return {}


def _read_tensors(
    path: Path, expected: Mapping[str, Shape] | None, found: list[str]
) -> dict[str, np.ndarray]:
    """The tensors, once their names, shapes and dtypes are known to be right."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # A safetensors file is the length of its header (8 bytes), then the header: JSON.
        if start[8:9] != b"{":
            what = disguise(start)
            if what is None:
                found.append(f"{path.name} is not a safetensors file")
            else:
                found.append(f"{path.name} is {what}, not safetensors: refused, it could run code")
            return {}
        with safetensors.safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            dtypes = {
                name: _DTYPES.get(part.get_dtype(), part.get_dtype())
                for name, part in slices.items()
            }
            wrong = [] if expected is None else tensor_faults(expected, shapes, dtypes)
            found += [f"{path.name} {fault}" for fault in wrong]
            if wrong or expected is None:
                return {}
            tensors = {name: file.get_tensor(name) for name in expected}
    except (safetensors.SafetensorError, OSError) as error:
        found.append(f"{path.name} is truncated or damaged: {error}")
        return {}
    found += [f"{path.name} {fault}" for fault in value_faults(tensors)]
    return tensors


def _message(where: str, found: list[str]) -> str:
    """One line that says everything that is wrong."""
    if len(found) == 1:
        return f"{where}: {found[0]}."
    listed = "; ".join(f"({i}) {fault}" for i, fault in enumerate(found, start=1))
    return f"{where}: {len(found)} faults: {listed}."


# ---------------------------------------------------------------------- writing


def _contents(bundle: Bundle) -> dict[str, bytes]:
    """What each file of the folder holds."""
    manifest = {
        "format": "birnn",
        "format_version": FORMAT_VERSION,
        "files": FILES | ({"background": BACKGROUND} if bundle.background else {}),
        "spec": bundle.spec.model_dump(mode="json"),
        "facts": _plain(bundle.facts),
        "metrics": _plain(bundle.metrics),
    }
    vocabularies = {name: list(items) for name, items in bundle.vocabularies.items()}
    contents = {
        FILES["tensors"]: _safetensors(bundle.tensors, bundle.spec.tensors()),
        FILES["vocabularies"]: _json(vocabularies),
        CARD: card(bundle.spec, facts=_plain(bundle.facts), metrics=_plain(bundle.metrics)).encode(
            "utf-8", errors="replace"
        ),
        MANIFEST: _json(manifest),
    }
    if bundle.background:
        contents[BACKGROUND] = _safetensors(bundle.background, bundle.spec.background())
    return contents


def _safetensors(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]) -> bytes:
    content: bytes = safetensors.numpy.save(
        {name: np.ascontiguousarray(tensors[name]).reshape(shape) for name, shape in shapes.items()}
    )
    return content


def _json(value: Any) -> bytes:
    """Readable JSON; characters that UTF-8 has no form for (lone surrogates) are escaped."""
    try:
        return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(value, ensure_ascii=True, indent=1) + "\n").encode()


def _plain(value: Any) -> Any:
    """The same in what JSON can hold; NaN and infinity, which it cannot, become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _beside(target: Path, role: str) -> Path:
    return target.with_name(f".{target.name}.{role}")


def _refuse_foreign(target: Path, companions: Collection[str]) -> None:
    """Never write over what birnn did not write."""
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{target}: is a file. Choose a folder for the model.")
    names = {entry.name for entry in target.iterdir()}
    if names - set(companions) and MANIFEST not in names:
        raise OutputError(
            f"{target}: exists and is not a bundle. Choose another folder, or empty this one."
        )


def _settle(target: Path) -> None:
    """Finish or undo what an interrupted write left, and keep the other entries of the folder."""
    fresh, before = _beside(target, "new"), _beside(target, "before")
    if before.is_dir() and not target.exists():
        before.rename(target)
    if before.is_dir():
        for entry in before.iterdir():
            kept = target / entry.name
            if not kept.exists():
                entry.rename(kept)
        shutil.rmtree(before)
    if fresh.is_dir():
        shutil.rmtree(fresh)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _synchronise(folder: Path) -> None:
    """Make renames in a folder survive a power cut; systems that cannot open folders skip it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
