"""Agreement with torch.nn to 1e-10 in float64 on ragged batches, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birnn.ragged import Ragged
from birnn.reference import GATES, Stack, StackState, gradients, run_saving

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}


def module_of(stack):
    """torch's own module with random weights."""
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    options = {} if stack.cell in kinds else {"nonlinearity": stack.cell.removeprefix("rnn_")}
    return kinds.get(stack.cell, torch.nn.RNN)(
        stack.input_size,
        stack.hidden_size,
        stack.num_layers,
        bidirectional=stack.bidirectional,
        dtype=torch.float64,
        **options,
    )


def leaf(array):
    return torch.from_numpy(array.copy()).requires_grad_()


@pytest.mark.parametrize("cell", sorted(GATES))
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_outputs_states_and_gradients_agree(cell, lengths, layers, bidirectional, seed):
    stack = Stack(cell, 3, 4, num_layers=layers, bidirectional=bidirectional)
    rng = np.random.default_rng(seed)
    x = Ragged(rng.standard_normal((sum(lengths), 3)), np.array(lengths))
    zeros = StackState.zeros(stack, len(x), np.dtype(np.float64))
    initial = StackState(*(rng.standard_normal(part.shape) for part in zeros.parts))
    d_output = rng.standard_normal((sum(lengths), stack.output_size))
    d_state = StackState(*(rng.standard_normal(part.shape) for part in zeros.parts))

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = module_of(stack)
    rows, states = leaf(x.values), [leaf(part) for part in initial.parts]
    packed, last = module(
        Ragged(rows, x.lengths).to_packed(), tuple(states) if len(states) > 1 else states[0]
    )
    theirs = Ragged.from_packed(packed).values
    last = last if isinstance(last, tuple) else (last,)
    loss = (theirs * torch.from_numpy(d_output)).sum()
    for part, d in zip(last, d_state.parts, strict=True):
        loss = loss + (part * torch.from_numpy(d)).sum()
    loss.backward()

    parameters = {name: value.detach().numpy() for name, value in module.named_parameters()}
    assert parameters.keys() == stack.shapes().keys()
    out, saved = run_saving(x, parameters, stack, initial)
    np.testing.assert_allclose(out.output.values, theirs.detach().numpy(), **TOLERANCE)
    for ours, other in zip(out.state.parts, last, strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), **TOLERANCE)

    d_x, d_parameters, d_initial = gradients(saved, d_output, None, d_state)
    np.testing.assert_allclose(d_x, rows.grad.numpy(), **TOLERANCE)
    for name, value in module.named_parameters():
        np.testing.assert_allclose(
            d_parameters[name], value.grad.numpy(), **TOLERANCE, err_msg=name
        )
    for ours, other in zip(d_initial.parts, states, strict=True):
        np.testing.assert_allclose(ours, other.grad.numpy(), **TOLERANCE)
