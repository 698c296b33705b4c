"""The checked call: what it refuses, and that what passes is the reference."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.errors import ShapeError
from birnn.kernels import layer
from birnn.ragged import Ragged
from birnn.reference import Stack, State, bidirectional, initialise

STACK = Stack("lstm", 3, 2)


@pytest.fixture
def x():
    rows = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    return Ragged(rows, np.array([3, 0, 2]))


@pytest.fixture
def parameters():
    return initialise(STACK, 0, dtype=np.float32)


def test_what_passes_is_the_reference(x, parameters):
    found = layer.run(x, parameters, STACK)
    expected = bidirectional.run(x, parameters, STACK)
    np.testing.assert_array_equal(found.output.values, expected.output.values)
    np.testing.assert_array_equal(found.final, expected.final)
    assert found.output.values.dtype == np.float32


def test_everything_that_is_wrong_is_named_at_once(x, parameters):
    parameters["weight_hh_l0"] = parameters["weight_hh_l0"].T
    parameters["bias_ih_l0"] = parameters["bias_ih_l0"].astype(np.float64)
    parameters["bias"] = parameters.pop("bias_hh_l0_reverse")
    with pytest.raises(ShapeError) as caught:
        layer.run(x, parameters, STACK)
    message = str(caught.value)
    assert "weight_hh_l0 has shape (2, 8), it must be (8, 2)" in message
    assert "bias_ih_l0 is float64, x is float32" in message
    assert "bias is no parameter" in message
    assert "bias_hh_l0_reverse (8,) is missing" in message


def test_rows_of_another_width_are_refused(x, parameters):
    with pytest.raises(ShapeError, match=r"rows of shape \(2,\), the stack reads \(3,\)"):
        layer.run(x.map(lambda values: values[:, :2]), parameters, STACK)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex64])
def test_other_dtypes_are_refused(x, parameters, dtype):
    with pytest.raises(ShapeError, match="Make it float32 or float64"):
        layer.run(x.map(lambda values: values.astype(dtype)), parameters, STACK)


def test_initial_states_are_checked(x, parameters):
    right = State.zeros(STACK, 3, np.dtype(np.float32))
    assert layer.run(x, parameters, STACK, right).final.shape == (3, 4)
    with pytest.raises(ShapeError, match=r"initial c .* is missing"):
        layer.run(x, parameters, STACK, State(right.h))
    with pytest.raises(ShapeError, match=r"initial h has shape .*, it must be \(2, 3, 2\)"):
        layer.run(x, parameters, STACK, State(right.h[:, :2], right.c))
    gru = Stack("gru", 3, 2)
    with pytest.raises(ShapeError, match="gru has none"):
        layer.run(x, initialise(gru, 0, dtype=np.float32), gru, right)
