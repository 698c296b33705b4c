"""What Python programs hold is read as it is meant, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.data import Example, ReadOptions, ReadRequest
from birnn.data.objects import examples, unpacked
from birnn.errors import DataError
from birnn.training.checks import require_uniform_inputs


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


def load(given, target="label", labelled=True, **options):
    told = []
    request = ReadRequest(target, labelled, ReadOptions.of(options), tell=told.append)
    return list(examples(given, request, name="train")), told


def pairs(found):
    return [
        (e.inputs, e.target.tolist() if isinstance(e.target, np.ndarray) else e.target)
        for e in found
    ]


GOOD = [(("so", "good"), "pos"), (("so", "bad"), "neg")]


@pytest.mark.parametrize(
    "given",
    [
        [("so good", "pos"), ("so bad", "neg")],
        [["so good", "pos"], ["so bad", "neg"]],
        (pair for pair in [("so good", "pos"), ("so bad", "neg")]),
        np.array([["so good", "pos"], ["so bad", "neg"]]),
        np.array([["so good", "pos"], ["so bad", "neg"]], object),
        zip(["so good", "so bad"], np.array(["pos", "neg"]), strict=True),
        [(["so", "good"], "pos"), (("so", "bad"), "neg")],
        [(np.array(["so", "good"]), "pos"), (np.array(["so", "bad"], object), "neg")],
        [{"text": "so good", "label": "pos"}, {"text": "so bad", "label": "neg"}],
        [{"Review": "so good", "Sentiment": "pos"}, {"Review": "so bad", "Sentiment": "neg"}],
        [{"tokens": ["so", "good"], "label": "pos"}, {"tokens": ["so", "bad"], "label": "neg"}],
        {"text": ["so good", "so bad"], "label": ["pos", "neg"]},
        {"text": np.array(["so good", "so bad"]), "label": ("pos", "neg")},
        Frame(id=[7, 8], review=["so good", "so bad"], stars=["pos", "neg"]),
        [Example(("so", "good"), "pos"), Example(["so", "bad"], "neg")],
        [Example("so good", "pos"), Example("so bad", "neg")],
    ],
)
def test_texts_and_labels_come_in_many_ways(given):
    found, _ = load(given)
    assert pairs(found) == GOOD


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1, 0], ["1", "0"]),
        ([np.int64(1), np.int8(0)], ["1", "0"]),
        ([True, False], ["True", "False"]),
        ([np.bool_(True), np.bool_(False)], ["True", "False"]),
        ([b"a", b"b"], ["a", "b"]),
        (np.array([3, 4]), ["3", "4"]),
    ],
)
def test_labels_of_any_kind_become_names(labels, names):
    texts = ["a", "b"]
    ways = [
        list(zip(texts, labels, strict=True)),
        [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)],
        Frame(text=texts, label=labels),
        [Example((text,), label) for text, label in zip(texts, labels, strict=True)],
    ]
    for given in ways:
        assert [e.target for e in load(given)[0]] == names


def test_tags_come_in_many_ways():
    right = [(("Anna", "sings"), ("3", "0"))]
    for given in (
        [(["Anna", "sings"], [3, 0])],
        [(["Anna", "sings"], np.array([3, 0]))],
        [("Anna sings", ["3", "0"])],
        [("Anna sings", "3 0")],
        [{"id": "0", "tokens": ["Anna", "sings"], "ner_tags": [3, 0]}],
        {"tokens": [["Anna", "sings"]], "ner_tags": [[3, 0]]},
        Frame(tokens=[["Anna", "sings"]], tags=[["3", "0"]]),
        [Example(["Anna", "sings"], ["3", "0"])],
        [Example(("Anna", "sings"), (3, 0))],
    ):
        assert pairs(load(given, "tags")[0]) == right
    for given in ([("MKV", "HHC")], [("MKV", ["H", "H", "C"])], [(list("MKV"), "HHC")]):
        assert pairs(load(given, "tags")[0]) == [(tuple("MKV"), tuple("HHC"))]


def test_numbers_come_in_many_ways():
    for given in (
        [("a", 1.5), ("b", 2)],
        [("a", np.float32(1.5)), ("b", np.int64(2))],
        [("a", [1.5]), ("b", np.array([2.0]))],
        [{"text": "a", "values": 1.5}, {"text": "b", "values": [2]}],
        Frame(text=["a", "b"], score=[1.5, 2.0]),
        Frame(**{"Unnamed: 0": [0, 1], "text": ["a", "b"], "preis": [1.5, 2]}),
        [Example(("a",), 1.5), Example(("b",), 2)],
    ):
        assert pairs(load(given, "values")[0]) == [(("a",), [1.5]), (("b",), [2.0])]
    [one] = load([([[1, 2], [3, 4]], "x")])[0]
    assert one.inputs.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    [one] = load([{"vectors": np.ones((3, 2), np.float32), "label": 1}])[0]
    assert (one.inputs.dtype, one.inputs.shape) == (np.float32, (3, 2))


@pytest.mark.parametrize(
    ("given", "target", "says"),
    [
        (["so good"], "label", "train: example 0 is 'so good', without what is learnt"),
        ([("a", "b", "c")], "label", "train: example 0 is ('a', 'b', 'c'), without"),
        ("so good", "label", "train: 'so good' is no list of examples"),
        (7, "label", "train: 7 is no list of examples"),
        ({"a", "b"}, "label", "train: {"),
        ([7], "label", "train: example 0 is 7, without"),
        ([("a", 1.5)], "label", "train: example 0: target is 1.5, a string or an integer"),
        ([("a", "x"), ("b", None)], "label", "train: example 1 has no target"),
        ([("a", "x"), ("b", float("nan"))], "label", "train: example 1 has no target"),
        ([("a", "")], "label", "train: example 0: target is '', a string or"),
        ([("a", {"x"})], "label", "train: example 0: target is {'x'}"),
        ([([1, 2], "x")], "label", "train: example 0: inputs is [1, 2]: whole numbers may"),
        ([(np.ones(3, int), "x")], "label", "train: example 0: inputs is [1, 1, 1]: whole"),
        ([(7, "x")], "label", "train: example 0: inputs is 7, a string is needed"),
        ([("a", "high")], "values", "train: example 0: target is 'high', numbers are needed"),
        ([("a", float("inf"))], "values", "train: example 0: target, value 0 is inf. Fill"),
        ([("a", [1, float("nan")])], "values", "train: example 0: target, value 1 is nan. Fill"),
        ([(["a"], ["X", "Y"])], "tags", "train: example 0: 1 steps and 2 tags"),
        ([("a b", ["X"] * 5)], "tags", "train: example 0 is the text 'a b' with tags"),
        ([("a b", None)], "tags", "train: example 0 has no tags"),
        ([(["a"], "xy")], "tags", "train: example 0: 1 steps and 2 tags"),
        ([(["a"], [1.5])], "tags", "train: example 0: target[0] is 1.5, a string is needed"),
        ([Example(("a",), ("X", "Y"), "f:3")], "tags", "f:3: 1 steps and 2 tags"),
        ([{"foo": "a", "bar": "b"}], "label", "train: example 0: no text, it has foo, bar"),
        ([{"text": "a"}], "label", "train: example 0: no label, it has text"),
        ({"text": "a", "label": "x"}, "label", "train: one dict whose 'text' is 'a'"),
        ({"tokens": ["a"], "tags": ["X"]}, "tags", "train: one dict of tokens"),
        ({"text": ["a"], "label": []}, "label", "train: a dict of columns of different lengths"),
        (Frame(text=[], label=[]), "label", "train: a table without rows"),
        (Frame(a=["x"], b=["y"], c=["z"]), "label", "a table: the header names 'a', 'b', 'c'"),
        (
            Frame(text=["a", 3], label=["x", "y"]),
            "label",
            "train: row 1: 'text' is 3, no text",
        ),
        (Frame(text=["a"], label=[1.5]), "label", "train: row 0: label is 1.5"),
    ],
)
def test_what_is_no_example_is_refused_in_one_line(given, target, says):
    with pytest.raises(DataError) as caught:
        load(given, target)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_columns_are_chosen_and_told():
    frame = Frame(a=["so good"], b=["pos"], text=["x y"])
    [one], told = load(frame, text_column="a", label_column="b")
    assert (one.text, one.target, told) == ("so good", "pos", [])
    [one], told = load(Frame(review=["so good"], stars=[4], id=["r1"]))
    assert (one.text, one.target, one.id) == ("so good", "4", "r1")
    assert told == ["train: the text is 'review'", "train: the label is 'stars'"]


def test_examples_without_a_target_can_be_left_out():
    for given in (
        [("a", "x"), ("b", None)],
        Frame(text=["a", "b"], label=["x", float("nan")]),
        [{"text": "a", "label": "x"}, {"text": "b", "label": None}],
        [Example(("a",), "x"), Example(("b",))],
    ):
        with pytest.raises(DataError, match="skip_unlabelled"):
            load(given)
        found, told = load(given, skip_unlabelled=True)
        assert pairs(found) == [(("a",), "x")]
        assert told[-1] == "train: 1 example without a target left out"


NLTK = [
    [("The", "DET"), ("bank", "NOUN")],
    [("runs", "VERB")],
    [("a", "X"), ("b", "Y"), ("c", "Z")],
]
TAGGED = [(("The", "bank"), ("DET", "NOUN")), (("runs",), ("VERB",)), (tuple("abc"), tuple("XYZ"))]


def test_tagged_sentences_of_pairs_are_tokens_and_tags():
    lists = [[list(pair) for pair in sentence] for sentence in NLTK]
    for given in (
        NLTK,
        iter(NLTK),
        [tuple(sentence) for sentence in NLTK[1:]] + NLTK[:1],
        lists[1:] + lists[:1],
        [np.array(sentence) for sentence in (*lists[1:], lists[0])],
    ):
        found = pairs(load(given, "tags")[0])
        assert sorted(found) == sorted(TAGGED)
    # all of two tokens: lists of tuples are pairs still, two lists are tokens and tags
    assert pairs(load(NLTK[:1] * 3, "tags")[0]) == TAGGED[:1] * 3
    two = [(["The", "bank"], ["DET", "NOUN"]), [["The", "bank"], ["DET", "NOUN"]]]
    assert pairs(load([*two, (("The", "bank"), ("DET", "NOUN"))], "tags")[0]) == TAGGED[:1] * 3
    # an empty sentence among pairs
    assert pairs(load([*NLTK, []], "tags")[0]) == [*TAGGED, ((), ())]


def test_pairs_that_were_taken_for_tokens_and_tags_are_refused():
    lists = [[list(pair) for pair in sentence] for sentence in NLTK]
    with pytest.raises(DataError, match=r"^train: example 1 holds pairs .* example 0 was taken"):
        load(lists, "tags")
    with pytest.raises(DataError, match=r"example 0: target\[1\] is blank"):
        load([[("a", "X"), ("b", " ")]], "tags")


def test_tensors_are_arrays():
    values = [[1.0, 2.0], [3.0, 4.0]]
    for tensor in (
        torch.tensor(values),
        torch.tensor(values, requires_grad=True),
        torch.tensor(values, dtype=torch.bfloat16),
        torch.tensor(values, dtype=torch.int32),
        list(torch.tensor(values, requires_grad=True)),
        [np.array(row) for row in values],
    ):
        for given in ([(tensor, "x")], [Example(tensor, "x")], [{"vectors": tensor, "label": "x"}]):
            [one] = load(given)[0]
            assert one.inputs.tolist() == values
        [one] = load([(tensor, torch.tensor([1, 0]))], "tags")[0]
        assert one.target == ("1", "0")
    [one] = load([(torch.tensor(values), torch.tensor(3))])[0]
    assert one.target == "3"
    [one] = load([("a b", torch.tensor([0.5, 1.5], requires_grad=True))], "values")[0]
    assert one.target.tolist() == [0.5, 1.5]


def test_values_that_are_masked_are_missing():
    masked = np.ma.masked_equal(np.array([[1, 2], [3, 4]]), 4)
    for given in (masked, list(masked), masked.astype(np.float32)):
        for example in ((given, "x"), Example(given, "x"), {"vectors": given, "label": "x"}):
            [one] = load([example])[0]
            with pytest.raises(DataError, match="step 1, channel 1 is nan"):
                require_uniform_inputs([one], [], [])
    whole = np.ma.array([[1, 2], [3, 4]])
    [one] = load([(whole, "x")])[0]
    assert (one.inputs.tolist(), type(one.inputs)) == ([[1, 2], [3, 4]], np.ndarray)
    for target in (masked[1], masked[1, 1]):
        with pytest.raises(DataError, match="target"):
            load([("a", target)], "values")
        with pytest.raises(DataError, match="target"):
            load([(["a", "b"], target)], "tags")
    with pytest.raises(DataError, match="target"):
        load([("a", masked[1, 1])])


# ---------------------------------------------------------------------- without targets


def taken(given, target="label", **options):
    return list(unpacked(given, target, lambda: ReadOptions.of(options)))


def test_sequences_are_taken_out_of_tables_and_records():
    for given in (
        Frame(id=[1, 2], text=["so good", "so bad"], label=["x", "y"]),
        {"text": ["so good", "so bad"]},
        [{"text": "so good"}, {"text": "so bad", "label": "x"}],
        [Example("so good"), Example("so bad", "x")],
        ["so good", "so bad"],
        Frame(kommentar=["so good", "so bad"]),
    ):
        assert taken(given) == ["so good", "so bad"]
    assert taken({"tokens": [["a"], []]}, "tags") == [["a"], []]
    assert taken(Frame(a=["x"], b=["y"]), text_column="b") == ["y"]
    told = []
    frame = Frame(title=["t"], review=["so good"], text_id=[1])
    assert unpacked(frame, "label", tell=told.append) == ["so good"]
    assert told == ["the text is 'review' of 'title', 'review', 'text_id'"]
    unpacked(Frame(text=["so good"], title=["t"]), "label", tell=told.append)
    assert len(told) == 1


def test_remedies_are_those_of_a_program():
    with pytest.raises(DataError, match=r"Set text_column, or series if it holds series\.$"):
        load(Frame(a=["x"], b=["y"], c=["z"]))
    with pytest.raises(DataError, match=r"Name the key: text_column\.$"):
        load([{"foo": "x", "bar": "y"}])
    with pytest.raises(DataError, match=r"Give the column itself, table\['name'\]\.$"):
        taken(Frame(a=["x"], b=["y"], c=["z"]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Frame(a=["x"], b=["y"], c=["z"]), "a table: the header names 'a', 'b', 'c'"),
        ({"text": "so good"}, "one dict whose 'text' is 'so good'"),
        ({"so good", "so bad"}, "sequences is a set"),
        ([{"foo": "x", "bar": "y"}], "sequence 0: no text, it has foo, bar"),
        ([{"text": "x"}, {"txt": "y"}], "sequence 1: no text"),
    ],
)
def test_tables_whose_text_is_not_clear_are_refused(given, says):
    with pytest.raises(DataError) as caught:
        taken(given)
    assert str(caught.value).startswith(says)
