"""Layers under another default dtype of torch: made in it, and right on rows of any other."""

from __future__ import annotations

import pytest
import torch

from birnn.nn import CRF, GRU, LSTM, RNN, AdditiveAttention, BiRNN, WordDropout, pool
from birnn.ragged import Ragged

LENGTHS = [5, 3, 0]


@pytest.fixture(params=[torch.float64, torch.float16, torch.bfloat16], ids=str)
def default(request):
    """A default dtype that is not float32, until the test ends."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


def rows(dtype):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 5, 4, dtype=torch.float64, generator=generator).to(dtype)


def weighted(module, dtype):
    """The module with weights that do not hang on the default dtype, in a dtype."""
    generator = torch.Generator().manual_seed(2)
    module = module.to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            drawn = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            parameter.copy_(drawn.to(dtype) * 0.3)
    return module


LAYERS = {
    "LSTM": lambda: LSTM(4, 6, bidirectional=True, batch_first=True),
    "GRU": lambda: GRU(4, 6, batch_first=True),
    "RNN": lambda: RNN(4, 6, bidirectional=True, batch_first=True),
    "BiRNN lstm": lambda: BiRNN("lstm", 4, 6, num_layers=2, merge="project"),
    "BiRNN gru": lambda: BiRNN("gru", 4, 6, residual=True),
    "BiRNN rnn_relu": lambda: BiRNN("rnn_relu", 4, 6, merge="sum"),
}


def answer(name, dtype):
    """Rows out, and the gradients of all weights."""
    layer = weighted(LAYERS[name](), dtype)
    out = layer(rows(dtype), lengths=torch.tensor(LENGTHS))
    values = out.output if isinstance(layer, BiRNN) else out[0]
    values.square().sum().backward()
    return [values, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_in_its_own_dtype(default, name, dtype):
    found = answer(name, dtype)
    torch.set_default_dtype(torch.float32)
    for one, other in zip(found, answer(name, dtype), strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_made_in_the_default_dtype_as_torchs_are(default, name):
    layer = LAYERS[name]()
    assert {parameter.dtype for parameter in layer.parameters()} == {default}
    for parameter_name, parameter in layer.named_parameters():
        if "weight_hh" in parameter_name and isinstance(layer, BiRNN):
            for gate in parameter.data.double().split(6):
                turned = gate @ gate.T
                near = {torch.float64: 1e-12, torch.float16: 1e-2, torch.bfloat16: 5e-2}[default]
                torch.testing.assert_close(turned, torch.eye(6).double(), rtol=0, atol=near)


def crf_answer():
    crf = weighted(CRF(4), torch.float32)
    emissions = Ragged.from_padded(rows(torch.float32), LENGTHS)
    loss = crf.negative_log_likelihood(emissions, torch.tensor([0, 1, 2, 3, 0, 1, 2, 3]))
    loss.sum().backward()
    return [loss, crf.decode(emissions), *(parameter.grad for parameter in crf.parameters())]


def pooled_answer():
    ragged = Ragged.from_padded(rows(torch.float32), LENGTHS)
    attention = weighted(AdditiveAttention(4, 3), torch.float32)
    final = torch.zeros(3, 4, dtype=torch.float32)
    return [
        attention(ragged),
        *(pool(way, ragged, final) for way in ("max", "mean", "last+max+mean")),
    ]


@pytest.mark.parametrize("answers", [crf_answer, pooled_answer])
def test_chains_and_pooling_compute_in_their_own_dtype(default, answers):
    found = answers()
    torch.set_default_dtype(torch.float32)
    for one, other in zip(found, answers(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_the_same_words_are_dropped(default):
    drop, ids = WordDropout([9] * 50, rate=0.5), torch.arange(50)
    torch.manual_seed(3)
    found = drop(ids)
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(3)
    assert torch.equal(drop(ids), found)
    assert 0 < int((found == 0).sum()) < 50
