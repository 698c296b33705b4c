"""Vectors as inputs: real numbers at each step, standardised by channel."""

# N rows of all sequences, T steps of one, D channels

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from birnn.data.conversion import described
from birnn.data.examples import Example
from birnn.data.numeric import Reals, narrow, reals, require_finite
from birnn.engine.linear import DenseLayer
from birnn.errors import DataError, ShapeError
from birnn.inputs.kind import (
    Codec,
    Embed,
    Floats,
    InputRows,
    InputSpec,
    InputStage,
    Integers,
    LearntInputs,
    Preparer,
    RowPart,
    Split,
    Steps,
    Tensors,
)
from birnn.inputs.vocabulary import Vocabularies
from birnn.reference.activations import ActivationName
from birnn.schema import Frozen, Shape, Size, linear_shapes

# An offset is subtracted where a mean exceeds this many standard deviations: float32 would round
# the values by more than some millionths of what they differ by.
FAR = 64.0
# A column whose deviation is a smaller share of its mean is constant but for rounding.
SMALLEST_SPREAD = {np.dtype(np.float32): 1e-7, np.dtype(np.float64): 1e-14}


class VectorSettings(Frozen):
    """Settings of vectors in training."""

    dense_size: Size | None = Field(
        default=None, description="units of a dense layer before the encoder, of vectors alone"
    )
    dense_activation: ActivationName = Field(
        default="relu", description="of the dense layer: relu, tanh or gelu"
    )


class Offset(Frozen):
    """Base of inputs and heads of real numbers that may be far from zero.

    1700000000 and 1700000001 are one number in float32, so the offset is subtracted from inputs,
    and added to answers, in float64.
    """

    added: ClassVar = frozenset({"offset"})

    size: Size
    offset: tuple[FiniteFloat, ...] = Field(
        default=(), description="of each channel or value; none where float32 holds them well"
    )

    @model_validator(mode="after")
    def _one_offset_each(self) -> Self:
        if len(self.offset) not in (0, self.size):
            raise ValueError(f"{len(self.offset)} offsets for {self.size} channels or values")
        return self


def standard_units(rows_ND: Reals) -> tuple[Floats, Floats, tuple[float, ...]]:
    """Mean and standard deviation of each column, and the offset to subtract before.

    Returns:
        Mean and deviation, float32 (D,) each, of the columns less their offset. The deviation of
        a constant column is 1, so that it is not scaled. The offset is empty where
        float32 holds every column well.

    Example:
        >>> standard_units(np.array([[1.0], [3.0]]))[:2]
        (array([2.], dtype=float32), array([1.], dtype=float32))
        >>> standard_units(np.array([[16777216.0], [16777217.0]]))
        (array([0.], dtype=float32), array([0.5], dtype=float32), (16777216.5,))
    """
    # Relative to the first row: a constant column then has exactly deviation 0.
    first_D = rows_ND[0].astype(np.float64)
    shifted_ND = rows_ND - first_D
    mean_D = first_D + shifted_ND.mean(axis=0)
    spread_D = shifted_ND.std(axis=0)
    # Relative to the mean, so that the unit of a column does not matter.
    varies_D = spread_D.astype(np.float32) > SMALLEST_SPREAD[rows_ND.dtype] * np.abs(mean_D)
    far_D = varies_D & (np.abs(mean_D) > FAR * spread_D)
    scale_D = np.where(varies_D, spread_D, 1.0).astype(np.float32)
    if not far_D.any():
        return mean_D.astype(np.float32), scale_D, ()
    offset_D = np.where(far_D, mean_D, 0.0)
    return (mean_D - offset_D).astype(np.float32), scale_D, tuple(offset_D.tolist())


@dataclass(frozen=True, slots=True, eq=False)
class VectorRows:
    """Encoded vectors: less the offset of the model's inputs, float32, (N, D)."""

    vectors: Floats

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.vectors)

    def take(self, rows: Integers) -> VectorRows:
        """A selection of rows."""
        return VectorRows(self.vectors[rows])


class Dense(Frozen):
    """A linear layer and an activation, on each row."""

    size: Size = Field(description="units")
    activation: ActivationName = Field(default="relu", description="relu, tanh or gelu")


class Vectors(Offset, InputSpec):
    """Sequences of vectors (T, D), standardised by channel: (x - offset - mean) / scale.

    A dense layer may stand between the standardised channels and the encoder.
    """

    unit: ClassVar[str] = "step"
    reads: ClassVar[str] = "sequences of vectors, one array (steps, channels) for each"
    holds: ClassVar[Literal["tokens", "vectors"]] = "vectors"
    file: ClassVar[str | None] = "data.ts"
    formats: ClassVar[str] = "`.ts` or `.npz`"

    added: ClassVar = Offset.added | {"dense"}
    kept_in_float32: ClassVar = dict.fromkeys(("mean", "scale"), "units of the inputs")

    kind: Literal["vectors"] = "vectors"
    size: Size = Field(description="channels of a step")
    dense: Dense | None = Field(default=None, description="the layer before the encoder")

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        return self.size if self.dense is None else self.dense.size

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes."""
        shapes: dict[str, Shape] = {"mean": (self.size,), "scale": (self.size,)}
        if self.dense is not None:
            shapes |= linear_shapes("dense", self.dense.size, self.size)
        return shapes

    def described_by(self) -> dict[str, Any]:
        """Settings of training that make this dense layer, or none."""
        if self.dense is None:
            return {"dense_size": None}
        return {"dense_size": self.dense.size, "dense_activation": self.dense.activation}

    @classmethod
    def fits(cls, train: Sequence[Example]) -> bool:
        """Whether an example holds vectors."""
        return any(isinstance(example.inputs, np.ndarray) for example in train)

    @classmethod
    def learn(cls, train: Sequence[Example], settings: Any, notices: list[str]) -> LearntInputs:
        """The channels, their mean and their standard deviation."""
        del notices
        rows_ND = np.concatenate([reals(e.inputs) for e in train if len(e.inputs)])
        mean_D, scale_D, offset = standard_units(rows_ND)
        dense = None
        if settings.dense_size is not None:
            dense = Dense(size=settings.dense_size, activation=settings.dense_activation)
        inputs = cls(size=rows_ND.shape[1], offset=offset, dense=dense)
        return LearntInputs(inputs, initial={"mean": mean_D, "scale": scale_D})

    def codec(self, vocabularies: Vocabularies) -> VectorCodec:
        """The codec that validates and encodes sequences."""
        return VectorCodec(self, vocabularies)

    @property
    def example(self) -> str:
        """Sequences for a call of `predict`, as Python writes them."""
        return f"[np.zeros((20, {self.size}), np.float32)]"

    @property
    def wanted(self) -> str:
        """What a call takes, for messages."""
        return f"[array of shape (steps, {self.size}), ...]"

    def outline(self) -> str:
        """The inputs in one line of the model card."""
        layer = "" if self.dense is None else f" → {self.dense.size} {self.dense.activation}"
        return f"vectors of {self.size} channels{layer}"

    def stages(self) -> list[InputStage]:
        """The inputs in the drawing of a model."""
        channels = [RowPart(self.size, "channels")]
        stages = [InputStage("vectors, standardised", ("mean", "scale"), channels)]
        if self.dense is not None:
            name = f"dense layer, {self.dense.activation}"
            stages.append(InputStage(name, ("dense.",), [RowPart(self.dense.size, "units")]))
        return stages

    def limitation(self) -> str:
        """What of its inputs a model cannot judge."""
        return (
            "Channels are standardised by the training data's mean and scale: other units, another "
            "order of channels or another sampling rate give wrong answers without any warning."
        )


class VectorCodec(Codec[Vectors]):
    """Validates arrays (T, D), and converts them to float32 less the offset."""

    def check_call(self, sequences: Any) -> None:
        """Refuse a single array, unless its rows can only be series of the model's one channel."""
        one = self.inputs.size == 1
        if isinstance(sequences, np.ndarray) and sequences.ndim == 2:
            if one and sequences.shape[1] != 1:
                return
            raise ShapeError(
                f"sequences is one array of shape {sequences.shape}. Give a list of sequences: "
                f"{self.inputs.wanted}"
            )

    def validated(self, given: Any, name: str, split: Split) -> Reals:
        """An array (T, D) of finite numbers, in the precision it came with."""
        del split
        channels = self.inputs.size
        try:
            values_TD = reals(given)
        except ValueError:
            raise ShapeError(
                f"{name} is {described(given)}, not an array of numbers (steps, channels). "
                f"Give a list of sequences: {self.inputs.wanted}"
            ) from None
        if values_TD.size == 0 and values_TD.ndim <= 2:
            return values_TD.reshape(0, channels)
        if values_TD.ndim == 1 and channels == 1:
            values_TD = values_TD[:, None]
        if values_TD.ndim != 2 or values_TD.shape[1] != channels:
            raise ShapeError(
                f"{name} has shape {values_TD.shape}, the model reads (steps, {channels}). "
                f"Give it the {channels} channels that the model was trained on."
            )
        require_finite(values_TD, name, "step", "channel")
        return values_TD

    def validated_step(self, given: Any, name: str) -> Steps:
        """The channels of a step, or a number where there is one channel."""
        channels = self.inputs.size
        try:
            row_D = reals(given)
        except ValueError:
            row_D = None
        if row_D is not None and row_D.ndim == 0:
            row_D = row_D.reshape(1)
        if row_D is None or row_D.shape != (channels,):
            got = type(given).__name__ if row_D is None else f"shape {row_D.shape}"
            raise ShapeError(f"{name} is {got}, the model reads {channels} channels, ({channels},)")
        require_finite(row_D, name, "channel")
        return row_D[None, :]

    def rows(self, sequences: Sequence[Any]) -> VectorRows:
        """Rows less the offset, float32, (N, D)."""
        offset = self.inputs.offset
        empty = np.zeros((0, self.inputs.size), np.float32)
        filled = [values for values in sequences if len(values)]
        # All rows are converted at once: a conversion per sequence took 3 % of prediction.
        with np.errstate(over="ignore"):
            rows_ND: Any = np.concatenate(
                [empty, *filled], dtype=np.float64 if offset else np.float32, casting="same_kind"
            )
        return VectorRows(narrow(rows_ND, offset))

    def embedding(self, tensors: Tensors, encoder: Preparer) -> Embed:
        """Standardised rows, through the dense layer if there is one."""
        del encoder
        dense = None
        if self.inputs.dense is not None:
            dense = DenseLayer(tensors, "inputs.dense", self.inputs.dense.activation)
        mean_D, scale_D = tensors["inputs.mean"], tensors["inputs.scale"]

        def embed(sequences: Sequence[Steps]) -> InputRows:
            values_ND = self.rows(sequences).vectors
            with np.errstate(over="ignore"):
                rows_ND = (values_ND - mean_D) / scale_D
            if not np.isfinite(rows_ND).all():
                row, channel = (int(i) for i in np.argwhere(~np.isfinite(rows_ND))[0])
                raise DataError(
                    f"channel {channel}: {values_ND[row, channel]} cannot be standardised by the "
                    f"model's mean {mean_D[channel]} and scale {scale_D[channel]}: float32 ends "
                    "before. Give values in the units that the model was trained on."
                )
            return InputRows(rows_ND if dense is None else dense(rows_ND), None)

        return embed
