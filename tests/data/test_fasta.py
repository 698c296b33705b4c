from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data import ReadRequest
from birnn.data.fasta import read_fasta, read_three_line
from birnn.data.source import Source
from birnn.errors import FormatError

PROTEINS = st.lists(
    st.lists(st.tuples(st.sampled_from("ACDEFX"), st.sampled_from("HEC")), max_size=9),
    min_size=1,
    max_size=5,
)


def read_all(reader, text, target, **wanted):
    return list(reader(Source.from_text(text), ReadRequest(target, **wanted)))


@given(PROTEINS)
def test_three_lines_hold_sequence_and_tags(proteins):
    text = "".join(
        f">p{i}\n{''.join(r for r, _ in rows)}\n{''.join(t for _, t in rows)}\n"
        for i, rows in enumerate(proteins)
    )
    tagged = read_all(read_fasta, text, "tags")
    assert [list(zip(e.inputs, e.target, strict=True)) for e in tagged] == proteins
    assert read_all(read_three_line, text, "tags") == tagged
    bare = read_all(read_three_line, text, "tags", labelled=False)
    assert [(e.inputs, e.target) for e in bare] == [(e.inputs, None) for e in tagged]


@given(PROTEINS, st.integers(1, 4))
def test_sequences_run_over_lines(proteins, width):
    sequences = ["".join(residue for residue, _ in rows) for rows in proteins]
    text = ""
    for i, sequence in enumerate(sequences):
        lines = [sequence[k : k + width] for k in range(0, len(sequence), width)]
        text += "\n".join([f">p{i} label {i}", *lines]) + "\n\n"
    labelled = read_all(read_fasta, text, "label")
    assert ["".join(e.inputs) for e in labelled] == sequences
    assert [e.target for e in labelled] == [f"label {i}" for i in range(len(sequences))]
    bare = read_all(read_fasta, text, "tags", labelled=False)
    assert ["".join(e.inputs) for e in bare] == sequences


def read_for(text, labels, told):
    """As a tagger with these labels predicts."""
    source = replace(Source.from_text(text), tell=told.append)
    request = ReadRequest("tags", labelled=False, labels=frozenset(labels))
    return ["".join(example.inputs) for example in read_fasta(source, request)]


def test_tags_are_no_residues_where_a_tagger_predicts():
    told = []
    text = ">p1\nMKV\nHHC\n>p2\nAC\nHE\n"
    assert read_for(text, "HEC", told) == ["MKV", "AC"]
    assert told == [
        (
            "text:1: records of three lines: the second line of each holds tags, which are not "
            "read (--format 3line)"
        )
    ]


def test_a_sequence_over_two_lines_stays_one():
    told = []
    assert read_for(">p1\nMKVL\nAG\n>p2\nMKV\nHEC\nHHC\n", "HEC", told) == ["MKVLAG", "MKVHECHHC"]
    assert told == []
    assert read_for(">p1\nMKV\nLAG\n>p2\nMK\nAA\n", "HEC", told) == ["MKVLAG", "MKAA"]
    assert told == [
        (
            "text:1: two lines of one length are read as one sequence; if the second holds tags: "
            "--format 3line"
        )
    ]


def test_tags_that_may_be_residues_are_refused():
    with pytest.raises(FormatError, match=r"text:1: the second line may hold tags.*--format 3line"):
        read_for(">p1\nACGT\nAATT\n", "ACGT", [])


def test_records_have_names():
    for reader in (read_fasta, read_three_line):
        assert [e.id for e in read_all(reader, ">p1 x\nA\nC\n>\nA\nC\n", "tags")] == ["p1", None]


@pytest.mark.parametrize(
    ("target", "text", "says"),
    [
        ("label", ">p1\nMKV\n", "text:1: no label after >p1"),
        ("label", "\nMKV\n>p1 x\n", "text:2: a sequence before its >id"),
        ("tags", ">p1\nMKV\nCH\n", "text:1: 3 residues and 2 tags"),
        ("tags", ">p0\nM\nC\n>p1\nMKV\n", "text:4: 1 lines after >id"),
        ("tags", ">p1\nMKV\nMKV\nCHH\n", "text:1: 3 lines after >id"),
    ],
)
def test_faults(target, text, says):
    with pytest.raises(FormatError) as caught:
        read_all(read_fasta, text, target)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("reader", [read_fasta, read_three_line])
def test_comments_are_no_residues_and_told(reader):
    told = []
    text = "; made by hand\n>p1\n;MKV\nMK\nCH\n"
    source = replace(Source.from_text(text), tell=told.append)
    request = ReadRequest("tags", labelled=True)
    [example] = reader(source, request)
    assert (example.inputs, example.target) == (("M", "K"), ("C", "H"))
    assert told == ["text:1: lines that begin with ; are comments, and not read"]
