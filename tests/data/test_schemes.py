from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.schemes import (
    SCHEMES,
    Span,
    convert,
    detect,
    spans,
    transitions,
    violations,
)
from birnn.errors import ConfigError

MARKING = [scheme for scheme in SCHEMES if scheme != "none"]
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


def written(found, length, scheme):
    """Tags of spans, from the definition of each scheme."""
    tags = ["O"] * length
    for span in found:
        for step in range(span.start, span.stop):
            first, last = step == span.start, step == span.stop - 1
            touches = any(s.stop == span.start and s.type == span.type for s in found)
            mark = {
                "iob1": "B" if first and touches else "I",
                "iob2": "B" if first else "I",
                "iobes": {(1, 1): "S", (1, 0): "B", (0, 1): "E", (0, 0): "I"}[first, last],
            }[scheme]
            tags[step] = f"{mark}-{span.type}"
    return tuple(tags)


@given(span_lists(), st.sampled_from(MARKING), st.sampled_from(MARKING))
def test_conversion_writes_the_same_spans(drawn, source, target):
    found, length = drawn
    tags = written(found, length, source)
    assert spans(tags, source) == found
    assert convert(tags, source, target) == written(found, length, target)
    assert convert(convert(tags, source, target), target, source) == tags
    assert violations(tags, source) == 0


@given(ANY_TAGS, st.sampled_from(MARKING), st.sampled_from(MARKING))
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
    sequences = [written(found, length, scheme) for found, length in drawn]
    detected = detect(sequences)
    if any(found for found, _ in drawn):
        assert sum(violations(tags, detected) for tags in sequences) == 0
        assert [spans(t, detected) for t in sequences] == [spans(t, scheme) for t in sequences]
    else:
        assert detected == "none"


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
