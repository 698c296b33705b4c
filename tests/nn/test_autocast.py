"""Layers under autocast: the dtypes of torch.nn, and answers of float32 but for rounding."""

# N rows of all sequences, B sequences, T steps, D inputs, H hidden units

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from birnn.nn import (
    GRU,
    LSTM,
    RNN,
    AdditiveAttention,
    BiRNN,
    Forecaster,
    LanguageModel,
    pool,
)
from birnn.ragged import Ragged

HALVES = [torch.bfloat16, torch.float16]
LENGTHS = [5, 2]
D, H = 3, 4


def batch(dtype):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, D, generator=draw).to(dtype).requires_grad_()


def near(dtype):
    eps = torch.finfo(dtype).eps
    return {"rtol": 8 * eps, "atol": 8 * eps}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("rows", [torch.float32, None], ids=["float32 rows", "narrow rows"])
@pytest.mark.parametrize("form", ["padded", "packed", "lengths"])
@pytest.mark.parametrize(("ours", "own"), [(LSTM, nn.LSTM), (GRU, nn.GRU), (RNN, nn.RNN)])
def test_modules_have_torchs_dtypes(ours, own, form, rows, dtype):
    module, theirs = (kind(D, H, bidirectional=True, batch_first=True) for kind in (ours, own))
    theirs.load_state_dict(module.state_dict())
    x, same = batch(rows or dtype), batch(rows or dtype)
    # What is computed may be the weights' float32 or narrower.
    exact = module(batch(torch.float32), lengths=None if form == "padded" else LENGTHS)[0]

    def run(module, x):
        if form == "packed":
            x = pack_padded_sequence(x, LENGTHS, batch_first=True)
        lengths = {"lengths": LENGTHS} if form == "lengths" and module is not theirs else {}
        output = module(x, **lengths)[0]
        return output.data if form == "packed" else output

    with torch.autocast("cpu", dtype=dtype):
        found = run(module, x)
        found.float().square().sum().backward()
        try:
            expected = run(theirs, same).dtype
        except RuntimeError:  # torch's LSTM in float16, on a processor that has none
            expected = torch.float16
    assert found.dtype == expected
    assert x.grad.dtype == x.dtype
    if form == "packed":
        exact = pack_padded_sequence(exact, LENGTHS, batch_first=True).data
    torch.testing.assert_close(found.float(), exact, **near(dtype))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("rows", [torch.float32, None], ids=["float32 rows", "narrow rows"])
@pytest.mark.parametrize("merge", ["concat", "sum", "project"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_relu"])
def test_a_birnn_and_what_stands_on_it(cell, merge, rows, dtype):
    encoder = BiRNN(cell, D, H, num_layers=2, merge=merge, residual=True)
    attention = AdditiveAttention(encoder.stack.output_size, 3)

    def answers(x):
        found = encoder(Ragged(x.flatten(0, 1)[:7], np.array(LENGTHS)))
        return pool("last+max+mean", found.output, found.final), attention(found.output)

    x = batch(rows or dtype)
    exact = answers(x.detach().float())
    with torch.autocast("cpu", dtype=dtype):
        found = answers(x)
        sum(part.float().square().sum() for part in found).backward()
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.float(), other, **near(dtype))
    assert x.grad.dtype == x.dtype
    assert all(part.grad.dtype == torch.float32 for part in encoder.parameters())


@pytest.mark.parametrize("dtype", HALVES)
def test_models_of_what_comes_next(dtype):
    series = Forecaster(BiRNN("gru", D, H, bidirectional=False))
    symbols = LanguageModel(BiRNN("gru", H, H, bidirectional=False), 7)
    x, prompt = batch(torch.float32).detach(), torch.arange(10).view(2, 5) % 7
    exact = series.forecast(x, 2), series.loss(x), symbols.loss(prompt)
    with torch.autocast("cpu", dtype=dtype):
        found = series.forecast(x, 2), series.loss(x), symbols.loss(prompt)
        assert symbols.generate(prompt, 2, seed=1).shape == (2, 2)
        (found[1] + found[2]).backward()
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, **near(dtype))
