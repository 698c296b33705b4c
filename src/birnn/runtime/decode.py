"""From the scores of the head to answers: tags, labels, values, and their probabilities."""

# N rows of all sequences, B sequences, L labels, K target values

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Label, Spec, Tags, Values
from birnn.data.schemes import transitions
from birnn.errors import UsageError
from birnn.kernels import crf
from birnn.ragged import Ragged

Floats = npt.NDArray[Any]
Tensors = Mapping[str, npt.NDArray[np.float32]]
Decode = Callable[[Floats, npt.NDArray[np.int64]], list[Any]]


@dataclass(frozen=True, slots=True)
class Decoder:
    """How a head's scores are answered.

    Both functions take the scores, (N, L) for tags and (B, L) otherwise, and the lengths of the
    sequences (B,), and give one answer for each sequence.

    Args:
        answers: Labels of the steps, the label, or the values of each sequence.
        probabilities: Probabilities (T, L) of the steps' labels or (L,) of the label.
    """

    answers: Decode
    probabilities: Decode


def decoder(spec: Spec, labels: Sequence[str], tensors: Tensors) -> Decoder:
    """The decoder that a model's head needs.

    Args:
        spec: What the model is.
        labels: Its labels, by id; empty for values.
        tensors: Its tensors.
    """
    head = spec.head
    if isinstance(head, Tags):
        if head.decoder == "crf":
            return _chain(head, labels, tensors)
        return Decoder(
            answers=lambda scores, lengths: _named(scores.argmax(axis=1), lengths, labels),
            probabilities=lambda scores, lengths: Ragged(softmax(scores), lengths).to_list(),
        )
    if isinstance(head, Label):
        return Decoder(
            answers=lambda scores, lengths: [labels[i] for i in scores.argmax(axis=1).tolist()],
            probabilities=lambda scores, lengths: list(softmax(scores)),
        )
    return _values(head, tensors)


def softmax(scores: Floats) -> Floats:
    """``exp(s) / sum(exp(s))`` along each row, without overflow.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
        [[0.5, 0.5]]
    """
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    out: Floats = powers / powers.sum(axis=1, keepdims=True)
    return out


def _chain(head: Tags, labels: Sequence[str], tensors: Tensors) -> Decoder:
    """A CRF: the best allowed tag sequence, and each tag's probability in all of them."""
    scores = tuple(tensors[f"head.crf.{name}"] for name in ("transitions", "start", "end"))
    names = ("allowed", "allowed_start", "allowed_end")
    # In a scheme of spans impossible sequences (O I-PER in IOB2) are ruled out.
    masks = (
        {}
        if head.scheme == "none"
        else dict(zip(names, transitions(labels, head.scheme), strict=True))
    )

    def answers(emissions: Floats, lengths: npt.NDArray[np.int64]) -> list[Any]:
        paths = crf.viterbi(Ragged(emissions, lengths), *scores, **masks)
        return _named(paths.tags.values, lengths, labels)

    def probabilities(emissions: Floats, lengths: npt.NDArray[np.int64]) -> list[Any]:
        marginals = crf.marginals(Ragged(emissions, lengths), *scores, **masks)
        return Ragged(marginals.astype(np.float32), lengths).to_list()

    return Decoder(answers=answers, probabilities=probabilities)


def _values(head: Values, tensors: Tensors) -> Decoder:
    """Values in the units of the training targets: raw * scale + mean."""
    del head

    def answers(raw_BK: Floats, lengths: npt.NDArray[np.int64]) -> list[Any]:
        del lengths
        answer: list[Any] = (raw_BK * tensors["head.scale"] + tensors["head.mean"]).tolist()
        return answer

    def probabilities(raw_BK: Floats, lengths: npt.NDArray[np.int64]) -> list[Any]:
        raise UsageError("a regressor has no probabilities. Call predict for its values.")

    return Decoder(answers=answers, probabilities=probabilities)


def _named(
    ids_N: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], labels: Sequence[str]
) -> list[Any]:
    """Ids of all rows as one list of labels for each sequence."""
    named = [labels[i] for i in ids_N.tolist()]
    stops = np.cumsum(lengths).tolist()
    return [
        named[stop - length : stop] for stop, length in zip(stops, lengths.tolist(), strict=True)
    ]
