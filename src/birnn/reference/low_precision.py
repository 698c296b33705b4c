"""Weights and rows in 8 bits or bfloat16: the specification of every kernel of low precision.

**int8.** A matrix of weights has one scale for each of its rows, which are a gate's output unit or
an entry of an embedding; a row of inputs has one of its own, so that its answer depends on nothing
but itself. Both are symmetric: ``top`` is the largest magnitude of a row.

```
weights:  scale = top / 127    q = rint(w / scale), at most 127, at least -127
inputs:   scale = top / 127    q = rint(x * (127 / top))
product:  float32(sum of q q in int32) * (scale of the input row * scale of the weights' row)
gates:    ((bias_ih + bias_hh) + product with x) + product with h
```

Every operation is in float32, rounded by itself, halves to even; none is fused with another. A row
whose scale is below the smallest normal number, 2^-126, counts as zeros: its scale is 0. An input
row that holds NaN or infinity has the scale NaN and zeros, so that its own sequence gives NaN. The
third gate of a GRU keeps its two parts apart, each with its own bias.

So sums are exact and gates have the same bits with all instructions, in any batch and any order.

**bfloat16.** Weights and rows are rounded to 8 bits of mantissa, halves to even; denormal numbers
become zeros, NaN stays NaN. Sums are float32, in one of three ways (`birnn.reference.bf16_sums`) or
in NumPy's own.

Low precision is for inference: it has no gradients.

Source: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference; symmetric scales, one for each output: Krishnamoorthi 2018,
Quantizing Deep Convolutional Networks for Efficient Inference, section 2. Inputs that are scaled
while a model runs are torch's and ONNX Runtime's dynamic quantisation, which has one scale for a
whole batch.
"""

# R rows, K columns, O outputs (rows of a matrix of weights), N numbers of rows

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from birnn.errors import ConfigError, ShapeError, nearest
from birnn.reference.bf16_sums import SMALLEST_NORMAL

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Precision = Literal["float32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# What others call them, or the nearest that there is.
_ELSEWHERE: dict[str, Precision] = {
    **dict.fromkeys(("float", "fp32", "f32", "single", "full"), "float32"),
    **dict.fromkeys(("bfloat16", "float16", "fp16", "f16", "half"), "bf16"),
    **dict.fromkeys(("qint8", "i8", "8"), "int8"),
}

LARGEST = 127  # number of int8 that is used, as its negative is; -128 is not
MOST_COLUMNS = (2**31 - 1) // LARGEST**2
"""Columns of which the sum of products cannot leave int32, whatever the numbers are: 133,144."""
BF16_INFINITY = 0x7F80  # its bits without the sign; what is above is NaN
_CANNOT = "which {} cannot hold. Keep this tensor in float32, or mend it"


def check_precision(precision: Any) -> Precision:
    """A precision by its name.

    Raises:
        ConfigError: There is none of that name.

    Example:
        >>> check_precision("bfloat16")
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: no precision 'bfloat16': did you mean bf16?
    """
    for known in PRECISIONS:
        if isinstance(precision, str) and precision == known:
            return known
    name = str(precision).removeprefix("torch.").lower()
    meant = _ELSEWHERE.get(name)
    hint = f"did you mean {meant}?" if meant else nearest(name, PRECISIONS)
    raise ConfigError(f"no precision {precision!r}: {hint}")


@dataclass(frozen=True, slots=True, eq=False)
class Int8Matrix:
    """A matrix in int8 with a scale for each row.

    Args:
        values: (R, C), int8, from -127 to 127.
        scales: (R,), float32: 0, or normal numbers above it.

    Raises:
        ShapeError: Shapes, dtypes or numbers that cannot be, or more than 133,144 columns, of which
            a sum could leave int32.

    Example:
        >>> matrix = Int8Matrix.of(np.array([[0.5, -1.27], [0.0, 0.0]], np.float32))
        >>> matrix.values.tolist(), matrix.nbytes
        ([[50, -127], [0, 0]], 12)
    """

    values: npt.NDArray[np.int8]
    scales: Float32
    precision: ClassVar[Precision] = "int8"

    def __post_init__(self) -> None:
        _check_matrix(self.values, "values", np.int8)
        rows, columns = self.values.shape
        if self.scales.shape != (rows,) or self.scales.dtype != np.float32:
            raise ShapeError(
                f"scales are {self.scales.shape} of {self.scales.dtype}, "
                f"they must be ({rows},) of float32"
            )
        if columns > MOST_COLUMNS:
            raise ShapeError(
                f"a row of int8 has {columns:,} columns, {MOST_COLUMNS:,} are the most whose sum "
                "stays in int32. Use bf16 or float32."
            )
        with np.errstate(over="ignore"):
            fine = (self.scales >= SMALLEST_NORMAL) & (self.scales * np.float32(LARGEST) < np.inf)
        wrong = ~fine & (self.scales != 0)
        _refuse_rows(wrong, "has a scale that is negative, NaN, denormal, or infinite times 127")
        _refuse_rows((self.values < -LARGEST).any(axis=1), "holds -128, values begin at -127")

    @classmethod
    def of(cls, weights: Array) -> Int8Matrix:
        """The matrix nearest to float32 weights (R, C).

        Raises:
            ShapeError: No matrix of float32, or a row with NaN or infinity.

        Example:
            >>> Int8Matrix.of(np.array([[1.0], [np.nan]], np.float32))
            Traceback (most recent call last):
            ...
            birnn.errors.ShapeError: row 1 holds NaN or infinity, which int8 cannot hold. Keep ...
        """
        _check_matrix(weights, "weights", np.float32)
        top = np.abs(weights).max(axis=1, initial=0)
        _refuse_rows(~(top < np.inf), f"holds NaN or infinity, {_CANNOT.format('int8')}")
        scales = _scales(top)
        divisors = np.where(scales > 0, scales, np.float32(np.inf))
        values = np.rint(weights / divisors[:, None]).clip(-LARGEST, LARGEST).astype(np.int8)
        return cls(values, scales)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that values and scales take."""
        return self.values.nbytes + self.scales.nbytes

    def dequantised(self) -> Float32:
        """The numbers that it stands for, (R, C); `of` gives the same matrix for them."""
        return self.values.astype(np.float32) * self.scales[:, None]

    def rows(self, numbers: Array) -> Float32:
        """The rows of these numbers, (N, C); of numbers of any shape, (..., C)."""
        return self.values[numbers].astype(np.float32) * self.scales[numbers][..., None]

    def columns(self, begin: int, stop: int) -> Int8Matrix:
        """Some of its columns, (R, stop - begin), with the scales of whole rows."""
        return Int8Matrix(self.values[:, begin:stop], self.scales)


@dataclass(frozen=True, slots=True, eq=False)
class Bf16Matrix:
    """A matrix in bfloat16: the upper half of float32's bits.

    Args:
        bits: (R, C), uint16, of finite numbers.

    Raises:
        ShapeError: No such matrix, or a row with NaN or infinity.

    Example:
        >>> matrix = Bf16Matrix.of(np.array([[1.0, 1 + 2**-8, 1 + 3 * 2**-8]], np.float32))
        >>> matrix.dequantised().tolist(), matrix.nbytes
        ([[1.0, 1.0, 1.015625]], 6)
    """

    bits: npt.NDArray[np.uint16]
    precision: ClassVar[Precision] = "bf16"

    def __post_init__(self) -> None:
        _check_matrix(self.bits, "bits", np.uint16)
        beyond = (self.bits & 0x7FFF >= BF16_INFINITY).any(axis=1)
        _refuse_rows(beyond, f"holds NaN, infinity or more than 3.39e38, {_CANNOT.format('bf16')}")

    @classmethod
    def of(cls, weights: Array) -> Bf16Matrix:
        """The matrix nearest to float32 weights (R, C).

        Raises:
            ShapeError: No matrix of float32, or a row with NaN, infinity, or a number that rounds
                to infinity.
        """
        _check_matrix(weights, "weights", np.float32)
        return cls((rounded_to_bf16(weights).view(np.uint32) >> 16).astype(np.uint16))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bits.shape[0], self.bits.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.bits.nbytes

    def dequantised(self) -> Float32:
        """The numbers that it stands for, (R, C); `of` gives the same matrix for them."""
        return (self.bits.astype(np.uint32) << 16).view(np.float32)

    def rows(self, numbers: Array) -> Float32:
        """The rows of these numbers, (N, C); of numbers of any shape, (..., C)."""
        return (self.bits[numbers].astype(np.uint32) << 16).view(np.float32)

    def columns(self, begin: int, stop: int) -> Bf16Matrix:
        """Some of its columns, (R, stop - begin)."""
        return Bf16Matrix(self.bits[:, begin:stop])


Matrix = Int8Matrix | Bf16Matrix
MATRICES: dict[Precision, type[Int8Matrix] | type[Bf16Matrix]] = {
    "bf16": Bf16Matrix,
    "int8": Int8Matrix,
}


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def quantised_rows(x: Array) -> tuple[npt.NDArray[np.int8], Float32]:
    """Rows in int8, each with a scale of its own.

    Args:
        x: (R, K), float32.

    Returns:
        Values (R, K) and scales (R,). A row with NaN or infinity has zeros and the scale NaN.

    Example:
        >>> rows = np.array([[0.5, -1.0], [0.0, 0.0], [1.0, np.inf]], np.float32)
        >>> values, scales = quantised_rows(rows)
        >>> values.tolist()
        [[64, -127], [0, 0], [0, 0]]
        >>> scales.round(4).tolist()
        [0.007899999618530273, 0.0, nan]
    """
    top = np.abs(x).max(axis=1, initial=0)
    finite = top < np.inf
    scales = np.where(finite, _scales(top), np.float32(np.nan))
    factors = np.where(scales > 0, np.float32(LARGEST) / top, np.float32(0))
    return np.rint(np.where(finite[:, None], x, 0) * factors[:, None]).astype(np.int8), scales


def rounded_to_bf16(x: Array) -> Float32:
    """Float32 numbers rounded to bfloat16, halves to even, in float32 again.

    Denormal numbers become zeros of the same sign, as the instruction VCVTNEPS2BF16 has it. NaN
    stays NaN: its bits are cut off, and it is made quiet.

    Args:
        x: Numbers of float32, of any shape.

    Example:
        >>> numbers = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1e-40, 3.4e38], np.float32)
        >>> rounded_to_bf16(numbers).tolist()
        [1.0, 1.015625, -0.0, inf]
    """
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    magnitude = bits & 0x7FFFFFFF
    rounded = bits + 0x7FFF + (bits >> 16 & 1)
    rounded = np.where(magnitude < 0x00800000, bits & 0x80000000, rounded)
    rounded = np.where(magnitude > 0x7F800000, bits | 0x00400000, rounded)
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def _scales(top: Array) -> Float32:
    """Scales of rows of these largest magnitudes: 0 where they would be denormal."""
    scales = top / np.float32(LARGEST)
    return np.where(scales < SMALLEST_NORMAL, np.float32(0), scales)


def _check_matrix(array: Array, name: str, dtype: type[np.generic]) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != dtype:
        got = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else f"{array!r}"
        raise ShapeError(f"{name} are a matrix of {np.dtype(dtype)}, got {got}")


def _refuse_rows(wrong: Any, what: str) -> None:
    """Refuse a matrix by the first of its rows that is wrong."""
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise ShapeError(f"row {rows[0]} {what} (rows that do: {rows.size:,})")
