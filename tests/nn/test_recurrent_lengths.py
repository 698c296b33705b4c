"""`RNN`, `LSTM` and `GRU` with lengths: every sequence as alone."""

# B sequences, T steps, D inputs, H hidden units, L layers times directions

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

from birnn.errors import LengthError, ShapeError, UsageError
from birnn.nn import LSTM

KINDS = ["gru", "lstm", "rnn"]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
D, H = 3, 4


def random(*shape):
    """Standard normal numbers."""
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw, dtype=torch.float64)


OPTIONS = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
    }
)


def as_given(lengths, form):
    """Lengths in one of the forms they may come in."""
    forms = {
        "list": list,
        "tuple": tuple,
        "array": lambda counts: np.array(counts, dtype=np.int32),
        "tensor": lambda counts: torch.tensor(counts, dtype=torch.int64),
        "int32": lambda counts: torch.tensor(counts, dtype=torch.int32),
    }
    return forms[form](lengths)


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(
    options=OPTIONS,
    lengths=st.lists(st.integers(0, 5), max_size=4),
    form=st.sampled_from(["list", "tuple", "array", "tensor", "int32"]),
    starts=st.booleans(),
    turned=st.booleans(),
)
def test_with_lengths_every_sequence_is_answered_as_alone(
    pair, hidden, on_engine, engine, kind, options, lengths, form, starts, turned
):
    ours, own = pair(kind, **options)
    steps = 6
    x = random(len(lengths), steps, D)
    for i, length in enumerate(lengths):
        x[i, length:] = float("nan")  # what stands in the padding is never read
    x = x.requires_grad_()
    given_x = x if ours.batch_first else x.transpose(0, 1)
    if turned:
        given_x = given_x.transpose(0, 1).contiguous().transpose(0, 1)
    hx = hidden(ours, len(lengths)) if starts else None
    with on_engine(engine):
        output, final = ours(given_x, hx, lengths=as_given(lengths, form))
    assert output.shape[:2] == given_x.shape[:2]
    output = output if ours.batch_first else output.transpose(0, 1)
    final = final if isinstance(final, tuple) else (final,)
    loss, expected_loss = 0, 0
    zeros = torch.zeros_like(final[0])
    begin = (zeros,) * len(final) if hx is None else hx if isinstance(hx, tuple) else (hx,)
    for i, length in enumerate(lengths):
        assert not output[i, length:].any()
        alone = tuple(part[:, i] for part in begin)
        expected_final = alone
        if length:
            expected, expected_final = own(x[i, :length], alone if kind == "lstm" else alone[0])
            torch.testing.assert_close(output[i, :length], expected, **CLOSE)
            loss, expected_loss = loss + output[i].sin().sum(), expected_loss + expected.sin().sum()
            expected_final = (
                expected_final if isinstance(expected_final, tuple) else (expected_final,)
            )
        for part, other in zip(final, expected_final, strict=True):
            torch.testing.assert_close(part[:, i], other, **CLOSE)
            loss, expected_loss = loss + part[:, i].cos().sum(), expected_loss + other.cos().sum()
    if not any(lengths):
        return
    with on_engine(engine):
        found = torch.autograd.grad(loss, [x, *ours.parameters()])
    expected = torch.autograd.grad(expected_loss, [x, *own.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_full_lengths_are_no_lengths(pair, same, kind):
    ours, _ = pair(kind, bidirectional=True)
    x = random(5, 2, D)
    same(ours(x, lengths=[5, 5]), ours(x))


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_step_states_go_through(pair, flat, hidden, kind):
    ours, _ = pair(kind, bidirectional=True, num_layers=2)
    hx = hidden(ours, 2)
    output, final = ours(torch.zeros(0, 2, D, dtype=torch.float64), hx, lengths=[0, 0])
    assert output.shape == (0, 2, 2 * H)
    for part, start in zip(flat((output, final))[1:], flat((output, hx))[1:], strict=True):
        assert torch.equal(part, start)


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lengths": [5, 9]}, LengthError, r"lengths\[1\] is 9, x has 5 steps. Trim it to 5"),
        ({"lengths": [-1, 2]}, LengthError, r"lengths\[0\] is -1. A sequence has 0 or more"),
        ({"lengths": [5]}, ShapeError, "1 lengths for 2 sequences"),
        ({"lengths": torch.tensor([5.0, 2.0])}, ShapeError, r"integers, got .* of torch.float32"),
        ({"lengths": [[5, 2]]}, ShapeError, r"vector of integers, got shape \(1, 2\)"),
        ({"lengths": 5}, ShapeError, r"vector of integers, got shape \(\)"),
        ({"lengths": [5], "input": torch.zeros(5, D)}, ShapeError, "is one full sequence"),
        ({"lengths": [5, 2], "input": [1.0]}, ShapeError, "padded tensor, got list"),
        (
            {"lengths": [1], "input": pack_sequence([torch.zeros(1, D)])},
            UsageError,
            "PackedSequence knows its lengths",
        ),
        ({"lengths": [5, 2], "hx": [torch.zeros(1, 2, H)]}, ShapeError, "is a pair"),
        (
            {"lengths": [5, 2], "input": torch.zeros(5, 2, 9)},
            RuntimeError,
            "Expected 3, got 9",
        ),
        (
            {"lengths": [5, 2], "input": torch.zeros(5, 2, D, dtype=torch.float64)},
            ValueError,
            "input dtype|input must have the type",  # in the words of newer torch, and of older
        ),
        (
            {"lengths": [5, 2], "hx": (torch.zeros(1, 3, H), torch.zeros(1, 2, H))},
            RuntimeError,
            r"Expected hidden\[0\] size \(1, 2, 4\), got \[1, 3, 4\]",
        ),
    ],
)
def test_lengths_that_do_not_fit_are_refused(on_engine, engine, arguments, error, message):
    with on_engine(engine), pytest.raises(error, match=message):
        LSTM(D, H)(**({"input": torch.zeros(5, 2, D)} | arguments))


@pytest.mark.parametrize("again", [False, True])
def test_lengths_of_the_backward_pass_are_those_of_the_forward_pass(again):
    lstm = LSTM(D, H, bidirectional=True, dtype=torch.float64)
    x = random(5, 2, D).requires_grad_()

    def gradients(change):
        lengths = torch.tensor([5, 2])
        output, _ = lstm(x, lengths=lengths)
        change(lengths)
        (d_x,) = torch.autograd.grad(output.square().sum(), x, create_graph=again)
        return torch.autograd.grad(d_x.square().sum(), x) if again else (d_x,)

    expected = gradients(lambda lengths: None)
    assert torch.equal(*gradients(lambda lengths: lengths.fill_(1)), *expected)
