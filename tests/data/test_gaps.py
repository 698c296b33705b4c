"""Marks of gaps, whoever writes them: one symbol for all, a token of its own, filled in place."""

from __future__ import annotations

import pytest

from birnn.data import ReadOptions, read
from birnn.data.gaps import GAP, filled, marked, with_gaps
from birnn.data.options import ReadRequest

MARKS = ("___", "[MASK]", "[mask]", "<mask>", "<MASK>", "_____")


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("text", ["I am {}, and", "({})", "{}.", "{} is", "{}", "is {}", "'{}'!"])
@pytest.mark.parametrize("split", ["text", "auto", "auto-tokens"])
def test_every_mark_is_a_token_of_its_own_wherever_it_touches(mark, text, split):
    request = ReadRequest("gaps", False, ReadOptions(split=split))
    given = request.steps(text.format(mark), "")
    assert given == request.steps(text.format(GAP), "")
    assert given.count(GAP) == 1
    assert "".join(given) == text.format(GAP).replace(" ", "")
    assert filled(text.format(mark), given, ["so"]) == text.format("so")


def test_fewer_underscores_are_a_gap_only_by_themselves():
    assert with_gaps(["_", "__", "___", "a_b", "__init__", "a___b"]) == (
        *(GAP, GAP, GAP, "a_b", "__init__"),
        *("a", GAP, "b"),
    )
    assert marked("_ a_b __init__ __") == f"{GAP} a_b __init__ {GAP}"
    assert with_gaps(()) == ()


def test_texts_keep_all_but_their_gaps():
    assert filled("No gap, none.", ["No", "gap", ",", "none", "."], []) == "No gap, none."
    assert filled("", [], []) == ""
    # A mark that only the tokens show.
    assert filled("so _, too", ["so", GAP, ",", "too"], ["it"]) == "so it , too"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "I am ___ .\n\nYou are .\n"),
        ("a.tsv", "id\ttext\n1\tI am ___ .\n2\t\n3\tYou are .\n"),
        ("a.csv", "text,label\nI am ___ .,x\n,y\nYou are .,x\n"),
        ("a.jsonl", '{"text": "I am ___ ."}\n{"text": ""}\n{"text": "You are .", "label": 1}\n'),
    ],
)
def test_raw_text_is_read_from_every_format_that_holds_some(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    found = list(read(path, "gaps", labelled=False, tell=lambda line: None))
    assert [example.inputs for example in found] == [
        ("I", "am", GAP, "."),
        (),
        ("You", "are", "."),
    ]
    assert all(example.target is None for example in found)
