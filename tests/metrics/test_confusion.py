from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import DataError
from birnn.metrics import LabelScorer, confusion_matrix


@given(
    pairs=st.lists(st.tuples(*[st.sampled_from("abcdefg")] * 2), min_size=1), most=st.integers(2, 8)
)
def test_a_confusion_matrix_counts_every_pair_once(pairs, most):
    scorer = LabelScorer("gfedcba")
    for gold, said in pairs:
        scorer.update(gold, said)
    found = confusion_matrix(scorer.result()["confusion"], most=most)
    own, folded = set(found.labels), set(found.folded)
    occurring = {label for pair in pairs for label in pair}
    assert own | folded == occurring
    assert not own & folded
    assert [found.labels, found.folded] == [tuple(sorted(own)), tuple(sorted(folded))]
    assert len(found.counts) == min(most, len(occurring)) == len(own) + bool(folded)

    def place(label):
        return found.labels.index(label) if label in own else len(own)

    expected = np.zeros_like(found.counts)
    unplaced = 0
    for gold, said in pairs:
        if gold != said and {gold, said} <= folded:
            unplaced += 1
        else:
            expected[place(gold), place(said)] += 1
    np.testing.assert_array_equal(found.counts, expected)
    assert found.within == unplaced
    # the labels with a row of their own are those with the most wrong answers
    wrong = {o: sum(g != s and o in (g, s) for g, s in pairs) for o in occurring}
    assert min(wrong[o] for o in own) >= max((wrong[o] for o in folded), default=0)
    for at, label in enumerate(found.labels):
        asked = [said for gold, said in pairs if gold == label]
        shares = [asked.count(o) / len(asked) if asked else np.nan for o in found.labels]
        np.testing.assert_allclose(found.shares[at, : len(own)], shares)
    if folded:
        asked = [said for gold, said in pairs if gold in folded]
        right = sum(gold == said for gold, said in pairs if gold in folded)
        np.testing.assert_allclose(found.shares[-1, -1], right / len(asked) if asked else np.nan)
    assert {(g, s): n for g, s, n in found.confused} == {
        (g, s): pairs.count((g, s)) for g, s in pairs if g != s
    }
    times = [n for _, _, n in found.confused]
    assert times == sorted(times, reverse=True)


def test_no_answers_and_a_matrix_of_one_row_are_refused():
    with pytest.raises(DataError, match="nothing was counted"):
        confusion_matrix({"a": {"a": 0}})
    with pytest.raises(DataError, match="most is 1"):
        confusion_matrix({"a": {"a": 1}}, most=1)
