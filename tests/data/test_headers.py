"""Which column is which: names, content, options, and what a model was trained on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from birnn.data import ReadOptions, ReadRequest, read
from birnn.data.source import Source
from birnn.data.tables import read_csv
from birnn.errors import DataError, FormatError

ROWS = [("a fine film", "pos"), ("so very bad", "neg"), ("all in all good", "pos")]
ROWS += [("not my cup of tea", "neg"), ("great from the start", "pos")]


def table(header, rows=ROWS, delimiter=","):
    lines = ([header] if header else []) + [delimiter.join(map(str, row)) for row in rows]
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def load(write):
    """Examples of a file and what was told of it."""

    def loaded(content, target="label", name="t.csv", labelled=True, kept=None, **options):
        told, found = [], {}
        given = ReadOptions.of(options)
        given = given if kept is None else given.over(kept)
        path = write(name, content)
        examples = list(read(path, target, given, labelled=labelled, tell=told.append, found=found))
        return examples, told, found

    return loaded


def pairs(examples):
    return [(e.text, e.target) for e in examples]


@pytest.mark.parametrize(
    "header",
    [
        "text,label",
        "TEXT,Label",
        "review,sentiment",
        "Review Text,Sentiment",
        "reviewText,star_rating",
        "Tweet,Class",
        "message,CATEGORY",
        "Phrase,Sentiment",
        "content,target",
        "title,tag",
        "comment,rating",
        "sentence,stars",
        "text,foo",
        "foo,label",
        '"text","label"',
    ],
)
def test_the_usual_names_are_known(load, header):
    examples, told, found = load(table(header))
    assert pairs(examples) == ROWS
    names = [name.strip('"') for name in header.split(",")]
    assert (found["text_column"], found["label_column"]) == tuple(names)
    # plain names say what they are, any other is told
    plain = [name.lower() for name in names] == ["text", "label"]
    assert len(told) == (0 if plain else 1)
    assert all(repr(name) in line for line in told for name in names)


def test_a_header_of_any_order_and_what_it_calls_a_row(load):
    rows = [(f"r{i}", label, text) for i, (text, label) in enumerate(ROWS)]
    examples, _, _ = load(table("Id,label,message", rows))
    assert pairs(examples) == ROWS
    assert [e.id for e in examples] == ["r0", "r1", "r2", "r3", "r4"]


def test_names_that_are_not_known_are_refused(load):
    for header in ("foo,bar", "phrases_x,klass"):
        with pytest.raises(FormatError, match=r"t\.csv:1: .* look like names .*--text-column"):
            load(table(header))
    numbered = [(text, i % 2) for i, (text, _) in enumerate(ROWS)]
    with pytest.raises(FormatError, match=r"t\.csv:1: 'foo', 'bar' look like names"):
        load(table("foo,bar", numbered))
    with pytest.raises(FormatError, match=r"t\.csv:1: the header names 'text', 'x', 'z'"):
        load(table("text,x,z", [(*row, 1) for row in ROWS]))
    examples, _, _ = load(table("foo,bar"), header=False)
    assert pairs(examples) == [("foo", "bar"), *ROWS]
    examples, _, _ = load(table("foo,bar"), text_column="foo", label_column="bar")
    assert pairs(examples) == ROWS
    examples, _, _ = load(table("foo,bar"), header=True, text_column="1", label_column=2)
    assert pairs(examples) == ROWS


def test_a_name_that_ends_in_a_known_one_is_enough_over_other_rows(load):
    numbered = [(text, i % 2) for i, (text, _) in enumerate(ROWS)]
    examples, told, _ = load(table("comment_text,toxic_flag", numbered))
    assert pairs(examples) == [(text, str(label)) for text, label in numbered]
    assert "the text is 'comment_text'; the label is 'toxic_flag'" in told[0]


def test_a_pipe_is_read_no_further_than_a_model_needs():
    kept = {"text_column": "review", "label_column": "stars", "delimiter": ","}
    request = ReadRequest("label", labelled=False, options=ReadOptions().over(kept))
    reading, writing = os.pipe()
    source = Source("pipe", lambda: os.fdopen(reading, "rb"), tell=[].append, live=True)
    os.write(writing, b"stars,review\n1,so good\n")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, read_csv(source, request))
        try:
            assert first.result(timeout=60).text == "so good"
        finally:
            os.close(writing)


def test_words_that_are_names_may_be_rows(load):
    words = [("review", "noun"), ("go", "verb"), ("house", "noun"), ("run", "verb")]
    examples, told, _ = load(table(None, words))
    assert pairs(examples) == words
    assert "no header" in told[0]


def test_without_a_header_the_order_is_told(load):
    examples, told, found = load(table(None))
    assert pairs(examples) == ROWS
    assert "no header; the text is column 1; the label is column 2" in told[0]
    assert (found["text_column"], found["label_column"], found["header"]) == ("1", "2", False)


def test_a_label_before_the_text_is_seen_and_told(load):
    examples, told, _ = load(table(None, [(label, text) for text, label in ROWS]))
    assert pairs(examples) == ROWS
    assert "the text is column 2; the label is column 1" in told[0]


@pytest.mark.parametrize("own", [",", "\t"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("header", [None, "text{}label", "Review{}Sentiment"])
def test_delimiters_are_found_and_told(load, own, delimiter, header):
    name = "t.csv" if own == "," else "t.tsv"
    header = header and header.format(delimiter)
    examples, told, found = load(table(header, delimiter=delimiter), name=name)
    assert pairs(examples) == ROWS
    assert found["delimiter"] == delimiter
    assert any("cells are separated by" in line for line in told) == (delimiter != own)


def test_a_delimiter_that_is_set_is_taken(load):
    text = "a;b,pos\nc;d,neg\n"
    assert pairs(load(text)[0]) == [("a;b", "pos"), ("c;d", "neg")]
    assert pairs(load(text, delimiter=";")[0]) == [("a", "b,pos"), ("c", "d,neg")]
    for spelt in ("tab", "\\t", "\t"):
        assert pairs(load("a\tpos\n", delimiter=spelt)[0]) == [("a", "pos")]
    assert pairs(load("a:pos\n", delimiter=":")[0]) == [("a", "pos")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,label\na,b,c\n", ":2: 3 cells, the header names 2"),
        ("text,label\na,b\nc\n", ":3: 1 cell, the header names 2"),
        ("a,b\nc,d\ne,f,g\n", ":3: 3 cells, the first row has 2"),
        ('text,label\n"a\nb",x\nc\n', ":4: 1 cell, the header names 2"),
        ('text,label\n"a" b,x\n', ":2: not CSV"),
        ('text,label\na,x\n"b,x\n', ":3: not CSV"),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_a_row_of_other_cells_is_refused(load, text, says, labelled):
    with pytest.raises(FormatError) as caught:
        load(text, labelled=labelled)
    assert says in str(caught.value)


def test_cells_of_tsv_that_are_quoted_are_unquoted_and_other_quotes_stay(load):
    text = 'text\tlabel\n"a ""b""\tc"\tpos\n"no end\tneg\n5" disk\t"neg"\n"so" it\tpos\n'
    examples, told, _ = load(text, name="t.tsv")
    assert pairs(examples) == [
        ('a "b"\tc', "pos"), ('"no end', "neg"), ('5" disk', "neg"), ('"so" it', "pos")
    ]  # fmt: skip
    assert len(told) == 1
    assert told[0].endswith("t.tsv:2: cells that are quoted as a whole are unquoted")


# ---------------------------------------------------------------------- regressors


NUMBERS = [("cheap", 3.5, 7), ("dear", 9.25, 8), ("mid", 5.0, 9), ("low", 1.0, 2)]


def targets(examples):
    return [e.target.tolist() for e in examples]


@pytest.mark.parametrize("name", ["", "id", "Index", "Unnamed: 0", "row_id", "#"])
def test_an_index_is_no_target(load, name):
    rows = [(i, *row) for i, row in enumerate(NUMBERS)]
    examples, told, found = load(table(f"{name},text,score,year", rows), "values")
    assert targets(examples) == [[a, b] for _, a, b in NUMBERS]
    assert [e.id for e in examples] == ["0", "1", "2", "3"]
    assert "targets are 'score', 'year'" in told[0]
    assert found["label_column"] == "score,year"


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("header", [None, "k,text,score"])
def test_a_column_that_counts_the_rows_is_no_target(load, start, header):
    rows = [(i, text, y) for i, (text, y, _) in enumerate(NUMBERS, start)]
    examples, _, _ = load(table(header, rows), "values")
    assert targets(examples) == [[y] for _, y, _ in NUMBERS]
    assert [e.text for e in examples] == ["cheap", "dear", "mid", "low"]


def test_the_only_numbers_are_the_target_though_they_count(load):
    rows = [(text, i) for i, (text, *_) in enumerate(NUMBERS)]
    assert targets(load(table(None, rows), "values")[0]) == [[0.0], [1.0], [2.0], [3.0]]
    assert targets(load(table("text,score", rows), "values")[0]) == [[0.0], [1.0], [2.0], [3.0]]


def test_a_header_over_numbers_is_known_by_them(load):
    examples, told, _ = load(table("was_gesagt,wert,jahr", NUMBERS), "values")
    assert targets(examples) == [[a, b] for _, a, b in NUMBERS]
    assert "the text is 'was_gesagt'; the targets are 'wert', 'jahr'" in told[0]


def test_a_regressors_targets_can_be_chosen(load):
    text = table("text,score,year", NUMBERS)
    for chosen in ("year", "3", 3):
        assert targets(load(text, "values", label_column=chosen)[0]) == [[7], [8], [9], [2]]
    both = load(text, "values", label_column="year, score")[0]
    assert targets(both) == [[b, a] for _, a, b in NUMBERS]


def test_a_column_of_words_beside_the_text_is_no_target(load):
    rows = [(text, "bob", y) for text, y, _ in NUMBERS]
    examples, told, _ = load(table("text,author,score", rows), "values")
    assert targets(examples) == [[y] for _, y, _ in NUMBERS]
    assert "not read: 'author'" in told[0]


# ---------------------------------------------------------------------- without labels


@pytest.mark.parametrize("header", ["id,text,label", "id,Review,Stars"])
def test_prediction_reads_the_text_and_says_what_it_leaves(load, header):
    rows = [(i, *row) for i, row in enumerate(ROWS)]
    examples, told, _ = load(table(header, rows), labelled=False)
    assert [(e.text, e.target, e.id) for e in examples] == [
        (text, None, str(i)) for i, (text, _) in enumerate(ROWS)
    ]
    assert f"not read: 'id', '{header.split(',')[2]}'" in told[0]


def test_prediction_takes_no_index_for_the_text(load):
    texts = [(i, text) for i, (text, _) in enumerate(ROWS)]
    assert [e.text for e in load(table(None, texts), labelled=False)[0]] == [t for t, _ in ROWS]
    assert [e.text for e in load(table("id,text", texts), labelled=False)[0]] == [
        t for t, _ in ROWS
    ]
    both = load(table(None, ROWS), labelled=False)
    assert [e.text for e in both[0]] == [t for t, _ in ROWS]
    assert "the text is column 1; not read: column 2" in both[1][0]


def test_a_column_of_texts_alone_is_read_as_it_is(load):
    text = "a film\nbad\n"
    examples, told, _ = load(text, labelled=False)
    assert ([e.text for e in examples], told) == (["a film", "bad"], [])
    examples, told, _ = load("Review\n" + text, labelled=False)
    assert ([e.text for e in examples], told) == (["a film", "bad"], [])


# ---------------------------------------------------------------------- options and the model's


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"text_column": "nope"}, r":1: no column 'nope', the header names 'text', 'label'"),
        ({"label_column": "nope"}, r":1: no column 'nope'"),
        ({"text_column": 3}, r":1: --text-column is 3, the header names 'text', 'label'"),
        ({"text_column": "text", "label_column": "text"}, r":1: 'text' cannot be the text and"),
    ],
)
def test_a_column_that_is_not_there_is_refused(load, options, says):
    with pytest.raises(DataError, match=says):
        load(table("text,label"), **options)


def test_what_a_model_was_trained_on_is_found_again(load):
    rows = [(text, label, "x y z") for text, label in ROWS]
    _, _, kept = load(
        table("kommentar;klasse;text", rows, ";"), text_column="kommentar", label_column="klasse"
    )
    kept |= {"text_column": "kommentar", "label_column": "klasse"}
    swapped = [(label, "x y z", text) for text, label in ROWS]
    examples, told, _ = load(table("KLASSE;text;Kommentar", swapped, ";"), kept=kept)
    assert (pairs(examples), told) == (ROWS, [])
    examples, told, _ = load(
        table("Kommentar;text", [(t, "x") for t, _ in ROWS], ";"), labelled=False, kept=kept
    )
    assert [e.text for e in examples] == [t for t, _ in ROWS]
    assert "not read: 'text'" in told[0]


def test_a_file_without_the_models_columns_is_read_anew_and_told(load):
    kept = {"text_column": "kommentar", "label_column": "klasse", "delimiter": ";", "header": True}
    examples, told, _ = load(table("review,sentiment"), kept=kept)
    assert pairs(examples) == ROWS
    assert (
        "the model's text column 'kommentar' and label column 'klasse' are not in this" in told[0]
    )
    assert "the text is 'review'; the label is 'sentiment'" in told[0]
    examples, told, _ = load(table(None), kept=kept)
    assert pairs(examples) == ROWS


def test_a_model_of_rows_without_names_reads_a_header_all_the_same(load):
    kept = {"text_column": "1", "label_column": "2", "delimiter": ",", "header": False}
    examples, told, _ = load(table(None), kept=kept)
    assert (pairs(examples), told) == (ROWS, [])
    examples, _, _ = load(table("label,text", [(label, text) for text, label in ROWS]), kept=kept)
    assert pairs(examples) == ROWS


def test_rows_without_a_label_are_refused_or_left_out(load):
    rows = [("a", "pos"), ("b", ""), ("c", " "), ("d", "neg")]
    with pytest.raises(FormatError, match=r"t\.csv:3: an empty label\. .*--skip-unlabelled"):
        load(table("text,label", rows))
    examples, told, _ = load(table("text,label", rows), skip_unlabelled=True)
    assert pairs(examples) == [("a", "pos"), ("d", "neg")]
    assert told[-1].endswith("2 rows without a label left out")
    numbers = [("a", 1), ("b", ""), ("c", "nan"), ("d", 2)]
    with pytest.raises(FormatError, match=r"t\.csv:3: an empty label"):
        load(table("text,score", numbers), "values")
    examples, _, _ = load(table("text,score", numbers), "values", skip_unlabelled=True)
    assert targets(examples) == [[1.0], [2.0]]
    lines = '{"text": "a", "label": "x"}\n{"text": "b", "label": null}\n{"text": "c"}\n'
    with pytest.raises(FormatError, match=r"t\.jsonl:2: label is null\. .*--skip-unlabelled"):
        load(lines, name="t.jsonl")
    examples, told, _ = load(lines, name="t.jsonl", skip_unlabelled=True)
    assert pairs(examples) == [("a", "x")]
    assert told[-1].endswith("2 rows without a label left out")


def test_a_target_that_is_no_number_is_refused_with_its_line(load):
    for cell in ("nan", "inf", "much", "1e999"):
        with pytest.raises(FormatError, match=r"t\.csv:3: "):
            load(table("text,score", [("a", 1), ("b", cell)]), "values")
        line = f'{{"text": "b", "values": {cell if cell != "much" else "[null]"}}}\n'
        line = line.replace("nan", "NaN").replace("inf", "Infinity")
        with pytest.raises(FormatError, match=r"t\.jsonl:2: "):
            load('{"text": "a", "values": 1}\n' + line, "values", name="t.jsonl")


def test_nothing_of_the_csv_module_is_changed(load):
    import csv

    before = csv.field_size_limit()
    [example] = load("word " * 50_000 + ",x\n")[0]
    assert len(example) == 50_000
    assert csv.field_size_limit() == before


def test_a_quote_that_never_closes_is_found_within_the_longest_row(load):
    with pytest.raises(FormatError, match=r"t\.csv:2: not CSV: .*within 300 characters"):
        load('text,label\n"a,x\n' + "b,y\n" * 200, max_line=300)


# ---------------------------------------------------------------------- records


def test_records_of_other_names_are_known_and_told(load):
    lines = '{"id": 7, "Review": "so good", "Stars": 4}\n'
    [example], told, found = load(lines, name="t.jsonl")
    assert (example.text, example.target, example.id) == ("so good", "4", "7")
    assert "the text is 'Review'; the label is 'Stars'" in told[0]
    assert found == {"text_column": "Review", "label_column": "Stars"}
    [example], told, _ = load(lines, name="t.jsonl", labelled=False)
    assert (example.text, example.target) == ("so good", None)
    assert "not read: 'Stars'" in told[0]


def test_records_of_hugging_faces_names_are_read(load):
    line = '{"id": "0", "tokens": ["EU", "rejects"], "ner_tags": [3, 0]}\n'
    [example], _, _ = load(line, "tags", name="t.jsonl")
    assert (example.inputs, example.target) == (("EU", "rejects"), ("3", "0"))
    line = line.replace('"ner_tags"', '"pos_tags": [1, 2], "ner_tags"')
    with pytest.raises(FormatError, match=r"'pos_tags' and 'ner_tags' might be the tags"):
        load(line, "tags", name="t.jsonl")
    [example], _, _ = load(line, "tags", name="t.jsonl", label_column="pos_tags")
    assert example.target == ("1", "2")
    for name in ("upos", "ner", "labels", "label"):
        line = f'{{"words": ["a", "b"], "{name}": ["X", "Y"]}}\n'
        [example], told, _ = load(line, "tags", name="t.jsonl")
        assert (example.inputs, example.target) == (("a", "b"), ("X", "Y"))
        assert f"the text is 'words'; the tags are '{name}'" in told[0]


@pytest.mark.parametrize(
    ("line", "target", "says"),
    [
        (
            '{"text": "a", "label": ' + "9" * 5000 + "}",
            "label",
            ":1: an integer of more digits",
        ),
        (
            '{"vectors": [[' + "9" * 5000 + ']], "label": "x"}',
            "label",
            ":1: an integer of more digits",
        ),
        ('{"vectors": [[1' + "0" * 400 + ']], "label": "x"}', "label", ":1: "),
        ('{"vectors": [["1"]], "label": "x"}', "label", ":1: vectors is no even table"),
        ('{"vectors": [[], []], "label": "x"}', "label", ":1: vectors has 0 channels"),
        ('{"text": "a", "values": []}', "values", ":1: values has shape (0,)"),
        ('{"text": "a", "label": 1.5}', "label", ":1: label is 1.5"),
        ("[" * 5000, "label", ":1: not JSON"),
        ('{"vectors": ' + "[" * 500 + "]" * 500 + ', "label": "x"}', "label", ":1: "),
    ],
)
def test_hostile_records_are_refused_in_one_line(load, line, target, says):
    with pytest.raises(FormatError) as caught:
        load(line + "\n", target, name="t.jsonl")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_models_delimiter_inside_the_first_text_parts_nothing(load):
    kept = {"text_column": "1", "label_column": "2", "delimiter": ",", "header": False}
    rows = [("so good, really", "pos"), *ROWS]
    examples, _, _ = load(table(None, rows, "\t"), name="t.tsv", kept=kept)
    assert pairs(examples) == rows
    examples, told, _ = load(table(None, rows, ";"), name="t.csv", kept=kept | {"delimiter": "\t"})
    assert pairs(examples) == rows
    assert "cells are separated by semicolons" in told[0]


PLACES = {"text_column": "1", "label_column": "2", "delimiter": "\t", "header": False}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(
    ("row", "text", "label"),
    [
        ("{i}\t{text}", 2, None),
        ("{i}\t{text}\t{label}", 2, 3),
        ("{label}\t{text}", 2, 1),
        ("{i}\t{label}\t{text}", 3, 2),
        ("{far}\t{text}", 2, None),
        ("{text}\t{label}", 1, 2),
        ("{text}", 1, None),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_row_numbers_and_labels_are_not_the_text_of_a_kept_number(
    load_for, count, row, text, label, labelled
):
    if labelled and label is None:
        return
    lines = [
        row.format(i=i, far=4711 * i * i, text=t, label=a)
        for i, (t, a) in enumerate(ROWS[:count], 1)
    ]
    examples, told = load_for("\n".join(lines) + "\n", labelled, PLACES, {"pos", "neg"})
    assert [e.text for e in examples] == [t for t, _ in ROWS[:count]]
    if labelled:
        assert [e.target for e in examples] == [a for _, a in ROWS[:count]]
    assert any("the model's text column '1'" in line for line in told) == (text > 1)
    assert any(f"the text is column {text}" in line for line in told) or text == 1


def test_texts_that_are_numbers_stay_where_nothing_else_is(load_for):
    for content in ("1984\tpos\n300\tneg\n", "1984\n300\n"):
        examples, _ = load_for(content, False, PLACES, {"pos", "neg"})
        assert [e.text for e in examples] == ["1984", "300"]


@pytest.fixture
def load_for(write):
    """Examples of a .tsv file for a model with these labels, and what was told."""

    def loaded(content, labelled, kept, labels):
        told = []
        options = ReadOptions().over(kept)
        path = write("t.tsv", content)
        return list(
            read(
                *(path, "label", options),
                labelled=labelled,
                labels=labels,
                tell=told.append,
            )
        ), told

    return loaded


SHORT = [("gut", "ja"), ("sehr schlecht", "nein"), ("fein", "ja"), ("mies", "nein")]


@pytest.mark.parametrize(
    "header", ["Satz,Klasse", "texte,étiquette", "文本,标签", "Klasse,Satz", "Mein Satz,Klasse"]
)
@pytest.mark.parametrize("rows", [SHORT, ROWS, [*SHORT, ("geht", "ja"), ("naja", "jein")] * 3])
def test_unknown_names_are_no_example_and_no_class(load, header, rows):
    if header.startswith("Klasse"):
        rows = [(label, text) for text, label in rows]
    for labelled in (True, False):
        with pytest.raises(FormatError, match=r"t\.csv:1: .*look like names .*--no-header"):
            load(table(header, rows), labelled=labelled)
    numbers = {"text_column": "1", "label_column": "2", "delimiter": ","}
    with pytest.raises(FormatError, match="look like names"):
        load(table(header, rows), kept=numbers | {"header": False})
    with pytest.raises(FormatError, match="look like names"):
        load(table(header, rows), **numbers)
    assert pairs(load(table(header, rows), header=True, **numbers)[0]) == rows
    first = tuple(header.split(","))
    assert pairs(load(table(header, rows), header=False, **numbers)[0]) == [first, *rows]


def test_a_first_row_like_the_others_is_a_row(load, load_for):
    # its label comes again
    assert len(load(table(None, [("toll", "ja"), *SHORT]))[0]) == 5
    # labels that come once each
    once = [(text, f"l{i}") for i, (text, _) in enumerate(SHORT)]
    assert len(load(table(None, [("toll", "x"), *once]))[0]) == 5
    # no name: too long, or a sentence
    assert len(load(table(None, [("das war doch toll", "x"), *SHORT]))[0]) == 5
    assert len(load(table(None, [("toll!", "x"), *SHORT]))[0]) == 5
    # a label that the model knows
    rows = [("toll", "jein"), *SHORT]
    examples, _ = load_for(table(None, rows, "\t"), True, PLACES, {"ja", "nein", "jein"})
    assert pairs(examples) == rows


def test_a_column_that_an_option_names_stands_in_a_header(tmp_path):
    # Words in all columns: nothing but the option says that the first row is none like the others.
    table = tmp_path / "notes.csv"
    table.write_text("note,urgent\n" + "call the bank,yes\nbuy some milk,no\n" * 4)
    options = ReadOptions(label_column="urgent")
    found = list(read(table, "label", options, tell=lambda line: None))
    assert [example.target for example in found] == ["yes", "no"] * 4


def test_columns_of_tokens_may_have_any_names_that_options_give(tmp_path):
    table = tmp_path / "tokens.csv"
    table.write_text("tok,ner,part\nAda,PER,1\nsang,O,1\nBob,PER,2\n.,O,2\n")
    options = ReadOptions(text_column="tok", label_column="ner", id_column="part")
    found = [(e.inputs, e.target) for e in read(table, "tags", options, tell=lambda line: None)]
    assert found == [(("Ada", "sang"), ("PER", "O")), (("Bob", "."), ("PER", "O"))]
