"""Real numbers as they are handed in, and as a model reads them.

A model reads float32, which holds seven digits: 1700000000 and 1700000001 are one number in it. So
readers keep the precision of the data, and where the values of a channel are large compared with
their spread, an offset is subtracted in float64 before the conversion (`birnn.inputs.Offset`).
"""

# N rows of all sequences, T steps of one, D channels or target values

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import DataError

Reals = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Narrow = npt.NDArray[np.float32]

_PRECISIONS = (np.dtype(np.float32), np.dtype(np.float64))


def reals(given: Any) -> Reals:
    """Real numbers as an array; float16 and float32 become float32, all others float64.

    Raises:
        ValueError: Rows of different lengths, text, complex numbers, dates or other objects.
    """
    # The usual case, without the checks of all others: nothing is to be converted.
    if type(given) is np.ndarray and given.dtype in _PRECISIONS and given.flags.c_contiguous:
        return given
    try:
        array = np.asarray(as_array(given))
        if array.dtype.kind == "O":
            # Integers beyond 64 bits come as objects, and so do texts, dates and None.
            if not all(isinstance(item, Real | Decimal | np.bool_) for item in array.flat):
                raise ValueError("no numbers: objects")
            array = np.asarray(array, dtype=np.float64)
    except (TypeError, OverflowError, RecursionError, RuntimeError) as error:
        raise ValueError(f"no numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"no numbers: {array.dtype}")
    if array.dtype in (np.float32, np.float16):
        return array.astype(np.float32, order="C", copy=False)
    with np.errstate(over="ignore"):
        return array.astype(np.float64, order="C", copy=False)


def as_array(given: Any) -> Any:
    """Tensors and other libraries' arrays as NumPy's, alone or in a list; all else as it is.

    A value that is masked is missing, so it becomes NaN, which no model reads.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, np.ma.MaskedArray):
        if np.ma.is_masked(given) and given.dtype.kind in "fiub":
            wide = given if given.dtype.kind == "f" else given.astype(np.float64)
            return np.ma.filled(wide, np.nan)
        return given if np.ma.is_masked(given) else np.asarray(given)
    if isinstance(given, list | tuple):
        foreign = {kind for kind in set(map(type, given)) if hasattr(kind, "__array__")}
        foreign = {kind for kind in foreign - {np.ndarray} if not issubclass(kind, np.generic)}
        return list(map(as_array, given)) if foreign else given
    if not is_array(given) or isinstance(given, np.ndarray):
        return given
    if hasattr(given, "detach"):  # of torch, which is not imported for it
        given = given.detach().cpu()
        return (given if given.dtype.itemsize != 2 else given.float()).numpy()
    return np.asarray(given)


def is_array(given: Any) -> bool:
    """Whether something is an array or can be made one: a tensor, a column of a data frame."""
    return hasattr(given, "__array__") and not isinstance(given, np.generic | type)


def narrow(values: Reals, offset: tuple[float, ...] = ()) -> Narrow:
    """Values as a model reads them, float32, less the offset of each column where it has one.

    Example:
        >>> narrow(np.array([[1700000000.0], [1700000001.0]]), (1700000000.5,)).tolist()
        [[-0.5], [0.5]]
    """
    # What float32 cannot hold becomes infinite; no warning on the way.
    with np.errstate(over="ignore"):
        if not offset:
            return np.asarray(values, dtype=np.float32)
        return np.subtract(values, offset, dtype=np.float64).astype(np.float32)


def not_finite(values: Reals) -> tuple[int, ...] | None:
    """Place of the first value that is not finite in float32, or None."""
    finite = np.isfinite(narrow(values))
    return None if finite.all() else tuple(np.argwhere(~finite)[0].tolist())


def require_finite(values: Reals, what: str, *places: str) -> None:
    """Refuse values that float32 has no finite number for; ``places`` names each axis.

    Example:
        >>> require_finite(np.array([[1.0, 1e300]]), "sequence 0", "step", "channel")
        Traceback (most recent call last):
        ...
        birnn.errors.DataError: sequence 0, step 0, channel 1 is 1e+300, which float32 cannot \
hold. Fill it in or leave the sequence out.
    """
    bad = not_finite(values)
    if bad is not None:
        at = "".join(f", {place} {index}" for place, index in zip(places, bad, strict=True))
        value = values[bad]
        shown = f"{value:g}, which float32 cannot hold" if np.isfinite(value) else f"{value}"
        rule = (
            " Or have such filled: missing=linear." if np.isnan(value) and "step" in places else ""
        )
        raise DataError(f"{what}{at} is {shown}. Fill it in or leave the sequence out.{rule}")


def is_number(cell: str) -> bool:
    """Whether a cell spells a number.

    Example:
        >>> is_number(" 1e3 "), is_number("1,5")
        (True, False)
        >>> is_number("1_000"), is_number("٣")
        (False, False)
    """
    # Python's float accepts both; in a file they are mistakes or words.
    if "_" in cell or not cell.strip().isascii():
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
