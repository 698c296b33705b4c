"""The detector: whether a sequence has a property, and how probable that is. A toy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from birnn.data.examples import Example
from birnn.errors import DataError, escaped
from birnn.inputs.vocabulary import Vocabulary
from birnn.metrics import LabelScorer
from birnn.schema import Size
from birnn.tasks.head import Array, Decoder, FittedHead, Lengths, Stage, Tensors, count_labels
from birnn.tasks.pooling import Pooled, PoolingSettings, pooling_of


class Detection(Pooled):
    """One score for a sequence: above 0 it has the property."""

    task: ClassVar = "detector"
    target: ClassVar = "label"
    gives: ClassVar = "whether each sequence has a property"
    key: ClassVar = "found"
    settings: ClassVar = PoolingSettings
    has_labels: ClassVar = False
    answer_comment: ClassVar = "# True or False for each sequence"

    kind: Literal["detection"] = "detection"
    size: Size = 1
    positive: str

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: PoolingSettings,
        notes: list[str],
    ) -> FittedHead:
        """The rarer of two labels is the property."""
        labels = count_labels(str(example.target) for example in train)
        if len(labels) != 2:
            raise DataError(f"a detector needs two labels, got {', '.join(labels.items)}")
        notes.append(f"{labels.items[1]!r} is what is detected")
        return FittedHead(cls(positive=labels.items[1], **pooling_of(settings)), train, dev)

    def check_target(self, example: Example, where: str) -> bool:
        """Whether the label is that of the property."""
        if not isinstance(example.target, str):
            raise DataError(f"{where}: its target is {example.target!r}, a detector needs a label")
        return example.target == self.positive

    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """1 where there is the property, float32 (B, 1)."""
        del labels
        return np.array([[self.check_target(e, e.where)] for e in examples], np.float32)

    @property
    def selection(self) -> tuple[str, bool]:
        """Accuracy."""
        return "accuracy", True

    def decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """Whether scores are above 0."""
        del tensors

        def answers(scores_B1: Array, lengths: Lengths) -> list[Any]:
            return self.named(scores_B1 > 0, lengths, labels)

        return Decoder(answers, probabilities=None)

    def named(self, decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
        """True or False for each sequence."""
        del lengths, labels
        return [bool(value) for value in decoded.ravel()]

    def scorer(self, labels: Sequence[str]) -> LabelScorer:
        """An empty scorer."""
        del labels
        return LabelScorer([str(False), str(True)])

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The name of its score."""
        del labels
        return (self.positive,)

    def stages(self, width: int) -> list[Stage]:
        """The pooling and a linear layer."""
        return [*super().stages(width), Stage("linear", ("linear.",), [(1, self.positive)])]

    def limitation(self) -> str:
        """What its answers do not say."""
        return "It is a toy."

    def lines(
        self,
        example: Example,
        answer: bool,
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """One line."""
        del example, probabilities, labels, tensors
        return f"{escaped(self.positive) if answer else '-'}\n"
