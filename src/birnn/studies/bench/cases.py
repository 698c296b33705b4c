"""What is measured: shapes of batches, the layers that run over them, and their arithmetic."""

# B sequences, T steps of the longest, D inputs, H hidden units, S directions, G gate rows

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.errors import UsageError
from birnn.ragged import Ragged
from birnn.reference.stack import GATES, CellName, Stack

Array = npt.NDArray[Any]
Work = Literal["forward", "forward+backward"]

WORKS: tuple[Work, ...] = ("forward", "forward+backward")
SIGMA = 0.6  # of the logarithm of the lengths
SEED = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a batch and of the layer that reads it.

    Args:
        batch: Sequences.
        inputs: Width of a row.
        hidden: Hidden units of each direction.
        mean: Mean of the distribution that lengths are drawn from.

    Raises:
        UsageError: A size below 1.
    """

    batch: int
    inputs: int
    hidden: int
    mean: int

    def __post_init__(self) -> None:
        if min(self.batch, self.inputs, self.hidden, self.mean) < 1:
            raise UsageError(f"a shape is four sizes of 1 or more, got {self}")

    @classmethod
    def parse(cls, text: str) -> Shape:
        """A shape as it is written: batch x inputs x hidden x mean length.

        Raises:
            UsageError: Not four whole numbers with an x between them.

        Example:
            >>> Shape.parse("32x128x256x25").hidden
            256
        """
        try:
            batch, inputs, hidden, mean = map(int, text.lower().split("x"))
        except ValueError:
            raise UsageError(
                f"{text!r} is no shape. Write batch x inputs x hidden x mean length, "
                "for example 32x128x256x25."
            ) from None
        return cls(batch, inputs, hidden, mean)

    def __str__(self) -> str:
        return f"{self.batch}x{self.inputs}x{self.hidden}x{self.mean}"


# Those that the geometric means are taken over: taggers and sensor series, small to long.
SHAPES = tuple(
    Shape.parse(text)
    for text in (
        "32x100x128x20",
        "32x128x256x25",
        "64x256x256x25",
        "1x128x256x25",
        "32x128x256x200",
        "8x64x64x50",
    )
)
WIDE = Shape.parse("16x512x1024x30")  # weights beyond the caches; stands outside the means


@dataclass(frozen=True, slots=True)
class LayerKind:
    """Which layer runs, and over which lengths.

    Args:
        called: Name in tables.
        cell: The cell.
        directions: 1 or 2.
        ragged: Log-normal lengths; otherwise all are the mean.
    """

    called: str
    cell: CellName = "lstm"
    directions: int = 2
    ragged: bool = True


COMPARED = LayerKind("BiLSTM")
# Where birnn must never be slower than torch, whatever the reason to use it was.
TORCH_KINDS = (
    LayerKind("BiLSTM, equal lengths", ragged=False),
    LayerKind("LSTM, one direction", directions=1),
    LayerKind("BiGRU", cell="gru"),
    LayerKind("BiRNN", cell="rnn_tanh"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One layer over one batch."""

    shape: Shape
    kind: LayerKind = COMPARED

    @property
    def stack(self) -> Stack:
        """The settings of the layer."""
        shape, kind = self.shape, self.kind
        return Stack(kind.cell, shape.inputs, shape.hidden, bidirectional=kind.directions == 2)

    def lengths(self) -> npt.NDArray[np.int64]:
        """Length of each sequence, the same at every call.

        Example:
            >>> Case(Shape(4, 1, 1, 10), LayerKind("", ragged=False)).lengths().tolist()
            [10, 10, 10, 10]
        """
        batch, mean = self.shape.batch, self.shape.mean
        if not self.kind.ragged:
            return np.full(batch, mean, np.int64)
        normal = np.random.default_rng(SEED).standard_normal(batch)
        scattered = mean * np.exp(SIGMA * normal - SIGMA**2 / 2)
        return np.maximum(1, scattered.astype(np.int64))

    def flops(self, work: Work) -> int:
        """Multiplications and additions of the matrix products, over real rows only.

        ``2 G (N D + (N - B) H)`` for each direction: the state before a sequence's first step is
        zeros, and not multiplied. The backward pass has twice that: one product for the gradient
        of what was read, one for that of the weights.

        Example:
            >>> kind = LayerKind("", cell="gru", directions=1, ragged=False)
            >>> case = Case(Shape(1, 3, 2, 5), kind)
            >>> case.flops("forward") == 2 * (3 * 2) * (5 * 3 + 4 * 2)
            True
        """
        rows, shape = int(self.lengths().sum()), self.shape
        gates = GATES[self.kind.cell] * shape.hidden
        summands = rows * shape.inputs + (rows - shape.batch) * shape.hidden
        forward = 2 * gates * summands * self.kind.directions
        return forward if work == "forward" else 3 * forward


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A case with its numbers: the same for all who run it.

    Args:
        case: What it is.
        lengths: Length of each sequence, int64 (B,).
        x: The batch, float32 (B, T, D), zeros in padding.
        d_output: Gradient of what a loss would say of the output, (B, T, S * H), zeros in padding.
        parameters: Weights by torch's names.
    """

    case: Case
    lengths: npt.NDArray[np.int64]
    x: Array
    d_output: Array
    parameters: dict[str, Array]

    @property
    def real(self) -> npt.NDArray[np.bool_]:
        """Where a step is no padding, (B, T)."""
        real: npt.NDArray[np.bool_] = np.arange(self.x.shape[1]) < self.lengths[:, None]
        return real


def problem(case: Case) -> Problem:
    """Draw the numbers of a case: weights as torch draws them, rows from a normal distribution.

    Example:
        >>> drawn = problem(Case(Shape(2, 3, 4, 5), LayerKind("", ragged=False)))
        >>> drawn.x.shape, drawn.d_output.shape, drawn.parameters["weight_ih_l0"].shape
        ((2, 5, 3), (2, 5, 8), (16, 3))
    """
    random = np.random.default_rng(SEED)
    lengths = case.lengths()
    shape, kind = case.shape, case.kind
    rows = int(lengths.sum())
    bound = shape.hidden**-0.5

    def padded(width: int) -> Array:
        drawn = random.standard_normal((rows, width), np.float32)
        array: Array = Ragged(drawn, lengths).to_padded()
        return array

    return Problem(
        case=case,
        lengths=lengths,
        x=padded(shape.inputs),
        d_output=padded(kind.directions * shape.hidden),
        parameters={
            name: random.uniform(-bound, bound, size).astype(np.float32)
            for name, size in case.stack.shapes().items()
        },
    )
