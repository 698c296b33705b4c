"""Mean ablation of an encoder in NumPy: its directions replaced by means over data.

Of the last layer the rows are replaced, and of all layers the final states, where a decoder begins.
"""

# N rows of all sequences, B sequences, C conditions, K states of all layers and directions,
# D directions, H hidden units, W width of a merged row

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.bundle.io import Bundle
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


@dataclass(frozen=True, slots=True, eq=False)
class EncoderMeans:
    """Mean states of an encoder over data.

    Args:
        rows: Of each direction of the last layer over all steps, (D, H).
        final: Final states of all layers and directions, h and for an LSTM c, each (K, H).
        steps: Steps that they are taken over; None where training left them.
    """

    rows: Array
    final: tuple[Array, ...]
    steps: int | None

    @classmethod
    def of_training(cls, bundle: Bundle) -> EncoderMeans | None:
        """Those that training left in the bundle; None where it left none."""
        names = [name for name in bundle.spec.mean_states() if name.startswith("final_")]
        if not bundle.mean_states or not names:
            return None
        final = tuple(bundle.mean_states[name] for name in names)
        return cls(bundle.mean_states["rows"], final, None)

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
        parts = (part / count for part in final if not np.isscalar(part))
        return cls(rows / steps, tuple(parts), steps)


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
    parts = []
    for part, mean in zip(encoded.state.parts, means.final, strict=True):
        replaced = part.copy()
        for layer in range(stack.num_layers):
            states = range(part.shape[0])[stack.states_of(layer)]
            for name, at in zip(DIRECTIONS, states, strict=False):
                if name in gone:
                    replaced[at] = mean[at]
        parts.append(replaced)
    tops = list(parts[0][stack.states_of(stack.num_layers - 1)])
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
