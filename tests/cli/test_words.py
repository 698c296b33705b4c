"""How texts become words: Python, predict, evaluate and explain alike; told, set and kept."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from birnn.data import tokenise
from birnn.runtime import Predictor

TEXTS = ["It's the green dog, (runs).", "the dog , up 5% .", "the dog", "", "don't"]
TOKENS = [
    ["It", "'s", "the", "green", "dog", ",", "(", "runs", ")", "."],
    ["the", "dog", ",", "up", "5%", "."],
    ["the", "dog"],
    [],
    ["do", "n't"],
]


def told_of_splits(lines: list[str]) -> list[str]:
    """The notices but for that of unknown words."""
    return [line for line in lines if "the model knows" not in line]


@pytest.mark.parametrize("kind", ["tagger", "chain", "classifier", "regressor"])
def test_python_and_the_command_line_split_alike(
    call: Any, trained: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    model = Predictor.load(trained(kind))
    assert [model.tokens(text) for text in TEXTS] == TOKENS
    caplog.clear()
    answers = model.predict(TEXTS)
    assert answers == model.predict(TOKENS)
    one, other = told_of_splits(caplog.messages)
    assert one.startswith("sequence 1: looks tokenised: split at white space alone")
    assert other.startswith("sequence 4: split by the tokeniser")  # unlike one before it
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    jsonl = tmp_path / "texts.jsonl"
    jsonl.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    key = {"tagger": "tags", "classifier": "label"}.get(model.spec.task, "values")
    for data in (path, jsonl):
        told = call("predict", trained(kind), data, "--json")
        assert [line["tokens"] for line in told.objects] == TOKENS
        assert [line["text"] for line in told.objects] == TEXTS
        assert [line[key] for line in told.objects] == answers
        one, other = told_of_splits(told.err.splitlines())
        assert one.startswith(f"{data}:2: looks tokenised: split at white space alone")
        assert one.endswith("--text")
        assert other.startswith(f"{data}:5: split by the tokeniser")
        assert other.endswith("--tokens")


@pytest.mark.parametrize(
    ("option", "tokens"), [("--tokens", [text.split() for text in TEXTS]), ("--text", None)]
)
def test_options_set_the_way(call: Any, trained: Any, option: str, tokens: Any) -> None:
    stdin = "".join(f"{text}\n" for text in TEXTS).encode()
    told = call("predict", trained("tagger"), "--json", option, stdin=stdin)
    expected = tokens or [list(tokenise(text)) for text in TEXTS]
    assert [line["tokens"] for line in told.objects] == expected
    assert told_of_splits(told.err.splitlines()) == []


def test_explain_splits_as_predict(call: Any, trained: Any) -> None:
    for text, tokens in zip(TEXTS[:2], TOKENS, strict=False):
        told = call("explain", trained("tagger"), text, "--step", 1, "--json")
        assert json.loads(told.out)["tokens"] == tokens
    assert told.err.startswith("the text: looks tokenised")
    told = call("explain", trained("tagger"), TEXTS[1], "--step", 1, "--json", "--text")
    assert json.loads(told.out)["tokens"] == list(tokenise(TEXTS[1]))


def test_a_sentence_in_a_flat_list_is_refused(trained: Any) -> None:
    from birnn.errors import DataError

    model = Predictor.load(trained("tagger"))
    with pytest.raises(DataError, match=r"single tokens.*\[\['The', 'bank'\]"):
        model.predict(["the", "dog", "runs"])
    assert [len(tags) for tags in model.predict(["the"])] == [1]
    assert [len(tags) for tags in model.predict([["the"], ["dog"]])] == [1, 1]


def test_texts_of_a_table_may_be_single_words(trained: Any) -> None:
    model = Predictor.load(trained("tagger"))
    assert [len(tags) for tags in model.predict({"text": ["dog", "cat", "the dog"]})] == [1, 1, 2]


def test_a_model_of_whole_clitics_is_told_of(
    call: Any, small: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "train.tsv"
    data.write_text("I\tP\ndon't\tV\nknow\tV\n\n" * 4)
    command = ("train", "tagger", "--train", data, "--dev", data, "--epochs", 1)
    assert call(*command, "--out", tmp_path / "m", *small).status == 0
    call("predict", tmp_path / "m", stdin=b"I don't know.\n")
    assert "knows don't as one word" in caplog.text
    caplog.clear()
    Predictor.load(tmp_path / "m").predict(["I don't know."])
    assert "knows don't as one word" in caplog.text
    caplog.clear()
    Predictor.load(tmp_path / "m").predict([["I", "don't", "know"]])
    assert caplog.messages == []


def test_what_training_found_is_kept_and_used(
    call: Any, small: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["it is n't good ,0", "up 5% . well,1", "up 5% again,1", "so ( bad ) w/e,0"] * 3
    data = tmp_path / "train.tsv"
    data.write_text("\n".join(row.replace(",", "\t") for row in rows) + "\n")
    command = ("train", "classifier", "--train", data, "--dev", data, "--epochs", 1)
    told = call(*command, "--out", tmp_path / "found", *small)
    assert sum("looks tokenised" in line for line in told.err.splitlines()) == 1
    call(*command, "--out", tmp_path / "set", "--text", *small)
    model = Predictor.load(tmp_path / "found")
    assert model.metadata["reading"]["split"] == "auto-tokens"
    assert Predictor.load(tmp_path / "set").metadata["reading"]["split"] == "text"

    # A text that shows neither is split as in training, one that is plainly running text by the
    # tokeniser; one that shows both is told.
    caplog.set_level(logging.WARNING)
    assert model.tokens("up 5%") == ["up", "5%"]
    assert caplog.messages == []
    assert model.tokens("up 5%, well") == ["up", "5", "%", ",", "well"]
    assert caplog.messages == []
    assert model.tokens("up 5%, well , well") == ["up", "5", "%", ",", "well", ",", "well"]
    assert "split by the tokeniser. If it is in its tokens already" in caplog.text
    for folder, tokens in (("found", ["up", "5%"]), ("set", ["up", "5", "%"])):
        told = call("predict", tmp_path / folder, "--json", stdin=b"up 5%\n")
        assert (told.objects[0]["tokens"], told.err) == (tokens, "")
    assert call("predict", tmp_path / "set", "--json", "--tokens", stdin=b"up 5%\n").objects[0][
        "tokens"
    ] == ["up", "5%"]
    # evaluate reads as train did: as many tokens.
    steps = model.metadata["train_steps"]
    assert call("evaluate", tmp_path / "found", data, "--json").objects[0]["tokens"] == steps
    text = call("evaluate", tmp_path / "found", data, "--text", "--json").objects[0]["tokens"]
    assert text == sum(len(tokenise(row.partition(",")[0])) for row in rows) > steps
    assert model.evaluate(data)["tokens"] == steps
    assert model.evaluate(data, split="text")["tokens"] == text


def test_a_word_is_the_same_however_it_is_composed(trained: Any) -> None:
    model = Predictor.load(trained("tagger"))
    one, other = model.predict_proba([["caf\u00e9", "dog"], ["cafe\u0301", "dog\u200b"]])
    assert one.tolist() == other.tolist()
