"""From a `Spec` to the torch model it describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from birnn.bundle.spec import Spec
from birnn.models.head import HeadTraining
from birnn.models.heads import HEADS
from birnn.models.inputs import INPUTS, Dropout
from birnn.models.network import Network
from birnn.nn import BiRNN
from birnn.schema import Frozen


def build(
    spec: Spec,
    *,
    dropout: Dropout | None = None,
    labels: Sequence[str] | None = None,
    word_counts: Any = None,
    class_weights: Any = None,
    label_smoothing: float = 0.0,
    head_settings: Frozen | None = None,
    checkpoint: bool = False,
) -> Network:
    """Build the model that ``spec`` describes, freshly initialised.

    Args:
        spec: The model.
        dropout: Rates for training; none by default.
        labels: Names of the labels in the order of their ids, for the constraints of a tag scheme.
        word_counts: Count of each word in training, (V,), for the dropout of rare words.
        class_weights: Weight of each label in the loss, (L,).
        label_smoothing: Share of the probability spread over all labels in the loss.
        head_settings: Settings of the task's head; those by default where they are not given.
        checkpoint: Whether the encoder keeps only its states for the backward pass, see `BiRNN`.

    Raises:
        ConfigError: Settings that do not fit the model.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8), encoder=Encoder(hidden_size=4), head=Tags(size=3)
        ... )
        >>> model = build(spec)
        >>> {name: tuple(t.shape) for name, t in model.state_dict().items()} == spec.tensors()
        True
    """
    dropout = Dropout() if dropout is None else dropout
    if class_weights is not None:
        class_weights = torch.as_tensor(class_weights, dtype=torch.float32)
    training = HeadTraining(labels, class_weights, label_smoothing, dropout, head_settings)
    before = torch.get_default_dtype()
    # A bundle's tensors are float32, whatever torch's default is.
    torch.set_default_dtype(torch.float32)
    try:
        return Network(
            spec,
            inputs=INPUTS[spec.inputs.kind](spec.inputs, dropout, word_counts),
            encoder=BiRNN.from_stack(spec.stack, dropout=dropout.layers, checkpoint=checkpoint),
            head=HEADS[spec.head.kind](spec.head, spec.stack, training),
            dropout=dropout,
        )
    finally:
        torch.set_default_dtype(before)
