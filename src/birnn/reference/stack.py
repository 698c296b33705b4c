"""The settings of a stack of recurrent layers, and the shapes that follow from them.

Parameters carry torch's names: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``,
``bias_hh_l0`` for the forward half of layer 0, the same with ``_reverse`` for its backward half,
and ``merge_l0.weight``, ``merge_l0.bias`` where the halves are merged by a projection.
"""

# D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from birnn.errors import ConfigError, nearest

CellName = Literal["rnn_tanh", "rnn_relu", "lstm", "gru"]
MergeName = Literal["concat", "sum", "mean", "product", "project"]

GATES: dict[CellName, int] = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
MERGE_WIDTH: dict[MergeName, int] = {"concat": 2, "sum": 1, "mean": 1, "product": 1, "project": 1}


@dataclass(frozen=True, slots=True)
class Stack:
    """Settings of a stack of one- or two-directional recurrent layers.

    Each layer runs its halves over the layer below, merges them, and with ``residual`` adds its
    own input where the widths agree. With one direction there is nothing to merge.

    Args:
        cell: ``rnn_tanh``, ``rnn_relu``, ``lstm`` or ``gru``.
        input_size: Width of a row.
        hidden_size: Hidden units of each direction.
        num_layers: Layers on top of each other.
        bidirectional: Whether a backward half runs beside the forward one.
        merge: How the two halves become one row.
        residual: Whether a layer's input is added to its output.

    Raises:
        ConfigError: A cell or merge that does not exist, or a size below 1.

    Example:
        >>> Stack("lstm", 100, 256).output_size
        512
        >>> Stack("gru", 10, 20, merge="sum").shapes()["weight_ih_l0"]
        (60, 10)
    """

    cell: CellName
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = True
    merge: MergeName = "concat"
    residual: bool = False

    def __post_init__(self) -> None:
        for name, known in (("cell", get_args(CellName)), ("merge", get_args(MergeName))):
            if getattr(self, name) not in known:
                got = getattr(self, name)
                raise ConfigError(f"{name} is {got!r}: {nearest(str(got), known)}")
        for name in ("input_size", "hidden_size", "num_layers"):
            size = getattr(self, name)
            if not isinstance(size, int) or size < 1:
                raise ConfigError(f"{name} is {size!r}, it must be a whole number from 1 on")

    @property
    def gate_rows(self) -> int:
        """Rows of a weight matrix: gates times hidden units."""
        return GATES[self.cell] * self.hidden_size

    @property
    def directions(self) -> int:
        """1 or 2."""
        return 2 if self.bidirectional else 1

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Ending of the parameter names of each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def output_size(self) -> int:
        """Width of an output row."""
        return self.hidden_size * (MERGE_WIDTH[self.merge] if self.bidirectional else 1)

    @property
    def projects(self) -> bool:
        """Whether the halves are merged by a projection, which has parameters."""
        return self.bidirectional and self.merge == "project"

    def layer_input_size(self, layer: int) -> int:
        """Width of the rows that ``layer`` reads."""
        return self.input_size if layer == 0 else self.output_size

    def adds_input(self, layer: int) -> bool:
        """Whether ``layer`` adds its own input to its output."""
        return self.residual and self.layer_input_size(layer) == self.output_size

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, layer by layer."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            for suffix in self.suffixes:
                end = f"l{layer}{suffix}"
                shapes[f"weight_ih_{end}"] = (self.gate_rows, self.layer_input_size(layer))
                shapes[f"weight_hh_{end}"] = (self.gate_rows, self.hidden_size)
                shapes[f"bias_ih_{end}"] = (self.gate_rows,)
                shapes[f"bias_hh_{end}"] = (self.gate_rows,)
            if self.projects:
                shapes[f"merge_l{layer}.weight"] = (self.hidden_size, 2 * self.hidden_size)
                shapes[f"merge_l{layer}.bias"] = (self.hidden_size,)
        return shapes
