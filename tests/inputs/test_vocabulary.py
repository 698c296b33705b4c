from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.alphabet import UNKNOWN
from birnn.data.tokeniser import canonical
from birnn.errors import DataError
from birnn.inputs.vocabulary import Vocabulary, normalise, restored

ITEMS = st.lists(st.sampled_from(["a", "b", "c", "dd", "é", UNKNOWN]), max_size=30)


@given(ITEMS, st.integers(1, 3), st.one_of(st.none(), st.integers(0, 3)))
def test_counting_keeps_the_most_frequent(items, min_count, max_size):
    known = Vocabulary.count(items, min_count, max_size)
    tally = Counter(item for item in items if item != UNKNOWN)
    kept = known.items[1:]
    assert known.items[0] == UNKNOWN
    assert list(kept) == sorted(kept, key=lambda item: (-tally[item], item))
    assert all(tally[item] >= min_count for item in kept)
    left_out = [item for item in tally if item not in kept and tally[item] >= min_count]
    assert len(kept) == max_size if left_out else True
    assert all(tally[out] <= tally[item] for out in left_out for item in kept)
    # every occurrence is counted once, under its number
    assert known.counts.tolist() == [known.ids(items).tolist().count(i) for i in range(len(known))]


@given(ITEMS)
def test_order_of_the_stream_does_not_matter(items):
    assert Vocabulary.count(items) == Vocabulary.count(sorted(items))


@given(st.lists(st.text(min_size=1), unique=True), st.booleans())
def test_numbers_and_items_are_inverse(items, unknown):
    known = Vocabulary(items, unknown=unknown)
    assert [known.items[i] for i in known.ids(known.items).tolist()] == list(known.items)
    assert [known.id(item) for item in known.items] == list(range(len(known)))
    assert Vocabulary(known.items, unknown=unknown) == known


def test_what_is_not_known():
    words, labels = Vocabulary(["a"]), Vocabulary(["a"], unknown=False)
    assert (words.id("z"), labels.id("z")) == (0, -1)
    assert words.ids(["z", "a"]).tolist() == [0, 1]
    assert labels.ids(["z", "a"]).tolist() == [-1, 0]
    assert "a" in words
    assert "z" not in words
    assert UNKNOWN not in labels
    assert words != labels
    assert hash(words) == hash(Vocabulary(["a"]))
    assert words.ids([]).shape == (0,)


def test_counts_stay_beside_their_items():
    known = Vocabulary(["a", "b"], counts=[5, 3])
    assert dict(zip(known.items, known.counts.tolist(), strict=True)) == {
        UNKNOWN: 0,
        "a": 5,
        "b": 3,
    }


def test_faults():
    with pytest.raises(DataError, match="'a' stands twice"):
        Vocabulary(["b", "a", "a"])
    with pytest.raises(DataError, match="1 counts for 2 items"):
        Vocabulary(["b", "a"], counts=[1])


@given(st.text(), st.booleans(), st.booleans())
def test_normalising_twice_changes_nothing(word, lowercase, digits):
    once = normalise(word, lowercase, digits)
    assert normalise(once, lowercase, digits) == once
    if not lowercase and not digits:
        assert once == canonical(word)
    if digits:
        assert not any(c.isdecimal() and c != "0" for c in once)


@given(ITEMS)
def test_what_is_stored_is_what_is_restored(items):
    known = {"symbols": Vocabulary.count(items), "labels": Vocabulary("YX", unknown=False)}
    stored = {name: vocabulary.items for name, vocabulary in known.items()}
    assert restored(json.loads(json.dumps(stored))) == known
