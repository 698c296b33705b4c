"""Export to PyTorch: the ``state_dict`` of a plain model, as safetensors.

Its metadata holds the spec, the vocabularies and, for a tag scheme, which tags may follow which,
each as JSON; `birnn.export.plain_torch` is the model, which needs nothing else of birnn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from birnn.bundle import Bundle, documents, faults
from birnn.bundle.checks import spec_faults, summary
from birnn.errors import FormatError
from birnn.export.feeds import Array, feeds, unpadded

# From the names of a bundle's tensors to those of the plain model.
_NAMES = (
    (r"^inputs\.(words|symbols)\.weight$", r"inputs.vectors.weight"),
    (r"^inputs\.characters\.symbols\.", r"inputs.characters."),
    (r"^inputs\.characters\.encoder\.", r"inputs.spelling."),
    (r"^inputs\.surface\.", r"inputs.features."),
    (r"^(encoder|inputs\.spelling)\.(\w+)_l(\d+)((?:_reverse)?)$", r"\1.layers.\3.\2_l0\4"),
    (r"^encoder\.merge_l(\d+)\.", r"encoder.merges.\1."),
    (r"^head\.attention\.query$", r"head.query.weight"),
    (r"^head\.hidden_(\d+)\.", r"head.hidden.\1."),
    (r"^head\.crf\.", r"crf."),
)


def plain_name(name: str) -> str:
    """The plain model's name of a tensor.

    Example:
        >>> plain_name("encoder.weight_ih_l1_reverse")
        'encoder.layers.1.weight_ih_l0_reverse'
        >>> plain_name("inputs.characters.encoder.bias_hh_l0")
        'inputs.spelling.layers.0.bias_hh_l0'
    """
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def state_dict(bundle: Bundle) -> dict[str, Array]:
    """The tensors of a bundle by the plain model's names, float32."""
    tensors = {plain_name(name): np.array(value) for name, value in bundle.tensors.items()}
    if "head.query.weight" in tensors:
        tensors["head.query.weight"] = tensors["head.query.weight"][None, :]
    return tensors


def write(bundle: Bundle, path: Path) -> None:
    """Write the plain model's ``state_dict``."""
    metadata = {
        "spec": bundle.spec.model_dump(mode="json"),
        "vocabularies": {name: list(items) for name, items in bundle.vocabularies.items()},
        "allowed": _allowed(bundle),
    }
    told = {name: json.dumps(value) for name, value in metadata.items()}
    safetensors.numpy.save_file(state_dict(bundle), path, metadata=told)


def restored(arrays: Mapping[str, Array], metadata: Mapping[str, str], where: str) -> Bundle:
    """The bundle that a file was made of.

    Args:
        arrays: The plain model's tensors.
        metadata: What `write` put beside them.
        where: The file, for messages.

    Raises:
        FormatError: Something is missing or was changed.
    """
    found: list[str] = []
    described = {
        name: documents.parse(metadata[name].encode(), name, found)
        for name in ("spec", "vocabularies")
    }
    spec, wrong = (None, []) if found else spec_faults(described["spec"])
    if spec is None:
        raise FormatError(f"{where}: {summary(found + wrong)}")
    tensors = {
        name: np.array(arrays[plain_name(name)], np.float32)
        for name in spec.tensors()
        if plain_name(name) in arrays
    }
    if "head.attention.query" in tensors:
        tensors["head.attention.query"] = tensors["head.attention.query"].reshape(-1)
    held = described["vocabularies"].items()
    vocabularies = {name: tuple(items) if isinstance(items, list) else () for name, items in held}
    bundle = Bundle(spec, vocabularies, tensors)
    if found := faults(bundle):
        raise FormatError(f"{where}: is not what birnn exported: {summary(found)}")
    return bundle


def _allowed(bundle: Bundle) -> dict[str, Any]:
    """Which tags may follow which, begin and end a sequence; none where all may."""
    constraints = getattr(bundle.spec.head, "constraints", None)
    masks = constraints(bundle.vocabularies["labels"]) if constraints else None
    if masks is None:
        return {}
    names = ("transitions", "start", "end")
    return {name: mask.tolist() for name, mask in zip(names, masks, strict=True)}


class Plain:
    """An exported file at work in PyTorch.

    Args:
        path: The file.
        bundle: The model it was made of.
    """

    def __init__(self, path: Path, bundle: Bundle) -> None:
        from birnn.export import plain_torch

        self._bundle = bundle
        self._model = plain_torch.load(path)

    def __call__(self, sequences: Sequence[Any]) -> list[Array]:
        """Scores of each sequence."""
        given, scores = self._run(sequences)
        return unpadded(self._bundle, scores.numpy(), given["lengths"])

    def answers(self, sequences: Sequence[Any]) -> list[Any]:
        """Answers of each sequence, decoded by the plain model itself."""
        import torch

        given, scores = self._run(sequences)
        decoded = self._model.decode(scores, torch.from_numpy(given["lengths"])).numpy()
        lengths, labels = given["lengths"], self._bundle.vocabularies["labels"]
        if self._bundle.spec.head.per_step:
            decoded = decoded[np.arange(decoded.shape[1]) < lengths[:, None]]
        return self._bundle.spec.head.answers_of(decoded, lengths, labels)

    def _run(self, sequences: Sequence[Any]) -> tuple[Mapping[str, Array], Any]:
        import torch

        given = feeds(self._bundle, sequences)
        with torch.no_grad():
            scores = self._model(**{name: torch.from_numpy(a) for name, a in given.items()})
        return given, scores


load = Plain
