"""Where a bundle is: a folder, or an address on the Hugging Face Hub, whose files are fetched.

``hf://user/name`` is the newest commit of a model on the Hub, ``hf://user/name@revision`` one of a
tag, a branch or a commit. The files come through ``huggingface_hub``: into its cache, from its
endpoint (``HF_ENDPOINT``) and with its token (``HF_TOKEN``), as everything else from there does.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from birnn.bundle.manifest import CARD, FILES, MANIFEST, MEAN_STATES
from birnn.errors import BirnnError, BundleError, Tell, UsageError, require

BUNDLE_FILES = (MANIFEST, *FILES.values(), MEAN_STATES, CARD)

_SCHEME = "hf:"
# `Path` makes one slash of two.
_WRITTEN = re.compile(r"hf:[/\\]{1,2}(?P<repository>[^@]*)(?:@(?P<revision>.*))?", re.DOTALL)
_PAGE = re.compile(r"(?i:https?:/{1,2}(?:www\.)?(?:huggingface\.co|hf\.co)/)|(?!hf:)(?i:hf:/{1,2})")
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(f"{_NAME}/{_NAME}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}")


@dataclass(frozen=True, slots=True)
class Address:
    """A model on the Hub.

    Args:
        repository: Its name, ``user/name``.
        revision: A tag, a branch or a commit; None is the newest commit of ``main``.
    """

    repository: str
    revision: str | None = None

    def __post_init__(self) -> None:
        name, revision = self.repository, self.revision
        if not _REPOSITORY.fullmatch(name) or "--" in name or ".." in name or name.endswith(".git"):
            raise UsageError(
                f"{name!r:.200} is no name of a model on the Hub. Write it as user/name, and an "
                "address as hf://user/name or hf://user/name@revision."
            )
        if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
            raise UsageError(
                f"{revision!r:.200} is no revision of a model on the Hub. Give a tag, a branch or "
                f"a commit: hf://{name}@v1.0"
            )

    @classmethod
    def of(cls, text: str | Path) -> Self:
        """The address that a text is, with or without a scheme.

        Raises:
            UsageError: It is none.

        Example:
            >>> Address.of("hf://ada/tagger@v1")
            Address(repository='ada/tagger', revision='v1')
            >>> str(Address.of("ada/tagger"))
            'hf://ada/tagger'
            >>> Address.of("hf://tagger")
            Traceback (most recent call last):
            ...
            birnn.errors.UsageError: 'tagger' is no name of a model on the Hub. Write it as ...
        """
        written = str(text)
        found = _WRITTEN.fullmatch(written if is_address(written) else f"hf://{written}")
        repository = found["repository"] if found else written
        return cls(repository.replace("\\", "/"), found["revision"] if found else None)

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_address(model: str | Path) -> bool:
    """Whether this is an address on the Hub, and not a folder.

    Raises:
        UsageError: The address of a page of the Hub, or the scheme in capitals.

    Example:
        >>> is_address("hf://ada/tagger"), is_address(Path("hf://ada/tagger")), is_address("pos/")
        (True, True, False)
        >>> is_address("https://huggingface.co/ada/tagger")
        Traceback (most recent call last):
        ...
        birnn.errors.UsageError: https://huggingface.co/ada/tagger: models on the Hub are ...
    """
    written = str(model)
    if found := _PAGE.match(written):
        raise UsageError(
            f"{written:.200}: models on the Hub are written hf://user/name, this one perhaps "
            f"hf://{'/'.join(written[found.end() :].split('/')[:2]):.100}"
        )
    return written.startswith(_SCHEME)


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """The files of a bundle on this machine.

    Args:
        folder: The folder they are in.
        root: The folder that they may be links into: the Hub's cache for what is in it, else the
            folder itself.
        address: Where they were fetched from.
    """

    folder: Path
    root: Path
    address: Address | None = None

    @property
    def size(self) -> int:
        """Bytes of all that a bundle is made of."""
        places = (self.folder / name for name in BUNDLE_FILES)
        return sum(place.stat().st_size for place in places if place.is_file())

    def after_damage(self, error: BundleError) -> BundleError:
        """The error of files that are no whole bundle, with what to do about it.

        Files of the cache whose content is not what its name says are removed from it, so that the
        next try fetches them again.
        """
        if self.address is None:
            return error
        damaged = [name for name in BUNDLE_FILES if _remove_damaged(self.folder / name)]
        remedy = (
            f"{' and '.join(damaged)} came damaged and was removed from the cache: try again."
            if damaged
            else "Its files are as the Hub has them: tell whoever put them there."
        )
        return BundleError(f"{error} {remedy}")


def located(model: str | Path, tell: Tell) -> BundleFiles:
    """The files of a bundle: a folder as it is, those of an address fetched.

    Args:
        model: A folder or an address.
        tell: Takes a notice, one line, of the commit that an address without a revision came to.

    Raises:
        BundleError: The Hub does not give them.
        MissingExtra: ``huggingface_hub`` is not installed.
        UsageError: The address is none.
    """
    if not is_address(model):
        return BundleFiles(Path(model), Path(model))
    address = Address.of(model)
    hub = require("huggingface_hub", extra="hub")
    with hub_errors(address):
        folder = Path(
            hub.snapshot_download(
                address.repository,
                revision=address.revision,
                allow_patterns=list(BUNDLE_FILES),
                **client(),
            )
        )
    commit = folder.name
    if address.revision is None:
        pinned = Address(address.repository, commit)
        tell(f"{address} has no revision, so its newest commit is taken. To stay with it: {pinned}")
    if not (folder / MANIFEST).is_file():
        raise BundleError(
            f"{address}: is not a bundle: it has no {MANIFEST}. "
            "Give a model that `birnn push` put on the Hub."
        )
    # The folder of the whole cache: models/snapshots/commit stand in it, and what they share.
    return BundleFiles(folder, folder.parents[2], address)


def client() -> dict[str, Any]:
    """Arguments that every call of ``huggingface_hub`` gets."""
    # Not left to huggingface_hub, which reads the variable once, when it is imported.
    endpoint = os.environ.get("HF_ENDPOINT") or None
    return {
        "endpoint": endpoint,
        "library_name": "birnn",
        "library_version": metadata.version("birnn"),
    }


@contextmanager
def hub_errors(address: Address) -> Iterator[None]:
    """Tell what ``huggingface_hub`` raises in one line, and let it tell nothing else meanwhile.

    Its progress is shown on a terminal alone.

    Raises:
        BundleError: The Hub was asked and did not give or take what it should.
    """
    errors = require("huggingface_hub.errors", extra="hub")
    bars = require("huggingface_hub.utils", extra="hub")
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    quiet = not (
        (sys.stderr is not None and sys.stderr.isatty()) or bars.are_progress_bars_disabled()
    )
    logger.setLevel(logging.ERROR)
    if quiet:
        bars.disable_progress_bars()
    try:
        yield
    except (BirnnError, MemoryError):
        raise
    # Any exception: those of the network are httpx's or requests', by version of the library.
    except Exception as error:
        reason = _reason(errors, error, address)
        raise BundleError(f"{address}: {reason}") from error
    finally:
        logger.setLevel(level)
        if quiet:
            bars.enable_progress_bars()


def _reason(errors: Any, error: Exception, address: Address) -> str:
    """Why the Hub did not give or take something, and what helps."""
    while isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # of an upload in a thread
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return f"its owner gives access on request only. Ask for it on {_page(address)}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"has no revision {address.revision or 'main'}. See those it has on {_page(address)}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"is not on {_host()}, or private and not yours to read. Check the name; for a private "
            "one log in with `hf auth login`, or set HF_TOKEN."
        )
    if status in (401, 403):
        return (
            f"{_host()} refuses access ({status}). Log in with `hf auth login`, or set HF_TOKEN to "
            "a token that may do this."
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        if isinstance(error.__cause__, errors.OfflineModeIsEnabled) or _offline():
            return (
                "is not in the cache of the Hub, and HF_HUB_OFFLINE is set. Unset it, or give the "
                "revision that was fetched before."
            )
        return f"{_host()} cannot be reached, and the cache does not have it. Try again later."
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it."
    if status is not None:
        return f"{_host()} answers {status}{_words(error)} Try again later."
    # By name: each version of the library has them from another one (requests, httpx).
    if any(word in type(error).__name__ for word in ("Connect", "Timeout", "Proxy")):
        return f"{_host()} cannot be reached:{_words(error)} Try again later."
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}. Make room there, or set HF_HOME."
    return f"the transfer broke, {_host()}:{_words(error)} Try again."


def _words(error: Exception) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f" {first[:300].rstrip('.') or type(error).__name__}."


def _host() -> str:
    return str(client()["endpoint"] or require("huggingface_hub", extra="hub").constants.ENDPOINT)


def _offline() -> bool:
    return bool(require("huggingface_hub", extra="hub").constants.HF_HUB_OFFLINE)


def _page(address: Address) -> str:
    return f"{_host()}/{address.repository}"


def _remove_damaged(path: Path) -> bool:
    """Remove a file of the cache if its content is not what its name says, and tell whether.

    What is in a snapshot is a link whose target is named by its digest: SHA-256, or git's SHA-1.
    """
    if not path.is_symlink():
        return False
    blob = path.parent / path.readlink()
    if not blob.is_file() or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob.name):
        return False
    content = blob.read_bytes()
    if len(blob.name) == 64:
        digest = hashlib.sha256(content).hexdigest()
    else:
        git = b"blob %d\0" % len(content) + content
        digest = hashlib.sha1(git, usedforsecurity=False).hexdigest()
    if digest == blob.name:
        return False
    shared = Path(os.path.realpath(blob))  # by several models, where the blob is a link again
    with suppress(OSError):
        for place in {path: None, blob: None, shared: None}:
            place.unlink(missing_ok=True)
    return True
