from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import limits

from birnn.data import ReadRequest
from birnn.data.pairs import split_pairs
from birnn.data.records import read_jsonl
from birnn.data.source import Source
from birnn.data.tables import read_csv, read_tsv
from birnn.data.tokeniser import part
from birnn.errors import FormatError, no_notice

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=20)
LABELS = st.sampled_from(["good", "bad", "0", "so, so", 'a "quoted" one'])


def read_all(reader, text, target="label", **wanted):
    request = ReadRequest(target, **wanted)
    examples = reader(Source.from_text(text), request)
    if target == "sequence":
        examples = split_pairs(examples, request, no_notice)
    return list(examples)


@given(st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=6))
def test_csv_reads_what_the_csv_module_writes(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("id", "text", "label")])
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows((i, text, label) for i, (text, label) in enumerate(rows))
    examples = read_all(read_csv, out.getvalue())
    assert [(e.inputs, e.target, e.text) for e in examples] == [
        (part(text).tokens, label, text) for text, label in rows
    ]


@given(st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=6))
def test_jsonl_reads_what_json_writes(rows):
    text = "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows)
    examples = read_all(read_jsonl, text)
    assert [(e.inputs, e.target, e.text) for e in examples] == [
        (part(text).tokens, label, text) for text, label in rows
    ]


def test_a_header_says_which_column_is_which():
    with_header = read_all(read_tsv, "Label\tid\tText\npos\t7\ta film\n")
    without = read_all(read_tsv, "a film\tpos\n")
    assert [(e.inputs, e.target) for e in with_header] == [(("a", "film"), "pos")]
    assert [(e.inputs, e.target) for e in without] == [(("a", "film"), "pos")]


def test_quotes_are_characters_in_tsv_and_marks_in_csv():
    assert read_all(read_tsv, '"\tx')[0].inputs == ('"',)
    assert read_all(read_csv, '"a\nb",x')[0].inputs == ("a", "b")


def test_where_is_the_line_a_row_starts_on():
    examples = read_all(read_csv, 'text,label\n"a\nb",x\n\nc,y\n')
    assert [e.where for e in examples] == ["text:2", "text:5"]


def test_a_cell_may_be_longer_than_the_csv_modules_limit():
    words = ["word"] * 50_000
    [example] = read_all(read_csv, " ".join(words) + ",x")
    assert len(example) == 50_000


def test_empty_texts_are_kept():
    assert [len(e) for e in read_all(read_tsv, "\tx\na\ty\n")] == [0, 1]


@pytest.mark.parametrize("reader", [read_tsv, read_csv])
def test_without_labels_the_text_is_enough(reader):
    for text in ("a film\n", "text\na film\n"):
        [example] = read_all(reader, text, labelled=False)
        assert (example.inputs, example.target) == (("a", "film"), None)
    both = "a film\tx\n" if reader is read_tsv else "a film,x\n"
    assert read_all(reader, both, labelled=False)[0].target is None


def test_a_regressor_reads_numbers():
    [plain] = read_all(read_tsv, "a film\t1.5\t-2\n", "values")
    [named] = read_all(read_csv, "y1,text,y2\n1.5,a film,-2\n", "values")
    [record] = read_all(read_jsonl, '{"text": "a film", "values": [1.5, -2]}', "values")
    for example in (plain, named, record):
        assert example.inputs == ("a", "film")
        assert example.target.tolist() == [1.5, -2.0]
    [single] = read_all(read_jsonl, '{"text": "a", "values": 3}', "values")
    assert single.target.tolist() == [3.0]


def test_pairs_of_sequences():
    expected = (("c", "a", "t"), ("K", "AE1", "T"))
    lines = "cat\tK AE1 T\n"
    record = '{"source": "cat", "target": "K AE1 T"}\n'
    lists = '{"source": ["c", "a", "t"], "target": ["K", "AE1", "T"]}\n'
    for reader, text in ((read_tsv, lines), (read_jsonl, record), (read_jsonl, lists)):
        [example] = read_all(reader, text, "sequence")
        assert (example.inputs, example.target) == expected


def test_records_of_tokens_and_of_vectors():
    text = '{"tokens": ["a", "b"], "tags": ["X", 1]}\n\n{"tokens": [], "tags": []}\n'
    tagged = read_all(read_jsonl, text, "tags")
    assert [(e.inputs, e.target) for e in tagged] == [(("a", "b"), ("X", "1")), ((), ())]
    text = '{"vectors": [[1, 2], [3, 4]], "label": 0}\n{"vectors": [], "label": true}\n'
    series = read_all(read_jsonl, text)
    assert [e.inputs.tolist() for e in series] == [[[1.0, 2.0], [3.0, 4.0]], []]
    assert series[1].inputs.shape == (0, 2)
    assert [e.target for e in series] == ["0", "True"]


@pytest.mark.parametrize(
    ("reader", "target", "text", "says"),
    [
        (read_tsv, "label", "a\tx\nb\n", "text:2: 1 cell, the first row has 2"),
        (read_tsv, "label", "a\t \n", "text:1: an empty label"),
        (read_tsv, "label", "1\ta\tx\n", "text:1: 3 columns and no header"),
        (read_tsv, "label", "text\tid\tx\tz\n", "text:1: the header names 'text', 'id', 'x'"),
        (read_csv, "label", 'a,x\n"b,y\n', "text:2: not CSV"),
        (read_csv, "values", "a,1\nb,much\n", "text:2: targets, value 0 is 'much'"),
        (read_csv, "values", "a,inf\n", "text:1: targets, value 0 is inf"),
        (read_jsonl, "label", '{"text": "a"', "text:1: not JSON"),
        (read_jsonl, "label", "[" * 100_000, "text:1: not JSON"),
        (read_jsonl, "label", "[1]", "text:1: the line is a list"),
        (read_jsonl, "label", '{"txt": "a"}', "text:1: no text, it has txt"),
        (read_jsonl, "label", '{"text": 1, "label": "x"}', "text:1: text is 1"),
        (read_jsonl, "label", '{"text": "a", "label": null}', "text:1: label is null"),
        (read_jsonl, "tags", '{"tokens": "a b", "tags": []}', "text:1: tokens is a str"),
        (read_jsonl, "tags", '{"tokens": [""], "tags": ["X"]}', "text:1: tokens[0] is ''"),
        (read_jsonl, "tags", '{"tokens": ["a"], "tags": []}', "text:1: 1 steps and 0 tags"),
        (read_jsonl, "tags", '{"text": "a", "tags": ["X"]}', "text:1: no tokens"),
        (
            read_jsonl,
            "label",
            '{"vectors": [[1]], "label": "x"}\n{"vectors": [[1], [NaN]], "label": "x"}',
            "text:2: sequence 1, step 1, channel 0 is nan",
        ),
        (
            read_jsonl,
            "label",
            '{"vectors": [[1]], "label": "x"}\n{"vectors": [[1, 2]], "label": "x"}',
            "text:2: sequence 1 has 2 channels, those before it 1",
        ),
        (read_jsonl, "label", '{"vectors": [[1], [1, 2]], "label": 1}', "text:1: vectors"),
        (read_jsonl, "label", '{"vectors": [1, 2], "label": 1}', "text:1: vectors has shape"),
    ],
)
def test_faults_name_line_and_remedy(reader, target, text, says):
    with pytest.raises(FormatError) as caught:
        read_all(reader, text, target)
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith(".")


def test_a_row_of_many_cells_is_refused_soon():
    source = Source.from_text("text,a,b" * 20_000 + "\ngood,1,2\n")
    with limits("a row of 40,001 cells"), pytest.raises(FormatError):
        list(read_csv(source, ReadRequest("values")))
