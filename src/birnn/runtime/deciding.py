"""Which half of the encoder decided an answer, word by word, by mean ablation in NumPy.

Of a model that answers for every step, the answer of a step is asked again without either half. Of
one that answers once for a sequence, a half is ablated at one step after another: what the answer
loses there is what it owes to what that half knew there.
"""

# T steps, C conditions, R answers or copies of a sequence, L labels or values

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birnn.errors import UsageError
from birnn.reference.bidirectional import Outcome
from birnn.runtime.ablation import (
    CONDITIONS,
    EncoderMeans,
    ablated,
    balance,
    conditions_of,
    encode,
    margins,
    side_by_side,
)
from birnn.runtime.batches import BATCH_ROWS
from birnn.runtime.heads import ScoringHead
from birnn.runtime.predictor import Predictor

Array = npt.NDArray[Any]
Measure = Literal["margin", "logit", "value", "log-probability"]

# How far an outcome speaks for the answer, one number for each of its answers.
Support = Callable[[Outcome], Array]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an answer loses without the halves.

    Args:
        forward: Without the forward half.
        backward: Without the backward half; 0 with one direction.
        both: Without either.
    """

    forward: float
    backward: float
    both: float

    @property
    def balance(self) -> float:
        """Which half decided, from 1 (forward) to -1 (backward), see `ablation.balance`.

        Example:
            >>> Decision(3.0, 1.0, 3.5).balance
            0.5
        """
        return float(balance(np.array(self.forward), np.array(self.backward)))

    def record(self) -> dict[str, float]:
        """The numbers with six digits."""
        named = {"forward": self.forward, "backward": self.backward, "both": self.both}
        return {name: round(n, 6) for name, n in (named | {"balance": self.balance}).items()}


@dataclass(frozen=True, slots=True)
class Decisions:
    """Which half decided, for each step of a sequence; `decisions` makes them.

    Args:
        measure: What is lost: the margin of a label above the best other, the logit of the
            label furthest above its threshold where there may be any number, a value, or the
            logarithm of the probability of a target.
        steps: Of each step; None for steps that the model does not answer for.
        whole: Of the one answer for the sequence, its halves ablated at all steps; None where each
            step has an answer of its own.
        own_means: Whether halves were replaced by their mean over this very sequence, for want of
            means over data in the bundle.
    """

    measure: Measure
    steps: tuple[Decision | None, ...]
    whole: Decision | None
    own_means: bool


def decisions(model: Predictor, sequence: Any) -> Decisions:
    """Which half decided the answer to a sequence, at each of its steps.

    Args:
        model: The model.
        sequence: As ``predict`` takes one.

    Raises:
        DataError: A sequence that the model cannot read.
        UsageError: A model that writes sequences, whose bundle has no mean states.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2)
        ... )
        >>> tensors = {name: np.ones(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("coil", "helix")}
        >>> found = decisions(Predictor(Bundle(spec, vocabularies, tensors)), "ACA")
        >>> found.measure, len(found.steps), found.own_means
        ('margin', 3, True)
    """
    [steps] = model.validated([sequence])
    head, runner = model.spec.head, model.runner
    means = EncoderMeans.of_training(model.bundle)
    if means is None and head.reads_final_states:
        raise UsageError(
            "this bundle has no mean states of its encoder, by which its halves could be replaced. "
            "Train the model again with this version."
        )
    support, measure = _support(model, steps)
    if not len(steps):
        return Decisions(measure, (), None, means is None)
    encoded = encode(runner, [steps])
    own = means is None
    means = EncoderMeans.of_sequence(encoded) if means is None else means
    outcomes = {
        CONDITIONS[name]: ablated(encoded, model.bundle, means, CONDITIONS[name])
        for name in conditions_of(model.spec.stack.directions_of(-1))
    }
    if not head.per_step:
        return _of_sequence(outcomes, support, measure, own)
    asked = head.asked([steps])
    together = side_by_side(list(outcomes.values()))
    if asked is not None:
        kept = together.output.kept(np.tile(asked, len(outcomes)))
        together = replace(together, output=kept)
    found = iter(_decisions(support(together).reshape(len(outcomes), -1)))
    every = np.ones(len(steps), np.bool_) if asked is None else asked
    return Decisions(measure, tuple(next(found) if one else None for one in every), None, own)


def _support(model: Predictor, steps: Any) -> tuple[Support, Measure]:
    """How far outcomes speak for the answer that the model gives; and what that is measured in."""
    head = model.runner.network.head
    [answer] = model.runner.run([steps], head.answers(None))
    if not isinstance(head, ScoringHead):

        def log_probability(encoded: Outcome) -> Array:
            copies = range(len(encoded.output))
            scored = head.given_targets([answer] * len(copies), None, attention=False)
            return np.array([one.log_probability for one in scored.decode(encoded, copies)])

        return log_probability, "log-probability"
    if not model.spec.head.has_labels:

        def value(encoded: Outcome) -> Array:
            found = head.decoder.answers(head(encoded), encoded.output.lengths)
            return np.array([values[0] for values in found])

        return value, "value"
    if model.spec.head.independent:
        [own] = model.runner.run([steps], head.scores())
        number = int(model.spec.head.scored("a decision").foremost(own))

        def logit(encoded: Outcome) -> Array:
            return np.asarray(head(encoded)[:, number], np.float64)

        return logit, "logit"
    numbers = {label: number for number, label in enumerate(model.labels)}
    chosen = [answer] if isinstance(answer, str) else answer
    labels = np.array([numbers[label] for label in chosen], np.int64)

    def margin(encoded: Outcome) -> Array:
        scores = np.asarray(head(encoded), np.float64)
        return margins(scores, np.resize(labels, len(scores)))

    return margin, "margin"


def _of_sequence(
    outcomes: Mapping[tuple[str, ...], Outcome], support: Support, measure: Measure, own_means: bool
) -> Decisions:
    """Decisions of one answer for a sequence, from all conditions of its encoder."""
    whole = support(side_by_side(list(outcomes.values())))
    steps = len(outcomes[()].output.values)
    copies = _at_one_step(outcomes)
    together = max(1, BATCH_ROWS // steps)
    lost = []
    while batch := list(islice(copies, together)):
        lost.append(support(side_by_side(batch)))
    by_step = np.concatenate(lost).reshape(steps, -1).T
    [all_steps] = _decisions(whole[:, None])
    at_steps = _decisions(np.vstack([np.full(steps, whole[0]), by_step]))
    return Decisions(measure, tuple(at_steps), all_steps, own_means)


def _at_one_step(outcomes: Mapping[tuple[str, ...], Outcome]) -> Iterator[Outcome]:
    """The sequence with halves ablated at one step alone, step by step and in each condition.

    The forward half ends at the last step, the backward half at the first: there the final states
    of a half are ablated with its row.
    """
    full = outcomes[()]
    last = len(full.output.values) - 1
    for step in range(last + 1):
        ends = {"forward": step == last, "backward": step == 0}
        for gone, ablated_outcome in outcomes.items():
            if gone:
                values = full.output.values.copy()
                values[step] = ablated_outcome.output.values[step]
                at_end = outcomes[tuple(name for name in gone if ends[name])]
                yield replace(at_end, output=full.output.with_values(values))


def _decisions(support_CR: Array) -> list[Decision]:
    """Decisions from how far each condition speaks for each answer."""
    full, forward, *others = np.asarray(support_CR, np.float64)
    without = [full - forward, *(full - other for other in others)]
    if not others:  # one direction
        without = [without[0], np.zeros_like(full), without[0]]
    return [Decision(*map(float, lost)) for lost in zip(*without, strict=True)]
