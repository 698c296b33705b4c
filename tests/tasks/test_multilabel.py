"""Sets of labels: thresholds are the best there are, faults of the data are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from sklearn.metrics import f1_score, precision_score, recall_score

from birnn.bundle import Encoder
from birnn.data import Example
from birnn.errors import DataError
from birnn.metrics import LabelSetScorer
from birnn.tasks.classifier import Label
from birnn.tasks.multilabel import Labels
from birnn.tasks.thresholds import TunedScorer, chosen_thresholds, cuts_of, held, named
from birnn.training.recipe import Recipe

ENCODER = Encoder(hidden_size=4).stack(2)
SETTINGS = Recipe.load("multilabel").head
FEW = settings(max_examples=20)


@st.composite
def scored(draw, fewest=1):
    """Logits with many ties, and which labels are right."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(fewest, 4)))
    floats = st.one_of(st.sampled_from([-2.0, -1.0, 0.0, 1.0]), st.floats(-40, 40, width=32))
    scores = draw(arrays.arrays(np.float32, shape, elements=floats))
    return scores, draw(arrays.arrays(np.bool_, shape))


def f1(gold, given):
    total = gold.sum() + given.sum()
    return 2 * (gold & given).sum() / total if total else 0.0


@FEW
@given(scored())
def test_no_threshold_of_a_label_or_of_all_gives_a_better_f1(case):
    scores, gold = case
    kept = np.abs(scores).max() < 19  # further thresholds are clipped
    size = scores.shape[1]
    each = cuts_of(chosen_thresholds(scores, gold, "per_label"), size)
    one = cuts_of(chosen_thresholds(scores, gold, "one"), size)
    assert len(set(one.tolist())) == 1
    for label in range(size):
        own, right = scores[:, label], gold[:, label]
        reached = f1(right, own >= each[label])
        if kept:
            best = max(f1(right, own >= cut) for cut in (*own, 0.0, np.inf))
            assert reached == pytest.approx(best)
        if not right.any() or (kept and reached == pytest.approx(f1(right, own >= 0))):
            assert each[label] == 0
    if kept:
        best = max(f1(gold, scores >= cut) for cut in (*scores.ravel(), 0.0, np.inf))
        assert f1(gold, scores >= one) == pytest.approx(best)


@FEW
@given(scored(), st.randoms())
def test_thresholds_do_not_hang_on_the_order_of_the_dev_set(case, random):
    scores, gold = case
    order = list(range(len(scores)))
    random.shuffle(order)
    for rule in ("per_label", "one"):
        assert chosen_thresholds(scores, gold, rule) == chosen_thresholds(
            scores[order], gold[order], rule
        )


def test_a_half_stays_where_it_is_as_good_and_for_labels_that_dev_lacks():
    scores = np.array([[3.0, -1.0, 2.0], [-3.0, -2.0, 1.0]])
    gold = np.array([[1, 0, 1], [0, 0, 1]])
    assert chosen_thresholds(scores, gold, "per_label") == ()
    assert chosen_thresholds(scores, gold, 0.5) == ()
    assert chosen_thresholds(scores, gold, 0.25) == (0.25,) * 3
    # Both answers right at -1 and below, none above: the middle between the two that it parts.
    found = chosen_thresholds(np.array([[-1.0], [-2.0]]), np.array([[1], [0]]), "per_label")
    assert found == pytest.approx([1 / (1 + np.exp(1.5))])
    # -3 and below as good as 3 and above, as far from 0 as logits: the higher.
    scores, gold = np.array([[4.0], [2.0], [2.0], [-4.0]]), np.array([[1], [0], [0], [1]])
    [p] = chosen_thresholds(scores, gold, "per_label")
    assert p == pytest.approx(1 / (1 + np.exp(-3.0)))


@FEW
@given(scored(fewest=2))  # of one label scikit-learn makes two classes
def test_scores_are_those_of_scikit_learn(case):
    scores, gold = case
    said, labels = scores >= 0, [f"label {n}" for n in range(scores.shape[1])]
    scorer = LabelSetScorer(labels)
    for right_L, said_L in zip(gold, said, strict=True):
        scorer.update(named(right_L, labels), named(said_L, labels)[::-1])
    result = scorer.result()
    one, other = gold.astype(int), said.astype(int)
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        expected = score(one, other, average="micro", zero_division=0)
        assert result[name] == pytest.approx(expected)
    occur = np.flatnonzero(gold.any(axis=0) | said.any(axis=0)).tolist()
    if occur:
        expected = f1_score(one, other, labels=occur, average="macro", zero_division=0)
        assert result["macro_f1"] == pytest.approx(expected)
    # Of a sequence without a label that was given none scikit-learn says what it is told to say.
    expected = f1_score(one, other, average="samples", zero_division=1)
    assert result["samples_f1"] == pytest.approx(expected)
    assert result["exact_match"] == (gold == said).all(axis=1).mean()


@FEW
@given(scored())
def test_the_scorer_of_training_counts_as_the_tuned_head_answers(case):
    scores, gold = case
    labels = [f"label {n}" for n in range(scores.shape[1])]
    golds = [named(right_L, labels) for right_L in gold]
    for rule in ("per_label", "one", 0.3):
        tuned, plain = TunedScorer(labels, rule), LabelSetScorer(labels)
        chosen = SETTINGS.model_copy(update={"threshold": rule})
        head = Labels(size=len(labels)).tuned(lambda: list(scores), golds, labels, chosen)
        head = Labels.model_validate_json(head.model_dump_json())
        answers = head.decoding(labels, {}).answers(scores, np.ones(len(scores), int))
        for right, own, said in zip(golds, scores, answers, strict=True):
            tuned.update(right, own)
            plain.update(right, said)
        assert tuned.result() == plain.result()


def fitted(sets, dev=((), ("x", "y"))):
    notices = []
    train = [Example(("a",), target, f"f:{n}") for n, target in enumerate(sets)]
    head = Labels.fit(train, [Example(("a",), t) for t in dev], SETTINGS, ENCODER, notices)
    return head, notices


def test_faults_of_the_labels_are_refused_and_oddities_told():
    with pytest.raises(DataError, match="no training example has a label"):
        fitted([(), ()])
    with pytest.raises(DataError, match=r"every training example has the same labels, x \(2\)"):
        fitted([("x",), ("x",)])
    found, notices = fitted([("x", "y"), ("x",), ("x", "z")])
    assert found.labels.items == ("x", "y", "z")
    assert notices == [
        "labels that every training example has: x (3)",
        "labels that no dev example has, so that 0.5 stays their threshold: z (1)",
    ]
    # One label that is there or not is something to learn.
    found, notices = fitted([("x",), ()])
    assert notices == ["1 of 2 training examples have no label"]
    assert found.head.size == 1


@pytest.mark.parametrize("separator", [";", "/", " ", " + ", ":"])
def test_labels_that_may_be_several_in_one_are_told(separator):
    joined = f"x{separator}y"
    _, notices = fitted([("x", "z"), ("y",), (joined,), (joined,)], dev=[("x", "y", "z")])
    start = f"labels that look like several others in one: {joined} (2). If they are"
    [notice] = [each for each in notices if each.startswith(start)]
    assert "--label-split" in notice
    # Of these no part stands alone anywhere.
    _, notices = fitted([(joined,), (f"y{separator}w",), ()])
    assert any(each.startswith("no training example has more than one label.") for each in notices)
    # A name of two words is not told where its words are no labels.
    _, notices = fitted([("science fiction", "x"), ("x",), ("y",)], dev=[("science fiction", "x")])
    assert not any("look like" in each for each in notices)


def test_a_classifier_tells_of_labels_that_look_like_several():
    def notices(*labels):
        told = []
        train = [Example(("a",), label) for label in labels]
        Label.fit(train, [], Recipe.load("classifier").head, ENCODER, told)
        return told

    [line] = notices("war|funny", "drama", "funny|drama", "war|funny")
    assert line.startswith("labels that look like several in one: war|funny (2), funny|drama (1).")
    assert line.endswith("the task multilabel")
    assert notices("sport, games", "science fiction", "fiction") == []


def test_labels_beyond_the_known_ones_are_left_out_of_targets_and_missed_in_scores():
    assert held([("z", "x")], "xy").tolist() == [[True, False]]
    scorer = LabelSetScorer("xy")
    scorer.update(("x", "z"), ("x",))
    result = scorer.result()
    assert result["unknown_labels"] == {"z": 1}
    assert (result["recall"], result["exact_match"]) == (0.5, 0.0)


@pytest.mark.parametrize("given", [(0.5,), (0.5, float("nan")), (0.0, 0.5), (1.0, 0.5), (-1, 2)])
def test_thresholds_that_are_none_are_refused(given):
    with pytest.raises(ValidationError, match="threshold"):
        Labels(size=2, thresholds=given)
    assert Labels(size=2, thresholds=(0.5, 1e-9)).cuts[1] == pytest.approx(np.log(1e-9))


def test_text_has_a_line_for_each_sequence_with_tabs_between_labels():
    head, labels = Labels(size=3), ("a\tb", "c", "d")
    row, example = np.array([0.25, 0.5, 0.75]), Example(("w",))
    assert head.lines(example, ["a\tb", "d"], None, labels, {}) == "a\\tb\td\n"
    assert head.lines(example, ["c", "d"], row, labels, {}) == "c\t0.5000\td\t0.7500\n"
    assert head.lines(example, [], row, labels, {}) == "\n"
