"""The manual stack: `BiRNN`'s answers and gradients, from one-directional layers and a flip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from birnn.errors import LengthError, ShapeError, UsageError
from birnn.nn import BiRNN, ManualBiRNN, State, from_torch, to_torch
from birnn.nn.manual import flip, run_direction
from birnn.ragged import Ragged
from birnn.reference import Stack

LENGTHS = torch.tensor([4, 0, 1, 6])
STACKS = [
    Stack("lstm", 3, 4, num_layers=3),
    Stack("gru", 3, 4, num_layers=3, directions=("both", "forward", "both"), merge="sum"),
    Stack("rnn_tanh", 4, 4, num_layers=2, merge="mean", residual=True),
    Stack("rnn_relu", 3, 4, num_layers=2, merge="product"),
    Stack("gru", 3, 4, num_layers=2, merge="project", merge_size=3, residual=True),
    Stack("lstm", 3, 4, num_layers=2, bidirectional=False),
]


def drawn(stack, *, initial):
    torch.manual_seed(0)
    encoder = BiRNN.from_stack(stack).double()
    x = torch.randn(len(LENGTHS), 7, stack.input_size, dtype=torch.float64)
    if not initial:
        return encoder, x, None
    shape = (stack.state_count, len(LENGTHS), stack.hidden_size)
    parts = [torch.randn(shape, dtype=torch.float64) for _ in range(1 + (stack.cell == "lstm"))]
    return encoder, x, State(*parts)


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_it_gives_what_birnn_gives_and_the_same_gradients(stack, initial):
    encoder, x, state = drawn(stack, initial=initial)
    manual = ManualBiRNN.of(encoder)
    grads = []
    for network in (encoder, manual):
        found = network(x, LENGTHS, initial=state)
        parts = [found.output, found.forward, found.final, found.state.h]
        parts += [part for part in (found.backward, found.state.c) if part is not None]
        encoder.zero_grad()
        sum((part * torch.linspace(-1, 1, part.shape[-1]).cos()).sum() for part in parts).backward()
        grads.append((parts, {n: p.grad.clone() for n, p in encoder.named_parameters()}))
    (expected, d_expected), (found, d_found) = grads
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(d_found, d_expected, rtol=0, atol=1e-10)


def test_it_is_made_of_one_directional_layers_of_torch():
    manual = ManualBiRNN.of(BiRNN("lstm", 3, 4, num_layers=2))
    layers = [m for m in manual.modules() if isinstance(m, nn.RNNBase)]
    assert [type(layer) for layer in layers] == [nn.LSTM] * 4
    assert {(layer.num_layers, layer.bidirectional) for layer in layers} == {(1, False)}


def test_training_one_trains_the_other():
    encoder = BiRNN("gru", 3, 4, merge="project")
    manual = ManualBiRNN.of(encoder)
    assert set(map(id, manual.parameters())) == set(map(id, encoder.parameters()))


def test_what_stands_in_padding_changes_nothing():
    encoder, x, _ = drawn(STACKS[0], initial=False)
    manual = ManualBiRNN.of(encoder)
    padding = torch.arange(x.shape[1]) >= LENGTHS[:, None]
    spoilt = x.masked_fill(padding[:, :, None], 1e6)
    for name in ("output", "forward", "backward", "final"):
        found, expected = (getattr(manual(each, LENGTHS), name) for each in (spoilt, x))
        assert torch.equal(found, expected)
    assert not manual(spoilt, LENGTHS).output[padding].any()


def test_a_flip_of_the_whole_batch_would_read_the_padding_first():
    """The mistake that the flip by lengths is there for gives other numbers."""
    encoder, x, _ = drawn(Stack("gru", 3, 4), initial=False)
    right = encoder(x, LENGTHS).backward
    layer = ManualBiRNN.of(encoder).layers[0][1]
    wrong = layer(x.flip(1))[0].flip(1)
    assert torch.allclose(wrong[0, :0], right[0, :0])
    assert not torch.allclose(wrong[0, :4], right[0, :4], atol=1e-3)


def test_flip_is_the_reversal_of_ragged_rows():
    x = torch.randn(4, 7, 3)
    expected = Ragged.from_padded(x, LENGTHS).reversed().to_list()
    for rows, turned, length in zip(expected, flip(x, LENGTHS), LENGTHS, strict=True):
        assert torch.equal(turned[:length], rows)
    assert torch.equal(flip(flip(x, LENGTHS), LENGTHS), x)


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_nan_in_padding_changes_neither_answers_nor_gradients(stack):
    encoder, x, state = drawn(stack, initial=True)
    manual = ManualBiRNN.of(encoder)
    padding = torch.arange(x.shape[1]) >= LENGTHS[:, None]
    found = []
    for network, stands_there in ((manual, 0.0), (manual, torch.nan), (encoder, torch.nan)):
        encoder.zero_grad()
        rows = x.masked_fill(padding[:, :, None], stands_there).requires_grad_()
        out = network(rows, LENGTHS, initial=state)
        (out.output.square().sum() + out.final.sum()).backward()
        found.append([out.output, out.final, rows.grad, *(p.grad for p in encoder.parameters())])
        found[-1] = [part.detach().clone() for part in found[-1]]
        assert not found[-1][0][padding].any()
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)
    torch.testing.assert_close(found[1], found[2], rtol=0, atol=1e-10)


@pytest.mark.parametrize("width", [2, 6])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_rows_of_another_width_are_refused(cell, width):
    """torch's LSTM does not look at the width of packed rows, and reads past their end."""
    encoder, x = BiRNN(cell, 5, 4), torch.zeros(2, 3, width)
    packed = pack_padded_sequence(x, torch.tensor([3, 1]), batch_first=True)
    for network, rows in ((ManualBiRNN.of(encoder), x), (encoder, x), (encoder, packed)):
        with pytest.raises(ShapeError, match=rf"rows are 5 wide, got \({width},\)"):
            network(rows)
    with pytest.raises(ShapeError, match="rows are 5 wide"):
        ManualBiRNN.of(encoder)(x[:0])


def test_batches_of_nothing():
    manual = ManualBiRNN(Stack("lstm", 3, 4))
    for batch, steps in ((0, 5), (2, 0), (0, 0)):
        found = manual(torch.zeros(batch, steps, 3))
        assert found.output.shape == (batch, steps, 8)
        assert found.final.shape == (batch, 8)
        assert not found.final.any()
    output, (h,) = run_direction(
        nn.GRU(3, 4, batch_first=True), torch.zeros(0, 5, 3), LENGTHS[:0], (torch.zeros(0, 4),)
    )
    assert (output.shape, h.shape) == ((0, 5, 4), (0, 4))


def test_wrong_inputs_are_told():
    manual = ManualBiRNN(Stack("lstm", 3, 4))
    x = torch.zeros(2, 5, 3)
    with pytest.raises(ShapeError, match=r"a padded batch is \(B, T, D\)"):
        manual(x[0])
    with pytest.raises(LengthError, match=r"lengths\[1\] is 6, x has 5 steps"):
        manual(x, np.array([5, 6]))
    with pytest.raises(LengthError, match=r"lengths\[0\] is -1"):
        manual(x, [-1, 2])
    with pytest.raises(ShapeError, match="3 lengths for 2 sequences"):
        manual(x, [1, 2, 3])
    with pytest.raises(ShapeError, match=r"\(B, T, D\), got PackedSequence"):
        manual(pack_padded_sequence(x, torch.tensor([5, 2]), batch_first=True))
    with pytest.raises(ShapeError, match=r"rows of torch\.float64, the weights of torch\.float32"):
        manual(x.double())
    with pytest.raises(ShapeError, match="the initial state of a lstm is h and c"):
        manual(x, initial=State(torch.zeros(2, 2, 4)))


@pytest.mark.parametrize("take", [ManualBiRNN.of, to_torch])
def test_what_is_no_birnn_is_told(take):
    hint = r"Give a birnn\.nn\.BiRNN of it: birnn\.nn\.from_torch\(layer\)\."
    with pytest.raises(UsageError, match=rf"^encoder is a LSTM\. {hint}$"):
        take(nn.LSTM(3, 4))
    with pytest.raises(UsageError, match=r"^encoder is a Linear\. Give a birnn\.nn\.BiRNN\.$"):
        take(nn.Linear(3, 4))
    with pytest.raises(UsageError, match=r"layer is a list\. Give a layer, or a state_dict"):
        from_torch([nn.LSTM(3, 4)])


def test_parameters_of_another_stack_are_refused():
    manual = ManualBiRNN(Stack("gru", 3, 4))
    other = dict(BiRNN("gru", 3, 5, bidirectional=False).named_parameters())
    with pytest.raises(
        ShapeError, match=r"has shape \(15, 3\), it must be.*reverse \(12, 3\) is mis"
    ):
        manual.share(other)
