"""Mean ablation of an encoder in NumPy: its directions replaced by means over data.

Of the last layer the rows are replaced, and of all layers the final states, where a decoder begins.
"""

# N rows of all sequences, B sequences, C conditions, K states of all layers and directions,
# D directions, H hidden units, W width of a merged row, L labels

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.bundle.io import Bundle
from birnn.bundle.spec import FINAL_STATES
from birnn.data.batching import windows
from birnn.errors import DataError
from birnn.ragged import Ragged
from birnn.reference.bidirectional import Outcome, StackState, merge_projection
from birnn.reference.merge import MERGES
from birnn.runtime.batches import BATCH_ROWS, BatchRunner

Array = npt.NDArray[Any]

DIRECTIONS = ("forward", "backward")

Condition = Literal["full", "without forward", "without backward", "without both"]

CONDITIONS: dict[Condition, tuple[str, ...]] = {
    "full": (),
    "without forward": ("forward",),
    "without backward": ("backward",),
    "without both": DIRECTIONS,
}
"""Which directions are ablated in each condition."""


def conditions_of(directions: int) -> tuple[Condition, ...]:
    """The conditions of an encoder of one direction or two.

    Example:
        >>> conditions_of(1)
        ('full', 'without forward')
    """
    return tuple(CONDITIONS)[: 2 * directions]


def added_by(scores: Mapping[Condition, Array]) -> dict[str, Array]:
    """What each direction adds to a score: what the score loses where it alone is ablated.

    Example:
        >>> added_by({"full": np.array(3.0), "without forward": np.array(1.0)})
        {'forward': array(2.)}
    """
    return {
        gone[0]: np.asarray(scores["full"] - each)
        for condition, each in scores.items()
        for gone in [CONDITIONS[condition]]
        if len(gone) == 1
    }


def margins(scores: Array, labels: Array) -> Array:
    """How far scores of labels (..., L) put one of them above the best other, (...).

    It is 0 where there is but one label, and nothing to decide.

    Args:
        scores: The scores.
        labels: Number of that label, of a shape that fits (...).

    Example:
        >>> margins(np.array([[3.0, 1.0, 2.5], [0.0, 1.0, 4.0]]), np.array([0, 1])).tolist()
        [0.5, -3.0]
    """
    if scores.shape[-1] == 1:
        return np.zeros(scores.shape[:-1])
    label = np.broadcast_to(labels[..., None], (*scores.shape[:-1], 1))
    own = np.take_along_axis(scores, label, axis=-1)[..., 0]
    others = scores.copy()
    np.put_along_axis(others, label, -np.inf, axis=-1)
    return np.asarray(own - others.max(axis=-1))


def balance(forward: Array, backward: Array) -> Array:
    """Which direction decided, from 1 (forward) to -1 (backward): ``(f - b) / (|f| + |b|)``.

    Args:
        forward: What an answer loses without the forward half.
        backward: What it loses without the backward half.

    Returns:
        The balance; 0 where it loses nothing without either.

    Example:
        >>> balance(np.array([2.0, 1.0, 0.0]), np.array([0.0, -1.0, 0.0])).tolist()
        [1.0, 1.0, 0.0]
    """
    total = np.abs(forward) + np.abs(backward)
    found: Array = np.divide(
        forward - backward, total, out=np.zeros_like(total, np.float64), where=total > 0
    )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class EncoderMeans:
    """Mean states of an encoder over data.

    Args:
        rows: Of each direction of the last layer over all steps, (D, H).
        last: Of each direction of the last layer over the sequences' final states, (D, H).
        final: Final states of all layers and directions, h and for an LSTM c, each (K, H); none
            where training left none, for a head that does not read them.
        steps: Steps that they are taken over; None where training left them.
    """

    rows: Array
    last: Array
    final: tuple[Array, ...]
    steps: int | None

    @classmethod
    def of_training(cls, bundle: Bundle) -> EncoderMeans | None:
        """Those that training left in the bundle; None where it left none."""
        means = bundle.mean_states
        if not means:
            return None
        final = tuple(means[name] for name in FINAL_STATES if name in means)
        return cls(means["rows"], means["last"], final, None)

    @classmethod
    def of_sequence(cls, encoded: Outcome) -> EncoderMeans:
        """Those over the steps of one sequence, which stand for its final states too.

        For heads that do not read the final states of all layers.
        """
        rows = np.stack([half.mean(axis=0, dtype=np.float64) for half in _halves(encoded)])
        return cls(rows, rows, (), len(encoded.output.values))

    @classmethod
    def over(cls, runner: BatchRunner, sequences: Iterable[Any]) -> EncoderMeans:
        """Those over validated sequences; sequences without steps count for nothing."""
        rows: Any = 0.0
        final: list[Any] = [0.0, 0.0]
        steps = count = 0
        for window in windows(sequences, tokens=BATCH_ROWS, sequences=BATCH_ROWS):
            filled = [sequence for sequence in window if len(sequence)]
            if not filled:
                continue
            encoded = encode(runner, filled)
            rows = rows + np.stack(
                [half.sum(axis=0, dtype=np.float64) for half in _halves(encoded)]
            )
            for at, part in enumerate(encoded.state.parts):
                final[at] = final[at] + part.sum(axis=1, dtype=np.float64)
            steps, count = steps + len(encoded.output.values), count + len(filled)
        if not count:
            raise DataError("not one of the sequences has a step. Give some that have.")
        parts = tuple(part / count for part in final if not np.isscalar(part))
        last = parts[0][-len(rows) :]
        return cls(rows / steps, last, parts, steps)


def encode(runner: BatchRunner, sequences: Sequence[Any]) -> Outcome:
    """What the encoder gives for validated sequences."""
    rows = runner.embed(sequences)
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    return runner.network.encode(Ragged(rows.values, lengths), table=rows.table)


def _halves(encoded: Outcome) -> list[Array]:
    """States of each direction of the last layer, (N, H)."""
    backward = [] if encoded.backward is None else [encoded.backward.values]
    return [encoded.forward.values, *backward]


def ablated(
    encoded: Outcome, bundle: Bundle, means: EncoderMeans | None, gone: Sequence[str]
) -> Outcome:
    """What the encoder gave for one sequence, with means in the place of some directions."""
    if means is None or not gone:
        return encoded
    stack = bundle.spec.stack
    halves = _halves(encoded)
    kept = [
        np.broadcast_to(mean.astype(half.dtype), half.shape) if name in gone else half
        for name, half, mean in zip(DIRECTIONS, halves, means.rows, strict=False)
    ]
    # What a residual layer added to its merged halves stays.
    merged = _merged(kept, bundle)
    if stack.adds_input(stack.num_layers - 1):
        merged = merged + (encoded.output.values - _merged(halves, bundle))
    top = stack.states_of(stack.num_layers - 1)
    tops = [
        np.broadcast_to(mean.astype(state.dtype), state.shape) if name in gone else state
        for name, state, mean in zip(
            DIRECTIONS, encoded.state.parts[0][top], means.last, strict=False
        )
    ]
    parts = list(encoded.state.parts)
    for number, mean in enumerate(means.final):
        parts[number] = parts[number].copy()
        for layer in range(stack.num_layers):
            states = range(len(mean))[stack.states_of(layer)]
            for name, at in zip(DIRECTIONS, states, strict=False):
                if name in gone:
                    parts[number][at] = mean[at]
    return Outcome(
        encoded.output.with_values(merged),
        encoded.forward.with_values(kept[0]),
        None if encoded.backward is None else encoded.backward.with_values(kept[1]),
        _merged(tops, bundle),
        StackState(*parts),
    )


def _merged(halves: Sequence[Array], bundle: Bundle) -> Array:
    """The last layer's halves, (N, H), as one row each, (N, W)."""
    if len(halves) == 1:
        return halves[0]
    stack, prefix = bundle.spec.stack, "encoder."
    own = {
        name.removeprefix(prefix): tensor
        for name, tensor in bundle.tensors.items()
        if name.startswith(prefix)
    }
    projection = merge_projection(own, stack.num_layers - 1, stack)
    return MERGES[stack.merge].forward(halves[0], halves[1], projection)


def side_by_side(outcomes: Sequence[Outcome]) -> Outcome:
    """One source in several conditions as a batch, (C,)."""

    def ragged(each: Sequence[Ragged[Array]]) -> Ragged[Array]:
        return Ragged(
            np.concatenate([one.values for one in each]),
            np.concatenate([one.lengths for one in each]),
        )

    backward = [one.backward for one in outcomes if one.backward is not None]
    states = zip(*(one.state.parts for one in outcomes), strict=True)
    return Outcome(
        ragged([one.output for one in outcomes]),
        ragged([one.forward for one in outcomes]),
        ragged(backward) if backward else None,
        np.concatenate([one.final for one in outcomes]),
        StackState(*(np.concatenate(parts, axis=1) for parts in states)),
    )
