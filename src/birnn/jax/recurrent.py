"""Stacks of recurrent layers as pure functions of a dictionary of parameters.

Parameters are a pytree: a dictionary by the names of `birnn.reference.Stack.shapes`, which are
torch's, so a bundle's tensors and a ``state_dict`` fit as they are. Batches are padded, (B, T, D),
with a length for each sequence; nothing is read from the padding, and 0 is written there.
"""

# B sequences, T steps, S directions of all layers, D inputs, H hidden units, W width of a row

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import jax.numpy as jnp
from jax import Array

from birnn.engine.stack_checks import check_stack, parameter_faults, state_faults
from birnn.errors import ConfigError, DirectionError, ShapeError, nearest
from birnn.jax.cells import Carry
from birnn.jax.layer import LayerStates, LayerWeights, lengths_within, real_steps, scan_layer
from birnn.jax.native import native_layer, native_linear
from birnn.reference.bidirectional import direction_names
from birnn.reference.stack import CellName, MergeName, Stack

Parameters = Mapping[str, Array]
EngineName = Literal["scan", "native"]


class RecurrentState(NamedTuple):
    """States of every layer and direction, in torch's order: layer by layer, forward half first.

    Args:
        h: Hidden states, (S, B, H).
        c: Memory cells of an LSTM, (S, B, H); None for the other cells.
    """

    h: Array
    c: Array | None = None

    @property
    def parts(self) -> Carry:
        """h, and c where there is one."""
        return (self.h,) if self.c is None else (self.h, self.c)


class StackOutput(NamedTuple):
    """What `run` gives.

    Args:
        output: Rows of the last layer, (B, T, W); 0 in the padding.
        forward: Its forward half before merging and residual, (B, T, H).
        backward: Its backward half likewise; None with one direction.
        final: The last layer's final states merged as its rows are, (B, W): the forward half after
            each sequence's last step, the backward half after its first. Nothing residual is added.
        state: Final states of all layers; of a sequence of length 0 the initial ones.
    """

    output: Array
    forward: Array
    backward: Array | None
    final: Array
    state: RecurrentState


class LinearFunction(Protocol):
    """``x W^T + b`` over the last axis."""

    def __call__(self, x: Array, weight: Array, bias: Array) -> Array:
        """Apply the layer."""


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """The linear layer ``x W^T + b`` over the last axis.

    Example:
        >>> linear(jnp.array([3.0, 4.0]), jnp.array([[1.0, 2.0]]), jnp.array([0.5])).tolist()
        [11.5]
    """
    return x @ weight.T + bias


class LayerEngine(NamedTuple):
    """What computes a layer, and a linear layer."""

    layer: Callable[[CellName, Array, Array, Sequence[LayerWeights], Carry], LayerStates]
    linear: LinearFunction


ENGINES: dict[EngineName, LayerEngine] = {
    "scan": LayerEngine(scan_layer, linear),
    "native": LayerEngine(native_layer, native_linear),
}

# Of both halves and their concatenation; ``project`` has parameters and stands in `_merge`.
MERGES: dict[MergeName, Callable[[Array, Array], Array]] = {
    "concat": lambda forward, backward: jnp.concatenate([forward, backward], axis=-1),
    "sum": jnp.add,
    "mean": lambda forward, backward: (forward + backward) * 0.5,
    "product": jnp.multiply,
}


def apply(
    params: Parameters,
    x: Any,
    lengths: Any = None,
    state: RecurrentState | None = None,
    *,
    stack: Stack,
    engine: EngineName = "scan",
) -> tuple[Array, RecurrentState]:
    """Run a stack over a padded batch, from a state to the next.

    With one direction a long series can be run in pieces: the state that one piece ends in is where
    the next begins. Two directions have no state to carry on, as the backward half comes from the
    end; initial states of both halves are an argument of `run`.

    Args:
        params: Arrays by the names and shapes of ``stack.shapes()``.
        x: Rows, (B, T, D), of the parameters' dtype.
        lengths: Length of each sequence, (B,); None: all are full. Under ``jit`` they are not
            checked: below 0 counts as 0, above T as T.
        state: What the piece before ended in; None before the first.
        stack: Settings of the stack.
        engine: ``scan``, or ``native`` for the compiled kernels on CPU.

    Returns:
        Rows of the last layer, (B, T, W), 0 in the padding; and the state after each sequence.

    Raises:
        DirectionError: A state for a stack with two directions.
        ConfigError: An engine that does not exist.
        ShapeError: A name, shape or dtype that does not fit; all of them are named at once.
        LengthError: A length that is negative or beyond the steps.
        EngineError: The native engine is not here.
        UsageError: A stack that is no `Stack`.

    Example:
        >>> import jax
        >>> from birnn.jax import init
        >>> stack = Stack("gru", 3, 4, bidirectional=False)
        >>> params = init(jax.random.key(0), stack)
        >>> x = jax.random.normal(jax.random.key(1), (2, 6, 3))
        >>> whole, _ = apply(params, x, stack=stack)
        >>> start, state = apply(params, x[:, :4], stack=stack)
        >>> rest, _ = apply(params, x[:, 4:], state=state, stack=stack)
        >>> bool(jnp.allclose(jnp.concatenate([start, rest], axis=1), whole, atol=1e-6))
        True
    """
    check_stack(stack)
    if state is not None and stack.bidirectional:
        raise DirectionError.of(
            "carrying a state from piece to piece",
            instead="Stack(..., bidirectional=False), or run(..., initial=...) for initial states "
            "of both halves",
            layers=stack.mixed_layers,
        )
    found = run(params, x, lengths, state, stack=stack, engine=engine)
    return found.output, found.state


def run(
    params: Parameters,
    x: Any,
    lengths: Any = None,
    initial: RecurrentState | None = None,
    *,
    stack: Stack,
    engine: EngineName = "scan",
) -> StackOutput:
    """Run a stack over a padded batch, and give all that it says.

    Args:
        params: As for `apply`.
        x: As for `apply`.
        lengths: As for `apply`.
        initial: Initial states of all layers and directions; zeros where it is None.
        stack: Settings of the stack.
        engine: As for `apply`.

    Returns:
        The last layer's rows, halves and final states, and the states of all layers.

    Raises:
        ConfigError: An engine that does not exist.
        ShapeError: A name, shape or dtype that does not fit; all of them are named at once.
        LengthError: A length that is negative or beyond the steps.
        EngineError: The native engine is not here.
        UsageError: A stack that is no `Stack`.

    Example:
        >>> import jax
        >>> from birnn.jax import init
        >>> stack = Stack("lstm", 3, 4, merge="sum")
        >>> params = init(jax.random.key(0), stack)
        >>> found = run(params, jnp.ones((2, 5, 3)), [5, 0], stack=stack)
        >>> found.output.shape, found.final.shape, float(abs(found.output[1]).max())
        ((2, 5, 4), (2, 4), 0.0)
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine is {engine!r}: {nearest(str(engine), ENGINES)}")
    check_stack(stack)
    run_layer, linear = ENGINES[engine]
    x_BTD, lengths_B, initial = _checked(params, x, lengths, initial, stack)
    real_BT1 = real_steps(lengths_B, x_BTD.shape[1])[:, :, None]
    # Cleared once, so that NaN in the padding reaches neither a product nor a gradient.
    rows_BTW = jnp.where(real_BT1, x_BTD, 0)
    finals: list[Carry] = []
    for layer in range(stack.num_layers):
        weights = tuple(
            LayerWeights(*(params[name] for name in direction_names(layer, suffix)))
            for suffix in stack.suffixes(layer)
        )
        start = tuple(part[stack.states_of(layer)] for part in initial.parts)
        halves, final = run_layer(stack.cell, rows_BTW, lengths_B, weights, start)
        finals.append(final)
        merged_BTW = _merge(params, layer, halves, stack, linear)
        if stack.projects(layer):
            merged_BTW = jnp.where(real_BT1, merged_BTW, 0)  # its bias
        rows_BTW = merged_BTW + rows_BTW if stack.adds_input(layer) else merged_BTW
    return StackOutput(
        rows_BTW,
        halves[0],
        halves[1] if len(halves) == 2 else None,
        _merge(params, stack.num_layers - 1, tuple(finals[-1][0]), stack, linear),
        RecurrentState(*(jnp.concatenate(parts) for parts in zip(*finals, strict=True))),
    )


def zero_state(stack: Stack, sequences: int, dtype: Any = jnp.float32) -> RecurrentState:
    """The state that a run starts from when none is given.

    Example:
        >>> zero_state(Stack("lstm", 3, 5, num_layers=2), 4).c.shape
        (4, 4, 5)
    """
    zeros = jnp.zeros((stack.state_count, sequences, stack.hidden_size), dtype)
    return RecurrentState(zeros, zeros if stack.cell == "lstm" else None)


def _merge(
    params: Parameters, layer: int, halves: tuple[Array, ...], stack: Stack, linear: LinearFunction
) -> Array:
    """The halves of a layer's rows, or of its final states, as one."""
    if len(halves) == 1:
        return halves[0]
    if stack.projects(layer):
        weight, bias = params[f"merge_l{layer}.weight"], params[f"merge_l{layer}.bias"]
        return linear(MERGES["concat"](*halves), weight, bias)
    return MERGES[stack.merge](*halves)


def _checked(
    params: Parameters, x: Any, lengths: Any, initial: RecurrentState | None, stack: Stack
) -> tuple[Array, Array, RecurrentState]:
    """Rows, lengths and initial states, once they fit."""
    rows = jnp.asarray(x)
    faults = []
    if rows.ndim != 3 or rows.shape[2] != stack.input_size:
        faults.append(f"x is {rows.shape}, the stack reads (B, T, {stack.input_size})")
    if not jnp.issubdtype(rows.dtype, jnp.floating):
        faults.append(f"x is {rows.dtype}. Make it a floating-point array")
    faults += parameter_faults(params, stack, rows.dtype)
    sequences, steps = rows.shape[:2] if rows.ndim == 3 else (0, 0)
    if not faults:
        faults += state_faults(sequences, rows.dtype, stack, initial)
    if faults:
        raise ShapeError("; ".join(faults))
    if initial is None:
        initial = zero_state(stack, sequences, rows.dtype)
    lengths_B = (
        jnp.full(sequences, steps) if lengths is None else lengths_within(lengths, sequences, steps)
    )
    return rows, lengths_B, initial
