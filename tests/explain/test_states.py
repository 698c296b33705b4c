"""States, their correlation and their places in the output."""

# T steps, H hidden units, W width of an output row

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.errors import ConfigError
from birnn.explain.states import correlation, output_columns, states


def rows(steps, width=3, seed=0):
    return np.random.default_rng(seed).standard_normal((steps, width))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_states_are_what_each_half_ends_with_on_what_it_has_read(encoder, cell):
    """Of one layer: the forward state at t is the final state over steps 0..t alone."""
    model, x_TD = encoder(cell), rows(6)
    found = states(model, x_TD)
    for t in range(6):
        read = model(torch.from_numpy(x_TD[None, : t + 1])).state.h[0, 0]
        np.testing.assert_allclose(found.forward[t], read.detach().numpy(), rtol=1e-10, atol=1e-12)
        read = model(torch.from_numpy(x_TD[None, t:])).state.h[1, 0]
        np.testing.assert_allclose(found.backward[t], read.detach().numpy(), rtol=1e-10, atol=1e-12)
    norms = found.norms()
    np.testing.assert_allclose(norms["forward"] ** 2, (found.forward**2).sum(axis=1))
    np.testing.assert_allclose(norms["output"] ** 2, norms["forward"] ** 2 + norms["backward"] ** 2)


def test_a_layer_below(encoder):
    model = encoder("gru", num_layers=2, merge="sum", residual=True)
    below = encoder("gru", merge="sum", residual=True)
    below.load_state_dict({name: model.state_dict()[name] for name in below.state_dict()})
    found, expected = states(model, rows(5), layer=0), states(below, rows(5))
    np.testing.assert_allclose(found.output, expected.output, rtol=1e-12)
    assert (found.layer, states(model, rows(5)).layer) == (0, 1)


@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "product", "project"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_layout_says_whose_columns_they_are(encoder, merge, bidirectional):
    """Weights of the other half do not move the columns of a half; they move those of both."""
    model = encoder("gru", merge=merge, bidirectional=bidirectional)
    segments = output_columns(model.stack)
    assert segments[0].start == 0
    assert segments[-1].stop == states(model, rows(4)).output.shape[1]
    assert [s.stop for s in segments[:-1]] == [s.start for s in segments[1:]]
    plain = states(model, rows(4)).output
    for suffix, source in (("", "forward"), ("_reverse", "backward")):
        if suffix and not bidirectional:
            continue
        with torch.no_grad():
            bias = getattr(model, f"bias_ih_l0{suffix}")
            kept = bias.clone()
            bias += 0.5
        moved = (states(model, rows(4)).output != plain).any(axis=0)
        for segment in segments:
            assert (
                moved[segment.start : segment.stop] == (segment.source in (source, "both"))
            ).all()
        with torch.no_grad():
            bias.copy_(kept)
    if merge == "concat" and bidirectional:
        found = states(model, rows(4))
        for segment in segments:
            columns = found.output[:, segment.start : segment.stop]
            assert np.array_equal(columns, getattr(found, segment.source))


# ---------------------------------------------------------------------- correlation


def test_correlation_is_pearsons_over_all_steps(make, draw):
    bundle = make("words", "label-last", cell="gru")
    sequences = [draw(bundle, steps, seed=steps) for steps in (7, 3, 1)]
    found = correlation(bundle, [*sequences, []])
    each = [states(bundle, sequence) for sequence in sequences]
    forward = np.concatenate([one.forward for one in each])
    backward = np.concatenate([one.backward for one in each])
    expected = np.corrcoef(forward.T.astype(np.float64), backward.T)[:3, 3:]
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-6, atol=1e-8)
    assert (found.steps, found.constant_forward, found.constant_backward) == (11, 0, 0)


def test_a_unit_that_never_moves_correlates_with_nothing(encoder):
    model = encoder("gru")
    with torch.no_grad():
        # Update gate 1, so h stays 0: of forward unit 2, and of backward units 0 and 1.
        model.bias_ih_l0[4 + 2] = 1e4
        model.bias_ih_l0_reverse[4:6] = 1e4
    found = correlation(model, [rows(9)])
    assert (found.constant_forward, found.constant_backward) == (1, 2)
    unknown = np.zeros((4, 4), bool)
    unknown[2] = unknown[:, :2] = True
    assert np.array_equal(np.isnan(found.matrix), unknown)


def test_one_step_correlates_with_nothing(encoder):
    found = correlation(encoder(), [rows(1)])
    assert np.isnan(found.matrix).all()
    assert found.constant_forward == found.constant_backward == 4


def test_one_direction_has_nothing_to_correlate_with(encoder):
    with pytest.raises(ConfigError, match="layer 0 of the model reads in one direction"):
        correlation(encoder(bidirectional=False), [rows(3)])
    mixed = encoder(num_layers=2, directions=("both", "forward"))
    with pytest.raises(ConfigError, match="layer 1 of the model reads in one direction"):
        correlation(mixed, [rows(3)])
    assert correlation(mixed, [rows(3)], layer=0).matrix.shape == (4, 4)
