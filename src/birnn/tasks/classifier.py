"""The classifier: one label for a sequence."""

# B sequences, L labels

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from birnn.data.examples import Example
from birnn.data.label_sets import several_in_one
from birnn.errors import DataError, escaped
from birnn.inputs.vocabulary import Vocabulary
from birnn.metrics import LabelScorer, named_counts
from birnn.reference.softmax import softmax
from birnn.reference.stack import Stack
from birnn.schema import Size
from birnn.tasks.annotated import (
    AnswerParts,
    Scores,
    named_probabilities,
    probabilities_of,
    probability_of,
    ranked,
)
from birnn.tasks.errors import AnswerError
from birnn.tasks.head import Array, FittedHead, HeadLayer, Lengths, Tensors
from birnn.tasks.pooling import Pooled, PoolingSettings, pooling_of
from birnn.tasks.scored import Decoder, count_labels


class Label(Pooled):
    """One label for a sequence."""

    task: ClassVar = "classifier"
    target: ClassVar = "label"
    gives: ClassVar = "one label for each sequence"
    key: ClassVar = "label"
    ranks: ClassVar = True
    hub_task: ClassVar = "text-classification"
    settings: ClassVar = PoolingSettings
    defaults: ClassVar = {
        "words": {
            "inputs": {"character_hidden": 0, "class_ratios": True, "min_count": 1},
            "encoder": {"hidden_size": 64},
            "dropout": {"words": 0.4, "inputs": 0.5, "layers": 0.4, "output": 0.5},
            "training": {"learning_rate": 1.5e-3, "label_smoothing": 0.1, "ema": 0.995},
        },
        "symbols": {
            "encoder": {"hidden_size": 128},
            "dropout": {"inputs": 0.1, "layers": 0.3, "output": 0.5},
            "training": {"label_smoothing": 0.1, "ema": 0.99},
        },
        "vectors": {
            "encoder": {"cell": "gru", "hidden_size": 100},
            "head": {"pooling": "mean"},
            "dropout": {"noise": 0.3, "shift": 0.3, "inputs": 0.1, "layers": 0.3, "output": 0.5},
            "training": {
                "label_smoothing": 0.1,
                "ema": 0.99,
                "patience": 120,
                "epochs_range": [6, 120],
            },
        },
    }
    answer_comment: ClassVar = "# a label for each sequence"

    kind: Literal["label"] = "label"
    size: Size = Field(description="labels")

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: PoolingSettings,
        encoder: Stack,
        notices: list[str],
    ) -> FittedHead:
        """The head for the labels of training."""
        del encoder
        labels = count_labels(str(example.target) for example in train)
        if several := several_in_one(labels.items):
            assert labels.counts is not None
            counts = dict(zip(labels.items, labels.counts.tolist(), strict=True))
            named = named_counts({label: counts[label] for label in several})
            notices.append(
                f"labels that look like several in one: {named}. If a text has several labels, "
                "that is the task multilabel"
            )
        return FittedHead(cls(size=len(labels), **pooling_of(settings)), train, dev, labels)

    def check_target(self, example: Example, where: str) -> str:
        """The label of an example."""
        if not isinstance(example.target, str):
            raise DataError(
                f"{where}: its target is {example.target!r}, a classifier needs one label"
            )
        return example.target

    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """Numbers of the labels, (B,)."""
        assert labels is not None
        return labels.ids(self.check_target(example, example.where) for example in examples)

    @property
    def selection(self) -> str:
        """Accuracy."""
        return "accuracy"

    def decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """The best label of each sequence, and the probabilities of all."""
        del tensors

        def answers(scores_BL: Array, lengths: Lengths) -> list[Any]:
            return self.answers_of(scores_BL.argmax(axis=1), lengths, labels)

        def probabilities(scores_BL: Array, lengths: Lengths) -> list[Any]:
            del lengths
            return list(softmax(scores_BL))

        return Decoder(answers, probabilities)

    def answers_of(self, decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
        """A label for each sequence."""
        del lengths
        return [labels[number] for number in decoded.tolist()]

    def parts(self, scores: Scores, labels: Sequence[str], top: int | None) -> AnswerParts:
        """The label, and the best labels with their probabilities."""
        chances = scores.probabilities
        record = {self.key: scores.answer}
        record |= self.probability_record(scores.answer, chances, labels, every=False)
        return AnswerParts(record, labels=ranked(chances, labels, top))

    def errors(
        self, example: Example, gold: str, scores: Scores, labels: Sequence[str]
    ) -> list[AnswerError]:
        """The wrong label, with its probability and that of the right one."""
        [error] = super().errors(example, gold, scores, labels)
        said, right = (
            probability_of(label, scores.probabilities, labels) for label in (scores.answer, gold)
        )
        assert said is not None
        return [replace(error, probability=said, gold_probability=right, size=said)]

    def scorer(self, labels: Sequence[str]) -> LabelScorer:
        """An empty scorer of labels."""
        return LabelScorer(labels)

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """The pooling and a linear layer."""
        name = "linear, one label for the sequence"
        return [*super().stages(encoder), HeadLayer(name, ("linear.",), [(self.size, "labels")])]

    def limitation(self) -> str:
        """A limitation of its answers."""
        return label_limitation(self.size)

    def lines(
        self,
        example: Example,
        answer: str,
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """One line: the label, and its probability where it was asked for."""
        del example, tensors
        if probabilities is None:
            return f"{escaped(answer)}\n"
        return f"{escaped(answer)}\t{probability_of(answer, probabilities, labels):.4f}\n"

    def probability_record(
        self, answer: str, probabilities: Any, labels: Sequence[str], *, every: bool
    ) -> dict[str, Any]:
        """The probability of the label, or of every label."""
        if every:
            return {"probabilities": named_probabilities(probabilities, labels)}
        [own] = probabilities_of([answer], [probabilities], labels)
        return {"probability": round(own, 6)}


def label_limitation(size: int) -> str:
    """The limitation of all heads that choose among labels."""
    return (
        f"It answers with one of its {size} labels always, also where none fits, and its "
        "probabilities are not calibrated."
    )
