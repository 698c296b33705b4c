"""The prices against their law, and the best reader against every course that regimes can take."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from birnn.demos import forecast, prices, run
from birnn.demos.demo import Size
from birnn.demos.prices import (
    DRIFT,
    LENGTH,
    REGIMES,
    STRETCHES,
    VOLATILITY,
    WEEKS,
    ceiling_by_position,
    floor,
    floor_ahead,
    generate,
    naive_error,
    regimes_given,
)
from birnn.errors import ConfigError

TINY = Size(train=40, test=10, epochs=2)
STAY = np.array([1 - 1 / weeks for weeks in WEEKS])
NEXT_RR = np.array([[STAY[0], 1 - STAY[0]], [1 - STAY[1], STAY[1]]])
# The share of a regime in the long run, by running the chain until it forgets where it began.
LONG_RUN_R = np.linalg.matrix_power(NEXT_RR, 1000)[0]


def drawn(count, seed, **options):
    """Changes (B, T) and numbers of the regimes (B, T)."""
    samples = generate(count, seed, **options)
    changes_BT = np.stack([sample.example.inputs[:, 0] for sample in samples])
    return changes_BT.astype(float), np.array(
        [[REGIMES.index(tag) for tag in sample.example.target] for sample in samples]
    )


def by_enumeration(change_T, known):
    """Chance of falling at each step from the changes up to ``known(t)``, over all courses."""

    def density(change, regime):
        z = (change - DRIFT[regime]) / VOLATILITY[regime]
        return np.exp(-0.5 * z * z) / VOLATILITY[regime]

    chances = []
    for t in range(len(change_T)):
        weights = [0.0, 0.0]
        for course in itertools.product((0, 1), repeat=len(change_T)):
            weight = LONG_RUN_R[course[0]]
            for one, other in itertools.pairwise(course):
                weight *= NEXT_RR[one, other]
            for change, regime in list(zip(change_T, course, strict=True))[: known(t)]:
                weight *= density(change, regime)
            weights[course[t]] += weight
        chances.append(weights[1] / sum(weights))
    return chances


def test_the_best_reader_is_the_sum_over_every_course():
    changes_BT, _ = drawn(3, 6, length=7)
    for change_T in changes_BT:
        for both, known in ((False, lambda t: t + 1), (True, lambda _: 7)):
            found_TR = regimes_given(change_T, both=both)
            np.testing.assert_allclose(found_TR.sum(axis=1), 1)
            np.testing.assert_allclose(found_TR[:, 1], by_enumeration(change_T, known))
    assert regimes_given(np.zeros(0), both=True).shape == (0, 2)


def test_changes_are_those_of_their_regimes():
    changes_BT, regimes_BT = drawn(3000, 4)
    for regime, (drift, volatility) in enumerate(zip(DRIFT, VOLATILITY, strict=True)):
        of_regime = changes_BT[regimes_BT == regime]
        assert abs(of_regime.mean() - drift) < 5 * volatility / np.sqrt(of_regime.size)
        assert abs(of_regime.std() / volatility - 1) < 5 / np.sqrt(2 * of_regime.size)
        before_BT, after_BT = regimes_BT[:, :-1], regimes_BT[:, 1:]
        stayed = (after_BT == regime)[before_BT == regime]
        assert abs(stayed.mean() - STAY[regime]) < 5 * 0.5 / np.sqrt(stayed.size)
    # stationary from the first step on
    for t in (0, LENGTH - 1):
        assert abs((regimes_BT[:, t] == 1).mean() - LONG_RUN_R[1]) < 5 * 0.5 / np.sqrt(3000)
    assert np.mean(np.square(changes_BT)) == pytest.approx(naive_error() ** 2, rel=0.02)


def test_the_ceilings_are_what_the_best_readers_reach():
    changes_BT, regimes_BT = drawn(1500, 9)
    for both in (False, True):
        answers_BT = regimes_given(changes_BT, both=both).argmax(axis=-1)
        share_T = (answers_BT == regimes_BT).mean(axis=0)
        # of a share of 1500 answers, and of a thousand chances
        allowed = 5 * np.sqrt(0.25 / 1500 + 0.02 / 1000)
        assert np.abs(share_T - ceiling_by_position(both=both)).max() < allowed


def test_the_floors_are_what_the_best_forecasts_leave():
    changes_BT, _ = drawn(2000, 8)
    known_BTR = regimes_given(changes_BT, both=False)
    for steps, first, expected in (
        (1, 0, floor()),
        (1, LENGTH // 2, floor_ahead(1)),
        (6, LENGTH // 2, floor_ahead(6)),
    ):
        # The chances of the regimes in the steps to come give the mean of the changes to come.
        mean_R = sum(np.linalg.matrix_power(NEXT_RR, j) @ DRIFT for j in range(1, steps + 1))
        sums_BT = np.lib.stride_tricks.sliding_window_view(changes_BT[:, 1:], steps, axis=1).sum(2)
        forecast_BT = known_BTR[:, : sums_BT.shape[1]] @ mean_R
        error = np.sqrt(np.square(sums_BT - forecast_BT)[:, first:].mean())
        assert error == pytest.approx(expected, rel=0.02)
    assert floor() < naive_error()


def test_groups_are_all_steps_once_and_say_what_is_known():
    places = [at for first, last in STRETCHES for at in range(first, last + 1)]
    assert places == list(range(1, LENGTH + 1))
    limit = prices.DEMO.limit()
    one_T, both_T = ceiling_by_position(), ceiling_by_position(both=True)
    assert limit[str(LENGTH)] == one_T[-1] == both_T[-1]
    assert limit["1"] == one_T[0] < both_T[0]


def test_the_price_is_the_sum_of_its_changes():
    change_T = drawn(1, 2)[0][0]
    price_T = prices.prices(change_T)
    np.testing.assert_allclose(np.diff(np.log(price_T)) * 100, change_T[1:])
    assert price_T[0] == pytest.approx(prices.START * np.exp(change_T[0] / 100))


def test_seeds_repeat_and_splits_differ():
    assert generate(3, 5) == generate(3, 5)
    assert generate(3, 5) != generate(3, 6)
    assert generate(3, 5) != generate(3, 5, split="test")
    assert [len(sample.example) for sample in generate(2, 1, length=0)] == [0, 0]
    with pytest.raises(ConfigError, match="count is -1"):
        generate(-1, 0)
    with pytest.raises(ConfigError, match="length is -2"):
        generate(1, 0, length=-2)


def test_forecasts_of_changes_are_forecasts_of_prices():
    found = forecast.run(seeds=(3,), size=TINY, process=prices.PROCESS)
    test_BT = np.stack(
        [
            sample.example.inputs[:, 0]
            for sample in generate(TINY.train + TINY.test, 3)[TINY.train :]
        ]
    ).astype(float)
    # Saying the last price again is wrong by the change.
    assert found.persistence[0] == pytest.approx(np.sqrt(np.square(test_BT[:, 1:]).mean()))
    np.testing.assert_allclose(found.example[:, 0], np.cumsum(test_BT[0]))
    told = found.to_dict()
    assert told["floor"] == floor()
    for steps, numbers in told["forward"]["ahead"].items():
        assert numbers["floor"] == floor_ahead(int(steps))
        # A model that knows nothing forecasts the drift: no further off than the sums spread.
        spread = np.sqrt(np.square(test_BT[:, -12 : -12 + int(steps) or None].sum(1)).mean())
        assert 0 < numbers["rmse_median"] < 2 * spread
    assert found.tables()[0].rows[1][0] == "the last price again"


@pytest.mark.slow
def test_prices_as_promised():
    shown = run("prices", seeds=(1, 2, 3))
    contest, told = shown.contest, shown.forecast
    assert contest.limit() == pytest.approx(prices.ceiling())
    # Steps of a series hang together: as many independent answers as there are series.
    chance = 5 * np.sqrt(0.1 / prices.DEMO.size.test)
    assert abs(contest.spread("forward").median - prices.ceiling()) < chance
    assert abs(contest.spread("both").median - prices.ceiling(both=True)) < chance
    for past, whole, naive, leak, useless in zip(
        told.forward.past,
        told.forward.whole,
        told.persistence,
        told.both.whole,
        told.both.past,
        strict=True,
    ):
        assert past == pytest.approx(whole, rel=1e-4)
        assert abs(past / told.floor - 1) < 0.05
        assert past < naive
        assert leak < told.floor / 10  # no forecast can be so good
        assert useless > past  # and in use it is not even as good as one direction
