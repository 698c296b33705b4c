"""A model's layers in NumPy, float32, over the tensors of a bundle."""

# N rows of all sequences, B sequences, W width of a row, A hidden units of the attention,
# F distinct rows, L answers of the head

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.engine.linear import Linear
from birnn.engine.stack import PackedStack
from birnn.errors import BundleError
from birnn.ragged import Ragged
from birnn.reference.bidirectional import Outcome, State
from birnn.reference.stack import Stack
from birnn.runtime import running

Floats = npt.NDArray[np.float32]
Tensors = Mapping[str, npt.NDArray[np.float32]]


class Recurrent:
    """A stack of recurrent layers with its parameters.

    Args:
        tensors: Tensors of the model.
        prefix: Where the stack's parameters stand among them.
        stack: Settings of the stack.
    """

    def __init__(self, tensors: Tensors, prefix: str, stack: Stack) -> None:
        parameters = {name: tensors[f"{prefix}.{name}"] for name in stack.shapes()}
        self._prepared = PackedStack(parameters, stack)

    def __call__(
        self, x: Ragged[Any], *, table: Floats | None = None
    ) -> tuple[Ragged[Floats], Floats]:
        """Output rows (N, W) and merged final states (B, W).

        Args:
            x: Rows (N, W), or with ``table`` (F, W) the numbers of its rows, (N,).
            table: Distinct rows.
        """
        outcome = self._prepared.run(x, table=table)
        return outcome.output, outcome.final

    def step(self, x: Ragged[Any], state: State | None, *, table: Floats | None = None) -> Outcome:
        """One step of a stack with one direction, from the state that the step before left.

        Args:
            x: One row (1, W), or with ``table`` (F, W) its number, (1,).
            state: None before the first step.
            table: Distinct rows.
        """
        return self._prepared.run(x, state, table=table)


def linear(tensors: Tensors, name: str) -> Linear:
    """The linear layer ``x W^T + b`` of that name."""
    return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


# ---------------------------------------------------------------------- pooling


def last(x: Ragged[Floats], final_BW: Floats) -> Floats:
    """The encoder's merged final states: each half after it has read the whole sequence."""
    del x
    return final_BW


def maximum(x: Ragged[Floats], final_BW: Floats) -> Floats:
    """Largest value of each unit over the steps, (B, W); zeros for an empty sequence."""
    del final_BW
    return _reduce(x, np.maximum)


def mean(x: Ragged[Floats], final_BW: Floats) -> Floats:
    """Mean of each unit over the steps, (B, W); zeros for an empty sequence."""
    del final_BW
    counts_B = np.maximum(x.lengths, 1).astype(np.float32)
    pooled: Floats = _reduce(x, np.add) / counts_B[:, None]
    return pooled


POOLS: dict[str, Callable[[Ragged[Floats], Floats], Floats]] = {
    "last": last,
    "max": maximum,
    "mean": mean,
}


class Attention:
    """Weighted mean of each sequence's rows, (B, W); zeros for an empty sequence.

    ``a = softmax(q . tanh(W x + b))`` over the real steps of each sequence.

    Args:
        tensors: Tensors of the model.
        name: Where the attention's parameters stand among them.

    Source:
        Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and
        Translate, appendix A.1.2.
    """

    def __init__(self, tensors: Tensors, name: str) -> None:
        self._project = linear(tensors, name)
        self._score = Linear(tensors[f"{name}.query"][None, :])

    def scores(self, rows_NW: Floats) -> Floats:
        """Scores of rows before the softmax, (N, 1)."""
        return self._score(np.tanh(self._project(rows_NW)))

    def __call__(self, x: Ragged[Floats]) -> Floats:
        """Pool the rows (N, W)."""
        scores_N1 = self.scores(x.values)
        top_B1 = _reduce(x.with_values(scores_N1), np.maximum)
        weights = x.with_values(np.exp(scores_N1 - np.repeat(top_B1, x.lengths, axis=0)))
        total_B1 = _reduce(weights, np.add)
        total_B1[x.lengths == 0] = 1.0
        pooled: Floats = _reduce(x.with_values(x.values * weights.values), np.add) / total_B1
        return pooled


def _reduce(x: Ragged[Floats], operation: np.ufunc) -> Floats:
    """An operation over the rows of each sequence, (B, W); zeros where there are none."""
    out = np.zeros((len(x), x.values.shape[1]), np.float32)
    filled = np.flatnonzero(x.lengths)
    # reduceat of an empty stretch gives the row at its start, so empty sequences are left out.
    if filled.size:
        out[filled] = operation.reduceat(x.values, x.offsets[:-1][filled], axis=0)
    return out


# ---------------------------------------------------------------------- the network


class Network:
    """From input rows to the scores of the head.

    Args:
        spec: What the model is.
        tensors: Its tensors.
    """

    def __init__(self, spec: Spec, tensors: Tensors) -> None:
        self._head = spec.head
        self._encoder = Recurrent(tensors, "encoder", spec.stack)
        self._linear = linear(tensors, "head.linear")
        attends = spec.head.pooling_parts == ("attention",)
        self._attention = Attention(tensors, "head.attention") if attends else None

    # What overflows on the way stays in the sequence that it is of.
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
        if self._head.per_step:
            return self._score(output.values)
        if self._attention is not None:
            return self._score(self._attention(output))
        parts = [POOLS[part](output, final_BW) for part in self._head.pooling_parts]
        return self._score(np.concatenate(parts, axis=1))

    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def step(
        self,
        x: Ragged[Any],
        state: State | None,
        pool: running.Pool | None,
        *,
        table: Floats | None = None,
    ) -> tuple[Floats, State]:
        """Scores (1, L) after one more row of a sequence, and the state for the next.

        Args:
            x: The row, (1, W), or with ``table`` (F, W) its number, (1,).
            state: What the step before gave; None before the first.
            pool: What `running_pool` gave for this sequence.
            table: Distinct rows.
        """
        outcome = self._encoder.step(x, state, table=table)
        row_1W = outcome.output.values
        pooled = row_1W if pool is None else pool(row_1W, outcome.final)
        return self._score(pooled), outcome.state

    def _score(self, rows: Floats) -> Floats:
        """Scores of rows by the head; labels need finite ones, or none of them is the best."""
        scores = self._linear(rows)
        if self._head.has_labels and not np.isfinite(scores).all():
            raise BundleError(
                "the model's weights are so large that the scores of its labels overflow. "
                "Train it again, with a smaller learning rate."
            )
        return scores

    def running_pool(self) -> running.Pool | None:
        """The head's pooling for a new sequence that comes row by row; None: an answer a step."""
        if self._head.per_step:
            return None
        if self._attention is not None:
            return running.Attention(self._attention.scores)
        return running.Beside([running.POOLS[part]() for part in self._head.pooling_parts])
