"""The linear layer over rows, each row with the same bits whatever stands beside it."""

# R rows, I inputs, O outputs

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.engine import isa
from birnn.engine.arrays import DTYPES, aligned_empty, contiguous, precision_number, stored
from birnn.engine.threads import get_num_threads
from birnn.errors import ShapeError
from birnn.reference.activations import ACTIVATIONS, ActivationName
from birnn.reference.low_precision import Matrix
from birnn.reference.products import Multiplier, multiplier, precision_of, rows_dtype

Array = npt.NDArray[Any]


class Linear:
    """``y = x W^T + b`` with weights that stay as they are.

    They are packed for the engine in use when they are first needed, so they must not be changed
    afterwards.

    Args:
        weight: (O, I), float32 or float64; or a matrix of low precision, whose bias and rows are
            float32.
        bias: (O,), of the same dtype; None for none.

    Raises:
        ShapeError: Shapes or dtypes that do not fit.

    Example:
        >>> Linear(np.array([[1.0, 2.0]]), np.array([0.5]))(np.array([[3.0, 4.0]])).tolist()
        [[11.5]]
        >>> from birnn.reference import Int8Matrix
        >>> weight = Int8Matrix.of(np.array([[127.0, 1.0]], np.float32))
        >>> Linear(weight)(np.array([[1.0, 1.0]], np.float32)).tolist()
        [[128.0]]
    """

    def __init__(self, weight: Array | Matrix, bias: Array | None = None) -> None:
        dtype = rows_dtype(weight)
        if len(weight.shape) != 2 or dtype not in DTYPES:
            raise ShapeError(
                f"weight is a matrix of float32 or float64, got {weight.shape} of {dtype}"
            )
        if bias is not None and (bias.shape != weight.shape[:1] or bias.dtype != dtype):
            raise ShapeError(
                f"bias is {bias.shape} of {bias.dtype}, it must be {weight.shape[:1]} of {dtype}"
            )
        self._weight = weight if isinstance(weight, Matrix) else contiguous(weight)
        self._bias = None if bias is None else contiguous(bias)
        self._dtype = dtype
        self._precision = precision_of(weight)
        self._packed: tuple[str, Array] | None = None
        self._multiply: Multiplier | None = None  # where the reference runs

    @classmethod
    def of(cls, tensors: Mapping[str, Any], name: str) -> Linear:
        """The linear layer ``name.weight``, ``name.bias`` of a model's tensors."""
        return cls(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def __call__(self, x: Array, *, threads: int | None = None) -> Array:
        """Outputs (R, O) of rows (R, I).

        Args:
            x: Rows, of the weight's dtype.
            threads: How many run at once; as many as are set where it is None.

        Raises:
            ShapeError: Rows of another width or dtype.
            EngineError: ``BIRNN_ISA`` asks for an engine that is not here.
        """
        outputs, inputs = self._weight.shape
        if x.ndim != 2 or x.shape[1] != inputs or x.dtype != self._dtype:
            raise ShapeError(
                f"x is {x.shape} of {x.dtype}, it must be (rows, {inputs}) of {self._dtype}"
            )
        native = isa.selected_engine(self._precision)
        if native is None:
            if self._multiply is None:
                self._multiply = multiplier(self._weight)
            return self._multiply(x, self._bias)
        number = precision_number(self._precision, x.dtype)
        engine = native.engine(number)
        # Read once: another thread may put its own there meanwhile.
        packed_for, packed = self._packed or ("", x)
        if packed_for != engine:
            size = native.linear_bytes(inputs, outputs, number, engine)
            packed = aligned_empty(size, np.dtype(np.uint8))
            numbers, scales = stored(self._weight)
            native.linear_pack(numbers, packed, scales, engine)
            self._packed = engine, packed
        y = np.empty((x.shape[0], outputs), x.dtype)
        native.linear(
            contiguous(x),
            packed,
            self._bias,
            y,
            threads or get_num_threads(),
            number,
            engine,
        )
        return y


class DenseLayer:
    """``activation(x W^T + b)``.

    Args:
        tensors: Tensors of a model.
        name: The layer's, before ``.weight`` and ``.bias``.
        activation: relu, tanh or gelu.

    Example:
        >>> tensors = {"d.weight": np.array([[1.0], [-1.0]]), "d.bias": np.zeros(2)}
        >>> DenseLayer(tensors, "d", "relu")(np.array([[3.0]])).tolist()
        [[3.0, 0.0]]
    """

    def __init__(self, tensors: Mapping[str, Any], name: str, activation: ActivationName) -> None:
        self._linear = Linear.of(tensors, name)
        self._activation: Callable[[Array], Array] = ACTIVATIONS[activation]

    def __call__(self, x: Array) -> Array:
        """Outputs (R, O) of rows (R, I)."""
        return self._activation(self._linear(x))
