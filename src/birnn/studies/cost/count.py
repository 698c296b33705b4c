"""What a stack of layers costs by its equations: parameters, arithmetic, bytes.

One step is one row of one sequence, through all layers and directions. A multiplication and an
addition are two operations. Matrix products are counted apart from the rest, which is element by
element: biases, gates and merging, where a sigmoid or tanh counts as one, whatever the processor
makes of it.
"""

# R rows of the batch, B sequences, D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from birnn.bundle.conventions import CONVENTIONS, parameter_count
from birnn.engine import isa
from birnn.engine.recurrent import Keep, saved_size
from birnn.reference.cells import CELLS
from birnn.reference.stack import CellName, Stack

FLOAT = np.dtype(np.float32)

# For each hidden unit, past the biases: additions and multiplications, and functions, as
# `birnn.reference.cells` computes them.
ELEMENTWISE: dict[CellName, tuple[int, int]] = {
    "rnn_tanh": (1, 1),
    "rnn_relu": (1, 1),
    "lstm": (4 + 4, 5),  # input + recurrent of four gates; f * c + i * g; o * tanh(c)
    "gru": (2 + 2 + 3, 3),  # r and z; input + r * recurrent; n + z * (h - n)
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of parameters, by how biases are counted.

    Args:
        one_bias: One bias for each gate, as in the equations of most papers.
        two_bias: One of the input and one of the recurrent product: torch's, and birnn's own.
        frameworks: What each framework has, by the table of `birnn.bundle.conventions`. Keras adds
            the two biases, but not those of its GRU (``reset_after=True``); Flax NNX has one, linen
            a second one for the GRU's candidate; ONNX has two.
    """

    one_bias: int
    two_bias: int
    frameworks: dict[str, int]


@dataclass(frozen=True, slots=True)
class Flops:
    """Operations of the forward pass for one step.

    Args:
        products: Of the matrix products, 2 G (D + H) for each layer and direction.
        elementwise: All others.
    """

    products: int
    elementwise: int

    @property
    def total(self) -> int:
        """Both."""
        return self.products + self.elementwise

    @property
    def training(self) -> int:
        """Of the matrix products forward and backward.

        The backward pass has two for each one: for the gradient of what was read, and for that of
        the weights.
        """
        return 3 * self.products


@dataclass(frozen=True, slots=True)
class Bytes:
    """Memory in float32.

    Args:
        weights: Parameters, two biases for each gate; their gradients take as much again.
        inference: Rows that the widest layer reads and writes, and the final states.
        training: All that is kept for the backward pass: rows read and written, gates and cell
            states. None where torch's kernels run, which keep what they like.
        checkpoint: The same with ``BiRNN(checkpoint=True)``, which computes the gates again.
    """

    weights: int
    inference: int
    training: int | None
    checkpoint: int | None


def parameters(stack: Stack) -> Parameters:
    """Numbers of parameters of a stack.

    Example:
        >>> counted = parameters(Stack("lstm", 100, 256, bidirectional=False))
        >>> counted.one_bias, counted.two_bias
        (365568, 366592)
    """
    two = sum(map(math.prod, stack.shapes().values()))
    return Parameters(
        one_bias=two - stack.state_count * stack.gate_rows,
        two_bias=two,
        frameworks={framework: parameter_count(framework, stack) for framework in CONVENTIONS},
    )


def flops(stack: Stack) -> Flops:
    """Operations of one step.

    Example:
        >>> flops(Stack("rnn_tanh", 3, 2, bidirectional=False))
        Flops(products=20, elementwise=8)
    """
    rows, hidden = stack.gate_rows, stack.hidden_size
    plain, functions = ELEMENTWISE[stack.cell]
    cell = 2 * rows + hidden * (plain + functions)  # two biases for each gate row
    merging = {"concat": 0, "sum": 1, "mean": 2, "product": 1, "project": 1}[stack.merge]
    products = elementwise = 0
    for layer in range(stack.num_layers):
        directions, width = stack.directions_of(layer), stack.layer_output_size(layer)
        products += 2 * directions * rows * (stack.layer_input_size(layer) + hidden)
        products += 2 * width * 2 * hidden if stack.projects(layer) else 0
        elementwise += directions * cell + (merging * width if directions == 2 else 0)
    return Flops(products, elementwise)


def memory(stack: Stack, batch: int, rows: int) -> Bytes:
    """Bytes of a stack and of what it keeps.

    Args:
        stack: The layers.
        batch: Sequences.
        rows: Rows of all of them.

    Example:
        >>> memory(Stack("lstm", 100, 256), batch=1, rows=10).weights == 4 * 2 * 366_592
        True
    """
    item = FLOAT.itemsize
    hidden = stack.hidden_size
    widest = max(
        stack.layer_input_size(layer) + stack.directions_of(layer) * hidden + _merged(stack, layer)
        for layer in range(stack.num_layers)
    )
    states = CELLS[stack.cell].states * stack.state_count * batch * hidden
    return Bytes(
        weights=item * parameters(stack).two_bias,
        inference=item * (rows * widest + states),
        training=_kept(stack, batch, rows, "gates"),
        checkpoint=_kept(stack, batch, rows, "states"),
    )


def _kept(stack: Stack, batch: int, rows: int, keep: Keep) -> int | None:
    """Bytes that autograd holds between the forward and the backward pass, weights apart."""
    if isa.active().name == isa.REFERENCE:
        return None
    row, hidden, last = stack.input_size, stack.hidden_size, stack.num_layers - 1
    for layer in range(stack.num_layers):
        both = stack.directions_of(layer) * hidden
        # The engine rounds hidden units up to whole vectors; it tells what a row then takes.
        own = saved_size(stack.cell, 1, hidden, stack.directions_of(layer), keep, wide=False)
        # A merge by product or projection holds what it merged: of rows, and of final states.
        row += both + own
        if stack.projects(layer):
            row += both  # side by side in a copy
        if layer < last:
            row += _merged(stack, layer)  # what the next layer reads
    # A product holds its halves in the final states of all layers, which are one array.
    finals = {"product": stack.state_count * hidden, "project": 2 * hidden}
    final = finals.get(stack.merge, 0) if stack.directions_of(last) == 2 else 0
    return FLOAT.itemsize * (rows * row + batch * final)


def _merged(stack: Stack, layer: int) -> int:
    """Width of the rows that merging writes: of one direction, or halves side by side, none."""
    joined = stack.directions_of(layer) == 1 or stack.merge == "concat"
    return 0 if joined else stack.layer_output_size(layer)
