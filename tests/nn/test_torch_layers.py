"""`from_torch` and `to_torch`: torch's own layers answer as the `BiRNN` made of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from birnn.errors import ConversionError, UsageError
from birnn.nn import GRU, LSTM, RNN, BiRNN, from_torch, to_torch

KINDS = [
    (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    (nn.GRU, {"bidirectional": True, "bias": False}),
    (nn.GRU, {"num_layers": 3}),
    (nn.RNN, {"nonlinearity": "relu", "bidirectional": True}),
    (nn.RNN, {}),
    (LSTM, {"bidirectional": True}),
    (RNN, {"nonlinearity": "relu"}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_layer_of_torch_answers_as_the_birnn_of_it_and_back(kind, options):
    layer = kind(3, 4, batch_first=True, dtype=torch.float64, **options)
    encoder = from_torch(layer)
    x, lengths = torch.randn(3, 6, 3, dtype=torch.float64), torch.tensor([6, 1, 4])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    for one in (layer, to_torch(encoder)):
        output, state = one(packed)
        expected, _ = pad_packed_sequence(output, batch_first=True)
        found = encoder(x, lengths)
        torch.testing.assert_close(found.output, expected, rtol=0, atol=1e-12)
        h, *c = state if isinstance(state, tuple) else (state,)
        torch.testing.assert_close(found.state.h, h, rtol=0, atol=1e-12)
        if c:
            torch.testing.assert_close(found.state.c, c[0], rtol=0, atol=1e-12)
    if options.get("bias", True):
        assert to_torch(encoder).state_dict().keys() == layer.state_dict().keys()


def test_a_layer_within_a_state_dict():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.rnn = nn.RNN(3, 4, bidirectional=True, nonlinearity="relu", batch_first=True)

    tagger = Tagger()
    encoder = from_torch(tagger.state_dict(), prefix="rnn.", nonlinearity="relu")
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(encoder(x).output, tagger.rnn(x)[0])
    assert encoder.stack.cell == "rnn_relu"
    with pytest.raises(UsageError, match=r"nonlinearity is 'relo': did you mean relu"):
        from_torch(tagger.state_dict(), prefix="rnn.", nonlinearity="relo")


def without(state, *endings):
    return {name: value for name, value in state.items() if not name.endswith(endings)}


def test_what_has_no_counterpart_is_refused():
    both = nn.LSTM(3, 4, num_layers=2, bidirectional=True).state_dict()
    cases = [
        (nn.LSTM(3, 4, proj_size=2), "proj_size is 2, it must be 0"),
        (nn.Linear(3, 4), "Linear is no recurrent layer"),
        (nn.Conv1d(3, 4, 1), "no counterpart of torch's Conv1d"),
        (nn.LSTM(3, 4, proj_size=2).state_dict(), "has weight_hr"),
        ({}, "has no weight_ih_l0"),
        (without(both, "weight_hh_l1_reverse"), "reverse direction is not whole.*hh_l1_reverse"),
        (without(both, "_reverse"), "A reverse direction is missing: the layer reads two halves"),
        (without(both, "bias_ih_l0"), "it is not whole: there is no bias_ih_l0"),
        (both | {"weight_hh_l0": torch.zeros(20, 4)}, r"is \(20, 4\): an LSTM has 4, a GRU 3"),
        (both | {"bias_ih_l1": torch.zeros(3)}, r"shapes disagree: bias_ih_l1 \(3,\) for \(16,\)"),
    ]
    for given, message in cases:
        with pytest.raises(ConversionError, match=message):
            from_torch(given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"merge": "sum"}, "LSTM has no merge='sum'"),
        ({"directions": ("both", "forward"), "num_layers": 2}, "no layers of different directions"),
        ({"residual": True, "num_layers": 2}, "no residual connections"),
    ],
)
def test_stacks_that_are_no_layer_of_torch_are_refused(settings, message):
    with pytest.raises(ConversionError, match=f"{message}.*ManualBiRNN"):
        to_torch(BiRNN("lstm", 8, 4, **settings))


def test_residual_connections_that_add_nothing_are_none():
    encoder = BiRNN("gru", 3, 4, residual=True, bidirectional=False)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(to_torch(encoder)(x)[0], encoder(x).output)
    assert isinstance(from_torch(GRU(3, 4)), BiRNN)
