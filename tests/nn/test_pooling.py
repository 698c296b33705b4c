"""Pooling and attention against a loop over the sequences."""

# N rows of all sequences, B sequences, W width of a row, A hidden units of the attention

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn.nn import AdditiveAttention, LinearAttention, pool
from birnn.nn.pooling import segment_softmax
from birnn.ragged import Ragged

LENGTHS = st.lists(st.integers(0, 5), max_size=5)


def one_by_one(name, batch, final):
    """Each sequence by itself; zeros where there is nothing to pool."""
    parts = {
        "last": lambda rows, state: state,
        "max": lambda rows, state: rows.max(dim=0).values if len(rows) else torch.zeros(3),
        "mean": lambda rows, state: rows.mean(dim=0) if len(rows) else torch.zeros(3),
    }
    pooled = [
        torch.cat([parts[part](rows, state).double() for part in name.split("+")])
        for rows, state in zip(batch, final, strict=True)
    ]
    return torch.stack(pooled) if pooled else torch.zeros(0, 3 * len(name.split("+"))).double()


@pytest.mark.parametrize("name", ["last", "max", "mean", "last+max+mean"])
@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_pools_are_those_of_each_sequence_by_itself(draw, name, lengths, seed):
    batch = draw(lengths, 3, seed)
    final = torch.from_numpy(np.random.default_rng(seed).standard_normal((len(lengths), 3)))
    torch.testing.assert_close(pool(name, batch, final), one_by_one(name, batch, final))


def test_the_largest_of_negative_values_is_negative():
    batch = Ragged(torch.tensor([[-3.0], [-1.0]]), np.array([2, 0]))
    assert pool("max", batch, torch.zeros(2, 1)).tolist() == [[-1.0], [0.0]]


@pytest.mark.parametrize("name", ["max", "mean", "last+max+mean", "additive", "linear"])
def test_gradients_are_central_differences_with_empty_sequences(draw, randomised, name):
    batch = draw([2, 0, 3, 0], 3)
    final = torch.zeros(4, 3).double()
    made = {"additive": lambda: AdditiveAttention(3, 2), "linear": lambda: LinearAttention(3)}
    attention = randomised(made[name]()) if name in made else None

    def pooled(rows):
        ragged = Ragged(rows, batch.lengths)
        return pool(name, ragged, final) if attention is None else attention(ragged)

    assert torch.autograd.gradcheck(pooled, batch.values.clone().requires_grad_())


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_a_batch_without_rows_pools_to_zeros_with_finite_gradients(draw, lengths):
    rows = draw(lengths, 3).values.requires_grad_()
    batch = Ragged(rows, np.array(lengths, np.int64))
    both = AdditiveAttention(3, 2).double(), LinearAttention(3).double()
    pooled = torch.cat(
        [
            pool("max+mean", batch, torch.zeros(len(lengths), 3)),
            *(attention(batch) for attention in both),
        ],
        dim=1,
    )
    assert pooled.tolist() == [[0.0] * 12] * len(lengths)
    pooled.sum().backward()
    for parameter in (*both[0].parameters(), *both[1].parameters()):
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("score", ["additive", "linear"])
@settings(max_examples=15)
@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_attention_is_that_of_each_sequence_by_itself(draw, randomised, score, lengths, seed):
    attention = AdditiveAttention(3, 4) if score == "additive" else LinearAttention(3)
    attention = randomised(attention, seed)
    batch = draw(lengths, 3, seed)
    pooled, weights = attention(batch), batch.with_values(attention.weights(batch))
    own = {name: parameter.detach() for name, parameter in attention.named_parameters()}

    def read(row):
        return torch.tanh(own["weight"] @ row + own["bias"]) if score == "additive" else row

    for rows, found, shares in zip(batch, pooled, weights, strict=True):
        expected = torch.tensor([float(own["query"] @ read(row)) for row in rows])
        expected = expected.double().softmax(dim=0)
        torch.testing.assert_close(shares, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(
            found, (expected[:, None] * rows).sum(dim=0), rtol=1e-6, atol=1e-6
        )


def test_softmax_of_very_large_scores_is_finite():
    scores = torch.tensor([1e4, -1e4, -1e4, 3e4], requires_grad=True)
    batch = Ragged(torch.zeros(4, 1), np.array([2, 0, 2]))
    weights = segment_softmax(scores, batch)
    assert weights.tolist() == [1.0, 0.0, 0.0, 1.0]
    weights.square().sum().backward()
    assert scores.grad.isfinite().all()


def test_softmax_gradients_are_central_differences(draw):
    scores = draw([6], 1).values.squeeze(1).requires_grad_()
    batch = Ragged(torch.zeros(6, 1), np.array([3, 0, 1, 2]))
    assert torch.autograd.gradcheck(lambda s: segment_softmax(s, batch), scores)


def test_nan_stays_in_its_sequence(draw, randomised):
    batch = draw([2, 3, 1], 3)
    batch.values[3, 1] = float("nan")
    attention = randomised(AdditiveAttention(3, 2))
    for pooled in (pool("max", batch, torch.zeros(3, 3)), attention(batch)):
        assert pooled.isnan().any(dim=1).tolist() == [False, True, False]
