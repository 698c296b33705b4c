"""The time loop's schedule, and the loop against the cell applied by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.ragged import Ragged
from birnn.reference.cells import CELLS
from birnn.reference.scan import Schedule, Weights, backward, forward

some_lengths = st.lists(st.integers(0, 7), max_size=6).map(lambda v: np.array(v, dtype=np.int64))


@given(lengths=some_lengths)
def test_schedule_meets_every_row_once_at_its_own_step(lengths):
    schedule = Schedule.of(lengths)
    batch = Ragged(np.arange(lengths.sum()), lengths)
    from_end = np.repeat(lengths, lengths) - 1 - batch.step_of_row
    assert sorted(schedule.rows.tolist()) == batch.values.tolist()
    assert sorted(schedule.reverse_rows.tolist()) == batch.values.tolist()
    for step, (count, here) in enumerate(schedule.steps()):
        assert count == (lengths > step).sum()
        assert (batch.step_of_row[schedule.rows[here]] == step).all()
        assert (from_end[schedule.reverse_rows[here]] == step).all()
        for rows in (schedule.rows, schedule.reverse_rows):
            sequences = batch.sequence_of_row[rows[here]]
            np.testing.assert_array_equal(sequences, schedule.order[:count])


@given(lengths=some_lengths)
def test_last_places_are_the_last_rows(lengths):
    schedule = Schedule.of(lengths)
    last = schedule.rows[schedule.last_places(lengths)]
    ends = np.cumsum(lengths)[schedule.order]
    np.testing.assert_array_equal(last, ends[lengths[schedule.order] > 0] - 1)


@given(lengths=some_lengths)
def test_unsorting_undoes_sorting(lengths):
    schedule = Schedule.of(lengths)
    state = np.arange(2.0 * len(lengths)).reshape(len(lengths), 2)
    (back,) = schedule.unsort(schedule.sort((state,)))
    np.testing.assert_array_equal(back, state)


def weights_of(cell, inputs, hidden, rng):
    gates = cell.gates * hidden
    shapes = ((gates, inputs), (gates, hidden), (gates,), (gates,))
    return Weights(*(rng.standard_normal(shape) for shape in shapes))


@pytest.mark.parametrize("name", sorted(CELLS))
@pytest.mark.parametrize("reverse", [False, True])
def test_forward_is_the_cell_step_by_step(name, reverse, rng):
    cell, lengths = CELLS[name], np.array([2, 0, 4, 1])
    weights = weights_of(cell, 3, 2, rng)
    x = Ragged(rng.standard_normal((7, 3)), lengths)
    initial = tuple(rng.standard_normal((4, 2)) for _ in range(cell.states))
    output_NH, final, _ = forward(
        cell, weights, x.values, Schedule.of(lengths), initial=initial, reverse=reverse
    )
    for b, (rows, found) in enumerate(zip(x, x.with_values(output_NH), strict=True)):
        state = tuple(part[b : b + 1] for part in initial)
        for t in reversed(range(len(rows))) if reverse else range(len(rows)):
            state, _ = cell.forward(
                rows[t : t + 1] @ weights.weight_ih.T + weights.bias_ih,
                state[0] @ weights.weight_hh.T + weights.bias_hh,
                state,
            )
            np.testing.assert_allclose(found[t], state[0][0], rtol=1e-13, atol=1e-13)
        for part, expected in zip(final, state, strict=True):
            np.testing.assert_allclose(part[b], expected[0], rtol=1e-13, atol=1e-13)


def test_without_keep_there_is_no_tape(rng):
    cell = CELLS["gru"]
    x_ND, schedule = rng.standard_normal((3, 2)), Schedule.of(np.array([3]))
    weights, initial = weights_of(cell, 2, 2, rng), (np.zeros((1, 2)),)
    *kept, tape = forward(cell, weights, x_ND, schedule, initial=initial, keep=True)
    *light, none = forward(cell, weights, x_ND, schedule, initial=initial)
    assert none is None
    assert tape is not None
    np.testing.assert_array_equal(kept[0], light[0])


def test_of_an_empty_sequence_the_final_gradient_is_the_initial_one(rng):
    cell, lengths = CELLS["lstm"], np.array([0, 2])
    weights, schedule = weights_of(cell, 3, 2, rng), Schedule.of(lengths)
    initial = tuple(rng.standard_normal((2, 2)) for _ in range(2))
    _, _, tape = forward(
        cell, weights, rng.standard_normal((2, 3)), schedule, initial=initial, keep=True
    )
    assert tape is not None
    d_final = tuple(rng.standard_normal((2, 2)) for _ in range(2))
    _, _, d_initial = backward(
        cell, weights, tape, schedule, d_output_NH=np.zeros((2, 2)), d_final=d_final
    )
    for d_first, d_last in zip(d_initial, d_final, strict=True):
        np.testing.assert_array_equal(d_first[0], d_last[0])
        assert (d_first[1] != d_last[1]).all()


def test_sequences_of_equal_length_keep_their_order(rng):
    lengths = rng.integers(0, 3, 500)
    order = Schedule.of(lengths).order
    assert order.tolist() == sorted(range(500), key=lambda i: -lengths[i])
