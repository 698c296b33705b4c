"""Tables of a token a row: sentences as they were, and what was guessed or left out is told."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest

from birnn.data import ReadOptions, ReadRequest, read, write
from birnn.data.objects import examples, unpacked
from birnn.errors import DataError, FormatError

SENTENCES = [
    (
        ("Thousands", "in", "New", "York", ",", '"', "."),
        ("O", "O", "B-geo", "I-geo", "O", "O", "O"),
    ),
    (("Ada", "null", "sings"), ("B-per", "O", "O")),
    (("Ada",), ("B-per",)),
]


def rows_of(every, names=("Sentence: 1", "Sentence: 2", "Sentence: 3")):
    for name, (tokens, tags) in zip(names, SENTENCES, strict=True):
        for at, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
            yield [name if every or not at else "", token, f"P{at}", tag]


def table(header, rows, delimiter=",", end="\n"):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
    writer.writerows([header, *rows] if header else rows)
    return stream.getvalue()


@pytest.fixture
def load(tmp_path):
    def load(text, name="a.csv", labelled=True, **options):
        path = tmp_path / name
        path.write_bytes(text.encode())
        load.told = []
        found = read(
            path, "tags", ReadOptions.of(options), labelled=labelled, tell=load.told.append
        )
        return [(e.inputs, e.target) for e in found]

    return load


@pytest.mark.parametrize("labelled", [True, False])
def test_numbers_of_a_models_columns_stand_for_them_where_there_is_no_header(tmp_path, labelled):
    path = tmp_path / "a.csv"
    path.write_text(table(None, rows_of(True)))
    numbers = {"id_column": "1", "text_column": "2", "label_column": "4", "header": False}
    of_model = ReadOptions().over(numbers)
    found = list(read(path, "tags", of_model, labelled=labelled))
    assert [e.inputs for e in found] == [tokens for tokens, _ in SENTENCES]
    assert [e.target for e in found] == [tags if labelled else None for _, tags in SENTENCES]
    # Under a header of other columns they say nothing.
    path.write_text(
        table(["POS", "Tag", "Sentence #", "Word"], [r[2:] + r[:2] for r in rows_of(1)])
    )
    found = list(read(path, "tags", of_model, labelled=labelled))
    assert [e.inputs for e in found] == [tokens for tokens, _ in SENTENCES]


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_sentence_is_named_in_each_of_its_rows_or_in_the_first(load, every, end, delimiter):
    header = ["Sentence #", "Word", "POS", "Tag"]
    assert load(table(header, rows_of(every), delimiter, end)) == SENTENCES
    assert "'Word', their tags 'Tag', sentences told apart by 'Sentence #'" in load.told[0]
    assert "not read: 'POS'. Options: --id-column" in load.told[0]


@pytest.mark.parametrize(
    ("header", "options"),
    [
        (["", "", "", ""], {"id_column": 1, "text_column": 2, "label_column": 4, "header": True}),
        (None, {"id_column": 1, "text_column": 2, "label_column": 4}),
        (["Satz", "Wort", "Art", "Name"], {"id_column": "Satz", "text_column": "Wort",
                                           "label_column": "Name", "header": True}),
        (["sentence_idx", "text", "pos", "ner_tags"], {}),
        (["sent_id", "TOKEN", "UPOS", "label"], {}),
        (["Sentence #", "Word", "POS", "Tag"], {"label_column": "Tag"}),
    ],
)  # fmt: skip
def test_columns_are_found_by_names_or_options(load, header, options):
    assert load(table(header, rows_of(False)), **options) == SENTENCES


def test_the_tags_are_those_of_the_option(load):
    found = load(table(["Sentence #", "Word", "POS", "Tag"], rows_of(True)), label_column="POS")
    assert [tags for _, tags in found] == [tuple(f"P{i}" for i in range(len(t))) for t, _ in found]


def test_empty_rows_part_sentences_where_no_column_does(load):
    text = "word,tag\nAda,B-per\nsings,O\n,\nBob,B-per\n\nEve,B-per\n"
    expected = [(("Ada", "sings"), ("B-per", "O"))] + [((x,), ("B-per",)) for x in ("Bob", "Eve")]
    assert load(text) == expected
    with pytest.raises(FormatError, match=r"a\.csv:1: tokens in the column 'word', and neither"):
        load("word,tag\nAda,B-per\nsings,O\n")


def test_rows_without_a_token_are_left_out_and_told_and_a_name_alone_is_an_empty_sentence(load):
    text = "sentence,word,tag\n1,Ada,B-per\n1,,O\n1,sings,O\n2,,\n3,Bob,B-per\n"
    assert load(text) == [
        (("Ada", "sings"), ("B-per", "O")),
        ((), ()),
        (("Bob",), ("B-per",)),
    ]
    assert load.told[1:] == [
        f"{load.told[0].partition(':')[0]}:3: a row here has no token: left out"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sentence,word,tag\n1,Ada,\n", r"csv:2: the token 'Ada' has no tag"),
        ("sentence,word,tag\n1,Ada\n", r"csv:2: 2 cells, the first row has 3"),
        (
            "sentence,word\n1,Ada\n",
            r"csv:1: a table of tokens \('word'\) without .* --label-column",
        ),
        ("a,b\n1,Ada\n", r"csv:1: neither a table of tokens nor one of series"),
        (
            "sent_id,word,tag\n" + "".join(f"{i},w{i},O\n" for i in range(30)),
            r"csv:1: 'sent_id' has another value in each row.*--id-column",
        ),
    ],
)
def test_tables_that_are_no_tables_of_tokens_are_refused(load, text, message):
    with pytest.raises(FormatError, match=message):
        load(text)


def test_a_name_that_comes_again_is_another_sentence_and_told(load):
    text = "sentence,word,tag\n1,Ada,O\n2,Bob,O\n1,Eve,O\n"
    assert [tokens for tokens, _ in load(text)] == [("Ada",), ("Bob",), ("Eve",)]
    assert "csv:4: the sentence '1' stands apart from its like" in load.told[-1]


def test_a_model_reads_tokens_without_tags_and_texts_of_a_table(load, tmp_path):
    text = table(["Sentence #", "Word"], ((name, word) for name, word, *_ in rows_of(False)))
    expected = [(tokens, None) for tokens, _ in SENTENCES]
    assert load(text, labelled=False) == expected
    kept = {"id_column": "Sentence #", "text_column": "Word", "label_column": "Tag"}
    found = read(tmp_path / "a.csv", "tags", ReadOptions().over(kept), labelled=False)
    assert [(e.inputs, e.target) for e in found] == expected
    assert load("id,review\n7,so good\n8,bad\n", labelled=False) == [
        (("so", "good"), None),
        (("bad",), None),
    ]


@pytest.mark.parametrize("name", ["b.csv", "b.tsv"])
def test_written_tables_read_back_the_same(load, tmp_path, name):
    load(table(["Sentence #", "Word", "POS", "Tag"], rows_of(False)))
    given = [*read(tmp_path / "a.csv", "tags"), *read(tmp_path / "a.csv", "tags")]
    empty = given[0].__class__((), (), "x:1")
    told = []
    form = name.rpartition(".")[2]
    count = write(tmp_path / name, [*given, empty, given[0]], "tags", format=form, tell=told.append)
    assert (count, told) == (8, [])
    again = list(read(tmp_path / name, "tags", ReadOptions(format=form)))
    assert [(e.inputs, e.target) for e in again] == [*SENTENCES, *SENTENCES, ((), ()), SENTENCES[0]]


def load_frame(given, labelled=True, **options):
    told = []
    request = ReadRequest("tags", labelled, ReadOptions.of(options), tell=told.append)
    return [(e.inputs, e.target) for e in examples(given, request, name="train")], told


@pytest.mark.parametrize("every", [True, False])
def test_a_data_frame_of_tokens_is_read_alike(every):
    text = table(["Sentence #", "Word", "POS", "Tag"], rows_of(every))
    frame = pd.read_csv(io.StringIO(text), keep_default_na=False)
    assert load_frame(frame)[0] == SENTENCES
    assert load_frame((frame[["Sentence #", "Word"]], frame["Tag"]))[0] == SENTENCES
    renamed = frame.rename(columns={"Sentence #": "a", "Word": "b", "Tag": "c"})
    options = {"id_column": "a", "text_column": "b", "label_column": "c"}
    assert load_frame(renamed, **options)[0] == SENTENCES
    tokens = list(unpacked(frame[["Sentence #", "Word"]], "tags"))
    assert tokens == [each for each, _ in SENTENCES]


def test_a_word_that_pandas_took_for_a_missing_one_is_told():
    frame = pd.read_csv(io.StringIO(table(["sentence", "word", "pos", "tag"], rows_of(True))))
    found, told = load_frame(frame)
    assert found[1] == (("Ada", "sings"), ("B-per", "O"))
    assert told[1].startswith("train: row 8: a row here has no token: left out (pd.read_csv keeps")
    frame.loc[0, "tag"] = None
    with pytest.raises(DataError, match=r"train: row 0: the token 'Thousands' has no tag"):
        load_frame(frame)


LISTED = [(("Ada", "Lovelace", "sings"), ("B-per", "I-per", "O")), (("Bob",), ("B-per",))]


@pytest.mark.parametrize(
    ("names", "tokens", "tags"),
    [
        (("Sentence #", "Sentence", "POS", "Tag"), " ".join, lambda x: str(list(x))),
        (("id", "sentence", "POS", "word_labels"), " ".join, ",".join),
        (("id", "tokens", "pos", "ner_tags"), lambda x: str(list(x)), lambda x: str(list(x))),
        (("id", "text", "pos", "tags"), " ".join, " ".join),
        (("id", "words", "pos", "labels"), json.dumps, json.dumps),
    ],
)
def test_a_sentence_in_each_row_is_read(load, names, tokens, tags):
    rows = [
        [str(at), tokens(words), str(["X"] * len(words)), tags(marks)]
        for at, (words, marks) in enumerate(LISTED)
    ]
    assert load(table(names, rows)) == LISTED
    assert f"tokens are {names[1]!r}, their tags {names[3]!r}" in load.told[0]
    frame = pd.DataFrame(rows, columns=list(names))
    assert load_frame(frame)[0] == LISTED
    if tokens(["a"]).startswith("["):
        assert load(table(names, rows), labelled=False) == [(words, None) for words, _ in LISTED]
        assert list(unpacked(frame, "tags")) == [words for words, _ in LISTED]


def test_a_row_whose_tags_are_not_as_many_as_its_tokens_is_refused(load):
    good = "".join(f"Ada sings {n},O O O\n" for n in range(120))
    with pytest.raises(FormatError, match=r"csv:122: 2 tokens and 3 tags"):
        load("text,tags\n" + good + "Ada sings,O O O\n")
    with pytest.raises(FormatError, match="neither a table of tokens"):
        load("text,tags\nAda sings,O O O\n")


def test_rows_that_were_grouped_are_sentences():
    frame = pd.DataFrame(list(rows_of(True)), columns=["Sentence #", "Word", "POS", "Tag"])
    for grouped in (
        frame.groupby("Sentence #").agg(list),
        frame.groupby("Sentence #")[["Word", "Tag"]].agg(list).reset_index(),
    ):
        assert load_frame(grouped)[0] == SENTENCES
        assert list(map(tuple, unpacked(grouped, "tags"))) == [words for words, _ in SENTENCES]


@pytest.mark.parametrize("every", [True, False])
def test_records_of_a_token_each_are_a_table(every):
    text = table(["Sentence #", "Word", "POS", "Tag"], rows_of(every))
    assert load_frame(csv.DictReader(io.StringIO(text)))[0] == SENTENCES
    records = list(csv.DictReader(io.StringIO(text)))
    assert load_frame(records)[0] == SENTENCES
    with pytest.raises(DataError, match="train: example 11 has other keys"):
        load_frame([*records, {"Word": "a", "Tag": "O"}])
