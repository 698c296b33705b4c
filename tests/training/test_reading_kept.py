"""A model's files are read alike in training, evaluation and prediction."""

from __future__ import annotations

import pytest

import birnn
from birnn.data import ReadOptions, read
from birnn.errors import FormatError

TINY = {"training.epochs": 1, "encoder.hidden_size": 4, "inputs.word_dim": 4}
ROWS = [(f"so {word} a film", label) for word, label in [("good", "ja"), ("bad", "nein")] * 6]


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """A model whose columns no list knows, with the text behind another column called text."""
    folder = tmp_path_factory.mktemp("german")
    lines = "".join(f"no {label};{label};{text}\n" for text, label in ROWS)
    (folder / "train.csv").write_text(f"text;klasse;kommentar\n{lines}")
    told = []
    model = birnn.train(
        "classifier",
        train=folder / "train.csv",
        dev=folder / "train.csv",
        out=folder / "m",
        settings=TINY,
        quiet=True,
        text_column="kommentar",
        label_column="klasse",
    )
    return folder, model, told


def test_a_bundle_keeps_what_was_set_and_what_was_recognised(german):
    folder, _model, _ = german
    assert birnn.load(folder / "m").facts["reading"] == {
        "delimiter": ";",
        "header": True,
        "text_column": "kommentar",
        "label_column": "klasse",
    }


def test_evaluation_and_prediction_read_the_columns_of_training(german):
    folder, model, _ = german
    other = folder / "other.csv"
    other.write_text("kommentar;text;klasse\n" + "".join(f"{t};x;{a}\n" for t, a in ROWS))
    told = []
    scores = model.evaluate(other, tell=told.append)
    assert (scores["sequences"], scores["unknown_labels"], told) == (12, {}, [])
    assert scores["tokens"] == sum(len(text.split()) for text, _ in ROWS)
    examples = list(
        read(other, "classifier", model.read_options(), labelled=False, tell=told.append)
    )
    assert [e.text for e in examples] == [text for text, _ in ROWS]
    assert len(told) == 1
    assert "not read: 'text', 'klasse'" in told[0]


def test_an_option_of_the_call_is_stronger_than_the_models(german):
    folder, model, _ = german
    path = folder / "train.csv"
    with pytest.raises(FormatError, match="no column 'review'"):
        model.evaluate(path, text_column="review")
    options = model.read_options(ReadOptions.of({"text_column": "text"}))
    [first, *_] = read(path, "classifier", options, labelled=False, tell=[].append)
    assert first.text == "no ja"


def test_bundles_that_kept_something_strange_are_read_without_it(german):
    _, model, _ = german
    strange = birnn.bundle.Bundle(
        model.spec, model.bundle.vocabularies, model.bundle.tensors, {"reading": ["x"]}
    )
    assert birnn.runtime.Predictor(strange).read_options().kept() == {}
