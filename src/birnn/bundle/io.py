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

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
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
from birnn.errors import BundleError, OutputError, Tell, UsageError, log_notice

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
    if not _can_be(folder):
        raise OutputError(f"{folder}: is no name that a folder can have. Choose another.")
    target = Path(os.path.realpath(folder))
    fresh, before = _beside(target, "new"), _beside(target, "before")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            try:
                _settle(target)
                _refuse_foreign(target, companions)
                fresh.mkdir()
                for name, content in _contents(bundle).items():
                    _write(fresh / name, content)
                synchronise(fresh)
                if target.exists():
                    target.rename(before)
                fresh.rename(target)
                synchronise(target.parent)
            finally:
                # Also after Ctrl-C: the former bundle is restored, the half-written one removed.
                with suppress(OSError):
                    _settle(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}. "
            "Choose a folder that you may write to, on a disk with room."
        ) from error


def check_place(folder: str | Path, *, reads: str | Path, overwrite: bool = False) -> None:
    """Refuse a folder for a quantised model, before work that takes long.

    Args:
        folder: Where the model is to be written.
        reads: The folder of the model that it is made of.
        overwrite: Whether a quantised model there may be replaced.

    Raises:
        OutputError: It is no bundle, or one that is not to be replaced, or a float32 one, which may
            have taken hours to train.
        UsageError: Both are one.
    """
    if not _can_be(folder):
        raise OutputError(f"{folder}: is no name that a folder can have. Choose another.")
    target = Path(os.path.realpath(folder))
    if _can_be(reads) and Path(os.path.realpath(reads)) == target:
        raise UsageError(f"{folder} is the model that is read. Choose another folder to write to.")
    _refuse_foreign(target, ())
    if not (target / MANIFEST).is_file():
        return
    spec = read_manifest(target, [], target).get("spec")
    if isinstance(spec, dict) and spec.get("precision", "float32") == "float32":
        raise OutputError(f"{folder}: holds a float32 model already. Choose another folder.")
    if not overwrite:
        raise OutputError(
            f"{folder} holds a model. Give another --out, or --overwrite to replace it."
        )


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
    if not _can_be(folder):
        raise BundleError(
            f"{folder}: is no name that a folder can have. Give a folder that `birnn train` wrote."
        )
    files = located(folder, tell)
    for left in reversed(range(MOST_READINGS)):
        found = _identity(files.folder)
        try:
            return _load(folder, files, tell)
        except BundleError as error:
            if left and _identity(files.folder) != found:
                continue  # some of its files were those of the bundle that took its place
            raise files.after_damage(error) from error.__cause__
        except OSError as error:
            raise BundleError(f"{folder}: cannot be read: {error.strerror or error}.") from error
    raise AssertionError("the last reading returns or raises")


def _identity(folder: Path) -> tuple[int, ...] | None:
    """What is another where another folder has taken the place; None where there is none."""
    with suppress(OSError):
        told = folder.stat()
        return told.st_dev, told.st_ino, told.st_ctime_ns
    return None


def _load(folder: str | Path, files: BundleFiles, tell: Tell) -> Bundle:
    place = files.folder
    before = _beside(Path(os.path.realpath(place)), "before")
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


def _can_be(folder: str | Path) -> bool:
    """Whether the system can have a file of that name."""
    try:
        return b"\0" not in os.fsencode(folder)
    except UnicodeEncodeError:
        return False


def _beside(target: Path, role: str) -> Path:
    # Not `with_name`, which refuses the root of the file system.
    return target.parent / f".{target.name}.{role}"


def _refuse_foreign(target: Path, companions: Collection[str]) -> None:
    """Refuse a folder that birnn did not write."""
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
    """Finish or undo an interrupted write; keep the other entries of the folder."""
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


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Keep other writers out of a folder; where files cannot be locked, nothing."""
    with ExitStack() as opened:
        # Imported here: Windows has none. Some file systems of networks lock no folders.
        with suppress(ImportError, OSError):
            import fcntl

            descriptor = os.open(parent, os.O_RDONLY)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Not by closing alone, which children of a fork would have to do as well.
            opened.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
        yield


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def synchronise(folder: Path) -> None:
    """Make renames in a folder survive a power cut; systems that cannot open folders skip it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
