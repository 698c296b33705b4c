"""Mean ablation: what the head would say if it could not hear one of the halves.

A half is ablated by putting its mean over data in the place of its states, at each step and at
its end; merging, residual connection, pooling and head then run as always. In a stack these are
the halves of the last layer, which read rows that both directions had a part in.
"""

# T steps, H hidden units of each direction, L answers, C conditions

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.errors import ConfigError, ShapeError, nearest
from birnn.explain.inspected import Array, Halves, InspectedModel, Model, array
from birnn.explain.reading import Reading, halves_over
from birnn.models import StateSums
from birnn.runtime.ablation import (
    CONDITIONS,
    DIRECTIONS,
    Condition,
    added_by,
    balance,
    conditions_of,
    margins,
)


@dataclass(frozen=True, slots=True, eq=False)
class MeanStates:
    """Mean states of the last layer's halves, which say nothing of any one sequence.

    Args:
        rows: Mean state of each half over all steps, (H,): forward, then backward.
        last: Mean final state of each half over the sequences, (H,).
        steps: Steps that it is the mean of; None where training left it and did not say.
        sequences: Sequences that they come from; likewise.

    Example:
        >>> from birnn.nn import BiRNN
        >>> means = MeanStates.over(BiRNN("gru", 3, 4), [np.ones((5, 3)), np.ones((2, 3))])
        >>> means.steps, means.sequences, [row.shape for row in means.rows]
        (7, 2, [(4,), (4,)])
    """

    rows: tuple[Array, ...]
    last: tuple[Array, ...]
    steps: int | None
    sequences: int | None

    @classmethod
    def over(cls, model: Model, sequences: Iterable[Any]) -> MeanStates:
        """The mean over data, which is best the data that the model was trained on.

        Args:
            model: As for `InspectedModel.of`.
            sequences: As ``predict`` takes them; those without steps are left out.

        Raises:
            DataError: A sequence that the model cannot read, or not one with a step.
        """
        sums = StateSums()
        for halves in halves_over(model, sequences):
            sums.add([half.values for half in halves.parts], halves.last)
        return cls(tuple(sums.rows), tuple(sums.last), sums.steps, sums.sequences)

    @classmethod
    def of_training(cls, model: Model) -> MeanStates | None:
        """The mean that training left in the bundle; None where it left none."""
        means = InspectedModel.of(model).means
        if not means:
            return None
        rows, last = (tuple(np.asarray(means[name], np.float64)) for name in ("rows", "last"))
        return cls(rows, last, None, None)

    @classmethod
    def of_sequence(cls, halves: Halves) -> MeanStates:
        """The mean over one sequence's own steps, which stands for its final state too."""
        rows = tuple(array(half.values.double().mean(dim=0)) for half in halves.parts)
        return cls(rows, rows, int(halves.below.lengths.sum()), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """What a model says in full, and without what either half or both halves know.

    Args:
        conditions: All, or ``full`` and ``without forward`` with one direction.
        scores: In each condition the logits of all labels, (C, T, L) for tags (with a CRF its
            emissions), (C, L) for a label; or the values in their own units, (C, L).
        answers: What the model would say in each: numbers of labels, (C, T) or (C,), which with
            a CRF are the best sequence; or the values, (C, L).
        outputs: Names of the L answers.
        regresses: Whether they are values and not labels.
        means: What the ablated halves were replaced by.
        own_means: Whether that is the mean over the sequence's own steps, for want of data.
        independent: Whether each label is given or not for itself; the answer is then the one that
            is furthest above its threshold.
    """

    conditions: tuple[Condition, ...]
    scores: Array
    answers: Array
    outputs: tuple[str, ...]
    regresses: bool
    means: MeanStates
    own_means: bool
    independent: bool = False

    def logits(self, target: str | None = None) -> dict[Condition, Array]:
        """Score of one answer in each condition, (T,) or a scalar array.

        Args:
            target: Which answer; the full one where it is None, at each step its own, and the
                first of a regressor's values.

        Raises:
            ConfigError: An answer that the model does not have.
        """
        if target is not None and target not in self.outputs:
            raise ConfigError(f"target is {target!r}: {nearest(target, self.outputs)}")
        if target is not None or self.regresses:
            number = np.array(0 if target is None else self.outputs.index(target))
        else:
            number = self.answers[0]
        index = np.broadcast_to(number, self.scores.shape[1:-1])[..., None]
        return {
            condition: np.take_along_axis(scores, index, axis=-1)[..., 0]
            for condition, scores in zip(self.conditions, self.scores, strict=True)
        }

    def contributions(self, target: str | None = None) -> dict[str, Array]:
        """What an answer loses where each half is ablated, (T,) or a scalar array.

        Args:
            target: As for `logits`.

        Returns:
            ``forward`` and, of two directions, ``backward`` to the loss of the score.

        Raises:
            ConfigError: An answer that the model does not have.
        """
        return added_by(self.logits(target))

    def margins(self) -> Array:
        """How far the label of the full answer is above the best other, (C, T) or (C,).

        With a CRF it is below 0 where neighbours outvoted a step's own emissions. It is 0 where
        there is but one label, and nothing to decide. Where each label is given for itself it is
        the logit.

        Raises:
            ConfigError: The model answers with values.
        """
        if self.regresses:
            raise ConfigError("values have no runner-up, so no margin. Compare `scores` instead.")
        if self.independent:
            return np.stack([*self.logits().values()])
        return margins(self.scores, self.answers[:1])

    def losses(self) -> dict[Condition, Array]:
        """What the margin loses in each condition but the full one, (T,) or a scalar array.

        Raises:
            ConfigError: The model answers with values.
        """
        full, *without = self.margins()
        return {
            condition: np.asarray(full - margin)
            for condition, margin in zip(self.conditions[1:], without, strict=True)
        }

    def balance(self) -> Array:
        """Which direction decided, from 1 (forward) to -1 (backward), (T,) or a scalar array.

        It is ``(f - b) / (|f| + |b|)``, f and b being what the margin loses without the forward
        and without the backward half; 0 where it loses nothing without either. With one direction
        the backward half has no part.

        Raises:
            ConfigError: The model answers with values.
        """
        losses = self.losses()
        f = losses["without forward"]
        return balance(f, losses.get("without backward", np.zeros_like(f)))


def mean_ablation(
    model: Model | Reading, sequence: Any = None, *, means: MeanStates | None = None
) -> Ablation:
    """What the model says of a sequence with and without either half.

    Args:
        model: A whole model, as for `Reading.of`; a bare `BiRNN` decides nothing.
        sequence: As ``predict`` takes one; of a reading its own.
        means: What ablated halves are replaced by; by default what training left in the bundle,
            or else the mean over the sequence's own steps.

    Raises:
        ConfigError: A bare `BiRNN`.
        ShapeError: The mean states of another model.
        DataError: A sequence that the model cannot read, or one without steps.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Label, Spec, Symbols
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Label(size=2)
        ... )
        >>> tensors = {name: np.ones(s, np.float32) for name, s in spec.tensors().items()}
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> found = mean_ablation(bundle, "ACA", means=MeanStates.over(bundle, ["AC", "CCA"]))
        >>> found.scores.shape, found.answers.tolist(), found.losses()["without both"]
        ((4, 2), [0, 0, 0, 0], array(0.))
    """
    reading = Reading.of(model, sequence)
    inspected, halves = reading.model, reading.halves()
    outputs = inspected.outputs
    means = MeanStates.of_training(inspected) if means is None else means
    own_means = means is None
    scores, answers = [], []
    with torch.no_grad():
        means = MeanStates.of_sequence(halves) if means is None else means
        _check(means, halves)
        conditions = conditions_of(len(halves.parts))
        for condition in conditions:
            found, rows = inspected.scores(ablate(halves, means, CONDITIONS[condition]))
            scores.append(array(found).astype(np.float64))
            answers.append(inspected.answers(found, rows))
    if not inspected.tags:
        scores, answers = [s[0] for s in scores], [a[0] for a in answers]
    return Ablation(
        conditions,
        np.stack(scores),
        np.stack(answers),
        outputs,
        inspected.regresses,
        means,
        own_means,
        inspected.independent,
    )


def ablate(halves: Halves, means: MeanStates, directions: Collection[str]) -> Halves:
    """The halves with mean states in the place of one of them, or both.

    Args:
        halves: Of the last layer.
        means: What stands for a half that is ablated.
        directions: Whose halves are.
    """
    ablated = [name in directions for name in DIRECTIONS[: len(halves.parts)]]

    def mean(mean_H: Array, states: Tensor) -> Tensor:
        return torch.tensor(mean_H).to(states).expand_as(states)

    parts = [
        half.with_values(mean(mean_H, half.values)) if gone else half
        for half, mean_H, gone in zip(halves.parts, means.rows, ablated, strict=True)
    ]
    last = [
        mean(mean_H, final) if gone else final
        for final, mean_H, gone in zip(halves.last, means.last, ablated, strict=True)
    ]
    return Halves(halves.below, parts[0], (*parts, None)[1], tuple(last))


def _check(means: MeanStates, halves: Halves) -> None:
    wanted = [tuple(final.shape[1:]) for final in halves.last]
    got = [mean_H.shape for mean_H in (*means.rows, *means.last)]
    if got != wanted * 2:
        raise ShapeError(
            f"the mean states are of {got}, the model has halves of {wanted}. "
            "Make them of this model: MeanStates.over(model, sequences)."
        )
