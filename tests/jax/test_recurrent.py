"""Layers in JAX: outputs and gradients of the reference, by scan and by the native engine."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn import engine
from birnn.engine import isa
from birnn.errors import (
    ConfigError,
    DirectionError,
    EngineError,
    LengthError,
    MissingExtra,
    ShapeError,
)
from birnn.jax import RecurrentState, apply, init, run, zero_state
from birnn.ragged import Ragged
from birnn.reference import (
    GATES,
    MERGE_WIDTH,
    Outcome,
    Stack,
    StackState,
    gradients,
    initialise,
    run_saving,
)
from grids import sampled

LENGTHS = np.array([5, 0, 2, 7, 1, 0])
STEPS = 8  # one more than the longest sequence has

needs_native = pytest.mark.skipif(
    isa.native_module() is None, reason="the engine native does not run here"
)
ENGINES = ("scan", pytest.param("native", marks=needs_native))

# Each cell, and a stack with all that a layer may have, in every run; each with each otherwise.
FAST = {
    ("lstm", "project", 3, ("both", "forward", "both"), True),
    ("rnn_tanh", "sum", 1, None, False),
    ("rnn_relu", "product", 1, None, False),
    ("gru", "mean", 1, None, False),
}
GRID = [
    (cell, merge, layers, directions, residual)
    for cell in GATES
    for merge in MERGE_WIDTH
    for layers, directions in (
        (1, None),
        (1, ("forward",)),
        (2, None),
        (3, ("both", "forward", "both")),
    )
    for residual in (False, True)
]


@dataclass
class StackOutputWeights:
    """What a loss weighs the parts of an output with."""

    output: np.ndarray
    final: np.ndarray
    state: tuple


@dataclass
class Problem:
    """A stack over a ragged batch, and the gradients of a loss of all that it gives, float64."""

    stack: Stack
    starts: bool = True
    params: dict = field(init=False)
    x: np.ndarray = field(init=False)
    initial: StackState = field(init=False)
    weights: StackOutputWeights = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(0)
        self.params = initialise(self.stack, 1, scheme="torch")
        self.x = rng.standard_normal((len(LENGTHS), STEPS, self.stack.input_size))
        zeros = StackState.zeros(self.stack, len(LENGTHS), np.dtype(np.float64))
        self.initial = StackState(
            *(rng.uniform(-1, 1, z.shape) if self.starts else z for z in zeros.parts)
        )
        width = self.stack.output_size
        self.weights = StackOutputWeights(
            rng.standard_normal((len(LENGTHS), STEPS, width)),
            rng.standard_normal((len(LENGTHS), width)),
            tuple(rng.standard_normal(z.shape) for z in zeros.parts),
        )

    @property
    def rows(self) -> Ragged:
        return Ragged.from_padded(self.x, LENGTHS)

    @property
    def state(self) -> RecurrentState:
        return RecurrentState(*self.initial.parts)

    def reference(self) -> tuple[Outcome, tuple]:
        """What the stack gives, and the loss's gradients by rows, parameters, initial state."""
        outcome, saved = run_saving(self.rows, self.params, self.stack, self.initial)
        own = self.weights
        d_rows = Ragged.from_padded(own.output, LENGTHS).values
        return outcome, gradients(saved, d_rows, own.final, StackState(*own.state))

    def loss(self, found):
        """The same loss in JAX."""
        own = self.weights
        states = sum((a * b).sum() for a, b in zip(found.state.parts, own.state, strict=True))
        return (found.output * own.output).sum() + (found.final * own.final).sum() + states


@pytest.mark.parametrize(("cell", "merge", "layers", "directions", "residual"), sampled(GRID, FAST))
@pytest.mark.usefixtures("x64")
def test_outputs_and_gradients_are_the_reference_s(cell, merge, layers, directions, residual):
    width = 5 if merge == "project" else None
    problem = Problem(
        Stack(
            *(cell, 4, 4, layers),
            bidirectional=directions != ("forward",),
            merge=merge,
            residual=residual,
            directions=directions,
            merge_size=width,
        )
    )
    outcome, (d_rows, d_params, d_initial) = problem.reference()

    @jax.jit
    def both(params, x, initial):
        """Of each engine what it gives, and the gradients."""

        def loss(params, x, initial, engine):
            found = run(params, x, LENGTHS, initial, stack=problem.stack, engine=engine)
            return problem.loss(found), found

        engines = ["scan"] + ["native"] * (isa.native_module() is not None)
        return [
            jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, x, initial, engine)
            for engine in engines
        ]

    x = np.where(np.arange(STEPS)[None, :, None] < LENGTHS[:, None, None], problem.x, np.nan)
    for (g_params, g_x, g_initial), found in both(problem.params, x, problem.state):
        agree = agreement(1e-10)
        agree(found.output, outcome.output.to_padded(steps=STEPS))
        agree(found.forward, outcome.forward.to_padded(steps=STEPS))
        assert (found.backward is None) == (outcome.backward is None)
        if outcome.backward is not None:
            agree(found.backward, outcome.backward.to_padded(steps=STEPS))
        agree(found.final, outcome.final)
        for part, expected in zip(found.state.parts, outcome.state.parts, strict=True):
            agree(part, expected)
        agree = agreement(1e-8)
        agree(g_x, Ragged(d_rows, LENGTHS).to_padded(steps=STEPS))
        for name, expected in d_params.items():
            agree(g_params[name], expected)
        for part, expected in zip(g_initial.parts, d_initial.parts, strict=True):
            agree(part, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_vmap_over_an_ensemble_is_each_of_its_members(engine):
    stack = Stack("rnn_tanh", 4, 3, merge="sum")
    members = [initialise(stack, seed, dtype=np.float32) for seed in range(3)]
    ensemble = jax.tree.map(lambda *parts: jnp.stack(parts), *members)
    x = Problem(stack).x.astype(np.float32)

    def value_and_gradient(params):
        def loss(params):
            return (run(params, x, LENGTHS, stack=stack, engine=engine).output ** 2).sum()

        return jax.value_and_grad(loss)(params)

    agree = agreement(1e-5)
    values, gradients = jax.jit(jax.vmap(value_and_gradient))(ensemble)
    alone = jax.jit(value_and_gradient)
    for at, params in enumerate(members):
        value, gradient = alone(params)
        agree(values[at], value)
        for name, expected in gradient.items():
            agree(gradients[name][at], expected)


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("x64")
def test_the_native_engine_has_the_bits_it_has_elsewhere(dtype):
    stack = Stack("gru", 4, 6, 2, merge="project", directions=("both", "forward"))
    params = initialise(stack, 3, dtype=dtype)
    x = Problem(stack).x.astype(dtype)
    rows = Ragged.from_padded(x, LENGTHS)
    rng = np.random.default_rng(4)
    initial = StackState(rng.uniform(-1, 1, (3, len(LENGTHS), 6)).astype(dtype))
    expected = engine.run(rows, params, stack, initial)
    found = jax.jit(
        lambda *given: run(
            params, *given, LENGTHS, RecurrentState(initial.h), stack=stack, engine="native"
        )
    )(x)
    np.testing.assert_array_equal(found.output, expected.output.to_padded(steps=STEPS))
    np.testing.assert_array_equal(found.final, expected.final)
    np.testing.assert_array_equal(found.state.h, expected.state.h)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_series_in_pieces_is_the_series(engine):
    stack = Stack("gru", 4, 4, 2, bidirectional=False)
    params = initialise(stack, 0, dtype=np.float32)
    x = Problem(stack).x.astype(np.float32)
    whole, last = apply(params, x, LENGTHS, stack=stack, engine=engine)
    state = None
    for start in range(0, STEPS, 4):
        lengths = np.clip(LENGTHS - start, 0, 4)
        piece = x[:, start : start + 4]
        rows, state = apply(params, piece, lengths, state, stack=stack, engine=engine)
        agreement(1e-6)(rows, whole[:, start : start + 4])
    for part, expected in zip(state.parts, last.parts, strict=True):
        agreement(1e-6)(part, expected)


@needs_native
def test_the_native_engine_under_jit_and_grad_in_a_loop():
    # Two stacks that wait for nothing of each other, so that XLA may run them side by side.
    stack = Stack("lstm", 8, 16)
    params = initialise(stack, 0, dtype=np.float32)
    x = jax.random.normal(jax.random.key(1), (64, 60, 8))  # XLA copies so much on another thread
    lengths = np.random.default_rng(0).integers(0, 61, 64)

    def loss(params):
        one = run(params, x, lengths, stack=stack, engine="native")
        two = run(params, 2 * x, lengths, stack=stack, engine="native")
        return (one.output**2).mean() + (two.final**2).mean()

    gradient = jax.jit(jax.grad(loss))
    first = gradient(params)
    for _ in range(20):
        found = gradient(params)
    for name, value in first.items():
        np.testing.assert_array_equal(found[name], value)


@needs_native
@pytest.mark.slow  # the loop above where XLA has one thread: `jax.pure_callback` stands still
def test_the_native_engine_needs_no_second_processor():
    name = test_the_native_engine_under_jit_and_grad_in_a_loop.__name__
    script = (
        "import os, pytest; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        f"raise SystemExit(pytest.main(['-p', 'no:cacheprovider', {f'{__file__}::{name}'!r}]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], timeout=300, check=False, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout


def test_length_beyond_the_steps_and_below_zero_under_jit():
    stack = Stack("rnn_tanh", 4, 3, bidirectional=False)
    params, x = initialise(stack, 0, dtype=np.float32), Problem(stack).x[:2].astype(np.float32)
    traced = jax.jit(lambda lengths: run(params, x, lengths, stack=stack).output)
    np.testing.assert_array_equal(traced(np.array([99, -3])), traced(np.array([STEPS, 0])))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(0, 5, 4), (2, 0, 4)])
def test_a_batch_without_sequences_or_steps(engine, shape):
    found = run(PARAMS, np.zeros(shape, np.float32), stack=STACK, engine=engine)
    assert found.output.shape == (*shape[:2], 6)
    np.testing.assert_array_equal(found.state.h, zero_state(STACK, shape[0]).h)


def test_jax_stays_as_the_user_set_it():
    stack = Stack("lstm", 4, 3)
    before = dict(jax.config.values)
    run(init(jax.random.key(0), stack, scheme="normal"), jnp.zeros((0, 5, 4)), stack=stack)
    assert dict(jax.config.values) == before


# ---------------------------------------------------------------------- what is refused

STACK = Stack("lstm", 4, 3)
PARAMS = {name: np.zeros(shape, np.float32) for name, shape in STACK.shapes().items()}
X = np.zeros((2, 5, 4), np.float32)

REFUSED = [
    ({"x": X[0]}, ShapeError, r"x is (5, 4), the stack reads (B, T, 4)"),
    ({"x": X[:, :, :3]}, ShapeError, r"x is (2, 5, 3), the stack reads (B, T, 4)"),
    ({"x": X.astype(int)}, ShapeError, "x is int32. Make it a floating-point array"),
    ({"x": X.astype(np.float16)}, ShapeError, "weight_ih_l0 is float32, x is float16"),
    ({"params": PARAMS | {"bias_ih_l9": X}}, ShapeError, "bias_ih_l9 is no parameter"),
    ({"params": {}}, ShapeError, "weight_ih_l0 (12, 4) is missing; weight_hh_l0 (12, 3)"),
    ({"lengths": [1, 9]}, LengthError, "lengths[1] is 9, x has 5 steps. Trim it to 5"),
    ({"lengths": [1, -1]}, LengthError, "lengths[1] is -1"),
    ({"lengths": [1, 2, 3]}, ShapeError, "lengths are (3,) for 2 sequences"),
    ({"lengths": [0.5, 2]}, ShapeError, "lengths are a vector of integers"),
    (
        {"initial": RecurrentState(jnp.zeros((2, 2, 3)))},
        ShapeError,
        "initial c (2, 2, 3) is missing",
    ),
    ({"initial": zero_state(STACK, 3)}, ShapeError, "initial h has shape (2, 3, 3), it must be"),
    ({"engine": "nativ"}, ConfigError, "engine is 'nativ': did you mean native?"),
]


@pytest.mark.parametrize(("changes", "error", "message"), REFUSED)
def test_what_does_not_fit_is_named(changes, error, message):
    given = {"params": PARAMS, "x": X, "lengths": None, "initial": None, "engine": "scan"} | changes
    with pytest.raises(error, match=re.escape(message)):
        run(
            *(given[name] for name in ("params", "x", "lengths", "initial")),
            stack=STACK,
            engine=given["engine"],
        )


def test_two_directions_have_no_state_to_carry_on():
    with pytest.raises(DirectionError, match=r"needs one direction.*run\(\.\.\., initial=\.\.\.\)"):
        apply(PARAMS, X, state=zero_state(STACK, 2), stack=STACK)


def test_without_a_compiled_module_the_native_engine_says_so():
    with (
        mock.patch.dict(os.environ, {isa.FORCE: isa.REFERENCE}),
        pytest.raises(EngineError, match="needs a compiled one"),
    ):
        run(PARAMS, X, stack=STACK, engine="native")


@needs_native
def test_the_native_engine_names_the_dtypes_it_has():
    params = {name: value.astype(np.float16) for name, value in PARAMS.items()}
    with pytest.raises(ShapeError, match="x is float16, the native engine takes float32 and"):
        run(params, X.astype(np.float16), stack=STACK, engine="native")


def agreement(tolerance):
    """An assertion that two arrays are equal, absolutely and relatively to a tolerance."""

    def agree(found, expected):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    return agree


@pytest.mark.parametrize(("missing", "module"), [("jax", "birnn.jax"), ("flax", "birnn.jax.nnx")])
def test_without_the_extra_one_line_says_what_to_install(missing, module):
    known = {name: part for name, part in sys.modules.items() if name.startswith("birnn.jax")}
    with mock.patch.dict(sys.modules):
        for name in known if missing == "jax" else {module}:
            sys.modules.pop(name, None)
        sys.modules[missing] = None
        with pytest.raises(MissingExtra, match=f"^this needs {missing}: pip install 'birnn\\[jax"):
            importlib.import_module(module)
