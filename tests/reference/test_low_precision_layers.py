"""Stacks of low precision in the reference, against their equations written out row by row."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.errors import ShapeError, UsageError
from birnn.ragged import Ragged
from birnn.reference import CELLS, GATES, MERGES, Stack, StackState, initialise, run, run_saving
from birnn.reference.low_precision import MATRICES, quantised_rows, rounded_to_bf16
from birnn.reference.products import product

F = np.float32
LENGTHS = np.array([3, 0, 5, 1])


def drawn(stack, precision, rng):
    """Rows, parameters and initial states, all that is two-dimensional in a precision."""
    x = Ragged(rng.standard_normal((LENGTHS.sum(), stack.input_size)).astype(F), LENGTHS)
    parameters = {
        name: MATRICES[precision].of(array.astype(F)) if array.ndim == 2 else array.astype(F)
        for name, array in initialise(stack, 3, scheme="torch").items()
    }
    zeros = StackState.zeros(stack, len(x), np.dtype(F)).parts
    initial = StackState(*(rng.standard_normal(part.shape).astype(F) for part in zeros))
    return x, parameters, initial


def int8_sum(row_K, matrix):
    """A product as the specification has it, one number after another."""
    (values_K,), (scale,) = quantised_rows(row_K[None])
    sums = [
        sum(int(a) * int(b) for a, b in zip(values_K, unit, strict=True)) for unit in matrix.values
    ]
    return [F(s) * (scale * unit_scale) for s, unit_scale in zip(sums, matrix.scales, strict=True)]


def bf16_sum(row_K, matrix):
    return rounded_to_bf16(row_K) @ matrix.dequantised().T


BY_HAND = {"int8": int8_sum, "bf16": bf16_sum}


@pytest.mark.parametrize("precision", BY_HAND)
@pytest.mark.parametrize("cell", GATES)
def test_a_layer_is_its_equations_row_by_row(cell, precision, rng):
    stack = Stack(cell, 5, 3, bidirectional=False)
    x, parameters, initial = drawn(stack, precision, rng)
    found = run(x, parameters, stack, initial)
    add, (w_ih, w_hh, b_ih, b_hh) = BY_HAND[precision], parameters.values()
    apart = 2 * stack.hidden_size if cell == "gru" else stack.gate_rows
    for b, rows in enumerate(x):
        state = tuple(part[0, b : b + 1] for part in initial.parts)
        for t, row in enumerate(rows):
            sums = (b_ih + b_hh) + add(row, w_ih)
            recurrent = np.array(add(state[0][0], w_hh), F)
            sums[apart:] = b_ih[apart:] + add(row, w_ih)[apart:]
            recurrent[apart:] += b_hh[apart:]
            state, _ = CELLS[cell].forward(sums[None], recurrent[None], state)
            got = list(found.output)[b][t]
            if precision == "int8":
                np.testing.assert_array_equal(got, state[0][0])
            else:  # NumPy sums in another order for other shapes
                np.testing.assert_allclose(got, state[0][0], rtol=1e-5, atol=1e-6)
            state = (got[None], *state[1:])
    assert found.output.values.dtype == F


# Not with bfloat16: NumPy may sum in another order for weights elsewhere in memory.
@pytest.mark.parametrize("merge", MERGES)
def test_a_stack_is_its_layers_one_after_another(merge, rng):
    stack = Stack("gru", 4, 4, num_layers=2, merge=merge, residual=True)
    x, parameters, initial = drawn(stack, "int8", rng)
    found, rows = run(x, parameters, stack, initial), x
    for layer in range(2):
        below = rows.values
        one = Stack("gru", stack.layer_input_size(layer), 4, merge=merge, residual=True)
        own = {
            name.replace(f"l{layer}", "l0"): array
            for name, array in parameters.items()
            if f"l{layer}" in name
        }
        outcome = run(rows, own, one, StackState(initial.h[stack.states_of(layer)]))
        rows = outcome.output
    np.testing.assert_array_equal(found.output.values, rows.values)
    if merge == "project":
        halves = np.concatenate([outcome.forward.values, outcome.backward.values], axis=1)
        merged = product(halves, own["merge_l0.weight"], own["merge_l0.bias"])
        np.testing.assert_array_equal(rows.values, merged + below)


@pytest.mark.parametrize("precision", MATRICES)
def test_rows_with_nan_change_their_own_sequence_alone(precision, rng):
    stack = Stack("lstm", 4, 3)
    x, parameters, initial = drawn(stack, precision, rng)
    before = run(x, parameters, stack, initial)
    x.values[4] = np.nan  # the third sequence's second row
    after = run(x, parameters, stack, initial)
    for b in (0, 1, 3):
        np.testing.assert_array_equal(list(after.output)[b], list(before.output)[b])
    assert np.isnan(after.forward.values[4:8]).all()
    assert np.isnan(after.backward.values[3:5]).all()
    np.testing.assert_array_equal(after.forward.values[3], before.forward.values[3])


@pytest.mark.parametrize("precision", MATRICES)
def test_gradients_and_other_rows_are_refused(precision, rng):
    stack = Stack("rnn_tanh", 4, 3)
    x, parameters, _ = drawn(stack, precision, rng)
    with pytest.raises(UsageError, match=f"weight_ih_l0 is in {precision}.*dequantised"):
        run_saving(x, parameters, stack)
    with pytest.raises(ShapeError, match="of float32"):
        run(x.with_values(x.values.astype(float)), parameters, stack)
