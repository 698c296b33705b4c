"""Data frames, data sets with class names, (X, y): as the libraries that people have give them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from birnn.data import ReadOptions, ReadRequest
from birnn.data.objects import examples, unpacked
from birnn.errors import DataError


def load(given, target="label", labelled=True, **options):
    told = []
    request = ReadRequest(target, labelled, ReadOptions.of(options), tell=told.append)
    return list(examples(given, request, name="train")), told


def targets(given, target="label", **options):
    return [e.target for e in load(given, target, **options)[0]]


class ClassLabel:
    def __init__(self, *names):
        self.names = list(names)


class ListOf:
    def __init__(self, feature):
        self.feature = feature


class DataSet:
    """As much of Hugging Face's data sets as is used: rows, features, names of columns."""

    def __init__(self, rows, **features):
        self._rows = rows
        self.features = features
        self.column_names = list(features)

    def __iter__(self):
        return iter(self._rows)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, at):
        return [row[at] for row in self._rows] if isinstance(at, str) else self._rows[at]


TAGS = ("O", "B-PER", "I-PER")
NER = [{"tokens": ["Ada", "Lovelace"], "ner_tags": [1, 2]}, {"tokens": [], "ner_tags": []}]


@pytest.mark.parametrize("feature", [ListOf(ClassLabel(*TAGS)), [ClassLabel(*TAGS)]])
def test_numbers_of_classes_become_their_names(feature):
    data = DataSet(NER, tokens=ListOf(None), ner_tags=feature)
    assert targets(data, "tags") == [("B-PER", "I-PER"), ()]
    arrays = [{key: np.array(value) for key, value in row.items()} for row in NER[:1]]
    assert targets(DataSet(arrays, tokens=None, ner_tags=feature), "tags") == [("B-PER", "I-PER")]
    rows = [{"text": "a b", "label": 1}, {"text": "c", "label": "neg"}, {"text": "", "label": -1}]
    data = DataSet(rows, text=None, label=ClassLabel("neg", "pos"))
    with pytest.raises(DataError, match=r"^train: example 2 has no target\. .*skip_unlabelled"):
        load(data)
    assert targets(data, skip_unlabelled=True) == ["pos", "neg"]
    assert list(unpacked(data, "label")) == ["a b", "c", ""]


class Streamed:
    """As much of a data set that is streamed."""

    column_names = ("tokens", "ner_tags")

    def __init__(self, rows, **features):
        self._rows, self.features = rows, features

    def __iter__(self):
        return iter(self._rows)

    def __getitem__(self, at):
        raise NotImplementedError


def test_data_sets_may_be_streamed():
    data = Streamed(NER, tokens=ListOf(None), ner_tags=ListOf(ClassLabel(*TAGS)))
    assert targets(data, "tags") == [("B-PER", "I-PER"), ()]
    assert list(unpacked(data, "tags")) == [["Ada", "Lovelace"], []]


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ([1, 3], r"example 0: ner_tags\[1\] is 3, its 3 classes are numbered from 0 to 2"),
        ([-1, 0], r"example 0: ner_tags\[0\] is -1, its 3 classes"),
        ([-100, 0], r"example 0: ner_tags\[0\] is -100, its 3 classes"),
        ([0.5, 0], r"example 0: ner_tags\[0\] is 0.5, its 3 classes"),
        (["X", 0], r"example 0: ner_tags\[0\] is 'X', its 3 classes"),
        ([None, 0], r"example 0: ner_tags\[0\] is null"),
    ],
)
def test_a_number_of_no_class_is_refused(tags, says):
    data = DataSet(
        [{"tokens": ["a", "b"], "ner_tags": tags}],
        tokens=None,
        ner_tags=ListOf(ClassLabel(*TAGS)),
    )
    with pytest.raises(DataError, match=f"^train: {says}") as caught:
        load(data, "tags")
    assert "\n" not in str(caught.value)


def test_several_columns_of_classes_ask_for_a_choice():
    feature = ListOf(ClassLabel(*TAGS))
    row = {"tokens": ["a"], "pos_tags": [1], "ner_tags": [2]}
    data = DataSet([row], tokens=None, pos_tags=feature, ner_tags=feature)
    with pytest.raises(DataError, match="'pos_tags' and 'ner_tags' might be the tags"):
        load(data, "tags")
    assert targets(data, "tags", label_column="ner_tags") == [("I-PER",)]


def test_a_data_set_may_hold_steps_of_series():
    rows = [{"id": at // 3, "time": at % 3, "x": at / 2, "label": at // 3} for at in range(6)]
    names = dict.fromkeys(rows[0]) | {"label": ClassLabel("calm", "busy")}
    found, _ = load(DataSet(rows, **names))
    assert [(e.inputs.tolist(), e.target) for e in found] == [
        ([[0.0], [0.5], [1.0]], "calm"),
        ([[1.5], [2.0], [2.5]], "busy"),
    ]
    taken = unpacked(DataSet(rows, **names), "label", vectors=True)
    assert [each.tolist() for each in taken] == [e.inputs.tolist() for e in found]


def test_splits_are_no_examples():
    splits = {name: DataSet(NER, tokens=None, ner_tags=None) for name in ("train", "test")}
    wanted = r"splits of a data set: train, test\. Give one of them: dataset\['train'\]\."
    with pytest.raises(DataError, match=wanted):
        load(splits, "tags")
    with pytest.raises(DataError, match=wanted):
        unpacked(splits, "tags")
    with pytest.raises(DataError, match=r"^train: X is a data set of the splits train, test"):
        load((splits, [1, 2]), "tags")


# ---------------------------------------------------------------------- X and y

TEXTS = ["so good", "so bad", "so so"]
LABELS = ["pos", "neg", "none"]


@pytest.mark.parametrize(
    "x",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        pd.Series(TEXTS, index=[5, 6, 7]),
        lambda: (text for text in TEXTS),
        pd.DataFrame({"review": TEXTS}),
        pd.DataFrame({"id": [1, 2, 3], "text": TEXTS, "label": ["other"] * 3}),
        {"text": TEXTS},
        [text.split() for text in TEXTS],
    ],
)
@pytest.mark.parametrize(
    "y",
    [
        LABELS,
        np.array(LABELS),
        np.array(LABELS)[:, None],
        pd.Series(LABELS, index=[9, 8, 7]),
        pd.Series(LABELS, dtype="category"),
        pd.DataFrame({"y": LABELS}),
        lambda: (label for label in LABELS),
    ],
)
def test_sequences_and_targets_may_come_apart(x, y):
    x, y = (each() if callable(each) else each for each in (x, y))
    found, _ = load((x, y))
    assert [" ".join(e.inputs) for e in found] == TEXTS
    assert [e.target for e in found] == LABELS


def test_x_and_y_of_each_kind_of_target():
    assert targets(([["a", "b"], ["c"]], [["X", "Y"], ["Z"]]), "tags") == [("X", "Y"), ("Z",)]
    assert targets((["a b", "c"], [[1, 2], [3, 4]]), "values")[1].tolist() == [3, 4]
    frame = pd.DataFrame({"low": [1.0, 2.0], "high": [3.0, 4.0]})
    for x in (["a b", "c"], pd.DataFrame({"text": ["a b", "c"]})):
        assert [t.tolist() for t in targets((x, frame), "values")] == [[1, 3], [2, 4]]
        assert [t.tolist() for t in targets((x, [1, 2]), "values")] == [[1], [2]]
    series = np.arange(12.0).reshape(2, 3, 2)
    found, _ = load((series, [0, 1]))
    assert [(e.inputs.tolist(), e.target) for e in found] == [
        (series[0].tolist(), "0"),
        (series[1].tolist(), "1"),
    ]


def test_sets_of_labels_may_be_columns_of_0_and_1():
    wanted = [("calm",), (), ("calm", "loud")]
    frame = pd.DataFrame({"calm": [1, 0, 1], "loud": [0, 0, 1]})
    for x in (TEXTS, pd.DataFrame({"text": TEXTS})):
        assert targets((x, frame), "labels") == wanted
        assert targets((x, wanted), "labels") == wanted
        numbered = [tuple(str(list(frame).index(name)) for name in each) for each in wanted]
        for matrix in (frame.to_numpy(), frame.to_numpy(bool), frame.to_numpy(float)):
            assert targets((x, matrix), "labels") == numbered
    with pytest.raises(DataError, match="1 is '2', 0 or 1 is needed"):
        load((TEXTS, np.array([[0, 1], [1, 2], [0, 0]])), "labels")


def test_labels_of_mixed_types_are_told():
    frame = pd.DataFrame({"text": TEXTS, "label": [1, "1", True]})
    found, told = load(frame)
    assert [e.target for e in found] == ["1", "1", "True"]
    assert told == ["train: 'label' holds bool, int and str: all are read as strings, 1 as '1'"]


def test_numbers_are_the_steps_of_one_channel():
    for x in ([[0.5, 1.5, 2.5], [3.5]], [np.array([0.5, 1.5, 2.5]), np.array([3.5])]):
        found, _ = load((x, ["a", "b"]))
        assert [e.inputs.tolist() for e in found] == [[[0.5], [1.5], [2.5]], [[3.5]]]
    [one], _ = load(([[1, 2.5]], ["a"]))
    assert one.inputs.tolist() == [[1.0], [2.5]]
    with pytest.raises(DataError, match="whole numbers may be tokens or the steps of a series"):
        load(([[1, 2]], ["a"]))
    with pytest.raises(DataError, match="inputs holds 'x' among numbers"):
        load(([[1.5, "x"]], ["a"]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((TEXTS, LABELS[:2]), "train: X has 3 sequences, y has 2 targets. Give"),
        ((TEXTS[:1], LABELS), "train: X has 1 sequences, y has 3 targets"),
        ((pd.DataFrame({"text": TEXTS}), LABELS[:2]), "train: X has 3 sequences, y has 2"),
        ((iter(TEXTS), LABELS[:2]), "train: X has more than 2 sequences, y has 2"),
        ((iter(TEXTS[:1]), LABELS[:2]), "train: X has 1 sequences, y has 2"),
        ((set(TEXTS), LABELS), "train: X is a set, which has no order"),
        ((TEXTS, set(LABELS)), "train: y is a set, which has no order"),
    ],
)
def test_x_and_y_that_do_not_fit_are_refused(given, says):
    with pytest.raises(DataError) as caught:
        load(given)
    assert str(caught.value).startswith(says)


def test_two_examples_are_no_x_and_y():
    two = (("so good", "pos"), ("so bad", "neg"))
    assert targets(two) == ["pos", "neg"]
    assert targets((["so good", "so bad"], ["pos", "neg"])) == ["pos", "neg"]
    records = ({"text": "so good", "label": 1}, {"text": "so bad", "label": 0})
    assert targets(records) == ["1", "0"]
    sentences = ([("The", "DET"), ("bank", "NOUN")], [("runs", "VERB")])
    assert targets(sentences, "tags") == [("DET", "NOUN"), ("VERB",)]


# ---------------------------------------------------------------------- frames of pandas


def test_whole_numbers_stay_whole_beside_missing_ones():
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": [1, None, 0]})
    with pytest.raises(DataError, match=r"^train: row 1 has no target"):
        load(frame)
    assert targets(frame, skip_unlabelled=True) == ["1", "0"]
    assert targets(frame.astype({"label": "Int64"}), skip_unlabelled=True) == ["1", "0"]
    frame["label"] = [1.0, 1.5, 0.0]
    with pytest.raises(DataError, match=r"^train: row 1: label is 1.5, a string or an integer"):
        load(frame)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame(), "train: a table without rows"),
        (pd.DataFrame({"text": [], "label": []}), "train: a table without rows"),
        (
            pd.DataFrame([["a", "b", "x"]], columns=["text", "text", "label"]),
            "train: a data frame with two columns of one name: text, text, label. Rename or drop",
        ),
        (
            pd.DataFrame([["a", "x"]], columns=pd.MultiIndex.from_tuples([("t", 1), ("l", 1)])),
            "train: a data frame whose columns have several levels: ('t', 1). Give them one",
        ),
        (pd.DataFrame({"text": ["a", None], "label": [1, 2]}), "train: row 1: 'text' is "),
        (pd.DataFrame({"text": ["a", pd.NA], "label": [1, 2]}), "train: row 1: 'text' is "),
        (pd.DataFrame({"text": ["a", 3.5], "label": [1, 2]}), "train: row 1: 'text' is 3.5"),
        ({"text": {"a", "b"}, "label": [1, 2]}, "train: the column 'text' is a set"),
    ],
)
def test_frames_that_cannot_be_understood_are_refused_in_one_line(frame, says):
    with pytest.raises(DataError) as caught:
        load(frame)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_a_table_is_called_one_of_series_only_where_that_is_said():
    frame = pd.DataFrame({"text": ["so good", "so bad"], "label": ["a", "b"]})
    for series, what in ((None, "a table: no"), ("long", "a table of series: no")):
        request = ReadRequest("label", options=ReadOptions(label_column="lab", series=series))
        with pytest.raises(DataError, match=f"{what} column 'lab': the header names 'text'"):
            list(examples(frame, request))
