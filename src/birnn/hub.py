"""Models on the Hugging Face Hub: `push` puts a bundle there, `download` fetches one.

An address, ``hf://user/name@revision``, stands wherever the folder of a model does: `birnn.load`
and all commands take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birnn.bundle import card
from birnn.bundle.addresses import BUNDLE_FILES, Address, client, hub_errors, located
from birnn.bundle.card import with_metadata
from birnn.bundle.io import load
from birnn.bundle.manifest import CARD, MANIFEST
from birnn.errors import OutputError, Tell, UsageError, log_notice, require

__all__ = ["Address", "Pushed", "download", "push"]

# What the Hub itself puts into a new repository, and people write there before a model.
_BEFORE_A_MODEL = {".gitattributes", ".gitignore", CARD, "LICENSE"}


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to.

    Args:
        address: The model at the commit that was made.
        url: Its page.
        private: Whether only its owners see it.
    """

    address: Address
    url: str
    private: bool


def download(address: str | Path, *, tell: Tell = log_notice) -> Path:
    """Fetch a model from the Hub into its cache, checked as any bundle.

    Args:
        address: ``hf://user/name`` or ``hf://user/name@revision``.
        tell: Takes each notice, one line; by default the logger ``birnn`` does.

    Returns:
        Its folder in the cache, which is not to be changed.

    Raises:
        BundleError: The Hub does not give it, or it is no whole bundle.
        MissingExtra: ``huggingface_hub`` is not installed.
        UsageError: The address is none.
    """
    written = Address.of(address)
    load(str(written), tell=tell)
    return located(str(written), lambda _: None).folder


def push(
    model: str | Path,
    to: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    tell: Tell = log_notice,
) -> Pushed:
    """Put a model on the Hub, as one commit of its files alone.

    A repository that is not there is made. The model card gets what the Hub reads of it, such as
    the metrics, if it has none of that.

    Args:
        model: The folder of a bundle, or an address.
        to: Name of the model on the Hub, ``user/name``.
        private: Whether only its owners see it.
        revision: The branch to commit to, which is made where it is not there; ``main`` by default.
        message: Of the commit.
        tell: Takes each notice, one line; by default the logger ``birnn`` does.

    Returns:
        Where it is now: its address with the commit.

    Raises:
        BundleError: It is no whole bundle, or the Hub does not take it.
        MissingExtra: ``huggingface_hub`` is not installed.
        OutputError: The repository holds something else, or is public and should not be.
        UsageError: The name is none.
    """
    address = Address.of(to)
    if address.revision is not None:
        if revision is not None:
            raise UsageError(f"{to} names a revision, and so does revision: give one of them.")
        address, revision = Address(address.repository), address.revision
    Address(address.repository, revision)  # refuses what is no name of a branch
    hub = require("huggingface_hub", extra="hub")
    bundle = load(model, tell=tell)
    folder = located(model, lambda _: None).folder
    text = card(bundle.spec, metadata=bundle.metadata, metrics=bundle.metrics)
    if (folder / CARD).is_file():
        text = with_metadata((folder / CARD).read_text("utf-8", errors="replace"), text)
    contents: dict[str, Any] = {
        name: folder / name for name in BUNDLE_FILES if (folder / name).is_file()
    } | {CARD: text.encode("utf-8", errors="replace")}
    with hub_errors(address):
        api, name = hub.HfApi(**client()), address.repository
        api.create_repo(name, private=private, exist_ok=True)
        if revision not in (None, "main"):
            api.create_branch(name, branch=revision, exist_ok=True)
        there = api.model_info(name, revision=revision)
        files = {file.rfilename for file in there.siblings or ()}
        _refuse(address, files, hidden=bool(there.private), private=private)
        operations = [hub.CommitOperationAdd(name, content) for name, content in contents.items()]
        # Of the model that was there before, and this one does not have.
        left = files & set(BUNDLE_FILES) - set(contents)
        operations += [hub.CommitOperationDelete(name) for name in sorted(left)]
        made = api.create_commit(
            name,
            operations,
            commit_message=message or f"A {bundle.spec.task} made with birnn",
            revision=revision,
            parent_commit=there.sha,
        )
    return Pushed(
        address=Address(address.repository, made.oid),
        url=f"{api.endpoint}/{address.repository}",
        private=bool(there.private),
    )


def _refuse(address: Address, files: set[str], *, hidden: bool, private: bool) -> None:
    """Refuse a repository that is another's, or seen by those who should not see the model."""
    if private and not hidden:
        raise OutputError(
            f"{address}: is public already, nothing was sent. Make it private in its settings on "
            "the Hub, choose another name, or leave --private out."
        )
    if MANIFEST not in files and files - _BEFORE_A_MODEL:
        others = sorted(files - _BEFORE_A_MODEL)
        raise OutputError(
            f"{address}: holds something else ({', '.join(others[:5])}), nothing was sent. "
            "Choose another name."
        )
