"""Export to Keras: the model of `birnn.keras.to_keras` as a `.keras` file, with its vocabularies.

A `.keras` file is a zip archive. To the entries of Keras one is added, `birnn.json`: the spec, the
vocabularies and the tensors that no layer holds, such as a CRF's. Keras reads past it, and needs
nothing of birnn to open the file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle import Bundle, documents
from birnn.export.feeds import Array, feeds, unpadded
from birnn.keras.backend import load_keras
from birnn.keras.model import to_keras
from birnn.keras.weights import ENTRY, unplaced


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
