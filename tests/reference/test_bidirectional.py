"""Stacks: each piece is what its definition says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.ragged import Ragged
from birnn.reference import MERGES, Stack, StackState, initialise, run, run_saving
from stacks import layer_of, stacks

SEEDS = st.integers(0, 2**32 - 1)
MERGED = {
    "concat": lambda f, b, _: np.concatenate([f, b], axis=1),
    "sum": lambda f, b, _: f + b,
    "mean": lambda f, b, _: (f + b) / 2,
    "product": lambda f, b, _: f * b,
    "project": lambda f, b, p: (
        f @ p["merge_l0.weight"][:, : f.shape[1]].T
        + b @ p["merge_l0.weight"][:, f.shape[1] :].T
        + p["merge_l0.bias"]
    ),
}


@pytest.mark.parametrize("merge", sorted(MERGES))
def test_merged_rows_and_final_states_follow_the_definition(merge, draw_batch):
    stack = Stack("lstm", 3, 2, merge=merge)
    x, parameters, initial = draw_batch(stack, [3, 0, 2], 1)
    out = run(x, parameters, stack, initial)
    expected = MERGED[merge](out.forward.values, out.backward.values, parameters)
    np.testing.assert_allclose(out.output.values, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(
        out.final, MERGED[merge](*out.state.h, parameters), rtol=1e-13, atol=1e-13
    )


@given(data=st.data(), seed=SEEDS)
def test_a_stack_is_its_layers_one_after_another(data, seed, lengths, draw_batch):
    stack = data.draw(stacks())
    x, parameters, initial = draw_batch(stack, data.draw(lengths), seed)
    out = run(x, parameters, stack, initial)
    rows = x
    for layer in range(stack.num_layers):
        one = layer_of(stack, layer)
        own = {
            name.replace(f"_l{layer}", "_l0"): value
            for name, value in parameters.items()
            if f"_l{layer}" in name
        }
        here = stack.states_of(layer)
        last = run(rows, own, one, StackState(*(part[here] for part in initial.parts)))
        added = rows.values if stack.adds_input(layer) else 0.0
        rows = last.output.map(lambda values, added=added: values + added)
        for part, expected in zip(out.state.parts, last.state.parts, strict=True):
            np.testing.assert_array_equal(part[here], expected)
    np.testing.assert_array_equal(out.output.values, rows.values)
    np.testing.assert_array_equal(out.forward.values, last.forward.values)
    np.testing.assert_array_equal(out.final, last.final)


@given(data=st.data(), seed=SEEDS)
def test_saving_changes_nothing(data, seed, lengths, draw_batch):
    stack = data.draw(stacks())
    x, parameters, initial = draw_batch(stack, data.draw(lengths), seed)
    light = run(x, parameters, stack, initial)
    saving, _ = run_saving(x, parameters, stack, initial)
    np.testing.assert_array_equal(light.output.values, saving.output.values)
    np.testing.assert_array_equal(light.final, saving.final)
    np.testing.assert_array_equal(light.state.h, saving.state.h)


@given(data=st.data(), seed=SEEDS)
def test_no_initial_state_is_a_state_of_zeros(data, seed, lengths, draw_batch):
    stack = data.draw(stacks())
    x, parameters, _ = draw_batch(stack, data.draw(lengths), seed)
    zeros = StackState.zeros(stack, len(x), np.dtype(np.float64))
    without, given_zeros = run(x, parameters, stack), run(x, parameters, stack, zeros)
    np.testing.assert_array_equal(without.output.values, given_zeros.output.values)
    np.testing.assert_array_equal(without.final, given_zeros.final)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_dtype_follows_the_inputs(cell, draw_batch):
    stack = Stack(cell, 3, 2, num_layers=2, merge="project", residual=True)
    x, parameters, _ = draw_batch(stack, [3, 1], 3)
    out = run(
        x.map(lambda values: values.astype(np.float32)),
        {name: value.astype(np.float32) for name, value in parameters.items()},
        stack,
    )
    arrays = [out.output.values, out.forward.values, out.final, *out.state.parts]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    full = run(x, parameters, stack)
    np.testing.assert_allclose(out.output.values, full.output.values, rtol=1e-5, atol=1e-6)


def test_one_direction_has_no_backward_half_and_its_final_state_is_its_last_row(draw_batch):
    stack = Stack("gru", 2, 3, num_layers=2, bidirectional=False)
    x, parameters, initial = draw_batch(stack, [2, 4], 5)
    out = run(x, parameters, stack, initial)
    assert out.backward is None
    np.testing.assert_array_equal(out.output.values, out.forward.values)
    np.testing.assert_array_equal(out.final, out.output.values[[1, 5]])


def test_a_relu_that_explodes_gives_infinities_without_a_warning():
    stack = Stack("rnn_relu", 1, 2, bidirectional=False)
    parameters = {name: np.full(shape, 1e30) for name, shape in stack.shapes().items()}
    out = run(Ragged(np.ones((40, 1)), np.array([40])), parameters, stack)
    assert np.isinf(out.final).all()


def test_a_long_sequence_runs():
    stack = Stack("lstm", 2, 2)
    rows = np.sin(np.arange(40_000.0)).reshape(-1, 2)
    out = run(Ragged(rows, np.array([20_000])), initialise(stack, 0), stack)
    assert np.isfinite(out.output.values).all()
