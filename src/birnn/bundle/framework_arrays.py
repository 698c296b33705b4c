"""What a framework's convention for recurrent parameters is made of, and conversion by it.

A `Convention` is data: which arrays a layer has, which of torch's blocks each holds, in which
order, and what the options of the layer must be. Conversion both ways only looks it up;
`birnn.bundle.conventions` is the table.
"""

# D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from birnn.errors import ConversionError, ShapeError

Arrays = dict[str, np.ndarray]
Framework = Literal["torch", "keras", "flax", "linen", "onnx"]
Kind = Literal["rnn_tanh", "rnn_relu", "lstm", "gru", "linear"]

# The arrays of one direction, and those of a linear layer, by torch's names.
PARTS: tuple[str, ...] = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
LINEAR_PARTS: tuple[str, ...] = ("weight", "bias")
TITLES: dict[Framework, str] = {
    "torch": "torch",
    "keras": "Keras",
    "flax": "Flax NNX",
    "linen": "Flax linen",
    "onnx": "ONNX",
}
# Blocks of rows in torch's order and letters; the candidate is g in an LSTM and n in a GRU.
ORDER: dict[Kind, str] = {
    "lstm": "ifgo",
    "gru": "rzn",
    "rnn_tanh": "n",
    "rnn_relu": "n",
    "linear": "y",
}
# Gates whose two biases no single one replaces.
TWO_BIASES: dict[Kind, str] = {"gru": "n"}

Blocks = dict[tuple[str, str], np.ndarray]


@dataclass(frozen=True, slots=True)
class FrameworkArray:
    """One array of a framework: what it holds, in which order.

    Args:
        name: The framework's name of it.
        parts: Which of torch's arrays it is made of.
        gates: Its blocks along the axis of gate rows, by torch's letters.
        transposed: Whether the gate rows are its last axis.
        joined: How two parts become one array: added, on a new first axis, or one after another.
    """

    name: str
    parts: tuple[str, ...]
    gates: str
    transposed: bool = False
    joined: Literal["sum", "stack", "concatenate"] = "sum"

    @property
    def is_bias(self) -> bool:
        """Whether a layer without biases lacks it."""
        return self.parts[0].startswith("bias")

    def shape(self, inputs: int, hidden: int) -> tuple[int, ...]:
        """Its shape for D inputs and H hidden units (outputs of a linear layer)."""
        rows = len(self.gates) * hidden
        if not self.is_bias:
            shape = (rows, hidden if self.parts[0] == "weight_hh" else inputs)
            return shape[::-1] if self.transposed else shape
        if self.joined == "stack":
            return (len(self.parts), rows)
        return (rows * (len(self.parts) if self.joined == "concatenate" else 1),)

    def sizes(self, array: np.ndarray) -> tuple[int, int]:
        """Rows of a gate and width, read off the array of an input matrix."""
        rows, width = array.shape[::-1] if self.transposed else array.shape
        return rows // len(self.gates), width

    def gather(self, blocks: Blocks) -> np.ndarray:
        """The framework's array from torch's blocks."""
        rows = [np.concatenate([blocks[part, g] for g in self.gates]) for part in self.parts]
        if self.joined == "stack":
            return np.stack(rows)
        if self.joined == "concatenate":
            return np.concatenate(rows)
        total = rows[0] if len(rows) == 1 else rows[0] + rows[1]
        return total.T if self.transposed else total

    def scatter(self, array: np.ndarray) -> Blocks:
        """Torch's blocks from the framework's array; of a sum the first part has all."""
        rows: Sequence[np.ndarray]
        if self.joined == "stack":
            rows = list(array)
        elif self.joined == "concatenate":
            rows = np.split(array, len(self.parts))
        else:
            rows = [array.T if self.transposed else array]
        return {
            (part, gate): block
            for part, values in zip(self.parts, rows, strict=False)
            for gate, block in zip(self.gates, np.split(values, len(self.gates)), strict=True)
        }


@dataclass(frozen=True, slots=True)
class Setting:
    """What an option of a framework's layer must be for birnn's equations.

    Args:
        name: Name of the option.
        value: What it must be.
        reason: Why another value has no counterpart, and what to do.
        default: What it is where it is not given; by default what it must be.
    """

    name: str
    value: Any
    reason: str
    default: Any = ...

    def fault(self, given: Mapping[str, Any]) -> str | None:
        """What is wrong with the settings that are given; None if nothing is."""
        default = self.value if self.default is ... else self.default
        got = _plain(given.get(self.name, default))
        if got == self.value:
            return None
        return f"{self.name} is {got!r}, it must be {self.value!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Convention:
    """How a framework keeps one direction of one cell.

    Args:
        framework: The framework.
        cell: The cell, or ``linear``.
        layer: The framework's name of the layer.
        arrays: Its arrays.
        settings: What the options of its layer must be.
        states: Its order of the states.
    """

    framework: Framework
    cell: Kind
    layer: str
    arrays: tuple[FrameworkArray, ...]
    settings: tuple[Setting, ...] = ()
    states: tuple[str, ...] = ("h",)

    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array, for D inputs and H hidden units.

        Example:
            >>> from birnn.bundle.conventions import convention
            >>> convention("keras", "gru").shapes(5, 2)
            {'kernel': (5, 6), 'recurrent_kernel': (2, 6), 'bias': (2, 6)}
        """
        return {array.name: array.shape(inputs, hidden) for array in self.arrays}

    def to(self, parameters: Mapping[str, np.ndarray]) -> Arrays:
        """From torch's arrays of one direction to the framework's.

        Args:
            parameters: ``weight_ih`` (G, D), ``weight_hh`` (G, H), ``bias_ih``, ``bias_hh`` (G,).

        Raises:
            ConversionError: They have no counterpart.

        Example:
            >>> from birnn.bundle.conventions import convention
            >>> shapes = convention("torch", "lstm").shapes(5, 2)
            >>> half = {name: np.ones(shape) for name, shape in shapes.items()}
            >>> {name: array.shape for name, array in convention("onnx", "lstm").to(half).items()}
            {'W': (8, 5), 'R': (8, 2), 'B': (16,)}
        """
        order = ORDER[self.cell]
        blocks: Blocks = {}
        for part in _parts(self.cell):
            split = np.split(np.asarray(parameters[part]), len(order))
            blocks |= {(part, gate): block for gate, block in zip(order, split, strict=True)}
        for array in self.arrays:
            self._refuse_lost_bias(array, blocks)
        return {array.name: array.gather(blocks) for array in self.arrays}

    def back(self, arrays: Mapping[str, np.ndarray], *, where: str = "") -> Arrays:
        """From the framework's arrays to torch's: the inverse of `to`, up to how biases are added.

        Args:
            arrays: The framework's arrays, by its names; a layer without biases has none.
            where: The layer, for messages.

        Raises:
            ConversionError: An array is missing, or there is one that has no counterpart.
            ShapeError: Shapes that disagree.

        Example:
            >>> from birnn.bundle.conventions import convention
            >>> shapes = convention("torch", "gru").shapes(5, 2)
            >>> half = {name: np.ones(shape) for name, shape in shapes.items()}
            >>> keras = convention("keras", "gru")
            >>> all((keras.back(keras.to(half))[name] == half[name]).all() for name in PARTS)
            True
        """
        used = self._checked(arrays, where or self.layer)
        blocks: Blocks = {}
        for array in used:
            blocks |= array.scatter(np.asarray(arrays[array.name]))
        back: Arrays = {}
        for part in _parts(self.cell):
            # A weight has all its blocks; of a bias that a framework has not, zeros are left.
            zero = np.zeros_like(blocks[_parts(self.cell)[0], ORDER[self.cell][0]][:, 0])
            back[part] = np.concatenate([blocks.get((part, g), zero) for g in ORDER[self.cell]])
        return back

    def faults(self, settings: Mapping[str, Any]) -> list[str]:
        """What in the options of a layer keeps it from having a counterpart."""
        return [fault for each in self.settings if (fault := each.fault(settings)) is not None]

    def _checked(self, arrays: Mapping[str, Any], where: str) -> list[FrameworkArray]:
        """The arrays that there are, whose names and shapes fit each other."""
        biases = {array.name for array in self.arrays if array.is_bias}
        known = {array.name for array in self.arrays}
        without = not biases & set(arrays)
        missing = known - set(arrays) - (biases if without else set())
        if missing:
            raise ConversionError(
                f"{where} has no {_listed(missing)}; it has {_listed(arrays)}. "
                f"{TITLES[self.framework]}'s {self.layer} has {_listed(known)}."
            )
        if extra := set(arrays) - known:
            raise ConversionError(
                f"{where} has {_listed(extra)}, which has no counterpart: "
                f"{TITLES[self.framework]}'s {self.layer} has {_listed(known)}."
            )
        first = next(array for array in self.arrays if array.parts[0] in {"weight_ih", "weight"})
        if np.ndim(arrays[first.name]) != 2:
            raise ShapeError(f"{where}: {first.name} has shape {np.shape(arrays[first.name])}.")
        hidden, inputs = first.sizes(arrays[first.name])
        expected = self.shapes(inputs, hidden)
        wrong = [name for name in arrays if np.shape(arrays[name]) != expected[name]]
        if wrong:
            got = ", ".join(f"{name} {np.shape(arrays[name])}" for name in sorted(arrays))
            fits = ", ".join(f"{name} {expected[name]}" for name in sorted(wrong))
            raise ShapeError(f"{where}: shapes disagree: {got}. To {first.name} belongs {fits}.")
        return [array for array in self.arrays if array.name in arrays]

    def _refuse_lost_bias(self, array: FrameworkArray, blocks: Blocks) -> None:
        """Refuse to add two biases where only one of them stands inside r * (...)."""
        if array.joined != "sum" or len(array.parts) < 2:
            return
        for gate in set(array.gates) & set(TWO_BIASES.get(self.cell, "")):
            largest = float(np.abs(blocks[array.parts[1], gate]).max(initial=0))
            if largest > 0:
                raise ConversionError(
                    f"{TITLES[self.framework]}'s {self.layer} has one bias for gate {gate}, this "
                    f"model has two, and the recurrent one (up to {largest:.3g}) stands inside "
                    "r * (...), so that no single bias replaces them. Use torch, Keras or ONNX, "
                    "or birnn.jax, which keep both."
                )


def _parts(cell: Kind) -> tuple[str, ...]:
    return LINEAR_PARTS if cell == "linear" else PARTS


def _plain(value: Any) -> Any:
    """A value of a setting in a form that compares: functions by name, lists as tuples."""
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return tuple(value) if isinstance(value, list) else value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
