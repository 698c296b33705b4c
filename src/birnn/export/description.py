"""What an exported file says of the bundle it was made of, and that bundle from the file.

Spec, vocabularies, and how the model was trained and what it reached, as JSON values. Where a
format keeps texts by their names (safetensors, ONNX) each is a JSON text, under ``birnn.spec``,
``birnn.vocabularies``, ``birnn.metadata`` and ``birnn.metrics``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from birnn.bundle import Bundle, documents, faults
from birnn.bundle.checks import spec_faults, summary
from birnn.bundle.spec import Spec
from birnn.errors import ConversionError, FormatError
from birnn.export.feeds import Array

PREFIX = "birnn."
NEEDED = ("spec", "vocabularies")
RECORDS = ("metadata", "metrics")


def description(bundle: Bundle) -> dict[str, Any]:
    """What a bundle is, beside its tensors, as JSON values by their names."""
    return identity(bundle) | {name: documents.plain(getattr(bundle, name)) for name in RECORDS}


def identity(bundle: Bundle) -> dict[str, Any]:
    """The spec and the vocabularies of a bundle, which say what its model computes."""
    return {
        "spec": bundle.spec.model_dump(mode="json"),
        "vocabularies": {name: list(items) for name, items in bundle.vocabularies.items()},
    }


def as_metadata(values: Mapping[str, Any]) -> dict[str, str]:
    """JSON values as the metadata of a file: JSON texts in ASCII.

    Example:
        >>> as_metadata({"spec": {"task": "tagger"}})
        {'birnn.spec': '{"task": "tagger"}'}
    """
    return {f"{PREFIX}{name}": json.dumps(value) for name, value in values.items()}


def is_described(metadata: Mapping[str, str]) -> bool:
    """Whether a file with this metadata was exported by birnn."""
    return f"{PREFIX}spec" in metadata


def from_metadata(metadata: Mapping[str, str], where: str) -> dict[str, Any]:
    """What `description` gave as JSON values, from the metadata of a file.

    Files written before these were kept have no ``birnn.metadata`` and ``birnn.metrics``.

    Args:
        metadata: The texts.
        where: Name of the file in messages.

    Raises:
        FormatError: One is missing, or no JSON.
    """
    found: list[str] = []
    texts = {name: metadata.get(f"{PREFIX}{name}", "") for name in NEEDED}
    texts |= {name: metadata.get(f"{PREFIX}{name}", "{}") for name in RECORDS}
    values = {
        name: documents.parse(text.encode(), f"{PREFIX}{name}", found)
        for name, text in texts.items()
    }
    if found:
        raise FormatError(f"{where}: {summary(found)}")
    return values


def described_bundle(
    described: Mapping[str, Any],
    tensors: Callable[[Spec], Mapping[str, Array]],
    where: str,
) -> Bundle:
    """The bundle that a file was exported from.

    Args:
        described: What `description` gave, as the file holds it.
        tensors: Gives the bundle's tensors by their names, from the arrays of the file.
        where: Name of the file in messages.

    Raises:
        FormatError: Something is missing or was changed.
    """
    spec, found = spec_faults(described.get("spec"))
    if spec is None:
        raise FormatError(f"{where}: {summary(found)}")
    vocabularies = described.get("vocabularies")
    if not isinstance(vocabularies, dict):
        raise FormatError(f"{where}: vocabularies are missing. Export the bundle anew.")
    records = {name: described.get(name, {}) for name in RECORDS}
    if wrong := [name for name, value in records.items() if not isinstance(value, dict)]:
        raise FormatError(f"{where}: {wrong[0]} is not a JSON object. Export the bundle anew.")
    try:
        held = tensors(spec)
    except KeyError as error:
        raise FormatError(f"{where}: it lacks {error}. Export the bundle anew.") from None
    except (ValueError, IndexError, ConversionError) as error:  # ShapeError is a ValueError
        raise FormatError(f"{where}: {error}") from None
    items = {n: tuple(each) if isinstance(each, list) else each for n, each in vocabularies.items()}
    bundle = Bundle(spec, items, held, **records)
    if found := faults(bundle):
        raise FormatError(f"{where}: is not what birnn exported: {summary(found)}")
    return bundle
