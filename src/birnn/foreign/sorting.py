"""The layers of a foreign model, sorted: what stands before, in and after its recurrent layers.

Neighbours that are linear become one linear layer, in float64.
"""

# D inputs, O outputs

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import (
    Activation,
    Embedding,
    Layer,
    LinearLayer,
    Masking,
    Normalisation,
    Pool,
    RecurrentLayer,
    Transitions,
    wide,
)

L = TypeVar("L", bound=Layer)

IDENTITY = "linear"


@dataclass(frozen=True, slots=True)
class Parts:
    """A foreign model, sorted: what stands before, in and after its recurrent layers.

    Args:
        before: Layers before the first recurrent one, without the embedding.
        recurrent: The recurrent layers, each with the linear layer before it, if there is one.
        pool: How rows of a sequence become one; None where each step has an answer.
        after: Layers above, without softmax, sigmoid and CRF.
        embedding: The vectors of items; None where sequences are vectors.
        masking: The value of steps that are none.
        chain: The CRF.
        function: softmax or sigmoid at the end, or ``linear``.
    """

    before: list[Layer]
    recurrent: list[tuple[LinearLayer | None, RecurrentLayer]]
    pool: Pool | None
    after: list[Layer]
    embedding: Embedding | None = None
    masking: Masking | None = None
    chain: Transitions | None = None
    function: str = IDENTITY

    @property
    def per_step(self) -> bool:
        """Whether each step has an answer."""
        return self.pool is None


def sorted_out(layers: Sequence[Layer]) -> Parts:
    """The parts of a model, from its layers in the order in which data passes through them.

    Raises:
        ConversionError: They are no inputs, recurrent layers and head.
    """
    at = [number for number, layer in enumerate(layers) if isinstance(layer, RecurrentLayer)]
    if not at:
        names = ", ".join(layer.name for layer in layers[:10])
        raise ConversionError(
            f"the model has no recurrent layer that birnn knows (LSTM, GRU, RNN): it has {names}."
        )
    before, after = list(layers[: at[0]]), list(layers[at[-1] + 1 :])
    embedding, masking = _taken(before, 0, Embedding), _taken(before, 0, Masking)
    recurrent: list[tuple[LinearLayer | None, RecurrentLayer]] = []
    for number, start in enumerate(at):
        between = [] if number == 0 else layers[at[number - 1] + 1 : start]
        layer = layers[start]
        assert isinstance(layer, RecurrentLayer)
        recurrent.append((_one_linear(between), layer))
    for _, layer in recurrent[:-1]:
        if layer.final:
            raise ConversionError(
                f"{layer.name}: it gives its final states to a recurrent layer above it, which "
                "needs a row for each step. Train it with return_sequences=True."
            )
    pool = _taken(after, 0, Pool)
    if pool is not None and recurrent[-1][1].final:
        raise ConversionError(f"{pool.name}: it pools what is one row for a sequence already.")
    if recurrent[-1][1].final:
        pool = Pool(recurrent[-1][1].name, ("last",))
    chain = _taken(after, -1, Transitions)
    function, last = IDENTITY, after[-1] if after else None
    if isinstance(last, Activation) and last.function in {"softmax", "sigmoid"}:
        function = last.function
        after.pop()
    return Parts(before, recurrent, pool, after, embedding, masking, chain, function)


def _taken(layers: list[Layer], place: int, kind: type[L]) -> L | None:
    """The first or last layer, taken out where it is of a kind; else None."""
    if layers and isinstance(layers[place], kind):
        found = layers.pop(place)
        assert isinstance(found, kind)
        return found
    return None


def _one_linear(layers: Sequence[Layer]) -> LinearLayer | None:
    """The layers between two recurrent ones as one linear layer, or None."""
    merged = composed(layers, "between two recurrent layers")
    for layer in merged:
        if isinstance(layer, Activation):
            raise no_counterpart(
                layer, f"an activation ({layer.function})", "between recurrent layers"
            )
    return merged[0] if merged else None  # type: ignore[return-value]


def composed(layers: Sequence[Layer], where: str) -> list[LinearLayer | Activation]:
    """Linear layers and activations by turns: neighbours that are linear become one.

    Raises:
        ConversionError: A layer that is neither.
        ShapeError: Widths that disagree.
    """
    found: list[LinearLayer | Activation] = []
    for layer in layers:
        match layer:
            case Activation(function=function):
                if function != IDENTITY:
                    found.append(layer)
            case Normalisation() | LinearLayer():
                step = _as_linear(layer)
                if found and isinstance(below := found[-1], LinearLayer):
                    found[-1] = _after(below, step)
                else:
                    found.append(step)
            case _:
                raise no_counterpart(layer, type(layer).__name__.lower(), where)
    return found


def _as_linear(layer: Normalisation | LinearLayer) -> LinearLayer:
    """Batch normalisation as a diagonal matrix; all in float64."""
    if isinstance(layer, LinearLayer):
        return LinearLayer(layer.name, wide(layer.weight), wide(layer.bias))
    scale = layer.gamma / layer.deviation
    return LinearLayer(layer.name, np.diag(scale), layer.beta - layer.mean * scale)


def _after(below: LinearLayer, above: LinearLayer) -> LinearLayer:
    """The linear layer that is one after another."""
    check_width(above, below.name, len(below.bias))
    return LinearLayer(
        above.name, above.weight @ below.weight, above.weight @ below.bias + above.bias
    )


def check_width(above: LinearLayer, below: str, width: int) -> None:
    """Refuse a linear layer that reads rows of another width than what is below it gives.

    Raises:
        ShapeError: The widths disagree.
    """
    if above.weight.shape[1] != width:
        raise ShapeError(
            f"{above.name} reads rows of {above.weight.shape[1]} values, and {below} below it "
            f"gives {width}."
        )


def no_counterpart(layer: Layer, what: str, where: str) -> ConversionError:
    """The refusal of a layer that birnn has no counterpart of."""
    remedy = "Leave it out and train the model again, or compute it outside."
    return ConversionError(f"{layer.name}: birnn has no counterpart of {what} {where}. {remedy}")
