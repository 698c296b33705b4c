"""The decoder in NumPy: against its layers run whole, its laws, and central differences."""

# N steps of all sequences, M rows of the encoder, B sequences, K layers, H hidden units, V symbols

from __future__ import annotations

import numpy as np
import pytest

from birnn.errors import ConfigError, DirectionError
from birnn.ragged import Ragged
from birnn.reference import GATES, StackState, attention
from birnn.reference import run as run_stack
from birnn.reference.decoder import answers_of, gradients, inputs_of, run, run_saving
from birnn.reference.decoder_spec import DecoderSpec

CELLS = sorted(GATES)
ATTENTIONS = ("additive", "dot", "general", "none")
# Of targets and of sources: empty ones among both.
TARGETS, SOURCES = np.array([2, 0, 3, 1]), np.array([3, 2, 0, 1])


def spec_of(cell="gru", kind="general", **options):
    """A small decoder; with dot attention as wide as the encoder's rows."""
    width = 3 if kind == "dot" else 4
    return DecoderSpec(5, 2, 3, width, cell=cell, attention=kind, **options)


def draw(spec, rng):
    """Symbols, memory, initial states and parameters."""
    targets = Ragged(rng.integers(1, spec.size, TARGETS.sum()), TARGETS)
    memory = Ragged(rng.standard_normal((SOURCES.sum(), spec.memory_size or 2)), SOURCES)
    shape = (spec.num_layers, len(targets), spec.hidden_size)
    initial = StackState(*(rng.standard_normal(shape) for _ in range(1 + (spec.cell == "lstm"))))
    parameters = {name: rng.standard_normal(shape) * 0.5 for name, shape in spec.shapes().items()}
    return inputs_of(targets), memory, initial, parameters


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [False, True])
def test_without_input_feeding_it_is_layers_then_attention(rng, cell, kind, tied):
    spec = spec_of(cell, kind, num_layers=2, tied=tied)
    symbols, memory, initial, parameters = draw(spec, rng)
    found = run(symbols, memory, initial, parameters, spec)

    def below(prefix):
        start = f"{prefix}."
        return {n.removeprefix(start): p for n, p in parameters.items() if n.startswith(start)}

    embedded = symbols.with_values(parameters["embedding.weight"][symbols.values])
    layers = run_stack(embedded, below("decoder"), spec.stack, initial)
    beside = hidden = layers.output.values
    if kind != "none":
        attended = attention.run(kind, below("attention"), layers.output, memory)
        beside = np.concatenate([attended.contexts, hidden], axis=1)
        flat = np.concatenate([each.ravel() for each in found.weights])
        np.testing.assert_allclose(flat, attended.weights)
        assert [each.shape for each in found.weights] == [
            (steps + 1, rows) for steps, rows in zip(TARGETS, SOURCES, strict=True)
        ]
    combined = np.tanh(beside @ parameters["combine.weight"].T + parameters["combine.bias"])
    weight = parameters["embedding.weight" if tied else "linear.weight"]
    expected = combined @ weight.T + parameters["linear.bias"]
    np.testing.assert_allclose(found.logits.values, expected, rtol=1e-12, atol=1e-12)
    for part, other in zip(found.state.parts, layers.state.parts, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-12)


def test_with_input_feeding_each_step_reads_what_the_one_before_combined(rng):
    """By hand: what is fed as an input column is what the run gave before."""
    spec = spec_of("gru", "general", input_feeding=True)
    symbols, memory, initial, parameters = draw(spec, rng)
    found, saved = run_saving(symbols, memory, initial, parameters, spec)
    own = {n.removeprefix("decoder."): p for n, p in parameters.items() if n.startswith("decoder.")}
    fed = [
        np.vstack([np.zeros((1, 3)), *(s.combined for s in steps)])[:-1] for steps in saved.steps
    ]
    embedded = parameters["embedding.weight"][symbols.values]
    read = symbols.with_values(np.concatenate([embedded, np.concatenate(fed)], axis=1))
    layers = run_stack(read, own, spec.stack, initial)
    np.testing.assert_allclose(found.state.h, layers.state.h, rtol=1e-12)


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_central_differences(rng, cell, kind, feeding):
    tied = feeding != (cell in ("lstm", "rnn_tanh"))
    spec = spec_of(cell, kind, num_layers=2, tied=tied, input_feeding=feeding)
    symbols, memory, initial, parameters = draw(spec, rng)
    found, saved = run_saving(symbols, memory, initial, parameters, spec)
    d_logits = rng.standard_normal(found.logits.values.shape)
    d_state = StackState(*(rng.standard_normal(part.shape) for part in found.state.parts))
    d_memory, d_initial, d_parameters = gradients(saved, d_logits, d_state)

    def loss():
        out = run(symbols, memory, initial, parameters, spec)
        states = zip(d_state.parts, out.state.parts, strict=True)
        return np.vdot(d_logits, out.logits.values) + sum(np.vdot(d, p) for d, p in states)

    assert list(d_parameters) == list(spec.shapes())
    pairs = {name: (parameters[name], d) for name, d in d_parameters.items()}
    pairs["memory"] = (memory.values, d_memory)
    for name, part, d in zip("hc", initial.parts, d_initial.parts, strict=False):
        pairs[name] = (part, d)
    for name, (values, d) in pairs.items():
        assert values.shape == d.shape
        # Along random directions: every entry has its part in each of them.
        for _ in range(2):
            way, was = rng.standard_normal(values.shape), values.copy()
            sides = []
            for sign in (1, -1):
                values[...] = was + sign * 1e-6 * way
                sides.append(loss())
            values[...] = was
            expected = (sides[0] - sides[1]) / 2e-6
            np.testing.assert_allclose(np.vdot(d, way), expected, 2e-6, 1e-7, err_msg=name)


def test_targets_begin_and_end_with_the_boundary():
    targets = Ragged(np.array([3, 1, 4]), np.array([2, 0, 1]))
    assert [part.tolist() for part in inputs_of(targets)] == [[0, 3, 1], [0], [0, 4]]
    assert [part.tolist() for part in answers_of(targets)] == [[3, 1, 0], [0], [4, 0]]


def test_what_does_not_go_together_is_refused():
    for options, words in (
        ({"size": 0}, "size is 0"),
        ({"dim": 2.0}, "dim is 2.0"),
        ({"attention": "genral"}, "did you mean general"),
        ({"memory_size": None}, "set memory_size"),
        ({"attention": "none", "attention_size": 4}, "leave it out"),
        ({"attention_size": 4}, "general attention has no size"),
        ({"attention": "dot"}, "queries 3 wide and memory 4 wide"),
        ({"cell": "lstn"}, "did you mean lstm"),
    ):
        given = {"size": 5, "dim": 2, "hidden_size": 3, "memory_size": 4} | options
        with pytest.raises(ConfigError, match=words):
            DecoderSpec(**given)
    with pytest.raises(DirectionError, match="its encoder may read both ways"):
        DecoderSpec(5, 2, 3, 4, bidirectional=True)
