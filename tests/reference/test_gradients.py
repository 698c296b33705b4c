"""Backward through time against central differences in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from birnn.reference import GATES, MERGE_WIDTH, Stack, StackState, gradients, run, run_saving
from stacks import stacks

SEEDS = st.integers(0, 2**32 - 1)


def weights_of_a_loss(out, rng):
    """A random linear loss of everything that a run gives."""
    d_state = StackState(*(rng.standard_normal(part.shape) for part in out.state.parts))
    shapes = (out.output.values.shape, out.final.shape)
    return (*(rng.standard_normal(shape) for shape in shapes), d_state)


def loss(out, d_output, d_final, d_state):
    total = np.vdot(d_output, out.output.values) + np.vdot(d_final, out.final)
    return total + sum(
        np.vdot(d, part) for d, part in zip(d_state.parts, out.state.parts, strict=True)
    )


def arguments(x, parameters, initial):
    """Everything that a run depends on, by name."""
    states = {f"initial {i}": part for i, part in enumerate(initial.parts)}
    return {"x": x.values, **parameters, **states}


def run_with(x, stack, values, runner):
    states = [values[name] for name in values if name.startswith("initial")]
    parameters = {name: values[name] for name in stack.shapes()}
    return runner(x.with_values(values["x"]), parameters, stack, StackState(*states))


def check_every_entry(stack, x, parameters, initial, rng, epsilon=1e-6):
    out, saved = run_saving(x, parameters, stack, initial)
    weights = weights_of_a_loss(out, rng)
    d_x, d_parameters, d_initial = gradients(saved, *weights)
    values = arguments(x, parameters, initial)
    found = arguments(x.with_values(d_x), d_parameters, d_initial)
    assert found.keys() == values.keys()
    for name, d in found.items():
        assert d.shape == values[name].shape
        for place in np.ndindex(d.shape):
            sides = []
            for sign in (1, -1):
                moved = values[name].copy()
                moved[place] += sign * epsilon
                changed = run_with(x, stack, values | {name: moved}, run)
                sides.append(loss(changed, *weights))
            expected = (sides[0] - sides[1]) / (2 * epsilon)
            np.testing.assert_allclose(d[place], expected, rtol=2e-6, atol=2e-8, err_msg=name)


@pytest.mark.parametrize("cell", sorted(GATES))
def test_every_entry_of_every_gradient(cell, rng, draw_batch):
    stack = Stack(cell, 2, 2, num_layers=2, merge="sum", residual=True)
    check_every_entry(stack, *draw_batch(stack, [2, 0, 3], 11), rng)


@pytest.mark.parametrize("merge", sorted(MERGE_WIDTH))
def test_every_entry_with_every_merge(merge, rng, draw_batch):
    stack = Stack("gru", 2, 1, num_layers=2, merge=merge)
    check_every_entry(stack, *draw_batch(stack, [1, 3], 12), rng)


@pytest.mark.parametrize("merge", ["concat", "project"])
def test_every_entry_where_layers_have_directions_of_their_own(merge, rng, draw_batch):
    directions = ("both", "forward", "both")
    width = 3 if merge == "project" else None
    stack = Stack("gru", 2, 2, 3, merge=merge, merge_size=width, directions=directions)
    check_every_entry(stack, *draw_batch(stack, [2, 0, 1], 16), rng)


@given(data=st.data(), seed=SEEDS)
def test_any_stack_along_a_random_direction(data, seed, lengths, draw_batch):
    stack = data.draw(stacks())
    # The kink of relu lies within the step of some draws: relu is tested entry by entry above.
    assume(stack.cell != "rnn_relu")
    x, parameters, initial = draw_batch(stack, data.draw(lengths), seed)
    rng = np.random.default_rng(seed)
    out, saved = run_saving(x, parameters, stack, initial)
    weights = weights_of_a_loss(out, rng)
    d_x, d_parameters, d_initial = gradients(saved, *weights)
    values = arguments(x, parameters, initial)
    along = {name: rng.standard_normal(value.shape) for name, value in values.items()}
    found = sum(
        np.vdot(d, along[name])
        for name, d in arguments(x.with_values(d_x), d_parameters, d_initial).items()
    )
    sides = []
    for epsilon in (1e-5, -1e-5):
        moved = {name: value + epsilon * along[name] for name, value in values.items()}
        sides.append(loss(run_with(x, stack, moved, run), *weights))
    scale = max(1.0, *(abs(side) for side in sides))
    np.testing.assert_allclose(found, (sides[0] - sides[1]) / 2e-5, rtol=1e-5, atol=1e-6 * scale)


def test_what_is_left_out_counts_as_zero(rng, draw_batch):
    stack = Stack("lstm", 2, 2, merge="project")
    x, parameters, initial = draw_batch(stack, [2, 1], 13)
    out, saved = run_saving(x, parameters, stack, initial)
    d_output, d_final, d_state = weights_of_a_loss(out, rng)
    zero_state = StackState(*(np.zeros_like(part) for part in d_state.parts))
    short = gradients(saved, d_output)
    long = gradients(saved, d_output, np.zeros_like(d_final), zero_state)
    np.testing.assert_array_equal(short[0], long[0])
    for name, d in short[1].items():
        np.testing.assert_array_equal(d, long[1][name])


def test_gradients_add_up(rng, draw_batch):
    # Linear in what is asked for, and nothing that is passed in is changed.
    stack = Stack("gru", 2, 2, num_layers=2, merge="project")
    x, parameters, initial = draw_batch(stack, [2, 0, 3], 14)
    out, saved = run_saving(x, parameters, stack, initial)
    d_output, d_final, d_state = weights_of_a_loss(out, rng)
    copies = [d_output.copy(), d_final.copy(), d_state.h.copy()]
    zeros = np.zeros_like(d_output)
    whole = gradients(saved, d_output, d_final, d_state)
    parts = [
        gradients(saved, d_output),
        gradients(saved, zeros, d_final),
        gradients(saved, zeros, None, d_state),
    ]
    np.testing.assert_allclose(whole[0], sum(part[0] for part in parts), rtol=0, atol=1e-12)
    for name in stack.shapes():
        total = sum(part[1][name] for part in parts)
        np.testing.assert_allclose(whole[1][name], total, rtol=0, atol=1e-12)
    for now, before in zip((d_output, d_final, d_state.h), copies, strict=True):
        np.testing.assert_array_equal(now, before)


def test_a_sequence_with_nan_spoils_the_gradient_of_no_other_row(rng, draw_batch):
    stack = Stack("lstm", 2, 3, num_layers=2)
    x, parameters, initial = draw_batch(stack, [3, 4, 2], 15)
    _, saved = run_saving(x, parameters, stack, initial)
    d_output = rng.standard_normal((9, stack.output_size))
    clean, _, _ = gradients(saved, d_output)
    x.values[4] = np.nan
    _, saved = run_saving(x, parameters, stack, initial)
    spoilt, _, _ = gradients(saved, d_output)
    others = list(itertools.chain(range(3), range(7, 9)))
    np.testing.assert_allclose(spoilt[others], clean[others], rtol=1e-12, atol=1e-14)
    assert np.isnan(spoilt[3:7]).all()
