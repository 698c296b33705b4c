"""Faults of files that are named for what they are, and what spreadsheets write."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pytest

from birnn.data import ReadOptions, ReadRequest, read
from birnn.data.objects import examples
from birnn.errors import DataError, FormatError

TABLE = "text,label\nso good,pos\nso bad,neg\n"


def zipped(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "target", "says"),
    [
        (
            "g.csv",
            gzip.compress(TABLE.encode(), mtime=0),
            "label",
            "1: gzip data under another name",
        ),
        ("z.csv", zipped(TABLE), "label", "1: a zip archive, as .xlsx files are too"),
        (
            *("t.jsonl", b'{"text":"a","label":' + b"1" * 5000 + b"}\n", "label"),
            "1: an integer of more digits than Python reads. Write it",
        ),
        ("t.jsonl", b'{"text":"a","label":"x"}\nnull\n', "label", "2: the line is null, an"),
        ("t.jsonl", b'[{"text":"a","label":"x"}]\n', "label", "1: the line is a list, an"),
        (
            *("t.jsonl", b'{"text":"a","label":"x","label":"y"}\n', "label"),
            "1: the key 'label' stands twice in one object",
        ),
        (
            *("t.jsonl", b'{"text":"a \\ud800","label":"y"}\n', "label"),
            "1: \\ud800 is half of a character",
        ),
        (
            "t.jsonl",
            b'{"text":"a","values":1e300}\n',
            "values",
            "1: values, value 0 is 1e+300, which",
        ),
        ("t.csv", b"text,score\na,1e300\n", "values", "2: targets, value 0 is 1e+300, which"),
        (
            *("t.ts", b"@targetLabel true\n@data\n1,2:1e300\n", "values"),
            "3: target, value 0 is 1e+300, which float32 cannot hold",
        ),
        (
            *("t.ts", b"@classLabel true\n@data\n1,1e300:a\n", "label"),
            "3: sequence 0, step 1, channel 0 is 1e+300, which float32 cannot hold",
        ),
        (
            "t.csv",
            b"text,label,label\na,pos,neg\n",
            "label",
            "1: 2 columns are called 'label'",
        ),
        (
            *("t.csv", b"text,score\na,2\nb,1_000\n", "values"),
            "3: targets, value 0 is '1_000', not a number",
        ),
        (
            *("t.csv", "text,score\na,2\nb,\u0663\n".encode(), "values"),
            "3: targets, value 0 is '\u0663', not a number",
        ),
        (
            *("t.ts", b"@classLabel true\n@data\n1,1_0:a\n", "label"),
            "3: sequence 0, channel 0, value 1 is '1_0', not a number",
        ),
    ],
)
def test_a_fault_is_named_for_what_it_is(write, name, content, target, says):
    path = write(name, content)
    with pytest.raises(FormatError) as caught:
        list(read(path, target))
    assert f"{name}:{says}" in str(caught.value)
    assert "sys." not in str(caught.value)


def test_whole_characters_and_keys_of_other_objects_are_read(write):
    content = b'{"text":"\\ud83d\\ude00 so","label":"x","more":{"text":"z"}}\n'
    [one] = read(write("t.jsonl", content), "label")
    assert one.text == "\N{GRINNING FACE} so"


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_that_says_the_delimiter_is_no_row(write, first):
    told = []
    path = write("t.csv", f"{first}\n{TABLE.replace(',', ';')}".encode())
    found = list(read(path, "label", tell=told.append))
    assert [(e.text, e.target) for e in found] == [("so good", "pos"), ("so bad", "neg")]
    assert found[0].where.endswith("t.csv:3")
    assert told == []


def test_two_columns_of_one_name_are_told_apart_by_number(write):
    path = write("t.csv", b"text,label,label\na,pos,neg\nb,neg,pos\n")
    options = ReadOptions.of({"header": True, "text_column": 1, "label_column": 3})
    assert [e.target for e in read(path, "label", options)] == ["neg", "pos"]


def test_a_table_without_a_label_says_which_is_missing():
    request = ReadRequest("label", options=ReadOptions().over({"label_column": "stars"}))
    with pytest.raises(DataError, match=r"no column of labels \(the model's is 'stars'\)"):
        list(examples({"text": ["a"], "id": [1]}, request))
    with pytest.raises(DataError, match=r"no column of labels: the header names 'text'"):
        list(examples({"text": ["a"]}, ReadRequest("label")))
    [one] = examples([("a", np.float64(1e30))], ReadRequest("values"))
    assert one.target.tolist() == [1e30]
