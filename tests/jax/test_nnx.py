"""Flax NNX: the module, and Flax's own layers converted both ways."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from birnn.errors import ConversionError, DirectionError, ShapeError
from birnn.jax import run, zero_state
from birnn.jax.nnx import FlaxBiRNN, from_flax, to_flax
from birnn.reference import Stack, initialise

LENGTHS = np.array([4, 1, 3])  # Flax has no sequence of length 0
X = np.random.default_rng(0).standard_normal((3, 5, 3)).astype(np.float32)
REAL = np.arange(5) < LENGTHS[:, None]


def test_a_module_is_its_function_split_merged_and_differentiated():
    stack = Stack("rnn_tanh", 3, 4, merge="project")
    module = FlaxBiRNN(stack, rngs=nnx.Rngs(3), scheme="torch")
    graph, state = nnx.split(module)
    merged = nnx.merge(graph, state)
    assert {path[0] for path, _ in nnx.to_flat_state(state)} == set(stack.shapes())

    def loss(module):
        return (module.run(X, LENGTHS).output ** 2).sum()

    def own_loss(params):
        return (run(params, X, LENGTHS, stack=stack).output ** 2).sum()

    value, gradient = nnx.jit(nnx.value_and_grad(loss))(merged)
    expected, own = jax.jit(jax.value_and_grad(own_loss))(module.parameters())
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    found = {path[0]: part for path, part in nnx.to_flat_state(gradient)}
    for name, part in own.items():
        np.testing.assert_allclose(np.asarray(found[name][...]), part, rtol=1e-4, atol=1e-6)


def test_a_module_takes_other_parameters():
    stack = Stack("rnn_tanh", 3, 4)
    module = FlaxBiRNN(stack, rngs=nnx.Rngs(0), scheme="normal", sigma=0.3)
    params = initialise(stack, 5, dtype=np.float32)
    module.load_parameters(params)
    for name, value in module.parameters().items():
        np.testing.assert_array_equal(value, params[name])
    with pytest.raises(DirectionError, match="needs one direction"):
        module(X, LENGTHS, zero_state(stack, 3))


@pytest.mark.parametrize(
    ("cell", "merge", "directions"),
    [
        ("rnn_relu", "sum", ("both",)),
        pytest.param("lstm", "concat", ("both", "forward"), marks=pytest.mark.slow),
        pytest.param("gru", "sum", ("both",), marks=pytest.mark.slow),
        pytest.param("rnn_relu", "product", ("both", "both"), marks=pytest.mark.slow),
        pytest.param("rnn_tanh", "mean", ("forward", "both"), marks=pytest.mark.slow),
    ],
)
def test_flax_s_layers_give_what_the_stack_gives(cell, merge, directions):
    stack = Stack(cell, 3, 4, len(directions), merge=merge, directions=directions)
    params = initialise(stack, 0, dtype=np.float32)
    layers = to_flax(params, stack)
    rows = jnp.asarray(X)
    for layer in layers:
        rows = layer(rows, seq_lengths=jnp.asarray(LENGTHS))
    expected = run(params, X, LENGTHS, stack=stack).output
    np.testing.assert_allclose(rows[REAL], expected[REAL], rtol=1e-5, atol=1e-6)

    again, back = from_flax(layers)
    assert again == stack
    for name, value in params.items():
        if name.startswith("weight"):
            np.testing.assert_array_equal(back[name], value)
    for end in (f"l{n}{s}" for n in range(len(directions)) for s in stack.suffixes(n)):
        total = params[f"bias_ih_{end}"] + params[f"bias_hh_{end}"]
        np.testing.assert_array_equal(back[f"bias_ih_{end}"] + back[f"bias_hh_{end}"], total)


@pytest.mark.slow  # test_conventions.py has each cell, the test above the layers
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (nnx.LSTMCell, {}),
        (nnx.GRUCell, {}),
        (nnx.SimpleCell, {"activation_fn": jax.nn.relu}),
    ],
)
def test_a_stack_gives_what_flax_s_fresh_layers_give(make, options):
    options |= {"bias_init": nnx.initializers.normal(0.5)}
    halves = [nnx.RNN(make(3, 4, rngs=nnx.Rngs(seed), **options)) for seed in (0, 1)]
    layer = nnx.Bidirectional(*halves)
    stack, params = from_flax([layer])
    expected = layer(jnp.asarray(X), seq_lengths=jnp.asarray(LENGTHS))
    found = run(params, X, LENGTHS, stack=stack).output
    np.testing.assert_allclose(found[REAL], expected[REAL], rtol=1e-4, atol=1e-5)


def rnn(cell, **options):
    return nnx.RNN(cell(3, 4, rngs=nnx.Rngs(0), **options))


REFUSED = [
    ([rnn(nnx.SimpleCell, residual=True)], "layer 0: residual is True"),
    ([rnn(nnx.SimpleCell, activation_fn=jnp.sin)], "layer 0: activation_fn is 'sin'"),
    ([nnx.RNN(rnn(nnx.GRUCell).cell, reverse=True)], "layer 0 reads from the end alone"),
    (
        [nnx.Bidirectional(rnn(nnx.GRUCell), rnn(nnx.GRUCell), merge_fn=jnp.subtract)],
        "layer 0 merges otherwise than concat, sum, mean, product",
    ),
    ([rnn(nnx.GRUCell), rnn(nnx.SimpleCell)], r"the layers have the cells \['gru', 'rnn_tanh'\]"),
    ([nnx.Linear(3, 4, rngs=nnx.Rngs(0))], "layer 0 is Linear. Give nnx.RNN"),
]


@pytest.mark.parametrize(("layers", "message"), REFUSED)
def test_what_has_no_counterpart_is_refused(layers, message):
    with pytest.raises(ConversionError, match=message):
        from_flax(layers)


def test_what_flax_has_not_is_refused():
    def zeros(stack):
        return {name: np.zeros(shape, np.float32) for name, shape in stack.shapes().items()}

    for settings, message in (
        ({"residual": True}, "no residual connection"),
        ({"merge": "project"}, "merge='project' has no counterpart"),
    ):
        stack = Stack("lstm", 3, 4, **settings)
        with pytest.raises(ConversionError, match=message):
            to_flax(zeros(stack), stack)
    stack = Stack("gru", 3, 4)
    with pytest.raises(ConversionError, match="one bias for gate n"):
        to_flax(zeros(stack) | {"bias_hh_l0": np.ones(12, np.float32)}, stack)


def test_widths_that_disagree_are_named():
    with pytest.raises(ShapeError, match=r"weight_ih_l1 has shape \(12, 3\), it must be \(12, 8\)"):
        from_flax([nnx.Bidirectional(rnn(nnx.GRUCell), rnn(nnx.GRUCell)), rnn(nnx.GRUCell)])


def test_parameters_of_another_stack_are_refused_and_nothing_is_taken():
    stack = Stack("gru", 3, 4, bidirectional=False)
    module = FlaxBiRNN(stack, rngs=nnx.Rngs(0))
    before = module.parameters()
    zeros = {name: np.zeros(shape, np.float32) for name, shape in stack.shapes().items()}
    for params, message in (
        ({"a": 1}, r"^a is no parameter of this stack; weight_ih_l0 \(12, 3\) is missing; weight"),
        (zeros | {"bias_hh_l0": np.zeros(3, np.float32)}, r"bias_hh_l0 has shape \(3,\), it must"),
        (zeros | {"bias_hh_l0": 1}, r"bias_hh_l0 is a int, it must be an array \(12,\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            module.load_parameters(params)
        with pytest.raises(ShapeError, match=message):
            to_flax(params, stack)
    for name, value in module.parameters().items():
        np.testing.assert_array_equal(value, before[name])
