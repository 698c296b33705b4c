from __future__ import annotations

from dataclasses import replace

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
).filter(lambda cell: cell != "_" and not cell.startswith(("-DOCSTART-", "\ufeff")))
# that rows are numbered, or begin with a header, is tested below
SENTENCES = st.lists(
    st.lists(st.tuples(CELLS.filter(lambda cell: not cell.isdecimal()), CELLS), max_size=5),
    min_size=1,
    max_size=6,
)

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
    request = ReadRequest("tags", labelled, ReadOptions.of(options))
    told = []
    source = replace(Source.from_text(text), tell=told.append)
    examples = list(reader(source, request))
    read_all.told = told
    return examples


def told_of(text, **options):
    """The examples of a CoNLL text and what was told of it."""
    examples = read_all(read_conll, text, **options)
    return examples, read_all.told


def rows_of(examples):
    return [list(zip(e.inputs, e.target, strict=True)) for e in examples]


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
        ("a\tO\nb\n", "text:2: 1 column, line 1 has 2"),
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


# ---------------------------------------------------------------------- columns


NAMED = "Anna\tB-PER\nSmith\tI-PER\nsings\tO\n\n"
TOKENS = [[("Anna", "B-PER"), ("Smith", "I-PER"), ("sings", "O")]]


@pytest.mark.parametrize("gap", ["", "\n"])
@pytest.mark.parametrize(
    ("rows", "widths"),
    [
        (("New York B-LOC", "is O"), (3, 2)),
        (("a\tb\tO", "c\tO"), (3, 2)),
        (("a O", "b c O"), (2, 3)),
    ],
)
def test_rows_have_as_many_columns(rows, widths, gap):
    first, second = rows
    says = f"text:{2 + len(gap)}: {widths[1]} columns, line 1 has {widths[0]}"
    for labelled in (True, False):
        with pytest.raises(FormatError) as caught:
            read_all(read_conll, f"{first}\n{gap}{second}\n", labelled=labelled)
        assert str(caught.value).startswith(says)


def test_columns_can_be_named():
    text = "1 Anna NN B-PER x\n2 sings VB O x\n"
    for columns in ({"token": 2, "tag": 4}, {"token": -4, "tag": -2}, {"token": 2, "tag": -2}):
        examples, told = told_of(text, columns=columns)
        assert rows_of(examples) == [[("Anna", "B-PER"), ("sings", "O")]]
        assert told == []
    assert told_of(text, columns={"token": 2})[0][0].target == ("x", "x")
    assert told_of(text, columns={"tag": 3})[0][0].inputs == ("1", "2")
    with pytest.raises(FormatError, match=r"text:1: 5 columns, --columns looks for the tag in col"):
        told_of(text, columns={"token": 2, "tag": 6})
    with pytest.raises(ConfigError, match="columns count from 1"):
        told_of(text, columns={"token": 0})


def test_named_columns_may_differ_between_sequences_but_not_in_one():
    # CoNLL-2012 has a column more for each verb of a sentence
    text = "#begin document (x); part 000\nx 0 0 In IN *\n\nx 0 0 It PRP *\nx 0 1 is VBZ *\n"
    longer = text.replace("PRP *", "PRP * *").replace("VBZ *", "VBZ * *")
    for rows in (text, longer):
        examples, _ = told_of(rows + "\n#end document\n", columns={"token": 4, "tag": 5})
        assert rows_of(examples) == [[("In", "IN")], [("It", "PRP"), ("is", "VBZ")]]
    with pytest.raises(FormatError, match="text:5: 7 columns, line 4 has 6"):
        told_of(text.replace("VBZ *", "VBZ * *"), columns={"token": 4, "tag": 5})


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("restarts", [True, False])
def test_numbers_of_rows_are_no_tokens(start, restarts):
    lengths = (2, 1, 3)
    text, count, expected = "", start, []
    for length in lengths:
        count = start if restarts else count
        expected.append([(f"w{count + i}", "O") for i in range(length)])
        text += "".join(f"{count + i} w{count + i} NN O\n" for i in range(length)) + "\n"
        count += length
    examples, told = told_of(text)
    assert rows_of(examples) == expected
    assert told == [
        (
            "text:1: column 1 counts the rows: tokens are read from column 2 "
            "(--columns token=1,tag=-1 says otherwise)"
        )
    ]
    bare = read_all(read_conll, text, labelled=False)
    assert [e.inputs for e in bare] == [e.inputs for e in examples]
    as_they_are, told = told_of(text, columns={"token": 1, "tag": -1})
    assert as_they_are[0].inputs[0] == str(start)
    assert told == []


def test_numbers_that_count_nothing_are_tokens():
    for numbers in ("3 4 5", "1 1 2", "7 2", "1"):
        text = "".join(f"{number}\tx\tNUM\n" for number in numbers.split())
        examples, told = told_of(text)
        assert examples[0].inputs == tuple(numbers.split())
        assert told == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 B-PER\n2 O\n3 O\n", "column 1 counts the rows, as if it held no tokens"),
        ("x 0 In IN *\nx 1 it PRP *\n", "column 2 counts the rows.*--columns token=3,tag=-1"),
        ("x 0 0 a IN *\nx 0 1 it PRP *\n", "column 3 counts the rows.*--columns token=4,tag=-1"),
        ("#begin document (x)\nx 0 0 In IN *\n", "CoNLL-2012.*--columns token=4,tag=-1"),
        (">p1\nMKV\nHHC\n", "text:1: this looks like FASTA.*--format 3line"),
        ("doc1 w O\n" * 20, "column 1 is 'doc1' in every row.*--columns token=2,tag=-1"),
    ],
)
def test_a_first_column_without_tokens_is_refused(text, says):
    with pytest.raises(FormatError, match=says):
        told_of(text)


def test_tags_in_front_are_told():
    examples, told = told_of("B-ACTOR\tsteve\nI-ACTOR\tmartin\nO\tin\n\nO\tit\n")
    assert rows_of(examples)[0] == [("steve", "B-ACTOR"), ("martin", "I-ACTOR"), ("in", "O")]
    assert told == [
        (
            "text:1: tags stand in column 1: tokens are read from the last one "
            "(--columns token=1,tag=-1 says otherwise)"
        )
    ]


def test_conllu_of_another_name_is_read_as_such_and_told():
    examples, told = told_of(UNIVERSAL, field="xpos")
    assert examples == read_all(read_conllu, UNIVERSAL, field="xpos")
    assert [line.partition(":")[2].partition(":")[0] for line in told] == ["2"]
    assert "CoNLL-U" in told[0]
    assert "tags from xpos" in told[0]
    with pytest.raises(FormatError, match=r"text:2: the columns of CoNLL-U.*--format conllu"):
        told_of(UNIVERSAL, format="conll")
    lemmas = told_of("1\tde\t" + "_\t" * 7 + "x\n", columns={"token": 2, "tag": 10})[0]
    assert rows_of(lemmas) == [[("de", "x")]]


# ---------------------------------------------------------------------- lines that are no rows


@pytest.mark.parametrize("names", ["token tag", "Word\tPOS", "word\tner_tags", "Tokens Labels"])
@pytest.mark.parametrize("gap", ["", "\n"])
def test_headers_are_told_and_no_rows(names, gap):
    rows = NAMED if "\t" in names else NAMED.replace("\t", " ")
    examples, told = told_of(f"{names}\n{gap}{rows}")
    assert rows_of(examples) == TOKENS
    token, tag = names.split()
    assert told == [
        (
            f"text:1: a header: tokens are read from {token}, tags from {tag} "
            "(--no-header reads it as a row)"
        )
    ]
    as_row, told = told_of(f"{names}\n\n{rows}", header=False)
    assert rows_of(as_row) == [[(token, tag)], *TOKENS]
    assert told == []


def test_a_header_says_where_things_stand():
    text = "id\tpos\ttoken\tner\tlemma\n7\tNN\tAnna\tB-PER\tanna\n"
    assert rows_of(told_of(text)[0]) == [[("Anna", "B-PER")]]
    odd = "was\tist\nAnna\tB-PER\n"
    assert rows_of(told_of(odd, header=True)[0]) == [[("Anna", "B-PER")]]
    assert len(told_of(odd)[0][0]) == 2


def test_what_looks_like_a_header_and_is_not_understood_is_refused():
    text = "Token\tNE-coarse\n" + NAMED * 5
    with pytest.raises(FormatError, match=r"text:1: this looks like a header.*--no-header"):
        told_of(text)
    assert len(told_of(text, header=True)[0]) == 5
    # a word that is a name, too
    assert told_of("Token\tO\n" + NAMED * 5)[0][0].inputs[0] == "Token"


@pytest.mark.parametrize(
    "comment",
    [
        "# id 12\tdomain=en",
        "# text = Anna Smith sings",
        "# sent_id = 1",
        "#\thttps://example.org/page",
        "# from a page\tof news",
        "# newdoc id = 3",
        "# just so",
    ],
)
@pytest.mark.parametrize("columns", [2, 4])
def test_comments_are_no_rows(comment, columns):
    rows = NAMED.replace("\t", "\t_\t_\t") if columns == 4 else NAMED
    examples, told = told_of((f"{comment}\n{rows}") * 2)
    assert rows_of(examples) == TOKENS * 2
    assert len(told) <= 1
    assert [e.where for e in examples] == ["text:2", "text:7"]


def test_hashes_are_words():
    text = "#\tSYM\n1\tNUM\n\n#tag\tX\n#\tSYM\n"
    assert rows_of(told_of(text)[0]) == [
        [("#", "SYM"), ("1", "NUM")],
        [("#tag", "X"), ("#", "SYM")],
    ]
    spaced = text.replace("\t", " ")
    assert rows_of(told_of(spaced)[0]) == rows_of(told_of(text)[0])
    assert read_all(read_conll, "#tag\n#\n", labelled=False)[0].inputs == ("#tag", "#")


def test_document_lines_end_sequences():
    text = "a\tO\n-DOCSTART-\tO\nb\tO\n\n#begin document (x); part 000\n\nc\tO\n#end document\n"
    examples, _ = told_of(text)
    assert [e.inputs for e in examples] == [("a",), ("b",), ("c",)]
    assert [e.where for e in examples] == ["text:1", "text:3", "text:7"]


def test_tags_have_no_blanks_around_them():
    for text in ("Anna\tB-PER \nwell\t O\n", "Anna B-PER  \nwell   O \n"):
        assert rows_of(told_of(text)[0]) == [[("Anna", "B-PER"), ("well", "O")]]
    padded = UNIVERSAL.replace("\tADP\t", "\tADP \t")
    assert read_all(read_conllu, padded)[0].target[0] == "ADP"


def test_every_step_knows_its_line():
    text = "a\tO\n# text = b\nb\tO\n\nc\tO\n"
    assert [list(e.lines) for e in told_of(text)[0]] == [[1, 3], [5]]
    assert [list(e.lines) for e in read_all(read_conllu, UNIVERSAL)] == [[3, 4], [], [9]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("EU\tNNP\n", "text:1: 2 columns separated by tabs.*--format conll"),
        ("\t".join("abcdefghij"), "text:1: column 1 is 'a', CoNLL-U numbers its words.*conll"),
        (UNIVERSAL.replace("\n\n", "\n"), "text:7: word 1 after word 2. End each sentence"),
        ("1\ta" + "\t_" * 8 + "\n2\tb" + "\t_" * 9, "text:2: 11 columns, line 1 has 10"),
    ],
)
def test_what_is_no_conllu_is_refused(text, says):
    with pytest.raises(FormatError, match=says):
        read_all(read_conllu, text)


# ----------------------------------------------------------------- columns that hold no tokens


KEPT = {"columns": {"token": 3, "tag": 2}}


def test_columns_of_a_model_that_a_file_lacks_are_found_anew():
    rows = "the\tD\ncat\tN\n"
    for text, labelled, expected in (
        (rows, True, [("the", "cat")]),
        ("the\ncat\n", False, [("the", "cat")]),
        ("the\tD\n", False, [("the",)]),
    ):
        told = []
        source = replace(Source.from_text(text), tell=told.append)
        options = ReadOptions().over(KEPT)
        examples = list(read_conll(source, ReadRequest("tags", labelled, options)))
        assert [e.inputs for e in examples] == expected
        assert "column 3" in told[0]
        assert "found anew (--columns sets them)" in told[0]
    kept = ReadRequest("tags", options=ReadOptions().over(KEPT))
    [example] = read_conll(Source.from_text("1\tD\tthe\n"), kept)
    assert (example.inputs, example.target) == (("the",), ("D",))
    with pytest.raises(FormatError, match="--columns looks for the token in column 3"):
        told_of(rows, **KEPT)


@pytest.mark.parametrize(
    "text",
    [
        "0\tEU\tDT\n0\tb\tNN\n\n1\tc\tNN\n",
        "S1\tEU\tDT\nS1\tb\tNN\n\nS2\tc\tNN\nS2\td\tX\n",
    ],
)
def test_names_of_sentences_are_no_tokens(text):
    examples, told = told_of(text)
    assert [token for e in examples for token in e.inputs][:3] == ["EU", "b", "c"]
    assert told == [
        (
            "text:1: column 1 is the same throughout a sentence: tokens are read from column 2 "
            "(--columns token=1,tag=-1 says otherwise)"
        )
    ]
    bare = read_all(read_conll, text, labelled=False)
    assert [e.inputs for e in bare] == [e.inputs for e in examples]


def test_words_said_twice_are_tokens():
    for text in ("ha\tUH\tO\nha\tNN\tO\n", "1\tA\n1\tB\n", "ha\tUH\tO\nha\tNN\tO\n\nso\tX\tO\n"):
        examples, told = told_of(text)
        assert len(set(examples[0].inputs)) == 1
        assert told == []


@pytest.mark.parametrize("first", ["Sentence #", "sent_id", "Satz"])
def test_a_header_may_have_one_strange_name_of_three(first):
    examples, told = told_of(f"{first}\tWord\tPOS\nS1\tA\tDT\nS1\tcat\tNN\n")
    assert rows_of(examples) == [[("A", "DT"), ("cat", "NN")]]
    assert len(told) == 1
    examples, told = told_of("big\tword\tclass\nmore\tx\tclass\n")
    assert examples[0].inputs == ("big", "more")


def test_what_is_not_read_of_a_row_is_told():
    assert [e.inputs for e in read_all(read_conll, "the\tD\n", labelled=False)] == [("the",)]
    assert read_all.told == [
        (
            "text:1: tokens are read from column 1; not read: column 2 "
            "(--columns token=N says otherwise)"
        )
    ]
    read_all(read_conll, "the\tx\tD\n", labelled=False)
    assert "not read: columns 2 to 3 " in read_all.told[0]
    read_all(read_conll, "the\tx\tD\n", labelled=False, columns={"token": 1})
    assert read_all.told == []


def test_a_lone_column_may_have_a_header():
    [example] = read_all(read_conll, "token\nthe\ncat\n", labelled=False)
    assert example.inputs == ("the", "cat")
    assert len(read_all.told) == 1
    assert "--no-header" in read_all.told[0]
    [example] = read_all(read_conll, "token\nthe\n", labelled=False, header=False)
    assert example.inputs == ("token", "the")
    [example] = read_all(read_conll, "token\n", labelled=False)
    assert example.inputs == ("token",)


def test_probabilities_are_no_tags():
    text = "the\tD\t0.9987\ncat\tN\t1.0000\n"
    with pytest.raises(FormatError, match=r"text:1: column 3 .*--columns token=1,tag=2"):
        told_of(text)
    assert rows_of(told_of(text, columns={"token": 1, "tag": 2})[0]) == [
        [("the", "D"), ("cat", "N")]
    ]
    assert rows_of(told_of("the\t0.5\n")[0]) == [[("the", "0.5")]]


def test_a_column_of_nothing_is_no_column_of_tags():
    with pytest.raises(FormatError, match=r"text:1: column 9 holds no tags, only _.*--columns"):
        told_of("1\tdogs\tdog\tNOUN\tNNS\t_\t0\troot\t_\n")
    assert rows_of(told_of("a\t_\nb\tX\n")[0]) == [[("a", "_"), ("b", "X")]]


def test_a_field_that_no_word_has_is_refused_and_one_that_some_lack_is_told():
    row = "{}\tw\t_\tNOUN\t{}\t_\t0\troot\t_\t_\n"
    text = row.format(1, "_") + row.format(2, "_")
    with pytest.raises(FormatError, match=r"text:1: no word has .* xpos.*--field upos\|deprel;"):
        read_all(read_conllu, text, field="xpos")
    text = "# a\n" + row.format(1, "NN") + row.format(2, "_")
    [example] = read_all(read_conllu, text, field="xpos")
    assert example.target == ("NN", "_")
    assert read_all.told == ["text:3: 1 of 2 words have _ for xpos, which is read as a tag"]
    read_all(read_conllu, text)
    assert read_all.told == []


@pytest.mark.parametrize(
    ("names", "repeated"),
    # An empty cell is known for a name of the same sentence by a header alone.
    [("Sentence #\tWord\tPOS\n", True), ("Sentence #\tWord\tPOS\n", False), ("", True)],
)
def test_sentences_that_no_blank_line_parts_are_refused(names, repeated):
    rows, parted = names, names
    for sentence in range(1, 8):
        for word in range(3):
            known = repeated or word == 0
            row = f"{f'S{sentence}' * known}\tw{word}\tT{word}\n"
            rows, parted = rows + row, parted + row
        parted += "\n"
    line = 4 + bool(names)
    with pytest.raises(FormatError, match=rf"text:{line}: column 1 goes from 'S1' to 'S2'.*blank"):
        told_of(rows)
    assert [e.inputs for e in told_of(parted)[0]] == [("w0", "w1", "w2")] * 7
    whole = told_of(rows, columns={"token": 2, "tag": 3})[0]
    assert sum(map(len, whole)) == 21
