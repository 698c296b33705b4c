"""What stacks are given, checked in words: rows, parameters and states of NumPy, JAX or torch."""

# B sequences, S states of all layers and directions, H hidden units

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.engine.arrays import DTYPES
from birnn.errors import ShapeError, UsageError
from birnn.reference.cells import CELLS
from birnn.reference.low_precision import Matrix
from birnn.reference.stack import Stack

Array = npt.NDArray[Any]


def row_faults(rows: Array, stack: Stack, dtype: np.dtype[Any]) -> list[str]:
    """What is wrong with the rows."""
    faults: list[str] = []
    if rows.dtype not in DTYPES:
        faults.append(f"x is {rows.dtype}. Make it float32 or float64")
    elif rows.dtype != dtype:
        faults.append(f"x is {rows.dtype}, the parameters are {dtype}. Give both the same dtype")
    if rows.shape[1:] != (stack.input_size,):
        faults.append(
            f"x has rows of shape {rows.shape[1:]}, the stack reads ({stack.input_size},)"
        )
    return faults


def check_stack(stack: Any) -> None:
    """Refuse what is no `Stack`, such as the name of a cell.

    Raises:
        UsageError: It is something else.

    Example:
        >>> check_stack("lstm")
        Traceback (most recent call last):
        ...
        birnn.errors.UsageError: stack is a str. Give a birnn.reference.Stack.
    """
    if not isinstance(stack, Stack):
        raise UsageError(f"stack is a {type(stack).__name__}. Give a birnn.reference.Stack.")


def check_parameters(parameters: Mapping[str, Any], stack: Stack) -> None:
    """Refuse parameters, of NumPy, JAX or torch, that are not those of a stack.

    Raises:
        ShapeError: Names, shapes or dtypes that do not fit; all of them are named at once.
        UsageError: No stack.

    Example:
        >>> check_parameters({"weight": np.zeros(1)}, Stack("gru", 2, 1, bidirectional=False))
        Traceback (most recent call last):
        ...
        birnn.errors.ShapeError: weight is no parameter of this stack; weight_ih_l0 (3, 2) is ...
    """
    check_stack(stack)
    faults = parameter_faults(parameters, stack)
    if faults:
        raise ShapeError("; ".join(faults))


def parameter_faults(
    parameters: Mapping[str, Any], stack: Stack, dtype: np.dtype[Any] | None = None
) -> list[str]:
    """What is wrong with parameters of NumPy, JAX or torch.

    Args:
        parameters: The arrays by their names.
        stack: The stack that they are to be of.
        dtype: Their dtype, which is that of the rows; None: one that they share.

    Example:
        >>> parameter_faults({"weight_ih_l0": np.zeros((1, 1))}, Stack("gru", 2, 1))[0]
        'weight_ih_l0 has shape (1, 1), it must be (3, 2)'
    """
    shapes, like = stack.shapes(), "x"
    faults = [f"{name} is no parameter of this stack" for name in parameters if name not in shapes]
    for name, shape in shapes.items():
        if name not in parameters:
            faults.append(f"{name} {shape} is missing")
            continue
        array = parameters[name]
        if dtype is None:
            like, dtype = name, _dtype_of(array)
        faults += _array_faults(name, array, shape, like, dtype)
    precisions = {
        name: array.precision if isinstance(array, Matrix) else "floats"
        for name, array in parameters.items()
        if name.startswith("weight_")
    }
    if len(set(precisions.values())) > 1:
        faults.append(f"all weights are of one precision, got {precisions}")
    return faults


def state_faults(sequences: int, dtype: np.dtype[Any], stack: Stack, initial: Any) -> list[str]:
    """What is wrong with initial states, whose ``h`` and ``c`` are arrays of NumPy or JAX.

    Example:
        >>> from birnn.reference import StackState
        >>> states = StackState(np.zeros((2, 4, 1)))
        >>> state_faults(3, np.dtype(float), Stack("gru", 2, 1), states)
        ['initial h has shape (2, 4, 1), it must be (2, 3, 1)']
    """
    if initial is None:
        return []
    shape = (stack.state_count, sequences, stack.hidden_size)
    faults = _array_faults("initial h", initial.h, shape, "x", dtype)
    if CELLS[stack.cell].states == 1:
        if initial.c is not None:
            faults.append(f"initial c is given, {stack.cell} has none. Leave it None")
    elif initial.c is None:
        faults.append(f"initial c {shape} is missing")
    else:
        faults += _array_faults("initial c", initial.c, shape, "x", dtype)
    return faults


def _array_faults(
    name: str, array: Any, shape: tuple[int, ...], like: str, dtype: Any
) -> list[str]:
    """What is wrong with one array, of the shape that it must have and the dtype of another."""
    given = _dtype_of(array)
    if not hasattr(array, "shape") or given is None:
        return [f"{name} is a {type(array).__name__}, it must be an array {shape}"]
    faults = []
    if tuple(array.shape) != shape:
        faults.append(f"{name} has shape {tuple(array.shape)}, it must be {shape}")
    if given != dtype:
        faults.append(f"{name} is {given}, {like} is {dtype}. Give both the same dtype")
    return faults


def _dtype_of(array: Any) -> Any:
    """An array's dtype, None where it has none; of a matrix of low precision that of its rows."""
    return np.dtype(np.float32) if isinstance(array, Matrix) else getattr(array, "dtype", None)
