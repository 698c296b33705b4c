"""Python functions in programs of JAX: arrays where XLA has them, and exceptions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn.jax import foreign


def test_every_dtype_and_an_empty_array_arrive_as_they_are():
    seen = []

    def look(given, found):
        seen.extend((array.dtype.name, array.shape, array.tolist()) for array in given)
        found[0][...] = given[0]
        found[1][...] = 7

    with jax.enable_x64(True):
        numbers = jnp.arange(6, dtype=jnp.float64).reshape(2, 3)
        arguments = numbers, jnp.array([3, -4], jnp.int32), jnp.zeros((0, 2), jnp.float32)
        same, seven = foreign.call("look", look, [(2, 3), ()], np.float64, *arguments)
        np.testing.assert_array_equal(same, numbers)
        assert seven == 7
    assert seen == [
        ("float64", (2, 3), [[0, 1, 2], [3, 4, 5]]),
        ("int32", (2,), [3, -4]),
        ("float32", (0, 2), []),
    ]


def test_an_exception_is_an_error_of_the_program_and_the_next_call_works():
    def invert(given, found):
        if not given[0].all():
            raise ValueError("there is a zero in it")
        found[0][...] = 1 / given[0]

    def call(x):
        return jax.block_until_ready(foreign.call("invert", invert, [(2,)], np.float32, x)[0])

    with pytest.raises(jax.errors.JaxRuntimeError, match="ValueError: there is a zero in it"):
        call(jnp.array([1.0, 0.0]))
    np.testing.assert_array_equal(call(jnp.array([1.0, 4.0])), [1, 0.25])


def test_a_transposed_argument_is_read_in_its_order():
    def copy(given, found):
        found[0][...] = given[0]

    @jax.jit
    def turned(x):
        return foreign.call("copy", copy, [(3, 2)], np.float32, x.T)[0]

    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(turned(x), x.T)
