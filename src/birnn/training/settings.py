"""The settings of training, section by section, each with its default and its meaning."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
)

from birnn.schema import Frozen, Size


def _known_device(name: str) -> str:
    if not re.fullmatch("auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise ValueError("it must be auto, cpu, cuda or cuda:N")
    return name


def _weights(given: Any) -> Any:
    if given in ("none", "balanced"):
        return given
    table = isinstance(given, dict) and all(
        isinstance(weight, int | float) and not isinstance(weight, bool) and 0 <= weight < 1e38
        for weight in given.values()
    )
    if not table:
        raise ValueError(
            "it must be none, balanced, or a table of finite weights from 0 on: "
            "{ spam = 2.0, ham = 0.5 }"
        )
    return given


class TrainingSettings(Frozen):
    """The optimiser and its schedule."""

    epochs: Size | None = Field(
        default=None,
        description="rounds over the training data; by default as many as make up `rows` rows, "
        "within `epochs_range`",
    )
    rows: int = Field(
        default=1_250_000, ge=1, le=10**15, description="rows to train on, see `epochs`"
    )
    epochs_range: tuple[Size, Size] = Field(
        default=(6, 60), description="fewest and most epochs where `rows` decides"
    )
    patience: Size = Field(
        default=10, description="epochs without a better dev score before training stops"
    )
    metric: str | None = Field(
        default=None,
        description="score of the dev set that chooses the weights and ends the training; by "
        "default f1 of taggers of spans and of multilabel, accuracy of other labels, rmse of "
        "values, token_error_rate of sequences, perplexity of gaps",
    )
    batch_tokens: Size = Field(default=8192, description="tokens, or steps, of a batch, at most")
    batch_sequences: Size = Field(default=32, description="sequences of a batch, at most")
    learning_rate: float = Field(default=3e-3, gt=0, description="of AdamW, at its highest")
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of training that warms up")
    schedule: Literal["linear", "cosine"] = Field(
        default="linear", description="how the learning rate falls after the warm-up"
    )
    final_rate: float = Field(
        default=0.02, ge=0, le=1, description="share of the learning rate left at the end"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="of AdamW, on matrices")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(
        default=0.998, ge=0, lt=1, description="decay of the average of the weights; 0: none"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of the probability spread over all labels"
    )
    class_weights: Annotated[
        Literal["none", "balanced"] | dict[str, NonNegativeFloat], BeforeValidator(_weights)
    ] = Field(
        default="none",
        description="of labels in the loss: none, balanced (by rarity), or a table of weights; "
        "labels that it leaves out weigh 1",
    )
    checkpoint: bool = Field(
        default=False,
        description="keep the states of the encoder's layers alone for the backward pass and "
        "compute the gates again: less memory, more time, the same model",
    )
    device: Annotated[str, AfterValidator(_known_device)] = Field(
        default="auto",
        description="auto (a GPU where there is one), cpu, cuda, or cuda:1 for the second GPU",
    )
