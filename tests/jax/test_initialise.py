"""Random parameters: the distributions that the schemes promise."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from birnn.bundle.conventions import layers_to
from birnn.errors import ConfigError, UsageError
from birnn.jax import apply, init, run
from birnn.reference import Stack


@functools.cache
def drawn(scheme, seed=0, **settings):
    stack = Stack("lstm", 40, 30, merge="project", merge_size=25)
    params = init(jax.random.key(seed), stack, scheme=scheme, **settings)
    assert {name: value.shape for name, value in params.items()} == stack.shapes()
    return {name: np.asarray(value) for name, value in params.items()}


def test_the_same_key_draws_the_same_and_another_key_others():
    one, same, other = drawn("glorot"), drawn("glorot", 0, forget_bias=1), drawn("glorot", 1)
    np.testing.assert_array_equal(one["weight_ih_l0"], same["weight_ih_l0"])
    assert (one["weight_ih_l0"] != other["weight_ih_l0"]).all()
    # Directions are drawn apart.
    assert (one["weight_ih_l0"] != one["weight_ih_l0_reverse"]).all()


def test_normal_has_its_standard_deviation_and_biases_of_0():
    for name, value in drawn("normal", sigma=0.5).items():
        if name.startswith("bias") or name.endswith("bias"):
            assert not value.any()
        else:
            assert value.std() == pytest.approx(0.5, rel=0.1)
            assert value.mean() == pytest.approx(0, abs=0.1)


def test_glorot_reaches_its_bounds_gate_by_gate():
    params = drawn("glorot")
    for gate in np.split(params["weight_ih_l0_reverse"], 4):
        bound = np.sqrt(6 / (40 + 30))
        assert 0.95 * bound < abs(gate).max() <= bound
    bound = np.sqrt(6 / (60 + 25))
    assert 0.95 * bound < abs(params["merge_l0.weight"]).max() <= bound


@pytest.mark.parametrize("scheme", ["glorot", "orthogonal"])
def test_recurrent_weights_are_orthogonal_gate_by_gate(scheme):
    for gate in np.split(drawn(scheme)["weight_hh_l0"], 4):
        np.testing.assert_allclose(gate @ gate.T, np.eye(30), atol=1e-5)


def test_orthogonal_input_weights_have_orthonormal_rows():
    params = drawn("orthogonal")
    for gate in np.split(params["weight_ih_l0"], 4):
        np.testing.assert_allclose(gate @ gate.T, np.eye(30), atol=1e-5)
    merge = params["merge_l0.weight"]
    np.testing.assert_allclose(merge @ merge.T, np.eye(25), atol=1e-5)


def test_torch_is_uniform_within_1_over_the_root_of_the_fan_in():
    for name, value in drawn("torch").items():
        bound = 1 / np.sqrt(60 if name.startswith("merge") else 30)
        assert 0.8 * bound < abs(value).max() <= bound


def test_an_lstm_has_a_forget_bias_and_a_gru_none():
    bias = drawn("glorot", forget_bias=3.0)["bias_ih_l0"]
    assert np.flatnonzero(bias).tolist() == list(range(30, 60))
    assert set(bias[30:60]) == {3}
    gru = init(jax.random.key(0), Stack("gru", 40, 30))
    assert not any(value.any() for name, value in gru.items() if name.startswith("bias"))


def test_a_scheme_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match="scheme is 'glorott': did you mean glorot"):
        init(jax.random.key(0), Stack("gru", 3, 2), scheme="glorott")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheme": "normal", "sigma": -1}, "sigma is -1, a standard deviation is 0 or more"),
        ({"scheme": "normal", "sigma": float("nan")}, "sigma is nan, a standard deviation"),
        ({"sigma": 0.1}, "sigma is 0.1, and scheme 'glorot' has none.*scheme 'normal'"),
        ({"scheme": "torch", "forget_bias": 2}, "forget_bias is 2, and.*'glorot' or 'orthogonal'"),
    ],
)
def test_settings_that_a_scheme_has_not_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        init(jax.random.key(0), Stack("gru", 3, 2), **settings)


def test_what_is_no_stack_is_refused():
    for function in (
        lambda: init(jax.random.key(0), "lstm"),
        lambda: apply({}, np.zeros((1, 2, 3)), stack="lstm"),
        lambda: run({}, np.zeros((1, 2, 3)), stack="lstm"),
        lambda: layers_to("keras", "lstm", {}),
    ):
        with pytest.raises(
            UsageError, match=r"^stack is a str\. Give a birnn\.reference\.Stack\.$"
        ):
            function()
