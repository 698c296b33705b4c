"""Steps against whole runs, losses against loops, forecasts and generations against their laws."""

# N rows of all sequences, B sequences, D channels, V symbols

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn.errors import ConfigError, DataError, DirectionError, LengthError, ShapeError, UsageError
from birnn.nn import BiRNN, Forecaster, LanguageModel, State
from birnn.ragged import Ragged
from birnn.reference import GATES

CELLS = sorted(GATES)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def parts_of(state):
    return [part for part in (state.h, state.c) if part is not None]


def forecaster(randomised, *, cell="gru", channels=2, **options):
    """A forecaster with random weights and units."""
    encoder = BiRNN(cell, channels, 4, bidirectional=False, **options)
    model = randomised(Forecaster(encoder))
    model.mean.copy_(torch.arange(1.0, channels + 1))
    model.scale.copy_(torch.arange(2.0, channels + 2))
    return model


def language_model(randomised, symbols=5, **options):
    return randomised(LanguageModel(BiRNN("gru", 3, 4, bidirectional=False, **options), symbols))


def symbols_of(lengths, seed=0, symbols=5):
    numbers = np.random.default_rng(seed).integers(symbols, size=sum(lengths))
    return Ragged(torch.from_numpy(numbers), np.array(lengths, np.int64))


# ---------------------------------------------------------------------- a step at a time


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=8)
@given(
    steps=st.integers(1, 6),
    sequences=st.integers(1, 4),
    layers=st.integers(1, 3),
    residual=st.booleans(),
    wide=st.booleans(),
    seed=st.integers(0, 999),
)
def test_step_after_step_is_the_run_over_the_whole(
    draw,
    randomised,
    draw_states,
    on_engine,
    engine,
    cell,
    steps,
    sequences,
    layers,
    residual,
    wide,
    seed,
):
    encoder = BiRNN(cell, 4, 4, num_layers=layers, bidirectional=False, residual=residual)
    randomised(encoder, seed)
    dtype = torch.float64 if wide else torch.float32
    encoder.to(dtype)
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((sequences, steps, 4))).to(
        dtype
    )
    initial = State(*(part.to(dtype) for part in parts_of(draw_states(encoder, sequences, seed))))
    with on_engine(engine), torch.no_grad():
        for start in (None, initial):
            whole = encoder(x, initial=start)
            state, rows = start, []
            for t in range(steps):
                row, state = encoder.step(x[:, t], state)
                rows.append(row)
            found = [torch.stack(rows, dim=1), *parts_of(state)]
            expected = [whole.output, *parts_of(whole.state)]
            for one, other in zip(found, expected, strict=True):
                if engine == "native":  # a row's bits depend on nothing beside it
                    assert torch.equal(one, other)
                else:
                    torch.testing.assert_close(one, other, **(CLOSE if wide else {}))


def test_gradients_flow_through_steps(draw, randomised):
    encoder = randomised(BiRNN("lstm", 3, 4, num_layers=2, bidirectional=False))
    batch = draw([5, 5], 3)
    rows = batch.values.view(2, 5, 3)
    state, total = None, torch.zeros((), dtype=torch.float64)
    for t in range(5):
        row, state = encoder.step(rows[:, t], state)
        total = total + (row * (t + 1)).sum()
    stepwise = torch.autograd.grad(total, list(encoder.parameters()))
    weights = torch.arange(1.0, 6.0, dtype=torch.float64).view(1, 5, 1)
    whole = torch.autograd.grad((encoder(rows).output * weights).sum(), list(encoder.parameters()))
    for one, other in zip(stepwise, whole, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_two_directions_cannot_step():
    with pytest.raises(DirectionError, match=r"backward half.*steps t\+1 to the last") as caught:
        BiRNN("gru", 3, 4).step(torch.zeros(1, 3))
    assert "BiRNN(..., bidirectional=False)" in str(caught.value)


def test_steps_that_cannot_be_are_refused():
    encoder = BiRNN("gru", 3, 4, bidirectional=False, num_layers=2, dropout=0.5)
    with pytest.raises(UsageError, match=r"Call eval\(\) first"):
        encoder.step(torch.zeros(1, 3))
    encoder.eval()
    with pytest.raises(ShapeError, match=r"\(B, 3\), got shape \(1, 1, 3\)"):
        encoder.step(torch.zeros(1, 1, 3))
    with pytest.raises(ShapeError, match=r"rows are 3 wide, got \(4,\)"):
        encoder.step(torch.zeros(1, 4))
    with pytest.raises(ShapeError, match="initial h is"):
        encoder.step(torch.zeros(1, 3), State(torch.zeros(2, 5, 4)))


# ---------------------------------------------------------------------- losses


@settings(max_examples=10)
@given(lengths=st.lists(st.integers(0, 6), max_size=5), seed=st.integers(0, 99))
def test_loss_of_a_series_is_that_of_each_successor_in_standard_units(
    draw, randomised, lengths, seed
):
    model = forecaster(randomised)
    batch = draw(lengths, 2, seed)
    said = model(batch)
    errors = [
        ((one - other) / model.scale).square()
        for rows, answers in zip(batch, said, strict=True)
        for one, other in zip(answers[:-1], rows[1:], strict=True)
    ]
    expected = torch.stack(errors).mean() if errors else torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(model.loss(batch), expected, **CLOSE)


@settings(max_examples=10)
@given(lengths=st.lists(st.integers(0, 6), max_size=5), seed=st.integers(0, 99))
def test_loss_of_symbols_is_the_mean_surprise_at_each_successor(randomised, lengths, seed):
    model = language_model(randomised)
    batch = symbols_of(lengths, seed)
    surprises = [
        -scores.log_softmax(dim=0)[follower]
        for rows, answers in zip(batch, model(batch), strict=True)
        for scores, follower in zip(answers[:-1], rows[1:], strict=True)
    ]
    expected = torch.stack(surprises).mean() if surprises else torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(model.loss(batch), expected, **CLOSE)


def test_a_row_is_answered_without_those_after_it(draw, randomised):
    model, batch = forecaster(randomised, num_layers=2), draw([7], 2)
    whole = model(batch).values
    for t in range(7):
        prefix = Ragged(batch.values[: t + 1], np.array([t + 1]))
        torch.testing.assert_close(model(prefix).values[-1], whole[t], **CLOSE)


def test_units_are_those_of_the_data(draw, randomised):
    model, batch = forecaster(randomised), draw([3, 4], 2)
    batch = batch.with_values(batch.values * torch.tensor([3.0, 0.0]) + 7)
    model.set_units(batch)
    np.testing.assert_allclose(model.mean, batch.values.numpy().mean(axis=0))
    np.testing.assert_allclose(model.scale, [batch.values.numpy()[:, 0].std(), 1.0])
    with pytest.raises(ShapeError, match="at least one row"):
        model.set_units(draw([0], 2))


def test_padding_is_no_data(draw, randomised):
    batch = draw([3, 1, 5], 2)
    padded = batch.to_padded(fill=float("nan"))
    model = forecaster(randomised)
    assert torch.equal(model.loss(padded, [3, 1, 5]), model.loss(batch))
    found = model.forecast(padded, 3, lengths=[3, 1, 5])
    assert torch.equal(found, model.forecast(batch, 3))


# ---------------------------------------------------------------------- what comes next


@pytest.mark.parametrize("cell", CELLS)
def test_a_forecast_reads_what_it_said_as_if_it_had_come(draw, randomised, cell):
    model, batch = (
        forecaster(randomised, cell=cell, num_layers=2, residual=True),
        draw([4, 1, 6], 2),
    )
    found = model.forecast(batch, 5)
    for start, series in zip(batch, found, strict=True):
        rows = start
        for row in series:
            with torch.no_grad():
                said = model(Ragged(rows, np.array([len(rows)]))).values[-1]
            torch.testing.assert_close(row, said, **CLOSE)
            rows = torch.cat([rows, said[None]])


def test_generation_without_temperature_takes_the_best_symbol(randomised):
    model, prompts = language_model(randomised, num_layers=2), symbols_of([4, 1, 6])
    for start, made in zip(prompts, model.generate(prompts, 6, temperature=0), strict=True):
        numbers = start
        for symbol in made:
            best = model(Ragged(numbers, np.array([len(numbers)]))).values[-1].argmax()
            assert symbol == best
            numbers = torch.cat([numbers, best[None]])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_generation_draws_sequences_as_often_as_the_model_says(randomised, temperature):
    model, count = language_model(randomised, symbols=3), 20_000
    prompt = torch.tensor([1, 2])
    made = model.generate(prompt.expand(count, 2), 2, temperature=temperature, seed=5)
    pairs = list(itertools.product(range(3), repeat=2))
    for first, second in pairs:
        whole = torch.cat([prompt, torch.tensor([first, second])])[None]
        shares = (model(whole).values.detach() / temperature).softmax(dim=1)
        expected = float(shares[1, first] * shares[2, second])
        got = float((made == torch.tensor([first, second])).all(dim=1).double().mean())
        # five standard errors of a share
        assert abs(got - expected) < 5 * (expected * (1 - expected) / count) ** 0.5


def test_seeds_repeat_and_torchs_own_state_is_left_alone(randomised):
    model, prompts = language_model(randomised), symbols_of([3] * 8)
    before = torch.get_rng_state()
    one = model.generate(prompts, 10, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, model.generate(prompts, 10, seed=1))
    assert not torch.equal(one, model.generate(prompts, 10, seed=2))


def test_learns_what_follows():
    # a cycle of symbols, and a rotation of the plane: both are functions of what has come
    language = LanguageModel(BiRNN("gru", 8, 16, bidirectional=False), 4)
    cycles = torch.arange(12).expand(8, 12).add(torch.arange(8)[:, None]) % 4
    angles = torch.arange(30.0) * 0.5 + torch.arange(8.0)[:, None]
    circles = torch.stack([angles.cos(), angles.sin()], dim=2)
    series = Forecaster(BiRNN("lstm", 2, 16, bidirectional=False))
    series.set_units(circles)
    for model, batch, epochs in ((language, cycles, 150), (series, circles, 400)):
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(epochs):
            optimiser.zero_grad()
            model.loss(batch).backward()
            optimiser.step()
    made = language.generate(cycles[:, :5], 20, temperature=0)
    assert torch.equal(made, (cycles[:, 4:5] + torch.arange(1, 21)) % 4)
    error = series.forecast(circles[:, :20], 10) - circles[:, 20:]
    assert error.abs().max() < 0.2


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("build", "asked"),
    [
        (Forecaster, "next-step forecasting"),
        (lambda encoder: LanguageModel(encoder, 5), "autoregressive generation"),
    ],
)
def test_two_directions_are_refused_where_they_are_handed_in(build, asked):
    with pytest.raises(DirectionError, match=asked) as caught:
        build(BiRNN("gru", 3, 4))
    assert "are the answer in training" in str(caught.value)
    assert str(caught.value).endswith("Use BiRNN(..., bidirectional=False).")


def test_what_cannot_be_is_refused(draw, randomised):
    model, language = forecaster(randomised), language_model(randomised)
    with pytest.raises(LengthError, match="sequence 1 has 0 steps"):
        model.forecast(draw([2, 0], 2), 3)
    with pytest.raises(LengthError, match="sequence 0 has 0 steps"):
        language.generate(symbols_of([0]), 3)
    for steps in (0, -1):
        with pytest.raises(UsageError, match=f"steps is {steps}"):
            model.forecast(draw([2], 2), steps)
    for temperature in (-1.0, float("nan")):
        with pytest.raises(UsageError, match="temperature is"):
            language.generate(symbols_of([2]), 1, temperature=temperature)
    with pytest.raises(ShapeError, match="rows are 2 wide, got"):
        model.loss(draw([2], 3))
    with pytest.raises(ShapeError, match=r"of torch\.float64"):
        language.loss(draw([2], 2))
    with pytest.raises(DataError, match="a symbol is 7, the model has numbers 0 to 4"):
        language.loss(torch.tensor([[1, 7]]))
    with pytest.raises(ConfigError, match="symbols is 0"):
        LanguageModel(BiRNN("gru", 3, 4, bidirectional=False), 0)
    with pytest.raises(UsageError, match=r"the encoder is a GRU. Give a BiRNN"):
        Forecaster(torch.nn.GRU(3, 4))
    noisy = forecaster(randomised, num_layers=2, dropout=0.5)
    with pytest.raises(UsageError, match=r"Call eval\(\) first"):
        noisy.forecast(draw([2], 2), 1)
    assert noisy.eval().forecast(draw([2], 2), 1).isfinite().all()


def test_series_far_from_zero_are_forecast_as_near_it() -> None:
    """1700000000 and 1700000001 are one number in float32; in float64 they stay apart."""
    torch.manual_seed(0)
    near = torch.randint(0, 9, (3, 12, 2)).double()
    far = near + torch.tensor([1.7e9, -1.7e9], dtype=torch.float64)
    plain = Forecaster(BiRNN("gru", 2, 4, bidirectional=False))
    moved = copy.deepcopy(plain)
    plain.set_units(near)
    moved.set_units(far)
    torch.testing.assert_close(moved.loss(far), plain.loss(near), rtol=1e-5, atol=0)
    difference = moved.forecast(far, steps=3) - plain.forecast(near, steps=3)
    assert difference.dtype == torch.float64
    torch.testing.assert_close(difference, (far - near)[:, :3], rtol=0, atol=1e-5)
