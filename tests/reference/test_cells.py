"""One step of each cell: its backward by central differences, and what saturated gates must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.reference.cells import CELLS, sigmoid

B, H = 3, 4
EPSILON = 1e-6


@pytest.fixture(params=sorted(CELLS))
def cell(request):
    return CELLS[request.param]


def draw(cell, rng):
    gates = (B, cell.gates * H)
    state = tuple(rng.standard_normal((B, H)) for _ in range(cell.states))
    return rng.standard_normal(gates), rng.standard_normal(gates), state


@given(x=st.floats(-700, 700))
def test_sigmoid_is_the_logistic_function_to_its_last_digits(x):
    assert sigmoid(np.array([x]))[0] == pytest.approx(1 / (1 + math.exp(-x)), rel=1e-14)


def test_sigmoid_ends_at_0_and_1_without_a_warning():
    ends = np.array([-np.inf, -1e300, 1e300, np.inf])
    assert (
        sigmoid(ends).tolist()
        == sigmoid(np.clip(ends, -1e38, 1e38).astype(np.float32)).tolist()
        == [0, 0, 1, 1]
    )


def test_backward_is_the_derivative(cell, rng):
    input_BG, recurrent_BG, state = draw(cell, rng)
    d_state = tuple(rng.standard_normal((B, H)) for _ in state)

    def loss(inputs, recurrents, *parts):
        after, _ = cell.forward(inputs, recurrents, parts)
        return sum(np.vdot(d, part) for d, part in zip(d_state, after, strict=True))

    _, saved = cell.forward(input_BG, recurrent_BG, state)
    d_input_BG, d_recurrent_BG, d_before = cell.backward(d_state, saved)
    arguments = [input_BG, recurrent_BG, *state]
    for i, found in enumerate([d_input_BG, d_recurrent_BG, *d_before]):
        for place in np.ndindex(arguments[i].shape):
            values = []
            for sign in (1, -1):
                moved = [argument.copy() for argument in arguments]
                moved[i][place] += sign * EPSILON
                values.append(loss(*moved))
            np.testing.assert_allclose(
                found[place], (values[0] - values[1]) / (2 * EPSILON), rtol=1e-6, atol=1e-8
            )


def test_a_step_leaves_its_arguments_as_they_were(cell, rng):
    input_BG, recurrent_BG, state = draw(cell, rng)
    copies = [a.copy() for a in (input_BG, recurrent_BG, *state)]
    after, saved = cell.forward(input_BG, recurrent_BG, state)
    cell.backward(tuple(np.ones_like(part) for part in after), saved)
    for now, before in zip((input_BG, recurrent_BG, *state), copies, strict=True):
        np.testing.assert_array_equal(now, before)


def test_nan_stays_in_its_row(cell, rng):
    input_BG, recurrent_BG, state = draw(cell, rng)
    clean, _ = cell.forward(input_BG, recurrent_BG, state)
    input_BG[1] = np.nan
    after, _ = cell.forward(input_BG, recurrent_BG, state)
    for with_nan, without in zip(after, clean, strict=True):
        assert np.isnan(with_nan[1]).all()
        np.testing.assert_array_equal(with_nan[[0, 2]], without[[0, 2]])


def test_lstm_with_open_forget_gate_and_shut_input_gate_remembers(rng):
    _, recurrent_BG, (h_BH, c_BH) = draw(CELLS["lstm"], rng)
    input_BG = np.zeros_like(recurrent_BG)
    input_BG[:, :H], input_BG[:, H : 2 * H], input_BG[:, 3 * H :] = -800, 800, -800
    (next_h_BH, next_c_BH), _ = CELLS["lstm"].forward(input_BG, recurrent_BG, (h_BH, c_BH))
    np.testing.assert_array_equal(next_c_BH, c_BH)
    np.testing.assert_array_equal(next_h_BH, np.zeros_like(h_BH))


def test_gru_with_update_gate_at_one_keeps_its_state_and_at_zero_forgets_it(rng):
    input_BG, recurrent_BG, (h_BH,) = draw(CELLS["gru"], rng)
    input_BG[:, H : 2 * H] = 500
    (kept,), _ = CELLS["gru"].forward(input_BG, recurrent_BG, (h_BH,))
    np.testing.assert_allclose(kept, h_BH, rtol=0, atol=1e-15)
    input_BG[:, H : 2 * H] = -500
    (one,), _ = CELLS["gru"].forward(input_BG, recurrent_BG, (h_BH,))
    (two,), _ = CELLS["gru"].forward(input_BG, recurrent_BG, (h_BH + 7,))
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)


def test_gru_keeps_the_recurrent_bias_inside_the_reset_gate(rng):
    # With the reset gate shut, no recurrent part of the n block may come through.
    input_BG, recurrent_BG, state = draw(CELLS["gru"], rng)
    input_BG[:, :H] = -500
    (one,), _ = CELLS["gru"].forward(input_BG, recurrent_BG, state)
    recurrent_BG[:, 2 * H :] += 3
    (two,), _ = CELLS["gru"].forward(input_BG, recurrent_BG, state)
    np.testing.assert_array_equal(one, two)
