"""What every task answers, whatever it learns: one battery for all of them."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.bundle import Encoder, Spec
from birnn.data import Example
from birnn.errors import BundleError, DataError, UsageError
from birnn.inputs import Symbols, Vocabulary
from birnn.models.heads import HEADS
from birnn.tasks import TASKS, Label, Tags, Values
from birnn.training.recipe import Recipe

TARGETS = {
    "tagger": [("X", "Y"), (), ("Y",)],
    "classifier": ["X", "Y", "X"],
    "regressor": [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 7.0])],
}
INPUTS = [("a", "b"), (), ("b",)]
OTHER = {"tagger": "X", "classifier": ("X",), "regressor": "X"}


@pytest.fixture(params=sorted(TASKS))
def task(request):
    return request.param


@pytest.fixture
def examples(task):
    pairs = zip(INPUTS, TARGETS[task], strict=True)
    return [Example(inputs, target, f"f:{i}") for i, (inputs, target) in enumerate(pairs)]


@pytest.fixture
def fitted(task, examples):
    notes = []
    found = TASKS[task].fit(examples, examples[:1], Recipe.load(task).head, notes)
    assert all(isinstance(note, str) for note in notes)
    return found


@pytest.fixture
def labels(fitted):
    return () if fitted.labels is None else fitted.labels.items


@pytest.fixture
def codec(fitted):
    known = {"symbols": Vocabulary("ab")}
    known |= {} if fitted.labels is None else {"labels": fitted.labels}
    return Symbols(size=3, dim=2).codec(known)


def plain(targets):
    return [np.asarray(target).tolist() for target in targets]


def test_every_task_has_a_half_in_torch_and_a_name_of_its_own():
    kinds = [head.model_fields["kind"].default for head in TASKS.values()]
    assert sorted(kinds) == sorted(HEADS)
    assert all(head.task == name for name, head in TASKS.items())
    assert len({head.key for head in TASKS.values()}) == len(TASKS)


def test_a_fitted_head_is_that_of_its_task_and_starts_tensors_that_it_has(task, fitted):
    assert isinstance(fitted.head, TASKS[task])
    shapes = fitted.head.tensors(5)
    assert all(values.shape == shapes[name] for name, values in fitted.initial.items())
    sizes = {} if fitted.labels is None else {"labels": len(fitted.labels)}
    assert fitted.head.vocabularies() == sizes


def test_what_is_encoded_is_named_again_and_scores_best(fitted, examples, codec, labels):
    encoded = fitted.head.encoded(codec, examples)
    named = fitted.head.answers_of(encoded.targets, encoded.lengths, labels)
    assert plain(named) == plain(example.target for example in examples)
    scorer = fitted.head.scorer(labels)
    for example, answer in zip(examples, named, strict=True):
        scorer.update(example.target, answer)
    score, larger = fitted.head.selection
    assert scorer.result()[score] == (1.0 if larger else 0.0)


def test_a_batch_has_the_targets_of_its_sequences(fitted, examples, codec, labels):
    batch = fitted.head.encoded(codec, examples).batch([2, 0])
    named = fitted.head.answers_of(batch.targets, batch.lengths, labels)
    assert plain(named) == plain([examples[2].target, examples[0].target])
    assert fitted.head.encoded(codec, []).targets is None


def test_decoded_scores_are_the_best_answers(fitted, labels):
    head, lengths = fitted.head, np.array([2, 0, 1])
    rows = int(lengths.sum()) if head.per_step else len(lengths)
    scores = np.random.default_rng(0).standard_normal((rows, head.size)).astype(np.float32)
    tensors = {f"head.{name}": np.ones(s, np.float32) for name, s in head.tensors(5).items()}
    decoder = head.decoding(labels, tensors)
    answers = decoder.answers(scores, lengths)
    if not head.has_labels:
        assert decoder.probabilities is None
        np.testing.assert_allclose(answers, scores + 1, rtol=1e-6)
        return
    assert answers == head.answers_of(scores.argmax(axis=1), lengths, labels)
    found = [np.atleast_2d(p) for p in decoder.probabilities(scores, lengths) if len(p)]
    powers = np.exp(scores.astype(np.float64))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-5)


def test_a_target_of_another_kind_is_refused_where_it_stands(task, fitted):
    strange = Example(("a",), OTHER[task], "f:7")
    with pytest.raises(DataError, match="f:7: "):
        fitted.head.encode([strange], fitted.labels)
    gold = fitted.head.golds(("X", "Y"), pytest.fail)
    with pytest.raises(DataError, match="f:7: "):
        gold(strange, 0)
    with pytest.raises(DataError, match="example 3: it has no target"):
        gold(Example(("a",)), 3)


def test_nothing_to_tell_apart_is_refused():
    with pytest.raises(DataError, match="single label, 'X'"):
        Label.fit([Example(("a",), "X")], [], Recipe.load("classifier").head, [])
    with pytest.raises(DataError, match="single label, 'X'"):
        Tags.fit([Example(("a",), ("X",))], [], Recipe.load("tagger").head, [])
    widths = [Example(("a",), np.ones(k)) for k in (1, 2)]
    with pytest.raises(DataError, match=r"examples with \[1, 2\] target values"):
        Values.fit(widths, [], Recipe.load("regressor").head, [])


def test_probabilities_are_those_of_the_answer_or_of_every_label(task, fitted):
    record = fitted.head.probability_record
    row = np.array([0.25, 0.75])
    if not fitted.head.has_labels:
        with pytest.raises(UsageError, match=f"a {task} has no probabilities"):
            record([0.5], None, (), every=False)
    elif fitted.head.per_step:
        found = record(["b", "a"], [row, row], "ab", every=False)
        assert found == {"probabilities": [0.75, 0.25]}
        found = record(["b"], [row], "ab", every=True)
        assert found == {"probabilities": [{"a": 0.25, "b": 0.75}]}
    else:
        assert record("b", row, "ab", every=False) == {"probability": 0.75}
        assert record("b", row, "ab", every=True) == {"probabilities": {"a": 0.25, "b": 0.75}}


def test_the_drawing_counts_every_tensor_of_the_head_once(task, fitted):
    spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=4), head=fitted.head)
    prefixes = [prefix for stage in fitted.head.stages(8) for prefix in stage.tensors]
    for name in fitted.head.tensors(8):
        assert sum(map(name.startswith, prefixes)) == 1
    assert spec.task == task


def test_a_scheme_that_no_label_shows_is_refused():
    head = Tags(size=2, scheme="iob2")
    assert head.vocabulary_faults({"labels": ("O", "B-X")}) == []
    assert "the scheme is iob2" in head.vocabulary_faults({"labels": ("O", "X")})[0]
    with pytest.raises(BundleError, match="the scheme is iob2"):
        head.decoding(("O", "X"), {})
    with pytest.raises(ValueError, match="at least two labels"):
        Tags(size=1, scheme="iob2")
