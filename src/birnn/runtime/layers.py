"""A model's layers in NumPy, float32, over the tensors of a bundle."""

# N rows of all sequences, B sequences, W width of a row, A hidden units of the attention,
# F distinct rows, L answers of the head

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.engine.linear import DenseLayer, Linear
from birnn.engine.stack import PackedStack
from birnn.errors import BundleError
from birnn.ragged import Ragged
from birnn.reference.bidirectional import Outcome, StackState
from birnn.reference.stack import Stack
from birnn.runtime.pooling import POOLINGS, Attention, Concatenated, Pooling, Stream

Floats = npt.NDArray[np.float32]
Tensors = Mapping[str, npt.NDArray[np.float32]]


class Recurrent:
    """A stack of recurrent layers with its parameters.

    Args:
        tensors: Tensors of the model.
        prefix: Prefix of the names of the stack's parameters.
        stack: Settings of the stack.
    """

    def __init__(self, tensors: Tensors, prefix: str, stack: Stack) -> None:
        parameters = {name: tensors[f"{prefix}.{name}"] for name in stack.shapes()}
        self._stack = PackedStack(parameters, stack)

    def __call__(
        self, x: Ragged[Any], *, table: Floats | None = None
    ) -> tuple[Ragged[Floats], Floats]:
        """Output rows (N, W) and merged final states (B, W).

        Args:
            x: Rows (N, W), or with ``table`` (F, W) the numbers of its rows, (N,).
            table: Distinct rows.
        """
        outcome = self._stack.run(x, table=table)
        return outcome.output, outcome.final

    def step(
        self, x: Ragged[Any], state: StackState | None, *, table: Floats | None = None
    ) -> Outcome:
        """One step of a stack with one direction, from the state after the step before.

        Args:
            x: One row (1, W), or with ``table`` (F, W) its number, (1,).
            state: None before the first step.
            table: Distinct rows.
        """
        return self._stack.run(x, state, table=table)


# ---------------------------------------------------------------------- the network


class NumpyNetwork:
    """From input rows to the scores of the head.

    Args:
        spec: What the model is.
        tensors: Its tensors.
    """

    def __init__(self, spec: Spec, tensors: Tensors) -> None:
        self._head = spec.head
        self._encoder = Recurrent(tensors, "encoder", spec.stack)
        self._hidden = [
            DenseLayer(tensors, f"head.{name}", spec.head.activation)
            for name in spec.head.hidden_layers
        ]
        self._linear = Linear.of(tensors, "head.linear")
        self._pooling: Pooling | None = None  # None: each step has an answer
        if spec.head.pooling_parts == ("attention",):
            self._pooling = Attention(AttentionScores(tensors, "head.attention"))
        elif not spec.head.per_step:
            self._pooling = Concatenated([POOLINGS[part] for part in spec.head.pooling_parts])

    # An overflow affects the answer of its own sequence alone, and is no fault of the run.
    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def __call__(self, x: Ragged[Any], *, table: Floats | None = None) -> Floats:
        """Scores: (N, L), one row for each step, for tags; (B, L) for the other heads.

        Args:
            x: Input rows, (N, W), or with ``table`` (F, W) the numbers of its rows, (N,).
            table: Distinct rows.

        Raises:
            BundleError: Scores of labels that are no finite numbers.
        """
        output, final_BW = self._encoder(x, table=table)
        if self._pooling is None:
            return self._score(output.values)
        return self._score(self._pooling(output, final_BW))

    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def step(
        self,
        x: Ragged[Any],
        state: StackState | None,
        pool: Stream | None,
        *,
        table: Floats | None = None,
    ) -> tuple[Floats, StackState]:
        """Scores (1, L) after one more row of a sequence, and the state for the next.

        Args:
            x: The row, (1, W), or with ``table`` (F, W) its number, (1,).
            state: StackState after the step before; None before the first.
            pool: The pooling that `stream` made for this sequence.
            table: Distinct rows.
        """
        outcome = self._encoder.step(x, state, table=table)
        row_1W = outcome.output.values
        pooled = row_1W if pool is None else pool(row_1W, outcome.final)
        return self._score(pooled), outcome.state

    def _score(self, rows: Floats) -> Floats:
        """Scores of rows by the head; those of labels must be finite to be compared."""
        for layer in self._hidden:
            rows = layer(rows)
        scores = self._linear(rows)
        if self._head.has_labels and not np.isfinite(scores).all():
            raise BundleError(
                "the model's weights are so large that the scores of its labels overflow. "
                "Train it again, with a smaller learning rate."
            )
        return scores

    def stream(self) -> Stream | None:
        """The head's pooling of a new sequence row by row; None where each step has an answer."""
        return None if self._pooling is None else self._pooling.stream()


class AttentionScores:
    """Scores (N, 1) of rows (N, W) in the attention of that name: ``q . tanh(W x + b)``."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        self._project = Linear.of(tensors, name)
        self._query = Linear(tensors[f"{name}.query"][None, :])

    def __call__(self, rows_NW: Floats) -> Floats:
        """Scores of rows."""
        return self._query(np.tanh(self._project(rows_NW)))
