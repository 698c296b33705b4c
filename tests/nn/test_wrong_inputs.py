"""What is no input of a layer is refused in one line that says what is wanted."""

# N rows of all sequences, B sequences, T steps, D inputs, H hidden units

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from birnn.errors import BirnnError, ConfigError, ShapeError, UsageError
from birnn.nn import (
    AdditiveAttention,
    BiRNN,
    Forecaster,
    LanguageModel,
    SequenceNoise,
    State,
    VariationalDropout,
    WordDropout,
    pool,
)
from birnn.ragged import Ragged

D = 3
LENGTHS = np.array([3, 2])


def layers():
    """Every layer that takes a batch, and every call of it."""
    series = Forecaster(BiRNN("gru", D, 4, bidirectional=False))
    symbols = LanguageModel(BiRNN("gru", 4, 4, bidirectional=False), 7)
    return {
        "BiRNN": BiRNN("gru", D, 4),
        "BiRNN.step": BiRNN("gru", D, 4, bidirectional=False).step,
        "Forecaster": series,
        "Forecaster.loss": series.loss,
        "Forecaster.forecast": lambda x: series.forecast(x, 2),
        "Forecaster.set_units": series.set_units,
        "LanguageModel": symbols,
        "LanguageModel.loss": symbols.loss,
        "LanguageModel.generate": lambda x: symbols.generate(x, 2),
        "AdditiveAttention": AdditiveAttention(D, 2),
        "pool": lambda x: pool("last+max+mean", x, torch.zeros(2, D)),
        "VariationalDropout": VariationalDropout(0.5),
        "SequenceNoise": SequenceNoise(noise=0.1, shift=0.1),
        "WordDropout": WordDropout([1, 2, 3], strength=0.2),
    }


def rows(*shape, dtype=torch.float32):
    return Ragged(torch.zeros(5, *shape, dtype=dtype), LENGTHS)


BAD = {
    "list": [[[1.0, 2.0, 3.0]]],
    "array": np.zeros((2, 5, D)),
    "nothing": None,
    "text": "abc",
    "dict": {"a": 1},
    "one axis": torch.zeros(5),
    "four axes": torch.zeros(2, 2, 5, D),
    "ragged array": Ragged(np.zeros((5, D)), LENGTHS),
    "rows without an axis": rows(),
    "rows of two axes": rows(D, 2),
    "wide rows": rows(D + 1),
    "bools": rows(D, dtype=torch.bool),
    "complex": rows(D, dtype=torch.complex64),
    "sparse": torch.zeros(2, 5, D).to_sparse(),
}
# What some of the layers do take.
TAKEN = {
    ("wide rows", "VariationalDropout"),
    ("wide rows", "SequenceNoise"),
    ("wide rows", "pool"),
}


@pytest.mark.parametrize(
    ("bad", "layer"), [pair for pair in itertools.product(BAD, layers()) if pair not in TAKEN]
)
def test_what_is_no_batch_is_refused_in_one_line(layer, bad):
    with pytest.raises(BirnnError) as found:
        layers()[layer](BAD[bad])
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 250


@pytest.mark.parametrize("layer", ["AdditiveAttention", "pool", "VariationalDropout"])
def test_a_padded_batch_where_ragged_rows_are_asked_for_is_told_how(layer):
    with pytest.raises(ShapeError, match=r"got Tensor. Ragged.from_padded\(x, lengths\) makes"):
        layers()[layer](torch.zeros(2, 5, D))


# ---------------------------------------------------------------------- dtypes of BiRNN

FLOATS = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
OTHERS = [torch.int64, torch.uint8, torch.bool, torch.complex64]


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("module", FLOATS)
@pytest.mark.parametrize("dtype", [*FLOATS, *OTHERS])
def test_a_birnn_takes_rows_of_its_weights_dtype_alone(on_engine, engine, module, dtype):
    # As torch.nn.LSTM, which says so too.
    encoder = BiRNN("lstm", D, 4, num_layers=2).to(module)
    own = nn.LSTM(D, 4, num_layers=2, bidirectional=True, batch_first=True).to(module)
    own.load_state_dict(encoder.state_dict())
    x = torch.linspace(0, 1, 2 * 5 * D).view(2, 5, D).to(dtype)
    state = State(*(torch.zeros(4, 2, 4, dtype=dtype) for _ in range(2)))
    right = torch.zeros(2, 5, D, dtype=module)
    with on_engine(engine):
        if dtype == module:
            found, (expected, _) = encoder(x, initial=state), own(x)
            assert found.output.dtype == dtype
            near = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 4 * torch.finfo(dtype).eps}
            torch.testing.assert_close(found.output, expected, **near)
            return
        name, of = (str(kind).replace(".", r"\.") for kind in (dtype, module))
        converts = rf", or convert the module: \.to\({name}\)" if dtype in FLOATS else ""
        says = rf"of {name}, the weights of {of}\. Give \.to\({of}\){converts}\.$"
        with pytest.raises(ShapeError, match=f"^rows {says}"):
            encoder(x)
        with pytest.raises(ShapeError, match=f"^initial h {says}"):
            encoder(right, initial=state)
    with pytest.raises(ValueError, match="does not match weight dtype"):
        own(x)


def test_rows_on_another_device_are_refused():
    with pytest.raises(ShapeError, match=r"rows on meta, the weights on cpu. Give .to\('cpu'\)"):
        BiRNN("gru", D, 4)(torch.zeros(2, 5, D, device="meta"))


@pytest.mark.parametrize("initial", [torch.zeros(2, 2, 4), (torch.zeros(2, 2, 4),)])
def test_states_that_are_no_state_are_refused(initial):
    with pytest.raises(ShapeError, match=r"initial is a birnn.nn.State, got (Tensor|tuple)"):
        BiRNN("gru", D, 4)(torch.zeros(2, 5, D), initial=initial)


# ---------------------------------------------------------------------- what else can be wrong


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pool("mean+mox", rows(D), torch.zeros(2, D)), ConfigError, "did you mean max"),
        (lambda: pool("last", rows(D), torch.zeros(3, D)), ShapeError, "of 2 sequences"),
        (lambda: pool("last", rows(D), None), ShapeError, "got NoneType"),
        (lambda: AdditiveAttention(0, 2), ConfigError, "1 or more"),
        (lambda: VariationalDropout("a"), ConfigError, "got 'a'"),
        (lambda: LanguageModel(one_way(), "7"), ConfigError, "symbols is '7'"),
        (lambda: Forecaster(one_way()).forecast(rows(D), 2.5), UsageError, "steps is 2.5"),
        (lambda: generate(steps="3"), UsageError, "steps is '3'"),
        (lambda: generate(temperature="hot"), UsageError, "temperature is 'hot'"),
        (lambda: WordDropout([1, 2, 3])(torch.tensor([0, 3])), ShapeError, "ids are from 0 to 3"),
        (lambda: WordDropout([1, 2, 3])(torch.tensor([-1])), ShapeError, "ids are from -1 to -1"),
    ],
)
def test_arguments_that_cannot_be_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def one_way():
    return BiRNN("gru", D, 4, bidirectional=False)


def generate(steps=2, **options):
    return LanguageModel(one_way(), 7).generate(torch.zeros(1, 2).long(), steps, **options)


# ---------------------------------------------------------------------- what is taken


def forms(batch):
    """One batch in every form, and its lengths where they are to be given."""
    padded = batch.to_padded(fill=5)
    packed = pack_padded_sequence(padded, LENGTHS.tolist(), batch_first=True)
    return [(batch, None), (padded, [3, 2]), (packed, None), (batch.to_jagged(), None)]


def test_series_and_symbols_in_every_form():
    series = Forecaster(one_way())
    batch = Ragged(torch.linspace(-1, 1, 15).view(5, 3), LENGTHS)
    for x, lengths in forms(batch):
        assert torch.equal(series.loss(x, lengths), series.loss(batch))
        assert torch.equal(series.forecast(x, 2, lengths), series.forecast(batch, 2))
    model = LanguageModel(BiRNN("gru", 4, 4, bidirectional=False), 7)
    prompts = Ragged(torch.tensor([0, 3, 6, 1, 2]), LENGTHS)
    for x, lengths in forms(prompts):
        assert torch.equal(model.loss(x, lengths), model.loss(prompts))
    assert torch.equal(model.loss(prompts.map(torch.Tensor.int)), model.loss(prompts))


@pytest.mark.parametrize("kind", [torch.float64, torch.int64])
def test_a_series_far_from_0_is_read_by_its_differences(kind):
    # In float32, 1700000000 and 1700000063 are one number.
    near = torch.tensor([[0], [3], [1], [5], [2], [8]])
    batches = [Ragged((near + offset).to(kind), np.array([6])) for offset in (0, 1_700_000_000)]
    model = Forecaster(BiRNN("gru", 1, 4, bidirectional=False))
    found = []
    for batch in batches:
        model.set_units(batch)
        found.append((model.loss(batch), model.forecast(batch, 2) - batch.values[0]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-3)
