"""What training and evaluation are given in Python is read once, and alike."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import birnn
from birnn.data import Example
from birnn.errors import DataError
from birnn.training.sets import DataSources, name_of

TINY = {"training.epochs": 1, "encoder.hidden_size": 4, "inputs.word_dim": 4}
PAIRS = [(f"so {word} a film", word == "good") for word in ("good", "bad") * 8]


def test_generators_are_gone_through_once():
    sources = DataSources((pair for pair in PAIRS), iter(PAIRS[:4]))
    sets = sources.read("classifier", tell=[].append)
    assert (len(sets.train), len(sets.dev)) == (16, 4)
    assert sets.train[0].target == "True"


def test_a_fault_names_the_set_it_is_in():
    for train, dev, says in (
        (["so good"], None, "train: example 0 is 'so good'"),
        (PAIRS, ["so good"], "dev: example 0 is 'so good'"),
        ([], None, "train: no example in it"),
    ):
        with pytest.raises(DataError, match=says):
            DataSources(train, dev).read("classifier", tell=[].append)


def test_what_a_source_is_called():
    assert name_of("a.csv") == "a.csv"
    assert name_of(PAIRS) == "16 examples"
    assert name_of(iter(PAIRS)) == "examples of a list_iterator"
    assert name_of({"text": [], "label": []}) == "examples of a dict"


def test_pairs_dicts_and_examples_train_the_same_model_and_score_alike(tmp_path):
    ways = [
        [Example(tuple(text.split()), str(label)) for text, label in PAIRS],
        PAIRS,
        ({"text": text, "label": np.bool_(label)} for text, label in PAIRS),
    ]
    models = [
        birnn.train(
            "classifier",
            train=way,
            dev=PAIRS,
            test=[{"text": text, "label": label} for text, label in PAIRS],
            out=tmp_path / str(i),
            quiet=True,
            settings=TINY,
        )
        for i, way in enumerate(ways)
    ]
    for model in models[1:]:
        for name, tensor in models[0].bundle.tensors.items():
            np.testing.assert_array_equal(model.bundle.tensors[name], tensor)
    scores = [
        models[0].evaluate(given)["accuracy"]
        for given in (
            PAIRS,
            iter(PAIRS),
            {"text": [t for t, _ in PAIRS], "label": [a for _, a in PAIRS]},
        )
    ]
    assert scores == [models[0].metrics["dev"]["accuracy"]] * 3
    with pytest.raises(DataError, match=r"^example 0 is 'so good', without what is learnt"):
        models[0].evaluate(["so good"])


class Split(list):
    """As much of a split of a Hugging Face data set as is used."""

    features: ClassVar = {"text": None, "label": None}
    column_names: ClassVar = ["text", "label"]


def test_a_whole_data_set_is_read_by_its_splits():
    rows = [{"text": text, "label": label} for text, label in PAIRS]
    for dev, line in (
        ("validation", "train: the split 'train', dev: the split 'validation'; not read: 'test'"),
        ("other", "train: the split 'train'; not read: 'test', 'other'"),
    ):
        told = []
        splits = {"train": Split(rows), "test": Split(rows[:1]), dev: Split(rows[:3])}
        sets = DataSources(splits).read("classifier", tell=told.append)
        assert (told[0], sets.held_out) == (line, dev == "other")
        assert len(sets.train) + len(sets.dev) == len(rows) + (0 if sets.held_out else 3)
        sets = DataSources(splits, PAIRS[:2]).read("classifier", tell=told.append)
        assert len(sets.dev) == 2
    with pytest.raises(DataError, match=r"the splits a, b, none is called train"):
        DataSources({"a": Split(rows), "b": Split(rows)}).read("classifier", tell=[].append)


def test_x_and_y_are_named_by_their_number():
    x, y = zip(*PAIRS, strict=True)
    sets = DataSources((list(x), list(y))).read("classifier", tell=[].append)
    assert sets.name_of("train") == f"{len(PAIRS)} examples"
    assert len(sets.train) + len(sets.dev) == len(PAIRS)
