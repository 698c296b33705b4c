"""`birnn convert`: formats found by endings or named, what is told, what is refused."""

from __future__ import annotations

import json

import pytest

from birnn.cli.main import main

NAMES = "Ada\tB-PER\nLovelace\tI-PER\nsang\tO\n\nRom\tB-LOC\n\n"


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder; answers its status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(["convert", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run


def test_there_and_back_through_all_formats_of_spans(convert, tmp_path):
    (tmp_path / "a.conll").write_text(NAMES)
    steps = [
        ("b.jsonl", "--to", "doccano"),
        ("c.jsonl", "--to", "prodigy", "--tokens"),
        ("d.json",),
        ("e", "--to", "brat", "--tokens"),
        ("f.jsonl", "--tokens"),
        ("g.bio.gz", "--scheme", "IOBES"),
        ("h.conllu",),
        ("i.conll", "--scheme", "iob2"),
    ]
    before = "a.conll"
    for name, *options in steps:
        assert convert(before, name, *options)[:2] == (0, f"2 sequences with tags in {name}\n")
        before = name
    assert (tmp_path / "i.conll").read_text() == NAMES
    _, out, _ = convert("e", "z.conll", "--tokens", "--json")
    assert json.loads(out) == {"out": "z.conll", "target": "tags", "sequences": 2}


def test_tables_labels_and_texts(convert, tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"so, so",bad\nfine,very good\n')
    assert convert("a.csv", "b.ft")[0] == 0
    assert (tmp_path / "b.ft").read_text() == "__label__bad so, so\n__label__very_good fine\n"
    status, out, _ = convert("b.ft", "c.jsonl", "--target", "labels")
    assert (status, out) == (0, "2 sequences with sets of labels in c.jsonl\n")
    assert json.loads((tmp_path / "c.jsonl").read_text().splitlines()[1]) == {
        "text": "fine",
        "labels": ["very_good"],
    }
    (tmp_path / "n.txt").write_text("so good\nso bad\n")
    assert convert("n.txt", "n.jsonl")[:2] == (0, "2 sequences with no targets in n.jsonl\n")
    assert (tmp_path / "n.jsonl").read_text() == '{"text": "so good"}\n{"text": "so bad"}\n'


@pytest.mark.parametrize(
    ("lines", "target", "labels"),
    [
        ("__label__a __label__b so\n__label__a bad\n", None, [["a", "b"], ["a"]]),
        ("__label__a so\n__label__b bad\n", "labels", [["a"], ["b"]]),
        ("__label__a so\n__label__b bad\n", None, ["a", "b"]),
        ("__label__a __label__b so\n", "label", "2 labels 'a, b', a classifier learns one"),
    ],
)
def test_labels_of_fasttext_in_a_text_are_never_dropped(convert, tmp_path, lines, target, labels):
    (tmp_path / "ft.txt").write_text(lines)
    status, _, err = convert("ft.txt", "ft.jsonl", *(["--target", target] if target else []))
    if isinstance(labels, str):
        assert status == 1
        assert labels in err
        return
    records = [json.loads(line) for line in (tmp_path / "ft.jsonl").read_text().splitlines()]
    assert [record.get("labels", record.get("label")) for record in records] == labels


def test_tokens_are_no_series(convert, tmp_path):
    (tmp_path / "a.conll").write_text(NAMES)
    status, _, err = convert("a.conll", "folder", "--to", "series")
    assert status == 1
    assert "a.conll:1: tokens, which series cannot hold" in err
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("a.conll", "a.conll"), 2, "a.conll is what is read"),
        (("-", "b.conll"), 2, "give a file, not standard input"),
        (("a.tsv", "b.jsonl"), 2, "may be columns of tokens and tags, or a table. Say which"),
        (("a.conll", "b.xml"), 1, "b.xml: unknown ending .xml"),
        (("a.conll", "b.jsonl", "--to", "docano"), 2, "did you mean doccano?"),
        (("a.conll", "b.jsonl", "--from", "brta"), 2, "did you mean brat?"),
        (("a.conll", "b.jsonl", "--target", "tag"), 2, "did you mean tags?"),
        (("a.conll", "b.jsonl", "--scheme", "iobse"), 2, "did you mean iobes?"),
        (("a.conll", "b.npz"), 1, "a.conll:1: tokens, which npz cannot hold"),
        (("a.conll", "b.ann"), 2, "brat is written as a folder"),
        (("none.conll", "b.jsonl"), 1, "none.conll: no such file"),
        (("broken.jsonl", "b.conll"), 1, "broken.jsonl:2: not JSON"),
        (("cut.jsonl", "b.conll", "--misaligned", "refuse"), 1, "cut.jsonl:1: the span 1 to 3"),
        (("cut.jsonl", "b.conll", "--misaligned", "widen"), 2, "misaligned"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_stands_there(convert, tmp_path, arguments, status, says):
    for name in ("a.conll", "a.tsv"):
        (tmp_path / name).write_text(NAMES)
    (tmp_path / "broken.jsonl").write_text('{"tokens": ["a"], "tags": ["O"]}\n{"tokens"\n')
    (tmp_path / "cut.jsonl").write_text('{"text": "Ada sang", "label": [[1, 3, "PER"]]}\n')
    before = sorted(tmp_path.iterdir())
    found, out, err = convert(*arguments)
    assert (found, out) == (status, "")
    assert says in err.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,text,label\na,b,pos\n", "t.csv:1: 2 columns are called 'text'"),
        ('text,label\n"open,pos\n', "t.csv:2: not CSV: the quote that opens a cell"),
        ("text,label\na,pos,more\n", "t.csv:2: 3 cells, the header names 2"),
    ],
)
def test_what_is_wrong_with_a_table_is_not_that_it_holds_no_tokens(convert, tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    status, _, err = convert("t.csv", "t.jsonl")
    assert status == 1
    assert says in err.splitlines()[-1]


@pytest.mark.parametrize("options", [(), ("--target", "labels"), ("--target", "label")])
def test_labels_that_may_be_several_in_one_are_told_unless_it_is_said(convert, tmp_path, options):
    (tmp_path / "t.csv").write_text("text,label\nso good,war|funny\nso bad,drama\nso so,war\n")
    status, _, err = convert("t.csv", "t.ft", *options)
    assert status == 0
    line = "labels that look like several in one: war|funny (1). If a text has several, say so: "
    assert (f"{line}--target labels" in err.splitlines()) is not bool(options)
    several = "--target" in options and "labels" in options
    assert ("__label__war __label__funny" in (tmp_path / "t.ft").read_text()) is several
