"""The regressor: a vector of real numbers for a sequence."""

# B sequences, K target values

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from birnn.data.examples import Example
from birnn.data.numeric import narrow, reals
from birnn.errors import DataError
from birnn.inputs.vectors import Offset, standard_units
from birnn.inputs.vocabulary import Vocabulary
from birnn.metrics import ValueScorer
from birnn.reference.stack import Stack
from birnn.schema import Shape, Size
from birnn.tasks.annotated import Scores
from birnn.tasks.errors import AnswerError
from birnn.tasks.head import Array, FittedHead, Head, HeadLayer, Lengths, Tensors
from birnn.tasks.pooling import Pooled, PoolingSettings, pooling_of
from birnn.tasks.scored import Decoder


class Values(Pooled, Offset):
    """One vector of real numbers for a sequence, in the units of the training targets."""

    task: ClassVar = "regressor"
    target: ClassVar = "values"
    gives: ClassVar = "one vector of real numbers for each sequence"
    key: ClassVar = "values"
    settings: ClassVar = PoolingSettings
    defaults: ClassVar = {None: {"dropout": {"words": 0.05, "inputs": 0.1, "output": 0.2}}}
    has_labels: ClassVar = False
    vocabulary: ClassVar = None
    added: ClassVar = Pooled.added | Offset.added
    kept_in_float32: ClassVar = {
        **Pooled.kept_in_float32,
        **dict.fromkeys(("mean", "scale"), "units of the values"),
    }
    answer_comment: ClassVar = "# a list of values for each sequence"

    kind: Literal["values"] = "values"
    size: Size = Field(description="target values of a sequence")

    def tensors(self, encoder: Stack) -> dict[str, Shape]:
        """Names and shapes behind an encoder.

        Answers are raw * scale + mean + offset.
        """
        units: dict[str, Shape] = {"mean": (self.size,), "scale": (self.size,)}
        return super().tensors(encoder) | units

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: PoolingSettings,
        encoder: Stack,
        notices: list[str],
    ) -> FittedHead:
        """The head, with mean and scale of the training targets."""
        del encoder, notices
        targets = [reals(example.target) for example in train]
        widths = {len(target) for target in targets}
        if len(widths) > 1:
            raise DataError(f"examples with {sorted(widths)} target values. Give all as many.")
        mean_K, scale_K, offset = standard_units(reals(np.stack(targets)))
        head = cls(size=len(mean_K), offset=offset, **pooling_of(settings))
        return FittedHead(head, train, dev, initial={"mean": mean_K, "scale": scale_K})

    def continued(self, fitted: Head, size: int) -> Self:
        """The same head, whose units stay those that its weights were trained in."""
        del size
        if fitted.size != self.size:
            raise DataError(
                f"the training examples have {fitted.size} target values, the model gives "
                f"{self.size}. Give it targets of {self.size}."
            )
        return self

    def check_target(self, example: Example, where: str) -> Any:
        """The values of an example."""
        target = example.target
        values = None if isinstance(target, str) else np.asarray(target)
        if values is None or values.dtype.kind not in "fiu" or values.shape != (self.size,):
            raise DataError(f"{where}: its target is {target!r}, needed: {self.size} values")
        return target

    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """The values less the offset, float32 (B, K)."""
        del labels
        targets = [self.check_target(example, example.where) for example in examples]
        return narrow(np.stack(targets), self.offset)

    @property
    def selection(self) -> str:
        """The root of the mean squared error."""
        return "rmse"

    def decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """Values in the units of the training targets: raw * scale + mean + offset."""

        # Beyond the range of float32 an answer is infinite.
        @np.errstate(over="ignore", invalid="ignore")
        def answers(raw_BK: Array, lengths: Lengths) -> list[Any]:
            values_BK: Array = raw_BK * tensors["head.scale"] + tensors["head.mean"]
            if self.offset:
                values_BK = values_BK.astype(np.float64) + self.offset
            return self.answers_of(values_BK, lengths, labels)

        return Decoder(answers, probabilities=None)

    def answers_of(self, decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
        """A list of values for each sequence."""
        del lengths, labels
        answers: list[Any] = decoded.tolist()
        return answers

    def scorer(self, labels: Sequence[str]) -> ValueScorer:
        """An empty scorer of values."""
        del labels
        return ValueScorer()

    def faults(self, gold: Any, counted: Sequence[float]) -> Array:
        """The mean squared error of its values."""
        apart = np.asarray(gold, np.float64) - np.asarray(counted, np.float64)
        return np.array([np.mean(apart**2)])

    @property
    def paired_by(self) -> Literal["questions", "counts", "numbers"]:
        """Squared errors."""
        return "numbers"

    def errors(
        self, example: Example, gold: Any, scores: Scores, labels: Sequence[str]
    ) -> list[AnswerError]:
        """The values, whose size is the root of their mean squared error."""
        [error] = super().errors(example, np.asarray(gold), scores, labels)
        return [replace(error, size=float(self.faults(gold, scores.answer)[0] ** 0.5))]

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Names of its values: ``value 0``, ``value 1``, ..."""
        del labels
        return tuple(f"value {number}" for number in range(self.size))

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """The pooling and a linear layer."""
        name, units = "linear, values in their own units", ("linear.", "mean", "scale")
        return [*super().stages(encoder), HeadLayer(name, units, [(self.size, "values")])]

    def limitation(self) -> str:
        """A limitation of its answers."""
        return "It gives no measure of how sure it is."

    def lines(
        self,
        example: Example,
        answer: Sequence[float],
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """One line: the values, separated by tabs."""
        del example, probabilities, labels
        scales = tensors["head.scale"] if self.offset else [math.inf] * self.size
        return "\t".join(map(_six_digits, answer, scales)) + "\n"


def _six_digits(value: float, scale: float) -> str:
    """A value with six significant digits, counted from its scale where it is far from zero.

    Example:
        >>> _six_digits(1700000000.25, 0.5), _six_digits(0.1234567, math.inf)
        ('1700000000.25', '0.123457')
    """
    apart = math.isfinite(value) and abs(value) > scale
    far = math.ceil(math.log10(abs(value) / scale)) if apart else 0
    return f"{value:.{min(6 + far, 17)}g}"
