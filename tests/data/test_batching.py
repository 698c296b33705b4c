from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.batching import BLUR, batches, in_order, windows
from birnn.errors import ConfigError, LengthError

LENGTHS = st.lists(st.integers(0, 40), max_size=60)
BUDGETS = st.integers(1, 60)
CAPS = st.one_of(st.none(), st.integers(1, 5))


def check_cover(parts, lengths, tokens, sequences):
    """Every sequence once, within the budget, a longer one alone."""
    covered = np.concatenate([*parts, np.zeros(0, np.int64)])
    assert sorted(covered.tolist()) == list(range(len(lengths)))
    for part in parts:
        assert part.dtype == np.int64
        rows = sum(lengths[i] for i in part)
        assert rows <= tokens or sum(lengths[i] > 0 for i in part) == 1
        assert 1 <= len(part) <= (sequences or len(lengths))


@given(LENGTHS, BUDGETS, CAPS, st.integers(0, 2**40), st.integers(0, 99))
def test_an_epoch_has_every_sequence_once(lengths, tokens, sequences, seed, epoch):
    arguments = {"tokens": tokens, "seed": seed, "sequences": sequences}
    parts = batches(lengths, epoch=epoch, **arguments)
    check_cover(parts, lengths, tokens, sequences)
    again = batches(lengths, epoch=epoch, **arguments)
    assert [p.tolist() for p in parts] == [p.tolist() for p in again]


@given(LENGTHS, BUDGETS, CAPS)
def test_prediction_has_every_sequence_once_in_order_of_length(lengths, tokens, sequences):
    parts = in_order(lengths, tokens=tokens, sequences=sequences)
    check_cover(parts, lengths, tokens, sequences)
    assert [lengths[i] for part in parts for i in part] == sorted(lengths)


@given(LENGTHS, BUDGETS)
def test_no_two_neighbours_would_fit_together(lengths, tokens):
    parts = in_order(lengths, tokens=tokens)
    for one, other in itertools.pairwise(parts):
        assert sum(lengths[i] for i in one) + lengths[other[0]] > tokens


def test_epochs_and_seeds_differ():
    lengths = np.random.default_rng(0).integers(1, 30, 500)
    drawn = {
        tuple(np.concatenate(batches(lengths, tokens=200, seed=seed, epoch=epoch)).tolist())
        for seed in range(2)
        for epoch in range(2)
    }
    assert len(drawn) == 4


def test_sequences_of_a_batch_are_alike():
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    parts = [lengths[part] for part in batches(lengths, tokens=2000, seed=3, epoch=1)]
    for one, other in itertools.combinations(parts, 2):
        # a length l is sorted as something from l to l * (1 + BLUR) + 1, and batches are runs of
        # the sorted order, so one of any two stands before the other
        reach = (1 + BLUR) * np.array([one.min(), other.min()]) + 1
        assert other.max() <= reach[0] or one.max() <= reach[1]


@given(LENGTHS, BUDGETS, st.integers(1, 5))
def test_windows_are_the_stream_in_pieces(lengths, tokens, sequences):
    items = [[i] * length for i, length in enumerate(lengths)]
    pieces = list(windows(iter(items), tokens=tokens, sequences=sequences))
    assert [item for piece in pieces for item in piece] == items
    for piece in pieces:
        assert 1 <= len(piece) <= sequences
        assert sum(map(len, piece[:-1])) < tokens


def test_windows_take_no_more_than_they_need():
    taken = []
    stream = windows((taken.append(i) or "ab" for i in range(9)), tokens=4, sequences=9)
    next(stream)
    assert taken == [0, 1]


def test_what_stands_before_a_fault_is_in_a_window():
    def stream(fault_at):
        for i in range(fault_at):
            yield "ab" * i
        raise ConfigError("broken")

    for fault_at in range(6):
        found = []
        with pytest.raises(ConfigError, match="broken"):
            found.extend(windows(stream(fault_at), tokens=9, sequences=2))
        assert [item for piece in found for item in piece] == ["ab" * i for i in range(fault_at)]


def test_faults():
    with pytest.raises(ConfigError, match="tokens=0"):
        batches([1], tokens=0, seed=0, epoch=0)
    with pytest.raises(ConfigError, match="sequences=0"):
        in_order([1], tokens=1, sequences=0)
    with pytest.raises(ConfigError, match="tokens=0"):
        list(windows(["a"], tokens=0, sequences=1))
    with pytest.raises(LengthError, match=r"lengths\[1\] is -2"):
        in_order([1, -2], tokens=1)
