"""Pairs of sequences: how sides are split, what is kept and refused, references of a source."""

from __future__ import annotations

import csv
import gzip
import io
import json
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data import Example, ReadOptions, ReadRequest, read
from birnn.data.alphabet import Alphabet, split_symbols
from birnn.data.objects import examples as from_python
from birnn.data.pairs import each_target, grouped, split_pairs
from birnn.data.records import read_jsonl
from birnn.data.source import Source
from birnn.data.tables import read_csv, read_tsv
from birnn.errors import ConfigError, DataError, FormatError, no_notice

BOTH = ("source_split", "target_split")
SYMBOL = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=3
)
SIDE = st.lists(SYMBOL.filter(lambda s: unicodedata.normalize("NFC", s) == s), max_size=5)


def pairs_of(reader, text, *, labelled=True, alphabet=None, **options):
    """Sources, targets and references of a text, what was told and what was found."""
    told = []
    request = ReadRequest("sequence", labelled, ReadOptions.of(options), alphabet=alphabet)
    source = Source.from_text(text)
    found = list(split_pairs(reader(source, request), request, told.append))
    return [(e.inputs, e.target, e.references) for e in found], told, request.found


# ------------------------------------------------------------------ one text


@given(st.text(max_size=12), st.sampled_from(["characters", "spaces", "|", "--"]))
def test_what_is_split_is_the_text_without_what_separates(text, way):
    symbols = split_symbols(text, way)
    assert all(symbols)
    normal = unicodedata.normalize("NFC", text)
    if way == "characters":
        assert "".join(symbols) == normal.strip()
    elif way == "spaces":
        assert " ".join(symbols) == " ".join(normal.split())
        assert not any(any(map(str.isspace, symbol)) for symbol in symbols)
    else:
        assert not any(way in symbol or symbol != symbol.strip() for symbol in symbols)
        kept = "".join("".join(symbols).split())
        assert kept == "".join(normal.replace(way, "").split())


@given(st.lists(st.sampled_from(["a", "é", "new york", "AE1", "-"]), max_size=5))
def test_symbols_that_a_separator_joins_are_split_again(symbols):
    assert split_symbols(" | ".join(symbols), "|") == tuple(symbols)
    words = [symbol for symbol in symbols if " " not in symbol]
    assert split_symbols(" ".join(words), "spaces") == tuple(words)


def test_a_letter_and_its_accent_are_one_character_however_they_are_typed():
    assert split_symbols("cafe\u0301", "characters") == split_symbols("caf\xe9", "characters")
    # what has no composed form stays two code points, joined emoji are several
    assert split_symbols("x\u0301", "characters") == ("x", "\u0301")
    assert len(split_symbols("\U0001f469\u200d\U0001f680", "characters")) == 3


def test_spaces_within_are_characters_around_they_are_not():
    assert split_symbols(" le  chat ", "characters") == tuple("le  chat")


# ------------------------------------------------------------------ what is guessed


@pytest.mark.parametrize(
    ("rows", "ways"),
    [
        ([("cat", "K AE T"), ("a", "AH"), ("dog", "D AO G")], ("characters", "spaces")),
        ([("new york", "ny"), ("la", "l")], ("spaces", "characters")),
        ([("new york", "ny"), ("la", "l"), ("rome", "r")], ("characters", "characters")),
        ([("a", ""), ("b", "")], ("characters", "characters")),
    ],
)
def test_sides_are_split_at_spaces_if_half_of_their_texts_have_some(rows, ways):
    text = "".join(f"{source}\t{target}\n" for source, target in rows)
    pairs, told, found = pairs_of(read_tsv, text)
    assert tuple(found[name] for name in BOTH) == ways
    assert pairs == [(split_symbols(s, ways[0]), split_symbols(t, ways[1]), ()) for s, t in rows]
    [line] = told
    assert line.startswith(f"sources are split {'at' if ways[0] == 'spaces' else 'into'} {ways[0]}")
    assert ("target" in line.partition(". Options")[0]) == any(target for _, target in rows)
    assert line.endswith("Options: --source-split, --target-split")


def test_what_is_set_is_not_guessed_and_not_told():
    text = "new york\tN-UW\nla\tL-AA\n"
    pairs, told, found = pairs_of(read_tsv, text, source_split="characters", target_split="-")
    assert pairs[0] == (tuple("new york"), ("N", "UW"), ())
    assert told == []
    assert not set(BOTH) & set(found)


def test_a_mark_that_may_separate_is_named():
    _, [line], _ = pairs_of(read_tsv, "cat\tK-AE-T\ndog\tD-AO-G\no\tOW\n")
    assert "if '-', which 2 of 3 hold, separates symbols: --target-split='-'" in line
    _, [line], _ = pairs_of(read_tsv, "it's\tI\ndog\tD\nno\tN\n")
    assert "separates" not in line


def test_lists_are_as_they_are_and_say_how_texts_are_split_later():
    text = json.dumps({"source": ["K", "AE1"], "target": ["c", "a"]})
    pairs, told, found = pairs_of(read_jsonl, text)
    assert (pairs, told) == ([(("K", "AE1"), ("c", "a"), ())], [])
    assert [found[name] for name in BOTH] == ["spaces", "characters"]


@pytest.mark.parametrize(
    ("symbols", "expected"), [("catn ", "characters"), (["K", "AE1"], "spaces")]
)
def test_without_options_sources_are_split_as_the_models_symbols_are(symbols, expected):
    pairs, told, _ = pairs_of(read_tsv, "a cat\nno\n", labelled=False, alphabet=Alphabet(symbols))
    assert [source for source, *_ in pairs] == [
        split_symbols(text, expected) for text in ("a cat", "no")
    ]
    assert told == []


@pytest.mark.parametrize("way", ["charcters", "space", "ab"])
def test_a_way_that_is_mistyped_is_no_separator(way):
    with pytest.raises(ConfigError, match="no way to split"):
        ReadOptions.of({"source_split": way})


def test_white_space_as_a_separator_is_any():
    assert ReadOptions.of({"target_split": " "}).target_split == "spaces"


# ------------------------------------------------------------------ files


@given(st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=6), st.sampled_from(["csv", "jsonl"]))
def test_pairs_that_are_written_are_read(rows, form):
    texts = [(" ".join(source), " ".join(target)) for source, target in rows]
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerows([("source", "target"), *texts])
        reader, text = read_csv, out.getvalue()
    else:
        reader = read_jsonl
        text = "".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in texts)
    ways = dict.fromkeys(BOTH, "spaces")
    pairs, _, _ = pairs_of(reader, text, **ways)
    expected = [(split_symbols(s, "spaces"), split_symbols(t, "spaces"), ()) for s, t in texts]
    assert pairs == expected
    lists = "".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in rows)
    assert pairs_of(read_jsonl, lists)[0] == [(tuple(s), tuple(t), ()) for s, t in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_and_compression(write, end, packed):
    content = f"cat\tK AE T{end}dog\tD AO G{end}".encode()
    path = write("a.tsv.gz", gzip.compress(content)) if packed else write("a.tsv", content)
    pairs = [(e.inputs, e.target) for e in read(path, "sequence", tell=no_notice)]
    assert pairs == [(tuple("cat"), ("K", "AE", "T")), (tuple("dog"), ("D", "AO", "G"))]


def test_empty_sources_and_targets_are_kept_and_missing_targets_are_not():
    text = "cat\tK AE T\n\tX\ndog\t\n \t \n"
    assert pairs_of(read_tsv, text)[0][1:] == [
        ((), ("X",), ()),
        (tuple("dog"), (), ()),
        ((), (), ()),
    ]
    empty = '{"source": "", "target": ""}\n{"source": "a", "target": []}\n'
    assert [pair[1] for pair in pairs_of(read_jsonl, empty)[0]] == [(), ()]
    for target in ("null", "NaN"):
        missing = f'{{"source": "a", "target": {target}}}\n{{"source": "b", "target": "c"}}\n'
        with pytest.raises(FormatError, match=r"text:1: target is .*--skip-unlabelled"):
            pairs_of(read_jsonl, missing)
        assert len(pairs_of(read_jsonl, missing, skip_unlabelled=True)[0]) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cat\tK AE T\ndog\n", r"text:2: 1 cell, the first row has 2\. A target may be empty"),
        ("cat K AE T\ndog D AO G\n", "text:1: the row has 1 cell, a source and a target"),
        ("cat\tK\ndog\tD\tG\n", "text:2: 3 cells, the first row has 2"),
        ("cat\tK\t1\ndog\tD\t2\n", "text:1: 3 columns and no header.*--text-column"),
        ("word\tid\ncat\t1\n", "text:1: no column of targets: the header names .word., .id."),
    ],
)
def test_lines_that_are_no_pairs_are_refused_with_their_number(text, says):
    with pytest.raises(FormatError, match=says):
        pairs_of(read_tsv, text)


def test_of_more_columns_two_are_chosen():
    text = "cat\tnoun\tK AE T\ndog\tnoun\tD AO G\n"
    pairs, _, _ = pairs_of(read_tsv, text, text_column="1", label_column="3")
    assert pairs[1] == (tuple("dog"), ("D", "AO", "G"), ())


@pytest.mark.parametrize(
    ("first", "is_header"),
    [
        ("word\tphonemes", True),
        ("word\tpron", True),
        ("source\tS AO R S", False),  # the word "source", and how it sounds
        ("cat\tK AE T", False),
    ],
)
def test_a_header_is_told_from_a_pair(first, is_header):
    rest = "sore\tS AO R\nkiss\tK IH S\nate\tEY T\n"
    pairs, [columns, _], found = _of_lines(f"{first}\n{rest}")
    assert len(pairs) == (3 if is_header else 4)
    assert found["header"] == is_header
    assert ("the source is 'word'" if is_header else "no header; the source is") in columns


def _of_lines(text):
    told = []
    request = ReadRequest("sequence")
    source = Source("text", lambda: io.BytesIO(text.encode()), told.append)
    pairs = list(split_pairs(read_tsv(source, request), request, source.notice))
    return pairs, told, request.found


def test_a_target_of_more_symbols_than_allowed_is_refused(write):
    path = write("a.tsv", "cat\tK AE T\ndog\t" + "G " * 1000)
    assert len(list(read(path, "sequence", tell=no_notice))[1].target) == 1000
    with pytest.raises(FormatError, match=r"a\.tsv:2: a sequence of 1,000 tokens, 999 are"):
        list(read(path, "sequence", ReadOptions(max_tokens=999), tell=no_notice))


def test_options_of_pairs_are_told_where_they_serve_nothing(write):
    told = []
    path = write("a.tsv", "so good\tpos\nso bad\tneg\n")
    list(read(path, "label", ReadOptions(source_split="characters"), tell=told.append))
    assert "source_split serves target sequences, these are labels" in told[0]


# ------------------------------------------------------------------ several targets


@pytest.mark.parametrize(
    "record",
    [
        {"source": "red", "targets": ["R EH", "R IY"]},
        {"source": "red", "references": ["R EH", "R IY"]},
        {"source": "red", "targets": [["R", "EH"], "R IY"]},
        {"source": "red", "target": [["R", "EH"], ["R", "IY"]]},
        {"source": "red", "target": "R EH", "references": ["R IY"]},
        {"source": "red", "target": ["R", "EH"], "References": [["R", "IY"]]},
    ],
)
def test_a_record_may_hold_several_targets(record):
    expected = (tuple("red"), ("R", "EH"), (("R", "IY"),))
    assert pairs_of(read_jsonl, json.dumps(record))[0] == [expected]
    [example] = from_python([record], ReadRequest("sequence"))
    assert (example.inputs, example.target, example.references) == expected


def test_records_may_have_one_target_or_several_in_any_order():
    one, several = {"source": "a", "target": "X Y"}, {"source": "b", "targets": ["X Z", "Y Y"]}
    both = {"source": "c", "target": "Z Y", "references": ["X X"]}
    for records in ([one, several, both], [several, one, both], [both, several, one]):
        text = "".join(json.dumps(record) + "\n" for record in records)
        pairs = {
            source: (target, *others) for source, target, others in pairs_of(read_jsonl, text)[0]
        }
        assert pairs == {
            ("a",): (("X", "Y"),),
            ("b",): (("X", "Z"), ("Y", "Y")),
            ("c",): (("Z", "Y"), ("X", "X")),
        }
        found = {
            e.inputs: (e.target, *e.references)
            for e in from_python(records, ReadRequest("sequence"))
        }
        assert found == pairs


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"source": "a", "targets": []}, r"targets is \[\]"),
        ({"source": "a", "targets": [3]}, r"targets\[0\] is 3"),
        ({"source": "a", "targets": "x", "target": {"b": 1}}, "target is {'b': 1}"),
        ({"source": "a", "target": "x", "references": 7}, "references is 7"),
        ({"source": 5, "target": "a"}, "source is 5"),
    ],
)
def test_records_of_something_else_are_refused(record, says):
    with pytest.raises(FormatError, match=f"text:1: {says}"):
        pairs_of(read_jsonl, json.dumps(record))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=8))
def test_groups_hold_each_target_of_a_source_once_in_order(rows):
    examples = [Example((s,), (t,), where=str(i)) for i, (s, t) in enumerate(rows)]
    told = []
    found = grouped(examples, "sequence", told.append)
    sources = list(dict.fromkeys(s for s, _ in rows))
    assert [e.inputs for e in found] == [(s,) for s in sources]
    for example in found:
        targets = dict.fromkeys((t,) for s, t in rows if (s,) == example.inputs)
        assert [example.target, *example.references] == list(targets)
    assert set(map(tuple, rows)) == {(*e.inputs, *e.target) for e in each_target(found)}
    assert len(told) == (len(rows) > len(sources))
    if told:
        assert told[0].endswith(f": {len(rows)} pairs are {len(sources)} sequences")


def test_other_targets_and_vectors_are_not_grouped():
    labels = [Example(("a",), "x"), Example(("a",), "y")]
    assert grouped(labels, "label", no_notice) is labels
    vectors = [Example(np.zeros((2, 1)), ("x",)), Example(np.zeros((2, 1)), ("y",))]
    assert len(list(grouped(vectors, "sequence", no_notice))) == 2


# ------------------------------------------------------------------ from a program


def test_pairs_of_a_program():
    told = []
    request = ReadRequest("sequence", tell=told.append)
    given = [("cat", "K AE T"), (["d", "o"], ["D", "AO"]), ("", ""), ("red", [["R"], ["IY"]])]
    found = [(e.inputs, e.target, e.references) for e in from_python(iter(given), request)]
    assert found == [
        (tuple("cat"), ("K", "AE", "T"), ()),
        (("d", "o"), ("D", "AO"), ()),
        ((), (), ()),
        (tuple("red"), ("R",), (("IY",),)),
    ]
    assert told == [
        "sources are split into characters, targets at spaces. Options: source_split, target_split"
    ]


def test_columns_and_examples_of_a_program():
    columns = {"word": ["cat", "no"], "pronunciation": ["K AE T", "N OW"], "id": [1, 2]}
    found = list(from_python(columns, ReadRequest("sequence")))
    assert [(e.inputs, e.target) for e in found][1] == (("n", "o"), ("N", "OW"))
    # read once, they stay as they are, whatever their text
    again = list(from_python(found, ReadRequest("sequence", options=ReadOptions(source_split="-"))))
    assert again == found
    with pytest.raises(DataError, match="has no target"):
        list(from_python({"source": ["a"], "target": [None]}, ReadRequest("sequence")))


def test_sources_of_numbers_stay_in_the_column_of_training(tmp_path):
    """Number words: without a header, a column of numbers alone is a source nevertheless."""
    path = tmp_path / "a.tsv"
    path.write_text("604\tsix hundred four\n12\ttwelve\n")
    kept = {"header": False, "text_column": "1", "label_column": "2", "target_split": "spaces"}
    options = ReadOptions().over(kept)
    expected = [(("6", "0", "4"), ("six", "hundred", "four")), (("1", "2"), ("twelve",))]
    told = []
    found = list(read(path, "sequence", options, tell=told.append))
    assert [(e.inputs, e.target) for e in found] == expected
    asked = list(read(path, "sequence", options, labelled=False, tell=told.append))
    assert [e.inputs for e in asked] == [inputs for inputs, _ in expected]
    assert not any("not in this table" in line for line in told)


# ------------------------------------------------------------------ what would go unnoticed


@pytest.mark.parametrize("cells", [("a\tX", "b\tY Z"), ("source\ttarget", "a\tX", "b\tY Z")])
def test_empty_lines_of_pairs_are_answered_and_told_where_they_are_learnt(cells):
    text = "".join(f"{line}\n" for line in (cells[0], "", *cells[1:], "", ""))
    found, told, _ = pairs_of(read_tsv, text, source_split="characters", target_split="spaces")
    assert [source for source, _, _ in found] == [("a",), ("b",)]
    assert told == []  # of the text; those of the file are told of it
    notices = []
    source = replace(Source.from_text(text), tell=notices.append)
    list(read_tsv(source, ReadRequest("sequence", True, ReadOptions(header=len(cells) == 3))))
    assert "text:2: 3 empty lines, the first here, left out" in notices
    answered, _, _ = pairs_of(read_tsv, text, labelled=False, source_split="characters")
    rows = text.splitlines()[len(cells) == 3 :]
    if len(cells) == 2:
        assert [len(source) for source, _, _ in answered] == [len(r.split("\t")[0]) for r in rows]
    else:
        assert [len(source) for source, _, _ in answered] == [0, 1, 1, 0, 0]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_way_that_splits_nothing_is_told(rows):
    text = "".join(f"cat{n}\tK AE\n" for n in range(rows))
    found, told, _ = pairs_of(read_tsv, text, source_split="spaces", target_split="-")
    assert found[0] == (("cat0",), ("K AE",), ())
    [line] = told
    assert f"--source-split=spaces splits no source: none of {rows} holds white space" in line
    assert "--target-split=- splits no target" in line
    assert "each is one symbol, as 'K AE'" in line
    # one that is split is enough; single characters cannot be
    assert (
        pairs_of(read_tsv, text + "a b\tK-AE\n", source_split="spaces", target_split="-")[1] == []
    )
    assert pairs_of(read_tsv, "a\tX\nb\tY\n", source_split="spaces", target_split="-")[1] == []
    # characters always split, and where answers alone are wanted nothing is waited for
    assert pairs_of(read_tsv, text, source_split="characters", target_split="spaces")[1] == []
    assert pairs_of(read_tsv, text, labelled=False, source_split="spaces")[1] == []


def test_a_source_of_null_is_called_so():
    with pytest.raises(FormatError, match=r"text:2: source is null .*, a string or a list of sym"):
        pairs_of(read_jsonl, '{"source": "a", "target": "b"}\n{"source": null, "target": "b"}\n')
