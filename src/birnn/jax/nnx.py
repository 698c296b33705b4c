"""Flax NNX modules: a stack as a module, and Flax's own layers to and from birnn's parameters."""

# B sequences, T steps, D inputs, W width of an output row

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from birnn.bundle.conventions import convention, direction, matching
from birnn.engine.stack_checks import check_parameters, parameter_faults
from birnn.errors import ConversionError, ShapeError, require
from birnn.jax.initialise import SchemeName, init
from birnn.jax.recurrent import MERGES, EngineName, RecurrentState, StackOutput, apply, run
from birnn.reference.bidirectional import direction_names
from birnn.reference.stack import CellName, Direction, MergeName, Stack

require("flax", extra="jax")

from flax import nnx  # noqa: E402


class FlaxBiRNN(nnx.Module):
    """Stacked recurrent layers in one or two directions, exact on ragged batches.

    Its parameters are attributes by the names of ``stack.shapes()``, and the functions it calls are
    `birnn.jax.apply` and `birnn.jax.run`.

    Args:
        stack: Settings of the stack.
        scheme: Initialisation, see `birnn.jax.init`.
        engine: ``scan``, or ``native`` for the compiled kernels on CPU.
        dtype: Type of the parameters.
        rngs: Its stream ``params`` draws them.
        settings: Further arguments of `birnn.jax.init`: ``sigma``, ``forget_bias``.

    Example:
        >>> encoder = FlaxBiRNN(Stack("lstm", 4, 8, merge="sum"), rngs=nnx.Rngs(0))
        >>> output, state = encoder(jnp.ones((2, 5, 4)), [5, 3])
        >>> output.shape, state.h.shape
        ((2, 5, 8), (2, 2, 8))
    """

    def __init__(
        self,
        stack: Stack,
        *,
        scheme: SchemeName = "glorot",
        engine: EngineName = "scan",
        dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
        **settings: float,
    ) -> None:
        self.stack = stack
        self.engine: EngineName = engine
        self.load_parameters(init(rngs.params(), stack, scheme=scheme, dtype=dtype, **settings))

    def __call__(
        self, x: Any, lengths: Any = None, state: RecurrentState | None = None
    ) -> tuple[Array, RecurrentState]:
        """Output rows (B, T, W) and the state after each sequence, as `birnn.jax.apply`.

        Args:
            x: Rows, (B, T, D).
            lengths: Length of each sequence, (B,); None: all are full.
            state: What the piece before ended in, of a stack with one direction.
        """
        return apply(self.parameters(), x, lengths, state, stack=self.stack, engine=self.engine)

    def run(
        self, x: Any, lengths: Any = None, initial: RecurrentState | None = None
    ) -> StackOutput:
        """All that the stack says, as `birnn.jax.run`.

        Args:
            x: Rows, (B, T, D).
            lengths: Length of each sequence, (B,); None: all are full.
            initial: Initial states of all layers and directions; zeros where it is None.
        """
        return run(self.parameters(), x, lengths, initial, stack=self.stack, engine=self.engine)

    def parameters(self) -> dict[str, Array]:
        """The parameters by the names of ``stack.shapes()``, for `birnn.jax.apply`."""
        return {name: jnp.asarray(getattr(self, name)) for name in self.stack.shapes()}

    def load_parameters(self, params: Mapping[str, Any]) -> None:
        """Take other parameters: of a bundle, a ``state_dict`` of torch, `birnn.jax.init`.

        Args:
            params: Arrays by the names of ``stack.shapes()``.

        Raises:
            ShapeError: A name, shape or dtype that does not fit; all of them are named at once.
        """
        check_parameters(params, self.stack)
        for name in self.stack.shapes():
            setattr(self, name, nnx.Param(jnp.asarray(params[name])))


# ---------------------------------------------------------------------- Flax's own layers

FlaxLayer = nnx.Bidirectional | nnx.RNN
CELLS: dict[CellName, tuple[Any, dict[str, Any]]] = {
    "lstm": (nnx.OptimizedLSTMCell, {}),
    "gru": (nnx.GRUCell, {}),
    "rnn_tanh": (nnx.SimpleCell, {}),
    "rnn_relu": (nnx.SimpleCell, {"activation_fn": jax.nn.relu}),
}


def to_flax(params: Mapping[str, Any], stack: Stack) -> list[FlaxLayer]:
    """A stack as layers of Flax: `nnx.Bidirectional` of two `nnx.RNN`, or one `nnx.RNN`.

    They are called one after another, with ``seq_lengths``; in the padding of their outputs stands
    what Flax leaves there.

    Args:
        params: Arrays by the names of ``stack.shapes()``.
        stack: Settings of the stack.

    Raises:
        ConversionError: What Flax has not: a projection, residual connections, a GRU with a
            recurrent bias of its candidate.
        ShapeError: A name, shape or dtype that does not fit; all of them are named at once.

    Example:
        >>> stack = Stack("lstm", 3, 4)
        >>> (layer,) = to_flax(init(jax.random.key(0), stack), stack)
        >>> layer(jnp.ones((1, 5, 3))).shape
        (1, 5, 8)
    """
    if stack.residual:
        raise ConversionError("Flax's layers have no residual connection. Add the input yourself.")
    if any(map(stack.projects, range(stack.num_layers))):
        raise ConversionError(
            "Flax's Bidirectional merges by a function without parameters: merge='project' has no "
            "counterpart. Use birnn.jax.nnx.FlaxBiRNN."
        )
    check_parameters(params, stack)
    layers: list[FlaxLayer] = []
    for layer in range(stack.num_layers):
        halves = [
            nnx.RNN(_flax_cell(params, stack, layer, suffix)) for suffix in stack.suffixes(layer)
        ]
        layers.append(
            nnx.Bidirectional(*halves, merge_fn=MERGES[stack.merge])
            if len(halves) == 2
            else halves[0]
        )
    return layers


def from_flax(layers: Sequence[FlaxLayer]) -> tuple[Stack, dict[str, Array]]:
    """Layers of Flax, called one after another, as a stack and its parameters.

    Args:
        layers: `nnx.Bidirectional` of two `nnx.RNN`, or `nnx.RNN`, with an `nnx.LSTMCell`,
            `nnx.OptimizedLSTMCell`, `nnx.GRUCell` or `nnx.SimpleCell`.

    Raises:
        ConversionError: A layer, cell, option or merge that has no counterpart.
        ShapeError: Layers whose widths disagree.

    Example:
        >>> def half(seed):
        ...     return nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(seed)))
        >>> stack, params = from_flax([nnx.Bidirectional(half(0), half(1))])
        >>> stack.cell, stack.hidden_size, params["weight_ih_l0_reverse"].shape
        ('gru', 4, (12, 3))
    """
    params: dict[str, Array] = {}
    cells: list[CellName] = []
    directions: list[Direction] = []
    merges: list[MergeName] = []
    for number, layer in enumerate(layers):
        halves = _halves_of(layer, f"layer {number}")
        directions.append("both" if len(halves) == 2 else "forward")
        if isinstance(layer, nnx.Bidirectional):
            merges.append(_merge_of(layer.merge_fn, f"layer {number}"))
        for suffix, half in zip(("", "_reverse"), halves, strict=False):
            where = f"layer {number}{suffix}"
            row = matching("flax", type(half.cell).__name__, _settings(half.cell), where=where)
            assert row.cell != "linear"
            cells.append(row.cell)
            own = row.back(_arrays(half.cell), where=where)
            names = direction_names(number, suffix)
            params |= {name: jnp.asarray(own[part]) for name, part in zip(names, own, strict=True)}
    if len(set(cells)) != 1 or len(set(merges)) > 1:
        raise ConversionError(
            f"the layers have the cells {cells} and the merges {merges}. A stack has one of each."
        )
    first = params["weight_hh_l0"], params["weight_ih_l0"]
    stack = Stack(
        cells[0],
        int(first[1].shape[1]),
        int(first[0].shape[1]),
        num_layers=len(layers),
        merge=merges[0] if merges else "concat",
        directions=tuple(directions),
        bidirectional="both" in directions,
    )
    faults = parameter_faults(params, stack, params["weight_ih_l0"].dtype)
    if faults:
        raise ShapeError(f"the layers do not fit on each other: {'; '.join(faults)}")
    return stack, params


def _flax_cell(params: Mapping[str, Any], stack: Stack, layer: int, suffix: str) -> Any:
    make, options = CELLS[stack.cell]
    width = stack.layer_input_size(layer)
    cell = make(width, stack.hidden_size, rngs=nnx.Rngs(0), **options)
    own = {name: np.asarray(value) for name, value in params.items()}
    arrays = convention("flax", stack.cell).to(direction(own, f"l{layer}{suffix}"))
    for name, array in arrays.items():
        linear, _, part = name.partition(".")
        setattr(getattr(cell, linear), part, nnx.Param(jnp.asarray(array)))
    return cell


def _halves_of(layer: Any, where: str) -> list[nnx.RNN]:
    """The one or two `nnx.RNN` of a layer."""
    two = isinstance(layer, nnx.Bidirectional)
    halves: list[Any] = [layer.forward_rnn, layer.backward_rnn] if two else [layer]
    for half in halves:
        if not isinstance(half, nnx.RNN):
            raise ConversionError(
                f"{where} is {type(half).__name__}. Give nnx.RNN, or nnx.Bidirectional of two."
            )
    if not two and halves[0].reverse:
        raise ConversionError(f"{where} reads from the end alone, birnn's layers never do.")
    return halves


def _merge_of(merge: Any, where: str) -> MergeName:
    """Which merge a function is, by what it makes of two rows."""
    rows = jnp.array([[0.5, -3.0]]), jnp.array([[7.0, 0.25]])
    found = merge(*rows)
    for name, known in MERGES.items():
        expected = known(*rows)
        if found.shape == expected.shape and bool((found == expected).all()):
            return name
    raise ConversionError(f"{where} merges otherwise than {', '.join(MERGES)}: no counterpart.")


def _settings(cell: Any) -> dict[str, Any]:
    names = ("activation_fn", "gate_fn", "residual")
    return {name: getattr(cell, name) for name in names if hasattr(cell, name)}


def _arrays(cell: Any) -> dict[str, Any]:
    """Arrays of a cell by their paths."""
    return {
        ".".join(map(str, path)): np.asarray(value)
        for path, value in nnx.to_flat_state(nnx.state(cell, nnx.Param))
    }
