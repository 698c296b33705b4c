"""Base of the heads that score rows, and what goes from scores to answers."""

# N rows of all sequences, B sequences, T steps of one, L labels

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

from birnn.errors import DataError
from birnn.inputs.vocabulary import Vocabulary
from birnn.reference.activations import ActivationName
from birnn.reference.softmax import softmax
from birnn.schema import Frozen, Shape, Size, linear_shapes
from birnn.tasks.head import Array, Head, HeadLayer, Lengths, Tensors

Decode = Callable[[Array, Lengths], list[Any]]
Judge = Callable[[Array, Lengths, Sequence[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class Decoder:
    """From the scores of a head to answers.

    All functions take the scores, (N, L) of a head that answers for every step and (B, L)
    otherwise, and the lengths of the sequences (B,), and give one answer for each sequence. Where
    a head answers for some steps alone, N and the lengths count these.

    Args:
        answers: Labels of the steps, the label, or the values of each sequence.
        probabilities: Probabilities (T, L) of the steps' labels or (L,) of the label; None where
            there are none.
        judge: With the right answers as well, what the scorer counts of each sequence; None where
            it counts answers.
        spans: With the answers as well, `birnn.tasks.annotated.Scores` of each sequence; None
            where no spans are marked.
    """

    answers: Decode
    probabilities: Decode | None
    judge: Judge | None = None
    spans: Judge | None = None


def _several(sizes: Any) -> Any:
    """One number stands for one layer."""
    return (sizes,) if isinstance(sizes, int) and not isinstance(sizes, bool) else sizes


class HiddenSettings(Frozen):
    """Hidden layers of a head, in training and in its description."""

    hidden: Annotated[tuple[Size, ...], BeforeValidator(_several)] = Field(
        default=(), max_length=16, description="units of each hidden layer before the last"
    )
    activation: ActivationName = Field(
        default="relu", description="of hidden layers: relu, tanh or gelu"
    )

    @property
    def hidden_layers(self) -> tuple[str, ...]:
        """Names of the hidden layers."""
        return tuple(f"hidden_{number}" for number in range(len(self.hidden)))


class Scored(Head, HiddenSettings, ABC):
    """Base of the heads that score rows: hidden layers and a linear layer, then a decoder.

    The rows are those of the encoder, or for `birnn.tasks.pooling.Pooled` one for each sequence.
    """

    has_labels: ClassVar[bool] = True

    added: ClassVar = frozenset({"hidden", "activation"})

    def scored(self, needing: str) -> Scored:
        """Itself."""
        del needing
        return self

    def layer_tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes of its hidden layers and its last, on rows of ``width``.

        Example:
            >>> from birnn.tasks import Tags
            >>> Tags(size=3, hidden=(8,)).layer_tensors(4)["hidden_0.weight"]
            (8, 4)
        """
        shapes: dict[str, Shape] = {}
        for name, size in zip(self.hidden_layers, self.hidden, strict=True):
            shapes |= linear_shapes(name, size, width)
            width = size
        return shapes | linear_shapes("linear", self.size, width)

    def constraints(self, labels: Sequence[str]) -> tuple[Array, Array, Array] | None:
        """Which labels may follow which, begin and end a sequence; None where all may.

        Args:
            labels: Names of the labels by number.

        Returns:
            Truth values, [from, to] (L, L), (L,) and (L,).
        """
        del labels
        return None

    @property
    def pooling_parts(self) -> tuple[str, ...]:
        """The poolings that are concatenated; none where it answers for every step."""
        return ()

    @abstractmethod
    def decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """From scores to answers.

        Args:
            labels: Its labels, by number; empty where it has none.
            tensors: The tensors of the model.

        Raises:
            BundleError: Labels that do not fit.
        """

    @abstractmethod
    def answers_of(self, decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
        """Decoded numbers as answers, one for each sequence.

        Args:
            decoded: Numbers of labels, (N,) or (B,), or values (B, K).
            lengths: Lengths of the sequences, (B,).
            labels: The labels by number.
        """

    def foremost(self, scores: Array) -> Array:
        """Number of the answer that is explained where none is named, of scores (..., L): (...).

        Args:
            scores: Logits of labels.
        """
        found: Array = scores.argmax(axis=-1)
        return found

    def chances(self, scores: Array) -> Array:
        """Probabilities of labels from their logits, (..., L)."""
        return softmax(scores)

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Names of the columns of its scores, for explanations."""
        return tuple(labels)

    def hidden_outline(self) -> str:
        """The hidden layers within that line."""
        return "".join(f" → {size} {self.activation}" for size in self.hidden)

    def hidden_stages(self) -> list[HeadLayer]:
        """The hidden layers in that drawing."""
        return [
            HeadLayer(f"hidden layer, {self.activation}", (f"{name}.",), [(size, "units")])
            for name, size in zip(self.hidden_layers, self.hidden, strict=True)
        ]


def labels_by_step(decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
    """A list of labels for each sequence.

    Args:
        decoded: Numbers of labels, (N,).
        lengths: How many each sequence has, (B,).
        labels: The labels by number.

    Example:
        >>> labels_by_step(np.array([1, 0, 1]), np.array([1, 2]), "ab")
        [['b'], ['a', 'b']]
    """
    named = [labels[number] for number in decoded.tolist()]
    ends = np.cumsum(lengths).tolist()
    return [named[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def hidden_of(settings: Any) -> dict[str, Any]:
    """The fields of a `Head` from its `HiddenSettings`."""
    return {"hidden": settings.hidden, "activation": settings.activation}


def count_labels(labels: Iterable[str]) -> Vocabulary:
    """The labels of training with their counts, most frequent first.

    Raises:
        DataError: Fewer than two labels.
    """
    counts = Counter(labels)
    if len(counts) < 2:
        only = next(iter(counts), "none")
        raise DataError(
            f"the training data has a single label, {only!r}: there is nothing to tell apart. "
            "Check the column that the labels are read from."
        )
    return Vocabulary.count(counts.elements(), unknown=False)
