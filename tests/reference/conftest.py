"""What the tests of the reference share: random numbers and random batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from birnn.ragged import Ragged
from birnn.reference import StackState, initialise


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def lengths():
    """Strategy: lengths of a small batch, empty sequences and the empty batch among them."""
    return st.lists(st.integers(0, 6), max_size=5)


@pytest.fixture(scope="session")
def draw_batch():
    """Rows, parameters and initial states of a stack for given lengths."""

    def draw(stack, lengths, seed):
        rng = np.random.default_rng(seed)
        lengths = np.array(lengths, dtype=np.int64)
        x = Ragged(rng.standard_normal((int(lengths.sum()), stack.input_size)), lengths)
        # Torch's scheme leaves nothing at zero: a bias that is dropped shows.
        parameters = initialise(stack, seed, scheme="torch")
        zeros = StackState.zeros(stack, len(x), np.dtype(np.float64))
        initial = StackState(*(rng.standard_normal(part.shape) for part in zeros.parts))
        return x, parameters, initial

    return draw
