"""Recurrent layers of a foreign model as one stack, whose layers are all as wide.

A narrower layer gets units whose weights are zero: in every cell their states are and stay zero,
so that the others compute what they did.
"""

# W width of a row, H hidden units of the stack, h of the foreign layer, G gate rows

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Encoder
from birnn.errors import ConversionError, ShapeError
from birnn.foreign.layers import LinearLayer, RecurrentLayer
from birnn.reference.stack import GATES, Direction, MergeName

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Stacked:
    """A stack.

    Args:
        encoder: Its settings.
        parameters: Its parameters, by torch's names.
        width: Width of its rows.
        columns: Where the columns of the foreign model's rows stand in its rows.
    """

    encoder: Encoder
    parameters: dict[str, Array]
    width: int
    columns: Array


def stack_of(
    layers: Sequence[tuple[LinearLayer | None, RecurrentLayer]],
    width: int,
    fold: LinearLayer | None,
    notices: list[str],
) -> Stacked:
    """The stack of these layers.

    Args:
        layers: The layers, each with a linear layer before it that is folded into its weights.
        width: Width of the rows that the first one reads.
        fold: A linear layer before the first.
        notices: Receives a notice of units that were added.

    Raises:
        ConversionError: Layers of several cells or merges.
        ShapeError: Widths that disagree.
    """
    cell = _one_of("cells", {layer.name: layer.cell for _, layer in layers})
    merges = {layer.name: layer.merge for _, layer in layers if len(layer.halves) == 2}
    merge: MergeName = _one_of("ways of merging two directions", merges) if merges else "concat"
    hidden = max(layer.hidden_size for _, layer in layers)
    narrow = [layer for _, layer in layers if layer.hidden_size < hidden]
    if narrow:
        named = ", ".join(f"{layer.name} ({layer.hidden_size})" for layer in narrow)
        notices.append(f"{named}: filled up to {hidden} units with units that stay zero")
    directions: list[Direction] = [
        "both" if len(layer.halves) == 2 else "forward" for _, layer in layers
    ]
    mixed = tuple(directions) if len(set(directions)) == 2 else None
    encoder = Encoder(
        cell=cell,
        hidden_size=hidden,
        num_layers=len(layers),
        bidirectional="both" in directions,
        merge=merge,
        directions=mixed,
    )
    parameters: dict[str, Array] = {}
    columns = np.arange(width)
    for number, (before, layer) in enumerate(layers):
        before = fold if number == 0 and before is None else before
        if before is not None:
            layer = _folded(before, layer)
        if layer.input_size != len(columns):
            raise ShapeError(
                f"{layer.name} reads rows of {layer.input_size} values, what stands below it gives "
                f"{len(columns)}."
            )
        for suffix, half in zip(("", "_reverse"), layer.halves, strict=False):
            for part, values in _widened(half, GATES[cell], hidden, columns, width).items():
                parameters[f"{part}_l{number}{suffix}"] = values
        side_by_side = len(layer.halves) == 2 and merge == "concat"
        own = np.arange(layer.hidden_size)
        columns = np.concatenate([own, own + hidden]) if side_by_side else own
        width = 2 * hidden if side_by_side else hidden
    return Stacked(encoder, parameters, width, columns)


def _one_of(what: str, each: dict[str, Any]) -> Any:
    found = set(each.values())
    if len(found) > 1:
        named = ", ".join(f"{name} {value}" for name, value in each.items())
        raise ConversionError(
            f"the recurrent layers have several {what}: {named}. birnn's stacks have one."
        )
    return found.pop()


def _folded(before: LinearLayer, layer: RecurrentLayer) -> RecurrentLayer:
    """The layer on what a linear layer before it reads."""
    if len(before.bias) != layer.input_size:
        raise ShapeError(
            f"{layer.name} reads rows of {layer.input_size} values, and {before.name} before it "
            f"gives {len(before.bias)}."
        )
    halves = tuple(
        half
        | {
            "weight_ih": half["weight_ih"] @ before.weight,
            "bias_ih": half["bias_ih"] + half["weight_ih"] @ before.bias,
        }
        for half in layer.halves
    )
    return RecurrentLayer(layer.name, layer.cell, halves, layer.merge, layer.final)


def _widened(
    half: dict[str, Array], gates: int, hidden: int, columns: Array, width: int
) -> dict[str, Array]:
    """One direction's arrays with more hidden units and other columns of what it reads."""
    own = half["weight_hh"].shape[1]
    rows = np.concatenate([np.arange(own) + gate * hidden for gate in range(gates)])
    wide = {
        "weight_ih": np.zeros((gates * hidden, width)),
        "weight_hh": np.zeros((gates * hidden, hidden)),
        "bias_ih": np.zeros(gates * hidden),
        "bias_hh": np.zeros(gates * hidden),
    }
    wide["weight_ih"][np.ix_(rows, columns)] = half["weight_ih"]
    wide["weight_hh"][np.ix_(rows, np.arange(own))] = half["weight_hh"]
    wide["bias_ih"][rows], wide["bias_hh"][rows] = half["bias_ih"], half["bias_hh"]
    return wide
