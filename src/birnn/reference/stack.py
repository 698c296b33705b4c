"""The settings of a stack of recurrent layers, and the shapes that follow from them.

Parameters carry torch's names: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``,
``bias_hh_l0`` for the forward half of layer 0, the same with ``_reverse`` for its backward half,
and ``merge_l0.weight``, ``merge_l0.bias`` where the halves are merged by a projection.

States of all layers, (S, B, H), stand in torch's order: layer by layer, forward half first; a layer
of one direction has one.
"""

# D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from birnn.errors import ConfigError, nearest

CellName = Literal["rnn_tanh", "rnn_relu", "lstm", "gru"]
MergeName = Literal["concat", "sum", "mean", "product", "project"]
Direction = Literal["both", "forward"]  # of a layer: two directions, or one

GATES: dict[CellName, int] = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
CELL_TITLES: dict[CellName, str] = {
    "rnn_tanh": "RNN (tanh)",
    "rnn_relu": "RNN (ReLU)",
    "lstm": "LSTM",
    "gru": "GRU",
}
MERGE_WIDTH: dict[MergeName, int] = {"concat": 2, "sum": 1, "mean": 1, "product": 1, "project": 1}


@dataclass(frozen=True, slots=True)
class Stack:
    """Settings of a stack of one- or two-directional recurrent layers.

    Each layer runs its halves over the layer below, merges them, and with ``residual`` adds its
    own input where the widths agree. With one direction there is nothing to merge.

    Methods that take the number of a layer count from the end where it is negative.

    Args:
        cell: ``rnn_tanh``, ``rnn_relu``, ``lstm`` or ``gru``.
        input_size: Width of a row.
        hidden_size: Hidden units of each direction.
        num_layers: Layers on top of each other.
        bidirectional: Whether a backward half runs beside the forward one. Where ``directions``
            says it layer by layer: whether any layer has one.
        merge: How the two halves become one row.
        residual: Whether a layer's input is added to its output.
        directions: ``both`` or ``forward`` for each layer, the first layer's first; None for
            ``bidirectional`` in all of them, and where all are the same.
        merge_size: Width of a row that ``project`` makes; None for ``hidden_size``.

    Raises:
        ConfigError: A cell, merge or direction that does not exist, a size below 1, or settings
            that contradict each other.

    Example:
        >>> Stack("lstm", 100, 256).output_size
        512
        >>> Stack("gru", 10, 20, merge="sum").shapes()["weight_ih_l0"]
        (60, 10)
        >>> mixed = Stack("gru", 10, 20, num_layers=2, directions=("both", "forward"))
        >>> mixed.layer_output_size(0), mixed.output_size, mixed.bidirectional
        (40, 20, True)
    """

    cell: CellName
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = True
    merge: MergeName = "concat"
    residual: bool = False
    directions: tuple[Direction, ...] | None = None
    merge_size: int | None = None

    def __post_init__(self) -> None:
        for name, known in (("cell", get_args(CellName)), ("merge", get_args(MergeName))):
            if getattr(self, name) not in known:
                got = getattr(self, name)
                raise ConfigError(f"{name} is {got!r}: {nearest(str(got), known)}")
        for name in ("input_size", "hidden_size", "num_layers", "merge_size"):
            size = getattr(self, name)
            if name == "merge_size" and size is None:
                continue
            if not isinstance(size, int) or size < 1:
                raise ConfigError(f"{name} is {size!r}, it must be a whole number from 1 on")
        if self.merge_size is not None and self.merge != "project":
            raise ConfigError(f"merge_size is {self.merge_size}: {no_merge_size(self.merge)}")
        if self.directions is not None:
            bidirectional = any_bidirectional(self.directions, self.num_layers, self.bidirectional)
            mixed = tuple(self.directions) if len(set(self.directions)) == 2 else None
            object.__setattr__(self, "bidirectional", bidirectional)
            object.__setattr__(self, "directions", mixed)

    @property
    def gate_rows(self) -> int:
        """Rows of a weight matrix: gates times hidden units."""
        return GATES[self.cell] * self.hidden_size

    @property
    def output_size(self) -> int:
        """Width of an output row."""
        return self.layer_output_size(-1)

    @property
    def state_count(self) -> int:
        """Number of states, S: the directions of all layers."""
        if self.directions is None:
            return self.num_layers * self.directions_of(0)
        return sum(map(self.directions_of, range(self.num_layers)))

    def directions_of(self, layer: int) -> int:
        """Directions of ``layer``, 1 or 2."""
        if self.directions is None:
            return 2 if self.bidirectional else 1
        return 2 if self.directions[layer] == "both" else 1

    @property
    def mixed_layers(self) -> tuple[int, ...]:
        """Layers of two directions in a stack that has others; none where all are the same."""
        each = self.directions or ()
        return tuple(layer for layer, direction in enumerate(each) if direction == "both")

    def suffixes(self, layer: int) -> tuple[str, ...]:
        """Ending of the parameter names of each direction of ``layer``."""
        return ("", "_reverse")[: self.directions_of(layer)]

    def states_of(self, layer: int) -> slice:
        """Where the states of ``layer`` stand among those of all layers.

        Example:
            >>> mixed = ("both", "forward", "both")
            >>> Stack("gru", 1, 1, num_layers=3, directions=mixed).states_of(2)
            slice(3, 5, None)
        """
        before = sum(map(self.directions_of, range(layer % self.num_layers)))
        return slice(before, before + self.directions_of(layer))

    def projects(self, layer: int) -> bool:
        """Whether the halves of ``layer`` are merged by a projection, which has parameters."""
        return self.merge == "project" and self.directions_of(layer) == 2

    def layer_input_size(self, layer: int) -> int:
        """Width of the rows that ``layer`` reads."""
        below = layer % self.num_layers - 1
        return self.input_size if below < 0 else self.layer_output_size(below)

    def layer_output_size(self, layer: int) -> int:
        """Width of the rows that ``layer`` gives."""
        if self.directions_of(layer) == 1:
            return self.hidden_size
        return self.merge_size or self.hidden_size * MERGE_WIDTH[self.merge]

    def adds_input(self, layer: int) -> bool:
        """Whether ``layer`` adds its own input to its output."""
        return self.residual and self.layer_input_size(layer) == self.layer_output_size(layer)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, layer by layer."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            for suffix in self.suffixes(layer):
                end = f"l{layer}{suffix}"
                shapes[f"weight_ih_{end}"] = (self.gate_rows, self.layer_input_size(layer))
                shapes[f"weight_hh_{end}"] = (self.gate_rows, self.hidden_size)
                shapes[f"bias_ih_{end}"] = (self.gate_rows,)
                shapes[f"bias_hh_{end}"] = (self.gate_rows,)
            if self.projects(layer):
                width = self.layer_output_size(layer)
                shapes[f"merge_l{layer}.weight"] = (width, 2 * self.hidden_size)
                shapes[f"merge_l{layer}.bias"] = (width,)
        return shapes


def any_bidirectional(
    directions: Sequence[str], num_layers: int, bidirectional: bool = True
) -> bool:
    """Whether any layer has two directions.

    Args:
        directions: ``both`` or ``forward`` for each layer.
        num_layers: Layers that there are.
        bidirectional: Whether two directions are wanted at all.

    Raises:
        ConfigError: A direction that does not exist, too few or too many of them, or ``both``
            where no two directions are wanted.

    Example:
        >>> any_bidirectional(("both", "forward"), 2)
        True
        >>> any_bidirectional(("both", "forward"), 3)
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: num_layers is 3, directions has 2 entries: give one for each layer
    """
    known = get_args(Direction)
    for layer, direction in enumerate(directions):
        if direction not in known:
            raise ConfigError(
                f"the direction of layer {layer} is {direction!r}: {nearest(str(direction), known)}"
            )
    if len(directions) != num_layers:
        raise ConfigError(
            f"num_layers is {num_layers}, directions has {len(directions)} entries: give one for "
            "each layer"
        )
    if not bidirectional and "both" in directions:
        raise ConfigError(
            f"bidirectional is false, but layer {list(directions).index('both')} has both "
            "directions: set one of the two alone"
        )
    return "both" in directions


def no_merge_size(merge: str) -> str:
    """Why a width of merged rows cannot be chosen, for messages."""
    return f"merge is {merge}, and only project has a width of its own: set merge to project"
