"""Where the rows of each form of batch stand, by writing the form out."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.engine.arrays import RowLayout
from birnn.errors import LengthError, ShapeError

some_lengths = st.lists(st.integers(0, 6), max_size=6).map(lambda some: np.array(some, np.int64))


def rows_of(layout):
    """Row of each step of each sequence, as the docstring of `RowLayout` says."""
    return [
        [int(layout.starts[b] + layout.steps[t]) for t in range(length)]
        for b, length in enumerate(layout.lengths.tolist())
    ]


@given(lengths=some_lengths)
def test_ragged_rows_lie_one_after_another(lengths):
    layout = RowLayout.ragged(lengths)
    assert list(itertools.chain(*rows_of(layout))) == list(range(int(lengths.sum())))
    assert layout.rows == lengths.sum()


@given(lengths=some_lengths, more=st.integers(0, 2), batch_first=st.booleans())
def test_padded_rows_are_those_of_the_array(lengths, more, batch_first):
    steps = int(lengths.max(initial=0)) + more
    shape = (len(lengths), steps) if batch_first else (steps, len(lengths))
    numbers = np.arange(len(lengths) * steps).reshape(shape)
    if not batch_first:
        numbers = numbers.T
    layout = RowLayout.padded(lengths, steps=steps, batch_first=batch_first)
    expected = [numbers[b, :length].tolist() for b, length in enumerate(lengths.tolist())]
    assert rows_of(layout) == expected
    assert layout.rows == numbers.size


@given(lengths=some_lengths)
def test_packed_rows_go_step_by_step(lengths):
    lengths = np.sort(lengths[lengths > 0])[::-1]
    order = [
        (b, t)
        for t in range(int(lengths.max(initial=0)))
        for b in range(len(lengths))
        if t < lengths[b]
    ]
    sizes = np.array([sum(t == s for _, t in order) for s in range(int(lengths.max(initial=0)))])
    layout = RowLayout.packed(sizes.astype(np.int64))
    assert layout.lengths.tolist() == lengths.tolist()
    expected = [[order.index((b, t)) for t in range(n)] for b, n in enumerate(lengths.tolist())]
    assert rows_of(layout) == expected


def test_integers_of_any_kind_become_int64():
    layout = RowLayout(np.array([1], np.int32), np.array([0], np.uint8), np.arange(6)[::3], 1)
    for part in (layout.lengths, layout.starts, layout.steps):
        assert part.dtype == np.int64
        assert part.flags.c_contiguous


def test_a_negative_length_is_named():
    with pytest.raises(LengthError, match=r"lengths\[1\] is -2"):
        RowLayout(np.array([1, -2]), np.zeros(2), np.arange(3), 3)


def test_a_length_beyond_the_steps_is_named():
    with pytest.raises(LengthError, match=r"lengths\[1\] is 9, x has 7 steps. Trim it to 7"):
        RowLayout.padded(np.array([1, 9]), steps=7)


@pytest.mark.parametrize("name", ["lengths", "starts", "steps"])
def test_what_is_no_vector_is_refused(name):
    parts = dict.fromkeys(("lengths", "starts", "steps"), np.zeros(1, np.int64))
    with pytest.raises(ShapeError, match=f"{name} are a vector"):
        RowLayout(**parts | {name: np.zeros((1, 1), np.int64)}, rows=1)


def test_starts_of_another_number_are_refused():
    with pytest.raises(ShapeError, match="2 starts for 1 lengths"):
        RowLayout(np.array([1]), np.array([0, 1]), np.arange(1), 2)


@pytest.mark.skipif(isa.native_module() is None, reason="there is no compiled module")
def test_a_plan_that_lives_to_the_end_is_not_told_of():
    program = """
import numpy as np
from birnn.engine.arrays import RowLayout
layout = RowLayout.padded(np.array([2, 0]), steps=3)
keep = layout.plan
print(keep.places, layout.with_lengths(np.array([3, 1])).plan.places)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 4\n", "")


@pytest.mark.skipif(isa.native_module() is None, reason="there is no compiled module")
@given(lengths=some_lengths)
def test_other_lengths_at_the_same_places(lengths):
    full = RowLayout.padded(np.full(len(lengths), 6), steps=6)
    expected = RowLayout.padded(lengths, steps=6)
    found = full.with_lengths(lengths)
    assert rows_of(found) == rows_of(expected)
    assert found.plan.places == expected.plan.places == lengths.sum()
    for wrong in (-1, 7):
        with pytest.raises(LengthError, match=rf"lengths\[{len(lengths)}\] is {wrong}"):
            RowLayout.padded(np.full(len(lengths) + 1, 6), steps=6).with_lengths(
                np.append(lengths, wrong)
            )


@pytest.mark.skipif(isa.native_module() is None, reason="there is no compiled module")
def test_rows_that_no_memory_holds_are_a_memory_error():
    one, zero = np.array([1]), np.array([0])
    for rows in (2**40, 2**62, 2**63 - 1):
        with pytest.raises(MemoryError):
            RowLayout(one, zero, zero, rows).plan  # noqa: B018 - made when it is asked for
