"""The checked call of a stack: what it refuses, and that what passes is the reference's answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.engine import stack as stack_module
from birnn.engine.packed_weights import pack
from birnn.engine.stack import PackedStack, TableStack, run
from birnn.errors import ShapeError
from birnn.ragged import Ragged
from birnn.reference import Int8Matrix, Stack, StackState, bidirectional, initialise
from stacks import stacks

STACK = Stack("lstm", 3, 2)


@pytest.fixture
def x():
    rows = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    return Ragged(rows, np.array([3, 0, 2]))


@pytest.fixture
def parameters():
    return initialise(STACK, 0, dtype=np.float32)


@given(
    stack=stacks(5),
    lengths=st.lists(st.integers(0, 6), max_size=5),
    dtype=st.sampled_from(["float32", "float64"]),
    starts=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_passes_is_the_reference_s_answer(engine, stack, lengths, dtype, starts, seed):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((sum(lengths), stack.input_size)).astype(dtype)
    x = Ragged(rows, np.array(lengths, np.int64))
    parameters = initialise(stack, seed, scheme="torch", dtype=dtype)
    initial = None
    if starts:
        zeros = StackState.zeros(stack, len(x), np.dtype(dtype)).parts
        initial = StackState(*(rng.standard_normal(part.shape).astype(dtype) for part in zeros))
    tolerance = {"float32": 1e-5, "float64": 1e-10}[dtype]

    def same(found, expected):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    found = run(x, parameters, stack, initial)
    expected = bidirectional.run(x, parameters, stack, initial)
    same(found.output.values, expected.output.values)
    same(found.forward.values, expected.forward.values)
    same(found.final, expected.final)
    assert (found.backward is None) == (stack.directions_of(-1) == 1)
    if found.backward is not None:
        same(found.backward.values, expected.backward.values)
    for part, other in zip(found.state.parts, expected.state.parts, strict=True):
        same(part, other)


def test_where_the_reference_is_forced_it_runs(forced, x, parameters):
    forced(isa.REFERENCE)
    found = run(x, parameters, STACK)
    expected = bidirectional.run(x, parameters, STACK)
    np.testing.assert_array_equal(found.output.values, expected.output.values)
    np.testing.assert_array_equal(found.final, expected.final)


def test_a_packed_stack_packs_its_weights_once_for_each_engine(
    monkeypatch, forced, same_bits, x, parameters
):
    packed_for = []

    def watched(cell, weights, engine):
        packed_for.append(engine)
        return pack(cell, weights, engine)

    monkeypatch.setattr(stack_module, "pack", watched)
    packed = PackedStack(parameters, STACK)
    engines = [name for name in isa.available() if name != isa.REFERENCE]
    turns = [*engines, isa.REFERENCE, *engines]
    for name in turns:
        forced(name)
        for _ in range(2):
            found = packed.run(x)
            same_bits(found.output.values, run(x, parameters, STACK).output.values)
    # Of `turns` the reference packs nothing; each run of its own packs, and the packed
    # stack where another compiled engine ran before.
    compiled = [name for name in turns if name != isa.REFERENCE]
    before = [None, *compiled]
    packings = [2 + (now != then) for now, then in zip(compiled, before, strict=False)]
    assert packed_for == [
        name for name, count in zip(compiled, packings, strict=True) for _ in range(count)
    ]


def test_a_packed_stack_can_be_run_again(engine, same_bits, x, parameters):
    packed = PackedStack(parameters, STACK)
    first = packed.run(x)
    other = packed.run(x.select([2, 0]))
    same_bits(packed.run(x).output.values, first.output.values)
    same_bits(other.output.values, first.output.select([2, 0]).values)


def test_everything_that_is_wrong_is_named_at_once(x, parameters):
    parameters["weight_hh_l0"] = parameters["weight_hh_l0"].T
    parameters["bias_ih_l0"] = parameters["bias_ih_l0"].astype(np.float64)
    parameters["bias"] = parameters.pop("bias_hh_l0_reverse")
    initial = StackState(np.zeros((2, 3, 1), np.float32), np.zeros((2, 3, 2), np.float32))
    with pytest.raises(ShapeError) as caught:
        run(x.map(lambda values: values[:, :2]), parameters, STACK, initial)
    message = str(caught.value)
    assert "rows of shape (2,), the stack reads (3,)" in message
    assert "weight_hh_l0 has shape (2, 8), it must be (8, 2)" in message
    assert "bias_ih_l0 is float64, x is float32" in message
    assert "bias is no parameter" in message
    assert "bias_hh_l0_reverse (8,) is missing" in message
    assert "initial h has shape (2, 3, 1), it must be (2, 3, 2)" in message


def test_preparing_names_everything_that_is_wrong_at_once(parameters):
    parameters["weight_hh_l0"] = parameters["weight_hh_l0"].T
    del parameters["bias_ih_l0"]
    with pytest.raises(ShapeError, match=r"weight_hh_l0 has shape.*; bias_ih_l0 \(8,\) is missing"):
        PackedStack(parameters, STACK)


def test_a_packed_stack_refuses_rows_of_another_dtype(x, parameters):
    packed = PackedStack(parameters, STACK)
    with pytest.raises(ShapeError, match="x is float64, the parameters are float32"):
        packed.run(x.map(lambda values: values.astype(np.float64)))


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex64])
def test_other_dtypes_are_refused(x, parameters, dtype):
    with pytest.raises(ShapeError, match="Make it float32 or float64"):
        run(x.map(lambda values: values.astype(dtype)), parameters, STACK)


def test_weights_of_two_precisions_are_refused(x, parameters):
    mixed = parameters | {"weight_hh_l0": Int8Matrix.of(parameters["weight_hh_l0"])}
    with pytest.raises(ShapeError, match=r"of one precision, got .*'weight_hh_l0': 'int8'"):
        run(x, mixed, STACK)
    low = {k: Int8Matrix.of(w) if w.ndim == 2 else w for k, w in parameters.items()}
    with pytest.raises(ShapeError, match="x is float64, the parameters are float32"):
        PackedStack(low, STACK).run(x.map(lambda rows: rows.astype(np.float64)))
    wide = low | {"bias_ih_l0": low["bias_ih_l0"].astype(np.float64)}
    with pytest.raises(ShapeError, match="bias_ih_l0 is float64, weight_ih_l0 is float32"):
        PackedStack(wide, STACK)


def test_initial_states_are_checked(x, parameters):
    right = StackState.zeros(STACK, 3, np.dtype(np.float32))
    assert run(x, parameters, STACK, right).final.shape == (3, 4)
    with pytest.raises(ShapeError, match=r"initial c .* is missing"):
        run(x, parameters, STACK, StackState(right.h))
    with pytest.raises(ShapeError, match=r"initial h has shape .*, it must be \(2, 3, 2\)"):
        run(x, parameters, STACK, StackState(right.h[:, :2], right.c))
    gru = Stack("gru", 3, 2)
    with pytest.raises(ShapeError, match="gru has none"):
        run(x, initialise(gru, 0, dtype=np.float32), gru, right)


# ------------------------------------------------------------------ rows by their numbers


def numbered(stack, rows=7):
    """Parameters of a stack, a table of rows, and a ragged batch of their numbers."""
    rng = np.random.default_rng(3)
    parameters = {n: rng.standard_normal(s, np.float32) for n, s in stack.shapes().items()}
    table = rng.standard_normal((rows, stack.input_size), np.float32)
    lengths = np.array([4, 0, 9])
    return parameters, table, Ragged(rng.integers(0, rows, 13), lengths)


TABLES = {
    "one layer": Stack("lstm", 5, 3),
    "two layers": Stack("gru", 5, 3, num_layers=2),
    "residual": Stack("lstm", 6, 3, num_layers=2, residual=True),
    "one direction": Stack("rnn_relu", 5, 5, bidirectional=False, residual=True),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("isa_name", isa.available())
def test_rows_by_number_have_the_bits_of_the_rows(forced, same_bits, isa_name, name):
    forced(isa_name)
    parameters, table, x = numbered(TABLES[name])
    packed = PackedStack(parameters, TABLES[name])
    expected = packed.run(x.map(table.__getitem__))
    parts = [packed.prepare(table[:2]), packed.prepare(table[2:])]
    prepared = dataclasses.replace(parts[0], values=np.concatenate([part.values for part in parts]))
    assert prepared.engine == packed.engine == isa_name
    letters = TableStack(packed, table)
    for found in (packed.run(x, table=prepared), letters.run(x), letters.run(x)):
        same_bits(found.output.values, expected.output.values)
        same_bits(found.final, expected.final)
        for part, other in zip(found.state.parts, expected.state.parts, strict=True):
            same_bits(part, other)
    again = letters.run(x, found.state)
    same_bits(again.output.values, packed.run(x.map(table.__getitem__), found.state).output.values)


def test_a_table_is_prepared_once_for_each_engine(monkeypatch, forced):
    parameters, table, x = numbered(STACK)
    packed, prepared = PackedStack(parameters, STACK), []
    prepare = packed.prepare

    def watched(rows):
        prepared.append(len(rows))
        return prepare(rows)

    monkeypatch.setattr(packed, "prepare", watched)
    letters = TableStack(packed, table)
    for name in isa.available():
        forced(name)
        for _ in range(3):
            letters.run(x)
    assert prepared.count(len(table)) == len(isa.available())


def test_a_table_that_is_too_large_is_not_kept(monkeypatch, same_bits):
    parameters, table, x = numbered(STACK)
    packed = PackedStack(parameters, STACK)
    expected = packed.run(x.map(table.__getitem__))
    one = packed.prepare(table[:1]).values.nbytes
    for room, kept in ((len(table) * one, len(table)), (len(table) * one - 1, 1)):
        monkeypatch.setattr(stack_module, "TABLE_MEMORY", room)
        letters = TableStack(packed, table)
        same_bits(letters.run(x).output.values, expected.output.values)
        assert len(letters._prepared.values) == kept


def test_prepared_rows_run_on_the_engine_that_they_are_for(forced, same_bits):
    parameters, table, x = numbered(STACK)
    packed = PackedStack(parameters, STACK)
    for name in isa.available():
        forced(name)
        prepared = packed.prepare(table)
        expected = packed.run(x, table=prepared)
        for other in isa.available():
            forced(other)
            same_bits(packed.run(x, table=prepared).output.values, expected.output.values)
            assert packed.prepare(table).engine == other
        with pytest.raises(ShapeError, match="x has rows of shape"):
            packed.prepare(table[:, :-1])
