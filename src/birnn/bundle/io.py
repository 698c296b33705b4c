"""Bundles on disk: a folder of JSON and safetensors, written atomically, validated in full.

```
birnn.json          format version, spec, metadata, metrics, names of the other files, digests
vocab.json          vocabularies: words, characters, symbols, labels
model.safetensors   every tensor of `Spec.tensors`, as `Spec.stored_tensors` says
background.safetensors   mean states of the encoder over data, for explanations; may be missing
README.md           model card
```

Nothing is ever unpickled. ``sha256`` in the manifest holds the digest of every file that is read,
and its own, so that damage is found. A folder is replaced by renaming, so that a reader,
also after a crash, finds either the former bundle or the new one, whole; one that it is replaced
under reads again. Writers take turns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import numpy as np

from birnn.bundle import documents
from birnn.bundle.addresses import BundleFiles, located
from birnn.bundle.card import card
from birnn.bundle.checks import (
    OTHER_DIGEST,
    spec_faults,
    summary,
    tensor_faults,
    value_faults,
    vocabulary_faults,
)
from birnn.bundle.folder import can_be, former, identity, write_folder
from birnn.bundle.manifest import (
    ANNOUNCED,
    CARD,
    DIGESTS,
    FILES,
    FORMAT_VERSION,
    MANIFEST,
    MEAN_STATES,
    MOST_MANIFEST,
    MOST_VOCABULARIES,
    digests_of,
    manifest_digest,
    paths_of,
    read_manifest,
)
from birnn.bundle.spec import Spec, StoredTensor
from birnn.bundle.tensors import Tensor, as_stored, read_only, read_tensors, written_tensors
from birnn.errors import BundleError, Tell, UsageError, log_notice

MOST_READINGS = 10
"""How often a bundle is read that others replace meanwhile, until one is read whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A trained model: description, vocabularies, tensors, metadata.

    Its tensors are read-only, since a predictor packs some of them once and reads others again.

    Args:
        spec: What the model is.
        vocabularies: Items of each vocabulary (words, characters, symbols, labels), by id.
        tensors: Every tensor of ``spec.tensors()``: float32, or in the precision of the spec a
            matrix of `birnn.reference.low_precision`.
        metadata: How it was trained: any JSON values.
        metrics: Its scores: any JSON values.
        mean_states: The tensors of ``spec.mean_states()``, float32, or nothing.
    """

    spec: Spec
    vocabularies: Mapping[str, tuple[str, ...]]
    tensors: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    mean_states: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("vocabularies", "tensors", "mean_states"):
            held = {key: read_only(value) for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(held))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, its dict can.
        held = (getattr(self, each.name) for each in fields(self))
        return Bundle, tuple(dict(v) if isinstance(v, Mapping) else v for v in held)


def faults(bundle: Bundle) -> list[str]:
    """All faults of a model: names, shapes, dtypes, vocabularies, values."""
    found = vocabulary_faults(bundle.spec, bundle.vocabularies)
    parts = [(bundle.spec.stored_tensors(), bundle.tensors)]
    parts += [(_mean_states(bundle.spec), bundle.mean_states)] if bundle.mean_states else []
    for expected, tensors in parts:
        stored = list(as_stored(tensors))
        shapes = {name: tuple(array.shape) for name, _, array in stored}
        dtypes = {name: dtype for name, dtype, _ in stored}
        found += tensor_faults(expected, shapes, dtypes)
        found += value_faults({name: array for name, _, array in stored})
    return found


def _mean_states(spec: Spec) -> dict[str, StoredTensor]:
    return {name: StoredTensor(shape) for name, shape in spec.mean_states().items()}


def save(bundle: Bundle, folder: str | Path, *, companions: Collection[str] = ()) -> None:
    """Write a model as a folder, atomically; an existing bundle is replaced.

    The files are written to a hidden folder beside it, synchronised to the disk and renamed into
    place. Other entries of a bundle that is replaced (logs, checkpoints) stay.

    Args:
        bundle: The model.
        folder: Where to write it.
        companions: Names of entries that the folder may have before it holds a bundle, such as the
            checkpoints of the training that writes it.

    Raises:
        BundleError: The model is not whole; nothing is written.
        OutputError: The folder exists and is not a bundle, or cannot be written.
    """
    found = faults(bundle)
    if found:
        raise BundleError(f"this model cannot be saved: {summary(found)}")
    write_folder(folder, _contents(bundle), companions=companions)


class HasBundle(Protocol):
    """A model at work, such as `birnn.runtime.Predictor`."""

    @property
    def bundle(self) -> Bundle:
        """The model as data."""


BundleSource = Bundle | HasBundle | str | Path


def as_bundle(model: BundleSource) -> Bundle:
    """The bundle of a model, in whatever form it is given.

    Args:
        model: A bundle, its folder or address on the Hub, or what `birnn.load` gave.

    Raises:
        BundleError: A folder or address that holds no whole bundle.
        UsageError: Something else.

    Example:
        >>> as_bundle(7)
        Traceback (most recent call last):
        ...
        birnn.errors.UsageError: model is a int. Give a bundle, its folder, or what birnn.load gave.
    """
    if isinstance(model, str | Path):
        return load(model)
    held = model if isinstance(model, Bundle) else getattr(model, "bundle", None)
    if not isinstance(held, Bundle):
        raise UsageError(
            f"model is a {type(model).__name__}. "
            "Give a bundle, its folder, or what birnn.load gave."
        )
    return held


def load(folder: str | Path, *, tell: Tell = log_notice) -> Bundle:
    """Read a model from its folder or from the Hub, after checking all of it.

    Args:
        folder: A folder that `save` wrote, or an address: ``hf://user/name@revision``.
        tell: Takes each notice, one line; by default the logger ``birnn`` does.

    Raises:
        BundleError: It has faults, of which the message names the first ten; or the Hub does not
            give it.
        MissingExtra: An address, and ``huggingface_hub`` is not installed.
        UsageError: ``folder`` is no path and no address.
    """
    if not isinstance(folder, str | Path):
        raise UsageError(f"folder is a {type(folder).__name__}. Give the path of a folder.")
    if not can_be(folder):
        raise BundleError(
            f"{folder}: is no name that a folder can have. Give a folder that `birnn train` wrote."
        )
    files = located(folder, tell)
    for left in reversed(range(MOST_READINGS)):
        found = identity(files.folder)
        try:
            return _load(folder, files, tell)
        except BundleError as error:
            if left and identity(files.folder) != found:
                continue  # some of its files were those of the bundle that took its place
            raise files.after_damage(error) from error.__cause__
        except OSError as error:
            raise BundleError(f"{folder}: cannot be read: {error.strerror or error}.") from error
    raise AssertionError("the last reading returns or raises")


def _load(folder: str | Path, files: BundleFiles, tell: Tell) -> Bundle:
    place = files.folder
    before = former(place)
    if not (place / MANIFEST).is_file() and (before / MANIFEST).is_file():
        # A write was interrupted between its two renames: the former bundle is still whole.
        place = before
    root = place if files.address is None else files.root
    if not place.is_dir():
        what = "is a file, a bundle is a folder" if place.exists() else "there is no such folder"
        raise BundleError(f"{folder}: {what}. Give a folder that `birnn train` wrote.")
    if not (place / MANIFEST).is_file():
        raise BundleError(
            f"{folder}: is not a bundle: it has no {MANIFEST}. "
            "Give a folder that `birnn train` wrote."
        )
    found: list[str] = []
    manifest = read_manifest(place, found, root)
    version: Any = manifest.get("format_version")
    if not found and (type(version) is not int or version < 1):
        found.append(f"{MANIFEST} has no format_version, got {version!r:.100}")
    if found:
        raise BundleError(f"{folder}: {summary(found)}")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{folder}: format version {str(version)[:20]}, this birnn reads up to "
            f"{FORMAT_VERSION}. Upgrade birnn: pip install -U birnn"
        )
    paths = paths_of(place, manifest.get("files"), found, root)
    digests = digests_of(manifest, set(paths), found)
    spec, spec_found = spec_faults(manifest.get("spec"))
    found += spec_found
    vocabularies: dict[str, Any] | None = None
    if "vocabularies" in paths:
        vocabularies = _vocabularies(paths["vocabularies"], digests.get("vocabularies"), found)
        if spec is not None and vocabularies is not None:
            found += vocabulary_faults(spec, vocabularies)
    tensors: dict[str, Tensor] = {}
    mean_states: dict[str, Tensor] = {}
    if "tensors" in paths:
        expected = None if spec is None else spec.stored_tensors()
        tensors = read_tensors(paths["tensors"], expected, digests.get("tensors"), found)
    if "background" in paths and spec is not None:
        mean_states = read_tensors(
            paths["background"], _mean_states(spec), digests.get("background"), found
        )
    for name in ("facts", "metrics"):
        if not isinstance(manifest.get(name, {}), dict):
            found.append(f"{MANIFEST}: {name} is not an object")
    if found or spec is None or vocabularies is None:
        raise BundleError(f"{folder}: {summary(found)}")
    if not digests:
        tell(
            f"{folder}: has no digests, as before birnn had any: damage that leaves its files "
            "readable is not seen. Saving it again adds them."
        )
    return Bundle(
        spec=spec,
        vocabularies={name: tuple(items) for name, items in vocabularies.items()},
        tensors=tensors,
        metadata=manifest.get("facts", {}),
        metrics=manifest.get("metrics", {}),
        mean_states=cast("dict[str, np.ndarray]", mean_states),
    )


# ---------------------------------------------------------------------- reading


def _vocabularies(path: Path, digest: str | None, found: list[str]) -> dict[str, Any] | None:
    """The vocabularies of the file; None where it cannot be read."""
    own: list[str] = []
    content = documents.read_whole(path, MOST_VOCABULARIES, own)
    vocabularies = {} if own else documents.parse(content, path.name, own)
    readable = not own
    if readable and digest is not None and documents.digest_of(content) != digest:
        own.append(f"{path.name} {OTHER_DIGEST}")
    found += own
    return vocabularies if readable else None


# ---------------------------------------------------------------------- writing


def _contents(bundle: Bundle) -> dict[str, bytes]:
    """The contents of each file of the folder.

    Raises:
        BundleError: A file would be larger than the limit of `load`.
    """
    spec = bundle.spec
    files = FILES | ({"background": MEAN_STATES} if bundle.mean_states else {})
    vocabularies = {name: list(items) for name, items in bundle.vocabularies.items()}
    contents = {
        FILES["tensors"]: written_tensors(bundle.tensors, spec.stored_tensors()),
        FILES["vocabularies"]: documents.written(vocabularies),
    }
    if bundle.mean_states:
        contents[MEAN_STATES] = written_tensors(bundle.mean_states, _mean_states(spec))
    metadata, metrics = documents.plain(bundle.metadata), documents.plain(bundle.metrics)
    manifest = {
        "format": "birnn",
        "format_version": 1 if spec.precision == "float32" else FORMAT_VERSION,
        ANNOUNCED: DIGESTS,
        "files": files,
        "spec": spec.model_dump(mode="json"),
        "facts": metadata,
        "metrics": metrics,
        DIGESTS: {role: documents.digest_of(contents[name]) for role, name in files.items()},
    }
    manifest[DIGESTS] |= {"manifest": manifest_digest(manifest)}
    text = card(spec, metadata=metadata, metrics=metrics)
    contents[CARD] = text.encode("utf-8", errors="replace")
    contents[MANIFEST] = documents.written(manifest)
    for name, most in ((MANIFEST, MOST_MANIFEST), (FILES["vocabularies"], MOST_VOCABULARIES)):
        if len(contents[name]) > most:
            raise BundleError(
                f"this model cannot be saved: {name} would have {len(contents[name]):,} bytes, at "
                f"most {most:,} are read"
            )
    return contents


def tensors_digest(bundle: Bundle) -> str:
    """SHA-256 of the file of tensors that a model has, or would have, in its folder."""
    return documents.digest_of(written_tensors(bundle.tensors, bundle.spec.stored_tensors()))
