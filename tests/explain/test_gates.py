"""Gates: put together by the cell's equation they are the engine's own states."""

# T steps, H hidden units

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.errors import ConfigError
from birnn.explain.gates import NAMES, SQUASHED, gates, saturation
from birnn.explain.states import states


def before(states_TH, reverse):
    """State before each step: that of the neighbour which was read before it."""
    edge = np.zeros_like(states_TH[:1])
    parts = [states_TH[1:], edge] if reverse else [edge, states_TH[:-1]]
    return np.concatenate(parts)


def put_together(cell, own, memory_TH, states_TH, reverse):
    if cell == "gru":
        return (1 - own["z"]) * own["n"] + own["z"] * before(states_TH, reverse)
    kept = own["f"] * before(memory_TH, reverse) + own["i"] * own["g"]
    np.testing.assert_allclose(kept, memory_TH, rtol=1e-5, atol=1e-6)
    return own["o"] * np.tanh(kept)


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layer", [0, 1])
def test_gates_make_the_states(make, draw, on_engine, cell, engine, layer):
    bundle = make("words", "tags", cell=cell, num_layers=2, merge="sum", residual=True)
    for steps in (1, 9):
        sequence = draw(bundle, steps)
        with on_engine(engine):
            found = gates(bundle, sequence, layer=layer)
            expected = states(bundle, sequence, layer=layer)
        assert tuple(found.forward) == NAMES[cell]
        for own, memory, half, reverse in (
            (found.forward, found.memory_forward, expected.forward, False),
            (found.backward, found.memory_backward, expected.backward, True),
        ):
            np.testing.assert_allclose(
                put_together(cell, own, memory, half, reverse), half, rtol=1e-5, atol=1e-5
            )


def test_memory_is_what_torch_ends_with(encoder):
    model = encoder("lstm", bidirectional=True)
    x = np.random.default_rng(0).standard_normal((6, 3))
    found = gates(model, x)
    end = model(torch.from_numpy(x)[None]).state.c.detach().numpy()[:, 0]
    np.testing.assert_allclose(found.memory_forward[-1], end[0], rtol=1e-10)
    np.testing.assert_allclose(found.memory_backward[0], end[1], rtol=1e-10)


def test_one_direction(encoder):
    found = gates(encoder("gru", bidirectional=False), np.ones((3, 3)))
    assert found.backward is None
    assert found.memory_forward is None
    assert list(saturation(encoder("gru", bidirectional=False), [np.ones((3, 3))]).shares) == [
        "forward"
    ]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_layers_of_their_own_directions(encoder, cell):
    model = encoder(cell, num_layers=3, directions=("both", "forward", "both"))
    x = np.random.default_rng(0).standard_normal((6, 3))
    for layer, halves in enumerate((2, 1, 2)):
        found, expected = gates(model, x, layer=layer), states(model, x, layer=layer)
        own = [found.forward, found.backward]
        memory = [found.memory_forward, found.memory_backward]
        assert sum(half is not None for half in own) == halves
        assert len(saturation(model, [x], layer=layer).shares) == halves
        for each, cells, half, reverse in list(
            zip(own, memory, (expected.forward, expected.backward), (False, True), strict=True)
        )[:halves]:
            np.testing.assert_allclose(
                put_together(cell, each, cells, half, reverse), half, rtol=1e-10, atol=1e-10
            )


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu"])
def test_a_plain_cell_has_none(encoder, cell):
    for look in (lambda model: gates(model, np.ones((2, 3))), lambda m: saturation(m, [])):
        with pytest.raises(ConfigError, match=f"a {cell} has no gates"):
            look(encoder(cell))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_saturation_counts_the_steps_of_all_sequences(make, draw, cell):
    bundle = make("vectors", "label-mean", cell=cell)
    sequences = [draw(bundle, steps, seed=steps) * 4 for steps in (5, 1, 12)]
    found = saturation(bundle, [*sequences, np.zeros((0, 3))])
    each = [gates(bundle, sequence) for sequence in sequences]
    assert found.steps == 18
    stuck = 0.0
    for direction in ("forward", "backward"):
        for name in NAMES[cell]:
            values = np.concatenate([getattr(one, direction)[name] for one in each])
            low, high = found.shares[direction][name]
            edge = -0.9 if name in SQUASHED else 0.1
            np.testing.assert_allclose(low, (values < edge).mean(axis=0))
            np.testing.assert_allclose(high, (values > 0.9).mean(axis=0))
            stuck += low.sum() + high.sum()
    assert stuck > 0


def test_a_gate_that_is_held_open_is_high_at_every_step(encoder):
    model = encoder("lstm")
    with torch.no_grad():
        model.bias_ih_l0[4:8] = 50  # the forward half's forget gates
        model.bias_ih_l0_reverse[12:] = -50  # the backward half's output gates
    found = saturation(model, [np.ones((5, 3))]).shares
    assert found["forward"]["f"][1].tolist() == [1.0] * 4
    assert found["backward"]["o"][0].tolist() == [1.0] * 4
