from __future__ import annotations

import json
import math
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_edits import brute_distance

from birnn.errors import DataError, MissingExtra
from birnn.metrics import SequenceScorer

SYMBOLS = st.lists(st.sampled_from(["a", "b", "AE1"]), max_size=5).map(tuple)
COUNTED = st.lists(st.tuples(st.lists(SYMBOLS, min_size=1, max_size=3), SYMBOLS), max_size=6)


def scorer_of(counted, *args, **kwargs):
    scorer = SequenceScorer(*args, **kwargs)
    for references, answer in counted:
        scorer.update(references, answer)
    return scorer


@given(COUNTED)
def test_error_rates_follow_from_their_definition(counted):
    edits = length = 0
    for references, answer in counted:
        distance, negative = min((brute_distance(r, answer), -len(r)) for r in references)
        edits, length = edits + distance, length - negative
    result = scorer_of(counted).result()
    assert result["token_error_rate"] == edits / max(1, length)
    wrong = sum(answer not in references for references, answer in counted)
    assert result["sequence_error_rate"] == (wrong / len(counted) if counted else 0)
    assert result["substitutions"] + result["insertions"] + result["deletions"] == edits
    # an answer is longer than its reference by what was inserted and not deleted
    longer = sum(len(answer) for _, answer in counted) - length
    assert result["insertions"] - result["deletions"] == longer
    assert result["reference_tokens"] == length
    assert result["sequences"] == len(counted)
    assert result["references"] == sum(len(references) for references, _ in counted)
    assert result["several_references"] == sum(len(references) > 1 for references, _ in counted)


@given(COUNTED)
def test_the_confusion_holds_every_symbol_of_references_and_answers(counted):
    result = scorer_of(counted).result()
    said = Counter()
    for row in result["confusion"].values():
        said.update(row)
    del said[""]
    assert said == Counter(symbol for _, answer in counted for symbol in answer)
    differing = sum(
        n for gold, row in result["confusion"].items() for other, n in row.items() if gold != other
    )
    assert differing == result["substitutions"] + result["insertions"] + result["deletions"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_any_of_several_references_is_right():
    red = [("R", "EH", "D"), ("R", "IY", "D")]
    for answer in red:
        assert scorer_of([(red, answer)]).result()["token_error_rate"] == 0
    # one edit from both: the longer one counts
    result = scorer_of([([("a",), ("a", "b", "c")], ("a", "b"))]).result()
    assert (result["reference_tokens"], result["deletions"]) == (3, 1)


def test_empty_references_and_rates_above_one():
    assert scorer_of([([()], ())]).result()["token_error_rate"] == 0
    result = scorer_of([([()], ("a", "b"))]).result()
    assert (result["token_error_rate"], result["sequence_error_rate"]) == (2, 1)
    result = scorer_of([([("a",)], ("b", "b", "b"))]).result()
    assert (result["token_error_rate"], result["substitutions"], result["insertions"]) == (3, 1, 2)


def test_the_worst_answers_come_first_and_unknown_symbols_are_named():
    counted = [([("a", "b")], ("a",)), ([("a", "z")], ("b", "b")), ([("a",)], ("a",))]
    result = scorer_of(counted, ["a", "b"]).result()
    assert result["worst"] == [
        {"gold": "a z", "predicted": "b b", "edits": 2},
        {"gold": "a b", "predicted": "a", "edits": 1},
    ]
    assert result["unknown_labels"] == {"z": 1}


def bleu(counted):
    """By its definition, without smoothing; None where a precision is zero."""
    right, there = Counter(), Counter()
    lengths = [0, 0]
    for references, answer in counted:
        lengths[0] += len(answer)
        lengths[1] += min((abs(len(r) - len(answer)), len(r)) for r in references)[1]
        for n in range(1, 5):
            grams = Counter(answer[i : i + n] for i in range(len(answer) - n + 1))
            most = Counter()
            for r in references:
                most |= Counter(r[i : i + n] for i in range(len(r) - n + 1))
            right[n] += (grams & most).total()
            there[n] += grams.total()
    if not all(right[n] for n in range(1, 5)):
        return None
    precision = math.exp(sum(math.log(right[n] / there[n]) for n in range(1, 5)) / 4)
    return 100 * precision * min(1, math.exp(1 - lengths[1] / lengths[0]))


@given(
    st.lists(
        st.tuples(
            st.lists(
                st.lists(st.sampled_from("ab"), min_size=4, max_size=9).map(tuple), min_size=1
            ),
            st.lists(st.sampled_from("ab"), min_size=4, max_size=9).map(tuple),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_bleu_is_that_of_the_paper(counted):
    pytest.importorskip("sacrebleu")
    expected = bleu(counted)
    if expected is not None:
        assert scorer_of(counted).overlap()["bleu"] == pytest.approx(expected)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_short_answers_have_the_bleu_of_the_rows_that_they_have(size):
    pytest.importorskip("sacrebleu")
    right = tuple("abcd"[:size])
    assert scorer_of([([right], right)]).overlap()["bleu"] == pytest.approx(100)
    # one symbol of each is wrong: of the unigrams half are right, of the bigrams none
    assert 0 < scorer_of([([("a", "b")], ("a", "c"))]).overlap()["bleu"] < 100


def test_symbols_that_hold_spaces_are_one_symbol_for_bleu():
    pytest.importorskip("sacrebleu")
    spaced = scorer_of([([("new york", "a", "b", "c", "d")], ("york", "a", "b", "c", "d"))])
    plain = scorer_of([([("x", "a", "b", "c", "d")], ("y", "a", "b", "c", "d"))])
    assert spaced.overlap()["bleu"] == plain.overlap()["bleu"]


def test_chrf_is_of_the_text():
    sacrebleu = pytest.importorskip("sacrebleu")
    pair = [([tuple("third"), tuple("thirds")], tuple("thind"))]
    expected = sacrebleu.sentence_chrf("thind", ["third", "thirds"]).score
    assert scorer_of(pair, separator="").overlap()["chrf"] == pytest.approx(expected)


def test_without_sacrebleu_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "sacrebleu"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(MissingExtra, match=r"birnn\[metrics\]"):
        scorer_of([([("a",)], ("a",))]).overlap()


@pytest.mark.parametrize("gold", [[], "abc", ["a", "b"]])
def test_what_is_no_list_of_references_is_refused(gold):
    with pytest.raises(DataError, match="list of them"):
        SequenceScorer().update(gold, ["a"])
