"""Forecasting: errors against those that are possible, and two directions that only copy."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from birnn.data import Example
from birnn.demos import forecast, pages
from birnn.demos.demo import Size
from birnn.demos.forecast import ForecastResult
from birnn.demos.oscillation import LENGTH, floor, floor_ahead, generate
from birnn.errors import ConfigError, DataError, DirectionError
from birnn.nn import BiRNN, Forecaster
from birnn.ragged import Ragged

TINY = Size(train=40, test=10, epochs=3)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(lines: list[str]) -> ForecastResult:
    torch.manual_seed(11)
    before = torch.get_rng_state(), torch.get_num_threads()
    found = forecast.run(seeds=(3, 4), size=TINY, tell=lines.append)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    return found


@pytest.fixture(scope="module")
def trained() -> ForecastResult:
    return forecast.run(seeds=(1, 2))


@pytest.mark.slow
def test_one_direction_comes_as_near_to_the_floor_as_chance_lets_it(
    trained: ForecastResult,
) -> None:
    values = forecast.SIZE.test * (LENGTH - 1)
    chance = 4 * trained.floor / np.sqrt(2 * values)  # four standard errors
    for error, lazy in zip(trained.forward.past, trained.persistence, strict=True):
        assert trained.floor - chance < error < 1.05 * trained.floor
        assert error < lazy / 2
    for steps, errors in trained.ahead.items():
        spread = floor_ahead(steps) / np.sqrt(2 * forecast.SIZE.test)
        assert all(abs(error - floor_ahead(steps)) < 4 * spread for error in errors)


@pytest.mark.slow
def test_two_directions_read_the_answer_and_cannot_forecast(trained: ForecastResult) -> None:
    assert max(trained.both.whole) < trained.floor / 4  # no forecast can be so good
    for honest, lazy in zip(trained.both.past, trained.persistence, strict=True):
        assert honest > lazy  # saying the last value again is better


def test_what_one_direction_says_does_not_change_with_what_comes(result: ForecastResult) -> None:
    np.testing.assert_allclose(result.forward.whole, result.forward.past, rtol=1e-5)
    for whole, past in zip(result.both.whole, result.both.past, strict=True):
        assert whole < past


def test_the_loss_of_the_first_step_is_that_of_the_fresh_model() -> None:
    one_batch = Size(train=20, test=5, epochs=1)
    found = forecast.run(seeds=(3,), size=one_batch)
    series = [np.asarray(example.inputs) for example in generate(25, 3)[:20]]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Forecaster(BiRNN("gru", 1, forecast.HIDDEN, bidirectional=False))
    train = Ragged.from_list([torch.from_numpy(one) for one in series])
    model.set_units(train)
    [[loss]] = found.forward.losses
    assert loss == pytest.approx(model.loss(train).item(), rel=1e-5)


def test_every_epoch_has_its_loss(result: ForecastResult) -> None:
    told = result.to_dict()
    for way, errors in (("forward", result.forward), ("both", result.both)):
        assert [len(run) for run in errors.losses] == [TINY.epochs] * len(result.seeds)
        assert told[way]["loss_by_epoch"] == [list(run) for run in errors.losses]
        assert all(run[-1] < run[0] for run in errors.losses)


def test_persistence_is_that_of_the_test_series(result: ForecastResult) -> None:
    for seed, error in zip(result.seeds, result.persistence, strict=True):
        test = generate(TINY.train + TINY.test, seed)[TINY.train :]
        steps = np.concatenate([np.diff(example.inputs[:, 0].astype(float)) for example in test])
        assert error == pytest.approx(np.sqrt(np.mean(steps**2)))


def test_the_refusal_is_what_a_forecaster_says(result: ForecastResult) -> None:
    with pytest.raises(DirectionError) as caught:
        Forecaster(BiRNN("lstm", 2, 3))
    assert result.refusal == str(caught.value)


def test_tables_and_json_tell_the_same(result: ForecastResult) -> None:
    told = json.loads(json.dumps(result.to_dict()))
    errors, ahead = result.tables()

    def words(numbers: dict[str, float], name: str = "rmse") -> str:
        middle, least, most = (numbers[f"{name}_{part}"] for part in ("median", "min", "max"))
        return f"{middle:.2f} ({least:.2f} to {most:.2f})"

    assert errors.rows[0][-1] == f"{told['floor']:.2f}" == f"{floor():.2f}"
    assert errors.rows[1][-1] == words(told["persistence"])
    for row, way in zip(errors.rows[2:], ("forward", "both"), strict=True):
        assert row[1:] == (words(told[way], "rmse_told_the_whole"), words(told[way]))
    for row, (steps, numbers) in zip(ahead.rows, told["forward"]["ahead"].items(), strict=True):
        assert row == (steps, words(numbers), f"{numbers['floor']:.2f}")
    assert told["both"]["rmse_median"] == statistics.median(result.both.past)
    assert told["both"]["refused"] == result.refusal
    assert told["seeds"] == [3, 4]


def test_the_series_on_the_page_is_one_of_the_test(result: ForecastResult, tmp_path: Path) -> None:
    drawn = generate(TINY.train + TINY.test, 3)[TINY.train]
    np.testing.assert_array_equal(result.example, np.asarray(drawn.inputs, np.float64))
    text = pages.write_forecast(tmp_path / "page.html", result).read_text("utf-8")
    assert f"A series of {LENGTH} steps and 1 channel. Channel 1: from " in text
    assert f"The first of the test series, {LENGTH} steps: each value" in text


def test_progress_names_each_training(result: ForecastResult, lines: list[str]) -> None:
    assert [line.partition(":")[0] for line in lines] == [
        f"{way}, seed {seed}"
        for seed in result.seeds
        for way in ("one direction, left to right", "two directions")
    ]


# ---------------------------------------------------------------------- series of one's own


def test_series_of_ones_own_are_cut_and_counted_in_their_own_units() -> None:
    random = np.random.default_rng(0)
    walk = np.cumsum(random.standard_normal((1000, 2)), axis=0)
    wide = walk * [1.0, 1000.0] + [5.0, -7.0]
    found = [
        forecast.run(seeds=(1,), size=Size(1, 1, 2), series=[Example(x.astype(np.float32))])
        for x in (walk, wide)
    ]
    # units change nothing but the rounding
    for name in ("forward", "both"):
        for part in ("whole", "past"):
            one, other = (getattr(getattr(each, name), part)[0] for each in found)
            assert one == pytest.approx(other, rel=1e-2)
    assert found[0].persistence[0] == pytest.approx(found[1].persistence[0], rel=1e-4)
    assert found[0].floor is None
    assert found[0].to_dict()["floor"] is None
    errors, ahead = found[0].tables()
    assert len(errors.rows) == 3
    assert ahead.header == ("steps ahead", "one direction, left to right")


def test_series_far_from_zero_are_forecast_as_near_it() -> None:
    walk = np.cumsum(np.random.default_rng(0).integers(-3, 4, (1000, 1)), axis=0).astype(float)
    near, far = (
        forecast.run(seeds=(1,), size=Size(1, 1, 2), series=[Example(x)])
        for x in (walk, walk + 1.7e9)
    )
    assert far.persistence == pytest.approx(near.persistence, rel=1e-12)
    assert far.forward.past[0] == pytest.approx(near.forward.past[0], rel=1e-3)


def test_short_series_have_no_long_forecasts() -> None:
    series = [Example(np.full((t, 1), t, np.float32)) for t in (5, 1, 9, 0, 4, 7, 3)]
    found = forecast.run(seeds=(1, 2), size=Size(1, 1, 1), series=series)
    assert found.ahead == {}
    assert len(found.tables()) == 1
    assert found.persistence == (0.0, 0.0)  # each is constant


@pytest.mark.parametrize(
    ("series", "part"),
    [
        ([Example(("a", "b"), where="f.conll:3")], "f.conll:3 is tokens"),
        ([Example(np.zeros((5, 1), np.float32))] * 4, "4 series of two steps or more"),
        ([Example(np.zeros((5, 1), np.float32)), Example(np.zeros((5, 2), np.float32))], "2 chan"),
        ([Example(np.full((5, 1), np.nan, np.float32), where="f.ts:9")] * 6, "f.ts:9, step 0"),
    ],
)
def test_series_that_cannot_be_forecast_are_named(series: list[Example], part: str) -> None:
    with pytest.raises(DataError, match=part):
        forecast.run(series=series)


def test_an_experiment_needs_seeds_and_series() -> None:
    for options in (
        {"seeds": ()},
        {"size": Size(0, 1, 1)},
        {"size": Size(1, 0, 1)},
        {"size": Size(1, 1, 0)},
    ):
        with pytest.raises(ConfigError, match="at least one of each"):
            forecast.run(**options)
