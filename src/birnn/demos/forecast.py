"""What comes next in a series? One direction forecasts; two would only read the answer.

`birnn.nn.Forecaster` refuses an encoder with two directions. `run` goes round the refusal once, to
measure what it is for: told the whole series, the backward half copies the next value out of it
and the error falls below what is possible; told only the past, as every forecaster is in use, the
same model has nothing to copy. The series are those of a random process whose least possible error
is known (`birnn.demos.oscillation`, `birnn.demos.prices`), or the user's own.
"""

# N rows of all series, P prefixes, B series, T steps, D channels

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from birnn.data.examples import Example
from birnn.demos.demo import RandomProcess, Size
from birnn.demos.oscillation import PROCESS
from birnn.errors import ConfigError, DataError, DirectionError, Tell, no_notice
from birnn.nn import BiRNN, Forecaster
from birnn.nn.threads import own_threads
from birnn.ragged import Ragged
from birnn.report.figures import READERS
from birnn.report.parts import Table
from birnn.studies.compare.metric import Spread
from birnn.training.checks import require_uniform_inputs

AHEAD = (1, 3, 6, 12)  # steps at which long forecasts are measured

HIDDEN = 16
BATCH = 20
PIECE = 200  # a longer series of the user's is cut
HELD_OUT = 5  # of the user's series one in so many is for the test

SIZE = Size(train=400, test=200, epochs=30)
SEEDS = (1, 2, 3, 4, 5)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Errors:
    """Root mean squared errors of next values, one for each seed.

    Args:
        whole: Of a model that is told the whole series at once.
        past: Of the same model told only what came before the value.
        losses: And for each seed the mean training loss in each epoch: squared, in standard units.
    """

    whole: tuple[float, ...]
    past: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ForecastResult:
    """What was measured.

    Args:
        unit: What the errors are counted in.
        floor: The least error in expectation; None for series that are not ours.
        floors_ahead: Steps ahead to the least error in expectation; empty likewise.
        naive: In words, the forecast that is made of the last value alone.
        persistence: Its errors.
        forward: Errors of one direction.
        both: Errors of two directions, trained past the refusal.
        ahead: Steps ahead to errors of one direction, its own forecasts read as if they had come.
        refusal: What asking for two directions says.
        seeds: Of the data, the models and the order of training.
        seconds: Time that it all took.
        example: The first of the series that the first seed is tested with, (T, D).
    """

    unit: str
    floor: float | None
    floors_ahead: Mapping[int, float]
    naive: str
    persistence: tuple[float, ...]
    forward: Errors
    both: Errors
    ahead: Mapping[int, tuple[float, ...]]
    refusal: str
    seeds: tuple[int, ...]
    seconds: float
    example: Floats

    def tables(self) -> list[Table]:
        """The numbers as tables: median, and least and largest of the seeds."""
        known = [] if self.floor is None else [("the least possible", "–", f"{self.floor:.2f}")]
        rows = [
            *known,
            (self.naive, "–", _words(self.persistence)),
            (READERS["forward"].name, _words(self.forward.whole), _words(self.forward.past)),
            (f"{READERS['both'].name}, unguarded", _words(self.both.whole), _words(self.both.past)),
        ]
        header = ("error of the next value", "told the whole series", "told only the past")
        tables = [Table(header, rows, title=f"Root mean squared error in {self.unit}")]
        if self.ahead:
            least = self.floor is not None
            tables.append(
                Table(
                    ("steps ahead", READERS["forward"].name, *(["the least possible"] * least)),
                    [
                        (
                            str(steps),
                            _words(errors),
                            *([f"{self.floors_ahead[steps]:.2f}"] if least else []),
                        )
                        for steps, errors in self.ahead.items()
                    ],
                    title="Forecasts of several steps",
                )
            )
        return tables

    @property
    def models(self) -> int:
        """Models that were trained: two with each seed."""
        return 2 * len(self.seeds)

    def verdicts(self) -> list[str]:
        """That two directions are refused, and why."""
        return [f"two directions: refused. {self.refusal}"]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        return {
            "unit": self.unit,
            "floor": self.floor,
            "persistence": Spread.of(self.persistence).to_dict("rmse"),
            "forward": Spread.of(self.forward.past).to_dict("rmse")
            | Spread.of(self.forward.whole).to_dict("rmse_told_the_whole")
            | {
                "loss_by_epoch": [list(run) for run in self.forward.losses],
                "ahead": {
                    str(steps): Spread.of(errors).to_dict("rmse")
                    | ({} if self.floor is None else {"floor": self.floors_ahead[steps]})
                    for steps, errors in self.ahead.items()
                },
            },
            "both": {"refused": self.refusal}
            | Spread.of(self.both.past).to_dict("rmse")
            | Spread.of(self.both.whole).to_dict("rmse_told_the_whole")
            | {"loss_by_epoch": [list(run) for run in self.both.losses]},
            "seeds": list(self.seeds),
            "seconds": round(self.seconds, 1),
        }


def run(
    *,
    seeds: Sequence[int] = SEEDS,
    size: Size = SIZE,
    process: RandomProcess = PROCESS,
    series: Sequence[Example] | None = None,
    tell: Tell = no_notice,
) -> ForecastResult:
    """Forecast the next value with one direction, and measure what two would do.

    Args:
        seeds: Of the data, the models and the order of training.
        size: How many series to train on and to test with, and epochs.
        process: What the series are drawn from.
        series: Series of vectors of one's own, in place of generated ones. Those longer than
            `PIECE` steps are cut; a seeded fifth is the test. Only ``size.epochs`` counts then.
        tell: Takes a line after each training.

    Raises:
        ConfigError: No seed, no series to train on or to test with, or no epoch.
        DataError: Series that are not vectors, or too few of them.
    """
    begun = time.perf_counter()
    if not seeds or min(size.train, size.test, size.epochs) < 1:
        raise ConfigError(f"seeds {list(seeds)} and {size}: at least one of each is needed")
    own = None if series is None else _pieces(series)
    of_changes = own is None and process.of_changes
    found: list[_Measured] = []
    with own_threads(1):
        for seed in seeds:
            train, test = _drawn(process, size, seed) if own is None else _held_out(own, seed)
            if not found:
                example = test.values[: int(test.lengths[0])].numpy().astype(np.float64)
            units_D = np.ones(1) if own is None else _units(train)
            work = _Work(train, test, units_D, of_changes, size.epochs, seed)
            found.append(_measure(work, tell))
    known = process if own is None else None
    return ForecastResult(
        unit=known.unit if known else "standard deviations of the channels",
        floor=known.floor() if known else None,
        floors_ahead={steps: known.floor_ahead(steps) for steps in AHEAD} if known else {},
        naive=known.naive if known else "the last value again",
        persistence=tuple(each.persistence for each in found),
        forward=_errors([each.forward for each in found]),
        both=_errors([each.both for each in found]),
        ahead={steps: tuple(each.ahead[steps] for each in found) for steps in found[0].ahead}
        if all(each.ahead for each in found)
        else {},
        refusal=refusal(),
        seeds=tuple(seeds),
        seconds=time.perf_counter() - begun,
        example=np.cumsum(example, axis=0) if of_changes else example,
    )


def refusal() -> str:
    """What a forecaster says when it is handed an encoder with two directions.

    Example:
        >>> refusal().partition(":")[0]
        'next-step forecasting needs one direction, this model has two'
    """
    try:
        with torch.random.fork_rng(devices=[]):
            Forecaster(BiRNN("gru", 1, HIDDEN))
    except DirectionError as error:
        return str(error)
    raise AssertionError("a forecaster took an encoder with two directions")


@dataclass(frozen=True, slots=True)
class _Measured:
    """The errors of one seed; of a model: told the whole, told only the past, in training."""

    persistence: float
    forward: tuple[float, float, tuple[float, ...]]
    both: tuple[float, float, tuple[float, ...]]
    ahead: dict[int, float]


@dataclass(frozen=True, slots=True)
class _Work:
    """What is trained and tested with one seed; ``of_changes`` is that of a `RandomProcess`."""

    train: Ragged[Tensor]
    test: Ragged[Tensor]
    units: Floats  # (D,)
    of_changes: bool
    epochs: int
    seed: int

    def error(self, found: Tensor, truth: Tensor) -> float:
        """Root mean squared error, in the units of each channel."""
        errors = (found - truth).double().numpy() / self.units
        return float(np.sqrt(np.square(errors).mean()))


def _measure(work: _Work, tell: Tell) -> _Measured:
    train, test = work.train, work.test
    before = np.flatnonzero(test.step_of_row + 1 < test.lengths[test.sequence_of_row])
    truth_PD = test.values[before + 1]
    errors, ahead = {}, {}
    for way, bidirectional in (("forward", False), ("both", True)):
        started = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(work.seed)
            model = _unguarded(train.values.shape[1], bidirectional)
            losses = _train(model, train, work.epochs, work.seed)
        with torch.no_grad():
            told = model(test).values[before]
        past = _told_the_past(model, test)
        errors[way] = work.error(told, truth_PD), work.error(past, truth_PD), losses
        if way == "forward":
            ahead = _ahead(model, work)
        seconds = time.perf_counter() - started
        epochs = f"{work.epochs} epoch{'' if work.epochs == 1 else 's'}"
        tell(f"{READERS[way].name}, seed {work.seed}: {epochs} in {seconds:.1f} s")
    # The last value again: of changes, none.
    again_PD = torch.zeros_like(truth_PD) if work.of_changes else test.values[before]
    return _Measured(work.error(again_PD, truth_PD), errors["forward"], errors["both"], ahead)


def _unguarded(channels: int, bidirectional: bool) -> Forecaster:
    """A forecaster; with two directions by going round its refusal."""
    model = Forecaster(BiRNN("gru", channels, HIDDEN, bidirectional=False))
    if bidirectional:
        model.encoder = BiRNN("gru", channels, HIDDEN)
        model.linear = nn.Linear(model.encoder.stack.output_size, channels)
    return model


def _train(model: Forecaster, train: Ragged[Tensor], epochs: int, seed: int) -> tuple[float, ...]:
    """Train, and give the mean loss of each epoch."""
    model.set_units(train)
    random = np.random.default_rng(seed)
    steps = epochs * math.ceil(len(train) / BATCH)
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, total_steps=max(1, steps))
    losses = []
    for _ in range(epochs):
        summed = 0.0
        order = random.permutation(len(train))
        for start in range(0, len(train), BATCH):
            optimiser.zero_grad()
            batch = order[start : start + BATCH]
            loss = model.loss(train.select(batch))
            summed += loss.item() * len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        losses.append(summed / len(train))
    model.eval()
    return tuple(losses)


def _told_the_past(model: Forecaster, test: Ragged[Tensor]) -> Tensor:
    """Each value but the first of its series, forecast from those before it alone, (P, D)."""
    prefixes = ([series[:t] for t in range(1, len(series))] for series in test)
    return torch.cat([model.forecast(Ragged.from_list(each), 1)[:, 0] for each in prefixes])


def _ahead(model: Forecaster, work: _Work) -> dict[int, float]:
    """Errors some steps ahead, on the ends of the series that are long enough."""
    most = max(AHEAD)
    long = [series for series in work.test if len(series) >= 2 * most]
    if not long:
        return {}
    truth = torch.stack([series[-most:] for series in long])
    found = model.forecast(Ragged.from_list([series[:-most] for series in long]), most)
    if work.of_changes:
        truth, found = truth.cumsum(dim=1), found.cumsum(dim=1)
    return {steps: work.error(found[:, steps - 1], truth[:, steps - 1]) for steps in AHEAD}


# ---------------------------------------------------------------------- data, and numbers in words


def _drawn(process: RandomProcess, size: Size, seed: int) -> tuple[Ragged[Tensor], Ragged[Tensor]]:
    # one draw, so that no series of the test is one of training
    drawn = process.draw(size.train + size.test, seed)
    return _ragged(drawn[: size.train]), _ragged(drawn[size.train :])


def _pieces(series: Sequence[Example]) -> list[Example]:
    """The series that have a next value, the long ones cut."""
    pieces = []
    for number, example in enumerate(series):
        if not isinstance(example.inputs, np.ndarray):
            where = example.where or f"series {number}"
            raise DataError(f"{where} is tokens. Give series of vectors: numbers for each step.")
    require_uniform_inputs(series)
    for example in series:
        cuts = range(0, len(example), PIECE)
        pieces += [Example(np.asarray(example.inputs)[start : start + PIECE]) for start in cuts]
    pieces = [piece for piece in pieces if len(piece) > 1]
    if len(pieces) < HELD_OUT:
        raise DataError(
            f"{len(pieces)} series of two steps or more (longer than {PIECE} count several times): "
            f"forecasting needs {HELD_OUT}, one of them for the test"
        )
    return pieces


def _held_out(pieces: Sequence[Example], seed: int) -> tuple[Ragged[Tensor], Ragged[Tensor]]:
    order = np.random.default_rng(seed).permutation(len(pieces)).tolist()
    count = len(pieces) // HELD_OUT
    train, test = ([pieces[i] for i in part] for part in (order[count:], order[:count]))
    return _ragged(train), _ragged(test)


def _ragged(examples: Sequence[Example]) -> Ragged[Tensor]:
    return Ragged.from_list([torch.from_numpy(np.asarray(each.inputs)) for each in examples])


def _units(train: Ragged[Tensor]) -> Floats:
    deviation_D = train.values.double().numpy().std(axis=0)
    return np.where(deviation_D > 0, deviation_D, 1.0)


def _errors(found: Sequence[tuple[float, float, tuple[float, ...]]]) -> Errors:
    return Errors(*zip(*found, strict=True))


def _words(values: Sequence[float]) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*Spread.of(values).values())
