"""Export to JAX: the whole model as a StableHLO program, which runs with jax alone.

The file is a zip archive. ``model.stablehlo`` is what `jax.export` serialises: a function from the
padded arrays of a batch, for any number of sequences and steps, to ``scores`` and, where the model
has labels, their numbers, ``labels``; or of a model that writes sequences to what
`birnn.jax.decoder.Written` names. The parameters are in it, and it is lowered for CPU, CUDA, ROCm
and TPU. ``model.json`` says what the model is, what it takes, and what its numbers stand for.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from birnn.bundle import Bundle
from birnn.errors import ConversionError
from birnn.export.description import description
from birnn.export.feeds import (
    WRITTEN,
    Array,
    Fed,
    answers_of,
    fed,
    feeds,
    targets_of,
    unpadded,
    with_offset,
)
from birnn.jax import from_bundle
from birnn.runtime.search import Hypothesis

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
PROGRAM, DESCRIPTION = "model.stablehlo", "model.json"
# Axes of the arrays that are not (sequences, steps).
AXES = {
    "lengths": "sequences",
    "longest": "sequences",
    "characters": "sequences, steps, characters",
    "features": "sequences, steps, {}",
    "vectors": "sequences, steps, {}",
}


def write(bundle: Bundle, path: Path) -> None:
    """Write the program and its description."""
    model, params = from_bundle(bundle)

    def function(given: Mapping[str, Any]) -> dict[str, Any]:
        if bundle.spec.head.searches:
            return model.write(params, given)._asdict()
        scores = model(params, given)
        if not bundle.spec.head.has_labels:
            return {"scores": scores}
        return {"scores": scores, "labels": model.decode(params, scores, given["lengths"])}

    with jax.enable_x64(False):
        takes = _shapes(bundle)
        program = jax.export.export(jax.jit(function), platforms=PLATFORMS)(takes)
        serialised = program.serialize()
    told = {
        **description(bundle),
        "takes": {name: [str(a.dtype), list(map(str, a.shape))] for name, a in takes.items()},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PROGRAM, bytes(serialised))
        archive.writestr(DESCRIPTION, json.dumps(told))


def _shapes(bundle: Bundle) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and dtype of each array, with names for the axes of any length."""
    scope = jax.export.SymbolicScope()
    return {
        name: jax.ShapeDtypeStruct(  # type: ignore[no-untyped-call]
            jax.export.symbolic_shape(
                AXES.get(name, "sequences, steps").format(array.shape[-1]), scope=scope
            ),
            array.dtype,
        )
        for name, array in _narrow(feeds(bundle, [()])).items()
    }


def _narrow(given: Mapping[str, Array]) -> dict[str, Array]:
    """Numbers as JAX has them by default: int32 and float32."""
    return {
        name: array.astype(np.int32 if array.dtype.kind == "i" else np.float32)
        for name, array in given.items()
    }


class Program:
    """An exported file at work in JAX.

    Args:
        path: The file.
        bundle: The model it was made of.

    Raises:
        ConversionError: It is no such file, or was written for another version of JAX.
    """

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self._bundle = bundle
        try:
            with zipfile.ZipFile(path) as archive:
                program = jax.export.deserialize(bytearray(archive.read(PROGRAM)))
        except OSError:
            raise
        except Exception as error:  # of bytes of another kind readers raise what they come across
            raise ConversionError(
                f"{path} is no program that jax {jax.__version__} reads ({error}). "
                "Export the model again."
            ) from None
        self._run = jax.jit(program.call)

    def __call__(self, sequences: Sequence[Any]) -> list[Array]:
        """Scores of each sequence."""
        given, found = self._found(sequences)
        scores = with_offset(self._bundle, found["scores"])
        return unpadded(self._bundle, scores, given.arrays["lengths"], given.asked)

    def answers(self, sequences: Sequence[Any]) -> list[Any]:
        """Answers of each sequence, decoded by the program itself."""
        given, found = self._found(sequences)
        labels = np.asarray(found["labels"])
        return answers_of(self._bundle, labels, given.arrays["lengths"], given.asked)

    def write(self, sequences: Sequence[Any]) -> list[Hypothesis]:
        """The target of each sequence, of a model that writes sequences."""
        _, found = self._found(sequences)
        return targets_of(self._bundle, *(np.asarray(found[name]) for name in WRITTEN))

    def _found(self, sequences: Sequence[Any]) -> tuple[Fed, dict[str, Any]]:
        given = fed(self._bundle, sequences)
        found: dict[str, Any] = self._run(_narrow(given.arrays))
        return given, found


load = Program
