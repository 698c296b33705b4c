"""`birnn.json`, the manifest of a bundle: versions, file names, and digests that show damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from birnn.bundle import documents
from birnn.bundle.checks import path_fault, shortlist

FORMAT_VERSION = 2
"""The newest that is read: 2 has matrices in low precision, all in float32 is 1, as ever."""
MANIFEST = "birnn.json"
FILES = {"vocabularies": "vocab.json", "tensors": "model.safetensors"}
MEAN_STATES = "background.safetensors"
CARD = "README.md"
DIGESTS = "sha256"
# A key at the top that announces the digests at the end: no single damage removes both.
ANNOUNCED = "digests"
# All keys of a manifest before digests were introduced.
FORMER_KEYS = {"format", "format_version", "files", "spec", "facts", "metrics"}

# Largest files in bytes. The words of the largest published word vectors take 30 million.
MOST_MANIFEST = 1 << 24
MOST_VOCABULARIES = 1 << 28


def read_manifest(folder: Path, found: list[str], root: Path) -> dict[str, Any]:
    """The manifest, unless it is a link that leaves the folder ``root``."""
    if path_fault(folder, "manifest", MANIFEST, root) is not None:
        found.append(f"{MANIFEST} is a link that leaves the folder: refused")
        return {}
    content = documents.read_whole(folder / MANIFEST, MOST_MANIFEST, found)
    return {} if found else documents.parse(content, MANIFEST, found)


def digests_of(manifest: dict[str, Any], roles: set[str], found: list[str]) -> dict[str, str]:
    """The digests of the files in the manifest, empty for a bundle without digests.

    The manifest is checked against its own digest.
    """
    if DIGESTS not in manifest:
        unknown = sorted(set(manifest) - FORMER_KEYS)
        if unknown:
            found.append(
                f"{MANIFEST} has no {DIGESTS} and keys that it never had without: "
                f"{shortlist(unknown)}"
            )
        return {}
    digests = manifest[DIGESTS]
    wanted = {*roles, "manifest"}
    if not isinstance(digests, dict) or not all(
        isinstance(digests.get(role), str) for role in wanted
    ):
        found.append(f"{MANIFEST}: {DIGESTS} lacks a digest of {shortlist(sorted(wanted))}")
        return {}
    if digests["manifest"] != manifest_digest(manifest):
        found.append(
            f"{MANIFEST} is damaged, or was changed after it was saved: its digest is another one. "
            f"Take it from its source again; after a change by hand, take {ANNOUNCED} and "
            f"{DIGESTS} out"
        )
    return digests


def manifest_digest(manifest: dict[str, Any]) -> str:
    """The digest of a manifest without the entry of that digest."""
    others = {role: digest for role, digest in manifest[DIGESTS].items() if role != "manifest"}
    return documents.digest_of_value(manifest | {DIGESTS: others})


def paths_of(folder: Path, files: Any, found: list[str], root: Path) -> dict[str, Path]:
    """Paths of the other files, of those names that are valid and do not leave ``root``."""
    if not isinstance(files, dict):
        found.append(f"{MANIFEST}: files is not an object")
        return {}
    paths: dict[str, Path] = {}
    for role in (*FILES, *({"background"} & set(files))):
        fault = path_fault(folder, role, files.get(role), root)
        if fault is not None:
            found.append(fault)
        elif not (folder / files[role]).is_file():
            found.append(f"{files[role]} is missing")
        else:
            paths[role] = folder / files[role]
    return paths
