"""The linear layer: NumPy's product, with bits that do not depend on what stands beside a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.engine.linear import Linear
from birnn.errors import ShapeError

# Around the widths of vectors, of panels of four, and of the rows that go together.
SIZES = st.sampled_from([1, 2, 3, 7, 15, 16, 17, 47, 48, 49, 63, 64, 65])


@st.composite
def problems(draw, **fixed):
    """Rows, weight and bias, or None for no bias."""
    rows, inputs, outputs = (
        fixed[name] if name in fixed else draw(SIZES) for name in ("rows", "inputs", "outputs")
    )
    dtype = draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, weight, bias = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((rows, inputs), (outputs, inputs), (outputs,))
    )
    return x, weight, bias if draw(st.booleans()) else None


@given(problem=problems())
def test_it_is_the_product(engine, problem):
    x, weight, bias = problem
    y = Linear(weight, bias)(x)
    assert y.dtype == x.dtype
    expected = x.astype(np.float64) @ weight.astype(np.float64).T
    if bias is not None:
        expected += bias
    tolerance = {"float32": 1e-5, "float64": 1e-12}[x.dtype.name]
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * np.sqrt(x.shape[1]))


@given(problem=problems(inputs=64, outputs=65), data=st.data())
def test_a_row_has_the_same_bits_in_any_company(engine, same_bits, problem, data):
    x, weight, bias = problem
    layer = Linear(weight, bias)
    whole = layer(x)
    order = data.draw(st.lists(st.integers(0, x.shape[0] - 1), max_size=60))
    same_bits(layer(x[np.array(order, np.int64)]), whole[np.array(order, np.int64)])


@given(problem=problems(rows=400, inputs=32, outputs=65))
def test_threads_change_no_bit(engine, same_bits, problem):
    x, weight, bias = problem
    layer = Linear(weight, bias)
    alone = layer(x, threads=1)
    for threads in (2, 3):
        same_bits(layer(x, threads=threads), alone)


@given(problem=problems())
def test_rows_that_are_not_contiguous_change_nothing(engine, same_bits, problem):
    x, weight, bias = problem
    whole = Linear(weight, bias)(x)
    same_bits(Linear(np.asfortranarray(weight), bias)(np.asfortranarray(x)), whole)
    same_bits(Linear(weight, bias)(np.repeat(x, 2, axis=1)[:, ::2]), whole)


@given(problem=problems(rows=5), value=st.sampled_from([np.nan, np.inf]), row=st.integers(0, 4))
def test_what_is_not_finite_stays_in_its_row(engine, same_bits, problem, value, row):
    x, weight, bias = problem
    layer = Linear(weight, bias)
    clean = layer(x)
    x[row] = value
    found, rest = layer(x), np.arange(5) != row
    same_bits(found[rest], clean[rest])
    assert not np.isfinite(found[row]).any()


def test_no_rows(engine):
    assert Linear(np.ones((2, 3)))(np.ones((0, 3))).shape == (0, 2)


def test_weights_are_packed_again_for_another_engine(forced):
    x, weight = np.random.default_rng(0).standard_normal((2, 5, 5))
    layer = Linear(weight)
    for name in (*isa.available(), *isa.available()):
        forced(name)
        np.testing.assert_allclose(layer(x), x @ weight.T, rtol=1e-12, atol=1e-12)


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"weight is a matrix of float32 or float64, got \(3,\)"):
        Linear(np.ones(3))
    with pytest.raises(ShapeError, match="of float16"):
        Linear(np.ones((2, 3), np.float16))
    with pytest.raises(ShapeError, match=r"bias is \(3,\) of float64, it must be \(2,\)"):
        Linear(np.ones((2, 3)), np.ones(3))
    with pytest.raises(ShapeError, match=r"bias is .* of float32, it must be .* of float64"):
        Linear(np.ones((2, 3)), np.ones(2, np.float32))


def test_rows_that_do_not_fit_are_refused():
    layer = Linear(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"x is \(4, 2\) of float64, it must be \(rows, 3\)"):
        layer(np.ones((4, 2)))
    with pytest.raises(ShapeError, match=r"of float32, it must be .* of float64"):
        layer(np.ones((4, 3), np.float32))
