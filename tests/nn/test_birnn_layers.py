"""What each layer of a stack says is what stacks of one layer say, one after another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.errors import UsageError
from birnn.nn import BiRNN, State
from birnn.ragged import Ragged
from birnn.reference.stack import MERGE_WIDTH
from stacks import layer_of

LENGTHS = np.array([4, 0, 6, 1])


def alone(encoder, at):
    """One layer of a stack as a stack of its own."""
    stack = layer_of(encoder.stack, at)
    layer = BiRNN.from_stack(stack).double()
    weights = encoder.state_dict()
    layer.load_state_dict({n: weights[n.replace("_l0", f"_l{at}")] for n in stack.shapes()})
    return layer


@pytest.mark.parametrize("merge", sorted(MERGE_WIDTH))
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    "directions", [("both",) * 3, ("forward",) * 3, ("both", "forward", "both")]
)
def test_layers_are_those_of_stacks_of_one_layer(draw, draw_states, cell, merge, directions):
    width = 8 if merge == "concat" and directions[0] == "both" else 4
    encoder = BiRNN(
        cell, width, 4, num_layers=3, merge=merge, directions=directions, residual=True
    ).double()
    batch = draw(LENGTHS.tolist(), width, 1)
    initial = draw_states(encoder, len(LENGTHS), 2)
    found = encoder.layer_outputs(batch, initial=initial)
    rows = batch
    for at, out in enumerate(found):
        here = encoder.stack.states_of(at)
        own = [p if p is None else p[here] for p in (initial.h, initial.c)]
        expected = alone(encoder, at)(rows, initial=State(*own))
        torch.testing.assert_close(out.below.values, rows.values)
        torch.testing.assert_close(out.forward.values, expected.forward.values)
        if directions[at] == "both":
            torch.testing.assert_close(out.backward.values, expected.backward.values)
        torch.testing.assert_close(torch.stack(out.final), expected.state.h)
        added = rows.values if encoder.stack.adds_input(at) else 0
        rows = rows.with_values(expected.output.values + added)
        torch.testing.assert_close(out.output.values, rows.values)
    whole = encoder(batch, initial=initial)
    assert torch.equal(found[-1].output.values, whole.output.values)


def test_the_first_layers_alone(draw):
    encoder = BiRNN("gru", 3, 4, num_layers=3).double()
    batch = draw(LENGTHS.tolist(), 3, 1)
    every, two = encoder.layer_outputs(batch), encoder.layer_outputs(batch, stop=2)
    assert len(two) == 2
    assert torch.equal(two[1].output.values, every[1].output.values)
    for stop in (0, 4):
        with pytest.raises(UsageError, match="the stack has 1 to 3 layers"):
            encoder.layer_outputs(batch, stop=stop)


@pytest.mark.parametrize("merge", ["concat", "project"])
def test_padding_says_nothing_in_any_layer(merge):
    encoder = BiRNN("lstm", 4, 4, num_layers=2, merge=merge, residual=True)
    x = torch.randn(4, 6, 4)
    beyond = torch.arange(6) >= torch.from_numpy(LENGTHS)[:, None]
    x[beyond] = torch.nan
    padded = encoder.layer_outputs(x, LENGTHS)
    ragged = encoder.layer_outputs(Ragged.from_padded(x, LENGTHS))
    for one, other in zip(padded, ragged, strict=True):
        for name in ("below", "output", "forward", "backward"):
            rows = Ragged.from_padded(getattr(one, name), LENGTHS)
            assert torch.equal(rows.values, getattr(other, name).values), name
            assert (
                getattr(one, name)[torch.arange(6) >= torch.from_numpy(LENGTHS)[:, None]].sum() == 0
            )
