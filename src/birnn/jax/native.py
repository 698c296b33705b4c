"""The native engine inside programs of JAX on CPU, with gradients of its own.

A layer is one call of the compiled kernels each way. They read the padded batch where XLA has it,
and skip the padding.
"""

# B sequences, T steps, D inputs, H hidden units, K directions * H, R = B * T rows

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from birnn.engine import isa, recurrent
from birnn.engine.arrays import DTYPES, RowLayout
from birnn.engine.linear import Linear
from birnn.errors import ShapeError
from birnn.jax import foreign
from birnn.jax.cells import Carry
from birnn.jax.foreign import HostArray
from birnn.jax.layer import LayerStates, LayerWeights
from birnn.reference.stack import CellName

KEEP: recurrent.Keep = "gates"
Weights = tuple[LayerWeights, ...]


def native_layer(
    cell: CellName,
    x_BTD: Array,
    lengths_B: Array,
    weights: Sequence[LayerWeights],
    initial: Carry,
) -> LayerStates:
    """As `birnn.jax.layer.scan_layer`, on the compiled kernels; float32 and float64.

    Works under ``jit`` and ``grad``; under ``vmap`` one call for each element of the mapped axis.

    Raises:
        EngineError: There is no compiled module, or ``BIRNN_ISA`` asks for the reference.
        ShapeError: Another dtype.
    """
    _require_native(x_BTD)
    output_BTK, final = _layer(cell, x_BTD, lengths_B, tuple(weights), initial)
    return LayerStates(tuple(jnp.split(output_BTK, len(weights), axis=-1)), final)


def native_linear(x: Array, weight: Array, bias: Array) -> Array:
    """The linear layer ``x W^T + b`` over the last axis, with the native engine's bits.

    Raises:
        EngineError: There is no compiled module, or ``BIRNN_ISA`` asks for the reference.
        ShapeError: A dtype that is neither float32 nor float64.
    """
    _require_native(x)
    return _linear(x, weight, bias)


def _require_native(x: Array) -> None:
    """Refuse what the compiled kernels cannot run, while the program is traced."""
    isa.require_native()
    if x.dtype not in DTYPES:
        raise ShapeError(
            f"x is {x.dtype}, the native engine takes float32 and float64. "
            "Convert it, or use engine='scan'."
        )


# ---------------------------------------------------------------------- a layer


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer(
    cell: CellName, x_BTD: Array, lengths_B: Array, weights: Weights, initial: Carry
) -> tuple[Array, Carry]:
    """Output rows of the directions side by side, (B, T, K), and final states."""
    output_BTK, final, _ = _call_forward(cell, "nothing", x_BTD, lengths_B, weights, initial)
    return output_BTK, final


def _layer_forward(
    cell: CellName, x_BTD: Array, lengths_B: Array, weights: Weights, initial: Carry
) -> tuple[tuple[Array, Carry], Any]:
    output_BTK, final, saved = _call_forward(cell, KEEP, x_BTD, lengths_B, weights, initial)
    return (output_BTK, final), (x_BTD, lengths_B, weights, initial, output_BTK, saved)


def _layer_backward(cell: CellName, kept: Any, d_outputs: tuple[Array, Carry]) -> Any:
    x_BTD, lengths_B, weights, initial, output_BTK, saved = kept
    d_output_BTK, d_final = d_outputs
    like = (x_BTD, *initial, *_flat(weights))
    d_x, *rest = foreign.call(
        f"layer_backward_{cell}",
        _backward_on_host(cell),
        [part.shape for part in like],
        x_BTD.dtype,
        *(x_BTD, lengths_B, output_BTK, saved, d_output_BTK),
        *(*d_final, *initial, *_flat(weights)),
    )
    return d_x, None, _by_direction(rest[len(initial) :]), tuple(rest[: len(initial)])


_layer.defvjp(_layer_forward, _layer_backward)


def _call_forward(
    cell: CellName,
    keep: recurrent.Keep,
    x_BTD: Array,
    lengths_B: Array,
    weights: Weights,
    initial: Carry,
) -> tuple[Array, Carry, Array]:
    """Output rows, final states, and what is kept."""
    sequences, steps, _ = x_BTD.shape
    hidden, directions = weights[0].weight_hh.shape[1], len(weights)
    most = 0
    if keep != "nothing":
        # As many as a batch without padding needs: the lengths are not known yet.
        most = _saved_size(cell, sequences * steps, hidden, directions, keep, x_BTD)
    shapes = ((sequences, steps, directions * hidden), (most,), *(p.shape for p in initial))
    output_BTK, saved, *final = foreign.call(
        f"layer_forward_{cell}_{keep}",
        _forward_on_host(cell, keep),
        shapes,
        x_BTD.dtype,
        *(x_BTD, lengths_B, *initial, *_flat(weights)),
    )
    return output_BTK, tuple(final), saved


@functools.cache
def _forward_on_host(cell: CellName, keep: recurrent.Keep) -> foreign.HostFunction:
    def forward(given: list[HostArray], found: list[HostArray]) -> None:
        x, lengths, *parts = given
        output, saved, *final = found
        rows, layout = _placed(x, lengths)
        ran = recurrent.forward(
            cell,
            rows,
            layout,
            _by_direction(parts[len(final) :]),
            tuple(parts[: len(final)]),
            keep=keep,
        )
        output[...] = ran.output.reshape(output.shape)
        for to, part in zip(final, ran.final, strict=True):
            to[...] = part
        if ran.saved is not None:
            saved[: ran.saved.shape[0]] = ran.saved

    return forward


@functools.cache
def _backward_on_host(cell: CellName) -> foreign.HostFunction:
    def backward(given: list[HostArray], found: list[HostArray]) -> None:
        x, lengths, output, saved, d_output, *parts = given
        states = 2 if cell == "lstm" else 1
        weights = _by_direction(parts[2 * states :])
        rows, layout = _placed(x, lengths)
        hidden, directions = weights[0].weight_hh.shape[1], len(weights)
        ran = recurrent.backward(
            cell,
            rows,
            layout,
            weights,
            tuple(parts[states : 2 * states]),
            output=output.reshape(layout.rows, -1),
            saved=saved[: _saved_size(cell, layout.plan.places, hidden, directions, KEEP, x)],
            keep=KEEP,
            d_output=d_output.reshape(layout.rows, -1),
            d_final=parts[:states],
        )
        assert ran.x is not None
        for to, part in zip(found, (ran.x, *ran.initial, *_flat(ran.weights)), strict=True):
            to[...] = part.reshape(to.shape)

    return backward


def _saved_size(
    cell: CellName, rows: int, hidden: int, directions: int, keep: recurrent.Keep, like: Any
) -> int:
    wide = like.dtype == np.float64
    return recurrent.saved_size(cell, rows, hidden, directions, keep, wide=wide)


def _placed(x: HostArray, lengths: HostArray) -> tuple[HostArray, RowLayout]:
    """Rows of a padded batch, (R, D), and where those of each sequence stand."""
    sequences, steps, width = x.shape
    layout = RowLayout.padded(lengths.astype(np.int64), steps=steps)
    return x.reshape(sequences * steps, width), layout


def _flat(weights: Sequence[Any]) -> list[Any]:
    return [part for own in weights for part in own]


def _by_direction(parts: Sequence[Any]) -> Any:
    """The weights of each direction, of JAX or NumPy."""
    return tuple(LayerWeights(*parts[at : at + 4]) for at in range(0, len(parts), 4))


# ---------------------------------------------------------------------- a linear layer


@jax.custom_vjp
def _linear(x: Array, weight: Array, bias: Array) -> Array:
    shape = (*x.shape[:-1], weight.shape[0])
    return foreign.call("linear", _linear_on_host, [shape], x.dtype, x, weight, bias)[0]


def _linear_on_host(given: list[HostArray], found: list[HostArray]) -> None:
    x, weight, bias = given
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    found[0][...] = Linear(weight, bias)(rows).reshape(found[0].shape)


def _linear_forward(x: Array, weight: Array, bias: Array) -> tuple[Array, tuple[Array, Array]]:
    return _linear(x, weight, bias), (x, weight)


def _linear_backward(kept: tuple[Array, Array], d_y: Array) -> tuple[Array, Array, Array]:
    x, weight = kept
    axes = list(range(x.ndim - 1))
    return d_y @ weight, jnp.tensordot(d_y, x, (axes, axes)), d_y.sum(axis=tuple(axes))


_linear.defvjp(_linear_forward, _linear_backward)
