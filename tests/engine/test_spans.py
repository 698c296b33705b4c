"""Probabilities of spans on every engine: the reference's, the same bits in any batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birnn.data.schemes import SCHEMES, span_rules, spans, transitions
from birnn.engine import crf, isa
from birnn.engine.spans import marginals
from birnn.errors import ShapeError
from birnn.ragged import Ragged
from birnn.reference import crf as reference
from birnn.reference.span_marginals import StepSpans, span_marginals
from reference.test_span_marginals import labels_of

SEEDS = st.integers(0, 2**32 - 1)
SPANNING = [scheme for scheme in SCHEMES if scheme != "none"]
PER_ENGINE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


@pytest.fixture(params=isa.available())
def engine(request, monkeypatch):
    """Each engine that is here, forced."""
    monkeypatch.setenv(isa.FORCE, request.param)
    return request.param


def draw(scheme, lengths, seed, *, types=2, legal=True, scale=1.0):
    """A batch, a chain, and spans that some of its tag sequences mark."""
    labels = labels_of(scheme, types)
    random = np.random.default_rng(seed)
    size = len(labels)
    lengths = np.array(lengths, np.int64)
    emissions = Ragged(scale * random.standard_normal((int(lengths.sum()), size)), lengths)
    scores = [scale * random.standard_normal(shape) for shape in ((size, size), (size,), (size,))]
    names = ("allowed", "allowed_start", "allowed_end")
    masks = dict(zip(names, transitions(labels, scheme), strict=True)) if legal else {}
    chain = crf.chain_of(*scores, **masks)
    rules, names = span_rules(labels, scheme)
    listed = []
    for number, length in enumerate(lengths.tolist()):
        for _ in range(3):
            tags = [labels[i] for i in random.integers(0, size, length)]
            found = [(s.start, s.stop, names.index(s.type)) for s in spans(tags, scheme)]
            listed += [(number, *span) for span in found]
    columns = np.array(listed, np.int64).reshape(-1, 4).T
    return emissions, chain, StepSpans(*columns), rules


@PER_ENGINE
@given(
    scheme=st.sampled_from(SPANNING),
    lengths=st.lists(st.integers(0, 9), max_size=6),
    seed=SEEDS,
    legal=st.booleans(),
    scale=st.sampled_from([0.1, 2.0, 60.0]),
)
def test_every_engine_is_the_reference(engine, scheme, lengths, seed, legal, scale):
    emissions, chain, given, rules = draw(scheme, lengths, seed, legal=legal, scale=scale)
    found = marginals(emissions, chain, given, rules)
    close = {"rtol": 1e-8, "atol": 1e-11}
    np.testing.assert_allclose(found.labels, reference.marginals(emissions, chain), **close)
    right = span_marginals(emissions, chain, given, rules)
    np.testing.assert_allclose(found.spans, right, **close)
    assert (found.spans <= 1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_sequence_has_the_same_bits_in_every_batch(engine, threads):
    emissions, chain, given, rules = draw("iobes", [5, 31, 0, 1, 17, 2], 3, types=4)
    together = marginals(emissions, chain, given, rules, threads=threads)
    order = [4, 0, 3, 1, 2, 5]
    moved = [np.flatnonzero(given.sequences == number) for number in order]
    places = np.concatenate(moved)
    elsewhere = StepSpans(
        np.repeat(np.arange(6), list(map(len, moved))), *(part[places] for part in given[1:])
    )
    others = marginals(emissions.select(order), chain, elsewhere, rules, threads=threads)
    assert others.spans.tobytes() == together.spans[places].tobytes()
    for number in range(6):
        own = given.sequences == number
        alone = StepSpans(given.sequences[own] * 0, *(part[own] for part in given[1:]))
        found = marginals(emissions.select([number]), chain, alone, rules)
        assert found.spans.tobytes() == together.spans[own].tobytes()
        rows = slice(*emissions.offsets[number : number + 2])
        assert found.labels.tobytes() == together.labels[rows].tobytes()


def test_a_sequence_without_probabilities_leaves_the_others_alone(engine):
    emissions, chain, given, rules = draw("iob2", [3, 4, 2], 5)
    rows = emissions.values.copy()
    rows[4] = np.nan
    rows[7:] = -np.inf
    odd = emissions.with_values(rows)
    found, right = marginals(odd, chain, given, rules), marginals(emissions, chain, given, rules)
    assert (
        found.spans[given.sequences == 0].tobytes() == right.spans[given.sequences == 0].tobytes()
    )
    assert np.isnan(found.spans[given.sequences == 1]).all()
    assert (found.spans[given.sequences == 2] == 0).all()
    np.testing.assert_allclose(found.spans, span_marginals(odd, chain, given, rules), rtol=1e-12)


def test_a_type_that_no_label_has_is_never_marked(engine):
    emissions, chain, given, rules = draw("iob2", [3], 5)
    never = given._replace(types=given.types * 0 + 9)
    assert (marginals(emissions, chain, never, rules).spans == 0).all()


def test_a_long_span_of_improbable_labels_does_not_underflow_to_nonsense(engine):
    emissions, chain, _, rules = draw("iob2", [1000], 1, scale=3.0)
    long = StepSpans(*np.array([[0, 0], [0, 10], [1000, 990], [0, 0]]))
    found = marginals(emissions, chain, long, rules)
    np.testing.assert_allclose(
        found.spans, span_marginals(emissions, chain, long, rules), rtol=1e-8, atol=1e-300
    )


@pytest.mark.parametrize(
    ("span", "match"),
    [
        ((2, 0, 1, 0), "lie in it"),
        ((-1, 0, 1, 0), "lie in it"),
        ((0, 0, 4, 0), "lie in it"),
        ((0, -1, 1, 0), "lie in it"),
        ((0, 1, 1, 0), "have a step"),
    ],
)
def test_spans_outside_of_their_sequences_are_refused(engine, span, match):
    emissions, chain, _, rules = draw("iob2", [3, 1], 5)
    with pytest.raises(ShapeError, match=match):
        marginals(emissions, chain, StepSpans(*np.array([span]).T), rules)
    unsorted = StepSpans(*np.array([[1, 0, 1, 0], [0, 0, 1, 0]]).T)
    with pytest.raises(ShapeError, match="order"):
        marginals(emissions, chain, unsorted, rules)
    uneven = StepSpans(*unsorted[:3], np.zeros(1, np.int64))
    with pytest.raises(ShapeError, match="entries"):
        marginals(emissions, chain, uneven, rules)


@pytest.mark.parametrize("name", [name for name in isa.available() if name != isa.REFERENCE])
def test_the_module_refuses_what_it_cannot_read(name, monkeypatch):
    monkeypatch.setenv(isa.FORCE, name)
    native = isa.selected_engine()
    emissions, chain, _, rules = draw("iob2", [3, 1], 5)
    masks = [m.view(np.uint8).ravel() for m in (rules.first, rules.begins, rules.continues)]
    scores = crf.kernel_arguments(emissions, chain)
    one = [np.array([value]) for value in (0, 0, 1, 0)]

    def call(spans=one, types=rules.types, masks=masks):
        native.chain_spans(
            *scores, *spans, types, *masks, np.empty((4, 5)), np.empty(len(spans[0])), 1
        )

    call()
    for at, value in ((0, 2), (0, -1), (1, -1), (1, 1), (2, 4)):
        wrong = [part.copy() for part in one]
        wrong[at][0] = value
        with pytest.raises(ValueError, match="span"):
            call(wrong)
    with pytest.raises(ValueError, match="as many"):
        call([*one[:3], np.zeros(2, np.int64)])
    with pytest.raises(ValueError, match="as many labels"):
        call(types=rules.types[1:])
    with pytest.raises(ValueError, match="as many labels"):
        call(masks=[masks[0], masks[1][1:], masks[2]])
