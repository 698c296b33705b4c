"""Spans of characters as spans of tokens: against brute force, laws and spaCy."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.offsets import token_offsets
from birnn.data.schemes import Span, tags_of
from birnn.data.spans import TextSpan, align, in_characters, unit_of

WORDS = st.lists(st.text("ab\U0001f600é", min_size=1, max_size=4), min_size=1, max_size=6)


@st.composite
def texts(draw):
    """A text, its tokens' offsets, and spans anywhere in it."""
    words = draw(WORDS)
    text = "".join(word + draw(st.sampled_from([" ", "  ", "\n"])) for word in words)
    cuts = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(cuts, cuts, st.sampled_from("XY")), max_size=5))
    return text, token_offsets(text, words), [TextSpan(*span) for span in spans]


@given(texts())
def test_each_span_is_read_or_its_fault_is_named(case):
    text, offsets, spans = case
    for span in spans:
        covers = [
            index
            for index, (start, end) in enumerate(offsets)
            if max(start, span.start) < min(end, span.end)
        ]
        found, faults = align(text, offsets, [span])
        kinds = {fault.kind for fault in faults}
        if span.start > span.end:
            assert (found, kinds) == ((), {"reversed"})
        elif not covers:
            assert (found, kinds) == ((), {"empty"})
        else:
            assert found == (Span(covers[0], covers[-1] + 1, span.label),)
            exact = (offsets[covers[0]][0], offsets[covers[-1]][1])
            within = exact[0] < span.start or span.end < exact[1]
            assert ("cut" in kinds) == within
            trimmed = text[span.start : span.end].strip() != text[span.start : span.end]
            assert ("blank" in kinds) == trimmed
            assert align(text, offsets, [span], "drop").spans == (() if within else found)


@given(texts())
def test_of_spans_that_overlap_the_longest_stay_and_none_is_lost_untold(case):
    text, offsets, spans = case
    found, faults = align(text, offsets, spans)
    lost = [f for f in faults if f.kind in ("reversed", "empty", "overlap", "twice")]
    assert len(found) + len(lost) == len(spans)
    assert all(a.stop <= b.start for a, b in combinations(found, 2))
    for fault in faults:
        if fault.kind == "overlap":
            [alone] = align(text, offsets, [fault.span]).spans
            rivals = [s for s in found if s.start < alone.stop and alone.start < s.stop]
            assert max(s.stop - s.start for s in rivals) >= alone.stop - alone.start


@given(texts())
def test_offsets_in_other_units_are_the_same_spans(case):
    text, offsets, spans = case
    spans = [span for span in spans if span.start < span.end]
    for unit, code in (("utf16", "utf-16-le"), ("bytes", "utf-8")):
        size = 2 if unit == "utf16" else 1

        def place(at, code=code, size=size):
            return len(text[:at].encode(code)) // size

        given_ = [s._replace(start=place(s.start), end=place(s.end)) for s in spans]
        assert in_characters(text, given_, unit) == spans
        told = [
            (g._replace(text=text[s.start : s.end]), s)
            for g, s in zip(given_, spans, strict=True)
            if text[s.start : s.end].strip()
        ]
        found = unit_of(text, offsets, [g for g, _ in told], "characters")
        # Of two units in which all texts fit, either will do.
        for span, (_, right) in zip(
            in_characters(text, [g for g, _ in told], found), told, strict=True
        ):
            covered = text[right.start : right.end].split()
            assert text[span.start : span.end].split() == covered


@pytest.mark.parametrize("unit", ["utf16", "bytes"])
def test_offsets_within_a_character_take_the_whole_of_it(unit):
    text = "a\U0001f600b"
    inside = TextSpan(2, 2 + 1, "X")
    [span] = in_characters(text, [inside], unit)
    assert text[span.start : span.end] == "\U0001f600"
    [far] = in_characters(text, [TextSpan(0, 99, "X")], unit)
    assert [fault.kind for fault in align(text, ((0, 3),), [far]).faults] == ["outside"]
    [before] = in_characters(text, [TextSpan(-2, 3, "X")], unit)
    assert [fault.kind for fault in align(text, ((0, 3),), [before]).faults] == ["outside"]


def test_spacy_gives_the_same_tags():
    """`offsets_to_biluo_tags` marks the tokens of spans that do not align with a hyphen."""
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import Doc
    from spacy.training import offsets_to_biluo_tags

    vocab = spacy.blank("xx").vocab

    @given(WORDS, st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=4))
    def agree(words, places):
        doc = Doc(vocab, words=words)
        text, offsets = doc.text, tuple((t.idx, t.idx + len(t)) for t in doc)
        spans, last = [], 0
        for start, size in sorted(places):  # spaCy raises on those that overlap
            end = min(start + size, len(text))
            inside = last <= start < end and text[start:end] == text[start:end].strip()
            if inside:
                spans.append(TextSpan(start, end, "X"))
                last = end
        theirs = offsets_to_biluo_tags(doc, [span[:3] for span in spans], missing="O")
        aligned = align(text, offsets, spans, "drop")
        ours = list(tags_of(aligned.spans, len(words), "bilou"))
        cut = [fault.span for fault in aligned.faults if fault.kind == "cut"]
        for index, (start, end) in enumerate(offsets):
            if any(span.start < end and start < span.end for span in cut) and ours[index] == "O":
                ours[index] = "-"
        assert ours == theirs

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spaCy warns of each span that does not align
        agree()
