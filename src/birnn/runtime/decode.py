"""From the scores of the head to answers: tags, labels, values, and their probabilities."""

# N rows of all sequences, B sequences, L labels, K target values

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.data.schemes import marks, transitions
from birnn.engine import crf
from birnn.errors import BundleError
from birnn.ragged import Ragged
from birnn.tasks import Label, Tags, Values

Floats = npt.NDArray[Any]
Tensors = Mapping[str, npt.NDArray[np.float32]]
Lengths = npt.NDArray[np.int64]
Decode = Callable[[Floats, Lengths], list[Any]]


@dataclass(frozen=True, slots=True)
class Decoder:
    """How a head's scores are answered.

    Both functions take the scores, (N, L) for tags and (B, L) otherwise, and the lengths of the
    sequences (B,), and give one answer for each sequence.

    Args:
        answers: Labels of the steps, the label, or the values of each sequence.
        probabilities: Probabilities (T, L) of the steps' labels or (L,) of the label; None where
            there are none.
    """

    answers: Decode
    probabilities: Decode | None


def decoder(spec: Spec, labels: Sequence[str], tensors: Tensors) -> Decoder:
    """The decoder that a model's head needs.

    Args:
        spec: What the model is.
        labels: Its labels, by id; empty for values.
        tensors: Its tensors.

    Raises:
        BundleError: Tags are said to mark spans, and no label does.
    """
    head = spec.head
    if isinstance(head, Tags):
        if head.scheme != "none" and not any(marks(label, head.scheme) for label in labels):
            raise BundleError(
                f"spec says that labels mark spans by {head.scheme}, and none of the "
                f"{len(labels)} does, such as {labels[0][:100]!r}"
            )
        return _chain(head, labels, tensors) if head.decoder == "crf" else _steps(labels)
    return _label(labels) if isinstance(head, Label) else _values(head, tensors)


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
    scores = (tensors[f"head.crf.{name}"] for name in ("transitions", "start", "end"))
    names = ("allowed", "allowed_start", "allowed_end")
    # In a scheme of spans impossible sequences (O I-PER in IOB2) are ruled out.
    masks = (
        {}
        if head.scheme == "none"
        else dict(zip(names, transitions(labels, head.scheme), strict=True))
    )
    chain = crf.chain_of(*scores, **masks)

    def answers(emissions: Floats, lengths: Lengths) -> list[Any]:
        paths = crf.viterbi(Ragged(emissions, lengths), chain)
        return _named(paths.tags.values, lengths, labels)

    def probabilities(emissions: Floats, lengths: Lengths) -> list[Any]:
        marginals = crf.marginals(Ragged(emissions, lengths), chain)
        return Ragged(marginals.astype(np.float32), lengths).to_list()

    return Decoder(answers=answers, probabilities=probabilities)


def _steps(labels: Sequence[str]) -> Decoder:
    """Each step's best label on its own."""

    def answers(scores_NL: Floats, lengths: Lengths) -> list[Any]:
        return _named(scores_NL.argmax(axis=1), lengths, labels)

    def probabilities(scores_NL: Floats, lengths: Lengths) -> list[Any]:
        return Ragged(softmax(scores_NL), lengths).to_list()

    return Decoder(answers=answers, probabilities=probabilities)


def _label(labels: Sequence[str]) -> Decoder:
    """The best label of each sequence."""

    def answers(scores_BL: Floats, lengths: Lengths) -> list[Any]:
        del lengths
        return [labels[i] for i in scores_BL.argmax(axis=1).tolist()]

    def probabilities(scores_BL: Floats, lengths: Lengths) -> list[Any]:
        del lengths
        return list(softmax(scores_BL))

    return Decoder(answers=answers, probabilities=probabilities)


def _values(head: Values, tensors: Tensors) -> Decoder:
    """Values in the units of the training targets: raw * scale + mean + offset."""

    # Beyond float32 an answer is infinite, as its parts are.
    @np.errstate(over="ignore", invalid="ignore")
    def answers(raw_BK: Floats, lengths: Lengths) -> list[Any]:
        del lengths
        values_BK: Floats = raw_BK * tensors["head.scale"] + tensors["head.mean"]
        if head.offset:
            values_BK = values_BK.astype(np.float64) + head.offset
        answer: list[Any] = values_BK.tolist()
        return answer

    return Decoder(answers=answers, probabilities=None)


def _named(ids_N: npt.NDArray[np.int64], lengths: Lengths, labels: Sequence[str]) -> list[Any]:
    """Ids of all rows as one list of labels for each sequence."""
    named = [labels[i] for i in ids_N.tolist()]
    stops = np.cumsum(lengths).tolist()
    return [
        named[stop - length : stop] for stop, length in zip(stops, lengths.tolist(), strict=True)
    ]
