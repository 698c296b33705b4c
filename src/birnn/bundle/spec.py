"""The description of a model as data, which building, running and exporting read.

A `Spec` holds inputs, encoder and head with all sizes, from which the names and shapes of all
tensors follow (`Spec.tensors`). Settings of training alone (dropout, learning rate) are no part.
"""

from __future__ import annotations

import math

from pydantic import Field

from birnn.inputs import Inputs
from birnn.reference.stack import CellName, MergeName, Stack
from birnn.schema import Frozen, Shape, Size, prefixed
from birnn.tasks import AnyHead


class Encoder(Frozen):
    """The stacked recurrent network between inputs and head."""

    cell: CellName = Field(default="lstm", description="rnn_tanh, rnn_relu, lstm or gru")
    hidden_size: Size = Field(default=200, description="hidden units of each direction")
    num_layers: int = Field(default=1, ge=1, le=256, description="layers on top of each other")
    bidirectional: bool = Field(default=True, description="a backward half beside the forward one")
    merge: MergeName = Field(default="concat", description="concat, sum, mean, product or project")
    residual: bool = Field(default=False, description="add a layer's input to its output")

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

    inputs: Inputs
    encoder: Encoder
    head: AnyHead

    @property
    def task(self) -> str:
        """Name of the task, as on the command line."""
        return self.head.task

    @property
    def stack(self) -> Stack:
        """The encoder's recurrent network."""
        return self.encoder.stack(self.inputs.width)

    def tensors(self) -> dict[str, Shape]:
        """Name and shape of every tensor of the model; all are float32."""
        return (
            prefixed("inputs", self.inputs.tensors())
            | prefixed("encoder", self.stack.shapes())
            | prefixed("head", self.head.tensors(self.stack.output_size))
        )

    def mean_states(self) -> dict[str, Shape]:
        """Names and shapes of the mean states over data, used for mean ablation by explanations.

        Of each direction of the last layer: over all steps (``rows``), and over the final states
        (``last``).
        """
        shape = (self.stack.directions, self.encoder.hidden_size)
        return {"rows": shape, "last": shape}

    def parameter_count(self) -> int:
        """Number of values in all tensors."""
        return sum(map(math.prod, self.tensors().values()))
