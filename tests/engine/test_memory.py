"""Memory that the compiled module lends to arrays."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.engine.arrays import CACHE_LINE, LARGE, pooled_empty

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
    torch = pytest.importorskip("torch")
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
