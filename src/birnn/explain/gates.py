"""The gates of each direction at each step, and how many of them are stuck.

They are computed from what the engine's states were: the rows that the layer read, the states
before each step, and the weights. No engine has to give them away for that.
"""

# N rows of all sequences, T steps, D inputs of a layer, H hidden units

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.errors import ConfigError
from birnn.explain.inspected import Array, Halves, InspectedModel, Model, Rows, array
from birnn.explain.reading import Reading, halves_over
from birnn.nn import BiRNN
from birnn.reference.stack import CellName

# Blocks of H rows in the weights, in their order. Those in `SQUASHED` go through tanh, into
# (-1, 1); the others through the logistic function, into (0, 1).
NAMES: dict[CellName, tuple[str, ...]] = {
    "rnn_tanh": (),
    "rnn_relu": (),
    "lstm": ("i", "f", "g", "o"),
    "gru": ("r", "z", "n"),
}
SQUASHED = frozenset({"g", "n"})
LOW, HIGH = 0.1, 0.9

Activations = dict[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Gates:
    """Gates of a layer over one sequence, row t the gates at step t.

    Args:
        forward: Name of each gate to its activations in the forward half, (T, H): i, f, g, o of
            an LSTM, r, z, n of a GRU.
        backward: The same of the backward half, which meets the last row first; None with one
            direction.
        memory_forward: Memory cells c of an LSTM's forward half, (T, H); None for a GRU.
        memory_backward: The same of the backward half.
        cell: Which cell.
        layer: Number of the layer.
    """

    forward: Activations
    backward: Activations | None
    memory_forward: Array | None
    memory_backward: Array | None
    cell: CellName
    layer: int


def gates(model: Model | Reading, sequence: Any = None, *, layer: int = -1) -> Gates:
    """Activations of all gates of a layer over one sequence.

    Args:
        model: As for `Reading.of`.
        sequence: As ``predict`` takes one; of a `BiRNN` an array (T, W); of a reading its own.
        layer: Which layer; the last by default.

    Raises:
        ConfigError: A cell without gates, or a layer that the model does not have.
        DataError: A sequence that the model cannot read, or one without steps.

    Example:
        >>> from birnn.nn import BiRNN
        >>> found = gates(BiRNN("lstm", 3, 4), np.ones((5, 3)))
        >>> list(found.forward), found.backward["f"].shape
        (['i', 'f', 'g', 'o'], (5, 4))
    """
    inspected = _gated(model)
    reading = Reading.of(model if isinstance(model, Reading) else inspected, sequence)
    with torch.no_grad():
        each = activations(inspected.encoder, inspected.layer(layer), reading.halves(layer))
        memories = memory_cells(each) if inspected.stack.cell == "lstm" else ()
    named = [{name: array(values) for name, values in own.items()} for own in each]
    kept = [array(values) for values in memories]
    return Gates(
        named[0],
        named[1] if len(named) == 2 else None,
        kept[0] if kept else None,
        kept[1] if len(kept) == 2 else None,
        inspected.stack.cell,
        inspected.layer(layer),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Saturation:
    """How often each unit's gates are stuck at an end of their range.

    A gate in (0, 1) is low below 0.1 and high above 0.9; one in (-1, 1), which are g of an LSTM
    and n of a GRU, is low below -0.9 and high above 0.9.

    Args:
        shares: Direction, then gate, to the share of steps at which each unit is low, (H,), and
            that at which it is high, (H,).
        steps: Steps that it was measured over.
        cell: Which cell.
        layer: Number of the layer.
    """

    shares: dict[str, dict[str, tuple[Array, Array]]]
    steps: int
    cell: CellName
    layer: int


def saturation(
    model: Model | Reading, sequences: Iterable[Any] | None = None, *, layer: int = -1
) -> Saturation:
    """Share of steps at which the gates of each unit are closed or open for good.

    Args:
        model: As for `Reading.of`.
        sequences: As ``predict`` takes them; of a `BiRNN` arrays (T, W); of a reading its own by
            default.
        layer: Which layer; the last by default.

    Raises:
        ConfigError: A cell without gates, or a layer that the model does not have.
        DataError: A sequence that the model cannot read, or not one with a step.

    Source:
        Karpathy et al. 2015, Visualizing and Understanding Recurrent Networks, section 4.2.

    Example:
        >>> from birnn.nn import BiRNN
        >>> found = saturation(BiRNN("gru", 3, 4), [np.ones((5, 3)), np.ones((2, 3))])
        >>> found.steps, [share.shape for share in found.shares["backward"]["z"]]
        (7, [(4,), (4,)])
    """
    inspected = _gated(model)
    at = inspected.layer(layer)
    directions = ("forward", "backward")[: inspected.stack.directions_of(at)]
    # (low and high, H) of each gate of each direction
    counts = {
        direction: {
            name: np.zeros((2, inspected.stack.hidden_size), np.int64)
            for name in NAMES[inspected.stack.cell]
        }
        for direction in directions
    }
    steps = 0
    source = model if isinstance(model, Reading) else inspected
    for halves in halves_over(source, sequences, layer):
        with torch.no_grad():
            each = activations(inspected.encoder, at, halves)
        steps += int(halves.below.lengths.sum())
        for direction, own in zip(directions, each, strict=True):
            for name, values in own.items():
                low = -HIGH if name in SQUASHED else LOW
                counts[direction][name] += array(
                    torch.stack([(values < low).sum(dim=0), (values > HIGH).sum(dim=0)])
                )
    shares = {
        direction: {name: (low / steps, high / steps) for name, (low, high) in own.items()}
        for direction, own in counts.items()
    }
    return Saturation(shares, steps, inspected.stack.cell, at)


def activations(encoder: BiRNN, layer: int, halves: Halves) -> list[dict[str, Tensor]]:
    """Gates of each direction of a layer at each row, (N, H) each; none of a plain RNN."""
    cell, hidden = encoder.stack.cell, encoder.stack.hidden_size
    found = []
    for suffix, half in zip(encoder.stack.suffixes(layer), halves.parts, strict=True):
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(encoder, f"{name}_l{layer}{suffix}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        input_NG = halves.below.values @ weight_ih.T + bias_ih
        recurrent_NG = states_before(half, reverse=bool(suffix)) @ weight_hh.T + bias_hh
        own: dict[str, Tensor] = {}
        blocks = zip(
            NAMES[cell],
            input_NG.split(hidden, dim=1),
            recurrent_NG.split(hidden, dim=1),
            strict=False,
        )
        for name, x, h in blocks:
            # A GRU's reset gate is on the recurrent part of n, its bias included.
            total = x + (own["r"] * h if name == "n" else h)
            own[name] = total.tanh() if name in SQUASHED else total.sigmoid()
        found.append(own)
    return found


def states_before(half: Rows, *, reverse: bool) -> Tensor:
    """State before each row's step, (N, H): of the row before, or after it in reverse."""
    moved = half.values.roll(-1 if reverse else 1, dims=0)
    ends = half.step_of_row == (np.repeat(half.lengths, half.lengths) - 1 if reverse else 0)
    return moved.masked_fill(torch.from_numpy(ends).to(moved.device).unsqueeze(1), 0)


def memory_cells(each: list[dict[str, Tensor]]) -> list[Tensor]:
    """Memory cells of one sequence by ``c' = f * c + i * g``, (T, H) for each direction."""
    found = []
    for direction, own in enumerate(each):
        gained_TH, kept_TH = own["i"] * own["g"], own["f"]
        c_TH = torch.empty_like(gained_TH)
        steps = range(c_TH.shape[0])
        c_H = torch.zeros_like(gained_TH[0])
        for t in reversed(steps) if direction else steps:
            c_H = kept_TH[t] * c_H + gained_TH[t]
            c_TH[t] = c_H
        found.append(c_TH)
    return found


def _gated(model: Model | Reading) -> InspectedModel:
    inspected = model.model if isinstance(model, Reading) else InspectedModel.of(model)
    if not NAMES[inspected.stack.cell]:
        raise ConfigError(f"a {inspected.stack.cell} has no gates. Give a model of lstm or gru.")
    return inspected
