"""Information flow against central differences and laws; the estimate, the window, the context."""

# T steps, D width of a row, H hidden units

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ConfigError
from birnn.explain.flow import Flow, Windows, affordable, by_distance, context_length, flow
from birnn.explain.inspected import InspectedModel
from birnn.explain.reading import Reading
from birnn.nn import State
from birnn.ragged import Ragged

MERGES = ("concat", "sum", "mean", "product", "project")
CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def rows(steps, width=3, seed=0):
    return np.random.default_rng(seed).standard_normal((steps, width))


def outputs(model, x_TD):
    with torch.no_grad():
        out = model(Ragged(torch.from_numpy(x_TD), np.array([len(x_TD)])))
    halves = [out.forward, out.output] if out.backward is None else [
        out.forward, out.backward, out.output
    ]  # fmt: skip
    return [half.values.numpy() for half in halves]


def by_differences(model, x_TD, step=1e-6):
    """Norms of the Jacobians of the last layer's halves and output, input by input."""
    steps, width = x_TD.shape
    squares = [np.zeros((steps, steps)) for _ in outputs(model, x_TD)]
    for s in range(steps):
        for d in range(width):
            up, down = x_TD.copy(), x_TD.copy()
            up[s, d] += step
            down[s, d] -= step
            for square, high, low in zip(
                squares, outputs(model, up), outputs(model, down), strict=True
            ):
                square[:, s] += (((high - low) / (2 * step)) ** 2).sum(axis=1)
    return [np.sqrt(square) for square in squares]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    ("cell", "merge"),
    [*((cell, "concat") for cell in CELLS), *(("gru", merge) for merge in MERGES[1:])],
)
def test_norms_are_those_of_central_differences(encoder, cell, merge, layers):
    model = encoder(cell, 4, 4, merge=merge, num_layers=layers, residual=layers == 2)
    x_TD = rows(5, 4)
    found = flow(model, x_TD)
    expected = by_differences(model, x_TD)
    for matrix, norms in zip(
        (found.forward, found.backward, found.combined), expected, strict=True
    ):
        np.testing.assert_allclose(matrix, norms, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("cell", ["lstm", "rnn_tanh"])
def test_one_direction_has_no_backward_half(encoder, cell):
    model = encoder(cell, bidirectional=False, num_layers=2)
    found = flow(model, rows(4))
    forward, combined = by_differences(model, rows(4))
    np.testing.assert_allclose(found.forward, forward, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.combined, combined, rtol=1e-5, atol=1e-7)
    assert found.backward is None
    assert found.context().backward is None
    with pytest.raises(ConfigError, match="no flow of direction 'backward'"):
        found.by_distance("backward")


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("inputs", ["words", "symbols", "vectors"])
def test_a_state_of_the_first_layer_knows_only_what_its_half_has_read(
    make, draw, on_engine, inputs, engine
):
    bundle = make(inputs, "crf", num_layers=2, merge="sum")
    with on_engine(engine):
        found = flow(bundle, draw(bundle, 7), layer=0)
        above = flow(bundle, draw(bundle, 7))
    assert not np.triu(found.forward, 1).any()
    assert not np.tril(found.backward, -1).any()
    assert (np.tril(found.forward) > 0).sum() == (np.triu(found.backward) > 0).sum() == 28
    assert (found.combined > 0).all()
    assert (above.forward > 0).all()
    assert (above.backward > 0).all()


@pytest.mark.parametrize("merge", MERGES)
def test_both_engines_agree(make, draw, on_engine, merge):
    bundle = make("words", "tags", num_layers=2, merge=merge, cell="gru")
    found = []
    for engine in ("native", "torch"):
        with on_engine(engine):
            found.append(flow(bundle, draw(bundle, 6), window=3))
    for one, other in zip(*[(f.forward, f.backward, f.combined) for f in found], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_turning_the_input_and_swapping_the_halves_turns_the_flow(encoder, layers):
    model = encoder("lstm", num_layers=layers, merge="mean")
    turned = copy.deepcopy(model)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in turned.named_parameters():
            other = (
                name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"
            )
            parameter.copy_(weights[other])
    found, back = flow(model, rows(6)), flow(turned, rows(6)[::-1])
    np.testing.assert_allclose(back.forward, found.backward[::-1, ::-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(back.backward, found.forward[::-1, ::-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(back.combined, found.combined[::-1, ::-1], rtol=1e-9, atol=1e-12)


def test_a_layer_below_is_the_last_of_the_stack_up_to_it(encoder):
    model = encoder("gru", num_layers=3, merge="sum")
    below = encoder("gru", num_layers=2, merge="sum")
    below.load_state_dict({name: model.state_dict()[name] for name in below.state_dict()})
    found, expected = flow(model, rows(4), layer=1), flow(below, rows(4))
    np.testing.assert_allclose(found.combined, expected.combined, rtol=1e-12)
    assert found.layer == 1


def test_a_sequence_of_one_step(make, draw):
    bundle = make("words")
    found = flow(bundle, draw(bundle, 1))
    assert found.forward.shape == (1, 1)
    assert found.forward[0, 0] > 0
    assert found.context() == found.context(share=1.0)
    assert found.context().forward == 0


# ---------------------------------------------------------------------- the estimate


def test_one_unit_needs_one_probe(encoder):
    """(v J)^2 is J^2 for v = 1 and for v = -1."""
    model = encoder("lstm", 3, 1, merge="sum")
    exact, estimate = flow(model, rows(5)), flow(model, rows(5), probes=1)
    np.testing.assert_allclose(estimate.combined, exact.combined, rtol=1e-12)
    np.testing.assert_allclose(estimate.forward, exact.forward, rtol=1e-12)


@pytest.mark.parametrize("merge", ["concat", "product"])
def test_the_estimate_is_unbiased_within_its_standard_error(encoder, merge):
    model = encoder("gru", merge=merge, num_layers=2)
    exact, estimate = flow(model, rows(4)), flow(model, rows(4), probes=3000, seed=1)
    for direction in ("forward", "backward", "combined"):
        ratio = estimate.matrix(direction) ** 2 / exact.matrix(direction) ** 2
        assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / 3000)
        assert np.abs(ratio - 1).max() > 0
    assert (estimate.probes, exact.probes) == (3000, None)


def test_a_seed_says_all_that_is_random(encoder):
    same = [flow(encoder(), rows(4), probes=2, seed=seed).forward for seed in (5, 5, 6)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


# ---------------------------------------------------------------------- the window


@pytest.mark.parametrize("cell", CELLS)
def test_of_one_layer_a_window_leaves_out_and_changes_nothing(encoder, cell):
    model = encoder(cell, merge="project")
    exact, seen = flow(model, rows(9)), flow(model, rows(9), window=2)
    near = np.abs(np.subtract.outer(np.arange(9), np.arange(9))) <= 2
    for direction in ("forward", "backward", "combined"):
        np.testing.assert_allclose(
            seen.matrix(direction)[near], exact.matrix(direction)[near], rtol=1e-9, atol=1e-12
        )
        assert np.isnan(seen.matrix(direction)[~near]).all()
        np.testing.assert_allclose(
            seen.by_distance(direction), exact.by_distance(direction)[:3], rtol=1e-9
        )


@pytest.mark.parametrize("directions", [("both", "forward"), ("forward", "both")])
def test_norms_of_layers_of_their_own_directions_are_those_of_central_differences(
    encoder, directions
):
    model = encoder(
        "gru", num_layers=2, merge="project", merge_size=3, directions=directions, residual=True
    )
    x_TD = rows(4)
    found = flow(model, x_TD)
    matrices = [m for m in (found.forward, found.backward, found.combined) if m is not None]
    for matrix, expected in zip(matrices, by_differences(model, x_TD), strict=True):
        np.testing.assert_allclose(matrix, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    "directions", [("both",) * 3, ("forward",) * 3, ("both", "forward", "both")]
)
def test_the_states_in_a_window_are_those_of_the_whole_sequence(encoder, cell, directions):
    inspected = InspectedModel.of(
        encoder(cell, num_layers=3, merge="sum", residual=True, directions=directions)
    )
    reading = Reading.of(inspected, rows(8))
    whole = reading.rows
    windows = Windows.of(reading, 2, 2)
    states = np.array([0, 3, 3, 7, 1])
    cut, initial = windows.take(states)
    assert cut.lengths.tolist() == [3, 5, 5, 3, 4]
    for layer in range(3):
        few = inspected.stack.states_of(layer).stop
        parts = (part if part is None else part[:few] for part in (initial.h, initial.c))
        found = inspected.run(cut, layer=layer, initial=State(*parts))
        expected = inspected.run(whole, layer=layer)
        for half, all_steps in zip(found.parts, expected.parts, strict=True):
            for state, one in zip(states, half, strict=True):
                near = all_steps.values[max(0, state - 2) : state + 3]
                torch.testing.assert_close(one, near, rtol=1e-10, atol=1e-12)


def test_a_window_over_the_whole_sequence_is_none(encoder):
    model = encoder(num_layers=2)
    np.testing.assert_array_equal(
        flow(model, rows(5), window=4).combined, flow(model, rows(5)).combined
    )


@pytest.mark.parametrize("settings", [{"window": -1}, {"probes": 0}, {"probes": 1.5}])
def test_settings_out_of_range(encoder, settings):
    with pytest.raises(ConfigError, match="it must be a whole number from"):
        flow(encoder(), rows(2), **settings)


@given(steps=st.integers(1, 3000), hidden=st.sampled_from([1, 4, 200]), data=st.data())
def test_what_is_affordable_costs_no_more_than_is_allowed(encoder, steps, hidden, data):
    rows = data.draw(st.integers(24 * steps, 1 << 20))
    found = affordable(encoder("rnn_tanh", 1, hidden), steps, rows=rows)
    copies = hidden if found["probes"] is None else found["probes"]
    length = steps if found["window"] is None else 2 * found["window"] + 1
    assert steps * copies * length <= rows
    exact = steps * steps * hidden <= rows
    assert exact == (found == {"window": None, "probes": None})
    assert copies <= hidden


# ---------------------------------------------------------------------- distance and context


def test_ends_do_not_shorten_the_context():
    """Where influence decays alike everywhere, by_distance is that decay, on any length."""
    decay = 0.8 ** np.arange(12)
    past = np.array([[decay[t - s] if s <= t else 0 for s in range(12)] for t in range(12)])
    found = Flow(past, past.T, past + past.T, 0, None, None)
    np.testing.assert_allclose(found.by_distance("forward"), decay)
    np.testing.assert_allclose(found.by_distance("backward"), decay)
    both = found.by_distance("combined")
    np.testing.assert_allclose(both, 2 * decay)
    # The smallest d with 1 - 0.8^(d + 1) >= 0.9 (1 - 0.8^12).
    context = next(d for d in range(12) if 1 - 0.8 ** (d + 1) >= 0.9 * (1 - 0.8**12))
    assert found.context().forward == found.context().backward == context
    shorter = Flow(past[:5, :5], past.T[:5, :5], past[:5, :5], 0, None, None)
    np.testing.assert_allclose(by_distance([found, shorter], "forward"), decay)


@given(
    values=st.lists(st.floats(0, 10, allow_subnormal=False), min_size=1, max_size=12),
    share=st.floats(0.01, 1.0),
)
def test_the_context_is_the_smallest_that_holds_the_share(values, share):
    influence = np.array(values)
    found = context_length(influence, share)
    reached = np.cumsum(influence)
    assert reached[found] >= share * reached[-1]
    assert found == 0 or reached[found - 1] < share * reached[-1]


@given(seed=st.integers(0, 1000), lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_influence_by_distance_is_a_mean_over_the_states_that_reach(seed, lengths):
    random = np.random.default_rng(seed)
    matrices = [random.random((steps, steps)) for steps in lengths]
    found = by_distance([Flow(m, None, m, 0, None, None) for m in matrices], "forward")
    for distance in range(max(lengths)):
        before = [m[t, t - distance] for m in matrices for t in range(distance, len(m))]
        after = [m[t, t + distance] for m in matrices for t in range(len(m) - distance)]
        expected = np.mean(before) + (np.mean(after) if distance else 0)
        np.testing.assert_allclose(found[distance], expected)


@pytest.mark.parametrize("share", [0, -1, 1.1])
def test_a_share_that_is_none(share):
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        context_length(np.ones(3), share)
