"""From the layers of a foreign model, and what comes beside it, to a bundle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from birnn.bundle import Bundle, faults
from birnn.bundle.checks import summary
from birnn.errors import ConversionError, UsageError
from birnn.foreign.assembly import assemble
from birnn.foreign.layers import Embedding, Layer
from birnn.foreign.vocabulary import Beside, Items, reordered
from birnn.inputs import Symbols

OF_ITEMS = ("vocabulary", "inputs", "unknown", "padding", "lowercase")


# Weights that are no finite numbers are refused by name at the end.
@np.errstate(all="ignore")
def bundle_of(
    layers: Sequence[Layer], beside: Beside, notices: list[str], *, where: str = "the model"
) -> Bundle:
    """The bundle that the layers of a foreign model are.

    Args:
        layers: The layers, in the order in which data passes through them.
        beside: What comes beside them.
        notices: Receives what was guessed and done, a line each.
        where: The model, for messages.

    Raises:
        ConversionError: A layer that has no counterpart; vocabulary or labels of another size.
        ShapeError: Shapes that disagree.
        UsageError: Vocabulary or labels that are missing, or have no use.
    """
    assembled = assemble(layers, task=beside.task)
    notices += assembled.notices
    spec, tensors = assembled.spec, dict(assembled.tensors)
    if beside.task not in (None, spec.task):
        raise ConversionError(
            f"{where}: it is said to be a {beside.task}, but its layers are those of a {spec.task}."
        )
    vocabularies: dict[str, tuple[str, ...]] = {}
    if isinstance(spec.inputs, Symbols):
        if beside.vocabulary is None:
            raise UsageError(
                f"{where}: its embedding has {spec.inputs.size:,} vectors, and which items they "
                "belong to is not in it. Give the vocabulary."
            )
        found = reordered(
            Items.of(beside.vocabulary, "vocabulary"),
            tensors.pop("inputs.symbols.weight"),
            padded=any(isinstance(layer, Embedding) and layer.padded for layer in layers),
            kind=beside.inputs,
            unknown=beside.unknown,
            padding=beside.padding,
            lowercase=beside.lowercase,
            notices=notices,
        )
        kind = found.inputs.kind
        spec = spec.model_copy(update={"inputs": found.inputs})
        tensors[f"inputs.{kind}.weight"] = found.table.astype(np.float32)
        vocabularies[kind] = found.items
    elif given := [name for name in OF_ITEMS if getattr(beside, name) is not None]:
        raise UsageError(f"{where}: the model reads vectors, it has no use for {', '.join(given)}.")
    if spec.head.has_labels:
        if beside.labels is None:
            raise UsageError(
                f"{where}: the model has {spec.head.size:,} labels, and their names are not in it. "
                "Give the labels."
            )
        labels = Items.of(beside.labels, "labels")
        vocabularies["labels"] = labels.complete(spec.head.size, "labels")
    elif beside.labels is not None:
        raise UsageError(f"{where}: a regressor has no use for labels.")
    bundle = Bundle(spec, vocabularies, {name: tensors[name] for name in spec.tensors()})
    if found_faults := faults(bundle):
        raise ConversionError(f"{where}: {summary(found_faults)}")
    return bundle
