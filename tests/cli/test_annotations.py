"""`birnn predict --entities`, `--top`, and a text in the place of a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from birnn.cli.given_text import annotation_lines
from birnn.data import read
from birnn.runtime import Annotation, Entity, Predictor

TEXT = "the green dog, a cat."


def plain(coloured: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", coloured)


def test_entities_are_those_of_annotate(call: Any, trained: Any, files: Path) -> None:
    model = Predictor.load(trained("chain"))
    examples = list(read(files / "test.iob2", "tags", labelled=False))
    expected = model.annotate(examples)
    told = call("predict", trained("chain"), files / "test.iob2", "--entities", "--json")
    assert told.status == 0
    assert told.objects == json.loads(json.dumps([found.record() for found in expected]))
    assert any(record["entities"] for record in told.objects)
    shown = call("predict", trained("chain"), files / "test.iob2", "--entities").out
    assert shown.splitlines() == [found.bracketed() for found in expected]
    assert "[" in shown


@pytest.mark.parametrize("kind", ["chain", "tagger", "classifier", "regressor"])
def test_a_text_in_the_place_of_a_file(call: Any, trained: Any, kind: str) -> None:
    model = trained(kind)
    line = f"{TEXT}\n".encode()
    for options in ((), ("--json",), ("--entities", "--json"), ("--text", "--json")):
        given, read_in = (
            call("predict", model, TEXT, *options),
            call("predict", model, "-", *options, stdin=line),
        )
        assert given.status == 0
        assert given.out == read_in.out
    [record] = call("predict", model, f" {TEXT}", "--entities", "--json").objects
    assert record["text"] == f" {TEXT}"
    for token, (start, end) in zip(record["tokens"], record["offsets"], strict=True):
        assert record["text"][start:end] == token
    tokens = call("predict", model, "green-dog ,", "--tokens", "--json").objects[0]["tokens"]
    assert tokens == ["green-dog", ","]


def test_symbols_in_the_place_of_a_file(call: Any, trained: Any, files: Path) -> None:
    told = call("predict", trained("residues"), "MKVLA", "--json")
    assert told.objects[0]["tokens"] == list("MKVLA")
    assert "'MKVLA' is no file: it is read as a text" in told.err


def test_what_looks_like_a_file_is_none_by_mistake(
    call: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained("chain")
    monkeypatch.chdir(tmp_path)
    for missing in ("news.txt", "data/news", "a.conllu.gz"):
        told = call("predict", model, missing)
        assert told.status == 1
        assert f"{missing}: no such file" in told.complaint
        assert call("predict", model, f" {missing}").status == 0
    Path("the dog").write_text("a cat\n")
    told = call("predict", model, "the dog", "--format", "text", "--json")
    assert told.objects[0]["tokens"] == ["a", "cat"]
    assert "is a file, which is read" in told.err
    assert call("predict", model, " the dog", "--json").objects[0]["tokens"] == ["the", "dog"]


@pytest.mark.parametrize("text", ["", "x\0y", "dog " * 3000, "\U0001f600" * 500, "\u05d0 \u05d1"])
def test_odd_texts_are_read_or_told(call: Any, trained: Any, text: str) -> None:
    told = call("predict", trained("chain"), text, "--entities", "--json")
    assert told.status == 0, told.err
    [record] = told.objects
    assert record["text"] == text
    assert len(record["offsets"]) == len(record["tags"]) == len(record["tokens"])
    shown = call("predict", trained("chain"), text, "--entities").out
    assert "\0" not in shown
    assert len(shown.splitlines()) == 1


def test_a_classifier_gives_its_best_labels(call: Any, trained: Any, files: Path) -> None:
    model = Predictor.load(trained("classifier"))
    examples = list(read(files / "test.csv", "label", labelled=False))
    expected = model.annotate(examples, top=2)
    told = call("predict", trained("classifier"), files / "test.csv", "--top", 2)
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert rows == [
        [cell for each in found.labels for cell in (each.label, f"{each.score:.4f}")]
        for found in expected
    ]
    records = call("predict", trained("classifier"), files / "test.csv", "--top", 1, "--json")
    assert [record["labels"][0]["label"] for record in records.objects] == [
        found.answer for found in expected
    ]
    assert {len(record["labels"]) for record in records.objects} == {1}


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("classifier", ("--entities",), "marks no entities"),
        ("tagger", ("--entities",), "marks no entities"),
        ("chain", ("--top", 2), "does not rank"),
        ("regressor", ("--top", 2), "does not rank"),
        ("chain", ("--entities", "--probabilities"), "bring probabilities with them"),
        ("series", ("--entities", "--json"), "name the --format"),
    ],
)
def test_what_a_model_does_not_give_is_refused(
    call: Any, trained: Any, kind: str, options: tuple[Any, ...], said: str
) -> None:
    told = call("predict", trained(kind), "-", *options, stdin=b"the dog\n")
    assert told.status == 2
    assert said in told.complaint


def test_entities_are_coloured_for_a_terminal(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    head = Predictor.load(trained("chain")).spec.head
    text = "Ada [b] met\x1b Bo and Ada"
    entities = (
        Entity("Ada", "PER", 0, 3, 0.9, 0, 1),
        Entity("Bo", "LOC", 13, 15, 0.9, 4, 5),
        Entity("Ada", "PER", 20, 23, 0.9, 6, 7),
    )
    lines = annotation_lines(head, None, coloured=True)
    found: Any = Annotation(text, [], (), entities)
    shown = lines(None, found)  # type: ignore[arg-type]
    assert plain(shown) == " Ada PER  [b] met\\x1b  Bo LOC  and  Ada PER \n"
    grounds = re.findall(r"48;[0-9;]+", shown)
    assert len(set(grounds)) == 2
    assert plain(annotation_lines(head, None, coloured=False)(None, found)) == (  # type: ignore[arg-type]
        "[Ada PER] [b] met\\x1b [Bo LOC] and [Ada PER]\n"
    )
