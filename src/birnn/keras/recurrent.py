"""A stack of recurrent layers in Keras, on padded rows whose lengths are known."""

# B sequences, T steps of the longest, D inputs, H hidden units, W width of a merged row

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt

from birnn.bundle.conventions import convention
from birnn.engine.stack_checks import check_parameters
from birnn.errors import Tell, log_notice
from birnn.keras.backend import DType, load_keras, precision
from birnn.keras.weights import set_weights, stack_placements
from birnn.reference.stack import MergeName, Stack

Tensor = Any
"""A symbolic tensor of Keras."""


@dataclass(frozen=True, slots=True)
class KerasMerge:
    """A merge in Keras.

    Args:
        mode: ``merge_mode`` of a ``Bidirectional`` layer.
        layer: The layer that merges two tensors likewise.
    """

    mode: str
    layer: str


# A projection is a concatenation, and a layer ``Dense`` on top.
MERGES: dict[MergeName, KerasMerge] = {
    "concat": KerasMerge("concat", "Concatenate"),
    "sum": KerasMerge("sum", "Add"),
    "mean": KerasMerge("ave", "Average"),
    "product": KerasMerge("mul", "Multiply"),
    "project": KerasMerge("concat", "Concatenate"),
}


class Steps(NamedTuple):
    """Which steps of a padded batch are real.

    Args:
        real: Whether each step is, (B, T).
        read: As ``real``, and the first step of each sequence: what recurrent layers read.
        empty: Which sequences have length 0, (B, 1).

    cuDNN refuses a sequence without a step, and backends differ in what they answer for one. So
    the recurrent layers read one step of it, and their answer is replaced.
    """

    real: Tensor
    read: Tensor
    empty: Tensor


def steps_of(keras: Any, ids: Tensor, lengths: Tensor) -> Steps:
    """The steps of a batch whose sequences begin at its first column.

    Args:
        keras: The module.
        ids: Any tensor (B, T).
        lengths: Length of each sequence, (B,); below 0 counts as 0, above T as T.
    """
    ops = keras.ops
    position = ops.cumsum(ops.ones_like(ids, dtype="int32"), axis=1)
    # A graph cannot refuse a length. One above T has no more steps than there are.
    lengths = ops.maximum(ops.expand_dims(lengths, axis=-1), 0)
    return Steps(position <= lengths, position <= ops.maximum(lengths, 1), ops.equal(lengths, 0))


class KerasStackOutput(NamedTuple):
    """What a stack gives.

    Args:
        rows: Rows of the last layer, (B, T, W); None where only ``final`` was asked for.
        final: Its merged final states, (B, W); None where they were not asked for.
        states: Final states, h and for an LSTM c of each direction, (B, H): of all layers where
            initial ones were given; without a use else.
    """

    rows: Tensor | None
    final: Tensor | None
    states: list[Tensor]


def recurrent_layer(keras: Any, stack: Stack, number: int, name: str, **how: Any) -> Any:
    """A layer of a stack; ``Bidirectional`` where it has two directions.

    Args:
        keras: The module.
        stack: Settings of the stack.
        number: Of the layer.
        name: Its name.
        how: Arguments of ``LSTM``, ``GRU`` and ``SimpleRNN`` that all have.
    """
    row = convention("keras", stack.cell)
    make, settings = getattr(keras.layers, row.layer), {s.name: s.value for s in row.settings}
    if stack.directions_of(number) == 1:
        return make(stack.hidden_size, **settings, **how, name=name)
    half = make(stack.hidden_size, **settings, **how, name=f"{name}_half")
    return keras.layers.Bidirectional(half, merge_mode=MERGES[stack.merge].mode, name=name)


def encode(
    keras: Any,
    stack: Stack,
    rows: Tensor,
    steps: Steps,
    *,
    name: str,
    rows_wanted: bool = True,
    final_wanted: bool = True,
    initial: Sequence[Tensor] | None = None,
) -> KerasStackOutput:
    """Run a stack.

    Args:
        keras: The module.
        stack: Settings of the stack.
        rows: Its input, (B, T, D).
        steps: Which steps are real.
        name: The layers' names without their number.
        rows_wanted: Whether the rows of the last layer are asked for.
        final_wanted: Whether its merged final states are.
        initial: Initial states, (B, H), of each direction of each layer, h and for an LSTM c.
    """
    ops, join = keras.ops, MERGES[stack.merge].layer
    parts = 2 if stack.cell == "lstm" else 1
    given, finals = list(initial or []), []
    final: Tensor | None = None
    for number in range(stack.num_layers):
        last = number == stack.num_layers - 1
        two = stack.directions_of(number) == 2
        every = rows_wanted or not last
        # Where the last states alone are asked for, they are the layer's output.
        stated = initial is not None or (last and rows_wanted and final_wanted)
        layer = recurrent_layer(
            keras, stack, number, f"{name}_l{number}", return_sequences=every, return_state=stated
        )
        own, given = given[: parts * (1 + two)], given[parts * (1 + two) :]
        found = layer(rows, mask=steps.read, **({"initial_state": own} if own else {}))
        out, *states = found if stated else [found]
        states = [
            ops.where(steps.empty, own[k] if own else ops.zeros_like(state), state)
            for k, state in enumerate(states)
        ]
        finals += states
        project = None
        if stack.projects(number):
            width = stack.layer_output_size(number)
            project = keras.layers.Dense(width, name=f"{name}_merge_l{number}")
        if last and final_wanted:
            if stated and two:
                final = getattr(keras.layers, join)(name=f"{name}_final")(states[::parts])
            else:
                final = states[0] if stated else ops.where(steps.empty, ops.zeros_like(out), out)
            final = final if project is None else project(final)
        if every:
            merged = out if project is None else project(out)
            rows = keras.layers.Add()([merged, rows]) if stack.adds_input(number) else merged
    return KerasStackOutput(rows if rows_wanted else None, final, finals)


def stack_to_keras(
    stack: Stack,
    parameters: Mapping[str, npt.NDArray[Any]],
    *,
    initial_state: bool = False,
    dtype: DType = "float32",
    tell: Tell = log_notice,
) -> Any:
    """A stack of recurrent layers as a functional Keras model.

    Args:
        stack: Settings of the stack.
        parameters: Arrays by the names of ``stack.shapes()``.
        initial_state: Whether the model takes initial states, and gives the final ones.
        dtype: Of its weights and results.
        tell: Takes a notice of the backend that was chosen.

    Returns:
        The model. Its inputs are ``vectors`` (B, T, D) and ``lengths`` (B,), its outputs ``rows``
        (B, T, W), zeros where there is no step, and ``final`` (B, W), the merged final states of
        the last layer. With ``initial_state`` both also have ``h`` and, of an LSTM, ``c``:
        (B, L, H), of L directions of all layers.

    Raises:
        MissingExtra: Keras or its backend is not installed.
        ConfigError: ``float64`` on a backend where Keras computes in float32 all the same.
        ShapeError: Parameters that are not the stack's; all faults are named at once.

    Example:
        >>> from birnn.reference import initialise
        >>> stack = Stack("gru", 3, 4)
        >>> model = stack_to_keras(stack, initialise(stack, seed=0))
        >>> [tuple(model.output[name].shape) for name in ("rows", "final")]
        [(None, None, 8), (None, 8)]
    """
    check_parameters(parameters, stack)
    keras = load_keras(tell)
    ops = keras.ops
    names = ("h", "c") if stack.cell == "lstm" else ("h",)
    with precision(keras, dtype):
        vectors = keras.Input((None, stack.input_size), dtype=dtype, name="vectors")
        inputs = {"vectors": vectors, "lengths": keras.Input((), dtype="int32", name="lengths")}
        initial = None
        if initial_state:
            for name in names:
                inputs[name] = keras.Input(
                    (stack.state_count, stack.hidden_size), dtype=dtype, name=name
                )
            states = range(stack.state_count)
            initial = [ops.take(inputs[name], k, axis=1) for k in states for name in names]
        steps = steps_of(keras, ops.take(vectors, 0, axis=-1), inputs["lengths"])
        rows = zeroed(keras, vectors, steps)
        found = encode(keras, stack, rows, steps, name="encoder", initial=initial)
        outputs = {"rows": zeroed(keras, found.rows, steps), "final": found.final}
        for part, name in enumerate(names if initial_state else ()):
            outputs[name] = ops.stack(found.states[part :: len(names)], axis=1)
        model = keras.Model(inputs, outputs, name="stack")
        set_weights(model, stack_placements(stack, "", "encoder"), parameters)
    return model


def zeroed(keras: Any, rows: Tensor, steps: Steps) -> Tensor:
    """Rows (B, T, W) with zeros where there is no step, whatever stood there.

    So neither NaN that stands there is answered, nor a gradient, which is 0 times NaN.
    """
    ops = keras.ops
    return ops.where(ops.expand_dims(steps.real, axis=-1), rows, ops.zeros_like(rows))
