from __future__ import annotations

import gzip
import io
import sys
import tracemalloc

import numpy as np
import pytest

from birnn.data.formats import FORMATS
from birnn.data.options import ReadOptions
from birnn.data.read import read
from birnn.errors import ConfigError, FormatError, UsageError


def archive(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


# a file of two sequences in each format, and a target it serves
SAMPLES = {
    "conllu": ("tags", b"1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n\n1\tb\t_\tY\t_\t_\t_\t_\t_\t_\n"),
    "conll": ("tags", b"a\tX\n\nb\tY\n"),
    "csv": ("label", b"a,X\nb,Y\n"),
    "tsv": ("label", b"a\tX\nb\tY\n"),
    "jsonl": ("label", b'{"text": "a", "label": "X"}\n{"text": "b", "label": "Y"}\n'),
    "ts": ("label", b"@classLabel true\n@data\n1:X\n2:Y\n"),
    "npz": ("label", archive(values=np.ones((2, 1)), lengths=[1, 1], labels=["X", "Y"])),
    "fasta": ("label", b">1 X\na\n>2 Y\nb\n"),
    "3line": ("tags", b">1\na\nX\n>2\nb\nY\n"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_is_found_by_its_endings_packed_or_not(write, name):
    target, content = SAMPLES[name]
    for ending in FORMATS[name].endings:
        plain = list(read(write("a" + ending, content), target))
        packed = list(read(write(f"a{ending}.gz", gzip.compress(content)), target))
        named = list(read(write("a.other", content), target, ReadOptions(format=name)))
        upper = list(read(write("A" + ending.upper(), content), target))
        assert [len(e) for e in plain] == [1, 1]
        assert ["".join(e.target) for e in plain] == ["X", "Y"]
        for others in (packed, named, upper):
            for one, other in zip(plain, others, strict=True):
                np.testing.assert_array_equal(one.inputs, other.inputs)
                assert one.target == other.target


@pytest.mark.parametrize("name", SAMPLES)
def test_labels_can_be_left_out(write, name):
    target, content = SAMPLES[name]
    path = write("a" + FORMATS[name].endings[0], content)
    labelled = list(read(path, target))
    bare = list(read(path, target, labelled=False))
    # an ordinary FASTA file and one of three lines look alike; the classifier's has no tags
    assert [e.target for e in bare] == [None, None]
    for one, other in zip(labelled, bare, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)


def test_a_tsv_is_read_as_the_task_needs_it(write):
    path = write("a.tsv", "dog\tNOUN\nbark\tVERB\n")
    [tagged] = read(path, "tags")
    classified = list(read(path, "label"))
    paired = list(read(path, "sequence"))
    assert (tagged.inputs, tagged.target) == (("dog", "bark"), ("NOUN", "VERB"))
    assert [(e.inputs, e.target) for e in classified] == [(("dog",), "NOUN"), (("bark",), "VERB")]
    assert paired[0].inputs == ("d", "o", "g")


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\tX\n")))
    [example] = read("-", "tags", ReadOptions(format="conll"))
    assert example.where == "standard input:1"
    with pytest.raises(UsageError, match="--format"):
        read("-", "tags")


def test_unknown_endings_name_the_known_ones(write):
    with pytest.raises(FormatError, match=r"unknown ending \.xml.*\.conllu.*--format conllu\|"):
        read(write("a.xml", "x"), "tags")
    with pytest.raises(FormatError, match=r"unknown ending \(none\)"):
        read(write("a.gz", "x"), "tags")
    with pytest.raises(FormatError, match="format ts is for labels or values, not for tags"):
        read(write("a.ts", "x"), "tags")


def test_wrong_names_are_refused_at_once(write):
    path = write("a.conll", "a\tX\n")
    with pytest.raises(ConfigError, match="did you mean conll"):
        read(path, "tags", ReadOptions(format="conl"))
    with pytest.raises(UsageError, match="format conll is for tags, not for labels"):
        read(path, "label", ReadOptions(format="conll"))
    with pytest.raises(UsageError, match="did you mean tags"):
        read(path, "tagss")
    with pytest.raises(FormatError, match="no such file"):
        read(path.with_name("b.conll"), "tags")


@pytest.mark.parametrize(
    ("name", "target", "content"),
    [("a.jsonl", "tags", "\n\n"), ("a.csv", "label", "text,label\n")],
)
def test_a_file_without_a_sequence_is_refused(write, name, target, content):
    with pytest.raises(FormatError, match="no sequence in it"):
        list(read(write(name, content), target))


def test_one_sequence_may_be_very_long(write):
    path = write("a.conll", "a\tX\n" * 50_000)
    [example] = read(path, "tags")
    assert len(example) == 50_000


def test_reading_streams(write):
    sentence = "".join(f"word{i}\tO\n" for i in range(20)) + "\n"
    path = write("a.conll.gz", gzip.compress(sentence.encode() * 3000, 1))
    tracemalloc.start()
    rows = sum(len(example) for example in read(path, "tags"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 60_000
    assert peak < 800_000  # the tokens alone would take 3 MB


def test_a_place_that_is_no_file_is_told_before_its_ending(tmp_path):
    with pytest.raises(FormatError, match="is a directory"):
        read(tmp_path, "tags")
    with pytest.raises(FormatError, match="no such file"):
        read(tmp_path / "nowhere.odd", "tags")


@pytest.mark.parametrize("name", ["eng.train", "ned.testa", "NED.TESTB", "a.dev.gz", "a.valid"])
def test_parts_of_a_data_set_are_columns_for_a_tagger(write, name):
    content = b"Anna B-PER\nsings O\n"
    path = write(name, gzip.compress(content) if name.endswith(".gz") else content)
    told = []
    [example] = read(path, "tags", tell=told.append)
    assert (example.inputs, example.target) == (("Anna", "sings"), ("B-PER", "O"))
    assert told == [f"{path}: read as conll; --format says otherwise"]
    assert list(read(path, "tags", ReadOptions(format="conll"), tell=told.append)) == [example]
    assert len(told) == 1


@pytest.mark.parametrize("target", ["label", "values"])
def test_hints_for_labelled_files_lead_to_formats_with_labels(write, target):
    for name, says in [("a.train", "a part of a data set"), ("a.xml", "unknown ending")]:
        with pytest.raises(FormatError, match=says) as caught:
            read(write(name, "x"), target)
        assert "csv" in str(caught.value)
        assert "|text" not in str(caught.value)
        assert ".txt" not in str(caught.value)
    with pytest.raises(FormatError, match="text"):
        read(write("a.xml", "x"), target, labelled=False)


def test_the_limits_of_reading_can_be_set(write):
    path = write("a.conll", "a" * 99 + "\tO\n")
    with pytest.raises(FormatError, match=r"a.conll:1: a line longer than 100 bytes"):
        list(read(path, "tags", ReadOptions(max_line=100)))
    packed = write("b.conll.gz", gzip.compress(b"a\tO\n" * 10))
    with pytest.raises(FormatError, match=r"unfolds to more than 39 bytes"):
        list(read(packed, "tags", ReadOptions(max_unpacked=39)))
    assert len(list(read(packed, "tags", ReadOptions(max_unpacked=40)))) == 1


def test_an_option_that_serves_another_format_is_told(write):
    told = []
    options = ReadOptions(field="xpos", columns={"tag": 2})
    list(read(write("a.conll", "a\tO\n"), "tags", options, tell=told.append))
    list(read(write("a.jsonl", '{"tokens": [], "tags": []}'), "tags", options, tell=told.append))
    assert [line.partition(": ")[2] for line in told] == [
        "the option field serves CoNLL-U, this is no such file",
        "the option field serves CoNLL-U and spacy, this is jsonl",
        "the option columns serves format conll, this is jsonl",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"tokens": ["a", "b"], "tags": ["B-X ", " O"]}'),
        ("a.npz", archive(values=np.ones((2, 1)), lengths=[2], tags=["B-X ", " O"])),
        ("a.conll", b"a\tB-X \nb\t O\n"),
    ],
)
def test_tags_have_no_blanks_around_them(write, name, content):
    [example] = read(write(name, content), "tags")
    assert example.target == ("B-X", "O")


@pytest.mark.parametrize(
    ("option", "value"),
    [("delimiter", ";"), ("header", True), ("text_column", "text"), ("label_column", "label")],
)
def test_an_option_that_does_not_serve_the_format_is_told(write, option, value):
    path = write("s.ts", "@classLabel true a b\n@data\n1,2:a\n")
    told = []
    options = ReadOptions.of({option: value})
    assert len(list(read(path, "label", options, tell=told.append))) == 1
    assert len(told) == 1
    assert f"the option {option} serves format csv, tsv" in told[0]
    # what a model kept is no wish of the caller
    list(read(path, "label", ReadOptions().over({option: value}), tell=told.append))
    assert len(told) == 1


def test_a_line_of_more_tokens_than_a_model_holds_is_refused(write):
    path = write("a.txt", "so good\n" + "a " * 12 + "\n")
    assert len(list(read(path, "label", ReadOptions(max_tokens=12), labelled=False))) == 2
    with pytest.raises(FormatError, match=r"a.txt:2: a sequence of 12 tokens, 11 .* --max-tokens"):
        list(read(path, "label", ReadOptions(max_tokens=11), labelled=False))


@pytest.mark.parametrize("target", ["tags", "label", "values", "sequence"])
def test_a_model_is_no_data(tmp_path, target):
    (tmp_path / "birnn.json").write_text("{}")
    with pytest.raises(FormatError, match=r"is a model, not data\. Name a file"):
        list(read(tmp_path, target))
