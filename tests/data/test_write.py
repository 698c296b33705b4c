"""What is written reads back the same, in every format; what a format does not hold is told."""

from __future__ import annotations

import gzip
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data import FORMATS, Example, ReadOptions, read, schemes, write
from birnn.data.schemes import SCHEMES, Span, tags_of
from birnn.data.tokeniser import clean
from birnn.errors import ConfigError, DataError, OutputError, UsageError

WORDS = st.text("abcXYZ12.,'é\U0001f600中\"", min_size=1, max_size=5)
LABELS = st.sampled_from(["PER", "LOC", "a.b", "Straße"])
SENTENCES = st.lists(WORDS, min_size=1, max_size=6)
# Formats in which every sequence of tokens and tags that mark spans is held.
OF_TAGS = ("conll", "conllu", "jsonl", "doccano", "prodigy", "label-studio", "brat", "spacy")
OF_LABELS = ("csv", "tsv", "jsonl", "doccano", "prodigy", "label-studio", "spacy", "fasttext")
# How texts are read that were written as tokens joined by blanks.
AS_TOKENS = ReadOptions(split="tokens")


@st.composite
def tagged(draw):
    tokens = tuple(draw(SENTENCES))
    cuts = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=6)))
    spans = [
        Span(start, stop, draw(LABELS)) for start, stop in pairwise(cuts) if draw(st.booleans())
    ]
    return Example(tokens, tags_of(spans, len(tokens), "iob2"))


def bare(examples):
    """Examples as they compare: without their places."""
    return [(e.inputs, e.target, e.references) for e in examples]


def path_of(folder, name):
    return folder / ("out" if FORMATS[name].folder else "out" + (*FORMATS[name].endings, "")[0])


def written(folder, name, examples, target, **options):
    """What stands in a file that was written; what was told."""
    told = []
    place = folder / f"{len(list(folder.iterdir())):05}"
    place.mkdir()
    path = path_of(place, name)
    write(path, examples, target, format=name, tell=told.append, **options)
    return path, told


def reread(path, name, target, **options):
    return list(
        read(
            path,
            target,
            AS_TOKENS.model_copy(update={"format": name, **options}),
            tell=lambda _: None,
        )
    )


@pytest.mark.parametrize("name", OF_TAGS)
def test_tokens_and_tags_read_back_the_same(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")

    @given(st.lists(tagged(), min_size=1, max_size=3))
    def law(examples):
        path, told = written(folder, name, examples, "tags")
        # The format is told what to be, or the first sequence might be a header.
        options = {"header": False} if name == "conll" else {}
        same = bare(reread(path, name, "tags", **options)) == bare(examples)
        assert same
        assert not [line for line in told if "otherwise" in line] or name == "conll"

    law()


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.parametrize("target", ["label", "labels"])
def test_texts_and_labels_read_back_the_same(name, target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    labels = LABELS if target == "label" else st.lists(LABELS, unique=True, max_size=3).map(tuple)

    @given(st.lists(st.tuples(SENTENCES, labels), min_size=1, max_size=3))
    def law(given_):
        examples = [Example(tuple(tokens), label) for tokens, label in given_]
        path, _ = written(folder, name, examples, target)
        options = {"label_split": "|"} if name in ("csv", "tsv") else {}
        found = reread(path, name, target, **options)
        if name == "spacy" and target == "labels":
            assert [(e.inputs, set(e.target)) for e in found] == [
                (e.inputs, set(e.target)) for e in examples
            ]
        else:
            assert bare(found) == bare(examples)

    law()


@pytest.mark.parametrize("name", ["ts", "npz", "jsonl"])
@pytest.mark.parametrize("target", ["label", "values"])
def test_series_read_back_the_same(name, target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    numbers = st.floats(-(2.0**90), 2.0**90)

    @given(
        st.lists(
            st.tuples(
                st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), LABELS, numbers
            ),
            min_size=1,
            max_size=3,
        )
    )
    def law(given_):
        examples = [
            Example(np.array(rows), label if target == "label" else np.array([value]))
            for rows, label, value in given_
        ]
        path, told = written(folder, name, examples, target)
        for one, other in zip(reread(path, name, target), examples, strict=True):
            np.testing.assert_array_equal(one.inputs, other.inputs)
            np.testing.assert_array_equal(one.target, other.target)
        assert told == []

    law()


def test_a_folder_of_series(tmp_path):
    rows = [np.array([[0.5, 1.0], [7.0, -2.0]]), np.array([[3.0, 9.0]])]
    given_ = [Example(rows[0], "up"), Example(rows[1], "down"), Example(rows[1], "up")]
    path, told = written(tmp_path, "series", given_, "label")
    found = reread(path, "series", "label")
    assert [(e.target, e.inputs.tolist()) for e in found] == sorted(
        ((e.target, e.inputs.tolist()) for e in given_), key=lambda each: each[0]
    )
    assert told == []


def test_every_pair_of_formats_of_tags_keeps_what_both_hold(tmp_path):
    """Written as one format, read, written as another: the same tokens and spans."""
    examples = [
        Example(("Ada", "Lovelace", "sang", "."), ("B-PER", "I-PER", "O", "O"), id="a"),
        Example(("\U0001f600", "Köln", "Rom"), ("O", "B-LOC", "B-LOC"), id="b"),
    ]
    for one in OF_TAGS:
        path, _ = written(tmp_path, one, examples, "tags")
        between = reread(path, one, "tags")
        for other in OF_TAGS:
            again, told = written(tmp_path, other, between, "tags", reading=AS_TOKENS)
            assert bare(reread(again, other, "tags")) == bare(examples), (one, other)
            assert not [line for line in told if "otherwise" in line]


@pytest.mark.parametrize("name", [n for n in SCHEMES if n != "none"])
def test_schemes(name, tmp_path):
    spans = [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC")]
    examples = [Example(tuple("abcdef"), tags_of(spans, 6, "iob2"))]
    path, _ = written(tmp_path, "conll", examples, "tags", scheme=name.upper())
    [found] = reread(path, "conll", "tags")
    assert found.target == tags_of(spans, 6, name)
    path, _ = written(tmp_path, "doccano", [found], "tags")
    assert bare(reread(path, "doccano", "tags")) == bare(examples)


def test_texts_and_ids_stay_where_they_are_held(tmp_path):
    text = "Ada, in\tKöln \U0001f600: so"
    tokens = ("Ada", ",", "in", "Köln", "\U0001f600", ":", "so")
    offsets = ((0, 3), (3, 4), (5, 7), (8, 12), (13, 14), (14, 15), (16, 18))
    example = Example(tokens, ("B-PER", *["O"] * 6), "", "x1", text, offsets=offsets)
    for name in ("doccano", "prodigy", "label-studio", "brat", "spacy"):
        path, told = written(tmp_path, name, [example], "tags", reading=ReadOptions(split="text"))
        [found] = reread(path, name, "tags", split="text")
        assert (found.text, found.offsets, found.target) == (text, offsets, example.target), name
        assert found.id == (None if name == "spacy" else "x1")
        assert [line.split(": ", 1)[1] for line in told] == (
            ["spacy holds no ids: 1, the first here"] if name == "spacy" else []
        )
    _, told = written(tmp_path, "conll", [example], "tags")
    assert [line.split(": ", 1)[1] for line in told] == [
        "conll holds no ids: 1, the first here",
        "conll holds no texts, their tokens stand for them: 1, the first here",
    ]


@pytest.mark.parametrize(
    ("name", "example", "target", "says"),
    [
        (
            "conll",
            Example(("a\tb",), ("O",), "f:1"),
            "tags",
            r"f:1: the token 'a\\tb', which conll",
        ),
        ("fasta", Example(("ab",), ("H",), "f:1"), "tags", "the symbol 'ab', which fasta"),
        ("fasta", Example(("a",), ("HH",), "f:1"), "tags", "the tag 'HH', which fasta"),
        ("conll", Example(np.ones((1, 1)), ("O",), "f:1"), "tags", "vectors, which conll"),
        ("ts", Example(("a",), "x", "f:1"), "label", "tokens, which ts"),
        ("doccano", Example(("a", "b"), ("B", "I"), "f:1"), "tags", "mark no spans|without a type"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_stands_there(
    tmp_path, name, example, target, says
):
    path = path_of(tmp_path, name)
    with pytest.raises((DataError, ConfigError), match=says):
        write(path, [example], target, format=name)
    assert list(tmp_path.iterdir()) == []


def test_tags_that_mark_no_spans_are_no_spans(tmp_path):
    words = [Example(("dogs", "bark"), ("NOUN", "VERB"))]
    with pytest.raises(ConfigError, match=r"mark no spans \(NOUN, VERB\): doccano holds spans"):
        write(tmp_path / "a.jsonl", words, "tags", format="doccano")
    with pytest.raises(ConfigError, match=r"mark no spans .* no scheme iobes"):
        write(tmp_path / "a.conll", words, "tags", scheme="IOBES")
    with pytest.raises(ConfigError, match="did you mean iobes"):
        write(tmp_path / "a.conll", words, "tags", scheme="IOBE")
    for field in ("upos", "xpos", "deprel"):
        reading = ReadOptions(field=field)
        path, told = written(tmp_path, "spacy", words, "tags", reading=reading)
        assert bare(reread(path, "spacy", "tags", field=field)) == bare(words)
        assert told == []


def test_tags_that_a_scheme_forbids_are_the_spans_that_they_are_read_as(tmp_path):
    example = Example(("a", "b", "c"), ("O", "I-X", "I-Y"))
    other = Example(("a", "b", "c"), ("B-X", "I-X", "O"))
    path, _ = written(tmp_path, "doccano", [example, other, other], "tags")
    found = reread(path, "doccano", "tags")
    assert [e.target for e in found] == [
        schemes.convert(e.target, "iob2", "iob2") for e in (example, other, other)
    ]


def test_what_reads_back_otherwise_is_told(tmp_path):
    told = []
    header = [Example(("word", "a"), ("tag", "O"), "in:1"), Example(("b",), ("O",), "in:4")]
    write(tmp_path / "a.conll", header, "tags", tell=told.append)
    assert len(told) == 1
    assert "1 of 2 sequences read back otherwise: in:1" in told[0]
    assert "invisible" not in told[0]


@pytest.mark.parametrize("name", ["doccano", "label-studio", "brat"])
def test_sequences_whose_tokens_a_text_cannot_hold_are_named(tmp_path, name):
    good = [Example((f"w{at}", "b"), ("B-X", "O"), f"in:{3 * at}") for at in range(3)]
    bad = [
        Example(("a", "\ufe0f"), ("B-X", "O"), "in:20"),
        Example(("a\u200bb",), ("B-X",), "in:23"),
        Example(("cafe\u0301",), ("O",), "in:25"),
    ]
    _, told = written(tmp_path, name, [good[0], bad[0], good[1], *bad[1:], good[2]], "tags")
    line = next(line for line in told if "read back otherwise" in line)
    assert "3 of 6 sequences read back otherwise: in:20, in:23, in:25; all of them hold" in line


def test_a_folder_of_series_holds_tags_and_refuses_values(tmp_path):
    draw = np.random.default_rng(0)
    tags = ("calm, so", "busy", "calm, so")
    series = [Example(draw.normal(size=(3, 2)), tags) for _ in range(3)]
    path, told = written(tmp_path, "series", series, "tags")
    again = list(read(path, "tags", tell=lambda line: None))
    assert told == []
    assert [e.target for e in again] == [tags] * 3
    for one, other in zip(series, again, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
    with pytest.raises(DataError, match="values that are learnt, which series cannot hold"):
        written(tmp_path, "series", [Example(series[0].inputs, np.array([1.0, 2.0]))], "values")


def test_sources_of_characters_are_read_again_as_they_are_by_default(tmp_path):
    words = ["bout", "cause", "course", "em", "frisco", "kay", "round", "til", "tis", "twas"]
    pairs = [Example(tuple(w), ("B", "AW1", w[0].upper()), "in:1", None, w) for w in words]
    for name in ("csv", "tsv"):
        assert written(tmp_path, name, pairs, "sequence")[1] == []


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffAda sings",
        "Ada \u202esings\u202c",
        "Ada \ufeff sings \ufeff",
        "Ada\u2028\ufeffsings\x85 ",
    ],
)
def test_invisible_characters_between_tokens_are_no_tokens_of_spacy(tmp_path, text):
    example = Example(("Ada", "sings"), ("B-PER", "O"), "in:1", text=text)
    path, _ = written(tmp_path, "spacy", [example], "tags")
    [found] = reread(path, "spacy", "tags")
    assert found.text == text
    assert tuple(map(clean, found.inputs)) == example.inputs
    assert found.target == example.target


def test_nothing_is_half_written(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("before")

    def broken():
        yield Example(("a",), ("O",))
        raise DataError("in.txt:2: broken")

    class Twice:
        def __iter__(self):
            return broken()

    for examples in (broken(), Twice()):
        with pytest.raises(DataError, match=r"in.txt:2: broken"):
            write(path, examples, "tags")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    full = tmp_path / "brat"
    full.mkdir()
    (full / "x").write_text("")
    with pytest.raises(OutputError, match="exists already"):
        write(full, [Example(("a",), ("O",))], "tags", format="brat")
    with pytest.raises(UsageError, match="is a directory"):
        write(full, [Example(("a",), ("O",))], "tags")
    with pytest.raises(OutputError, match="is a directory"):
        write(full, [Example(("a",), ("O",))], "tags", format="conll")


def test_packed_and_of_no_sequence(tmp_path):
    examples = [Example(("a",), ("O",)), Example((), ())]
    path = tmp_path / "a.conll.gz"
    assert write(path, examples, "tags") == 2
    assert gzip.decompress(path.read_bytes()) == b"a\tO\n\n\n"
    with pytest.raises(DataError, match="could not be read again"):
        write(tmp_path / "b.conll", [], "tags")
    assert [p.name for p in tmp_path.iterdir()] == ["a.conll.gz"]


def test_pairs_and_symbols(tmp_path):
    pairs = [
        Example(("c", "a", "t"), ("K", "AE", "T"), references=(("K", "AH", "T"),)),
        Example((), ("X",)),
    ]
    path, told = written(tmp_path, "jsonl", pairs, "sequence")
    assert bare(reread(path, "jsonl", "sequence")) == bare(pairs)
    assert told == []
    for name in ("csv", "tsv"):
        single = [replace(pairs[0], references=())]
        path, _ = written(tmp_path, name, single, "sequence")
        ways = {"source_split": "spaces", "target_split": "spaces"}
        assert bare(reread(path, name, "sequence", **ways)) == bare(single)
    residues = [Example(tuple("MKV"), tuple("CHH"), id="p1"), Example((), (), id="p2")]
    for name in ("fasta", "3line"):
        path, told = written(tmp_path, name, residues, "tags")
        assert bare(reread(path, name, "tags")) == bare(residues)
        assert told == []
    texts = [Example(("so", "good"), "pos")]
    path, told = written(tmp_path, "text", texts, "label")
    assert path.read_text() == "so good\n"
    assert any("text holds no targets: 1" in line for line in told)
