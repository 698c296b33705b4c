"""Prediction takes tables and records for what they hold, never for their names."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
import torch

from birnn import explain
from birnn.bundle import Bundle, Encoder, Label, Spec, Symbols, Tags, Values, Vectors, Words
from birnn.data import Example, ReadOptions
from birnn.errors import BirnnError, DataError
from birnn.runtime import Predictor
from birnn.tasks import TargetSequence
from random_tensors import random_tensors

TEXTS = ["so good", "so bad a film", "good"]


class Frame:
    """As much of a data frame as pandas and polars have in common."""

    def __init__(self, **columns):
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return self._columns[name]

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def __iter__(self):
        return iter(self.columns)


def predictor(head, inputs=None, **facts):
    inputs = inputs or Words(size=5, dim=4)
    spec = Spec(inputs=inputs, encoder=Encoder(hidden_size=3), head=head)
    tensors = random_tensors(spec, np.random.default_rng(5), 1.0)
    names = {"words": ("<unk>", "so", "good", "bad", "film"), "symbols": ("<unk>", "M", "K", "V")}
    names = {kind: items for kind, items in names.items() if kind == inputs.kind}
    if not isinstance(head, Values):
        names["labels"] = ("x", "y", "z")
    return Predictor(Bundle(spec, names, tensors, {"reading": facts}))


@pytest.mark.parametrize("head", [Label(size=3), Values(size=2)])
@pytest.mark.parametrize(
    "given",
    [
        Frame(text=TEXTS),
        Frame(id=[1, 2, 3], Review=TEXTS, stars=[1, 2, 3]),
        {"text": TEXTS},
        {"text": np.array(TEXTS), "label": ["x", "y", "z"]},
        [{"text": text, "label": "x"} for text in TEXTS],
        [Example(text) for text in TEXTS],
        np.array(TEXTS),
        np.array(TEXTS, object),
        lambda: iter(TEXTS),
        lambda: (text for text in TEXTS),
    ],
)
def test_a_table_stands_for_its_texts(head, given):
    model = predictor(head)
    given = given() if callable(given) else given
    assert model.predict(given) == model.predict(TEXTS)


def test_every_way_to_predict_takes_tables():
    model = predictor(Label(size=3))
    frame = Frame(text=TEXTS)
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(TEXTS))
    assert list(model.stream(frame)) == model.predict(TEXTS)
    assert [answer for answer, _ in model.stream_proba(frame)] == model.predict(TEXTS)
    labels = model.predict(TEXTS)
    scores = model.evaluate(Frame(text=TEXTS, label=labels))
    assert (scores["accuracy"], scores["sequences"]) == (1.0, 3)
    one, other = (explain.correlation(model, given) for given in (frame, TEXTS))
    np.testing.assert_array_equal(one.matrix, other.matrix)


def test_tokens_symbols_and_vectors_come_in_tables_too():
    tagger = predictor(Tags(size=3))
    tokens = [["so", "good"], ["film"]]
    assert tagger.predict({"tokens": tokens}) == tagger.predict(tokens)
    assert tagger.predict([{"tokens": t, "tags": ["x"] * len(t)} for t in tokens]) == (
        tagger.predict(tokens)
    )
    residues = predictor(Tags(size=3), Symbols(size=4, dim=2))
    assert residues.predict(Frame(sequence=["MKV", "V"])) == residues.predict(["MKV", "V"])
    series = predictor(Label(size=3), Vectors(size=2))
    rows = [np.ones((3, 2)), np.zeros((1, 2))]
    assert series.predict({"vectors": rows}) == series.predict(rows)
    assert series.predict([Example(one) for one in rows]) == series.predict(rows)


def test_a_model_finds_the_column_it_was_trained_on():
    model = predictor(Label(size=3), text_column="kommentar")
    frame = Frame(text=["x"] * 3, kommentar=TEXTS)
    assert model.predict(frame) == model.predict(TEXTS)
    assert model.predict([{"text": "x", "kommentar": text} for text in TEXTS]) == (
        model.predict(TEXTS)
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Frame(a=TEXTS, b=TEXTS, c=TEXTS), "a table: the header names 'a', 'b', 'c'"),
        (Frame(text=[]), "a table without rows"),
        (Frame(n=[1, 2]), "sequence 0 is int 1"),
        ({"text": "so good"}, "one dict whose 'text' is 'so good'"),
        ({"so good": 1}, "one dict whose 'so good' is 1"),
        ({}, "a table without rows"),
        ({"so good", "so bad"}, "sequences is a set"),
        ([{"foo": "so good", "bar": 1}], "sequence 0: no text, it has foo, bar"),
        ([{"so", "good"}], "sequence 0 is set"),
        ([Frame(text=TEXTS)], "sequence 0 is Frame"),
        ([("so good", "pos")], "sequence 0 is tuple ('so good', 'pos'), which looks like a text"),
        ([("so good", 1)], "sequence 0 is tuple ('so good', 1), which looks like a text"),
    ],
)
def test_what_cannot_be_understood_is_refused(given, says):
    model = predictor(Label(size=3))
    for method in (model.predict, model.predict_proba, lambda x: list(model.stream(x))):
        with pytest.raises(DataError) as caught:
            method(given)
        assert str(caught.value).startswith(says)
        assert "\n" not in str(caught.value)


def test_a_string_in_a_list_is_no_symbol_of_a_model_of_characters():
    model = predictor(Tags(size=3), Symbols(size=4, dim=2))
    known = [symbol for symbol in model.bundle.vocabularies["symbols"] if symbol != "<unk>"]
    assert {len(symbol) for symbol in known} == {1}
    string = "".join(known)
    for given in ([[string]], [[string.lower()]]):
        with pytest.raises(DataError, match=r"sequence 0 is list .*Give the string itself"):
            model.predict(given)
    assert [len(tags) for tags in model.predict([[*string], string, ["<pad>"], [known[0]]])] == [
        *(len(string), len(string)),
        *(1, 1),
    ]


def test_rows_of_numbers_are_refused_where_series_are_not_told_apart():
    model = predictor(Label(size=3), Vectors(size=2))
    for given in (Frame(a=[1.0, 2.0], b=[3.0, 4.0]), {"a": [1.0], "b": [2.0]}):
        with pytest.raises(DataError, match="which of its rows belong to one series"):
            model.predict(given)
    for number in (10**400, "1", None, 1j):
        with pytest.raises(DataError, match="sequence 0"):
            model.predict([[[number, 1]]])


def test_explanations_take_no_table_for_a_sequence():
    with pytest.raises(DataError, match="sequence 0 is Frame"):
        explain.states(predictor(Label(size=3)), Frame(text=TEXTS))


LEAVES = [
    None,
    True,
    0,
    -3,
    1.5,
    float("nan"),
    10**400,
    "",
    "so good",
    b"x",
    1j,
    range(3),
    "\ud800",
]
LEAVES += [np.int64(3), np.float32(2), np.bool_(True), np.array(3), np.array("x"), np.ones((2, 2))]
LEAVES += [np.array(["a", "b"]), np.array([None, "a"], object), np.datetime64("2020-01-01"), {"x"}]
LEAVES += [Example(("a",), "x"), Example(None, None), Example([1, 2], 1.5), np.zeros((2, 0))]
KEYS = ["text", "label", "tokens", "tags", "vectors", "values", "id", "foo", 3, None]


def anything(random, depth=0):
    """Lists, tuples, dicts and tables of anything."""
    kind = random.random()
    if depth > 3 or kind < 0.35:
        return random.choice(LEAVES)
    some = [anything(random, depth + 1) for _ in range(random.randint(0, 3))]
    if kind < 0.55:
        return some
    if kind < 0.75:
        return tuple(some)
    if kind < 0.9:
        return dict(zip(random.sample(KEYS, len(some)), some, strict=True))
    return Frame(text=[anything(random, depth + 1)] * 2, label=[random.choice(LEAVES)] * 2)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_handed_in_is_answered_or_refused_in_one_line(seed):
    random = Random(seed)
    models = [
        predictor(Label(size=3)),
        predictor(Tags(size=3)),
        predictor(Values(size=2)),
        predictor(Tags(size=3), Symbols(size=4, dim=2)),
        predictor(Label(size=3), Vectors(size=2)),
    ]
    messages = []
    for _ in range(1000):
        model, given = random.choice(models), anything(random)
        call = random.choice([model.predict, lambda x, m=model: m.evaluate(x, tell=[].append)])
        try:
            call([given] if isinstance(given, str) else given)
        except BirnnError as error:
            messages.append(str(error))
    assert not [line for line in messages if "\n" in line or len(line) > 600]
    assert len(messages) > 100


@pytest.mark.parametrize("given", [[], (), iter(()), np.zeros(0)])
@pytest.mark.parametrize("head", [Label(size=3), Values(size=2), Tags(size=3)])
def test_nothing_to_evaluate_on_is_refused(head, given):
    with pytest.raises(DataError, match=r"^no example to evaluate on\. Give at least one\.$"):
        predictor(head).evaluate(given)


def test_only_examples_without_a_target_are_nothing_to_evaluate_on():
    with pytest.raises(DataError, match="no example to evaluate on"):
        predictor(Label(size=3)).evaluate([("so good", None)], skip_unlabelled=True)


def test_vectors_of_prediction_may_be_tensors_and_not_masked():
    model = predictor(Values(size=2), Vectors(size=2))
    values = np.float32([[1, 2], [3, 4]])
    wanted = model.predict([values])
    assert model.predict([torch.tensor(values, requires_grad=True)]) == wanted
    assert model.predict([np.ma.array(values)]) == wanted
    masked = np.ma.masked_equal(values, 3)
    for given in ([masked], [list(masked)]):
        with pytest.raises(DataError, match="sequence 0, step 1, channel 0 is nan"):
            model.predict(given)
    with pytest.raises(DataError, match=r"step 1.*nan"):
        model.evaluate([(masked, [1.0, 2.0])])


@pytest.mark.parametrize("vectors", [np.ones((3, 2)), [[1.0, 2.0]], [0.5, 1.5]])
def test_vectors_for_a_model_of_words_say_what_it_reads(vectors):
    model = predictor(Label(size=3))
    with pytest.raises(DataError, match=r"sequence 0, step 0: .* reads words, not vectors"):
        model.predict([vectors])


# ------------------------------------------------------------------ sources of targets


def seq2seq(inputs, symbols, **reading):
    spec = Spec(
        inputs=inputs,
        encoder=Encoder(hidden_size=3),
        head=TargetSequence(size=3, dim=2, hidden_size=6, longest=(3, 0.0)),
    )
    vocabularies = {spec.inputs.kind: symbols, "targets": ("<s>", "X", "Y")}
    tensors = random_tensors(spec, np.random.default_rng(1))
    return Predictor(Bundle(spec, vocabularies, tensors, {"reading": reading}))


@pytest.mark.parametrize(
    ("way", "text", "steps"),
    [
        ("characters", " a cat", list("a cat")),
        ("spaces", "K AE  T", ["K", "AE", "T"]),
        ("-", "a cat-T", ["a cat", "T"]),
        ("characters", "", []),
    ],
)
def test_a_source_as_a_string_is_split_as_in_training(way, text, steps, tmp_path):
    model = seq2seq(Symbols(size=4, dim=2), ("<unk>", "a", "K", "AE"), source_split=way)
    assert model.tokens(text) == steps
    assert model.predict([text]) == model.predict([steps]) == model.predict([{"source": text}])
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"source": text}) + "\n")
    [example] = model.read(path)
    assert list(example.inputs) == steps
    [given] = model.read(path, ReadOptions(source_split="spaces"))
    assert list(given.inputs) == text.split()


def test_a_source_with_its_target_is_no_sequence_of_two():
    model = seq2seq(Symbols(size=3, dim=2), ("<unk>", "a", " "), source_split="characters")
    with pytest.raises(DataError, match="looks like a source and its target"):
        model.predict([("cat", "K AE T")])
    # a space is a symbol of this model
    assert model.predict([(" ", "a"), ("a", " ")]) == model.predict([[" ", "a"], ["a", " "]])


def test_without_a_rule_a_source_is_split_as_the_symbols_of_the_model_are(tmp_path):
    model = seq2seq(Symbols(size=3, dim=2), ("<unk>", "a", "t"))
    (tmp_path / "a.txt").write_text("a tat\n")
    [example] = model.read(tmp_path / "a.txt")
    assert example.inputs == tuple("a tat")


def test_an_evaluation_takes_any_target_of_a_source(tmp_path):
    model = seq2seq(Symbols(size=3, dim=2), ("<unk>", "a", "t"), source_split="characters")
    [answer] = model.predict(["ta"])
    path = tmp_path / "a.jsonl"
    other = [*answer, "X"]
    pairs = [("ta", other), ("a", ["Y"] * 9), ("ta", answer)]
    path.write_text("".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in pairs))
    told = []
    scores = model.evaluate(path, tell=told.append)
    assert (scores["sequences"], scores["references"], scores["several_references"]) == (2, 3, 1)
    assert scores["sequence_error_rate"] == 0.5
    assert any("1 source has several targets" in line for line in told)
    assert model.evaluate([("ta", answer)], tell=told.append)["token_error_rate"] == 0
