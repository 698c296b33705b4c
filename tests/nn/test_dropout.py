"""Variational dropout and word dropout: which numbers drop, how often, and what stays."""

# N rows of all sequences, B sequences, D width of a row

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.errors import ConfigError
from birnn.nn import SequenceNoise, VariationalDropout, WordDropout
from birnn.ragged import Ragged


def within(count, trials, chance):
    """Whether a binomial count is where it is but once in a hundred million draws (5.7 sigma)."""
    return abs(count - trials * chance) <= 5.7 * (trials * chance * (1 - chance)) ** 0.5


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_a_sequence_has_one_mask_for_all_its_steps(rate):
    batch = Ragged(torch.rand(9, 64) + 1, np.array([4, 0, 2, 3]))
    dropped = VariationalDropout(rate)(batch)
    masks = []
    for rows, kept in zip(batch, dropped, strict=True):
        if len(rows):
            ratios = kept / rows
            assert torch.allclose(ratios, ratios[:1].expand_as(ratios))
            masks.append(ratios[0])
    # 64 units each: that two sequences draw the same mask has no chance.
    assert not torch.equal(masks[0] > 0, masks[1] > 0)
    assert not torch.equal(masks[1] > 0, masks[2] > 0)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_units_drop_at_the_rate_and_the_expectation_stays(rate):
    batch = Ragged(torch.ones(400, 100), np.ones(400, np.int64))
    values = VariationalDropout(rate)(batch).values
    assert within(int((values == 0).sum()), 40_000, rate)
    torch.testing.assert_close(values[values > 0].unique(), torch.tensor([1 / (1 - rate)]))


def test_dropout_is_off_in_evaluation_and_at_rate_0():
    batch = Ragged(torch.rand(3, 4), np.array([3]))
    assert VariationalDropout(0.5).eval()(batch) is batch
    assert VariationalDropout(0.0)(batch) is batch


def test_the_gradient_passes_where_units_stay():
    rows = torch.ones(3, 50, requires_grad=True)
    dropped = VariationalDropout(0.5)(Ragged(rows, np.array([2, 1])))
    dropped.values.sum().backward()
    assert torch.equal(rows.grad, dropped.values.detach())


@pytest.mark.parametrize("lengths", [[], [0, 0]])
def test_dropout_of_nothing(lengths):
    batch = Ragged(torch.zeros(0, 4), np.array(lengths, np.int64))
    assert VariationalDropout(0.5)(batch).values.shape == (0, 4)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_rates_that_cannot_be_are_refused(rate):
    with pytest.raises(ConfigError, match=f"below 1, got {rate}"):
        VariationalDropout(rate)
    with pytest.raises(ConfigError, match=f"below 1, got {rate}"):
        WordDropout([1], rate=rate)


@pytest.mark.parametrize(("strength", "rate"), [(0.25, 0.0), (1.0, 0.1), (0.0, 0.3)])
def test_words_drop_as_often_as_their_count_says(strength, rate):
    counts = np.array([0, 1, 3, 100])
    trials = 20_000
    dropout = WordDropout(counts, strength=strength, rate=rate)
    ids = torch.arange(1, 4).repeat(trials)
    found = dropout(ids).view(trials, 3)
    for column, count in enumerate(counts[1:]):
        kept = (1 - strength / (strength + count)) * (1 - rate)
        zeros = int((found[:, column] == 0).sum())
        assert within(zeros, trials, 1 - kept)
        assert zeros + int((found[:, column] == column + 1).sum()) == trials


def test_each_occurrence_drops_on_its_own():
    ids = torch.ones(64, dtype=torch.int64)
    found = WordDropout([0, 1], rate=0.5)(ids)
    assert 0 < int(found.sum()) < 64


def test_words_stay_in_evaluation():
    ids = torch.arange(4)
    assert torch.equal(WordDropout([1] * 4, strength=5.0, rate=0.9).eval()(ids), ids)


def test_no_setting_drops_no_word():
    ids = torch.arange(1, 4).repeat(1000)
    assert torch.equal(WordDropout([0, 0, 1, 2])(ids), ids)


def test_chances_are_no_part_of_a_model():
    assert not WordDropout([1, 2], strength=0.25).state_dict()


def test_noise_is_fresh_and_a_shift_is_shared():
    x = Ragged(torch.zeros(6000, 2), np.array([3] * 2000))
    shifted = SequenceNoise(shift=0.5)(x).values.view(2000, 3, 2)
    assert torch.equal(shifted, shifted[:, :1].expand_as(shifted))
    assert abs(shifted.std().item() - 0.5) < 0.05
    noisy = SequenceNoise(noise=0.2)(x).values.view(2000, 3, 2)
    assert abs(noisy.std().item() - 0.2) < 0.02
    assert abs((noisy[:, 0] * noisy[:, 1]).mean().item()) < 0.005
    assert SequenceNoise(noise=0.2, shift=0.5).eval()(x) is x
    with pytest.raises(ConfigError, match="deviation"):
        SequenceNoise(noise=-1.0)
