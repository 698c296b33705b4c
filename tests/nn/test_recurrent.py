"""`RNN`, `LSTM` and `GRU` against torch's own: every call that torch takes or refuses."""

# B sequences, T steps, D inputs, H hidden units, L layers times directions

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from birnn.nn import LSTM

KINDS = ["gru", "lstm", "rnn"]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
D, H = 3, 4


def random(*shape):
    """Standard normal numbers."""
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def gradients(flat, module, answer, *inputs):
    """Of a loss that weighs every number differently, for the inputs and the parameters."""
    loss = sum(
        (part * torch.arange(1, part.numel() + 1).view_as(part).sin()).sum()
        for part in flat(answer)
    )
    return torch.autograd.grad(loss, [*inputs, *module.parameters()])


OPTIONS = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
    }
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(
    options=OPTIONS,
    relu=st.booleans(),
    batch=st.integers(0, 4),
    steps=st.integers(1, 5),
    starts=st.booleans(),
    turned=st.booleans(),
)
def test_padded_input_is_answered_as_by_torch(
    pair, flat, same, hidden, kind, options, relu, batch, steps, starts, turned
):
    if kind == "rnn" and relu:
        options = options | {"nonlinearity": "relu"}
    ours, own = pair(kind, **options)
    x = random(batch, steps, D) if ours.batch_first else random(steps, batch, D)
    if turned:  # the other axis first in memory
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    xs = [x.clone().requires_grad_() for _ in range(2)]
    hx = hidden(ours, batch) if starts else None
    found, expected = (m(part, hx) for m, part in zip((ours, own), xs, strict=True))
    same(found, expected)
    for one, other in zip(
        gradients(flat, ours, found, xs[0]), gradients(flat, own, expected, xs[1]), strict=True
    ):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(
    options=OPTIONS,
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    ordered=st.booleans(),
    starts=st.booleans(),
)
def test_packed_input_is_answered_as_by_torch(
    pair, flat, same, hidden, kind, options, lengths, ordered, starts
):
    ours, own = pair(kind, **options)
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    sequences = [(i + random(length, D)).requires_grad_() for i, length in enumerate(lengths)]
    hx = hidden(ours, len(lengths)) if starts else None
    found, expected = (
        module(pack_sequence(sequences, enforce_sorted=ordered), hx) for module in (ours, own)
    )
    same(found, expected)
    for one, other in zip(found[0][1:], expected[0][1:], strict=True):
        assert one is other or torch.equal(one, other)  # batch sizes, and the order
    for one, other in zip(
        gradients(flat, ours, found, *sequences),
        gradients(flat, own, expected, *sequences),
        strict=True,
    ):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("starts", [True, False])
def test_one_sequence_without_a_batch_axis(pair, same, hidden, kind, batch_first, starts):
    ours, own = pair(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    hx = hidden(ours) if starts else None
    same(ours(random(5, D), hx), own(random(5, D), hx))


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_by_name(pair, same, hidden, kind):
    ours, own = pair(kind)
    x, hx = random(5, 2, D), hidden(ours, 2)
    same(ours(input=x, hx=hx), own(input=x, hx=hx))


def test_states_may_come_as_a_list(pair, same, hidden):
    ours, own = pair("lstm")
    x, hx = random(5, 2, D), list(hidden(ours, 2))
    same(ours(x, hx), own(x, hx))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes(pair, same, kind, dtype):
    ours, own = pair(kind, dtype=dtype, bidirectional=True)
    x = random(5, 2, D).to(dtype)
    same(ours(x), own(x), rtol=1e-5, atol=1e-5)
    assert ours(x)[0].dtype == dtype


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_projection_goes_torchs_way(pair, same, bidirectional):
    ours, own = pair("lstm", proj_size=2, bidirectional=bidirectional, num_layers=2)
    x = random(5, 3, D)
    same(ours(x), own(x))
    # And with lengths: as each sequence alone.
    output, (h, c) = ours(x, lengths=[5, 2, 3])
    for i, length in enumerate((5, 2, 3)):
        alone, (h_alone, c_alone) = own(x[:length, i])
        torch.testing.assert_close(output[:length, i], alone, **CLOSE)
        assert not output[length:, i].any()
        torch.testing.assert_close(h[:, i], h_alone, **CLOSE)
        torch.testing.assert_close(c[:, i], c_alone, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [True, False])
def test_without_gradients_the_answers_are_the_same(pair, same, flat, kind, packed):
    ours, _ = pair(kind, bidirectional=True, num_layers=2)
    x = random(4, 2, D)
    x = pack_padded_sequence(x, [4, 2]) if packed else x
    with torch.no_grad():
        quiet = ours(x)
    with torch.inference_mode():
        quieter = ours(x)
    assert not flat(quiet)[0].requires_grad
    same(quiet, ours(x), rtol=0, atol=0)
    same(quieter, ours(x), rtol=0, atol=0)


BAD_CALLS = {
    "four axes": lambda m: m(torch.zeros(1, 2, 3, D)),
    "another width": lambda m: m(torch.zeros(5, 2, D + 1)),
    "no step": lambda m: m(torch.zeros(0, 2, D)),
    "another dtype": lambda m: m(torch.zeros(5, 2, D, dtype=torch.float64)),
    "integers": lambda m: m(torch.zeros(5, 2, D, dtype=torch.int64)),
    "no tensor": lambda m: m([[1.0]]),
    "states of a batch for one sequence": lambda m: m(torch.zeros(5, D), states(m, 2)),
    "states of one sequence for a batch": lambda m: m(torch.zeros(5, 2, D), states(m)),
    "states of another batch": lambda m: m(torch.zeros(5, 2, D), states(m, 3)),
    "states alone": lambda m: m(torch.zeros(5, 2, D), [torch.zeros(1, 2, H)]),
    "states of another dtype": lambda m: m(torch.zeros(5, 2, D), doubled(states(m, 2))),
}


def states(module, *batch):
    h = torch.zeros(1, *batch, H)
    return (h, h) if isinstance(module, nn.LSTM) else h


def doubled(hx):
    return tuple(part.double() for part in hx) if isinstance(hx, tuple) else hx.double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", BAD_CALLS)
def test_what_torch_refuses_is_refused_in_its_words(pair, kind, call):
    ours, own = pair(kind, dtype=torch.float32)
    with pytest.raises(Exception) as expected:  # noqa: PT011 - whatever torch raises
        BAD_CALLS[call](own)
    with pytest.raises(type(expected.value)) as found:
        BAD_CALLS[call](ours)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["native", "torch"])
def test_packed_input_that_does_not_fit_is_refused(pair, hidden, on_engine, engine, kind):
    # torch's own LSTM checks neither, and reads past the rows.
    ours, _ = pair(kind)
    packed = pack_padded_sequence(random(5, 1, D), [5])
    with on_engine(engine):
        with pytest.raises(RuntimeError, match="Expected 3, got 4"):
            ours(pack_padded_sequence(random(5, 1, D + 1), [5]))
        with pytest.raises(RuntimeError, match=r"size \(1, 1, 4\), got \[1, 2, 4\]"):
            ours(packed, hidden(ours, 2))
        with pytest.raises(ValueError, match=r"input dtype \(torch.float32\) does not match"):
            ours(packed.float())


@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden_size": 0},
        {"num_layers": 0},
        {"dropout": 2.0},
        {"bias": "yes"},
        {"batch_first": 1},
        {"proj_size": 9},
    ],
)
def test_settings_that_torch_refuses_are_refused_in_its_words(arguments):
    arguments = {"input_size": 3, "hidden_size": 4} | arguments
    with pytest.raises((ValueError, TypeError)) as expected:
        nn.LSTM(**arguments)
    with pytest.raises(type(expected.value)) as found:
        LSTM(**arguments)
    assert str(found.value) == str(expected.value)
