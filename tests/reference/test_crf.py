"""The CRF against the enumeration of all tag sequences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.ragged import Ragged
from birnn.reference import crf
from birnn.reference.crf import Chain

SEEDS = st.integers(0, 2**32 - 1)
LABELS = st.integers(1, 3)
LENGTHS = st.lists(st.integers(0, 4), max_size=4)
MASKED = st.booleans()


def draw(labels, lengths, seed, masked=False):
    """A batch and a chain; masked chains forbid about a third, so now and then everything."""
    rng = np.random.default_rng(seed)
    lengths = np.array(lengths, dtype=np.int64)
    emissions = Ragged(2 * rng.standard_normal((int(lengths.sum()), labels)), lengths)
    shapes = ((labels, labels), (labels,), (labels,))
    scores = [rng.standard_normal(shape) for shape in shapes]
    masks = [rng.random(shape) > 0.35 if masked else None for shape in shapes]
    names = ("allowed", "allowed_start", "allowed_end")
    return emissions, Chain.of(*scores, **dict(zip(names, masks, strict=True)))


def enumerate_scores(rows_TL, chain):
    """Score of every tag sequence of one sequence, by the definition."""
    steps, labels = rows_TL.shape
    if steps == 0:
        return {(): 0.0}
    return {
        tags: chain.start[tags[0]]
        + sum(rows_TL[t, tag] for t, tag in enumerate(tags))
        + sum(chain.transitions[pair] for pair in itertools.pairwise(tags))
        + chain.end[tags[-1]]
        for tags in itertools.product(range(labels), repeat=steps)
    }


def log_of_sum(scores):
    total = math.fsum(math.exp(score) for score in scores)
    return math.log(total) if total else -math.inf


@given(labels=LABELS, lengths=LENGTHS, seed=SEEDS, masked=MASKED)
def test_log_partition_sums_over_all_tag_sequences(labels, lengths, seed, masked):
    emissions, chain = draw(labels, lengths, seed, masked)
    expected = [log_of_sum(enumerate_scores(rows, chain).values()) for rows in emissions]
    found = crf.log_partition(emissions, chain)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@given(labels=LABELS, lengths=LENGTHS, seed=SEEDS, masked=MASKED)
def test_score_is_the_definition(labels, lengths, seed, masked):
    emissions, chain = draw(labels, lengths, seed, masked)
    tags_N = np.random.default_rng(seed).integers(0, labels, emissions.values.shape[0])
    expected = [
        enumerate_scores(rows, chain)[tuple(tags.tolist())]
        for rows, tags in zip(emissions, emissions.with_values(tags_N), strict=True)
    ]
    found = crf.score(emissions, tags_N, chain)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@given(labels=LABELS, lengths=LENGTHS, seed=SEEDS, masked=MASKED)
def test_marginals_sum_over_all_tag_sequences(labels, lengths, seed, masked):
    emissions, chain = draw(labels, lengths, seed, masked)
    found = emissions.with_values(crf.marginals(emissions, chain))
    for rows, marginals in zip(emissions, found, strict=True):
        expected = np.zeros(rows.shape)
        scores = enumerate_scores(rows, chain)
        partition = log_of_sum(scores.values())
        for tags, score in scores.items():
            if score > -math.inf:
                expected[range(len(tags)), tags] += math.exp(score - partition)
        np.testing.assert_allclose(marginals, expected, rtol=1e-10, atol=1e-12)


@given(labels=LABELS, lengths=LENGTHS, seed=SEEDS, masked=MASKED)
def test_viterbi_finds_the_best_of_all_tag_sequences(labels, lengths, seed, masked):
    emissions, chain = draw(labels, lengths, seed, masked)
    tags, scores = crf.viterbi(emissions, chain)
    for rows, found, score in zip(emissions, tags, scores, strict=True):
        everything = enumerate_scores(rows, chain)
        best = max(everything.values())
        np.testing.assert_allclose(score, best, rtol=1e-12, atol=1e-12)
        if best > -math.inf:
            np.testing.assert_allclose(everything[tuple(found.tolist())], best, rtol=1e-12)


@given(labels=LABELS, lengths=LENGTHS, seed=SEEDS, masked=MASKED, k=st.integers(1, 100))
def test_nbest_finds_the_k_best_of_all_tag_sequences(labels, lengths, seed, masked, k):
    emissions, chain = draw(labels, lengths, seed, masked)
    for rows, hypotheses in zip(emissions, crf.nbest(emissions, chain, k), strict=True):
        everything = enumerate_scores(rows, chain)
        legal = sorted((s for s in everything.values() if s > -math.inf), reverse=True)
        np.testing.assert_allclose([score for _, score in hypotheses], legal[:k], atol=1e-12)
        found = [tuple(tags.tolist()) for tags, _ in hypotheses]
        assert len(set(found)) == len(found)
        for tags, (_, score) in zip(found, hypotheses, strict=True):
            np.testing.assert_allclose(everything[tags], score, rtol=1e-12, atol=1e-12)


def test_the_best_of_nbest_is_the_viterbi_path():
    emissions, chain = draw(5, [9, 1, 0, 30], 4)
    tags, scores = crf.viterbi(emissions, chain)
    for path, score, found in zip(tags, scores, crf.nbest(emissions, chain, 3), strict=True):
        np.testing.assert_array_equal(found[0][0], path)
        assert found[0][1] == score


def test_among_equals_the_lowest_last_label_wins():
    zeros = Chain.of(np.zeros((3, 3)), np.zeros(3), np.zeros(3))
    tags, _ = crf.viterbi(Ragged(np.zeros((4, 3)), np.array([4])), zeros)
    assert tags.values.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_is_the_central_difference_of_the_log_likelihood(masked):
    labels, epsilon = 3, 1e-6
    rng = np.random.default_rng(8)
    emissions, chain = draw(labels, [3, 0, 1, 4], 8)
    if masked:
        # Labels 0, 1, 2, 0, ... stay legal, 2 -> 1 does not.
        allowed = np.ones((3, 3), bool)
        allowed[2, 1] = False
        chain = Chain.of(chain.transitions, chain.start, chain.end, allowed=allowed)
    tags_N = np.array([0, 1, 2, 1, 1, 2, 0, 1]) if masked else rng.integers(0, labels, 8)
    found = crf.gradient(emissions, tags_N, chain)
    np.testing.assert_allclose(
        found.log_likelihood,
        crf.score(emissions, tags_N, chain) - crf.log_partition(emissions, chain),
        rtol=1e-12,
    )
    assert (found.log_likelihood <= 1e-12).all()
    values = {
        "emissions": emissions.values,
        "transitions": chain.transitions,
        "start": chain.start,
        "end": chain.end,
    }
    for name, array in values.items():
        for place in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = {key: value.copy() for key, value in values.items()}
                moved[name][place] += sign * epsilon
                batch = emissions.with_values(moved.pop("emissions"))
                other = Chain(**moved)
                ratio = crf.score(batch, tags_N, other) - crf.log_partition(batch, other)
                sides.append(ratio.sum())
            expected = (sides[0] - sides[1]) / (2 * epsilon)
            np.testing.assert_allclose(
                getattr(found, name)[place], expected, rtol=1e-6, atol=1e-8, err_msg=name
            )


@given(labels=LABELS, lengths=LENGTHS, seed=SEEDS, masked=MASKED)
def test_a_sequence_has_the_same_bits_alone_and_in_any_batch(labels, lengths, seed, masked):
    emissions, chain = draw(labels, lengths, seed, masked)
    partition, marginals = crf.log_partition(emissions, chain), crf.marginals(emissions, chain)
    tags, scores = crf.viterbi(emissions, chain)
    hypotheses = crf.nbest(emissions, chain, 4)
    for i, rows in enumerate(emissions):
        alone = Ragged(rows, emissions.lengths[i : i + 1])
        here = emissions.offsets[i], emissions.offsets[i + 1]
        assert crf.log_partition(alone, chain)[0] == partition[i]
        np.testing.assert_array_equal(crf.marginals(alone, chain), marginals[slice(*here)])
        path, score = crf.viterbi(alone, chain)
        np.testing.assert_array_equal(path.values, tags.values[slice(*here)])
        assert score[0] == scores[i]
        (single,) = crf.nbest(alone, chain, 4)
        assert [(t.tolist(), s) for t, s in single] == [(t.tolist(), s) for t, s in hypotheses[i]]


def test_many_labels_have_the_same_bits_alone_and_in_a_batch():
    emissions, chain = draw(23, [5, 31, 0, 1, 17], 3)
    partition, marginals = crf.log_partition(emissions, chain), crf.marginals(emissions, chain)
    for i, rows in enumerate(emissions):
        alone = Ragged(rows, emissions.lengths[i : i + 1])
        here = slice(emissions.offsets[i], emissions.offsets[i + 1])
        assert crf.log_partition(alone, chain)[0] == partition[i]
        np.testing.assert_array_equal(crf.marginals(alone, chain), marginals[here])


def test_nan_and_infinity_stay_in_their_sequence():
    emissions, chain = draw(3, [3, 2, 4, 2], 5)
    clean = emissions.with_values(emissions.values.copy())
    emissions.values[3:5] = np.nan
    emissions.values[6, 1] = np.inf
    partition, marginals = crf.log_partition(emissions, chain), crf.marginals(emissions, chain)
    assert np.isnan(partition[1])
    assert np.isnan(marginals[3:5]).all()
    assert crf.nbest(emissions, chain, 2)[1] == []
    rows = [0, 1, 2, 9, 10]
    np.testing.assert_array_equal(partition[[0, 3]], crf.log_partition(clean, chain)[[0, 3]])
    np.testing.assert_array_equal(marginals[rows], crf.marginals(clean, chain)[rows])
    tags, scores = crf.viterbi(emissions, chain)
    clean_tags, clean_scores = crf.viterbi(clean, chain)
    np.testing.assert_array_equal(tags.values[rows], clean_tags.values[rows])
    np.testing.assert_array_equal(scores[[0, 3]], clean_scores[[0, 3]])


@pytest.mark.parametrize("offset", [1e4, -1e4])
def test_large_scores_neither_overflow_nor_vanish(offset):
    # A constant on every emission of a step moves the partition by it and no marginal.
    emissions, chain = draw(4, [6, 3], 6)
    moved = emissions.map(lambda values: values + offset)
    np.testing.assert_allclose(
        crf.log_partition(moved, chain),
        crf.log_partition(emissions, chain) + offset * emissions.lengths,
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        crf.marginals(moved, chain), crf.marginals(emissions, chain), atol=1e-9
    )


def test_where_nothing_is_allowed():
    emissions, chain = draw(2, [3, 1, 0], 7)
    chain = Chain.of(
        chain.transitions, chain.start, chain.end, allowed=np.zeros((2, 2), dtype=bool)
    )
    partition = crf.log_partition(emissions, chain)
    assert partition[0] == -np.inf
    assert np.isfinite(partition[1])
    assert partition[2] == 0
    marginals = crf.marginals(emissions, chain)
    assert not marginals[:3].any()
    np.testing.assert_allclose(marginals[3].sum(), 1, rtol=1e-12)
    assert crf.viterbi(emissions, chain).scores[0] == -np.inf
    assert [len(found) for found in crf.nbest(emissions, chain, 3)] == [0, 2, 1]


def test_the_empty_batch():
    emissions, chain = draw(2, [], 0)
    assert crf.log_partition(emissions, chain).shape == (0,)
    assert crf.marginals(emissions, chain).shape == (0, 2)
    assert crf.viterbi(emissions, chain).tags.values.shape == (0,)
    assert crf.nbest(emissions, chain, 2) == []
    assert not crf.gradient(emissions, np.zeros(0, np.int64), chain).transitions.any()


def test_float32_emissions_are_computed_in_float64():
    emissions, chain = draw(3, [5, 2], 9)
    single = emissions.map(lambda values: values.astype(np.float32))
    double = single.map(lambda values: values.astype(np.float64))
    np.testing.assert_array_equal(
        crf.log_partition(single, chain), crf.log_partition(double, chain)
    )
    assert crf.marginals(single, chain).dtype == np.float64
