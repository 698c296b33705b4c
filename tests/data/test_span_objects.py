"""Texts with spans from Python: records of tools, spaCy's training data and documents."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import spacy
from spacy.training import Example as Trained

from birnn.data import ReadOptions, ReadRequest
from birnn.data.objects import examples
from birnn.errors import DataError

TEXT = "😀 Ada Lovelace met Babbage."
SPANS = [(2, 14, "PER"), (19, 26, "PER")]
TOKENS = ("😀", "Ada", "Lovelace", "met", "Babbage", ".")
TAGS = ("O", "B-PER", "I-PER", "O", "B-PER", "O")


def load(given, **options):
    told = []
    request = ReadRequest("tags", True, ReadOptions.of(options), tell=told.append)
    return [(e.inputs, e.target) for e in examples(given, request, name="train")], told


def documents():
    document = spacy.blank("en")(TEXT)
    yield Trained.from_dict(document, {"entities": SPANS})
    document.set_ents([document.char_span(*span) for span in SPANS])
    yield document


NAMED = [{"start": start, "end": end, "label": label} for start, end, label in SPANS]
OFFSETS = [{"start_offset": a, "end_offset": b, "label": label} for a, b, label in SPANS]


@pytest.mark.parametrize(
    "given",
    [
        (TEXT, {"entities": SPANS}),
        [TEXT, {"entities": [list(span) for span in SPANS]}],
        (TEXT, SPANS),
        {"text": TEXT, "entities": SPANS},
        {"text": TEXT, "label": [list(span) for span in SPANS]},
        {"text": TEXT, "entities": OFFSETS},
        {"text": TEXT, "spans": NAMED},
    ],
)
def test_texts_with_spans_are_read_as_tags(given):
    assert load([given, given])[0] == [(TOKENS, TAGS)] * 2
    assert load(each for each in [given])[0] == [(TOKENS, TAGS)]
    if isinstance(given, dict):
        assert load(pd.DataFrame([given, given]))[0] == [(TOKENS, TAGS)] * 2


def test_documents_of_spacy_keep_their_tokens():
    for document in documents():
        assert load([document])[0] == [(TOKENS, TAGS)]


def test_spans_that_do_not_align_are_told_or_refused_as_those_of_files():
    given = [("Ada sings", {"entities": []}), ("Ada sings", {"entities": [(1, 3, "PER")]})]
    found, told = load(given)
    assert [tags for _, tags in found] == [("O", "O"), ("B-PER", "O")]
    [line] = told
    assert line.startswith("train: example 1: spans that begin or end within a token, widened")
    with pytest.raises(DataError, match=r"train: example 1: the span 1 to 3 'da' .*misaligned"):
        load(given, misaligned="refuse")
    with pytest.raises(DataError, match=r"train: example 1: the span 0 to 99"):
        load([given[0], ("Ada sings", {"entities": [(0, 99, "PER")]})])
    with pytest.raises(DataError, match="train: example 1 is no text with spans"):
        load([given[0], (["Ada"], ["O"])])


@pytest.mark.parametrize(
    "given",
    [
        (["Ada", "sings"], ["B-PER", "O"]),
        ("Ada sings", ["B-PER", "O"]),
        ("Ada sings", "B-PER O"),
        ("Ada sings", np.array(["B-PER", "O"])),
        [("Ada", "B-PER"), ("sings", "O")],
        {"tokens": ["Ada", "sings"], "tags": ["B-PER", "O"]},
    ],
)
def test_tokens_with_tags_are_no_spans(given):
    assert load([given, given])[0] == [(("Ada", "sings"), ("B-PER", "O"))] * 2
