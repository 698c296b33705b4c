"""Annotations: offsets into the text as it came in, scores by enumeration, one record for all."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.bundle import Encoder, Label, Spec, Symbols, Tags, Values, Vectors, Words
from birnn.data.examples import Example
from birnn.data.schemes import Span, spans
from birnn.data.tokeniser import clean
from birnn.errors import DataError, UsageError
from birnn.reference import crf
from birnn.runtime import Predictor
from birnn.tasks import Gaps, TargetSequence
from birnn.tasks.multilabel import Labels
from data.test_offsets import TEXTS
from reference.test_crf import enumerate_scores

WORDS, SYMBOLS = Words(size=9, dim=5), Symbols(size=10, dim=5)
HEADS = {
    "none": Tags(size=5, decoder="crf"),
    "iob2": Tags(size=5, decoder="crf", scheme="iob2"),
    "iobes": Tags(size=5, decoder="crf", scheme="iobes"),
    "softmax": Tags(size=5, scheme="iob1"),
}


@pytest.fixture(scope="module")
def predictors(make):
    return {
        name: Predictor(make(Spec(inputs=WORDS, encoder=Encoder(hidden_size=4), head=head), 3))
        for name, head in HEADS.items()
    }


@given(text=TEXTS, name=st.sampled_from(sorted(HEADS)))
def test_every_entity_and_token_stands_where_it_says(predictors, text, name):
    model = predictors[name]
    found = model.annotate(text)
    assert found.text == text
    assert found.answer == model.predict([text])[0] == [token.tag for token in found.tokens]
    for part in (*found.tokens, *found.entities):
        assert text[part.start : part.end] == part.text
        assert part.start < part.end
    for one, other in pairwise(found.tokens):
        assert one.start <= other.start
        assert one.end <= other.end
    for token, read in zip(found.tokens, model.tokens(text), strict=True):
        assert clean(token.text) == read or read in clean(token.text)
    marked = [Span(e.first, e.stop, e.label) for e in found.entities]
    assert marked == spans(found.answer, HEADS[name].scheme)
    for entity in found.entities:
        assert entity.start == found.tokens[entity.first].start
        assert entity.end == found.tokens[entity.stop - 1].end
        assert 0 < entity.score <= 1
    assert json.loads(json.dumps(found.record()))["text"] == text


@pytest.mark.parametrize("name", sorted(HEADS))
def test_scores_are_sums_over_all_tag_sequences(predictors, name):
    model, head = predictors[name], HEADS[name]
    tokens = ["abc", "The", "1999", "éa"]
    [found] = model.annotate([tokens])
    assert found.text == "abc The 1999 éa"
    [emissions] = model.scores([tokens])
    size = head.size
    chain = (
        head.chain(model.labels, model.bundle.tensors)
        if head.decoder == "crf"
        else crf.Chain(np.zeros((size, size)), np.zeros(size), np.zeros(size))
    )
    every = enumerate_scores(emissions.astype(float), chain)
    total = math.fsum(map(math.exp, every.values()))
    by_span, by_tag = {}, {}
    for tags, score in every.items():
        named = [model.labels[tag] for tag in tags]
        for span in spans(named, head.scheme):
            by_span[span] = by_span.get(span, 0) + math.exp(score) / total
        for place in enumerate(named):
            by_tag[place] = by_tag.get(place, 0) + math.exp(score) / total
    for entity in found.entities:
        right = by_span[Span(entity.first, entity.stop, entity.label)]
        assert entity.score == pytest.approx(right, rel=1e-6)
    for place, token in enumerate(found.tokens):
        assert token.score == pytest.approx(by_tag[place, token.tag], rel=1e-5)


def test_scores_have_the_same_bits_in_any_batch(predictors, draw):
    for name in ("iob2", "softmax"):
        model = predictors[name]
        given = draw(model.spec, [5, 0, 1, 9, 12, 3, 0, 7])
        together = model.annotate(given)
        assert any(found.entities for found in together)
        for order in (slice(None), slice(None, None, -1)):
            for sequence, found in zip(given[order], together[order], strict=True):
                assert model.annotate([sequence]) == [found]
        assert list(model.stream_annotations(given, window=3)) == together
        assert list(model.stream_annotations(iter(given), wait=False)) == together


def test_texts_come_as_strings_tables_records_and_examples(predictors):
    model = predictors["iob2"]
    text = "Zu\u0308rich, I don't."
    one = model.annotate(text)
    assert [token.text for token in one.tokens] == ["Zu\u0308rich", ",", "I", "do", "n't", "."]
    example = Example(("Zürich", ",", "I", "do", "n't", "."), text=text)
    assert model.annotate([text, example, {"text": text}]) == [one] * 3
    assert model.annotate({"text": [text]}) == [one]
    # Texts of one token each are texts; predict would take them for one sentence.
    assert [found.text for found in model.annotate(["London", "Paris"])] == ["London", "Paris"]
    assert model.annotate([]) == []
    empty = model.annotate("")
    assert (empty.text, empty.tokens, empty.entities) == ("", (), ())


@pytest.mark.parametrize(
    "unit",
    [
        "\0",
        "\U0001f469\u200d\U0001f469 ",
        "a\u0301\u0323",
        "\u05e9\u05dc\u05d5\u05dd ",
        "\u200b",
        "'s",
    ],
)
def test_long_odd_texts_are_annotated(predictors, unit):
    text = unit * 2000
    found = predictors["iob2"].annotate(text)
    assert found.text == text
    for part in (*found.tokens, *found.entities):
        assert text[part.start : part.end] == part.text
    assert found.answer == predictors["iob2"].predict([text])[0]


def test_a_text_that_does_not_hold_its_tokens_is_named(predictors):
    given = [Example(("a",), text="a"), Example(("b", "a"), text="ab")]
    with pytest.raises(DataError, match="sequence 1: the tokens are not those of the text"):
        predictors["iob2"].annotate(given)


def model_of(make, head, inputs=WORDS):
    return Predictor(make(Spec(inputs=inputs, encoder=Encoder(hidden_size=4), head=head)))


def test_a_classifier_ranks_its_labels(make):
    model = model_of(make, Label(size=4))
    found = model.annotate("so good")
    [chances] = model.predict_proba(["so good"])
    best = sorted(zip(chances.tolist(), model.labels, strict=True), reverse=True)
    assert [(each.score, each.label) for each in found.labels] == best
    assert found.labels[0].label == found.answer
    two = model.annotate("so good", top=2)
    assert two.labels == found.labels[:2]
    record = two.record()
    assert record["offsets"] == [[0, 2], [3, 7]]
    assert record["label"] == found.answer
    assert record["probability"] == record["labels"][0]["score"]
    for top in (0, -1, "2", 1.5, True):
        with pytest.raises(UsageError, match="from 1 on"):
            model.annotate("x", top=top)


def test_a_multilabel_classifier_gives_its_labels_the_best_first(make):
    model = model_of(make, Labels(size=4, thresholds=(0.9, 0.4, 0.01, 0.3)))
    found = model.annotate("so good")
    [chances] = model.predict_proba(["so good"])
    every = sorted(zip(chances.tolist(), model.labels, strict=True), reverse=True)
    assert 0 < len(found.answer) < 4
    expected = [pair for pair in every if pair[1] in found.answer]
    assert [(each.score, each.label) for each in found.labels] == expected
    assert [each["label"] for each in found.record()["labels"]] == [label for _, label in expected]
    ranked = model.annotate("so good", top=3).labels
    assert [(each.score, each.label) for each in ranked] == every[:3]
    none = model_of(make, Labels(size=4, thresholds=(0.99999,) * 4)).annotate("so good")
    assert (none.answer, none.labels, none.record()["labels"]) == ([], (), [])


def test_other_tasks_answer_as_they_predict(make, draw):
    model = model_of(make, Values(size=2))
    found = model.annotate("so good")
    assert found.record()["values"] == found.answer == model.predict(["so good"])[0]
    assert [token.tag for token in found.tokens] == [None, None]
    with pytest.raises(UsageError, match="does not rank"):
        model.annotate("so good", top=2)

    model = model_of(make, Label(size=3), Vectors(size=3))
    given = draw(model.spec, [4, 0])
    for found, answer in zip(model.annotate(given), model.predict(given), strict=True):
        assert found.text is None
        assert found.record().keys() == {"label", "probability", "labels"}
        assert found.answer == answer

    model = model_of(make, TargetSequence(size=5, dim=2, hidden_size=4), SYMBOLS)
    [nbest] = model.predict_nbest(["abc"])
    found = model.annotate("abc", top=3)
    assert found.answer == list(nbest[0].symbols)
    assert len(found.record()["nbest"]) == 3
    assert "nbest" not in model.annotate("abc").record()


def test_gaps_stand_where_their_marks_do(make):
    bundle = make(Spec(inputs=WORDS, encoder=Encoder(hidden_size=4), head=Gaps(size=3)))
    bundle = type(bundle)(
        bundle.spec, bundle.vocabularies | {"labels": ("a", "b", "c")}, bundle.tensors
    )
    model = Predictor(bundle)
    text = "I am [MASK], not _____ ."
    found = model.annotate(text, top=2)
    assert [token.text for token in found.tokens] == ["I", "am", "[MASK]", ",", "not", "_____", "."]
    assert found.answer == model.predict([text])[0]
    assert [len(words) for words in found.record()["likeliest"]] == [2, 2]


def test_symbols_of_a_string_are_its_characters(make):
    model = model_of(make, HEADS["iob2"], SYMBOLS)
    found = model.annotate("ab CA")
    assert [token.text for token in found.tokens] == ["a", "b", "C", "A"]
    assert found.tokens[2].start == 3
    [listed] = model.annotate([["a", "b", "C", "A"]])
    assert listed.text == "abCA"
    assert listed.answer == found.answer


def test_entities_are_bracketed_in_their_text(predictors):
    for text in ("The abc xyz 1999.", "a b c d e f"):
        for name in ("iob2", "softmax"):
            found = predictors[name].annotate(text)
            bracketed = found.bracketed()
            for entity in reversed(found.entities):
                bracketed = bracketed.replace(f"[{entity.text} {entity.label}]", entity.text)
            assert bracketed == text
            assert len(found.entities) == found.bracketed().count("[")
