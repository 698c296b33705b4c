"""The states of both halves: by step, against each other, and where they stand in the output."""

# T steps, N rows of all sequences, H hidden units of each direction, W width of an output row

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from birnn.errors import ConfigError
from birnn.explain.inspected import Array, Model, array
from birnn.explain.reading import Reading, halves_over, inspected_model
from birnn.reference.stack import Stack


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """What a layer's halves and its output were at each step.

    Args:
        forward: States of the forward half, (T, H); row t has read steps 0 to t.
        backward: States of the backward half, (T, H); row t has read steps t to T-1. None with
            one direction.
        output: The merged rows, (T, W).
        layer: Number of the layer.
    """

    forward: Array
    backward: Array | None
    output: Array
    layer: int

    def norms(self) -> dict[str, Array]:
        """Euclidean norm at each step, (T,): ``forward``, ``backward``, ``output``."""
        parts = {"forward": self.forward, "backward": self.backward, "output": self.output}
        return {
            name: np.linalg.norm(part, axis=1) for name, part in parts.items() if part is not None
        }


def states(model: Model | Reading, sequence: Any = None, *, layer: int = -1) -> States:
    """States of a layer over one sequence.

    Args:
        model: As for `Reading.of`.
        sequence: As ``predict`` takes one; of a `BiRNN` an array (T, W); of a reading its own.
        layer: Which layer; the last by default.

    Raises:
        DataError: A sequence that the model cannot read, or one without steps.
        ConfigError: A layer that the model does not have.

    Example:
        >>> from birnn.nn import BiRNN
        >>> found = states(BiRNN("gru", 3, 4), np.ones((5, 3)))
        >>> found.output.shape, found.norms()["backward"].shape
        ((5, 8), (5,))
    """
    reading = Reading.of(model, sequence)
    halves, (output, _) = reading.halves(layer), reading.merged(layer)
    return States(
        array(halves.forward.values),
        None if halves.backward is None else array(halves.backward.values),
        array(output.values),
        reading.model.layer(layer),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Correlation:
    """How the units of one half go with those of the other.

    Args:
        matrix: Pearson's correlation of each forward unit (row) with each backward unit (column)
            over the steps, (H, H); NaN where one of the two never changed.
        constant_forward: How many forward units never changed.
        constant_backward: How many backward units never did.
        steps: Steps that it was measured over.
        layer: Number of the layer.
    """

    matrix: Array
    constant_forward: int
    constant_backward: int
    steps: int
    layer: int


def correlation(
    model: Model | Reading, sequences: Iterable[Any] | None = None, *, layer: int = -1
) -> Correlation:
    """Correlation between forward and backward units over the steps of sequences.

    Args:
        model: As for `Reading.of`.
        sequences: As ``predict`` takes them; of a `BiRNN` arrays (T, W); of a reading its own by
            default.
        layer: Which layer; the last by default.

    Raises:
        ConfigError: The layer reads in one direction, or the model has no such layer.
        DataError: A sequence that the model cannot read, or not one with a step.

    Example:
        >>> from birnn.nn import BiRNN
        >>> found = correlation(BiRNN("gru", 3, 4), [np.eye(3), np.ones((2, 3))])
        >>> found.matrix.shape, found.steps
        ((4, 4), 5)
    """
    inspected = inspected_model(model)
    if inspected.stack.directions_of(inspected.layer(layer)) == 1:
        raise ConfigError(
            f"layer {inspected.layer(layer)} of the model reads in one direction, so there is no "
            "backward half to correlate with. Give a layer of two directions."
        )
    source = model if isinstance(model, Reading) else inspected
    hidden = inspected.stack.hidden_size
    steps, first_2H = 0, None
    low_2H, high_2H = np.full(2 * hidden, np.inf), np.full(2 * hidden, -np.inf)
    sums_2H, products_2H2H = np.zeros(2 * hidden), np.zeros((2 * hidden, 2 * hidden))
    for halves in halves_over(source, sequences, layer):
        both_N2H = np.concatenate(
            [array(part.values).astype(np.float64) for part in halves.parts], axis=1
        )
        low_2H = np.minimum(low_2H, both_N2H.min(axis=0))
        high_2H = np.maximum(high_2H, both_N2H.max(axis=0))
        # Taken off one row, sums of squares of units that hardly move keep their digits.
        first_2H = both_N2H[0] if first_2H is None else first_2H
        moved_N2H = both_N2H - first_2H
        steps += both_N2H.shape[0]
        sums_2H += moved_N2H.sum(axis=0)
        products_2H2H += moved_N2H.T @ moved_N2H
    constant_2H = low_2H == high_2H
    covariance = products_2H2H / steps - np.outer(sums_2H, sums_2H) / steps**2
    spread_2H = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.outer(spread_2H[:hidden], spread_2H[hidden:])
    moves = np.outer(~constant_2H[:hidden], ~constant_2H[hidden:]) & (scale > 0)
    unknown = np.full_like(scale, np.nan)
    matrix = np.divide(covariance[:hidden, hidden:], scale, out=unknown, where=moves)
    return Correlation(
        np.clip(matrix, -1, 1),
        int(constant_2H[:hidden].sum()),
        int(constant_2H[hidden:].sum()),
        steps,
        inspected.layer(layer),
    )


class OutputColumns(NamedTuple):
    """Columns ``start`` up to but not including ``stop`` of an output row, and whose they are.

    Column ``start + j`` is unit j of ``source``; where the source is ``both``, it is unit j of
    the two halves together.
    """

    start: int
    stop: int
    source: Literal["forward", "backward", "both"]


def output_columns(stack: Stack) -> tuple[OutputColumns, ...]:
    """Which columns of the last layer's merged output come from which direction.

    A residual connection adds the layer's input to all of them and moves none.

    Args:
        stack: Settings of the stack, as ``BiRNN.stack`` or ``Spec.stack``.

    Example:
        >>> [(s.start, s.stop, s.source) for s in output_columns(Stack("lstm", 3, 5))]
        [(0, 5, 'forward'), (5, 10, 'backward')]
        >>> output_columns(Stack("lstm", 3, 5, merge="sum"))
        (OutputColumns(start=0, stop=5, source='both'),)
    """
    hidden = stack.hidden_size
    if stack.directions_of(-1) == 1:
        return (OutputColumns(0, hidden, "forward"),)
    if stack.merge == "concat":
        return OutputColumns(0, hidden, "forward"), OutputColumns(hidden, 2 * hidden, "backward")
    return (OutputColumns(0, stack.output_size, "both"),)
