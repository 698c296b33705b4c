"""The checked calls of the CRF: the reference behind, faults in front."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.errors import ConfigError, ShapeError
from birnn.kernels import crf
from birnn.ragged import Ragged
from birnn.reference import crf as reference

LABELS = 3


@pytest.fixture
def problem():
    rng = np.random.default_rng(2)
    lengths = np.array([4, 0, 2])
    shapes = ((LABELS, LABELS), (LABELS,), (LABELS,))
    emissions = Ragged(rng.standard_normal((6, LABELS)).astype(np.float32), lengths)
    masks = [rng.random(shape) > 0.2 for shape in shapes]
    names = ("allowed", "allowed_start", "allowed_end")
    scores = tuple(rng.standard_normal(shape) for shape in shapes)
    return emissions, scores, dict(zip(names, masks, strict=True))


def test_every_call_is_the_reference(problem):
    emissions, scores, masks = problem
    chain = reference.Chain.of(*scores, **masks)
    np.testing.assert_array_equal(
        crf.log_partition(emissions, *scores, **masks), reference.log_partition(emissions, chain)
    )
    np.testing.assert_array_equal(
        crf.marginals(emissions, *scores, **masks), reference.marginals(emissions, chain)
    )
    found, expected = crf.viterbi(emissions, *scores, **masks), reference.viterbi(emissions, chain)
    np.testing.assert_array_equal(found.tags.values, expected.tags.values)
    np.testing.assert_array_equal(found.scores, expected.scores)
    best = [[(t.tolist(), s) for t, s in one] for one in reference.nbest(emissions, chain, 3)]
    assert [
        [(t.tolist(), s) for t, s in one] for one in crf.nbest(emissions, *scores, k=3, **masks)
    ] == best


@pytest.mark.parametrize("call", [crf.log_partition, crf.marginals, crf.viterbi])
def test_everything_that_is_wrong_is_named_at_once(problem, call):
    emissions, (transitions, start, end), masks = problem
    masks["allowed_start"] = masks["allowed_start"].astype(np.int64)
    with pytest.raises(ShapeError) as caught:
        call(emissions, transitions[:2], start, end[:1], **masks)
    message = str(caught.value)
    assert "transitions has shape (2, 3), for 3 labels it is (3, 3)" in message
    assert "end has shape (1,)" in message
    assert "allowed of start" in message
    assert "bool" in message


def test_emissions_must_be_rows_of_scores(problem):
    _, scores, _ = problem
    with pytest.raises(ShapeError, match="one score for each label"):
        crf.viterbi(Ragged(np.zeros(4), np.array([4])), *scores)
    with pytest.raises(ShapeError, match="emissions are int64"):
        crf.viterbi(Ragged(np.zeros((4, 3), np.int64), np.array([4])), *scores)


def test_k_must_be_positive(problem):
    emissions, scores, _ = problem
    with pytest.raises(ConfigError, match="k is 0"):
        crf.nbest(emissions, *scores, k=0)
