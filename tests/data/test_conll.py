from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data import ReadOptions, ReadRequest
from birnn.data.conll import FIELDS, read_conll, read_conllu
from birnn.data.source import Source
from birnn.errors import ConfigError, FormatError

# what may stand in a column: no tab, no line end, nothing that reads as blank or as a mark
CELLS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=6
).filter(lambda cell: not cell.startswith(("-DOCSTART-", "\ufeff")))
SENTENCES = st.lists(st.lists(st.tuples(CELLS, CELLS), max_size=5), min_size=1, max_size=6)

UNIVERSAL = """\
# sent_id = 1
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\tIN\tA=b\t0\tcase\t_\t_
2\tle\tle\tDET\tDT\t_\t1\tdet\t_\t_
2.1\tvu\tvoir\tVERB\t_\t_\t_\t_\t0:root\t_

# sent_id = 2

1\tOui\toui\tINTJ\tUH\t_\t0\troot\t_\t_
"""


def read_all(reader, text, *, labelled=True, **options):
    request = ReadRequest("tagger", labelled, ReadOptions.of(options))
    return list(reader(Source.from_text(text), request))


@given(SENTENCES)
def test_what_is_written_is_read(sentences):
    text = "".join(
        "".join(f"{token}\tmiddle\t{tag}\n" for token, tag in rows) + "\n" for rows in sentences
    )
    examples = read_all(read_conll, text)
    assert [list(zip(e.inputs, e.target, strict=True)) for e in examples] == sentences
    unlabelled = read_all(read_conll, text, labelled=False)
    assert [e.inputs for e in unlabelled] == [e.inputs for e in examples]
    assert {e.target for e in unlabelled} <= {None}


@given(SENTENCES)
def test_spaces_part_columns_as_tabs_do(sentences):
    rows = [[f"{token} {tag}" for token, tag in sentence] for sentence in sentences]
    spaced = "".join("\n".join(lines) + "\n\n" if lines else "\n" for lines in rows)
    tabbed = spaced.replace(" ", "\t")
    assert read_all(read_conll, spaced) == read_all(read_conll, tabbed)


def test_document_starts_are_skipped():
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\n\n-DOCSTART- -X- O O\n\nHi UH O O\n"
    examples = read_all(read_conll, text)
    assert [e.inputs for e in examples] == [("EU",), ("Hi",)]
    assert [e.target for e in examples] == [("B-ORG",), ("O",)]
    assert [e.where for e in examples] == ["text:3", "text:7"]


def test_a_line_of_blanks_ends_a_sequence_and_an_invisible_token_does_not():
    examples = read_all(read_conll, "a\tO\n\t\n\u200b\tO\n  \nb\tO")
    assert [e.inputs for e in examples] == [("a",), ("\u200b",), ("b",)]


def test_no_newline_at_the_end_and_one_more_blank_line():
    assert len(read_all(read_conll, "a\tO")) == 1
    assert [len(e) for e in read_all(read_conll, "a\tO\n\n\nb\tO\n\n")] == [1, 0, 1]


def test_tokens_alone_are_enough_without_labels():
    assert read_all(read_conll, "a\nb\n", labelled=False)[0].inputs == ("a", "b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\tO\nb\n", "text:2: 1 column, a token and its tag"),
        ("a\tO\nb\t\n", "text:2: an empty tag"),
        ("\tO\n", "text:1: an empty token"),
    ],
)
def test_conll_faults(text, says):
    with pytest.raises(FormatError) as caught:
        read_all(read_conll, text)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("field", FIELDS)
def test_conllu_fields(field):
    rows = [line.split("\t") for line in UNIVERSAL.splitlines() if line[:2] in ("1\t", "2\t")]
    examples = read_all(read_conllu, UNIVERSAL, field=field)
    assert [e.inputs for e in examples] == [("de", "le"), (), ("Oui",)]
    expected = [row[FIELDS[field]] for row in rows]
    assert [tag for e in examples for tag in e.target] == expected


def test_conllu_without_labels_needs_two_columns():
    examples = read_all(read_conllu, "1\tde\n2\tle\n", labelled=False)
    assert examples[0].inputs == ("de", "le")
    assert examples[0].target is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# c\n1\tde\tDET\n", "text:2: 3 columns"),
        ("1\t\t_\tX\t_\t_\t_\t_\t_\t_\n", "text:1: an empty word"),
        ("1\ta\t_\t\t_\t_\t_\t_\t_\t_\n", "text:1: an empty upos"),
    ],
)
def test_conllu_faults(text, says):
    with pytest.raises(FormatError) as caught:
        read_all(read_conllu, text)
    assert str(caught.value).startswith(says)


def test_an_unknown_field_is_refused():
    with pytest.raises(ConfigError, match="did you mean xpos"):
        read_all(read_conllu, UNIVERSAL, field="pos")
