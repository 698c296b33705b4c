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

from birnn.bundle import Bundle, documents
from birnn.bundle.spec import Spec
from birnn.errors import FormatError
from birnn.export.description import described_bundle, description
from birnn.export.feeds import Array, fed, unpadded, with_offset
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
    """Write the file.

    Raises:
        ConversionError: A model that writes sequences.
    """
    model = to_keras(bundle)
    tensors = {name: bundle.tensors[name].tolist() for name in unplaced(bundle.spec)}
    model.save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ENTRY, documents.written({**description(bundle), "tensors": tensors}))


def bundle_from(
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

    def tensors(spec: Spec) -> dict[str, Array]:
        kept = described.get("tensors")
        if not isinstance(kept, dict):
            raise FormatError(f"{where}: {ENTRY} lacks tensors. Export the bundle anew.")
        held = {name: np.asarray(kept[name], np.float32) for name in unplaced(spec)}
        for placement in placements(spec):
            held |= placement.back(weights[placement.layer])
        return {name: held[name].astype(np.float32) for name in spec.tensors()}

    return described_bundle(described, tensors, where)


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
        given, asked = fed(self._bundle, sequences)
        scores = self._keras.ops.convert_to_numpy(self._model(given, training=False))
        return unpadded(self._bundle, with_offset(self._bundle, scores), given["lengths"], asked)


load = Opened
