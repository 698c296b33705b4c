"""Which direction decided: what the head would say if it could not hear one of the halves.

A half is silenced by putting its mean over data in the place of its states, at each step and at
its end; merging, residual connection, pooling and head then run as always. In a stack these are
the halves of the last layer, which read rows that both directions had a part in.
"""

# T steps, H hidden units of each direction, L answers, C cases

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from birnn.errors import ConfigError, ShapeError, nearest
from birnn.explain.inspected import Array, Halves, Model, Rows, Subject, array
from birnn.explain.reading import Reading, halves_over

Case = Literal["full", "without forward", "without backward", "without both"]

# Which halves are silenced in each case: forward, backward.
CASES: dict[Case, tuple[bool, bool]] = {
    "full": (False, False),
    "without forward": (True, False),
    "without backward": (False, True),
    "without both": (True, True),
}
ONE_DIRECTION: tuple[Case, ...] = ("full", "without forward")


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What the halves of the last layer say on average, which tells nothing of a sequence.

    Args:
        rows: Mean state of each half over all steps, (H,): forward, then backward.
        last: Mean final state of each half over the sequences, (H,).
        steps: Steps that it is the mean of; None where training left it and did not say.
        sequences: Sequences that they come from; likewise.

    Example:
        >>> from birnn.nn import BiRNN
        >>> background = Background.over(BiRNN("gru", 3, 4), [np.ones((5, 3)), np.ones((2, 3))])
        >>> background.steps, background.sequences, [row.shape for row in background.rows]
        (7, 2, [(4,), (4,)])
    """

    rows: tuple[Array, ...]
    last: tuple[Array, ...]
    steps: int | None
    sequences: int | None

    @classmethod
    def over(cls, model: Model, sequences: Iterable[Any]) -> Background:
        """The mean over data, which is best the data that the model was trained on.

        Args:
            model: As for `Subject.of`.
            sequences: As ``predict`` takes them; those without steps are left out.

        Raises:
            DataError: A sequence that the model cannot read, or not one with a step.
        """
        subject = Subject.of(model)
        hidden, directions = subject.stack.hidden_size, subject.stack.directions
        rows, last = np.zeros((directions, hidden)), np.zeros((directions, hidden))
        steps = count = 0
        for halves in halves_over(subject, sequences):
            rows += [array(half.values.double().sum(dim=0)) for half in halves.parts]
            last += [array(final.double().sum(dim=0)) for final in halves.last]
            steps += int(halves.below.lengths.sum())
            count += len(halves.below)
        return cls(tuple(rows / steps), tuple(last / count), steps, count)

    @classmethod
    def left(cls, model: Model) -> Background | None:
        """The mean that training left in the bundle; None where it left none."""
        means = Subject.of(model).means
        if not means:
            return None
        rows, last = (tuple(np.asarray(means[name], np.float64)) for name in ("rows", "last"))
        return cls(rows, last, None, None)

    @classmethod
    def own(cls, halves: Halves) -> Background:
        """The mean over one sequence's own steps, which stands for its final state too."""
        rows = tuple(array(half.values.double().mean(dim=0)) for half in halves.parts)
        return cls(rows, rows, int(halves.below.lengths.sum()), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a model says in full, and without what either half or both halves know.

    Args:
        cases: Which cases there are: all of `CASES`, or ``full`` and ``without forward`` with one
            direction.
        scores: For each case the logits of all labels, (C, T, L) for tags (with a CRF its
            emissions), (C, L) for a label; or the values in their own units, (C, L).
        answers: What the model would say in each case: numbers of labels, (C, T) or (C,), which
            with a CRF are the best sequence; or the values, (C, L).
        outputs: Names of the L answers.
        regresses: Whether they are values and not labels.
        background: What the silenced halves were replaced by.
        own_background: Whether that is the mean over the sequence's own steps, for want of data.
    """

    cases: tuple[Case, ...]
    scores: Array
    answers: Array
    outputs: tuple[str, ...]
    regresses: bool
    background: Background
    own_background: bool

    def logits(self, target: str | None = None) -> dict[Case, Array]:
        """Score of one answer in each case, (T,) or a scalar array.

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
            case: np.take_along_axis(scores, index, axis=-1)[..., 0]
            for case, scores in zip(self.cases, self.scores, strict=True)
        }

    def margins(self) -> Array:
        """How far the label of the full answer is above the best other, (C, T) or (C,).

        With a CRF it is below 0 where neighbours outvoted a step's own emissions. It is 0 where
        there is but one label, and nothing to decide.

        Raises:
            ConfigError: The model answers with values.
        """
        if self.regresses:
            raise ConfigError("values have no runner-up, so no margin. Compare `scores` instead.")
        if self.scores.shape[-1] == 1:
            return np.zeros(self.scores.shape[:-1])
        label = np.broadcast_to(self.answers[:1, ..., None], (*self.scores.shape[:-1], 1))
        own = np.take_along_axis(self.scores, label, axis=-1)[..., 0]
        others = self.scores.copy()
        np.put_along_axis(others, label, -np.inf, axis=-1)
        margins: Array = own - others.max(axis=-1)
        return margins

    def losses(self) -> dict[Case, Array]:
        """What the margin loses in each case but the full one, (T,) or a scalar array.

        Raises:
            ConfigError: The model answers with values.
        """
        full, *without = self.margins()
        return {
            case: np.asarray(full - margin)
            for case, margin in zip(self.cases[1:], without, strict=True)
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
        b = losses.get("without backward", np.zeros_like(f))
        total = np.abs(f) + np.abs(b)
        balance: Array = np.divide(f - b, total, out=np.zeros_like(total), where=total > 0)
        return balance


def decide(
    model: Model | Reading, sequence: Any = None, *, background: Background | None = None
) -> Decision:
    """What the model says of a sequence with and without either half.

    Args:
        model: A whole model, as for `Reading.of`; a bare `BiRNN` decides nothing.
        sequence: As ``predict`` takes one; of a reading its own.
        background: What silenced halves are replaced by; by default what training left in the
            bundle, or else the mean over the sequence's own steps.

    Raises:
        ConfigError: A bare `BiRNN`.
        ShapeError: The background of another model.
        DataError: A sequence that the model cannot read, or one without steps.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Label, Spec, Symbols
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Label(size=2)
        ... )
        >>> tensors = {name: np.ones(s, np.float32) for name, s in spec.tensors().items()}
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> decision = decide(bundle, "ACA", background=Background.over(bundle, ["AC", "CCA"]))
        >>> decision.scores.shape, decision.answers.tolist(), decision.losses()["without both"]
        ((4, 2), [0, 0, 0, 0], array(0.))
    """
    reading = Reading.of(model, sequence)
    subject, halves = reading.subject, reading.halves()
    outputs = subject.outputs
    scores, answers = [], []
    background = Background.left(subject) if background is None else background
    with torch.no_grad():
        given = Background.own(halves) if background is None else background
        _check(given, halves)
        cases = tuple(CASES) if subject.stack.bidirectional else ONE_DIRECTION
        for case in cases:
            told, rows = subject.scores(silence(halves, given, *CASES[case]))
            scores.append(array(told).astype(np.float64))
            answers.append(subject.answers(told, rows))
    if not subject.tags:
        scores, answers = [s[0] for s in scores], [a[0] for a in answers]
    return Decision(
        cases,
        np.stack(scores),
        np.stack(answers),
        outputs,
        subject.regresses,
        given,
        background is None,
    )


def silence(halves: Halves, background: Background, forward: bool, backward: bool) -> Halves:
    """The halves with the background in the place of one of them, or both.

    Args:
        halves: Of the last layer.
        background: What stands for a half that is silenced.
        forward: Whether the forward half is.
        backward: Whether the backward half is.
    """

    def rows(half: Rows, mean_H: Array) -> Rows:
        return half.with_values(_like(mean_H, half.values))

    found = replace(
        halves,
        last=tuple(
            _like(mean_H, final) if silent else final
            for final, mean_H, silent in zip(
                halves.last, background.last, (forward, backward), strict=False
            )
        ),
    )
    if forward:
        found = replace(found, forward=rows(halves.forward, background.rows[0]))
    if backward and halves.backward is not None:
        found = replace(found, backward=rows(halves.backward, background.rows[1]))
    return found


def _like(mean_H: Array, states: Tensor) -> Tensor:
    return torch.tensor(mean_H).to(states).expand_as(states)


def _check(background: Background, halves: Halves) -> None:
    wanted = [tuple(final.shape[1:]) for final in halves.last]
    got = [mean_H.shape for mean_H in (*background.rows, *background.last)]
    if got != wanted * 2:
        raise ShapeError(
            f"the background has means of {got}, the model has halves of {wanted}. "
            "Make it of this model: Background.over(model, sequences)."
        )
