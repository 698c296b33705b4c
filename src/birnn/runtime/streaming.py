"""Streaming: an answer at each step of a sequence as it arrives."""

# W width of an input row, D channels, L labels

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.errors import DirectionError, UsageError
from birnn.inputs.kind import Codec, Embed
from birnn.ragged import Ragged
from birnn.reference.bidirectional import StackState
from birnn.runtime.heads import ScoringHead
from birnn.runtime.network import NumpyNetwork
from birnn.tasks.scored import Decode

ONE = np.ones(1, np.int64)


class Online:
    """One sequence, answered step by step, by a model whose encoder has one direction.

    Each step gives the answer of `Predictor.predict` for the steps so far, in the time of one step:
    of a tagger the tag of the step, of a classifier or regressor the answer so far. Memory does not
    grow with the sequence. `Predictor.online` makes one; sessions of one model share its weights.

    Args:
        spec: What the model is.
        codec: The codec of its inputs.
        embed: From validated sequences to input rows.
        network: Its layers.

    Raises:
        DirectionError: The encoder has two directions.
        UsageError: The tags are decoded by a CRF, which needs the whole sequence, or the task has
            no answer before the last step.
    """

    def __init__(self, spec: Spec, codec: Codec[Any], embed: Embed, network: NumpyNetwork) -> None:
        if not isinstance(network.head, ScoringHead):
            raise UsageError(
                f"a {spec.task} answers once it has read the whole sequence. Call predict."
            )
        _check_causal(spec)
        self._head = network.head
        self._spec = spec
        self._codec = codec
        self._embed = embed
        self._network = network
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
        self._state: StackState | None = None
        self._pool = self._head.stream()

    def step(self, given: Any) -> Any:
        """Take the next step.

        Args:
            given: A token; for a model of vectors the channels (D,), or a number where D is 1.

        Returns:
            The tag of this step, or the label or values of the sequence so far.

        Raises:
            DataError: Something else; the state of the session is unchanged.
        """
        return self._first(self._head.decoder.answers, self._scores(given))

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
        probabilities = self._head.decoder.probabilities
        if probabilities is None:
            raise self._spec.head.no_probabilities("Call step for its values.")
        scores = self._scores(given)
        answer = self._first(self._head.decoder.answers, scores)
        return answer, self._first(probabilities, scores)

    def _scores(self, given: Any) -> npt.NDArray[np.float32]:
        rows = self._embed([self._codec.validated_step(given, f"step {self._steps}")])
        encoded = self._network.encode(Ragged(rows.values, ONE), self._state, table=rows.table)
        scores, self._state = self._head.step(encoded, self._pool), encoded.state
        self._steps += 1
        return scores

    def _first(self, decode: Decode, scores: npt.NDArray[np.float32]) -> Any:
        answer = decode(scores, ONE)[0]
        return answer[0] if self._spec.head.per_step else answer


def _check_causal(spec: Spec) -> None:
    spec.head.check_streams()
    stack = spec.stack
    if stack.bidirectional:
        settings = ("encoder.bidirectional=false", *spec.head.streaming_settings)
        raise DirectionError.of(
            "streaming, an answer at each step,",
            layers=stack.mixed_layers,
            instead="a model trained with" + "".join(f" --set {setting}" for setting in settings),
        )
    if spec.head.streaming_settings:
        raise UsageError(
            "a CRF decides on the tags of a whole sequence at once: the tag of step t may change "
            f"with step t+1. Use a model trained with --set {spec.head.streaming_settings[0]}, or "
            "predict."
        )
