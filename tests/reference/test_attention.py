"""Attention against its laws, and its gradients against central differences."""

# N query rows, M memory rows, H width of a query, W of a memory row

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ConfigError
from birnn.ragged import Ragged
from birnn.reference import attention

SEEDS = st.integers(0, 2**32 - 1)
BATCHES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=5)
KINDS = pytest.mark.parametrize("kind", attention.KINDS)
SIZES = {"additive": (3, 4, 5), "general": (3, 4, None), "dot": (4, 4, None)}
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def draw(kind, batch, seed):
    """Parameters, queries and memory of so many rows for each source."""
    random = np.random.default_rng(seed)
    own = np.array(batch, np.int64).reshape(-1, 2)
    query_size, memory_size, _ = SIZES[kind]
    queries, memory = (
        Ragged(random.standard_normal((int(lengths.sum()), width)), lengths)
        for lengths, width in zip(own.T, (query_size, memory_size), strict=True)
    )
    shapes = attention.shapes(kind, *SIZES[kind])
    return {n: random.standard_normal(s) for n, s in shapes.items()}, queries, memory


def score(kind, parameters, h, m):
    """Of one query row and one memory row, number by number."""
    if kind == "dot":
        return math.fsum(a * b for a, b in zip(h, m, strict=True))
    if kind == "general":
        weight = parameters["weight"]
        terms = [weight[w, i] * h[i] * m[w] for w in range(m.shape[0]) for i in range(h.shape[0])]
        return math.fsum(terms)
    query = [math.fsum(row * h) for row in parameters["query.weight"]]
    key = [math.fsum(row * m) for row in parameters["key.weight"]]
    sums = zip(query, key, parameters["key.bias"], strict=True)
    hidden = [math.tanh(q + k + b) for q, k, b in sums]
    return math.fsum(v * t for v, t in zip(parameters["vector"], hidden, strict=True))


@KINDS
@given(batch=BATCHES, seed=SEEDS)
def test_contexts_and_weights_are_the_definition_number_by_number(kind, batch, seed):
    parameters, queries, memory = draw(kind, batch, seed)
    found = attention.run(kind, parameters, queries, memory)
    weights = []
    for own, rows, contexts in zip(
        queries, memory, queries.with_values(found.contexts), strict=True
    ):
        for h, context in zip(own, contexts, strict=True):
            powers = [math.exp(score(kind, parameters, h, m)) for m in rows]
            shares = [power / math.fsum(powers) for power in powers]
            weights += shares
            expected = sum((s * m for s, m in zip(shares, rows, strict=True)), 0 * context)
            np.testing.assert_allclose(context, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-9, atol=1e-12)


@KINDS
@given(batch=BATCHES, seed=SEEDS)
def test_the_weights_of_a_query_are_of_its_source_alone_and_sum_to_one(kind, batch, seed):
    parameters, queries, memory = draw(kind, batch, seed)
    weights = attention.run(kind, parameters, queries, memory).weights
    assert weights.shape == (sum(q * s for q, s in batch),)
    assert (weights >= 0).all()
    first = 0
    for count, rows in batch:
        own = weights[first : first + count * rows].reshape(count, rows)
        np.testing.assert_allclose(own.sum(axis=1), np.full(count, float(rows > 0)), **CLOSE)
        first += count * rows


@KINDS
@given(batch=BATCHES, seed=SEEDS, data=st.data())
def test_a_query_does_not_depend_on_the_batch_or_on_how_queries_are_grouped(
    kind, batch, seed, data
):
    parameters, queries, memory = draw(kind, batch, seed)
    projected, keys, vector = attention._project(kind, parameters, queries, memory)
    whole = queries.with_values(
        attention.attend(projected, keys, memory.values, vector_A=vector).contexts
    )
    order = data.draw(st.permutations(range(len(batch))))
    moved = attention.attend(
        projected.select(order), keys.select(order), memory.select(order).values, vector_A=vector
    )
    assert moved.contexts.tobytes() == whole.select(order).values.tobytes()
    # One query at a time: each is the only one of a source of its own.
    each = projected.sequence_of_row
    steps = Ragged(projected.values, np.ones_like(each))
    alone = attention.attend(steps, keys.select(each), memory.select(each).values, vector_A=vector)
    assert alone.contexts.tobytes() == whole.values.tobytes()


@KINDS
def test_the_order_of_a_source_s_rows_moves_the_weights_alone(kind):
    parameters, queries, memory = draw(kind, [(2, 5)], 0)
    found = attention.run(kind, parameters, queries, memory)
    order = [3, 0, 4, 1, 2]
    other = attention.run(kind, parameters, queries, memory.with_values(memory.values[order]))
    np.testing.assert_allclose(other.contexts, found.contexts, **CLOSE)
    np.testing.assert_allclose(
        other.weights.reshape(2, 5), found.weights.reshape(2, 5)[:, order], **CLOSE
    )


@KINDS
def test_nan_in_one_source_stays_in_it(kind):
    parameters, queries, memory = draw(kind, [(2, 3), (2, 3), (1, 0)], 1)
    expected = attention.run(kind, parameters, queries, memory)
    memory.values[1, 0] = np.nan
    found = attention.run(kind, parameters, queries, memory)
    assert np.isnan(found.contexts[:2]).any(axis=1).all()
    assert np.isnan(found.weights[:6]).all()
    np.testing.assert_array_equal(found.contexts[2:], expected.contexts[2:])
    np.testing.assert_array_equal(found.weights[6:], expected.weights[6:])
    ones = np.ones((5, memory.values.shape[1]))
    changed = attention.gradients(kind, parameters, queries, memory, ones)
    assert np.isfinite(changed.queries[2:]).all()
    assert np.isfinite(changed.memory[3:]).all()


def test_scores_of_any_size_give_weights():
    queries = Ragged(np.array([[1e200], [1.0]]), np.array([2]))
    keys = Ragged(np.array([[1e200], [-1e200], [1.0]]), np.array([3]))
    keys.values[0] = 1e100
    found = attention.attend(queries, keys, np.eye(3))
    np.testing.assert_array_equal(found.contexts, [[1, 0, 0], [1, 0, 0]])
    # What infinities leave is what IEEE arithmetic has.
    keys.values[:] = [[-np.inf], [0.0], [0.0]]
    one = attention.attend(Ragged(np.ones((1, 1)), np.array([1])), keys, np.eye(3))
    np.testing.assert_array_equal(one.weights, [0.0, 0.5, 0.5])
    keys.values[:] = -np.inf
    assert np.isnan(attention.attend(queries, keys, np.eye(3)).weights).all()


@KINDS
@given(batch=BATCHES, seed=SEEDS)
def test_gradients_are_central_differences(kind, batch, seed):
    parameters, queries, memory = draw(kind, batch, seed)
    random = np.random.default_rng(seed)
    start = attention.run(kind, parameters, queries, memory)
    given = [random.standard_normal(part.shape) for part in start]

    def loss():
        found = attention.run(kind, parameters, queries, memory)
        return sum((d * part).sum() for d, part in zip(given, found, strict=True))

    found = attention.gradients(kind, parameters, queries, memory, given[0], d_weights_P=given[1])
    assert found.parameters.keys() == parameters.keys()
    pairs = [(queries.values, found.queries), (memory.values, found.memory)]
    pairs += [(parameters[name], found.parameters[name]) for name in parameters]
    for array, gradient in pairs:
        assert gradient.shape == array.shape
        if not array.size:
            continue
        # A few numbers of each array: a random direction would let errors of two cancel.
        for at in random.integers(0, array.size, 3):
            before, step = array.flat[at], 1e-5
            array.flat[at] = before + step
            above = loss()
            array.flat[at] = before - step
            slope = (above - loss()) / (2 * step)
            array.flat[at] = before
            np.testing.assert_allclose(gradient.flat[at], slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("adaptive", 3, 3), "'adaptive'.*additive"),
        (("dot", 3, 4), "3 wide and memory 4 wide"),
        (("additive", 3, 4), "additive attention needs a size"),
        (("general", 3, 4, 5), "general attention has no size"),
        (("general", 0, 4), "whole numbers from 1 on, got 0, 4"),
        (("additive", 3, 4, 2.0), "got 3, 4, 2.0"),
    ],
)
def test_what_is_no_attention_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        attention.shapes(*arguments)
