"""The laws that every engine of recurrent layers keeps.

They are stated on what goes in and what comes out, so they hold for the reference as they do for
any other engine; only the first compares with the reference.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from birnn.ragged import Ragged
from birnn.reference import StackState, bidirectional


@given(data=st.data())
def test_agrees_with_the_reference_in_float64(engine, cases, data):
    case = data.draw(cases())
    double = {name: value.astype(np.float64) for name, value in case.parameters.items()}
    initial = case.initial
    if initial is not None:
        initial = StackState(*(part.astype(np.float64) for part in initial.parts))
    rows = case.x.map(lambda values: values.astype(np.float64))
    expected = bidirectional.run(rows, double, case.stack, initial)
    found = case.run(engine)
    assert found.output.values.dtype == case.x.values.dtype
    case.agree_all(found, expected)


@given(data=st.data(), value=st.sampled_from([np.inf, -np.inf, 1e30, -1e30, np.nan]))
def test_an_extreme_state_has_the_reference_s_answer(engine, cases, data, value):
    # A gate that ends just above 0 would make an infinite state large where 0 makes it NaN. (What a
    # rectifier makes of 1e30 is as large, and rounded.)
    cell = data.draw(st.sampled_from(["rnn_tanh", "lstm", "gru"]))
    lengths = st.lists(st.integers(1, 5), min_size=1, max_size=4)
    case = data.draw(cases(lengths=lengths, cell=cell, num_layers=1, merge="concat"))
    parts = StackState.zeros(case.stack, len(case.x), np.dtype(np.float64)).parts
    data.draw(st.sampled_from(parts))[0, 0, -1] = value
    double = {name: part.astype(np.float64) for name, part in case.parameters.items()}
    rows = case.x.map(lambda values: values.astype(np.float64))
    own = StackState(*(part.astype(case.x.values.dtype) for part in parts))
    with np.errstate(invalid="ignore"):
        expected = bidirectional.run(rows, double, case.stack, StackState(*parts))
        found = case.run(engine, initial=own)
    case.agree_all(found, expected)


@given(data=st.data())
def test_order_changes_nothing(engine, cases, data):
    case = data.draw(cases())
    order = np.array(data.draw(st.permutations(range(len(case.x)))), np.int64)
    whole, moved = case.run(engine), case.select(order).run(engine)
    case.agree(moved.output.values, whole.output.select(order).values)
    case.agree(moved.forward.values, whole.forward.select(order).values)
    case.agree(moved.final, whole.final[order])
    for part, expected in zip(moved.state.parts, whole.state.parts, strict=True):
        case.agree(part, expected[:, order])


@given(data=st.data())
def test_batching_changes_nothing(engine, cases, data):
    case = data.draw(cases())
    whole = case.run(engine)
    for i, rows in enumerate(whole.output):
        alone = case.select([i]).run(engine)
        case.agree(alone.output.values, rows)
        case.agree(alone.final, whole.final[i : i + 1])
        for part, expected in zip(alone.state.parts, whole.state.parts, strict=True):
            case.agree(part, expected[:, i : i + 1])


@given(data=st.data(), length=st.integers(0, 5), count=st.integers(0, 5))
def test_equal_lengths_are_no_special_case(engine, cases, data, length, count):
    # The same sequences beside one longer than all: no step has all sequences running.
    case = data.draw(cases(lengths=st.just([length] * count + [length + 3])))
    equal = case.select(range(count)).run(engine)
    mixed = case.run(engine)
    case.agree(equal.output.values, mixed.output.values[: length * count])
    case.agree(equal.final, mixed.final[:count])


@given(data=st.data())
def test_the_final_state_of_an_empty_sequence_is_its_initial_state(engine, cases, data):
    case = data.draw(cases(lengths=st.lists(st.integers(0, 1), max_size=6)))
    found = case.run(engine)
    empty = case.x.lengths == 0
    zeros = StackState.zeros(case.stack, len(case.x), case.x.values.dtype)
    initial = zeros if case.initial is None else case.initial
    for part, expected in zip(found.state.parts, initial.parts, strict=True):
        np.testing.assert_array_equal(part[:, empty], expected[:, empty])


@given(data=st.data())
def test_empty_sequences_change_nothing_for_the_others(engine, cases, data):
    case = data.draw(cases(lengths=st.lists(st.sampled_from([0, 0, 1, 3]), max_size=6)))
    rest = np.flatnonzero(case.x.lengths)
    whole, without = case.run(engine), case.select(rest).run(engine)
    case.agree(without.output.values, whole.output.values)
    case.agree(without.final, whole.final[rest])


@given(data=st.data(), empty=st.integers(0, 3))
def test_a_batch_without_any_row_is_legal(engine, cases, data, empty):
    case = data.draw(cases(lengths=st.just([0] * empty)))
    found = case.run(engine)
    assert found.output.values.shape == (0, case.stack.output_size)
    assert found.final.shape == (empty, case.stack.output_size)
    assert found.state.h.shape[1] == empty


@given(data=st.data())
def test_on_sequences_of_length_1_tied_directions_agree(engine, cases, data):
    ones = st.lists(st.just(1), max_size=4)
    case = tied(data.draw(cases(lengths=ones, bidirectional=True, num_layers=1)))
    found = case.run(engine, initial=None)
    case.agree(found.backward.values, found.forward.values)


@given(data=st.data())
def test_final_states_are_taken_at_the_right_steps(engine, cases, data):
    case = data.draw(cases(lengths=st.lists(st.integers(1, 6), max_size=5)))
    found = case.run(engine)
    last = found.state.h[case.stack.states_of(-1)]
    case.agree(last[0], found.forward.values[found.forward.rows_at(-1)])
    if found.backward is not None:
        case.agree(last[1], found.backward.values[found.backward.rows_at(0)])


@given(data=st.data())
def test_with_tied_weights_reversing_the_input_swaps_the_halves(engine, cases, data):
    case = tied(data.draw(cases(bidirectional=True, num_layers=1)))
    case = dataclasses.replace(case, initial=None)
    found, turned = case.run(engine), case.run(engine, x=case.x.reversed())
    case.agree(turned.forward.values, found.backward.reversed().values)
    case.agree(turned.backward.values, found.forward.reversed().values)
    for part, expected in zip(turned.state.parts, found.state.parts, strict=True):
        case.agree(part, expected[::-1])


@given(data=st.data(), merge=st.sampled_from(["concat", "sum", "mean", "product", "project"]))
def test_reversing_the_input_and_swapping_the_directions_reverses_the_output(
    engine, cases, data, merge
):
    # A residual layer 0 would add rows that are not swapped to halves that are.
    residual = merge != "concat"
    case = data.draw(cases(bidirectional=True, merge=merge, residual=residual))
    initial = case.initial
    if initial is not None:
        initial = StackState(*(swap_pairs(part) for part in initial.parts))
    found = case.run(engine)
    turned = case.run(
        engine, x=case.x.reversed(), parameters=swap_directions(case), initial=initial
    )
    swap = swap_columns if merge == "concat" else np.asarray
    case.agree(turned.output.values, swap(found.output.reversed().values))
    case.agree(turned.final, swap(found.final))
    for part, expected in zip(turned.state.parts, found.state.parts, strict=True):
        case.agree(part, swap_pairs(expected))


@given(data=st.data(), cut=st.integers(0, 7))
def test_one_direction_can_stop_and_go_on_from_its_state(engine, cases, data, cut):
    case = data.draw(cases(bidirectional=False))
    steps = case.x.step_of_row
    before = np.minimum(case.x.lengths, cut)
    first = case.run(engine, x=Ragged(case.x.values[steps < cut], before))
    second = case.run(
        engine,
        x=Ragged(case.x.values[steps >= cut], case.x.lengths - before),
        initial=first.state,
    )
    whole = case.run(engine)
    case.agree(first.output.values, whole.output.values[steps < cut])
    case.agree(second.output.values, whole.output.values[steps >= cut])
    case.agree(second.final, whole.final)


@given(data=st.data())
def test_each_half_sees_only_its_own_side(engine, cases, data):
    lengths = st.lists(st.integers(1, 6), min_size=1, max_size=4)
    case = data.draw(cases(lengths=lengths, bidirectional=True, num_layers=1))
    row = data.draw(st.integers(0, case.x.values.shape[0] - 1))
    changed = case.x.with_values(case.x.values.copy())
    changed.values[row] += 1
    found, other = case.run(engine), case.run(engine, x=changed)
    elsewhere = case.x.sequence_of_row != case.x.sequence_of_row[row]
    rows = np.arange(case.x.values.shape[0])
    for half, again, unseen in (
        (found.forward, other.forward, elsewhere | (rows < row)),
        (found.backward, other.backward, elsewhere | (rows > row)),
    ):
        case.agree(again.values[unseen], half.values[unseen])


@given(data=st.data())
def test_nan_stays_in_its_sequence(engine, cases, data):
    lengths = st.lists(st.integers(1, 5), min_size=1, max_size=5)
    case = data.draw(cases(lengths=lengths))
    row = data.draw(st.integers(0, case.x.values.shape[0] - 1))
    spoilt = case.x.with_values(case.x.values.copy())
    spoilt.values[row] = np.nan
    sequence = case.x.sequence_of_row[row]
    clean, found = case.run(engine), case.run(engine, x=spoilt)
    others = case.x.sequence_of_row != sequence
    rest = np.arange(len(case.x)) != sequence
    case.agree(found.output.values[others], clean.output.values[others])
    case.agree(found.final[rest], clean.final[rest])
    for part, expected in zip(found.state.parts, clean.state.parts, strict=True):
        case.agree(part[:, rest], expected[:, rest])
    assert np.isnan(found.output.values[row]).any()
    assert np.isnan(found.final[sequence]).any()


def tied(case):
    """The case with the backward half's weights made those of the forward half."""
    parameters = {name: case.parameters[name.removesuffix("_reverse")] for name in case.parameters}
    return dataclasses.replace(case, parameters=parameters)


def swap_pairs(part):
    """States (2 * layers, B, H) with the two directions of each layer swapped."""
    order = np.arange(part.shape[0]).reshape(-1, 2)[:, ::-1].ravel()
    return part[order]


def swap_columns(array):
    """The right half of the columns before the left one."""
    left, right = np.split(array, 2, axis=1)
    return np.ascontiguousarray(np.concatenate([right, left], axis=1))


def swap_directions(case):
    """Parameters of the stack whose forward half is this one's backward half."""
    swapped = {}
    for name in case.parameters:
        other = name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"
        if name.startswith("merge"):
            value = case.parameters[name]
            swapped[name] = swap_columns(value) if name.endswith("weight") else value
            continue
        value = case.parameters[other]
        above = "_l0" not in name
        if name.startswith("weight_ih") and above and case.stack.merge == "concat":
            value = swap_columns(value)
        swapped[name] = value
    return swapped
