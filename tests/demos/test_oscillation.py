"""The series against its equation, and what is possible against the normal equations."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.demos.oscillation import (
    DECAY,
    FIRST,
    PERIOD,
    SECOND,
    floor,
    floor_ahead,
    generate,
    stationary,
)
from birnn.errors import ConfigError


def autocovariances(lags):
    """From the answer to an impulse, which is a damped sine: sums of its products."""
    n, w = np.arange(2000), 2 * np.pi / PERIOD
    answer = DECAY**n * np.sin(w * (n + 1)) / np.sin(w)
    return np.array([answer[: len(n) - k] @ answer[k:] for k in range(lags)])


def left_over(values, steps):
    """Variance of a value given so many before it, the last of them ``steps`` earlier."""
    gamma = autocovariances(values + steps)
    at = np.arange(values)
    own, towards = gamma[np.abs(at[:, None] - at)], gamma[steps + at]
    return gamma[0] - towards @ np.linalg.solve(own, towards)


def test_the_stationary_state_is_that_of_the_impulses_sum():
    variance, next_to = stationary()
    gamma = autocovariances(2)
    np.testing.assert_allclose([variance, next_to], [gamma[0], gamma[1] / gamma[0]])


@pytest.mark.parametrize("length", [2, 3, 10, 40])
def test_floor_is_what_the_best_linear_forecast_leaves(length):
    expected = np.mean([left_over(values, 1) for values in range(1, length)])
    np.testing.assert_allclose(floor(length), np.sqrt(expected))


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 12, 40])
def test_floor_ahead_is_what_the_best_linear_forecast_leaves(steps):
    for values in (2, 15):
        np.testing.assert_allclose(floor_ahead(steps), np.sqrt(left_over(values, steps)))


def test_series_are_the_equation_with_standard_noise():
    count, length = 3000, 12
    x = np.stack([example.inputs[:, 0] for example in generate(count, 4, length=length)])
    noise = x[:, 2:] - FIRST * x[:, 1:-1] - SECOND * x[:, :-2]
    # five standard errors of a mean, and of a variance, of normal numbers
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.03
    # stationary from the first value on
    gamma = autocovariances(2)
    for t in range(length):
        assert abs(x[:, t].var() / gamma[0] - 1) < 5 * np.sqrt(2 / count)
    for t in range(length - 1):
        covariance = (x[:, t] * x[:, t + 1]).mean()
        assert abs(covariance - gamma[1]) < 5 * np.sqrt((gamma[0] ** 2 + gamma[1] ** 2) / count)


def test_seeds_repeat():
    assert generate(3, 5) == generate(3, 5)
    assert generate(3, 5) != generate(3, 6)
    assert [len(example) for example in generate(2, 1, length=1)] == [1, 1]
    assert generate(0, 1) == []


def test_bad_calls_are_refused():
    with pytest.raises(ConfigError, match="count is -1"):
        generate(-1, 0)
    with pytest.raises(ConfigError, match="length is 1, a series with a next value has 2"):
        floor(1)
