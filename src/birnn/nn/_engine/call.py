"""What a recurrent layer is called with, and what it gives, whichever engine runs it."""

# R rows with padding, B sequences, T steps, D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from birnn.engine import isa
from birnn.engine.arrays import RowLayout
from birnn.engine.recurrent import KEEP_NUMBERS, Keep, saved_size
from birnn.errors import ConfigError, ShapeError, nearest
from birnn.nn._engine.tensor_layout import TensorLayout
from birnn.reference.stack import GATES, CellName

WeightTensors = Sequence[Tensor]
"""weight_ih (G, D), weight_hh (G, H); bias_ih (G,), bias_hh (G,), or none; an LSTM's weight_hr."""

NATIVE_DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
SUPPORTED_WEIGHT_COUNTS = (2, 4)
"""Tensors of a direction that the native engine takes: without biases or with. Of three or five,
the last is a projection."""


def has_kernels(rows: Tensor, dtype: torch.dtype) -> bool:
    """Whether the native engine has kernels for rows and weights of this device and dtype."""
    return dtype in NATIVE_DTYPES and rows.is_cpu


class Call(NamedTuple):
    """What a layer is called with; also the arguments of the operators, in their order.

    Args:
        cell: Which cell.
        x: Rows, (R, D), or on more than one axis, such as (B, T, D).
        lengths: Layout of the rows, as are ``starts`` and ``steps``; see `TensorLayout`.
        starts: (B,).
        steps: (T,).
        weights: Parameters of all directions, direction by direction.
        initial: State before the first step, (directions, B, H) each; empty for zeros.
        directions: 1 or 2.
        keep: What the native engine keeps for the backward pass, where one is to follow.
    """

    cell: CellName
    x: Tensor
    lengths: Tensor
    starts: Tensor
    steps: Tensor
    weights: Sequence[Tensor]
    initial: Sequence[Tensor]
    directions: int
    keep: Keep

    @property
    def differentiable(self) -> tuple[Tensor, ...]:
        """x, the weights and the initial states."""
        return self.x, *self.weights, *self.initial

    def replaced(self, tensors: Sequence[Tensor]) -> Call:
        """The call with other tensors in the place of `differentiable`."""
        end = 1 + len(self.weights)
        return self._replace(x=tensors[0], weights=tensors[1:end], initial=tensors[end:])

    @property
    def wants_gradients(self) -> bool:
        """Whether a backward pass may follow."""
        return torch.is_grad_enabled() and any(part.requires_grad for part in self.differentiable)

    @property
    def layout(self) -> TensorLayout:
        """Where the rows stand."""
        return TensorLayout(self.lengths, self.starts, self.steps)

    @property
    def row_layout(self) -> RowLayout:
        """The same as the native engine reads it."""
        return self.layout.row_layout(math.prod(self.x.shape[:-1]))

    @property
    def by_direction(self) -> list[WeightTensors]:
        """Weights of each direction."""
        each = len(self.weights) // self.directions
        return [self.weights[i * each : (i + 1) * each] for i in range(self.directions)]

    @property
    def runs_native(self) -> bool:
        """Whether the native engine runs it when it is called now."""
        supported = len(self.weights) // self.directions in SUPPORTED_WEIGHT_COUNTS
        here = has_kernels(self.x, self.x.dtype)
        return supported and here and isa.selected_engine() is not None

    def saved_size(self, rows: int) -> int:
        """Elements that so many rows of sequences keep on the native engine."""
        hidden, wide = self.weights[1].shape[1], self.x.dtype == torch.float64
        return saved_size(self.cell, rows, hidden, self.directions, self.keep, wide=wide)

    @property
    def largest_saved_size(self) -> int:
        """Elements that are kept at most: padding keeps none, but shapes do not tell it."""
        # In a graph the number of rows may be a symbol, which the compiled module does not take.
        return math.prod(self.x.shape[:-1]) * self.saved_size(1) if self.runs_native else 0

    def check(self) -> None:
        """Refuse what no engine can run; a tensor's shape and dtype are all that is read.

        Raises:
            ConfigError: No such cell, or no such kind of what is kept.
            ShapeError: A number of directions or tensors, a shape or a dtype that does not fit.
        """
        if self.directions not in (1, 2) or len(self.weights) % self.directions:
            raise ShapeError(
                f"{len(self.weights)} weights for {self.directions} directions: there are one or "
                "two directions, of as many weights each"
            )
        if self.keep not in KEEP_NUMBERS:
            raise ConfigError(f"keep is {self.keep!r}: {nearest(self.keep, KEEP_NUMBERS)}")
        if self.x.ndim < 2:
            raise ShapeError(f"x is rows on one or more axes, (..., D), got {tuple(self.x.shape)}")
        check_weights(self.cell, self.x.shape[-1], self.by_direction)
        for name, part in zip(("lengths", "starts", "steps"), self[2:5], strict=True):
            if part.ndim != 1 or part.dtype != torch.int64:
                raise ShapeError(
                    f"{name} are a vector of torch.int64, got {tuple(part.shape)} of {part.dtype}"
                )
        for part in (*self.weights, *self.initial):
            if part.dtype != self.x.dtype:
                raise ShapeError(f"x is {self.x.dtype}, a weight or state {part.dtype}")
        states = 2 if self.cell == "lstm" else 1
        if len(self.initial) not in (0, states) or any(part.ndim != 3 for part in self.initial):
            raise ShapeError(
                f"the initial states of {self.cell} are {states} of (directions, B, H), or none, "
                f"got {[tuple(part.shape) for part in self.initial]}"
            )


class LayerResult(NamedTuple):
    """What the layer gives: output (..., directions * H), final states, and what was kept."""

    output: Tensor
    h: Tensor
    c: Tensor  # empty for a cell without
    saved: Tensor | None  # None where nothing was kept


def check_weights(cell: CellName, inputs: int, weights: Sequence[WeightTensors]) -> None:
    """Refuse weights that are not the cell's.

    Args:
        cell: Which cell.
        inputs: Width D of the rows.
        weights: Parameters of each direction, in torch's layout.

    Raises:
        ConfigError: No such cell.
        ShapeError: Weights of another number or shape.

    Example:
        >>> check_weights("gru", 3, [(torch.zeros(4, 3), torch.zeros(4, 1))])
        Traceback (most recent call last):
        ...
        birnn.errors.ShapeError: the weights of gru on rows 3 wide have shapes (3, 3), (3, 1), got
        (4, 3), (4, 1)
    """
    if cell not in GATES:
        raise ConfigError(f"cell is {cell!r}: {nearest(cell, GATES)}")
    for own in weights:
        found = [tuple(part.shape) for part in own]
        # Three and five end with an LSTM's projection, after which h is narrower than c.
        projects = len(own) in (3, 5) and cell == "lstm"
        if len(own) not in SUPPORTED_WEIGHT_COUNTS and not projects:
            raise ShapeError(
                f"the weights of {cell} are weight_ih and weight_hh, and bias_ih and bias_hh or "
                f"neither, for each direction, got {len(own)} tensors"
            )
        hidden = found[-1][-1] if projects else found[1][-1]
        gates, width = GATES[cell] * hidden, found[1][-1]
        wanted: list[tuple[int, ...]] = [(gates, inputs), (gates, width)]
        wanted += [(gates,)] * 2 if len(own) > 3 else []
        wanted += [(width, hidden)] if projects else []
        if found != wanted:
            right, got = (", ".join(map(str, shapes)) for shapes in (wanted, found))
            raise ShapeError(
                f"the weights of {cell} on rows {inputs} wide have shapes {right}, got {got}"
            )
