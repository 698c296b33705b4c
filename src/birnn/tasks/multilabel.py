"""The multi-label classifier: any number of labels for a sequence, each from its threshold on."""

# B sequences, L labels

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from birnn.data.examples import Example
from birnn.errors import DataError, escaped
from birnn.inputs.vocabulary import Vocabulary
from birnn.metrics import LabelSetScorer, named_counts
from birnn.reference.cells import sigmoid
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
from birnn.tasks.classifier import Label
from birnn.tasks.errors import AnswerError
from birnn.tasks.evaluated import Scorer
from birnn.tasks.head import Array, FittedHead, Head, HeadLayer, Lengths, Tensors
from birnn.tasks.pooling import Pooled, PoolingSettings, pooling_of
from birnn.tasks.scored import Decoder
from birnn.tasks.thresholds import (
    EVEN,
    Rule,
    TunedScorer,
    chosen_thresholds,
    cuts_of,
    held,
    named,
)

Probability = Annotated[float, Field(gt=0, lt=1)]


def _checked_rule(given: Any) -> Any:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if given not in ("per_label", "one") and not (number and 0 < given < 1):
        raise ValueError("it must be per_label, one, or a number between 0 and 1")
    return given


class LabelsSettings(PoolingSettings):
    """Settings of the multi-label classifier's head."""

    threshold: Annotated[Rule, BeforeValidator(_checked_rule)] = Field(
        default="per_label",
        description="from which probability on a label is given: per_label and one choose it on "
        "the dev set, for the F1 of each label or for micro F1; or a number, such as 0.5",
    )


class Labels(Pooled):
    """Any number of labels for a sequence, each with a probability of its own (sigmoid)."""

    task: ClassVar = "multilabel"
    target: ClassVar = "labels"
    gives: ClassVar = "any number of labels for each sequence"
    key: ClassVar = "labels"
    hub_task: ClassVar = "text-classification"
    ranks: ClassVar = True
    independent: ClassVar = True
    settings: ClassVar = LabelsSettings
    # Smoothing would draw the probabilities of labels that are rare towards a half.
    defaults: ClassVar = {
        kind: {
            section: {name: value for name, value in values.items() if name != "label_smoothing"}
            for section, values in sections.items()
        }
        for kind, sections in Label.defaults.items()
    }
    answer_comment: ClassVar = "# a list of labels for each sequence"

    kind: Literal["labels"] = "labels"
    size: Size = Field(description="labels")
    thresholds: tuple[Probability, ...] = Field(
        default=(), description="from which probability on each label is given; none: 0.5 for all"
    )

    @model_validator(mode="after")
    def _one_threshold_each(self) -> Self:
        if len(self.thresholds) not in (0, self.size):
            raise ValueError(f"{len(self.thresholds)} thresholds for {self.size} labels")
        return self

    # ------------------------------------------------------------------ training

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: LabelsSettings,
        encoder: Stack,
        notices: list[str],
    ) -> FittedHead:
        """The head for the labels of training.

        Raises:
            DataError: No label, or none that tells examples apart.
        """
        del encoder
        sets = [_checked(example, example.where or "an example") for example in train]
        labels = Vocabulary.count(chain.from_iterable(sets), unknown=False)
        if not len(labels):
            raise DataError(
                "no training example has a label: there is nothing to learn. Check the column or "
                "key that the labels are read from."
            )
        assert labels.counts is not None
        counts = dict(zip(labels.items, labels.counts.tolist(), strict=True))
        always = {label: count for label, count in counts.items() if count == len(sets)}
        if len(always) == len(counts):
            raise DataError(
                f"every training example has the same labels, {named_counts(always)}: there is "
                "nothing to tell apart. Check the column that the labels are read from."
            )
        if always:
            notices.append(f"labels that every training example has: {named_counts(always)}")
        if empty := sum(not each for each in sets):
            notices.append(f"{empty:,} of {len(sets):,} training examples have no label")
        notices += _unsplit(sets, counts)
        shown = {label for example in dev for label in _checked(example, "a dev example")}
        missing = {label: count for label, count in counts.items() if label not in shown}
        if missing and settings.threshold == "per_label":
            notices.append(
                f"labels that no dev example has, so that {EVEN} stays their threshold: "
                f"{named_counts(missing)}"
            )
        return FittedHead(cls(size=len(labels), **pooling_of(settings)), train, dev, labels)

    def continued(self, fitted: Head, size: int) -> Self:
        """The same head, whose thresholds are chosen anew."""
        del fitted
        return self.model_copy(update={"size": size, "thresholds": ()})

    def check_target(self, example: Example, where: str) -> tuple[str, ...]:
        """The labels of an example."""
        return _checked(example, where)

    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """Which example has which label, (B, L) bool; those that are not known are left out."""
        assert labels is not None
        sets = [self.check_target(example, example.where) for example in examples]
        return held(sets, labels.items)

    @property
    def selection(self) -> str:
        """Micro F1."""
        return "f1"

    def training_scorer(self, labels: Sequence[str], settings: Any) -> Scorer:
        """A scorer of logits, at the thresholds that the dev set gives them."""
        return TunedScorer(labels, settings.threshold)

    def tuned(
        self,
        scores: Callable[[], Sequence[Array]],
        golds: Sequence[Any],
        labels: Sequence[str],
        settings: Any,
    ) -> Labels:
        """The head with the thresholds that the dev set gives."""
        rule = settings.threshold
        if isinstance(rule, str) and not golds:
            return self
        scores_BL = np.stack(scores()) if isinstance(rule, str) else np.zeros((0, self.size))
        found = chosen_thresholds(scores_BL, held(golds, labels)[: len(scores_BL)], rule)
        return self.model_copy(update={"thresholds": found})

    # ------------------------------------------------------------------ answers

    @property
    def cuts(self) -> Array:
        """The logits from which on labels are given, float32 (L,)."""
        return cuts_of(self.thresholds, self.size)

    def decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """The labels from their thresholds on, and the probabilities of all."""
        del tensors
        cuts_L = self.cuts

        def answers(scores_BL: Array, lengths: Lengths) -> list[Any]:
            return self.answers_of(scores_BL >= cuts_L, lengths, labels)

        def probabilities(scores_BL: Array, lengths: Lengths) -> list[Any]:
            del lengths
            return list(self.chances(scores_BL))

        return Decoder(answers, probabilities)

    def answers_of(self, decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
        """A list of labels for each sequence, from which of them are given (B, L)."""
        del lengths
        return [named(given_L, labels) for given_L in decoded]

    def foremost(self, scores: Array) -> Array:
        """The label furthest above its threshold, or nearest below it."""
        found: Array = (scores - self.cuts).argmax(axis=-1)
        return found

    def chances(self, scores: Array) -> Array:
        """Probabilities of labels from their logits, each on its own."""
        return sigmoid(np.asarray(scores))

    def parts(self, scores: Scores, labels: Sequence[str], top: int | None) -> AnswerParts:
        """The labels given with their probabilities, the best first; or the ``top`` best of all."""
        best = ranked(scores.probabilities, labels, top)
        if top is None:
            best = [pair for pair in best if pair[0] in scores.answer]
        return AnswerParts({self.key: []}, labels=best)  # which the record has in their place

    def faults(self, gold: Any, counted: Any) -> Array:
        """How many labels are missing or too many."""
        return np.array([len(set(gold) ^ set(counted))], np.float64)

    @property
    def paired_by(self) -> Literal["questions", "counts", "numbers"]:
        """Wrong labels are counts of a sequence: its labels hang together."""
        return "counts"

    def errors(
        self, example: Example, gold: Any, scores: Scores, labels: Sequence[str]
    ) -> list[AnswerError]:
        """Each label that is missing or too many, with its probability."""
        [error] = super().errors(example, gold, scores, labels)
        found = []
        for label in gold:
            if label not in scores.answer:
                p = probability_of(label, scores.probabilities, labels)
                missed = {"kind": "missed", "gold": label, "predicted": "", "gold_probability": p}
                found.append(replace(error, **missed, size=1.0 - (p or 0.0)))
        for label in scores.answer:
            if label not in gold:
                p = probability_of(label, scores.probabilities, labels) or 0.0
                given = {"kind": "spurious", "gold": "", "predicted": label, "probability": p}
                found.append(replace(error, **given, size=p))
        return found

    def scorer(self, labels: Sequence[str]) -> LabelSetScorer:
        """An empty scorer of sets of labels."""
        return LabelSetScorer(labels)

    # ------------------------------------------------------------------ in words

    def outline(self, encoder: Stack) -> str:
        """The head in one line, from the rows of an encoder on."""
        low, high = min(self.thresholds, default=EVEN), max(self.thresholds, default=EVEN)
        each = f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"
        return f"{super().outline(encoder)}, each from a probability of {each} on"

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """The pooling and a linear layer."""
        name = "linear, any number of labels for the sequence"
        return [*super().stages(encoder), HeadLayer(name, ("linear.",), [(self.size, "labels")])]

    def limitation(self) -> str:
        """A limitation of its answers."""
        return (
            f"It decides on each of its {self.size} labels alone, not on which of them go "
            "together, and its probabilities are not calibrated."
        )

    def lines(
        self,
        example: Example,
        answer: Sequence[str],
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """One line: the labels, separated by tabs, each with its probability if asked for."""
        del example, tensors
        cells = list(map(escaped, answer))
        if probabilities is not None:
            each = probabilities_of(answer, [probabilities] * len(answer), labels)
            cells = [f"{cell}\t{p:.4f}" for cell, p in zip(cells, each, strict=True)]
        return "\t".join(cells) + "\n"

    def probability_record(
        self, answer: Sequence[str], probabilities: Any, labels: Sequence[str], *, every: bool
    ) -> dict[str, Any]:
        """The probability of each label given, or of every label."""
        if every:
            return {"probabilities": named_probabilities(probabilities, labels)}
        each = probabilities_of(answer, [probabilities] * len(answer), labels)
        return {"probabilities": [round(p, 6) for p in each]}


def _checked(example: Example, where: str) -> tuple[str, ...]:
    target = example.target
    if not isinstance(target, tuple | list) or not all(isinstance(x, str) for x in target):
        raise DataError(
            f"{where}: its target is {target!r}, a multilabel classifier needs a list of labels, "
            "maybe empty"
        )
    return tuple(target)


def _unsplit(sets: Sequence[tuple[str, ...]], counts: Mapping[str, int]) -> Iterator[str]:
    """What to tell where several labels may have been read as one."""
    if len(counts) > 1 and max(map(len, sets)) <= 1:
        yield (
            "no training example has more than one label. Where one stands for several, say how "
            "it is split: --label-split; where each has one, that is a classifier's task"
        )
    joined = {
        label: count
        for label, count in counts.items()
        if len(parts := [part for part in re.split(r"\W+", label) if part]) > 1
        and counts.keys() >= set(parts)
    }
    if joined:
        yield (
            f"labels that look like several others in one: {named_counts(joined)}. If they are, "
            "write all labels with one separator, and say it: --label-split"
        )
