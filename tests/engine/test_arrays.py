"""Arrays for the kernels: where the rows of each form of batch stand, and pooled memory."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.engine.arrays import CACHE_LINE, LARGE, RowLayout, pooled_empty
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
    assert layout.plan.places == RowLayout(*parts_of(layout)).plan.places


def parts_of(layout):
    return layout.lengths, layout.starts, layout.steps, layout.rows


@pytest.mark.parametrize(
    ("lengths", "rows", "told"),
    [
        ([2, 3], 4, "leave the 4 rows|more than the 4 rows"),
        ([9], 4, "a length is 9, there are 4 steps"),
        ([2, -1], 4, r"lengths\[1\] is -1"),
        ([2**62, 2**62, 2**62], 4, "there are 4 steps"),
        ([], -1, "fewer than 0 rows"),
    ],
)
def test_a_plan_of_lengths_alone_refuses_what_they_cannot_be(lengths, rows, told):
    native = isa.native_module()
    with pytest.raises(ValueError, match=told):
        native.Plan(np.array(lengths, np.int64), None, None, rows)
    with pytest.raises(ValueError, match="come together"):
        native.Plan(np.array([1]), np.array([0]), None, 1)


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
from birnn.engine.arrays import CACHE_LINE, LARGE, RowLayout, pooled_empty
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


# ---------------------------------------------------------------------- pooled memory

NATIVE = isa.native_module()
SIZES = (LARGE, LARGE + 8, 3 * LARGE, 5 * LARGE)


def lend(size):
    return pooled_empty(NATIVE, size // 4, np.dtype("f4"))


@given(data=st.data())
def test_arrays_that_live_at_once_share_nothing(data):
    living = []
    for number in range(data.draw(st.integers(1, 12))):
        if living and data.draw(st.booleans()):
            living.pop(data.draw(st.integers(0, len(living) - 1)))
        else:
            array = lend(data.draw(st.sampled_from(SIZES)))
            array[:] = number
            living.append((number, array))
        for expected, array in living:
            assert (array == expected).all()


def test_memory_comes_back_with_the_last_array_on_it():
    size = 37 * LARGE  # no other test's: a piece of theirs may wait and fit as well
    array = lend(size)
    assert array.ctypes.data % CACHE_LINE == 0
    where = array.ctypes.data
    part = array[5:].reshape(-1, 1)[::2]
    part[:] = 7
    del array
    gc.collect()
    other = lend(size)
    assert other.ctypes.data != where
    other[:] = 1
    assert (part == 7).all()
    del part
    gc.collect()
    assert lend(size).ctypes.data == where


def test_a_tensor_keeps_the_memory_it_was_made_on():
    import torch

    tensor = torch.from_numpy(lend(2 * LARGE)).fill_(3)
    gc.collect()
    lend(2 * LARGE)[:] = 4
    assert bool((tensor == 3).all())


def test_a_loan_is_never_far_larger_than_what_is_asked_for():
    large = lend(64 * LARGE)
    where = large.ctypes.data
    del large
    gc.collect()
    small = [lend(LARGE) for _ in range(8)]
    assert not any(where <= array.ctypes.data < where + 64 * LARGE for array in small)


@pytest.mark.slow
def test_no_more_than_a_quarter_of_a_gibibyte_waits():
    piece = 96 * LARGE
    living = [lend(piece) for _ in range(5)]
    for array in living:
        array[:] = 1
    del array
    while living:
        del living[0]
        gc.collect()
        assert piece <= NATIVE.lent_and_back() <= 256 * LARGE
    # Two of the five, and nothing of what waited before them.
    assert NATIVE.lent_and_back() == 2 * piece


def test_what_cannot_be_lent_is_refused():
    with pytest.raises(ValueError, match="fewer than 0"):
        NATIVE.lend(-1)
    with pytest.raises(MemoryError):
        NATIVE.lend(2**62)
