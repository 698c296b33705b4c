"""Answers while the sequence is still coming: a step in, its answer out."""

# W width of an input row, D channels, L labels

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.data.numeric import narrow, not_finite, reals
from birnn.errors import DataError, DirectionError, ShapeError, UsageError
from birnn.inputs import Vectors
from birnn.ragged import Ragged
from birnn.reference.bidirectional import State
from birnn.runtime.layers import Network
from birnn.runtime.rows import Rows
from birnn.tasks.head import Decode, Decoder

ONE = np.ones(1, np.int64)


class Online:
    """One sequence, answered step by step, by a model whose encoder has one direction.

    What `Predictor.predict` would say of the steps so far, this says in the time of one step: a
    tagger the tag of the step, a classifier and a regressor their answer so far. Memory does not
    grow with the sequence. `Predictor.online` makes one; sessions of one model share its weights.

    Args:
        spec: What the model is.
        rows: From sequences to input rows.
        network: Its layers.
        decoder: From scores to answers.

    Raises:
        DirectionError: The encoder has two directions.
        UsageError: The tags are decoded by a CRF, which needs the whole sequence.
    """

    def __init__(
        self, spec: Spec, rows: Callable[[Any], Rows], network: Network, decoder: Decoder
    ) -> None:
        _check_causal(spec)
        self._spec = spec
        self._rows = rows
        self._network = network
        self._decoder = decoder
        self.reset()

    def __repr__(self) -> str:
        return f"Online({self._spec.task}, step {self.steps})"

    @property
    def steps(self) -> int:
        """Steps taken since the sequence began."""
        return self._steps

    def reset(self) -> None:
        """Begin a new sequence."""
        self._steps = 0
        self._state: State | None = None
        self._pool = self._network.running_pool()

    def step(self, given: Any) -> Any:
        """Take the next step.

        Args:
            given: A token; for a model of vectors the channels (D,), or a number where D is 1.

        Returns:
            The tag of this step, or the label or values of the sequence so far.

        Raises:
            DataError: Something else; the session stands where it stood.
        """
        return self._first(self._decoder.answers, self._scores(given))

    def step_proba(self, given: Any) -> tuple[Any, npt.NDArray[np.float32]]:
        """Take the next step, as `step` does.

        Args:
            given: As for `step`.

        Returns:
            The answer, and the probabilities of the labels (L,), of this step or of the sequence
            so far.

        Raises:
            UsageError: The model is a regressor.
            DataError: As for `step`.
        """
        probabilities = self._decoder.probabilities
        if probabilities is None:
            raise self._spec.head.no_probabilities("Call step for its values.")
        scores = self._scores(given)
        answer = self._first(self._decoder.answers, scores)
        return answer, self._first(probabilities, scores)

    def _scores(self, given: Any) -> npt.NDArray[np.float32]:
        rows = self._rows([_checked(self._spec, self._steps, given)])
        scores, self._state = self._network.step(
            Ragged(rows.values, ONE), self._state, self._pool, table=rows.table
        )
        self._steps += 1
        return scores

    def _first(self, decode: Decode, scores: npt.NDArray[np.float32]) -> Any:
        answer = decode(scores, ONE)[0]
        return answer[0] if self._spec.head.per_step else answer


def _check_causal(spec: Spec) -> None:
    if spec.encoder.bidirectional:
        settings = ("encoder.bidirectional=false", *spec.head.streaming_settings)
        raise DirectionError.of(
            "streaming, an answer at each step,",
            instead="a model trained with" + "".join(f" --set {setting}" for setting in settings),
        )
    if spec.head.streaming_settings:
        raise UsageError(
            "a CRF decides on the tags of a whole sequence at once: the tag of step t may change "
            f"with step t+1. Use a model trained with --set {spec.head.streaming_settings[0]}, or "
            "predict."
        )


def _checked(spec: Spec, step: int, given: Any) -> Any:
    """The step as a sequence of length 1."""
    if not isinstance(spec.inputs, Vectors):
        if not isinstance(given, str) or not given:
            raise DataError(
                f"step {step}: {type(given).__name__} {given!r} is no token. "
                "A token is a string of at least one character."
            )
        return (str(given),)
    channels = spec.inputs.size
    try:
        row = reals(given)
    except ValueError:
        row = None
    if row is not None and row.ndim == 0:
        row = row.reshape(1)
    if row is None or row.shape != (channels,):
        got = type(given).__name__ if row is None else f"shape {row.shape}"
        raise ShapeError(
            f"step {step} is {got}, the model reads {channels} channels, ({channels},)"
        )
    bad = not_finite(row)
    if bad is not None:
        raise DataError(
            f"step {step}: channel {bad[0]} is {narrow(row)[bad]}. Fill it in or skip the step."
        )
    return row[None, :]
