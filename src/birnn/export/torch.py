"""Export to PyTorch: the ``state_dict`` of a plain model, as safetensors.

Its metadata holds the spec, the vocabularies and, for a tag scheme, which tags may follow which,
each as JSON; `birnn.export.plain_torch` is the model, which needs nothing else of birnn (but
`birnn.export.plain_decoder`, to write sequences).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from birnn.bundle import Bundle
from birnn.bundle.spec import Spec
from birnn.export.description import as_metadata, described_bundle, description, from_metadata
from birnn.export.feeds import Array, Fed, answers_of, fed, targets_of, unpadded
from birnn.runtime.search import Hypothesis
from birnn.tasks.tagger import CRF_PARTS

# Vectors in a bundle, and weights of linear layers to one unit in the plain model.
VECTORS = ("head.attention.query", "head.attention.vector")

# From the names of a bundle's tensors to those of the plain model.
_NAMES = (
    (r"^inputs\.(words|symbols)\.weight$", r"inputs.vectors.weight"),
    (r"^inputs\.characters\.symbols\.", r"inputs.characters."),
    (r"^inputs\.characters\.encoder\.", r"inputs.spelling."),
    (r"^inputs\.surface\.", r"inputs.features."),
    (r"^(encoder|inputs\.spelling)\.(\w+)_l(\d+)((?:_reverse)?)$", r"\1.layers.\3.\2_l0\4"),
    (r"^encoder\.merge_l(\d+)\.", r"encoder.merges.\1."),
    (r"^head\.attention\.query$", r"head.query.weight"),
    (r"^head\.attention\.vector$", r"head.attention.vector.weight"),
    (r"^head\.hidden_(\d+)\.", r"head.hidden.\1."),
    (r"^head\.crf\.", r"crf."),
)


def plain_tensor_name(name: str) -> str:
    """The plain model's name of a tensor.

    Example:
        >>> plain_tensor_name("encoder.weight_ih_l1_reverse")
        'encoder.layers.1.weight_ih_l0_reverse'
        >>> plain_tensor_name("inputs.characters.encoder.bias_hh_l0")
        'inputs.spelling.layers.0.bias_hh_l0'
    """
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def state_dict(bundle: Bundle) -> dict[str, Array]:
    """The tensors of a bundle by the plain model's names, float32."""
    tensors = {plain_tensor_name(name): np.array(value) for name, value in bundle.tensors.items()}
    for name in set(VECTORS) & bundle.tensors.keys():
        tensors[plain_tensor_name(name)] = bundle.tensors[name][None, :]
    return tensors


def write(bundle: Bundle, path: Path) -> None:
    """Write the plain model's ``state_dict``."""
    told = as_metadata({**description(bundle), "allowed": _allowed(bundle)})
    # Not its own writing to a file, whose errors are no OSError, and which nobody else may read.
    path.write_bytes(safetensors.numpy.save(state_dict(bundle), metadata=told))


def bundle_from(arrays: Mapping[str, Array], metadata: Mapping[str, str], where: str) -> Bundle:
    """The bundle that a file was exported from.

    Args:
        arrays: The plain model's tensors.
        metadata: What `write` put beside them.
        where: Name of the file in messages.

    Raises:
        FormatError: Something is missing or was changed.
    """

    def tensors(spec: Spec) -> dict[str, Array]:
        shapes = spec.tensors()
        held = {name: np.array(arrays[plain_tensor_name(name)], np.float32) for name in shapes}
        for name in set(VECTORS) & held.keys():
            held[name] = held[name].reshape(-1)
        return held

    return described_bundle(from_metadata(metadata, where), tensors, where)


def _allowed(bundle: Bundle) -> dict[str, Any]:
    """Which tags may follow which, begin and end a sequence; none where all may."""
    if bundle.spec.head.searches:
        return {}
    head = bundle.spec.head.scored("a plain model of PyTorch")
    masks = head.constraints(bundle.vocabularies.get("labels", ()))
    if masks is None:
        return {}
    return {name: mask.tolist() for name, mask in zip(CRF_PARTS, masks, strict=True)}


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
        return unpadded(self._bundle, scores.numpy(), given.arrays["lengths"], given.asked)

    def answers(self, sequences: Sequence[Any]) -> list[Any]:
        """Answers of each sequence, decoded by the plain model itself."""
        import torch

        given, scores = self._run(sequences)
        lengths = given.arrays["lengths"]
        decoded = self._model.decode(scores, torch.from_numpy(lengths)).numpy()
        return answers_of(self._bundle, decoded, lengths, given.asked)

    def write(self, sequences: Sequence[Any]) -> list[Hypothesis]:
        """The target of each sequence, of a model that writes sequences."""
        written = self._model.write(**_tensors(fed(self._bundle, sequences)))
        return targets_of(self._bundle, *(part.numpy() for part in written))

    def scores_of(self, sequences: Sequence[Any], targets: Sequence[Any]) -> list[Array]:
        """Scores (T + 1, V) of the symbol after each of a target's, and of its first."""
        _, scores = self._run(sequences, targets)
        pairs = zip(scores.numpy(), targets, strict=True)
        return [rows[: len(target) + 1] for rows, target in pairs]

    def _run(
        self, sequences: Sequence[Any], targets: Sequence[Any] | None = None
    ) -> tuple[Fed, Any]:
        import torch

        given = fed(self._bundle, sequences, targets)
        with torch.no_grad():
            return given, self._model(**_tensors(given))


def _tensors(given: Fed) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(array) for name, array in given.arrays.items()}


load = Plain
