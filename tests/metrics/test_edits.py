from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.metrics import alignment, edit_distance

SYMBOLS = st.lists(st.sampled_from(["a", "b", "AE1"]), max_size=7)


def brute_distance(one, other):
    @cache
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (one[i - 1] != other[j - 1]),
        )

    return distance(len(one), len(other))


@given(SYMBOLS, SYMBOLS, SYMBOLS)
def test_edit_distance_is_a_distance(one, other, third):
    assert edit_distance(one, other) == brute_distance(one, other)
    assert edit_distance(one, other) == edit_distance(other, one)
    assert (edit_distance(one, other) == 0) == (one == other)
    assert edit_distance(one, third) <= edit_distance(one, other) + edit_distance(other, third)


@given(
    st.lists(st.sampled_from("ab"), min_size=60, max_size=70),
    st.lists(st.sampled_from("abc"), min_size=60, max_size=70),
)
def test_sequences_longer_than_a_machine_word(one, other):
    assert edit_distance(one, other) == brute_distance(tuple(one), tuple(other))
    assert sum(a != b for a, b in alignment(one, other)) == edit_distance(one, other)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("intention", "execution", 5),  # Jurafsky and Martin, figure 2.16
        ("a" * 200, "b" * 150, 200),
    ],
)
def test_known_distances(one, other, distance):
    assert edit_distance(one, other) == distance


@given(SYMBOLS, SYMBOLS)
def test_an_alignment_is_of_both_sequences_and_of_fewest_edits(one, other):
    pairs = alignment(one, other)
    assert [a for a, _ in pairs if a is not None] == one
    assert [b for _, b in pairs if b is not None] == other
    assert (None, None) not in pairs
    assert sum(a != b for a, b in pairs) == brute_distance(one, other)


def test_of_several_alignments_substitutions_come_first():
    # also a deletion and an insertion
    assert alignment("ab", "ba") == [("a", "b"), ("b", "a")]
