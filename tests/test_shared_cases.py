"""Inputs that were once read wrong, one row each of the table in ``shared/cases/README.md``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from birnn.data import ReadOptions, detect, read, read_vectors
from birnn.errors import DataError, FormatError
from birnn.training.prepare import prepare
from birnn.training.recipe import Recipe

CASES = next(
    (
        folder
        for parent in Path(__file__).resolve().parents
        if (folder := parent / "shared" / "cases").is_dir()
        or (folder := parent.parent / "shared" / "cases").is_dir()
    ),
    None,
)


@pytest.fixture
def case():
    """The path of a case."""

    def path(name):
        if CASES is None:
            pytest.skip("the folder shared/cases is not here")
        return CASES / name

    return path


@pytest.fixture
def load(case):
    """Examples of a case and what was told of it."""

    def loaded(name, task, *, labelled=True, **options):
        told = []
        options = ReadOptions.of(options)
        examples = list(read(case(name), task, options, labelled=labelled, tell=told.append))
        return examples, told

    return loaded


def pairs(examples):
    return [(example.inputs, example.target) for example in examples]


def refused(load, name, task, *says, labelled=True):
    """The file is refused in one line that says all this."""
    with pytest.raises(FormatError) as caught:
        load(name, task, labelled=labelled)
    message = str(caught.value)
    assert "\n" not in message
    for words in says:
        assert words in message
    return message


def read_or_hint(load, name, hint):
    """Examples and what was told, or nothing where the file is refused with this hint."""
    try:
        return load(name, "tags")
    except FormatError as error:
        message = str(error)
    assert hint in message
    return None


@pytest.mark.parametrize("name", ["01_extra_cells.csv", "01_label_lost.csv"])
def test_cells_beyond_the_header(load, name):
    refused(load, name, "label", f"{name}:2: 3 cells, the header names 2")
    refused(load, name, "label", ":2: 3 cells, the header names 2", labelled=False)


def test_01_quoted_tab(load):
    [example], _ = load("01_quoted_tab.tsv", "label")
    assert (example.text, example.target) == ("a\tb", "pos")


def test_01_semicolon(load):
    examples, told = load("01_semicolon.csv", "label")
    assert [(e.text, e.target) for e in examples] == [
        ("so good, really", "pos"),
        ("bad, awful", "neg"),
    ]
    assert any("semicolons" in line for line in told)


def test_02_header_unknown(load):
    examples, told = load("02_header_unknown.csv", "label")
    assert [(e.text, e.target) for e in examples] == [
        ("good film", "positive"),
        ("bad film", "negative"),
    ]
    assert len(told) == 1


def test_02_header_half(load):
    examples, _ = load("02_header_half.csv", "label")
    assert [(e.text, e.target) for e in examples] == [("hi there", "ham"), ("win cash", "spam")]


TAGGED = (("Anna", "Smith", "sings"), ("B-PER", "I-PER", "O"))


@pytest.mark.parametrize("name", ["03_comment_multiconer.conll", "03_header.conll"])
def test_lines_that_are_no_tokens(load, name):
    examples, told = load(name, "tags")
    assert pairs(examples) == [TAGGED]
    assert detect(e.target for e in examples) == "iob2"
    if "header" in name:
        assert any(":1: " in line for line in told)


def test_03_trailing_space(load):
    examples, _ = load("03_trailing_space.conll", "tags")
    assert [e.target for e in examples] == [("B-PER", "I-PER", "O", "O")]


def test_03_zero_for_o(load):
    examples, _ = load("03_zero_for_O.conll", "tags")
    with pytest.raises(DataError, match=r"conll:3\b") as caught:
        prepare("tagger", examples, examples, Recipe.load("tagger"))
    assert "0" in str(caught.value)


def test_04_conllu_named(load):
    result = read_or_hint(load, "04_conllu_named.conll", "--format conllu")
    if result is not None:
        examples, told = result
        assert pairs(examples) == [(("dogs", "bark"), ("NOUN", "VERB"))]
        assert told


def test_04_index_first(load):
    result = read_or_hint(load, "04_index_first.conll", "--columns")
    if result is not None:
        examples, told = result
        assert pairs(examples) == [(("Anna", "sings"), ("B-PER", "O"))]
        assert told


def test_04_ontonotes(load):
    result = read_or_hint(load, "04_ontonotes.conll", "--columns")
    if result is not None:
        assert [len(e) for e in result[0]] == [1]
    [example], _ = load("04_ontonotes.conll", "tags", columns={"token": 4, "tag": 5})
    assert pairs([example]) == [(("In",), ("IN",))]


def test_04_uneven_columns(load):
    refused(load, "04_uneven_columns.conll", "tags", ":2: 2 columns, line 1 has 3")


@pytest.mark.parametrize("name", ["05_cr.conll", "05_cr.conllu"])
def test_sentences_of_lines_that_end_with_cr(load, name):
    assert [len(e) for e in load(name, "tags")[0]] == [2, 1]


def test_05_cr_txt(load):
    examples, _ = load("05_cr.txt", "label", labelled=False)
    assert [e.inputs for e in examples] == [("a", "b"), ("c", "d")]


def test_05_cr_fasta(load):
    examples, _ = load("05_cr.fasta", "tags", labelled=False)
    assert [e.inputs for e in examples] == [tuple("MKV"), tuple("AA")]


def test_05_cr_3line(load):
    assert pairs(load("05_cr.3line", "tags")[0]) == [(tuple("MKV"), tuple("HHH"))]


def test_06_three_line(case):
    # As a model predicts: its labels tell that the second line holds tags.
    told = []
    path = case("06_three_line.fasta")
    examples = list(read(path, "tags", labelled=False, labels="HEC", tell=told.append))
    assert [e.inputs for e in examples] == [tuple("MKV")]
    assert "--format 3line" in told[0]


def test_07_big_offset(load):
    examples, _ = load("07_big_offset.ts", "label")
    one, other = (example.inputs[:, 0] for example in examples)
    assert (one - one.min()).tolist() == [0, 1, 2]
    assert (other - one.min()).tolist() == [2, 1, 0]


def test_07_big_target(load):
    examples, _ = load("07_big_target.csv", "values")
    assert [e.target.tolist() for e in examples] == [[16777216.0], [16777217.0]]


def test_16_tab_vectors(case):
    width, vectors = read_vectors(case("16_tab_vectors.txt"), {"the", "of"})
    assert (width, {word: list(map(float, v)) for word, v in vectors.items()}) == (
        3,
        {"the": [1.0, 2.0, 3.0], "of": [4.0, 5.0, 6.0]},
    )


def test_17_short_header(case, caplog):
    width, vectors = read_vectors(case("17_short_header.vec"), {"the", "of"})
    assert (width, len(vectors)) == (3, 2)
    assert "1000000" in caplog.text.replace(",", "")


def test_17_bad_utf8(case):
    told = []
    width, vectors = read_vectors(case("17_bad_utf8.vec"), {"the"}, tell=told.append)
    assert (width, vectors["the"].tolist()) == (3, [1, 2, 3])
    [line] = told
    assert ".vec:2: 1 word is not UTF-8 and left out" in line
    assert "iconv" not in line


@pytest.mark.parametrize("task", ["label", "values"])
@pytest.mark.parametrize("labelled", [True, False])
def test_18_utf16(load, task, labelled):
    refused(load, "18_utf16.csv", task, "UTF-16", "iconv -f UTF-16", labelled=labelled)


def test_every_row_of_the_table_has_its_test(case):
    rows = [
        line.split("`")[1]
        for line in case("README.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    # as names of files or of tests
    own = Path(__file__).read_text()
    stems = {name: name.partition(".")[0].lower() for name in rows}
    missing = [
        name
        for name, stem in stems.items()
        if name not in own and f"test_{stem}" not in own.lower()
    ]
    assert rows
    assert missing == []


def test_arrays_of_the_cases_keep_their_digits(load):
    [example, _], _ = load("07_big_offset.ts", "label")
    assert example.inputs.dtype == np.float64
