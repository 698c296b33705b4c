from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import LengthError
from birnn.metrics import LabelScorer, TagScorer

TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
MORE_TAGS = [*TAGS, "E-X", "S-X", "E-Y", "S-Y"]


def tag_pairs(tags):
    """Sequences of (gold, predicted), any tag beside any other: most of them illegal."""
    pair = st.tuples(st.sampled_from(tags), st.sampled_from(tags))
    return st.lists(st.lists(pair, max_size=8), min_size=1, max_size=5)


PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abd")), min_size=1)


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


def test_results_are_plain_json():
    for result in (
        TagScorer([]).result(),
        scored(TagScorer(TAGS, "iob2"), [[("B-X", "O")], []]),
        LabelScorer([]).result(),
    ):
        assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_sequences_of_different_lengths_are_refused():
    with pytest.raises(LengthError, match="2 gold tags and 1 predicted"):
        TagScorer("ab").update(["a", "b"], ["a"])
