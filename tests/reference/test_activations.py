"""Activations: their definitions, at ordinary numbers and at the ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from birnn.reference.activations import ACTIVATIONS

DEFINITIONS = {
    "relu": lambda x: x if x > 0 else 0.0,
    "tanh": math.tanh,
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_is_its_definition(name, dtype):
    x = np.concatenate([np.linspace(-9, 9, 4001), [-40.0, 40.0, 0.0, -0.0]]).astype(dtype)
    found = ACTIVATIONS[name](x.reshape(5, -1))
    assert (found.dtype, found.shape) == (dtype, (5, x.size // 5))
    expected = [DEFINITIONS[name](float(value)) for value in x]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6, atol=4e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan_and_no_warning_is_raised(name):
    with np.errstate(all="raise", under="ignore"):
        found = ACTIVATIONS[name](np.array([np.nan, 1e30, -1e30, 1.0], np.float32))
    assert np.isnan(found[0])
    assert not np.isnan(found[1:]).any()
    assert ACTIVATIONS[name](np.zeros((0, 3), np.float32)).shape == (0, 3)
