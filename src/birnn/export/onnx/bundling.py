"""The bundle that an ONNX file was exported from, of its weights and metadata."""

from __future__ import annotations

from collections.abc import Mapping

from birnn.bundle.conventions import LayerArrays, convention, layers_back
from birnn.bundle.io import Bundle
from birnn.bundle.spec import Spec
from birnn.export.description import described_bundle, from_metadata
from birnn.export.feeds import Array
from birnn.export.onnx.decoder import DECODER
from birnn.reference.stack import Stack
from birnn.tasks import TargetSequence


def bundle_from(weights: Mapping[str, Array], metadata: Mapping[str, str], where: str) -> Bundle:
    """The bundle, with the very tensors that were exported.

    Args:
        weights: Constants of the graph by their names.
        metadata: What the file keeps beside it, see `birnn.export.onnx.metadata_of`.
        where: Name of the file in messages.

    Raises:
        FormatError: Something is missing or was changed.
    """

    def tensors(spec: Spec) -> dict[str, Array]:
        held = {name: weights[name] for name in spec.tensors() if name in weights}
        for prefix, stack in _stacks(spec).items():
            held |= _parameters(weights, prefix, stack)
        return held

    return described_bundle(from_metadata(metadata, where), tensors, where)


def _stacks(spec: Spec) -> dict[str, Stack]:
    """The recurrent stacks of a model by the prefix of their parameters."""
    characters = getattr(spec.inputs, "characters", None)
    spelling = {} if characters is None else {"inputs.characters.encoder.": characters.stack}
    decoder = {}
    if isinstance(spec.head, TargetSequence):
        decoder = {DECODER: spec.head.decoder_stack}
    return spelling | {"encoder.": spec.stack} | decoder


def _parameters(weights: Mapping[str, Array], prefix: str, stack: Stack) -> dict[str, Array]:
    """The parameters of a stack by the names of the bundle."""
    names = [array.name for array in convention("onnx", stack.cell).arrays]
    layers = []
    for layer in range(stack.num_layers):
        own = {name: weights[f"{prefix}layer_{layer}.{name}"] for name in names}
        directions = min(len(array) if array.ndim else 0 for array in own.values())
        halves = tuple({name: a[k] for name, a in own.items()} for k in range(directions))
        merge = None
        if stack.projects(layer):
            parts = (f"{prefix}merge_l{layer}.{part}" for part in ("weight", "bias"))
            merge = {name: weights[part] for name, part in zip(("B", "C"), parts, strict=True)}
        layers.append(LayerArrays(halves, merge))
    found = layers_back("onnx", stack, layers)
    return {f"{prefix}{name}": array for name, array in found.items()}
