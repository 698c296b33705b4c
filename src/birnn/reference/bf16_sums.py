"""The three ways in which kernels sum products of bfloat16 numbers, emulated to the bit.

Every product of two bfloat16 numbers is exact in float32 (8 + 8 of 24 bits); what differs is the
order of the additions, and what becomes of numbers below the smallest normal one.

``widened``: float32's own kernels on widened numbers. One chain of fused multiply-adds in the order
of k, denormal numbers as IEEE 754 has them. A processor without that instruction (``generic`` on
x86) rounds the product by itself, which changes nothing unless it leaves float32's range.

``avx512_bf16``: the instruction VDPBF16PS, two of k at once: first the product with the odd k is
added, then that with the even one, each by a fused multiply-add that rounds to nearest, half to
even. Denormal operands, the sum so far among them, are zeros, and so is a result that is denormal
after it was rounded to 24 bits. MXCSR is neither read nor written. Intel's manual says so in words,
and a Zen 4 (family 25, model 17) does so, whatever bits it is given. Of NaNs it gave the first,
made quiet, in the order: even row, even weight, odd row, odd weight, sum; of invalid operations the
NaN 0xffc00000. NaNs are not told apart here.

``amx``: the instruction TDPBF16PS, 32 of k at once: from zero one chain over the even k and one
over the odd, both are added, and that is added to the sum so far; rounding and denormals as above.
This is what Intel's manual prescribes; no processor with AMX has been compared with it yet.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VDPBF16PS and
TDPBF16PS.
"""

# R rows, K columns, O outputs

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bf16Sum = Literal["widened", "avx512_bf16", "amx"]

AMX_GROUP = 32  # numbers of bfloat16 in a row of a tile
SMALLEST_NORMAL = np.float32(2.0**-126)  # of float32
# What lies below rounds to less than the smallest normal number at 24 bits of any exponent. It lies
# on 25 bits, so that rounding to odd keeps each number on its side of it.
_FLUSHED = 2.0**-126 - 2.0**-151


@np.errstate(over="ignore", invalid="ignore")
def fused_multiply_add(a: Array, b: Array, c: Array, *, flush: bool = False) -> Array:
    """``a * b + c`` of float32 numbers, rounded once.

    The product is exact in float64. The sum is rounded to odd there: to the neighbour whose last
    bit is 1, unless it is exact. Rounding that once more, to float32, gives what one rounding
    would have given, as float64 has more than two bits more.

    Args:
        a: Numbers of float32, of any shape.
        b: Likewise; the three are broadcast.
        c: Likewise.
        flush: Denormal numbers are zeros, as operands and as the result.

    Source: Boldo and Melquiond 2008, Emulation of FMA and Correctly Rounded Sums: Proved Algorithms
    Using Rounding to Odd; the error of a sum: Knuth, The Art of Computer Programming 2, 4.2.2.

    Example:
        >>> a, tiny = np.float32(1 + 2**-12), np.float32(2**-100)
        >>> float(fused_multiply_add(a, a, np.float32(0))) == 1 + 2**-11
        True
        >>> float(fused_multiply_add(a, a, tiny)) == 1 + 2**-11 + 2**-23
        True
    """
    if flush:
        a, b, c = flushed(a), flushed(b), flushed(c)
    x, y = np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64)
    total = np.asarray(x + y)
    back = total - x
    error = (x - (total - back)) + (y - back)
    bits = total.view(np.int64)
    # The error of an infinite sum is NaN, which is neither above nor below.
    larger, smaller = (error > 0) == (total > 0), (error < 0) == (total > 0)
    inexact = ((error > 0) | (error < 0)) & (bits & 1 == 0)
    bits += np.where(inexact & larger, 1, np.where(inexact & smaller, -1, 0))
    rounded: Array = total.astype(np.float32)
    if flush:
        rounded = np.where(np.abs(total) < _FLUSHED, np.copysign(np.float32(0), rounded), rounded)
    return rounded


def flushed(x: Array) -> Array:
    """Float32 numbers whose denormal ones are zeros of the same sign.

    Example:
        >>> flushed(np.array([-1e-40, 1e-30], np.float32)).tolist()
        [-0.0, 1.0000000031710769e-30]
    """
    return np.where(np.abs(x) < SMALLEST_NORMAL, np.copysign(np.float32(0), x), x)


def _widened(x_KR: Array, w_KO: Array, sum_RO: Array) -> Array:
    for x_R, w_O in zip(x_KR, w_KO, strict=True):
        sum_RO = fused_multiply_add(x_R[:, None], w_O, sum_RO)
    return sum_RO


def _avx512_bf16(x_KR: Array, w_KO: Array, sum_RO: Array) -> Array:
    x_KR, w_KO = _padded(x_KR, 2), _padded(w_KO, 2)
    for even in range(0, x_KR.shape[0], 2):
        for k in (even + 1, even):
            sum_RO = fused_multiply_add(x_KR[k, :, None], w_KO[k], sum_RO, flush=True)
    return sum_RO


def _amx(x_KR: Array, w_KO: Array, sum_RO: Array) -> Array:
    x_KR, w_KO = _padded(x_KR, AMX_GROUP), _padded(w_KO, AMX_GROUP)
    one = np.ones(1, np.float32)
    for first in range(0, x_KR.shape[0], AMX_GROUP):
        even_RO = odd_RO = np.zeros_like(sum_RO)
        for k in range(first, first + AMX_GROUP, 2):
            even_RO = fused_multiply_add(x_KR[k, :, None], w_KO[k], even_RO, flush=True)
            odd_RO = fused_multiply_add(x_KR[k + 1, :, None], w_KO[k + 1], odd_RO, flush=True)
        both_RO = fused_multiply_add(even_RO, one, odd_RO, flush=True)
        sum_RO = fused_multiply_add(both_RO, one, sum_RO, flush=True)
    return sum_RO


def _padded(x_KR: Array, group: int) -> Array:
    """Zeros at the end, so that the numbers fill whole groups of k."""
    return np.pad(x_KR, ((0, -x_KR.shape[0] % group), (0, 0)))


SUMS: dict[Bf16Sum, Callable[[Array, Array, Array], Array]] = {
    "widened": _widened,
    "avx512_bf16": _avx512_bf16,
    "amx": _amx,
}
"""Sums of products of bfloat16 numbers that stand in float32: rows (K, R) and weights (K, O) are
multiplied and added to the sums so far (R, O)."""
