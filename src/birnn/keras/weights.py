"""Which layer of a Keras model holds which tensors of a bundle, both ways."""

# D inputs, H hidden units, G gate rows, V items, A hidden units of the attention

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.conventions import convention, direction
from birnn.bundle.framework_arrays import PARTS, Convention
from birnn.bundle.spec import Spec
from birnn.reference.stack import Stack

Array = npt.NDArray[Any]

ENTRY = "birnn.json"
"""The entry of a `.keras` file that holds what Keras does not keep of a bundle."""

Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Placement:
    """The tensors of one layer.

    Args:
        layer: Name of the layer.
        tensors: Their names.
        to: From the model's tensors to the layer's weights, in the order of Keras.
        back: From the layer's weights to tensors by name.
    """

    layer: str
    tensors: tuple[str, ...]
    to: Callable[[Tensors], list[Array]]
    back: Callable[[list[Array]], dict[str, Array]]


def set_weights(model: Any, placed: Iterable[Placement], tensors: Tensors) -> None:
    """Set the weights of a Keras model."""
    for placement in placed:
        model.get_layer(placement.layer).set_weights(placement.to(tensors))


def weights_of(model: Any, placed: Iterable[Placement]) -> dict[str, Array]:
    """The weights of a Keras model as tensors by name."""
    found: dict[str, Array] = {}
    for placement in placed:
        weights = model.get_layer(placement.layer).get_weights()
        found |= placement.back([np.asarray(weight) for weight in weights])
    return found


def placements(spec: Spec) -> list[Placement]:
    """Every layer of a model with weights.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(num_layers=2), head=Tags(size=2)
        ... )
        >>> [placement.layer for placement in placements(spec)]
        ['symbols_vectors', 'encoder_l0', 'encoder_l1', 'scores']
    """
    names = spec.tensors()
    placed = [_table(layer, tensor) for tensor, layer in TABLES.items() if tensor in names]
    characters = getattr(spec.inputs, "characters", None)
    if characters is not None:
        placed += stack_placements(characters.stack, "inputs.characters.encoder.", "characters")
    placed += stack_placements(spec.stack, "encoder.", "encoder")
    hidden = {f"head.{name}": name for name in spec.head.scored("a Keras model").hidden_layers}
    placed += [
        _linear(layer, tensor)
        for tensor, layer in (DENSE | hidden | {"head.linear": "scores"}).items()
        if f"{tensor}.weight" in names
    ]
    if QUERY in names:
        placed.append(_query("attention_query", QUERY))
    return placed


def unplaced(spec: Spec) -> list[str]:
    """Tensors that no layer holds: of a CRF, and mean and scale, which layers have as settings.

    Example:
        >>> from birnn.bundle import Encoder, Vectors, Values
        >>> unplaced(Spec(inputs=Vectors(size=3), encoder=Encoder(), head=Values(size=1)))
        ['inputs.mean', 'inputs.scale', 'head.mean', 'head.scale']
    """
    held = {name for placement in placements(spec) for name in placement.tensors}
    return [name for name in spec.tensors() if name not in held]


TABLES = {
    "inputs.words.weight": "words_vectors",
    "inputs.characters.symbols.weight": "characters_vectors",
    "inputs.surface.weight": "features_vectors",
    "inputs.symbols.weight": "symbols_vectors",
}
DENSE = {"inputs.dense": "dense", "head.attention": "attention"}
QUERY = "head.attention.query"


def stack_placements(stack: Stack, prefix: str, layer: str) -> Iterator[Placement]:
    """The recurrent layers of a stack, and the projections that merge their halves.

    Args:
        stack: Settings of the stack.
        prefix: Of the names of its tensors, with its dot.
        layer: The layers' names without their number.
    """
    for number in range(stack.num_layers):
        ends = [f"l{number}{suffix}" for suffix in stack.suffixes(number)]
        yield _recurrent(f"{layer}_l{number}", convention("keras", stack.cell), prefix, ends)
        if stack.projects(number):
            yield _linear(f"{layer}_merge_l{number}", f"{prefix}merge_l{number}")


def _recurrent(layer: str, keras: Convention, prefix: str, ends: list[str]) -> Placement:
    names = [array.name for array in keras.arrays]
    own_names = tuple(f"{prefix}{part}_{end}" for end in ends for part in PARTS)

    def to(tensors: Tensors) -> list[Array]:
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        halves = [keras.to(direction(own, end)) for end in ends]
        return [half[name] for half in halves for name in names]

    def back(weights: list[Array]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for number, end in enumerate(ends):
            own = weights[number * len(names) : (number + 1) * len(names)]
            half = keras.back(dict(zip(names, own, strict=True)), where=layer)
            found |= {f"{prefix}{part}_{end}": half[part] for part in PARTS}
        return found

    return Placement(layer, own_names, to, back)


def _linear(layer: str, tensor: str) -> Placement:
    keras, weight, bias = convention("keras", "linear"), f"{tensor}.weight", f"{tensor}.bias"
    names = [array.name for array in keras.arrays]

    def to(tensors: Tensors) -> list[Array]:
        arrays = keras.to({"weight": tensors[weight], "bias": tensors[bias]})
        return [arrays[name] for name in names]

    def back(weights: list[Array]) -> dict[str, Array]:
        found = keras.back(dict(zip(names, weights, strict=True)), where=layer)
        return {weight: found["weight"], bias: found["bias"]}

    return Placement(layer, (weight, bias), to, back)


def _table(layer: str, tensor: str) -> Placement:
    return Placement(
        layer, (tensor,), lambda tensors: [tensors[tensor]], lambda weights: {tensor: weights[0]}
    )


def _query(layer: str, tensor: str) -> Placement:
    # A vector (A,), which Keras has as a linear layer to one unit without bias: (A, 1).
    return Placement(
        layer,
        (tensor,),
        lambda tensors: [tensors[tensor][:, None]],
        lambda weights: {tensor: weights[0][:, 0]},
    )
