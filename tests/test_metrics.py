from __future__ import annotations

import json
import warnings
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import DataError, LengthError, ShapeError
from birnn.metrics import (
    LabelScorer,
    TagScorer,
    ValueScorer,
    confusion_matrix,
    edit_distance,
    phoneme_error_rate,
    word_error_rate,
)

TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
MORE_TAGS = [*TAGS, "E-X", "S-X", "E-Y", "S-Y"]


def tag_pairs(tags):
    """Sequences of (gold, predicted), any tag beside any other: most of them illegal."""
    pair = st.tuples(st.sampled_from(tags), st.sampled_from(tags))
    return st.lists(st.lists(pair, max_size=8), min_size=1, max_size=5)


PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abd")), min_size=1)
SYMBOLS = st.lists(st.sampled_from("abc"), max_size=6)


def scored(scorer, sequences):
    for rows in sequences:
        scorer.update([gold for gold, _ in rows], [predicted for _, predicted in rows])
    return scorer.result()


@pytest.mark.parametrize("tags", [TAGS, MORE_TAGS], ids=["iob", "iobes"])
@given(data=st.data())
def test_span_scores_are_seqevals(tags, data):
    metrics = pytest.importorskip("seqeval.metrics")
    sequences = data.draw(tag_pairs(tags))
    result = scored(TagScorer(tags, "iob2"), sequences)
    gold = [[g for g, _ in rows] for rows in sequences]
    predicted = [[p for _, p in rows] for rows in sequences]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("precision", "recall", "f1"):
            expected = getattr(metrics, f"{name}_score")(gold, predicted)
            assert result[name] == pytest.approx(expected, abs=1e-12)
        if any(tag != "O" for sequence in gold + predicted for tag in sequence):
            macro = metrics.f1_score(gold, predicted, average="macro")
            assert result["macro_f1"] == pytest.approx(macro, abs=1e-12)
    steps = [pair for rows in sequences for pair in rows]
    right = sum(g == p for g, p in steps)
    assert result["accuracy"] == (right / len(steps) if steps else 0.0)
    assert (result["tokens"], result["sequences"]) == (len(steps), len(sequences))
    assert result["f1_kind"] == "spans"


@given(PAIRS)
def test_label_scores_follow_from_their_definition(pairs):
    scorer = LabelScorer("ab")
    for gold, predicted in pairs:
        scorer.update(gold, predicted)
    result = scorer.result()
    occurring = {label for pair in pairs for label in pair}
    f1 = {}
    for label in occurring:
        right = sum(g == p == label for g, p in pairs)
        told = sum(p == label for _, p in pairs)
        there = sum(g == label for g, _ in pairs)
        precision = right / told if told else 0.0
        recall = right / there if there else 0.0
        total = precision + recall
        f1[label] = 2 * precision * recall / total if total else 0.0
        row = result["per_label"][label]
        assert (row["precision"], row["recall"], row["support"]) == (precision, recall, there)
        assert row["f1"] == pytest.approx(f1[label])
    assert set(result["per_label"]) == occurring
    assert result["macro_f1"] == result["f1"] == pytest.approx(np.mean(list(f1.values())))
    assert result["accuracy"] == pytest.approx(np.mean([g == p for g, p in pairs]))
    counted = [
        (gold, predicted)
        for gold, row in result["confusion"].items()
        for predicted, count in row.items()
        for _ in range(count)
    ]
    assert sorted(counted) == sorted(pairs)
    assert result["unknown_labels"].get("c", 0) == sum(g == "c" for g, _ in pairs)
    assert set(result["unknown_labels"]) <= {"c"}


def test_unknown_labels_of_spans_are_those_of_unknown_types():
    scorer = TagScorer(["O", "B-X"], "iob2")
    scorer.update(["I-X", "E-X", "I-Y", "0"], ["B-X", "O", "O", "O"])
    assert scorer.result()["unknown_labels"] == {"I-Y": 1, "0": 1}
    each = TagScorer(["O", "B-X"])
    each.update(["I-X"], ["B-X"])
    assert each.result()["unknown_labels"] == {"I-X": 1}


@given(PAIRS)
def test_tags_without_a_scheme_are_scored_as_labels(pairs):
    labels, tags = LabelScorer("abc"), TagScorer("abc")
    for gold, predicted in pairs:
        labels.update(gold, predicted)
    tags.update(*zip(*pairs, strict=True))
    expected = labels.result()
    result = tags.result()
    assert (result.pop("tokens"), result.pop("sequences")) == (len(pairs), 1)
    assert expected.pop("sequences") == len(pairs)
    assert result == expected


@given(tag_pairs(TAGS))
def test_order_of_sequences_does_not_matter(sequences):
    one = scored(TagScorer(TAGS, "iob2"), sequences)
    assert one == scored(TagScorer(TAGS, "iob2"), sequences[::-1])


def test_tables_begin_with_the_known_labels_in_their_order():
    scorer = LabelScorer(["z", "a"])
    for label in "bazm":
        scorer.update(label, label)
    assert list(scorer.result()["per_label"]) == ["z", "a", "b", "m"]


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


def test_results_are_plain_json():
    values = ValueScorer()
    values.update(np.float32([1, 2]), np.float32([1, 3]))
    for result in (
        TagScorer([]).result(),
        scored(TagScorer(TAGS, "iob2"), [[("B-X", "O")], []]),
        LabelScorer([]).result(),
        ValueScorer().result(),
        values.result(),
    ):
        assert json.loads(json.dumps(result, allow_nan=False)) == result


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1))
def test_value_scores_follow_from_their_definition(pairs):
    scorer = ValueScorer()
    for gold, predicted in pairs:
        scorer.update([gold], [predicted])
    result = scorer.result()
    gold, predicted = np.array(pairs).T
    mse = np.mean((gold - predicted) ** 2)
    assert result["mse"] == pytest.approx(mse)
    assert result["rmse"] == pytest.approx(np.sqrt(mse))
    assert result["mae"] == pytest.approx(np.mean(np.abs(gold - predicted)))
    if np.var(gold) > 1e-9:
        assert result["r2"] == pytest.approx(1 - mse / np.var(gold))
    assert result["sequences"] == len(pairs)


def test_r2_is_the_mean_over_values_and_1_or_0_without_variation():
    scorer = ValueScorer()
    for gold, predicted in [((1, 5, 7), (1, 5, 7)), ((3, 5, 7), (1, 5, 8))]:
        scorer.update(gold, predicted)
    # 1 - 4 / 2, then a constant that was met, then one that was not
    assert scorer.result()["r2"] == pytest.approx((-1 + 1 + 0) / 3)


def brute_distance(one, other):
    @lru_cache(None)
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


@given(st.lists(st.tuples(SYMBOLS, SYMBOLS), max_size=5))
def test_error_rates(pairs):
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    symbols = sum(map(len, gold))
    if symbols:
        edits = sum(brute_distance(tuple(g), tuple(p)) for g, p in pairs)
        assert phoneme_error_rate(gold, predicted) == edits / symbols
    assert phoneme_error_rate(gold, gold) == word_error_rate(gold, gold) == 0.0
    if pairs:
        wrong = sum(g != p for g, p in pairs)
        assert word_error_rate(gold, predicted) == wrong / len(pairs)


def test_faults():
    with pytest.raises(LengthError, match="2 gold tags and 1 predicted"):
        TagScorer("ab").update(["a", "b"], ["a"])
    with pytest.raises(ShapeError, match="2 predicted values for 1"):
        ValueScorer().update([1.0], [1.0, 2.0])
    for rate in (phoneme_error_rate, word_error_rate):
        with pytest.raises(LengthError, match="0 predicted sequences for 1"):
            rate([["a"]], [])
    with pytest.raises(DataError, match="nothing was counted"):
        confusion_matrix({"a": {"a": 0}})
    with pytest.raises(DataError, match="most is 1"):
        confusion_matrix({"a": {"a": 1}}, most=1)
