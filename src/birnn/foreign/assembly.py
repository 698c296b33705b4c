"""From the layers of a foreign model to the description and tensors of one of birnn.

A model is inputs, a stack of recurrent layers, and a head. What stands between them is folded into
its neighbours where that is the same function: linear layers and batch normalisation into the
linear layer or the recurrent weights that read them, layers on an embedding into its table. What
has no counterpart is refused, with its name.
"""

# V items, D inputs, W width of a row, H hidden units, G gate rows (gates * H), L labels

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import (
    Activation,
    Layer,
    LinearLayer,
    Normalisation,
    Pool,
    RecurrentLayer,
    TrainingOnly,
    Transitions,
    linear_layer,
    wide,
)
from birnn.foreign.sorting import (
    IDENTITY,
    Parts,
    check_width,
    composed,
    no_counterpart,
    sorted_out,
)
from birnn.foreign.stacking import Stacked, stack_of
from birnn.inputs import Symbols, Vectors
from birnn.inputs.vectors import Dense
from birnn.reference.activations import ACTIVATIONS, ActivationName
from birnn.schema import prefixed
from birnn.tasks import Head, Label, Labels, PoolingName, Tags, Values

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Assembled:
    """A model of birnn without its vocabularies.

    Args:
        spec: Its description; an embedding's items are symbols until they are known.
        tensors: Its tensors, float32.
        notices: What was done to make it, a line each.
    """

    spec: Spec
    tensors: dict[str, Array]
    notices: list[str] = field(default_factory=list)


def assemble(layers: Sequence[Layer], *, task: str | None = None) -> Assembled:
    """The model that a list of layers is.

    Args:
        layers: The layers, in the order in which data passes through them.
        task: What it is said to be: of a ``regressor`` scores without a softmax are values and not
            logits, of a ``multilabel`` each score is that of a label on its own; None for what the
            layers show.

    Raises:
        ConversionError: A layer that has no counterpart.
        ShapeError: Shapes that disagree.
    """
    notices: list[str] = []
    dropped = [layer.name for layer in layers if isinstance(layer, TrainingOnly)]
    if dropped:
        notices.append(f"{', '.join(dropped)}: left out, as it acts in training alone")
    parts = sorted_out([layer for layer in layers if not isinstance(layer, TrainingOnly)])
    inputs, tensors, fold = _inputs(parts, notices)
    stack = stack_of(parts.recurrent, inputs.width, fold, notices)
    head, head_tensors = _head(parts, stack, task, notices)
    spec = Spec(inputs=inputs, encoder=stack.encoder, head=head)
    tensors = prefixed("inputs", tensors) | prefixed("encoder", stack.parameters)
    tensors |= prefixed("head", head_tensors)
    narrowed = {name: np.ascontiguousarray(a, dtype=np.float32) for name, a in tensors.items()}
    return Assembled(spec, narrowed, notices)


def _inputs(
    parts: Parts, notices: list[str]
) -> tuple[Symbols | Vectors, dict[str, Array], LinearLayer | None]:
    """The inputs, their tensors, and a linear layer that the first recurrent one takes in."""
    if parts.embedding is not None:
        table = wide(parts.embedding.table)
        for layer in composed(parts.before, "before the recurrent layers"):
            if isinstance(layer, LinearLayer):
                check_width(layer, parts.embedding.name, table.shape[1])
                table = table @ layer.weight.T + layer.bias
            else:
                table = ACTIVATIONS[_activation(layer)](table)
        if parts.before:
            notices.append("layers on the embedding are computed into its table, once")
        return Symbols(size=len(table), dim=table.shape[1]), {"symbols.weight": table}, None
    before = list(parts.before)
    width = _width([*before, parts.recurrent[0][1]])
    mean, scale = np.zeros(width), np.ones(width)
    if before and isinstance(before[0], Normalisation):
        # Exactly what the inputs do with a mean and a scale; the rest is linear.
        first = before[0]
        mean, scale = first.mean, first.deviation
        before[0] = LinearLayer(first.name, np.diag(first.gamma), first.beta)
        notices.append(f"{first.name}: mean and scale of the channels")
    steps = composed(before, "before the recurrent layers")
    if parts.masking is not None:
        notices.append(
            f"{parts.masking.name}: a sequence has its own length. Leave steps out whose channels "
            f"are all {parts.masking.value:g}, the model does not take them for padding any more"
        )
    dense, tensors = None, {"mean": mean, "scale": scale}
    functions = [layer for layer in steps if isinstance(layer, Activation)]
    if len(functions) > 1:
        raise no_counterpart(functions[1], "a second dense layer", "before the encoder")
    if functions:
        place = steps.index(functions[0])
        below = steps[0] if place else linear_layer(functions[0].name, np.eye(width), None)
        assert isinstance(below, LinearLayer)
        dense = Dense(size=len(below.bias), activation=_activation(functions[0]))
        tensors |= {"dense.weight": below.weight, "dense.bias": below.bias}
        steps = steps[place + 1 :]
    fold = steps[0] if steps and isinstance(steps[0], LinearLayer) else None
    return Vectors(size=width, dense=dense), tensors, fold


def _width(layers: Sequence[Layer]) -> int:
    """Width of the rows that layers read, by the first of them that says it."""
    for layer in layers:
        match layer:
            case RecurrentLayer():
                return layer.input_size
            case LinearLayer():
                return int(layer.weight.shape[1])
            case Normalisation():
                return len(layer.mean)
            case Activation():
                continue
        break
    raise no_counterpart(layer, type(layer).__name__.lower(), "at the inputs")


def _activation(layer: Activation) -> ActivationName:
    """The activation of a dense layer, of those that birnn has."""
    names: tuple[ActivationName, ...] = get_args(ActivationName)
    for name in names:
        if name == layer.function:
            return name
    raise ConversionError(
        f"{layer.name}: its activation is {layer.function!r}, birnn's dense layers have "
        f"{', '.join(get_args(ActivationName))}. Train it with one of these."
    )


def _head(
    parts: Parts, stack: Stacked, task: str | None, notices: list[str]
) -> tuple[Head, dict[str, Array]]:
    """The head and its tensors."""
    steps = composed(parts.after, "after the recurrent layers")
    if not steps or isinstance(steps[-1], Activation):
        last = steps[-1].name if steps else parts.recurrent[-1][1].name
        raise ConversionError(
            f"{last}: the model ends with it, birnn's end with a linear layer, and softmax, "
            "sigmoid or nothing after it."
        )
    if isinstance(steps[0], Activation):
        raise no_counterpart(steps[0], "an activation", "right after the recurrent layers")
    linears = [layer for layer in steps if isinstance(layer, LinearLayer)]
    functions = [layer for layer in steps if isinstance(layer, Activation)]
    names = {_activation(layer) for layer in functions}
    if len(names) > 1:
        raise ConversionError(
            f"{functions[-1].name}: hidden layers of a head have one activation, these have "
            f"{' and '.join(sorted(names))}."
        )
    linears[0] = _on_rows(linears[0], parts, stack)
    for below, above in itertools.pairwise(linears):
        check_width(above, below.name, len(below.bias))
    values, sigmoids = task == "regressor", parts.function == "sigmoid"
    several = task == "multilabel" or (sigmoids and len(linears[-1].bias) > 1)
    if sigmoids and not several:
        linears[-1] = _two_labels(linears[-1], notices)
    hidden: dict[str, Any] = {"hidden": tuple(len(layer.bias) for layer in linears[:-1])}
    if names:
        hidden["activation"] = names.pop()
    size = len(linears[-1].bias)
    named = [*(f"hidden_{n}" for n in range(len(linears) - 1)), "linear"]
    tensors: dict[str, Array] = {}
    for name, layer in zip(named, linears, strict=True):
        tensors |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
    if parts.pool is None:
        if values or several:
            what = "regressor" if values else "model of several labels"
            raise ConversionError(f"a {what} answers once for a sequence, this model every step.")
        if parts.chain is None:
            return Tags(size=size, **hidden), tensors
        return Tags(size=size, decoder="crf", **hidden), tensors | _crf(parts.chain, size)
    if parts.chain is not None:
        raise ConversionError(f"{parts.chain.name}: a CRF needs scores of every step.")
    pooling: Any = "+".join(_pooled(parts.pool))
    if values and parts.function != IDENTITY:
        raise ConversionError(
            f"{linears[-1].name}: a {parts.function} stands after it, a regressor's values have "
            "none. Import it as a classifier, or train it without."
        )
    if several and parts.function == "softmax":
        raise ConversionError(
            f"{linears[-1].name}: a softmax stands after it, which gives one label. Import it as a "
            "classifier, or train it with sigmoids."
        )
    if several:
        return Labels(size=size, pooling=pooling, **hidden), tensors
    if not values:
        return Label(size=size, pooling=pooling, **hidden), tensors
    tensors |= {"mean": np.zeros(size), "scale": np.ones(size)}
    return Values(size=size, pooling=pooling, **hidden), tensors


def _on_rows(layer: LinearLayer, parts: Parts, stack: Stacked) -> LinearLayer:
    """A linear layer with the columns of the encoder's rows, or of what they are pooled to."""
    places, count = [0], 1
    if parts.pool is not None:
        pooled = _pooled(parts.pool)
        places, count = [pooled.index(part) for part in parts.pool.parts], len(pooled)
    read = len(places) * len(stack.columns)
    check_width(layer, parts.recurrent[-1][1].name, read)
    weight = np.zeros((len(layer.weight), count * stack.width))
    for place, part in zip(places, np.split(layer.weight, len(places), axis=1), strict=True):
        # Added, since a model may have the same pooling twice.
        weight[:, stack.columns + place * stack.width] += part
    return LinearLayer(layer.name, weight, layer.bias)


def _pooled(pool: Pool) -> tuple[str, ...]:
    """The poolings of the head: those of the model, or all, some of them without weights."""
    known = [tuple(name.split("+")) for name in get_args(PoolingName)]
    return pool.parts if pool.parts in known else max(known, key=len)


def _two_labels(layer: LinearLayer, notices: list[str]) -> LinearLayer:
    """The layer of one score with a sigmoid as one of two scores with a softmax."""
    notices.append(f"{layer.name}: one sigmoid is a softmax over two labels, the first scores 0")
    weight = np.concatenate([np.zeros_like(layer.weight), layer.weight])
    return LinearLayer(layer.name, weight, np.concatenate([np.zeros_like(layer.bias), layer.bias]))


def _crf(chain: Transitions, size: int) -> dict[str, Array]:
    if (chain.matrix.shape, chain.start.shape, chain.end.shape) != ((size, size), (size,), (size,)):
        raise ShapeError(
            f"{chain.name}: transitions {chain.matrix.shape}, start {chain.start.shape} and end "
            f"{chain.end.shape} do not fit {size} labels."
        )
    return {"crf.transitions": chain.matrix, "crf.start": chain.start, "crf.end": chain.end}
