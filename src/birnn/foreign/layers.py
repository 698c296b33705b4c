"""What the layers of a foreign model are, whatever framework they come from.

Readers of frameworks (`keras_layers`, `state_dict`, `onnx_layers`) make lists of these, in the
order in which data passes through them; `assembly` makes a model of a list.
"""

# V items, D inputs, O outputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.errors import BirnnError, ConversionError
from birnn.reference.stack import CellName, MergeName

Array = npt.NDArray[Any]
PoolName = Literal["last", "max", "mean"]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Base of all layers.

    Args:
        name: What the foreign model calls it, for messages.
    """

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class TrainingOnly(Layer):
    """What acts in training alone, such as dropout."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding(Layer):
    """A vector for each item of a vocabulary.

    Args:
        table: (V, D).
        padded: Whether item 0 is padding, which is no item of a sequence.
    """

    table: Array
    padded: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Masking(Layer):
    """Steps whose channels all have a value are no steps.

    Args:
        value: The value.
    """

    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Normalisation(Layer):
    """Batch normalisation as it predicts: ``gamma (x - mean) / deviation + beta``, (D,) each."""

    mean: Array
    deviation: Array
    gamma: Array
    beta: Array


@dataclass(frozen=True, slots=True, eq=False)
class LinearLayer(Layer):
    """``x W^T + b``.

    Args:
        weight: (O, D).
        bias: (O,).
    """

    weight: Array
    bias: Array


@dataclass(frozen=True, slots=True, eq=False)
class Activation(Layer):
    """A function of each unit, or of a row (softmax).

    Args:
        function: relu, tanh, gelu, softmax, sigmoid or another name.
    """

    function: str


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentLayer(Layer):
    """One recurrent layer, of one or two directions.

    Args:
        cell: The cell.
        halves: Of each direction torch's four arrays, the forward one first.
        merge: How two halves become one row.
        final: Whether it gives the final states and not a row for each step.
    """

    cell: CellName
    halves: tuple[dict[str, Array], ...]
    merge: MergeName = "concat"
    final: bool = False

    @property
    def hidden_size(self) -> int:
        """Hidden units of each direction."""
        return int(self.halves[0]["weight_hh"].shape[1])

    @property
    def input_size(self) -> int:
        """Width of the rows that it reads."""
        return int(self.halves[0]["weight_ih"].shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Pool(Layer):
    """From the rows of a sequence to one: poolings side by side.

    Args:
        parts: Which.
    """

    parts: tuple[PoolName, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Transitions(Layer):
    """A linear-chain CRF above scores: [from, to] (L, L), start (L,), end (L,)."""

    matrix: Array
    start: Array
    end: Array


@contextmanager
def faults_named(what: str) -> Iterator[None]:
    """What a damaged or strange description makes readers raise, as a `ConversionError`.

    It may hold anything, wherever a reader looks for a name, a number or a list.

    Args:
        what: The description, for the message.
    """
    try:
        with np.errstate(all="ignore"):  # what is no number is refused by name at the end
            yield
    except BirnnError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        fault = " ".join(f"{type(error).__name__}: {error!s:.200}".split())
        raise ConversionError(f"{what} ({fault}).") from None


def wide(array: Array) -> Array:
    """An array in float64, in which layers are folded into each other."""
    return np.asarray(array, np.float64)


def linear_layer(name: str, weight: Array, bias: Array | None) -> LinearLayer:
    """A linear layer, which may come without a bias."""
    return LinearLayer(name, weight, np.zeros(len(weight), weight.dtype) if bias is None else bias)
