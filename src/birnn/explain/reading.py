"""One sequence as a model read it: computed once, and what every measure of it stands on."""

# T steps, N rows of all sequences, W width of a row, L answers of the head

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.errors import UsageError
from birnn.explain.inspected import Array, Halves, InspectedModel, Model, Rows


@dataclass(frozen=True, eq=False)
class Reading:
    """A sequence and all that a model makes of it, each part computed when it is first asked for.

    The encoder runs once, without gradients; what needs gradients or other rows (`flow`,
    `integrated_gradients`, `occlusion`) runs it again on copies.

    Args:
        model: The model, taken apart.
        rows: Input rows of the sequence, (T, W), as a batch of one.
        tokens: The steps as written; None where they are vectors.
        series: The vectors as given, (T, D) float64; None where the steps are tokens.

    Example:
        >>> from birnn.nn import BiRNN
        >>> reading = Reading.of(BiRNN("gru", 3, 4, num_layers=2), np.ones((5, 3)))
        >>> reading.steps, len(reading.layers), tuple(reading.halves(0).backward.values.shape)
        (5, 2, (5, 4))
        >>> Reading.of(reading) is reading
        True
    """

    model: InspectedModel
    rows: Rows
    tokens: tuple[str, ...] | None = None
    series: Array | None = None

    @classmethod
    def of(cls, model: Model | Reading, sequence: Any = None) -> Reading:
        """Read a sequence; what is a reading already is given back.

        Args:
            model: As for `InspectedModel.of`; or a reading, which has its sequence.
            sequence: As ``predict`` takes one; of a `BiRNN` an array (T, W).

        Raises:
            DataError: A sequence that the model cannot read, or one without steps.
            UsageError: A reading and another sequence.
        """
        if isinstance(model, Reading):
            if sequence is not None:
                raise UsageError("a reading has its sequence. Give the model to read another.")
            return model
        inspected = InspectedModel.of(model)
        checked = inspected.validated(sequence)
        rows = inspected.batch([checked])
        if isinstance(checked, np.ndarray):
            return cls(inspected, rows, series=np.array(checked, np.float64))
        return cls(inspected, rows, tokens=tuple(checked))

    @property
    def steps(self) -> int:
        """Number T of steps."""
        return int(self.rows.lengths[0])

    @cached_property
    def layers(self) -> tuple[Halves, ...]:
        """The halves of every layer, of one run of the encoder."""
        with torch.no_grad():
            return self.model.run_layers(self.rows)

    def halves(self, layer: int = -1) -> Halves:
        """The halves of a layer, counted from the end where its number is negative.

        Raises:
            ConfigError: A layer that the model does not have.
        """
        return self.layers[self.model.layer(layer)]

    def merged(self, layer: int = -1) -> tuple[Rows, Tensor]:
        """Output rows of a layer, (T, W), and its merged final states, (1, W)."""
        with torch.no_grad():
            return self.model.merge(self.halves(layer), layer=layer)

    @cached_property
    def scores(self) -> Tensor:
        """What the head makes of it: logits, (T, L) for tags and (1, L) for a label, or values.

        Raises:
            ConfigError: A bare `BiRNN`, which has no head.
        """
        with torch.no_grad():
            return self.model.scores(self.halves())[0]

    @cached_property
    def answers(self) -> Array:
        """What the model says: ids of labels, (T,) or (1,), or values, (1, L)."""
        return self.model.answers(self.scores, self.rows)

    @cached_property
    def asked(self) -> Array | None:
        """Which steps the head answers for, (T,) bool, where it does for some alone; else None."""
        return None if self.tokens is None else self.model.spec.head.asked([self.tokens])

    @cached_property
    def unknown(self) -> Array:
        """Which steps are tokens that the model does not know, (T,) bool."""
        if self.tokens is None:
            return np.zeros(self.steps, np.bool_)
        return self.model.unknown(self.tokens)


def inspected_model(model: Model | Reading) -> InspectedModel:
    """The model of a reading, or any model, taken apart."""
    return model.model if isinstance(model, Reading) else InspectedModel.of(model)


def halves_over(
    model: Model | Reading, sequences: Iterable[Any] | None, layer: int = -1
) -> Iterator[Halves]:
    """The halves of a layer over data, batch by batch, without gradients.

    Args:
        model: As for `Reading.of`.
        sequences: As ``predict`` takes them; those without steps are left out. None: of a reading
            its own sequence.
        layer: Which layer; the last by default.

    Raises:
        DataError: A sequence that the model cannot read, or not one with a step.
        UsageError: No sequences and no reading.
    """
    if sequences is None:
        if not isinstance(model, Reading):
            raise UsageError("there are no sequences to look at. Give some, or a reading.")
        yield model.halves(layer)
        return
    inspected = inspected_model(model)
    for rows in inspected.batches(sequences):
        with torch.no_grad():
            yield inspected.run(rows, layer=layer)
