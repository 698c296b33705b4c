"""What every task answers, whatever it learns: one battery for all of them."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.bundle import Encoder, Spec
from birnn.data import Example
from birnn.errors import BundleError, ConfigError, DataError, DirectionError, UsageError
from birnn.inputs import Symbols, Vocabulary
from birnn.models.heads import HEADS
from birnn.ragged import Ragged
from birnn.tasks import TASKS, Gaps, Label, Scored, Tags, TargetSequence, Values
from birnn.tasks.target_symbols import longest_of
from birnn.training.recipe import Recipe

TARGETS = {
    "tagger": [("X", "Y"), (), ("Y",)],
    "classifier": ["X", "Y", "X"],
    "multilabel": [("Y", "X"), (), ("Y",)],
    "regressor": [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 7.0])],
    "seq2seq": [("X", "YY", "X"), ("YY",), ()],
    "filler": [("b",), (), ("a", "b")],
}
INPUTS = {task: [("a", "b"), (), ("b",)] for task in TARGETS}
INPUTS["filler"] = [("a", "___", "b"), (), ("___", "b", "___")]
ENCODER = Encoder(hidden_size=4).stack(2)
OTHER = dict.fromkeys(TARGETS, "X") | {"classifier": ("X",)}
SCORING = sorted(name for name, head in TASKS.items() if issubclass(head, Scored))
BEST = {"perplexity": 1.0}  # where the best score is neither 1 nor 0


@pytest.fixture(params=sorted(TASKS))
def task(request):
    return request.param


@pytest.fixture
def examples(task):
    pairs = zip(INPUTS[task], TARGETS[task], strict=True)
    return [Example(inputs, target, f"f:{i}") for i, (inputs, target) in enumerate(pairs)]


@pytest.fixture
def fitted(task, examples):
    notes = []
    found = TASKS[task].fit(examples, examples[:1], Recipe.load(task).head, ENCODER, notes)
    assert all(isinstance(note, str) for note in notes)
    return found


@pytest.fixture
def labels(fitted):
    return () if fitted.labels is None else fitted.labels.items


@pytest.fixture
def codec(fitted):
    known = {"symbols": Vocabulary("ab")}
    known |= {} if fitted.labels is None else {fitted.head.vocabulary: fitted.labels}
    return Symbols(size=3, dim=2).codec(known)


def named(head, batch, labels):
    """The targets of a batch, by name."""
    if batch.target_lengths is not None:
        each = Ragged(batch.targets, batch.target_lengths).to_list()
        return [tuple(labels[number] for number in target) for target in each]
    targets, lengths = batch.targets, batch.lengths
    if batch.asked is not None:
        asked = Ragged(targets, lengths).kept(batch.asked)
        targets, lengths = asked.values, asked.lengths
    return head.answers_of(targets, lengths, labels)


def plain(targets):
    return [np.asarray(target).tolist() for target in targets]


def test_every_task_has_a_half_in_torch_and_a_name_of_its_own():
    kinds = [head.model_fields["kind"].default for head in TASKS.values()]
    assert sorted(kinds) == sorted(HEADS)
    assert all(head.task == name for name, head in TASKS.items())
    assert len({head.key for head in TASKS.values()}) == len(TASKS)


def test_a_fitted_head_is_that_of_its_task_and_starts_tensors_that_it_has(task, fitted):
    assert isinstance(fitted.head, TASKS[task])
    shapes = fitted.head.tensors(ENCODER)
    assert all(values.shape == shapes[name] for name, values in fitted.initial.items())
    sizes = {} if fitted.labels is None else {fitted.head.vocabulary: len(fitted.labels)}
    assert fitted.head.vocabularies() == sizes


def test_what_is_encoded_is_named_again_and_scores_best(fitted, examples, codec, labels):
    encoded = fitted.head.encoded(codec, examples)
    answers = named(fitted.head, encoded, labels)
    assert plain(answers) == plain(example.target for example in examples)
    scorer, gold = fitted.head.scorer(labels), fitted.head.golds(labels, pytest.fail)
    for number, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        right = gold(example, number)
        scored = fitted.head.right_answer(right)
        if not isinstance(fitted.head, Gaps):  # its scorer counts probabilities, not answers
            assert plain([scored]) == plain([answer])
        scorer.update(right, scored)
    result = scorer.result()
    assert fitted.head.selection in scorer.directions
    for score, larger in scorer.directions.items():
        assert result[score] == BEST.get(score, 1.0 if larger else 0.0)
    # What is a share or an error and no count is a score to choose weights by.
    assert {name for name, value in result.items() if isinstance(value, float)} == set(
        scorer.directions
    )


def test_a_batch_has_the_targets_of_its_sequences(fitted, examples, codec, labels):
    batch = fitted.head.encoded(codec, examples).batch([2, 0])
    assert plain(named(fitted.head, batch, labels)) == plain(
        [examples[2].target, examples[0].target]
    )
    assert fitted.head.encoded(codec, []).targets is None


@pytest.mark.parametrize("task", SCORING, indirect=True)
def test_decoded_scores_are_the_best_answers(fitted, labels):
    head, lengths = fitted.head, np.array([2, 0, 1])
    rows = int(lengths.sum()) if head.per_step else len(lengths)
    scores = np.random.default_rng(0).standard_normal((rows, head.size)).astype(np.float32)
    tensors = {f"head.{name}": np.ones(s, np.float32) for name, s in head.tensors(ENCODER).items()}
    decoder = head.decoding(labels, tensors)
    answers = decoder.answers(scores, lengths)
    if not head.has_labels:
        assert decoder.probabilities is None
        np.testing.assert_allclose(answers, scores + 1, rtol=1e-6)
        return
    if head.target == "labels":
        assert answers == head.answers_of(scores >= 0, lengths, labels)
        found = np.stack(decoder.probabilities(scores, lengths))
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-scores.astype(np.float64))), rtol=1e-5)
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
        Label.fit([Example(("a",), "X")], [], Recipe.load("classifier").head, ENCODER, [])
    with pytest.raises(DataError, match="single label, 'X'"):
        Tags.fit([Example(("a",), ("X",))], [], Recipe.load("tagger").head, ENCODER, [])
    widths = [Example(("a",), np.ones(k)) for k in (1, 2)]
    with pytest.raises(DataError, match=r"examples with \[1, 2\] target values"):
        Values.fit(widths, [], Recipe.load("regressor").head, ENCODER, [])


def test_probabilities_are_those_of_the_answer_or_of_every_label(task, fitted):
    record = fitted.head.probability_record
    row = np.array([0.25, 0.75])
    if task == "seq2seq":  # the n best targets, see tests/runtime/test_beam.py
        return
    if not fitted.head.has_labels:
        with pytest.raises(UsageError, match=f"a {task} has no probabilities"):
            record([0.5], None, (), every=False)
    elif fitted.head.probabilities_in_json:
        found = record(["b", "a"], [row, row[::-1]], "ab", every=False)
        assert found == {"likeliest": [{"b": 0.75, "a": 0.25}, {"a": 0.75, "b": 0.25}]}
        found = record(["b"], [row], "ab", every=True)
        assert found == {"probabilities": [{"a": 0.25, "b": 0.75}]}
    elif fitted.head.per_step:
        found = record(["b", "a"], [row, row], "ab", every=False)
        assert found == {"probabilities": [0.75, 0.25]}
        found = record(["b"], [row], "ab", every=True)
        assert found == {"probabilities": [{"a": 0.25, "b": 0.75}]}
    elif task == "multilabel":
        assert record(["b", "a"], row, "ab", every=False) == {"probabilities": [0.75, 0.25]}
        assert record([], row, "ab", every=True) == {"probabilities": {"a": 0.25, "b": 0.75}}
    else:
        assert record("b", row, "ab", every=False) == {"probability": 0.75}
        assert record("b", row, "ab", every=True) == {"probabilities": {"a": 0.25, "b": 0.75}}


def test_the_drawing_counts_every_tensor_of_the_head_once(task, fitted):
    spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=4), head=fitted.head)
    prefixes = [prefix for stage in fitted.head.stages(ENCODER) for prefix in stage.tensors]
    for name in fitted.head.tensors(ENCODER):
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


# ---------------------------------------------------------------------- target sequences


def sequence_head(**settings):
    given = {f"head.{name}": value for name, value in settings.items()}
    pairs = zip(INPUTS["seq2seq"], TARGETS["seq2seq"], strict=True)
    examples = [Example(*pair, f"f:{i}") for i, pair in enumerate(pairs)]
    recipe, notes = Recipe.load("seq2seq").with_settings(given), []
    encoder = Encoder(cell="gru", hidden_size=4, num_layers=2).stack(2)
    return TargetSequence.fit(examples, [], recipe.head, encoder, notes), encoder, notes


def test_a_batch_takes_the_rows_of_both_sides():
    fitted, _, _ = sequence_head()
    codec = Symbols(size=3, dim=2).codec({"symbols": Vocabulary("ab"), "targets": fitted.labels})
    encoded = fitted.head.encoded(codec, fitted.train)
    assert encoded.sizes.tolist() == [2 + 3 + 1, 0 + 1 + 1, 1 + 0 + 1]
    batch = encoded.batch([2, 0, 2])
    assert batch.target_lengths.tolist() == [0, 3, 0]
    assert (batch.answers, batch.rows) == (3 + 3, 2 * 1 + 2 + 3 + 3)


def test_the_boundary_symbol_is_number_0_and_no_symbol_of_a_target():
    fitted, _, _ = sequence_head()
    assert fitted.labels.items == ("<s>", "X", "YY")
    assert fitted.labels.counts.tolist() == [3, 2, 2]
    assert fitted.head.vocabulary_faults({"targets": fitted.labels.items}) == []
    assert "must begin with <s>" in fitted.head.vocabulary_faults({"targets": ("X",)})[0]
    settings, encoder = Recipe.load("seq2seq").head, ENCODER
    with pytest.raises(DataError, match="f:3: <s> is a symbol of a target"):
        TargetSequence.fit([Example((), ("<s>",), "f:3")], [], settings, encoder, [])
    with pytest.raises(DataError, match="all targets of the training data are empty"):
        TargetSequence.fit([Example(("a",), ())], [], settings, encoder, [])


def test_the_longest_answer_is_learnt_and_no_training_target_is_beyond_it():
    fitted, _, notes = sequence_head()
    lengths = np.array([len(example) for example in fitted.train])
    targets = np.array([len(example.target) for example in fitted.train])
    assert (fitted.head.longest_answers(lengths) >= targets).all()
    fixed, each = fitted.head.longest
    [note] = notes
    assert note == (
        "targets of 1 symbols (median), 3 at most (f:0); an answer ends after "
        f"{fixed} + {each:g} symbols for each step of its source"
    )


def test_a_long_target_of_a_long_source_is_within_the_bound_of_its_own():
    train = [Example(("a",) * n, ("x",) * n) for n in (1, 2, 3, 4, 5, 20_000)]
    fixed, each = longest_of(train, [example.target for example in train])
    assert fixed == 10
    assert all(fixed + each * len(e) >= len(e.target) for e in train)
    # Many long targets are no mistake, and all fit, whatever their sources are.
    train = [Example(("a",), ("x",) * n) for n in (1, 2, 3, 50, 60)]
    fixed, each = longest_of(train, [example.target for example in train])
    assert fixed + each >= 60


def test_the_decoder_fits_the_encoder_unless_it_is_told_not_to():
    for bridge, size in (("concat", 8), ("project", 8), ("none", 8), ("sum", 4), ("mean", 4)):
        fitted, encoder, _ = sequence_head(bridge=bridge)
        assert fitted.head.encoder_faults(encoder) == []
        assert (fitted.head.cell, fitted.head.hidden_size) == ("gru", size)
    for chosen, size, attention in (
        ({}, 8, "dot"),
        ({"bridge": "concat"}, 8, "dot"),
        ({"bridge": "sum"}, 4, "general"),
        ({"bridge": "mean"}, 4, "general"),
        ({"hidden_size": 5}, 5, "general"),
        ({"bridge": "sum", "attention": "additive"}, 4, "additive"),
    ):
        fitted, encoder, notes = sequence_head(**{"attention": "auto"} | chosen)
        assert fitted.head.encoder_faults(encoder) == []
        assert (fitted.head.hidden_size, fitted.head.attention) == (size, attention)
        assert any("attention is general" in note for note in notes) == (attention == "general")
    fitted, encoder, _ = sequence_head(bridge="sum", hidden_size=8, attention="dot")
    [fault] = fitted.head.encoder_faults(encoder)
    assert "bridge is sum" in fault
    fitted, encoder, _ = sequence_head(hidden_size=5, attention="dot")
    [fault] = fitted.head.encoder_faults(encoder)
    assert "queries 5 wide and memory 8 wide" in fault
    fitted, encoder, _ = sequence_head(bridge="sum", hidden_size=5, attention="dot")
    assert ".;" not in "; ".join(fitted.head.encoder_faults(encoder))
    with pytest.raises(ValueError, match="queries 5 wide"):
        Spec(
            inputs=Symbols(size=3, dim=2),
            encoder=Encoder(cell="gru", hidden_size=4, num_layers=2),
            head=fitted.head,
        )


def test_a_decoder_of_two_directions_is_refused_with_the_reason():
    for given in ({"head.bidirectional": True}, {"head.directions": ["both"]}):
        with pytest.raises(DirectionError, match="a decoder needs one direction"):
            Recipe.load("seq2seq").with_settings(given)
    with pytest.raises(ConfigError, match="bidirectional is no setting"):
        Recipe.load("seq2seq").with_settings({"head.bidirectional": False})


def test_symbols_are_printed_with_a_separator_that_keeps_them_apart():
    assert sequence_head()[0].head.separator == " "
    example = [Example(("a",), ("x", "y"))]
    head = TargetSequence.fit(example, [], Recipe.load("seq2seq").head, ENCODER, []).head
    assert head.lines(example[0], ["x", "y"], None, (), {}) == "xy\n"
    assert (
        sequence_head(separator="_")[0].head.lines(example[0], ["x", "y"], None, (), {}) == "x_y\n"
    )
