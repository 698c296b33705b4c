from __future__ import annotations

import pytest

from birnn.data import ReadOptions, ReadRequest
from birnn.data.formats import read_text
from birnn.data.source import Source
from birnn.errors import FormatError


def test_plain_text_is_one_sequence_a_line_and_has_no_labels():
    source = Source.from_text("So good!\n\nok")
    examples = list(read_text(source, ReadRequest("label", labelled=False)))
    assert [example.inputs for example in examples] == [("So", "good", "!"), (), ("ok",)]
    assert [example.where for example in examples] == ["text:1", "text:2", "text:3"]
    with pytest.raises(FormatError, match="no labels"):
        next(read_text(source, ReadRequest("label")))


def test_each_line_is_split_as_it_looks_or_as_it_is_set():
    told = []
    text = "hello (you)!\nhello ( you )! ,\n"
    ways = {}
    for split in ("auto", "tokens", "text"):
        options = ReadOptions(split=split)
        request = ReadRequest("tags", labelled=False, options=options, tell=told.append)
        examples = read_text(Source.from_text(text), request)
        ways[split] = [" ".join(example.inputs) for example in examples]
    assert ways == {
        "auto": ["hello ( you ) !", "hello ( you )! ,"],
        "tokens": ["hello (you)!", "hello ( you )! ,"],
        "text": ["hello ( you ) !", "hello ( you ) ! ,"],
    }
    [notice] = told
    assert notice.startswith("text:2: looks tokenised")
    assert notice.endswith("--text")


@pytest.mark.parametrize(
    ("target", "hint"), [("tags", r"conll\|conllu"), ("label", "tsv"), ("values", "tsv")]
)
def test_a_tab_is_refused_where_the_format_is_guessed(target, hint):
    text = "good\nbad film\tneg\n"
    request = ReadRequest(target, labelled=False)
    with pytest.raises(FormatError, match=rf"text:2: a tab.*--format {hint}, or --format text"):
        list(read_text(Source.from_text(text), request))
    request = ReadRequest(target, labelled=False, options=ReadOptions(format="text"))
    read = list(read_text(Source.from_text(text), request))
    assert [e.inputs for e in read] == [("good",), ("bad", "film", "neg")]
