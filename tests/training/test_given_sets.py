"""What training and evaluation are given in Python is read once, and alike."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
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


def series_of(count, seed=0):
    """Long and wide tables of the same series, calm ones and busy ones, and the arrays."""
    random = np.random.default_rng(seed)
    arrays = [random.normal(0, 0.2 + 2 * (at % 2), (4, 2)) for at in range(count)]
    labels = [("calm", "busy")[at % 2] for at in range(count)]
    rows = [(at, t, *row, labels[at]) for at, a in enumerate(arrays) for t, row in enumerate(a)]
    long = pd.DataFrame(rows, columns=["series_id", "time", "ax", "ay", "label"])
    wide = pd.DataFrame(
        {f"{name}_{t}": [a[t, c] for a in arrays] for c, name in enumerate("xy") for t in range(4)}
    ).assign(label=labels)
    return arrays, labels, long, wide


@pytest.mark.parametrize("form", ["long", "wide"])
def test_a_model_of_a_table_reads_its_channels_by_their_names(form):
    arrays, labels, long, wide = series_of(12)
    frame = long if form == "long" else wide
    model = birnn.train("classifier", train=frame, dev=frame, settings=TINY, quiet=True)
    assert model.metadata["reading"]["series"] == form
    wanted = model.predict_proba(arrays)
    shuffled = frame[frame.columns[::-1]]
    assert np.array_equal(model.predict_proba(shuffled), wanted)
    unlabelled = shuffled.drop(columns="label")
    assert np.array_equal(model.predict_proba(unlabelled), wanted)
    right = sum(a == b for a, b in zip(model.predict(arrays), labels, strict=True))
    for given in (frame, shuffled, (arrays, labels), (unlabelled, labels)):
        assert model.evaluate(given)["accuracy"] == pytest.approx(right / len(labels))
    with pytest.raises(DataError, match=r"no column '(ax|x)'|no columns x0, x1"):
        model.predict(frame.rename(columns=lambda name: name.replace("x", "z")))


def test_missing_values_are_filled_as_in_training():
    arrays, labels, long, _ = series_of(12)
    long.loc[5, "ax"] = np.nan
    arrays[1][1, 0] = arrays[1][0, 0]
    for given in (long, ([a.copy() for a in arrays], labels)):
        model = birnn.train(
            "classifier", train=given, dev=given, settings=TINY, quiet=True, missing="forward"
        )
        wanted = model.predict_proba(arrays)
        gap = [a.copy() for a in arrays]
        gap[1][1, 0] = np.nan
        assert np.array_equal(model.predict_proba(gap), wanted)
        assert np.array_equal(model.predict_proba(long), wanted)
    without = birnn.train("classifier", train=(arrays, labels), settings=TINY, quiet=True)
    with pytest.raises(DataError, match=r"sequence 1, step 1, channel 0 is nan.*missing=linear"):
        without.predict(gap)
    with pytest.raises(DataError, match=r"row 5: 'ax' of series '1' is missing"):
        without.predict(long)


def test_x_and_y_train_a_model_of_any_task():
    x, y = map(list, zip(*PAIRS, strict=True))
    model = birnn.train("classifier", train=(x, y), dev=(x[:4], y[:4]), settings=TINY, quiet=True)
    assert len(model.predict(x)) == len(x)
    tokens = [text.split() for text in x]
    tags = [["X"] * (len(each) - 1) + ["Y"] for each in tokens]
    model = birnn.train("tagger", train=(tokens, tags), settings=TINY, quiet=True)
    assert model.evaluate((tokens, tags))["tokens"] == sum(map(len, tokens))
    steps = [np.linspace(0, 1 + at, 5).tolist() for at in range(6)]
    ends = [each[-1] for each in steps]
    model = birnn.train("regressor", train=(steps, ends), settings=TINY, quiet=True)
    assert model.predict(steps) == model.predict(np.array(steps))
    assert model.predict(steps) == model.predict([np.array(each)[:, None] for each in steps])
