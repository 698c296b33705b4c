"""The bridge against computations by hand, its rules, and central differences."""

# B sequences, S states of all layers and directions, K layers of the decoder, H hidden units

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ConfigError, DirectionError, ShapeError
from birnn.ragged import Ragged
from birnn.reference import GATES, Stack, StackState, bridge, run
from birnn.reference.bridge import BRIDGES, BridgeSpec, initial_state, linear_layers

CELLS = sorted(GATES)
B = 3


def decoder_of(cell, hidden, layers=1):
    return Stack(cell, 3, hidden, num_layers=layers, bidirectional=False)


def draw_parts(stack, rng):
    """Random states of a stack."""
    shape = (stack.state_count, B, stack.hidden_size)
    return StackState(*(rng.standard_normal(shape) for _ in range(1 + (stack.cell == "lstm"))))


def draw_parameters(spec, rng):
    return {name: rng.standard_normal(shape) for name, shape in spec.shapes().items()}


def bridged(spec, parameters, final):
    return initial_state(spec, linear_layers(parameters), final)


# ---------------------------------------------------------------------- by hand


@pytest.mark.parametrize("cell", CELLS)
def test_by_hand_from_the_runs_of_each_half(cell, rng, draw_batch):
    """Each half of each layer run by itself tells which state is which."""
    stack = Stack(cell, 2, 3, num_layers=2)
    x, parameters, _ = draw_batch(stack, [2, 0, 4], 5)
    final = run(x, parameters, stack).state
    found = bridged(BridgeSpec(stack, decoder_of(cell, 6, 2), "concat"), {}, final)

    below = x
    for layer in range(2):
        halves = []
        for suffix in ("", "_reverse"):
            one = Stack(cell, stack.layer_input_size(layer), 3, bidirectional=False)
            own = {name: parameters[f"{name[:-3]}_l{layer}{suffix}"] for name in one.shapes()}
            halves.append(run(below.reversed() if suffix else below, own, one))
        for part, name in zip(found.parts, "hc", strict=False):
            forward, backward = (getattr(half.state, name)[0] for half in halves)
            np.testing.assert_allclose(part[layer, :, :3], forward, rtol=1e-12)
            np.testing.assert_allclose(part[layer, :, 3:], backward, rtol=1e-12)
        rows = (halves[0].output.values, halves[1].output.reversed().values)
        below = Ragged(np.concatenate(rows, axis=1), x.lengths)


@pytest.mark.parametrize("cell", CELLS)
def test_by_hand_number_by_number(cell, rng):
    """Mixed directions, a shallower decoder, every kind, with indices written out."""
    encoder = Stack(cell, 2, 2, num_layers=3, directions=("forward", "both", "both"))
    final = draw_parts(encoder, rng)  # states: f0, f1, b1, f2, b2
    halves = {0: (1, 2), 1: (3, 4)}  # of the decoder's two layers, which read layers 1 and 2
    rules = {
        "concat": (4, lambda f, b: [*f, *b]),
        "sum": (2, lambda f, b: [f[0] + b[0], f[1] + b[1]]),
        "mean": (2, lambda f, b: [(f[0] + b[0]) / 2, (f[1] + b[1]) / 2]),
        "none": (5, lambda f, b: [0] * 5),
    }
    for kind, (hidden, rule) in rules.items():
        found = bridged(BridgeSpec(encoder, decoder_of(cell, hidden, 2), kind), {}, final)
        assert len(found.parts) == len(final.parts)
        for part, states in zip(found.parts, final.parts, strict=True):
            assert part.shape == (2, B, hidden)
            for k, (f, b) in halves.items():
                for s in range(B):
                    np.testing.assert_allclose(part[k, s], rule(states[f, s], states[b, s]))
    spec = BridgeSpec(encoder, decoder_of(cell, 3, 2), "project")
    parameters = draw_parameters(spec, rng)
    found = bridged(spec, parameters, final)
    for name, part, states in zip("hc", found.parts, final.parts, strict=False):
        for k, (f, b) in halves.items():
            weight, bias = (parameters[f"{name}_l{k}.{end}"] for end in ("weight", "bias"))
            for s in range(B):
                beside = [*states[f, s], *states[b, s]]
                for unit in range(3):
                    expected = np.tanh(
                        sum(w * v for w, v in zip(weight[unit], beside, strict=True)) + bias[unit]
                    )
                    np.testing.assert_allclose(part[k, s, unit], expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["concat", "sum", "mean"])
def test_one_direction_gives_the_state_itself(kind, rng):
    encoder = Stack("lstm", 2, 4, num_layers=2, bidirectional=False)
    final = draw_parts(encoder, rng)
    found = bridged(BridgeSpec(encoder, decoder_of("lstm", 4, 2), kind), {}, final)
    assert np.array_equal(found.h, final.h)
    assert np.array_equal(found.c, final.c)


def test_a_deeper_decoder_begins_with_the_last_layer_again(rng):
    encoder = Stack("gru", 2, 2, num_layers=2)
    spec = BridgeSpec(encoder, decoder_of("gru", 3, 4), "project")
    assert spec.encoder_layers == (0, 1, 1, 1)
    parameters, final = draw_parameters(spec, rng), draw_parts(encoder, rng)
    found = bridged(spec, parameters, final)
    for k, (f, b) in enumerate([(0, 1), (2, 3), (2, 3), (2, 3)]):
        beside = np.concatenate([final.h[f], final.h[b]], axis=1)
        layer = parameters[f"h_l{k}.weight"], parameters[f"h_l{k}.bias"]
        np.testing.assert_allclose(found.h[k], np.tanh(beside @ layer[0].T + layer[1]))


def test_between_cells_h_is_passed_and_c_where_there_is_a_rule(rng):
    lstm, gru = Stack("lstm", 2, 2), Stack("gru", 2, 2)
    final = draw_parts(lstm, rng)
    found = bridged(BridgeSpec(lstm, decoder_of("gru", 2), "sum"), {}, final)
    assert found.c is None
    np.testing.assert_allclose(found.h[0], final.h[0] + final.h[1])

    spec = BridgeSpec(gru, decoder_of("lstm", 3), "project")
    parameters, final = draw_parameters(spec, rng), draw_parts(gru, rng)
    found = bridged(spec, parameters, final)
    beside = np.concatenate(list(final.h), axis=1)
    for name, part in (("h", found.h), ("c", found.c)):
        layer = parameters[f"{name}_l0.weight"], parameters[f"{name}_l0.bias"]
        np.testing.assert_allclose(part[0], np.tanh(beside @ layer[0].T + layer[1]))


# ---------------------------------------------------------------------- gradients


def loss(state, weights):
    return sum(np.vdot(part, weight) for part, weight in zip(state.parts, weights, strict=True))


@pytest.mark.parametrize("kind", BRIDGES)
@given(
    cells=st.tuples(st.sampled_from(["lstm", "gru"]), st.sampled_from(["lstm", "gru"])),
    directions=st.lists(st.sampled_from(["both", "forward"]), min_size=1, max_size=3),
    depth=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_gradients_are_central_differences(kind, cells, directions, depth, seed):
    rng, free = np.random.default_rng(seed), kind in ("project", "none")
    if not free:  # what the rules ask for
        depth, cells = min(depth, len(directions)), (cells[0], cells[0])
        directions = [directions[-1]] * len(directions)
    encoder = Stack(cells[0], 2, 2, num_layers=len(directions), directions=tuple(directions))
    wide = 2 * encoder.directions_of(-1) if kind == "concat" else 2
    spec = BridgeSpec(encoder, decoder_of(cells[1], 3 if free else wide, depth), kind)
    final, parameters = draw_parts(encoder, rng), draw_parameters(spec, rng)
    weights = [rng.standard_normal(part.shape) for part in bridged(spec, parameters, final).parts]
    d_final, d_parameters = bridge.gradients(spec, parameters, final, StackState(*weights))
    assert list(d_parameters) == list(spec.shapes())
    pairs = [*zip(final.parts, d_final.parts, strict=True)]
    pairs += [(parameters[name], d) for name, d in d_parameters.items()]
    for values, d in pairs:
        place = tuple(rng.integers(values.shape)) if values.size else ()
        sides, was = [], values[place]
        for sign in (1, -1):
            values[place] = was + sign * 1e-6
            sides.append(loss(bridged(spec, parameters, final), weights))
        values[place] = was
        np.testing.assert_allclose(d[place], (sides[0] - sides[1]) / 2e-6, rtol=1e-6, atol=1e-8)


# ---------------------------------------------------------------------- what is refused

ENCODER = Stack("lstm", 2, 4, num_layers=2)
REFUSED = [
    ("add", ENCODER, decoder_of("lstm", 4), "bridge is 'add'"),
    ("concat", ENCODER, decoder_of("lstm", 4), "two halves of 4 units, which make 8, and has 4"),
    ("sum", ENCODER, decoder_of("lstm", 8), "Set the decoder's hidden_size to 4"),
    ("mean", ENCODER, decoder_of("lstm", 4, 3), "Give the decoder at most 2"),
    ("sum", Stack("gru", 2, 4), decoder_of("lstm", 4), "no memory cells"),
    (
        "concat",
        Stack("gru", 2, 4, num_layers=2, directions=("forward", "both")),
        decoder_of("gru", 8, 2),
        "layer 0 of the decoder begins with one half of 4 units",
    ),
]


@pytest.mark.parametrize(("kind", "encoder", "decoder", "words"), REFUSED)
def test_what_has_no_rule_is_refused_with_the_reason(kind, encoder, decoder, words):
    with pytest.raises(ConfigError, match=words):
        BridgeSpec(encoder, decoder, kind)
    for free in ("project", "none"):
        BridgeSpec(encoder, decoder, free)


def test_a_decoder_of_two_directions_is_refused():
    two = dataclasses.replace(decoder_of("lstm", 4), bidirectional=True)
    for kind in BRIDGES:
        with pytest.raises(DirectionError, match="a decoder needs one direction"):
            BridgeSpec(ENCODER, two, kind)


def test_states_of_another_encoder_are_refused(rng):
    spec = BridgeSpec(ENCODER, decoder_of("lstm", 4), "sum")
    final = draw_parts(ENCODER, rng)
    for wrong, words in (
        (StackState(final.h), "are h and c, got h"),
        (StackState(final.h[:2], final.c), r"\(4, 3, 4\)"),
        (StackState(final.h[0], final.c[0]), r"\(4, B, 4\)"),
        (StackState(final.h, final.c[:, :2]), r"final c is \(4, 2, 4\)"),
    ):
        with pytest.raises(ShapeError, match=words):
            bridged(spec, {}, wrong)
