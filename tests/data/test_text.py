from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data import ReadRequest
from birnn.data.read import read
from birnn.data.source import Source
from birnn.data.text import read_text, split_source, tokenise
from birnn.errors import FormatError


@given(st.text())
def test_tokens_are_the_text_without_its_spaces(text):
    tokens = tokenise(text)
    assert "".join(tokens) == "".join(text.split())
    assert all(tokens)
    assert not any(any(map(str.isspace, token)) for token in tokens)


@given(st.text())
def test_tokenising_tokens_changes_nothing(text):
    once = tokenise(text)
    assert tokenise(" ".join(once)) == once


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("wo n't", ["wo", "n't"]),
        ("'quoted'", ["'", "quoted", "'"]),
        ("the '70s rock 'n' roll", ["the", "'70s", "rock", "'n'", "roll"]),
        ("1,000.50 or 12:30.", ["1,000.50", "or", "12:30", "."]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("我们 ok", ["我", "们", "ok"]),
        ("what?! -- no...", ["what", "?!", "--", "no", "..."]),
    ],
)
def test_what_a_token_is(text, tokens):
    assert list(tokenise(text)) == tokens


def test_plain_text_is_one_sequence_a_line_and_has_no_labels():
    source = Source.from_text("So good!\n\nok")
    examples = list(read_text(source, ReadRequest("classifier", labelled=False)))
    assert [example.inputs for example in examples] == [("So", "good", "!"), (), ("ok",)]
    assert [example.where for example in examples] == ["text:1", "text:2", "text:3"]
    with pytest.raises(FormatError, match="no labels"):
        next(read_text(source, ReadRequest("classifier")))


def test_sources_are_letters_unless_parted():
    assert split_source(" cat ") == ("c", "a", "t")
    assert split_source("le chat") == ("le", "chat")
    assert split_source("") == ()


@pytest.mark.shared
def test_text_that_is_tokenised_stays_so(shared_data):
    examples = list(read(shared_data / "sst2" / "train.tsv", "classifier"))
    lines = (shared_data / "sst2" / "train.tsv").read_text().splitlines()
    parted = [tuple(line.split("\t")[0].split()) for line in lines]
    same = sum(e.inputs == tokens for e, tokens in zip(examples, parted, strict=True))
    assert same / len(parted) > 0.999
