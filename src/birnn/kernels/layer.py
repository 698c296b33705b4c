"""The checked call into the engine that runs recurrent layers."""

# N rows of all sequences, B sequences, S layers times directions, D inputs, H hidden units

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import ShapeError
from birnn.kernels import isa
from birnn.ragged import Ragged
from birnn.reference import bidirectional
from birnn.reference.bidirectional import Outcome, State
from birnn.reference.cells import CELLS
from birnn.reference.stack import Stack

Array = npt.NDArray[Any]
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def run(
    x: Ragged[Array],
    parameters: Mapping[str, Array],
    stack: Stack,
    initial: State | None = None,
) -> Outcome:
    """Run a stack of recurrent layers over a ragged batch.

    Args:
        x: Batch of rows (N, D), float32 or float64.
        parameters: Arrays by the names and shapes of ``stack.shapes()``, of x's dtype.
        stack: Settings of the stack.
        initial: Initial states (S, B, H), of x's dtype; zeros where it is None.

    Returns:
        The last layer's rows, halves and final states, in x's dtype.

    Raises:
        ShapeError: A name, shape or dtype that does not fit; all of them are named at once.
        EngineError: ``BIRNN_ISA`` asks for an engine that is not here.

    Example:
        >>> stack = Stack("gru", 2, 3)
        >>> parameters = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
        >>> run(Ragged(np.ones((2, 2)), np.array([2])), parameters, stack).output.values.shape
        (2, 6)
    """
    faults = [*_faults(x, parameters, stack), *_state_faults(x, stack, initial)]
    if faults:
        raise ShapeError("; ".join(faults))
    isa.active()
    return bidirectional.run(x, parameters, stack, initial)


def _faults(x: Ragged[Array], parameters: Mapping[str, Array], stack: Stack) -> list[str]:
    """What is wrong with the rows and the parameters."""
    faults: list[str] = []
    dtype = x.values.dtype
    if dtype not in DTYPES:
        faults.append(f"x is {dtype}. Make it float32 or float64")
    if x.values.shape[1:] != (stack.input_size,):
        faults.append(
            f"x has rows of shape {x.values.shape[1:]}, the stack reads ({stack.input_size},)"
        )
    shapes = stack.shapes()
    faults += [f"{name} is no parameter of this stack" for name in parameters if name not in shapes]
    for name, shape in shapes.items():
        if name not in parameters:
            faults.append(f"{name} {shape} is missing")
        else:
            faults += _array_faults(name, parameters[name], shape, dtype)
    return faults


def _state_faults(x: Ragged[Array], stack: Stack, initial: State | None) -> list[str]:
    """What is wrong with the initial states."""
    if initial is None:
        return []
    shape = (stack.num_layers * stack.directions, len(x), stack.hidden_size)
    faults = _array_faults("initial h", initial.h, shape, x.values.dtype)
    if CELLS[stack.cell].states == 1:
        if initial.c is not None:
            faults.append(f"initial c is given, {stack.cell} has none. Leave it None")
    elif initial.c is None:
        faults.append(f"initial c {shape} is missing")
    else:
        faults += _array_faults("initial c", initial.c, shape, x.values.dtype)
    return faults


def _array_faults(
    name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> list[str]:
    """What is wrong with one array."""
    faults = []
    if array.shape != shape:
        faults.append(f"{name} has shape {array.shape}, it must be {shape}")
    if array.dtype != dtype:
        faults.append(f"{name} is {array.dtype}, x is {dtype}. Give both the same dtype")
    return faults
