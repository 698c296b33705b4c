"""The layers of a Keras model as one chain, from its config.

What birnn's models have side by side becomes one layer of the chain: poolings that are
concatenated, the final states of two halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from birnn.errors import ConversionError
from birnn.foreign.layers import PoolName

Config = Mapping[str, Any]

RECURRENT = ("LSTM", "GRU", "SimpleRNN")
OWN = "own"  # before the class of a layer that is none of Keras'
POOLS: dict[str, PoolName] = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "mean"}


def chain(config: Config) -> Iterator[tuple[str, Config]]:
    """Class and config of each layer, in order."""
    if "layers" not in config and isinstance(config.get("config"), Mapping):
        refuse_own_class(config)
        config = config["config"]
    layers = config.get("layers")
    if not isinstance(layers, list):
        raise ConversionError(
            "the config has no list of layers: only Sequential and functional models can be read."
        )
    if any("inbound_nodes" in layer for layer in layers):
        layers = _in_order(config, layers)
    for layer in layers:
        own = layer.get("config")
        kind = layer.get("class_name")
        if not isinstance(kind, str) or not isinstance(own, Mapping):
            raise ConversionError(f"the config has a layer without class or config: {layer!r:.100}")
        if not _is_keras_own(layer):
            kind = f"{OWN} {layer.get('registered_name') or kind}"
        yield kind, {"name": layer.get("name")} | dict(own)


def refuse_own_class(model: Config) -> None:
    """Refuse a model whose class somebody wrote.

    Args:
        model: Its class_name, module and registered_name, as Keras writes them.

    Raises:
        ConversionError: It is none of Keras'.

    Example:
        >>> refuse_own_class({"module": "keras", "class_name": "Sequential"})
    """
    if not _is_keras_own(model):
        raise ConversionError(
            f"the model is of a class {model['class_name']} of its own, whose code says what it "
            "does with its layers; birnn runs none. Build it of the same layers as a functional "
            "model, keras.Model(inputs, outputs), and give that its weights."
        )


def _is_keras_own(described: Config) -> bool:
    """Whether a layer is of a class of Keras, not of somebody's class that has such a name."""
    module, registered = described.get("module", "keras"), described.get("registered_name")
    return str(module).split(".")[0] == "keras" and registered in (None, described["class_name"])


def _in_order(config: Config, layers: list[Any]) -> list[Any]:
    """The layers of a functional model from its input to its output, which must be one chain.

    Poolings side by side, which one layer concatenates, are the one exception.
    """
    named = {layer["config"]["name"]: layer for layer in layers}
    ends = _names(config.get("output_layers"))
    if len(ends) != 1:
        raise ConversionError(f"the model has {len(ends)} outputs, birnn's have one.")
    order: list[Any] = []
    at: str | None = ends[0]
    while at is not None:
        layer = named[at]
        read = list(dict.fromkeys(_below(layer)))
        below = list(dict.fromkeys(name for name, _ in read))
        if any(number for _, number in read):
            # What stands before it gives its final states alone, as it was not asked for rows.
            named |= _finals(layer, read, named)
            layer = None if layer["class_name"] == "Concatenate" else layer
        elif layer["class_name"] == "Concatenate" and len(below) > 1:
            layer, below = _pools(layer, [named[name] for name in below])
        order += [] if layer is None else [layer]
        if len(order) > len(layers):
            raise ConversionError("the layers of the model are a circle.")
        if len(below) > 1:
            raise ConversionError(
                f"{at}: it reads {len(below)} layers ({', '.join(below)}), birnn's models are "
                "chains of layers."
            )
        at = below[0] if below else None
    return order[::-1]


def _names(ends: Any) -> list[str]:
    """Names of layers, of ``[name, 0, 0]`` or a list of such."""
    if isinstance(ends, list) and ends and isinstance(ends[0], str):
        return [ends[0]]
    return [end[0] for end in ends or []]


def _below(layer: Config) -> Iterator[tuple[str, int]]:
    """Layers that a layer reads, and which of their outputs; not a mask that is passed beside."""

    def tensors(value: Any) -> Iterator[tuple[str, int]]:
        if isinstance(value, Mapping):
            if value.get("class_name") == "__keras_tensor__":
                name, _, number = value["config"]["keras_history"]
                yield name, number
            else:
                for inner in value.values():
                    yield from tensors(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from tensors(inner)

    for node in layer.get("inbound_nodes") or []:
        named = node.get("kwargs") if isinstance(node, Mapping) else None
        for key, value in (named or {}).items():
            computed = [] if key == "mask" else [name for name, _ in tensors(value)]
            if computed:
                raise ConversionError(
                    f"{layer['config']['name']}: it is called with {key}, which "
                    f"{', '.join(computed)} computes. birnn's layers read the rows alone, and "
                    "begin at zero."
                )
        yield from tensors(node.get("args") if isinstance(node, Mapping) else node)


def _pools(layer: Config, below: Sequence[Config]) -> tuple[Any, list[str]]:
    """Poolings side by side as one layer, and what they read."""
    kinds = [each["class_name"] for each in below]
    if not set(kinds) <= set(POOLS):
        names = ", ".join(each["config"]["name"] for each in below)
        raise ConversionError(
            f"{layer['config']['name']}: it concatenates {names}, birnn concatenates poolings of "
            "the same rows alone."
        )
    own = {"name": layer["config"]["name"], "parts": [POOLS[kind] for kind in kinds]}
    read = dict.fromkeys(name for each in below for name, _ in _below(each))
    return {"class_name": "Concatenate", "config": own}, list(read)


def _finals(
    layer: Config, read: Sequence[tuple[str, int]], named: Mapping[str, Any]
) -> dict[str, Any]:
    """The recurrent layer whose final states a layer reads, as one that gives nothing else.

    Raises:
        ConversionError: They are other states than h of each half, in their order.
    """
    name = read[0][0]
    recurrent = named[name]
    own = dict(recurrent["config"])
    halves = 2 if recurrent["class_name"] == "Bidirectional" else 1
    kind = own["layer"]["class_name"] if halves == 2 else recurrent["class_name"]
    wanted = [(name, 1), (name, 3 if kind == "LSTM" else 2)][:halves]
    joined = layer["class_name"] == "Concatenate" or halves == 1
    if kind not in RECURRENT or list(read) != wanted or not joined:
        outputs = ", ".join(f"output {number} of {of}" for of, number in read)
        raise ConversionError(
            f"{layer['config']['name']}: it reads {outputs}. Of states birnn's models read the "
            "final h of each half, concatenated."
        )
    if halves == 1:
        return {name: recurrent | {"config": own | {"return_sequences": False}}}
    for half in ("layer", "backward_layer"):
        if own.get(half):
            config = own[half]["config"] | {"return_sequences": False}
            own[half] = own[half] | {"config": config}
    return {name: recurrent | {"config": own | {"merge_mode": "concat"}}}
