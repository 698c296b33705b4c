"""The description of a model as data, which building, running and exporting read.

A `Spec` holds inputs, encoder and head with all sizes, from which the names and shapes of all
tensors follow (`Spec.tensors`). Settings of training alone (dropout, learning rate) are no part.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from birnn.inputs import Inputs
from birnn.reference.cells import CELLS
from birnn.reference.low_precision import Precision
from birnn.reference.stack import (
    CellName,
    Direction,
    MergeName,
    Stack,
    any_bidirectional,
    no_merge_size,
)
from birnn.schema import Frozen, Shape, Size, prefixed
from birnn.tasks import AnyHead

FINAL_STATES = ("final_h", "final_c")  # mean states of all layers, as a cell has them


STORED = {"float32": "float32", "bf16": "bfloat16", "int8": "int8"}
"""Dtype on disk of a matrix in each precision."""
SCALES = ".scales"
"""What the row scales of an int8 matrix are called after its name."""


class StoredTensor(NamedTuple):
    """A tensor as it is stored.

    Args:
        shape: Its shape.
        dtype: Its dtype: ``float32``, ``bfloat16`` or ``int8``.
    """

    shape: Shape
    dtype: str = "float32"


def _parts(given: Any) -> Any:
    """A list, also where it was given as text with commas."""
    return [part.strip() for part in given.split(",")] if isinstance(given, str) else given


class Encoder(Frozen):
    """The stacked recurrent network between inputs and head.

    Where ``directions`` says which layers have two directions, ``num_layers`` and
    ``bidirectional`` follow from it and may be left out.

    Example:
        >>> encoder = Encoder(directions=("both", "both", "forward"))
        >>> encoder.num_layers, encoder.bidirectional
        (3, True)
    """

    added: ClassVar = frozenset({"directions", "merge_size"})
    # What follows from `directions`.
    implied: ClassVar[tuple[str, ...]] = ("num_layers", "bidirectional")

    cell: CellName = Field(default="lstm", description="rnn_tanh, rnn_relu, lstm or gru")
    hidden_size: Size = Field(default=200, description="hidden units of each direction")
    num_layers: int = Field(default=1, ge=1, le=256, description="layers on top of each other")
    bidirectional: bool = Field(default=True, description="a backward half beside the forward one")
    merge: MergeName = Field(default="concat", description="concat, sum, mean, product or project")
    residual: bool = Field(default=False, description="add a layer's input to its output")
    directions: Annotated[tuple[Direction, ...] | None, BeforeValidator(_parts)] = Field(
        default=None,
        description="both or forward for each layer, as in both,both,forward; num_layers follows",
    )
    merge_size: Size | None = Field(
        default=None, description="width of the rows that project makes; by default hidden_size"
    )

    @model_validator(mode="before")
    @classmethod
    def _implied_by_directions(cls, given: Any) -> Any:
        directions = _parts(given.get("directions")) if isinstance(given, dict) else None
        if not isinstance(directions, list | tuple):
            return given
        return {"num_layers": len(directions), "bidirectional": "both" in directions} | given

    @field_validator("directions")
    @classmethod
    def _check_directions(
        cls, directions: tuple[Direction, ...] | None, info: ValidationInfo
    ) -> tuple[Direction, ...] | None:
        if directions is not None and info.data.keys() >= set(cls.implied):
            wanted = info.data["bidirectional"]
            if wanted != any_bidirectional(directions, info.data["num_layers"], wanted):
                raise ValueError("bidirectional is true, but no layer has both directions")
        return directions

    @field_validator("merge_size")
    @classmethod
    def _check_merge_size(cls, merge_size: int | None, info: ValidationInfo) -> int | None:
        merge = info.data.get("merge", "project")
        if merge_size is not None and merge != "project":
            raise ValueError(no_merge_size(merge))
        return merge_size

    def stack(self, input_size: int) -> Stack:
        """The network over rows of ``input_size``."""
        return Stack(
            self.cell,
            input_size,
            self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            merge=self.merge,
            residual=self.residual,
            directions=self.directions,
            merge_size=self.merge_size,
        )


class Spec(Frozen):
    """A whole model.

    Example:
        >>> from birnn.inputs import Symbols
        >>> from birnn.tasks import Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8),
        ...     encoder=Encoder(cell="gru", hidden_size=16),
        ...     head=Tags(size=3),
        ... )
        >>> spec.tensors()["encoder.weight_ih_l0_reverse"]
        (48, 8)
        >>> spec.tensors()["head.linear.weight"]
        (3, 32)
    """

    added: ClassVar = frozenset({"precision"})

    inputs: Inputs
    encoder: Encoder
    head: AnyHead
    precision: Precision = Field(
        default="float32", description="of the weights: float32, bf16 or int8"
    )

    @model_validator(mode="after")
    def _check_head(self) -> Spec:
        faults = self.head.encoder_faults(self.stack)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def task(self) -> str:
        """Name of the task, as on the command line."""
        return self.head.task

    @property
    def stack(self) -> Stack:
        """The encoder's recurrent network."""
        return self.encoder.stack(self.inputs.width)

    def tensors(self) -> dict[str, Shape]:
        """Name and shape of every tensor of the model."""
        return (
            prefixed("inputs", self.inputs.tensors())
            | prefixed("encoder", self.stack.shapes())
            | prefixed("head", self.head.tensors(self.stack))
        )

    def kept_in_float32(self) -> dict[str, str]:
        """The tensors that are float32 in every precision, each with the reason.

        All others are matrices that a recurrent layer, a linear layer or an embedding reads.

        Example:
            >>> from birnn.inputs import Symbols
            >>> from birnn.tasks import Tags
            >>> spec = Spec(inputs=Symbols(size=5, dim=8), encoder=Encoder(), head=Tags(size=3))
            >>> spec.kept_in_float32()["head.linear.bias"]
            'biases: added to float32 sums'
            >>> "head.linear.weight" in spec.kept_in_float32()
            False
        """
        reasons = prefixed("inputs", self.inputs.kept_in_float32)
        reasons |= prefixed("head", self.head.kept_in_float32)
        kept = {}
        for name, shape in self.tensors().items():
            reason = next((why for of, why in reasons.items() if name.startswith(of)), None)
            own = name.rpartition(".")[2]
            if reason is None and not (len(shape) == 2 and own.split("_")[0] == "weight"):
                reason = "biases: added to float32 sums"
            if reason is not None:
                kept[name] = reason
        return kept

    def stored_tensors(self) -> dict[str, StoredTensor]:
        """Every tensor as it is stored: matrices in the precision, int8 ones with row scales."""
        kept = self.tensors() if self.precision == "float32" else self.kept_in_float32()
        stored = {}
        for name, shape in self.tensors().items():
            low = name not in kept
            stored[name] = StoredTensor(shape, STORED[self.precision] if low else "float32")
            if low and self.precision == "int8":
                stored[name + SCALES] = StoredTensor(shape[:1])
        return stored

    def mean_states(self) -> dict[str, Shape]:
        """Names and shapes of the mean states over data, used for mean ablation by explanations.

        Of each direction of the last layer: over all steps (``rows``), and over the final states
        (``last``). Of a head that begins in the encoder's final states, these of all layers and
        directions, too (``final_h``, and ``final_c`` of an LSTM).
        """
        shape: Shape = (self.stack.directions_of(-1), self.encoder.hidden_size)
        shapes = {"rows": shape, "last": shape}
        if self.head.reads_final_states:
            final: Shape = (self.stack.state_count, self.encoder.hidden_size)
            shapes |= dict.fromkeys(FINAL_STATES[: CELLS[self.stack.cell].states], final)
        return shapes

    def parameter_count(self) -> int:
        """Number of values in all tensors."""
        return sum(map(math.prod, self.tensors().values()))
