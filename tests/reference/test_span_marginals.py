"""Probabilities of spans against the enumeration of all tag sequences."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn.data.schemes import SCHEMES, SPAN_LETTERS, SchemeName, span_rules, spans, transitions
from birnn.ragged import Ragged
from birnn.reference.crf import Chain
from birnn.reference.span_marginals import StepSpans, span_marginals
from reference.test_crf import enumerate_scores

SPANNING = [scheme for scheme in SCHEMES if scheme != "none"]


def labels_of(scheme: SchemeName, types: int = 2) -> list[str]:
    letters = SPAN_LETTERS[scheme.removesuffix("-suffix")]
    names = ["X", "Y"][:types]
    if scheme.endswith("-suffix"):
        return ["O", *(f"{name}-{letter}" for name in names for letter in letters)]
    return ["O", *(f"{letter}-{name}" for name in names for letter in letters)]


def chain_of(labels, scheme, seed, *, legal):
    rng = np.random.default_rng(seed)
    size = len(labels)
    scores = [rng.standard_normal(shape) for shape in ((size, size), (size,), (size,))]
    names = ("allowed", "allowed_start", "allowed_end")
    masks = dict(zip(names, transitions(labels, scheme), strict=True)) if legal else {}
    return Chain.of(*scores, **masks), rng


def every_span(labels, scheme, chain, rows_TL):
    """The probability of every span of a sequence, by reading all its tag sequences."""
    scores = enumerate_scores(rows_TL, chain)
    total = math.fsum(math.exp(score) for score in scores.values())
    found: Counter = Counter()
    for tags, score in scores.items():
        for span in spans([labels[tag] for tag in tags], scheme):
            found[span] += math.exp(score) / total
    return found


def of_batch(found, types):
    """The spans of several sequences as the engine takes them, and their probabilities."""
    listed = [
        (number, span.start, span.stop, types.index(span.type), p)
        for number, spans_of in enumerate(found)
        for span, p in spans_of.items()
    ]
    columns = list(zip(*listed, strict=True)) or [()] * 5
    return StepSpans(*(np.array(c, np.int64) for c in columns[:4])), np.array(columns[4], float)


@pytest.mark.parametrize("legal", [True, False])
@pytest.mark.parametrize("scheme", SPANNING)
def test_every_span_is_as_probable_as_the_tag_sequences_that_mark_it(scheme, legal):
    labels = labels_of(scheme, types=2 if len(SPAN_LETTERS[scheme.split("-")[0]]) == 2 else 1)
    rules, types = span_rules(labels, scheme)
    chain, rng = chain_of(labels, scheme, seed=len(scheme) + legal, legal=legal)
    lengths = np.array([3, 0, 1, 4])
    emissions = Ragged(2 * rng.standard_normal((8, len(labels))), lengths)
    expected = [every_span(labels, scheme, chain, rows) for rows in emissions]
    given, probabilities = of_batch(expected, types)
    assert len(probabilities) > 10
    found = span_marginals(emissions, chain, given, rules)
    np.testing.assert_allclose(found, probabilities, rtol=1e-10, atol=1e-13)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), scheme=st.sampled_from(["iob1", "iob2", "bmes"]))
def test_labels_without_types_and_labels_that_mark_nothing(seed, scheme):
    labels = {"iob1": ["O", "B", "I"], "iob2": ["I-X", "X", "O", "B-X"], "bmes": ["B", "M", "E"]}
    rules, types = span_rules(labels[scheme], scheme)
    chain, rng = chain_of(labels[scheme], scheme, seed, legal=False)
    emissions = Ragged(rng.standard_normal((3, len(labels[scheme]))), np.array([3]))
    expected = every_span(labels[scheme], scheme, chain, emissions.values)
    given, probabilities = of_batch([expected], types)
    found = span_marginals(emissions, chain, given, rules)
    np.testing.assert_allclose(found, probabilities, rtol=1e-10)


def test_one_sequence_without_an_answer_leaves_the_others_alone():
    labels = labels_of("iob2")
    rules, _ = span_rules(labels, "iob2")
    chain, rng = chain_of(labels, "iob2", 3, legal=True)
    rows = rng.standard_normal((4, len(labels)))
    bad = rows.copy()
    bad[0] = np.nan
    spans_of = StepSpans(*np.array([[0, 1], [0, 0], [2, 2], [0, 0]]))
    lengths = np.array([2, 2])
    found = span_marginals(Ragged(bad, lengths), chain, spans_of, rules)
    right = span_marginals(Ragged(rows, lengths), chain, spans_of, rules)
    assert np.isnan(found[0])
    assert found[1] == right[1] > 0
    never = Chain.of(
        *(np.full_like(s, -np.inf) for s in (chain.transitions, chain.start, chain.end))
    )
    assert span_marginals(Ragged(rows, lengths), never, spans_of, rules).tolist() == [0.0, 0.0]
