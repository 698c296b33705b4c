"""Export to Keras: the model of `birnn.keras.to_keras` as a `.keras` file, with its vocabularies.

A `.keras` file is a zip archive. To the entries of Keras one is added, `birnn.json`: the spec, the
vocabularies and the tensors that no layer holds, such as a CRF's. Keras reads past it, and needs
nothing of birnn to open the file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle import Bundle, documents, faults
from birnn.bundle.checks import spec_faults, summary
from birnn.errors import ConversionError, FormatError
from birnn.export.feeds import Array, feeds, unpadded
from birnn.keras.backend import load_keras
from birnn.keras.model import to_keras
from birnn.keras.weights import ENTRY, placements, unplaced


def check_installed() -> None:
    """Refuse a Keras that is not installed, or has no backend.

    Raises:
        MissingExtra: It is so.
    """
    load_keras()


def write(bundle: Bundle, path: Path) -> None:
    """Write the file."""
    described = {
        "spec": bundle.spec.model_dump(mode="json"),
        "vocabularies": {name: list(items) for name, items in bundle.vocabularies.items()},
        "tensors": {name: bundle.tensors[name].tolist() for name in unplaced(bundle.spec)},
    }
    to_keras(bundle).save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ENTRY, documents.written(described))


def restored(
    described: Mapping[str, Any], weights: Mapping[str, list[Array]], where: str
) -> Bundle:
    """The bundle that a file was exported from.

    Args:
        described: The object in `birnn.json`.
        weights: Of each layer its arrays, as `birnn.importing.keras_file` reads them.
        where: Name of the file in messages.

    Raises:
        FormatError: Something is missing or was changed.
    """
    spec, found = spec_faults(described.get("spec"))
    vocabularies, tensors = described.get("vocabularies"), described.get("tensors")
    if spec is None or not isinstance(vocabularies, dict) or not isinstance(tensors, dict):
        found = found or [f"{ENTRY} lacks vocabularies or tensors"]
        raise FormatError(f"{where}: {summary(found)}")
    try:
        held = {name: np.asarray(tensors[name], np.float32) for name in unplaced(spec)}
        for placement in placements(spec):
            held |= placement.back(weights[placement.layer])
    except KeyError as error:
        raise FormatError(f"{where}: it lacks {error}. Export the bundle anew.") from None
    except (ValueError, IndexError, ConversionError) as error:  # ShapeError is a ValueError
        raise FormatError(f"{where}: {error}") from None
    items = {name: tuple(each) for name, each in vocabularies.items() if isinstance(each, list)}
    bundle = Bundle(spec, items, {n: held[n].astype(np.float32) for n in spec.tensors()})
    if found := faults(bundle):
        raise FormatError(f"{where}: {summary(found)}")
    return bundle


class Opened:
    """An exported file at work in Keras.

    Args:
        path: The file.
        bundle: The model it was made of.
    """

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self._keras = load_keras()
        self._model = self._keras.saving.load_model(path, compile=False)
        self._bundle = bundle

    def __call__(self, sequences: Sequence[Any]) -> list[Array]:
        """Scores of each sequence."""
        given = feeds(self._bundle, sequences)
        padded = self._keras.ops.convert_to_numpy(self._model(given, training=False))
        scores = unpadded(self._bundle, padded, given["lengths"])
        offset = getattr(self._bundle.spec.head, "offset", ())
        return [each.astype(np.float64) + offset for each in scores] if offset else scores


load = Opened
