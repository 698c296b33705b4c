"""A model's files are read alike in training, evaluation and prediction."""

from __future__ import annotations

import pytest

import birnn
from birnn.cli.main import main
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
    assert birnn.load(folder / "m").metadata["reading"] == {
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
    examples = list(read(other, "label", model.read_options(), labelled=False, tell=told.append))
    assert [e.text for e in examples] == [text for text, _ in ROWS]
    assert len(told) == 1
    assert "not read: 'text', 'klasse'" in told[0]


def test_an_option_of_the_call_is_stronger_than_the_models(german):
    folder, model, _ = german
    path = folder / "train.csv"
    with pytest.raises(FormatError, match="no column 'review'"):
        model.evaluate(path, text_column="review")
    options = model.read_options(ReadOptions.of({"text_column": "text"}))
    [first, *_] = read(path, "label", options, labelled=False, tell=[].append)
    assert first.text == "no ja"


def test_bundles_that_kept_something_strange_are_read_without_it(german):
    _, model, _ = german
    strange = birnn.bundle.Bundle(
        model.spec, model.bundle.vocabularies, model.bundle.tensors, {"reading": ["x"]}
    )
    assert birnn.runtime.Predictor(strange).read_options().kept() == {}


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    """A model of a .csv file with the columns review and sentiment."""
    folder = tmp_path_factory.mktemp("english")
    rows = "".join(f"{text},{label}\n" for text, label in ROWS)
    (folder / "train.csv").write_text(f"review,sentiment\n{rows}")
    train = folder / "train.csv"
    model = birnn.train(
        "classifier", train=train, dev=train, out=folder / "m", settings=TINY, quiet=True
    )
    return folder, model


@pytest.mark.parametrize(
    ("name", "line", "header", "says"),
    [
        ("other.csv", "{},{}", "text,label", "text column 'review'"),
        ("other.tsv", "{}\t{}", "text\tlabel", "the model's text column 'review'"),
        ("other.csv", "{};{}", "text;label", "cells are separated by semicolons"),
        ("other.csv", "{},{}", "", "no header; the text is column 1"),
        ("other.jsonl", '{{"text": "{}", "score": "{}"}}', "", "the label is 'score'"),
        ("other.jsonl", '{{"comment": "{}", "class": "{}"}}', "", "the text is 'comment'"),
    ],
)
def test_evaluation_finds_other_columns_anew_and_tells(english, capsys, name, line, header, says):
    folder, model = english
    path = folder / name
    lines = [header] * bool(header) + [line.format(*row) for row in ROWS]
    path.write_text("\n".join(lines) + "\n")
    wanted = model.evaluate(folder / "train.csv", tell=[].append)
    told = []
    for scores in (
        model.evaluate(path, tell=told.append),
        model.evaluate(path, tell=[].append, **model.read_options().model_dump(exclude_unset=True)),
    ):
        assert (scores["sequences"], scores["unknown_labels"]) == (len(ROWS), {})
        assert scores["accuracy"] == wanted["accuracy"]
    assert any(says in line for line in told)
    capsys.readouterr()
    assert main(["evaluate", str(folder / "m"), str(path)]) == 0
    assert capsys.readouterr().err.splitlines() == told


def test_who_set_an_option_is_known_however_often_it_is_passed_on():
    once = ReadOptions.of({"header": True}).over({"text_column": "review", "header": False})
    twice = once.over({"text_column": "review"})
    later = once.over({"label_column": "stars"})
    copied = once.model_copy(update={"format": "csv"})
    for options in (once, twice, later, copied):
        assert (options.text_column, options.header) == ("review", True)
        assert options.of_model("text_column")
        assert not options.given("text_column")
        assert options.given("header")
        assert not options.of_model("header")
    assert later.of_model("label_column")
    asked = once.model_copy(update={"text_column": "text"})
    assert asked.given("text_column")
    again = ReadOptions.of(once.model_dump(exclude_unset=True)).over({"text_column": "review"})
    assert again.of_model("text_column")
    assert again.given("header")


def test_evaluation_of_a_table_of_python_finds_other_columns(english):
    _, model = english
    given = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    assert model.evaluate(given, tell=[].append)["sequences"] == len(ROWS)
