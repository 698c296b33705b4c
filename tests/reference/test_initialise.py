"""Random parameters: names, shapes, ranges and what each scheme promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ConfigError
from birnn.reference import Stack, initialise
from birnn.reference.initialise import INITIALISERS
from stacks import stacks


@given(data=st.data(), scheme=st.sampled_from(sorted(INITIALISERS)), seed=st.integers(0, 2**32))
def test_names_shapes_and_seed(data, scheme, seed):
    stack = data.draw(stacks())
    parameters = initialise(stack, seed, scheme=scheme)
    assert {name: value.shape for name, value in parameters.items()} == stack.shapes()
    again = initialise(stack, seed, scheme=scheme, dtype=np.float32)
    for name, value in parameters.items():
        assert again[name].dtype == np.float32
        np.testing.assert_array_equal(again[name], value.astype(np.float32))


def test_another_seed_gives_other_parameters():
    stack = Stack("gru", 3, 4)
    one, two = initialise(stack, 0), initialise(stack, 1)
    assert (one["weight_ih_l0"] != two["weight_ih_l0"]).all()


def test_glorot_is_orthogonal_and_bounded_gate_by_gate():
    stack = Stack("lstm", 30, 20, merge="project")
    parameters = initialise(stack, 3)
    for gate in range(4):
        rows = slice(gate * 20, (gate + 1) * 20)
        recurrent = parameters["weight_hh_l0_reverse"][rows]
        np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(20), atol=1e-12)
        bound = math.sqrt(6 / 50)
        most = np.abs(parameters["weight_ih_l0"][rows]).max()
        assert 0.95 * bound < most <= bound
    assert np.abs(parameters["merge_l0.weight"]).max() <= math.sqrt(6 / 60)


def test_glorot_is_bounded_by_the_width_of_a_projection():
    stack = Stack("gru", 3, 20, merge="project", merge_size=30)
    bound = math.sqrt(6 / (40 + 30))
    most = np.abs(initialise(stack, 3)["merge_l0.weight"]).max()
    assert 0.95 * bound < most <= bound


def test_the_forget_gate_gets_its_bias_once():
    stack = Stack("lstm", 3, 2, num_layers=2)
    parameters = initialise(stack, 0, forget_bias=1.5)
    for end in ("l0", "l0_reverse", "l1", "l1_reverse"):
        total = parameters[f"bias_ih_{end}"] + parameters[f"bias_hh_{end}"]
        np.testing.assert_array_equal(total, [0, 0, 1.5, 1.5, 0, 0, 0, 0])
    for name, value in initialise(Stack("gru", 3, 2), 0).items():
        assert not name.startswith("bias") or not value.any()


def test_the_torch_scheme_has_the_spread_of_torch():
    stack = Stack("lstm", 40, 50)
    ours = initialise(stack, 0, scheme="torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.nn.LSTM(40, 50, bidirectional=True).state_dict()
    for name, value in ours.items():
        np.testing.assert_allclose(np.abs(value).max(), theirs[name].abs().max(), rtol=0.05)
        np.testing.assert_allclose(value.std(), theirs[name].std(), rtol=0.15)


def test_an_unknown_scheme_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean glorot"):
        initialise(Stack("gru", 1, 1), 0, scheme="glorott")
