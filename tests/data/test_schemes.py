from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.scheme_detection import detect, find, in_letters_of
from birnn.data.schemes import (
    SCHEMES,
    Span,
    convert,
    marks,
    spans,
    transitions,
    violations,
)
from birnn.errors import ConfigError

MARKING = [scheme for scheme in SCHEMES if scheme != "none"]
PREFIXED = [scheme for scheme in MARKING if not scheme.endswith("-suffix")]
LABELS = ["O", *(f"{mark}-{type_}" for mark in "BIES" for type_ in ("X", "Y-z"))]
# anything goes: most of these sequences are illegal in every scheme
ANY_TAGS = st.lists(st.sampled_from(LABELS), max_size=12)


@st.composite
def span_lists(draw):
    """Spans in order that do not overlap, and the length of their sequence."""
    found, step = [], 0
    for _ in range(draw(st.integers(0, 4))):
        start = step + draw(st.integers(0, 2))
        step = start + draw(st.integers(1, 3))
        found.append(Span(start, step, draw(st.sampled_from(["X", "Y-z"]))))
    return found, step + draw(st.integers(0, 2))


# first token, inner, last, only one: as the papers and tools that brought each up define it
LETTERS = {"iob2": "BIIB", "iobes": "BIES", "bilou": "BILU", "bmes": "BMES", "bmewo": "BMEW"}


def written(found, length, scheme):
    """Tags of spans, from the definition of each scheme."""
    tags = ["O"] * length
    name = scheme.removesuffix("-suffix")
    for span in found:
        for step in range(span.start, span.stop):
            first, last = step == span.start, step == span.stop - 1
            touches = any(s.stop == span.start and s.type == span.type for s in found)
            if name == "iob1":
                mark = "B" if first and touches else "I"
            else:
                place = 3 if first and last else 0 if first else 2 if last else 1
                mark = LETTERS[name][place]
            tags[step] = f"{span.type}-{mark}" if name != scheme else f"{mark}-{span.type}"
    return tuple(tags)


@given(span_lists(), st.sampled_from(MARKING), st.sampled_from(MARKING))
def test_conversion_writes_the_same_spans(drawn, source, target):
    found, length = drawn
    tags = written(found, length, source)
    assert spans(tags, source) == found
    assert convert(tags, source, target) == written(found, length, target)
    assert convert(convert(tags, source, target), target, source) == tags
    assert violations(tags, source) == 0


@given(ANY_TAGS, st.sampled_from(PREFIXED), st.sampled_from(MARKING))
def test_illegal_tags_are_converted_to_legal_ones(tags, source, target):
    if source == target:
        return
    converted = convert(tags, source, target)
    assert violations(converted, target) == 0
    assert spans(converted, target) == spans(tags, source)


@given(ANY_TAGS)
def test_spans_are_seqevals(tags):
    sequence_labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sequence_labeling.get_entities(list(tags))
    assert [(s.type, s.start, s.stop - 1) for s in spans(tags, "iob2")] == expected


@given(ANY_TAGS, st.sampled_from(SCHEMES))
def test_transitions_allow_what_violates_nothing(tags, scheme):
    allowed, start, end = transitions(LABELS, scheme)
    numbers = [LABELS.index(tag) for tag in tags]
    faults = sum(not allowed[a, b] for a, b in itertools.pairwise(numbers))
    if numbers:
        faults += int(not start[numbers[0]]) + int(not end[numbers[-1]])
    assert violations(tags, scheme) == faults


@given(st.lists(st.sampled_from(LABELS), unique=True, min_size=1), st.sampled_from(SCHEMES))
def test_every_length_has_legal_tags(labels, scheme):
    allowed, start, end = transitions(labels, scheme)
    reachable = start
    for _ in range(4):
        assert (reachable & end).any()
        reachable = (reachable[:, None] & allowed).any(axis=0)


@given(st.lists(span_lists(), min_size=1, max_size=4), st.sampled_from(MARKING))
def test_detection_finds_a_scheme_that_nothing_violates(drawn, scheme):
    assert detect([["O"] * length for _, length in drawn]) == "none"
    # Of two tokens: one alone may be written in a letter that has other meanings.
    drawn = [*drawn, ([Span(0, 2, "X")], 3)]
    sequences = [written(found, length, scheme) for found, length in drawn]
    detected = detect(sequences)
    assert sum(violations(tags, detected) for tags in sequences) == 0
    assert [spans(tags, detected) for tags in sequences] == [found for found, _ in drawn]


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        ([], "none"),
        ([["O", "O"]], "none"),
        ([["NOUN", "VERB"]], "none"),
        ([["B-X", "NOUN"]], "none"),
        ([["H", "E", "C"]], "none"),
        ([["B", "I", "O", "B"]], "iob2"),
        ([["I-X", "I-X", "B-X"]], "iob1"),
        ([["B-X"], ["I-X", "O", "B-X", "I-X"]], "iob2"),
        ([["O", "S-X"]], "iobes"),
        ([["B-X", "L-X", "O"]], "bilou"),
        ([["U-X", "O"]], "bilou"),
        ([["U-X", "L-Y"]], "none"),
        ([["B-X", "M-X", "E-X"]], "bmes"),
        ([["W-X", "O", "B-X", "E-X"]], "bmewo"),
        ([["X-B", "X-I", "O"]], "iob2-suffix"),
        ([["O", "X-I"]], "iob1-suffix"),
        ([["X-B", "X-L", "Y-U", "O"]], "bilou-suffix"),
        ([["NN-S", "VB-E"]], "none"),
        ([["B", "M", "E", "S"]], "bmes"),
        ([["B", "E", "S", "I"]], "iobes"),
        ([["B", "I", "L", "U", "O"]], "bilou"),
        ([["H", "B", "E", "G", "I", "T", "S", "-"]], "none"),
    ],
)
def test_detection(sequences, scheme):
    assert detect(sequences) == scheme


def test_marks_without_a_type():
    assert spans(["B", "I", "O", "B", "B"], "iob2") == [(0, 2, ""), (3, 4, ""), (4, 5, "")]
    assert convert(["B", "I", "B"], "iob2", "iobes") == ("B", "E", "S")


def test_labels_that_are_no_marks_count_as_outside():
    assert spans(["B-X", "NOUN", "I-X", "B"], "iob2") == [(0, 1, "X"), (2, 3, "X"), (3, 4, "")]
    assert spans(["B-X"], "none") == []
    assert convert(["I-X", "0", "B-X"], "iob2", "iobes") == ("S-X", "0", "S-X")


@pytest.mark.parametrize(
    ("sequences", "scheme", "strays"),
    [
        ([["B-PER", "I-PER", "0"]], "iob2", ("0",)),
        ([["B-PER", "I-PER"], *[["0"] * 50] * 9], "iob2", ("0",)),
        ([["tag"], ["B-PER", "I-PER", "O"]], "iob2", ("tag",)),
        ([["B-PER", "O"] * 300, [f"http://{i}" for i in range(20)]], "iob2", 20),
        ([["B-PER", "L-PER", "U-PER", "E-PER", "O"]], "bilou", ("E-PER",)),
        ([["PER-B", "PER-I", "B-PER"]], "iob2-suffix", ("B-PER",)),
        ([["B", "I", "O", "0"]], "iob2", ("0",)),
        ([["B-PER", "O"], ["NOUN", "VERB", "ADJ", "DET"]], "none", ()),
        ([["S----1P2-", "N------S1D", "VP", "O"]], "none", ()),
    ],
)
def test_the_few_labels_that_mark_no_span_are_found(sequences, scheme, strays):
    found = find(sequences)
    assert found.scheme == scheme
    assert (len(found.strays) if isinstance(strays, int) else found.strays) == strays
    assert detect(sequences) == ("none" if strays else scheme)


@given(span_lists(), st.sampled_from(MARKING), st.sampled_from(MARKING))
def test_tags_are_written_in_the_letters_of_another_scheme(drawn, source, target):
    found, length = drawn
    tags = written(found, length, source)
    other = in_letters_of(target, tags)
    # Letters that the target has, too, stay: nothing says that they are of another scheme.
    if other != tags:
        assert other == written(found, length, target)
    assert set(other) <= {"O"} | {tag for tag in other if marks(tag, target)} or other == tags


def test_spans_are_read_whatever_the_letters():
    for scheme in PREFIXED:
        assert spans(["B-X", "M-X", "L-X", "U-X", "W-Y"], scheme) == [
            (0, 3, "X"),
            (3, 4, "X"),
            (4, 5, "Y"),
        ]


def test_nothing_is_forbidden_where_nothing_would_be_left():
    for array in transitions(["B-X", "I-X", "E-X"], "iobes"):
        assert array.all()


def test_no_labels():
    allowed, start, end = transitions([], "iob2")
    assert (allowed.shape, start.shape, end.shape) == ((0, 0), (0,), (0,))
    assert allowed.dtype == np.bool_


def test_faults():
    with pytest.raises(ConfigError, match="did you mean iob2"):
        spans(["O"], "iob3")
    with pytest.raises(ConfigError, match="from none to iob2"):
        convert(["NOUN"], "none", "iob2")
    assert convert(["NOUN"], "none", "none") == ("NOUN",)
