"""birnn explain, as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from grids import sampled

TEXT = "the green dog barks and the cat runs"
GIVEN = {
    "tagger": TEXT,
    "chain": TEXT,
    "residues": "ACDDCA",
    "classifier": f"{TEXT}, good",
    "multilabel": TEXT,
    "pooling attention": f"{TEXT}, good",
    "regressor": TEXT,
}


@pytest.mark.parametrize("kind", sampled([*GIVEN, "series"], ["pooling attention", "series"]))
def test_every_kind_of_model_gets_a_page_and_numbers(
    call: Any, trained: Any, files: Path, tmp_path: Path, kind: str
) -> None:
    given = GIVEN.get(kind, files / "test.ts")
    page = tmp_path / "page.html"
    told = call("explain", trained(kind), given, "--json", "--out", page)
    assert told.status == 0, told.err
    found = json.loads(told.out)
    text = page.read_text("utf-8")
    assert text.count("<svg") == text.count('role="img"') >= 8
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    assert (found["attention"] is not None) == (kind in ("pooling attention", "multilabel"))
    assert found["attribution"]["completeness_gap"] <= 0.01
    assert all(line in text.replace("&#39;", "'") for line in found["left_out"])
    plain = call("explain", trained(kind), given)
    assert plain.status == 0
    assert found["target"] in plain.out


def test_the_answer_is_that_of_predict(call: Any, trained: Any) -> None:
    told = json.loads(call("explain", trained("chain"), TEXT, "--json").out)
    predicted = call("predict", trained("chain"), "-", "--json", stdin=(TEXT + "\n").encode())
    assert told["answer"] == json.loads(predicted.out)["tags"]
    assert told["tokens"] == TEXT.split()


def test_step_target_and_data_are_heeded(call: Any, trained: Any, files: Path) -> None:
    asked = ("explain", trained("tagger"), TEXT, "--json")
    told = json.loads(call(*asked, "--step", "dog", "--target", "VERB").out)
    assert (told["step"], told["target"]) == (3, "VERB")
    assert json.loads(call(*asked, "--step", "3", "--target", "VERB").out) == told
    other = json.loads(call(*asked, "--step", "dog", "--data", files / "test.tsv").out)
    again = json.loads(call(*asked, "--step", "dog").out)
    assert other["logits"]["full"] == again["logits"]["full"]
    assert other["logits"]["without both"] != again["logits"]["without both"]


def test_a_token_that_occurs_twice_is_no_step(call: Any, trained: Any) -> None:
    told = call("explain", trained("tagger"), TEXT, "--step", "the")
    assert told.status == 2
    assert "'the' stands at steps 1 and 6. Give the number of the one to explain." in told.complaint
    once = json.loads(call("explain", trained("tagger"), TEXT, "--step", "6", "--json").out)
    assert (once["step"], once["tokens"][5]) == (6, "the")


def test_digits_are_a_number_where_there_is_such_a_step_and_else_a_token(
    call: Any, trained: Any
) -> None:
    asked = ("explain", trained("tagger"), "2 dogs , 9 cats", "--json", "--step")
    assert json.loads(call(*asked, "2").out)["step"] == 2
    assert json.loads(call(*asked, "9").out)["step"] == 4


@pytest.mark.parametrize(("kind", "ending"), [("tagger", "tsv"), ("residues", "3line")])
def test_a_file_in_the_place_of_the_text_is_read_with_a_notice(
    call: Any, trained: Any, files: Path, kind: str, ending: str
) -> None:
    file = files / f"test.{ending}"
    told = call("explain", trained(kind), file, "--json")
    assert told.status == 0, told.err
    lines = file.read_text().splitlines()
    first = (
        list(lines[1])
        if ending == "3line"
        else [line.split("\t")[0] for line in lines[: lines.index("")]]
    )
    assert json.loads(told.out)["tokens"] == first
    assert f"{file} is a file: its first sequence is explained" in told.err
    # and its name is a text where that is meant
    told = call("explain", trained("tagger"), f" {file}", "--json")
    assert json.loads(told.out)["tokens"] != first
    assert "is a file" not in told.err


def test_words_that_end_as_files_do_are_texts_among_others(call: Any, trained: Any) -> None:
    for text in (" none.txt", "see none.txt", "the.end"):
        told = call("explain", trained("tagger"), text, "--json")
        assert told.status == 0, told.err


def test_a_file_without_a_sequence_is_one_line(call: Any, trained: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    told = call("explain", trained("tagger"), tmp_path / "empty.txt")
    assert told.status == 1
    assert "empty.txt" in told.err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["zorgle", "zorgle blimp", "x" * 200, "good " * 300])
def test_strange_texts_get_a_page(
    call: Any, trained: Any, opened: Any, tmp_path: Path, words: str
) -> None:
    page = tmp_path / "strange.html"
    told = call("explain", trained("classifier"), words, "--out", page)
    assert told.status == 0, told.err
    opened(page).check(figures=page.read_text("utf-8").count("<svg"))


@pytest.mark.parametrize(
    ("kind", "arguments", "status", "message"),
    [
        ("tagger", ("",), 1, "no steps"),
        ("tagger", ("the dog", "--step", "cat"), 2, "there is no step 'cat'"),
        ("tagger", ("the dog", "--step", "3"), 2, "a number from 1 to 2"),
        ("tagger", ("the dog", "--step", "9" * 5000), 2, "(5,000 characters)"),
        ("tagger", ("the dog", "--target", "9" * 5000), 2, "(5,000 characters)"),
        ("classifier", ("good", "--step", "9" * 5000), 2, "answers once"),
        ("tagger", ("the dog", "--target", "NUON"), 2, "did you mean NOUN"),
        ("classifier", ("good", "--step", "1"), 2, "answers once"),
        ("series", ("none.ts",), 1, "none.ts"),
        ("tagger", ("none.txt",), 1, "none.txt: no such file. Check the path; or, to have it"),
        ("residues", ("no/p.fasta.gz",), 1, "put a space before it: ' no/p.fasta.gz'"),
        ("tagger", ("the dog", "--data", "none.tsv"), 1, "none.tsv"),
    ],
)
def test_mistakes_are_one_line(
    call: Any, trained: Any, kind: str, arguments: tuple[str, ...], status: int, message: str
) -> None:
    told = call("explain", trained(kind), *arguments)
    assert told.status == status
    assert message in told.complaint


def test_a_page_is_refused_before_the_model_is_read(call: Any, tmp_path: Path) -> None:
    told = call("explain", tmp_path / "no-model", "text", "--out", tmp_path)
    assert told.status == 1
    assert "is a directory" in told.complaint
    assert "no such folder" in call("explain", tmp_path / "no-model", "text").complaint
