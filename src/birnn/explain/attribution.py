"""What each step of a sequence adds to an answer: by gradients along a path, and by leaving it out.

Integrated gradients follow the straight path from a baseline, whose rows stand for nothing, to the
sequence, and add up the gradient of the logit on it. What they give each step sums to the change of
the logit between the two (completeness), which is how the integral is checked.
"""

# T steps, W width of an input row, J copies of the sequence

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from birnn.errors import ConfigError
from birnn.explain.inspected import BATCH_ROWS, Array, Model, array, differentiating
from birnn.explain.path import POINTS, StraightPath, TargetLogit, batch_of_copies
from birnn.explain.reading import Reading

MOST_POINTS = 4096
MOST_ROWS = 1 << 20  # of all points together, some ten seconds for a large model


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """What each step adds to the logit of an answer.

    Args:
        steps: Of each step, (T,): the sum over its row's components.
        forward: The part of it that comes by the last layer's forward half, (T,).
        backward: The part by its backward half; None with one direction.
        direct: The part past both halves, by the last layer's residual connection; None where it
            has none. The three sum to ``steps``.
        components: Of each component of each input row, (T, W).
        target: Number of the answer.
        position: The step whose tag it is; None where the head answers once.
        logit: Its logit (its value, of a regressor) for the sequence.
        baseline: The same where every row is the baseline's.
        gap: ``|sum of steps - change| / |change|``, the change being ``logit - baseline``; a
            change that rounding could hide counts as 1000 times what rounding does.
        points: Points of the path that the gradient was taken at.
    """

    steps: Array
    forward: Array
    backward: Array | None
    direct: Array | None
    components: Array
    target: int
    position: int | None
    logit: float
    baseline: float
    gap: float
    points: int


@dataclass(frozen=True, slots=True, eq=False)
class Occlusion:
    """What the logit of an answer loses when a step is replaced by the baseline row.

    Args:
        steps: Of each step, (T,).
        target: Number of the answer.
        position: The step whose tag it is; None where the head answers once.
        logit: Its logit (its value, of a regressor) for the whole sequence.
    """

    steps: Array
    target: int
    position: int | None
    logit: float


@differentiating()
def integrated_gradients(
    model: Model | Reading,
    sequence: Any = None,
    *,
    target: str | int | None = None,
    position: int | None = None,
    tolerance: float = 0.01,
    most_points: int | None = None,
) -> Attribution:
    """Attribution of an answer's logit to the steps, complete to ``tolerance``.

    ``(x - b) * integral of d logit / d row at b + a (x - b), a from 0 to 1``, for each component
    of the rows. The path is cut where the sum over an interval misses the logit's change over it,
    and each half takes its own gradient, so that they share the attribution between them.

    Args:
        model: A whole model, as for `Reading.of`.
        sequence: As ``predict`` takes one; of a reading its own.
        target: The answer, by name or number; what the model answers where it is None, and the
            first of a regressor's values.
        position: The step whose tag it is, for taggers and for them alone; negative from the end.
            With a CRF the logit is its emission.
        tolerance: Stop once the attributions sum to the logit's change to this share of it.
        most_points: Stop in any case after so many points; ``gap`` says what was reached. By
            default 4096, and fewer for long sequences.

    Raises:
        ConfigError: A bare `BiRNN`, a target that does not exist, a position that does not fit
            the head, a tolerance of 0 or below.
        DataError: A sequence that the model cannot read, or one without steps.

    Source:
        Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, equation 1 and
        proposition 1.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Label, Spec, Symbols
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Label(size=2)
        ... )
        >>> random = np.random.default_rng(0)
        >>> tensors = {
        ...     name: random.standard_normal(shape).astype(np.float32)
        ...     for name, shape in spec.tensors().items()
        ... }
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> found = integrated_gradients(bundle, "ACCA", target="x")
        >>> change = found.logit - found.baseline
        >>> bool(abs(found.steps.sum() - change) <= 0.01 * abs(change)), found.gap <= 0.01
        (True, True)
    """
    if not tolerance > 0 or (most_points is not None and most_points < POINTS):
        raise ConfigError(
            f"tolerance is {tolerance} and most_points {most_points}. "
            f"They must be above 0, and {POINTS} or more."
        )
    reading = Reading.of(model, sequence)
    rows, logit = reading.rows, TargetLogit.of(reading, target, position)
    if most_points is None:
        most_points = max(POINTS, min(MOST_POINTS, MOST_ROWS // int(rows.lengths[0])))
    baseline_TW = reading.model.baseline().expand_as(rows.values)
    path = StraightPath(logit, rows.values, baseline_TW)
    start, end = path.logits([0.0, 1.0])
    change = end - start
    rounding = float(torch.finfo(rows.values.dtype).eps) * max(1.0, abs(start), abs(end))
    scale = max(abs(change), 1000 * rounding)

    total = np.zeros((len(path.parts), *rows.values.shape))
    pending, points, missed = [(0.0, 1.0, start, end)], 0, 0.0
    while pending:
        found = path.integrals(pending)
        points += POINTS * len(pending)
        gaps = [
            abs(each.sum() - (after - before))
            for each, (*_, before, after) in zip(found, pending, strict=True)
        ]
        # Half of what is allowed, shared out by length: the sum over all stays within it.
        rough = [
            gap > max(tolerance * scale * (high - low) / 2, 8 * rounding)
            for gap, (low, high, *_) in zip(gaps, pending, strict=True)
        ]
        within = missed + sum(gaps) <= tolerance * scale
        if within or points + 2 * POINTS * sum(rough) > most_points:
            rough = [False] * len(pending)
        for each, gap, again in zip(found, gaps, rough, strict=True):
            if not again:
                total += each
                missed += gap
        pending = path.halved([one for one, again in zip(pending, rough, strict=True) if again])
    each_T = dict(zip(path.parts, total.sum(axis=2), strict=True))
    components_TW = total.sum(axis=0)
    return Attribution(
        components_TW.sum(axis=1),
        each_T["forward"],
        each_T.get("backward"),
        each_T.get("direct"),
        components_TW,
        logit.target,
        logit.position,
        end,
        start,
        float(abs(components_TW.sum() - change) / scale),
        points,
    )


def occlusion(
    model: Model | Reading,
    sequence: Any = None,
    *,
    target: str | int | None = None,
    position: int | None = None,
) -> Occlusion:
    """What the logit of an answer loses without each of the steps.

    The row of a step is replaced by the baseline row, one step at a time; the sequence stays as
    long as it is. What two steps say only together, neither is credited with, so these need not
    sum to anything.

    Args:
        model: A whole model, as for `Reading.of`.
        sequence: As ``predict`` takes one; of a reading its own.
        target: As for `integrated_gradients`.
        position: As for `integrated_gradients`.

    Raises:
        ConfigError: As for `integrated_gradients`.
        DataError: A sequence that the model cannot read, or one without steps.

    Source:
        Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, section 4.2.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2)
        ... )
        >>> tensors = {name: np.ones(s, np.float32) for name, s in spec.tensors().items()}
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> occlusion(bundle, "ACCA", target="x", position=2).steps.tolist()
        [0.0, 0.0, 0.0, 0.0]
    """
    reading = Reading.of(model, sequence)
    model, logit = reading.model, TargetLogit.of(reading, target, position)
    steps = reading.steps
    lost = np.empty(steps)
    baseline_W = model.baseline()
    with torch.no_grad():
        whole = float(logit.over(reading.halves())[0])
        for first in range(0, steps, max(1, BATCH_ROWS // steps)):
            left_out = torch.arange(first, min(first + max(1, BATCH_ROWS // steps), steps))
            copies_JTW = reading.rows.values.repeat(len(left_out), 1, 1)
            copies_JTW[torch.arange(len(left_out)), left_out] = baseline_W
            logits = logit.over(model.run(batch_of_copies(copies_JTW)))
            lost[left_out.numpy()] = whole - array(logits).astype(np.float64)
    return Occlusion(lost, logit.target, logit.position, whole)
