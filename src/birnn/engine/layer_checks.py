"""What layers are given, checked in words before the kernels run; the module checks it again."""

# R rows of the array, D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.engine.arrays import DTYPES, RowLayout
from birnn.errors import EngineError, ShapeError
from birnn.reference.low_precision import Matrix, Precision
from birnn.reference.products import precision_of
from birnn.reference.stack import GATES, CellName

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]
DirectionWeights = tuple[Array, Array, Array | None, Array | None]
"""weight_ih (G, D), weight_hh (G, H), bias_ih (G,), bias_hh (G,) of one direction."""
InferenceWeights = DirectionWeights | tuple[Matrix, Matrix, Array | None, Array | None]
"""The same, or both matrices of one low precision; then rows, states and biases are float32."""


def check_engine(products: str, packed: str) -> None:
    """Refuse products of weights that were packed for another engine."""
    if products != packed:
        raise EngineError(
            f"the products are of {products}, the weights are packed for {packed}. Form them again."
        )


def check_call(
    cell: CellName,
    x: Array,
    layout: RowLayout,
    weights: Sequence[InferenceWeights],
    initial: Arrays | None,
) -> int:
    """Hidden units, once everything fits; the compiled module checks again what it is given."""
    if x.ndim != 2 or x.dtype not in DTYPES:
        raise ShapeError(f"x is a matrix of float32 or float64, got {x.shape} of {x.dtype}")
    if x.shape[0] != layout.rows:
        raise ShapeError(f"x has {x.shape[0]} rows, the layout has {layout.rows}")
    sequences = layout.lengths.shape[0]
    return check_weights(cell, x.shape[1], x.dtype, weights, sequences, initial)


def check_weights(
    cell: CellName,
    inputs: int,
    dtype: np.dtype[Any],
    weights: Sequence[InferenceWeights],
    sequences: int = 0,
    initial: Arrays | None = None,
) -> int:
    """Hidden units, once weights and initial states fit to rows of a width and dtype."""
    if len(weights) not in (1, 2):
        raise ShapeError(f"weights are those of 1 or 2 directions, got {len(weights)}")
    if len(weights[0][1].shape) != 2:
        raise ShapeError(f"weight_hh is a matrix, got shape {weights[0][1].shape}")
    hidden = int(weights[0][1].shape[1])
    rows = GATES[cell] * hidden
    shapes = ((rows, inputs), (rows, hidden), (rows,), (rows,))
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    expected: list[Expected] = [
        (name, part, shape)
        for one in weights
        for name, part, shape in zip(names, one, shapes, strict=True)
        if part is not None
    ]
    if initial is not None:
        expected += expected_states(cell, initial, (len(weights), sequences, hidden))
    wrong = faults(expected, dtype, precision_of(weights[0][0]))
    if wrong:
        raise ShapeError("; ".join(wrong))
    return hidden


def check_rows(x: Array, inputs: int, dtype: np.dtype[Any]) -> None:
    """Refuse rows of another width or dtype than a layer's.

    Raises:
        ShapeError: They are.
    """
    if x.ndim != 2 or x.shape[1] != inputs or x.dtype != dtype:
        raise ShapeError(f"x is {x.shape} of {x.dtype}, it must be (rows, {inputs}) of {dtype}")


Expected = tuple[str, Array | Matrix, tuple[int, ...]]
"""The name of an array, the array, and the shape that it must have."""


def expected_states(cell: CellName, initial: Arrays, shape: tuple[int, ...]) -> list[Expected]:
    """The initial states, of which there must be as many as the cell has."""
    states = 2 if cell == "lstm" else 1
    if len(initial) != states:
        raise ShapeError(f"{cell} has {states} initial states, got {len(initial)}")
    return [(f"initial {n}", s, shape) for n, s in zip("hc", initial, strict=False)]


def faults(
    expected: list[Expected], dtype: np.dtype[Any], precision: Precision = "float32"
) -> list[str]:
    """What is wrong with arrays that must have a shape and a dtype, with weights of a precision."""
    found = []
    for name, part, shape in expected:
        of = part.precision if isinstance(part, Matrix) else str(part.dtype)
        is_low = precision != "float32" and name.startswith("weight")
        must_be = precision if is_low else str(dtype)
        if part.shape != shape or of != must_be:
            found.append(f"{name} is {part.shape} of {of}, it must be {shape} of {must_be}")
    return found
