"""The public layers on the native engine: a sequence has the same bits in every company and form.

`tests/engine/test_invariance.py` holds the kernels to it; here it is the layers, with their
merges, their forms of a batch and torch's setting of threads.
"""

# N rows of all sequences, B sequences, D inputs, H hidden units

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.nn import GRU, LSTM, RNN, BiRNN
from birnn.ragged import Ragged

pytestmark = pytest.mark.usefixtures("native")

# Enough rows and units for more than one thread.
LENGTHS = np.array([40, 1, 17, 0, 33, 60, 9])
D, H = 24, 64


@pytest.fixture(autouse=True)
def threads():
    """Torch's setting of threads, as it was when the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def birnn(cell, merge):
    encoder = BiRNN(cell, D, H, num_layers=2, merge=merge, residual=True)

    def run(batch):
        """Rows, final states, and the gradient of the rows."""
        x = batch.values.detach().requires_grad_()
        out = encoder(batch.with_values(x))
        (d_x,) = torch.autograd.grad(out.output.values.square().sum() + out.final.sum(), x)
        return batch.with_values(out.output.values.detach()), out.final.detach(), d_x

    return run


def drop_in(kind):
    module = kind(D, H, num_layers=2, bidirectional=True, batch_first=True)

    def run(batch):
        x = batch.to_padded(steps=64).requires_grad_()
        output, states = module(x, lengths=batch.lengths)
        last = states[0] if isinstance(states, tuple) else states
        (d_x,) = torch.autograd.grad(output.square().sum() + last.sum(), x)
        rows, d_rows = (Ragged.from_padded(part, batch.lengths) for part in (output, d_x))
        return rows.map(torch.Tensor.detach), last.transpose(0, 1).detach(), d_rows.values

    return run


RUNS = {
    f"BiRNN {cell} {merge}": (birnn, cell, merge)
    for cell, merge in (
        ("lstm", "concat"),
        ("gru", "sum"),
        ("rnn_tanh", "mean"),
        ("rnn_relu", "product"),
    )
} | {kind.__name__: (drop_in, kind) for kind in (LSTM, GRU, RNN)}


@pytest.mark.parametrize("name", RUNS)
def test_batch_order_and_threads_change_no_bit(threads, name):
    make, *arguments = RUNS[name]
    run = make(*arguments)
    draw = torch.Generator().manual_seed(0)
    batch = Ragged(torch.randn(int(LENGTHS.sum()), D, generator=draw), LENGTHS)
    threads(1)
    rows, final, d_x = run(batch)
    d_rows = batch.with_values(d_x)
    everything = list(range(len(LENGTHS)))
    for count, order in (
        (2, everything),
        (3, everything[::-1]),
        (1, [5]),
        (2, [3]),
        (2, [2, 0, 2]),
    ):
        threads(count)
        found, found_final, found_d_x = run(batch.select(order))
        assert torch.equal(found.values, rows.select(order).values)
        assert torch.equal(found_final, final[order])
        assert torch.equal(found_d_x, d_rows.select(order).values)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_form_of_a_batch_changes_no_bit(cell):
    encoder = BiRNN(cell, D, H)
    lengths = LENGTHS[LENGTHS > 0]
    batch = Ragged(torch.randn(int(lengths.sum()), D), lengths)
    expected = encoder(batch).output
    assert torch.equal(encoder(batch.to_padded(), lengths).output, expected.to_padded())
    turned = encoder(batch.to_padded(steps=99), lengths).output
    assert torch.equal(turned, expected.to_padded(steps=99))
    assert torch.equal(encoder(batch.to_packed()).output.data, expected.to_packed().data)
    assert torch.equal(encoder(batch.to_jagged()).output.values(), expected.values)
