"""Matrices of low precision: what rounding may change by proof, and the sums of bfloat16."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ShapeError
from birnn.reference.bf16_sums import SUMS, fused_multiply_add
from birnn.reference.low_precision import (
    MATRICES,
    MOST_COLUMNS,
    Bf16Matrix,
    Int8Matrix,
    quantised_rows,
    rounded_to_bf16,
)
from birnn.reference.products import product

F = np.float32
UNIT = 2.0**-24  # of float32: the largest relative error of one rounding
BF16_UNIT = 2.0**-8  # the same of bfloat16, which has 8 bits

any_bits = st.integers(0, 2**32 - 1)
some_floats = st.floats(-1e3, 1e3, width=32)


def from_bits(bits):
    return np.array(bits, np.uint32).view(F)


def nearest(exact, flush):
    """The float32 nearest to a fraction, ties to even, by search among its neighbours."""
    guess = F(min(max(float(exact), -3.5e38), 3.5e38))
    around = (np.nextafter(guess, F(-np.inf)), guess, np.nextafter(guess, F(np.inf)))
    # Infinity stands for the number that would come next.
    value = [
        Fraction(2) ** 128 * int(np.sign(a)) if np.isinf(a) else Fraction(float(a)) for a in around
    ]
    even = [int(a.view(np.uint32)) & 1 for a in around]
    best = min(range(3), key=lambda i: (abs(value[i] - exact), even[i]))
    if flush and abs(exact) < Fraction(2) ** -126 * (1 - Fraction(2) ** -25):
        return F(0)
    return around[best]


@pytest.mark.parametrize("flush", [False, True])
@given(bits=st.lists(any_bits, min_size=3, max_size=3), close=st.booleans())
def test_fused_multiply_add_rounds_the_exact_sum_once(bits, close, flush):
    a, b, c = from_bits(bits)
    if close:  # sums that cancel
        with np.errstate(all="ignore"):
            c = np.nextafter(-(a * b), F(np.inf))
    got = fused_multiply_add(a, b, c, flush=flush)
    if flush:
        a, b, c = (F(0) if abs(v) < F(2.0**-126) else v for v in (a, b, c))
    if not np.isfinite([a, b, c]).all():
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(got, a * b + c if np.isinf(a * b) else F(0) * a * b + c)
        return
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    np.testing.assert_array_equal(got, nearest(exact, flush))


# (1 + 2^-12)^2 is the middle of two float32 numbers. What is added decides, and float64 cannot hold
# it beside the product.
@pytest.mark.parametrize(("added", "rounded_up"), [(2.0**-100, 1), (-(2.0**-100), 0), (0.0, 0)])
def test_a_sum_that_two_roundings_would_miss(added, rounded_up):
    a = F(1 + 2**-12)
    assert fused_multiply_add(a, a, F(added)) == 1 + 2.0**-11 + rounded_up * 2.0**-23


# Below the smallest normal number: what is left after rounding to 24 bits decides.
@pytest.mark.parametrize(("taken", "left"), [(-151, 2.0**-126), (-150, 0.0), (-149, 0.0)])
def test_results_are_flushed_after_they_were_rounded(taken, left):
    a, b = F(-(2.0**-75)), F(2.0 ** (taken + 75))
    assert fused_multiply_add(a, b, F(2.0**-126), flush=True) == left


def test_order_of_each_way_to_sum():
    # 1, then 2^-24 twice: one after the other both are lost, together they are not.
    x = np.zeros((1, 32), F)
    weights = np.ones((1, 32), F)
    start = np.ones((1, 1), F)

    def sums(places):
        x[:] = 0
        x[0, places] = 2.0**-24
        return {
            name: float(SUMS[name](x.T, weights.T, start)[0, 0] - 1) / 2.0**-24 for name in SUMS
        }

    assert sums([0, 1]) == {"widened": 0, "avx512_bf16": 0, "amx": 2}

    # Where -1 comes after 2^-24 that is lost, before it it is not.
    def cancelled(first, second):
        x[:] = 0
        x[0, first], x[0, second] = 2.0**-24, -1
        return {name: float(SUMS[name](x.T, weights.T, start)[0, 0]) > 0 for name in SUMS}

    # AMX adds -1 and 2^-24 first, which is exact.
    assert cancelled(0, 1) == {"widened": False, "avx512_bf16": True, "amx": True}
    assert cancelled(1, 0) == {"widened": True, "avx512_bf16": False, "amx": True}
    # In one chain of AMX's, from zero on: 2^-24 and -1 give -1 + 2^-24.
    assert cancelled(0, 2) == {"widened": False, "avx512_bf16": False, "amx": True}


@given(bits=any_bits)
def test_rounding_to_bfloat16_is_to_the_nearest(bits):
    x = from_bits([bits])
    (rounded,) = rounded_to_bf16(x)
    if np.isnan(x[0]):
        assert np.isnan(rounded)
    elif abs(x[0]) < F(2.0**-126):
        assert rounded == 0
        assert np.signbit(rounded) == np.signbit(x[0])
    elif np.isfinite(rounded):
        assert int(rounded.view(np.uint32)) & 0xFFFF == 0
        below, above = (from_bits(int(rounded.view(np.uint32)) + d) for d in (-0x10000, 0x10000))
        apart = [
            abs(Fraction(float(v)) - Fraction(float(x[0])))
            for v in (below, rounded, above)
            if np.isfinite(v)
        ]
        nearest_apart = abs(Fraction(float(rounded)) - Fraction(float(x[0])))
        assert nearest_apart == min(apart)
        if apart.count(nearest_apart) == 2:
            assert int(rounded.view(np.uint32)) & 0x10000 == 0
    else:
        assert abs(float(x[0])) >= 2.0**128 - 2.0**119


def drawn(rng, rows, columns, spread=30):
    """Numbers of very different magnitudes."""
    numbers = rng.standard_normal((rows, columns)) * 10.0 ** rng.uniform(-spread, spread, (rows, 1))
    return numbers.astype(F)


@pytest.mark.parametrize("kind", MATRICES.values())
def test_quantising_what_was_dequantised_gives_the_same_matrix(kind, rng):
    matrix = kind.of(drawn(rng, 200, 7))
    again = kind.of(matrix.dequantised())
    for name in ("values", "scales") if kind is Int8Matrix else ("bits",):
        np.testing.assert_array_equal(getattr(again, name), getattr(matrix, name))


def test_scales_survive_whatever_the_largest_weight_is():
    # All 24 bits of a mantissa in steps that meet all residues of 127 and of 128.
    top = np.arange(2**23, 2**24, 97).astype(F)[:, None]
    for exponent in (-148, -23, 103):
        matrix = Int8Matrix.of(np.ldexp(top, exponent))
        np.testing.assert_array_equal(Int8Matrix.of(matrix.dequantised()).scales, matrix.scales)


@pytest.mark.parametrize("kind", MATRICES.values())
def test_rows_columns_and_shape_are_those_of_the_dequantised_matrix(kind, rng):
    matrix = kind.of(drawn(rng, 6, 5))
    plain = matrix.dequantised()
    assert matrix.shape == plain.shape
    numbers = np.array([[5, 0], [2, 2]])
    np.testing.assert_array_equal(matrix.rows(numbers), plain[numbers])
    assert matrix.rows(np.array([], np.int64)).shape == (0, 5)
    np.testing.assert_array_equal(matrix.columns(1, 4).dequantised(), plain[:, 1:4])


def test_error_of_a_weight_is_half_a_step(rng):
    weights = drawn(rng, 100, 9)
    matrix = Int8Matrix.of(weights)
    error = np.abs(matrix.dequantised().astype(np.float64) - weights)
    # Half a scale by rint; a quotient and a product are rounded before and after, of numbers up to
    # 127 scales.
    bound = matrix.scales.astype(np.float64)[:, None] * (0.5 + 127 * 2.5 * UNIT)
    assert (error <= bound).all()
    rounded = Bf16Matrix.of(weights).dequantised().astype(np.float64)
    assert (np.abs(rounded - weights) <= BF16_UNIT * np.abs(weights).astype(np.float64)).all()


@pytest.mark.parametrize("columns", [1, 3, 64, 200])
def test_error_of_a_product_is_bounded_by_its_roundings(columns, rng):
    x, weights = drawn(rng, 20, columns, 10), drawn(rng, 15, columns, 10)
    start = rng.standard_normal(15).astype(F)
    exact = x.astype(np.float64) @ weights.T.astype(np.float64) + start
    sizes = np.abs(x).astype(np.float64) @ np.abs(weights).T.astype(np.float64)

    # int8: x = x~ + e with |e| <= s/2 (1 + small) for each of K columns, likewise w; then
    # |x w - x~ w~| <= |e| |w| + |x| |f| + |e| |f| summed, and four roundings of the result.
    half_x = np.abs(x).max(axis=1).astype(np.float64)[:, None] / 127 * (0.5 + 127 * 4 * UNIT)
    half_w = np.abs(weights).max(axis=1).astype(np.float64) / 127 * (0.5 + 127 * 4 * UNIT)
    absolute_x, absolute_w = (np.abs(a).sum(axis=1).astype(np.float64) for a in (x, weights))
    quantising = half_x * absolute_w + absolute_x[:, None] * half_w + columns * half_x * half_w
    bound = quantising + (sizes + quantising + np.abs(exact)) * 4 * UNIT
    got = product(x, Int8Matrix.of(weights), start)
    assert (np.abs(got - exact) <= bound * 1.000001).all()

    # bfloat16: each factor has a relative error of one unit; a chain of K + 1 additions.
    relative = (1 + BF16_UNIT) ** 2 - 1
    summing = (columns + 34) * UNIT * 1.001
    bound = relative * sizes + summing * (sizes * (1 + relative) + np.abs(start))
    for summed in (None, *SUMS):
        got = product(x, Bf16Matrix.of(weights), start, summed=summed)
        assert (np.abs(got - exact) <= bound * 1.000001).all(), summed


@pytest.mark.parametrize("precision", MATRICES)
def test_a_row_of_a_product_depends_on_nothing_but_itself(precision, rng):
    x, matrix = drawn(rng, 9, 33, 3), MATRICES[precision].of(drawn(rng, 5, 33, 3))
    together = product(x, matrix, summed="widened")
    alone = np.concatenate([product(row[None], matrix, summed="widened") for row in x[::-1]])
    np.testing.assert_array_equal(alone[::-1], together)


@pytest.mark.parametrize("precision", MATRICES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(precision, wrong, rng):
    x, matrix = drawn(rng, 4, 6, 3), MATRICES[precision].of(np.abs(drawn(rng, 3, 6, 3)))
    before = product(x, matrix, summed="widened")
    x[2, 3] = wrong
    after = product(x, matrix, summed="widened")
    assert not np.isfinite(after[2]).any()
    np.testing.assert_array_equal(np.delete(after, 2, axis=0), np.delete(before, 2, axis=0))


def test_rows_are_right_whatever_their_largest_number_is(rng):
    # An outlier of 1e30 takes all levels; a row below 127 * 2^-126 counts as zeros.
    x = np.array([[1e30, 1.0, -3e29], [1e-36, 0, 0], [1.6e-36, 0, 0], [0, 0, 0], [3.4e38, 0, 0]], F)
    values, scales = quantised_rows(x)
    assert values.tolist() == [[127, 0, -38], [0, 0, 0], [127, 0, 0], [0, 0, 0], [127, 0, 0]]
    assert (scales[[1, 3]] == 0).all()
    assert np.isfinite(scales).all()
    # The largest number gives 127 levels, never 128, which int8 has not.
    tops = np.arange(2**23, 2**24, 61).astype(F)[:, None]
    values, _ = quantised_rows(np.concatenate([tops, -tops], axis=1))
    assert (values == [127, -127]).all()


def test_sums_of_int8_stay_in_int32():
    assert MOST_COLUMNS * 127**2 <= 2**31 - 1 < (MOST_COLUMNS + 1) * 127**2
    most = np.full((1, MOST_COLUMNS), 127.0, F)
    assert product(most, Int8Matrix.of(most)).item() == F(MOST_COLUMNS * 127**2)
    with pytest.raises(ShapeError, match="133,144 are the most"):
        Int8Matrix.of(np.ones((1, MOST_COLUMNS + 1), F))


@pytest.mark.parametrize("kind", MATRICES.values())
def test_weights_that_cannot_be_are_refused_by_their_row(kind):
    for wrong in (np.nan, np.inf, np.finfo(F).max):
        weights = np.zeros((3, 2), F)
        weights[2, 1] = wrong
        with pytest.raises(ShapeError, match="row 2 h"):
            kind.of(weights)
    for other in (np.zeros((2, 2)), np.zeros(2, F), [[1.0]]):
        with pytest.raises(ShapeError, match="matrix of float32"):
            kind.of(other)
    zeros = kind.of(np.zeros((2, 0), F)), kind.of(np.zeros((0, 2), F)), kind.of(np.zeros((2, 2), F))
    assert all(not matrix.dequantised().any() for matrix in zeros)


def test_matrices_of_wrong_parts_are_refused():
    values, scales = np.zeros((2, 3), np.int8), np.ones(2, F)
    with pytest.raises(ShapeError, match="scales are"):
        Int8Matrix(values, scales[:1])
    for scale in (np.nan, -1, np.inf, 1e37, 1e-39):
        with pytest.raises(ShapeError, match="row 1 has a scale"):
            Int8Matrix(values, np.array([1, scale], F))
    with pytest.raises(ShapeError, match="row 0 holds -128"):
        Int8Matrix(np.array([[-128]], np.int8), scales[:1])
    with pytest.raises(ShapeError, match="bits are a matrix"):
        Bf16Matrix(np.zeros((2, 3), np.int16))
    with pytest.raises(ShapeError, match="row 1 holds NaN"):
        Bf16Matrix(np.array([[0], [0x7F80]], np.uint16))


@pytest.mark.parametrize("precision", MATRICES)
@pytest.mark.parametrize("rows", [np.zeros((2, 3)), np.zeros((2, 4), F), np.zeros(3, F)])
def test_rows_that_do_not_fit_are_refused(precision, rows):
    with pytest.raises(ShapeError, match=f"weights in {precision} read"):
        product(rows, MATRICES[precision].of(np.ones((1, 3), F)))
