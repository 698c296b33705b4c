"""The straight path from a baseline to a sequence, and the gradients of a logit along it."""

# T steps, W width of an input row, K points of the path, J copies of a sequence

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from birnn.explain.inspected import BATCH_ROWS, Array, Halves, InspectedModel, Rows, array
from birnn.explain.reading import Reading
from birnn.ragged import Ragged

# Points of the Gauss-Legendre rule on each interval of the path.
POINTS = 8

# From where to where on the path, 0 the baseline and 1 the sequence, and the logit at both ends.
Interval = tuple[float, float, float, float]


def batch_of_copies(rows_JTW: Tensor) -> Rows:
    """Copies of one sequence as a batch."""
    number, steps, width = rows_JTW.shape
    return Ragged(rows_JTW.reshape(-1, width), np.full(number, steps))


@dataclass(frozen=True, slots=True, eq=False)
class TargetLogit:
    """The logit that is explained: that of one answer, of a tagger at one step.

    Args:
        model: The model.
        target: Number of the answer.
        position: The step whose tag it is, or None.
    """

    model: InspectedModel
    target: int
    position: int | None

    @classmethod
    def of(cls, reading: Reading, target: str | int | None, position: int | None) -> TargetLogit:
        """Check what is asked of one sequence; without a target it is what the model answers."""
        model = reading.model
        at = model.position(position, reading.steps)
        if target is not None:
            return cls(model, model.target(target), at)
        return cls(model, 0 if model.regresses else int(reading.answers[at or 0]), at)

    def over(self, halves: Halves) -> Tensor:
        """The logit of each sequence of a batch, (B,)."""
        scores, _ = self.model.scores(halves, self.position)
        return scores[:, self.target]


class StraightPath:
    """The straight path from the baseline's rows to a sequence's, and the logit along it.

    Args:
        logit: Which logit.
        rows_TW: The sequence.
        baseline_TW: The baseline.
    """

    def __init__(self, logit: TargetLogit, rows_TW: Tensor, baseline_TW: Tensor) -> None:
        self._logit = logit
        self._baseline_TW = baseline_TW
        self._way_TW = rows_TW - baseline_TW
        stack = logit.model.stack
        self.parts = ["forward", "backward"][: stack.directions_of(-1)]
        if stack.adds_input(stack.num_layers - 1):
            self.parts.append("direct")

    def logits(self, places: list[float]) -> list[float]:
        """The logit at places of the path, 0 the baseline and 1 the sequence."""
        found: list[float] = []
        with torch.no_grad():
            for piece in self._pieces(np.array(places)):
                halves = self._logit.model.run(batch_of_copies(self._at(piece)))
                found += self._logit.over(halves).double().tolist()
        return found

    def halved(self, intervals: list[Interval]) -> list[Interval]:
        """Both halves of each interval."""
        middles = self.logits([(low + high) / 2 for low, high, *_ in intervals])
        return [
            half
            for (low, high, before, after), middle in zip(intervals, middles, strict=True)
            for half in (
                (low, (low + high) / 2, before, middle),
                ((low + high) / 2, high, middle, after),
            )
        ]

    def integrals(self, intervals: list[Interval]) -> list[Array]:
        """Attribution over intervals of the path, each part for itself: (parts, T, W) for each."""
        nodes_K, weights_K = np.polynomial.legendre.leggauss(POINTS)
        ends = np.array(intervals)[:, :2]
        half = (ends[:, 1] - ends[:, 0]) / 2
        places = (ends.mean(axis=1)[:, None] + half[:, None] * nodes_K).ravel()
        weights = (half[:, None] * weights_K).ravel()
        interval = np.repeat(np.arange(len(intervals)), POINTS)
        found = np.zeros((len(intervals), len(self.parts), *self._way_TW.shape))
        first = 0
        for piece in self._pieces(places):
            here = slice(first, first + len(piece))
            gradients_PKTW = self._gradients(piece) * weights[here, None, None]
            for at, number in enumerate(interval[here].tolist()):
                found[number] += gradients_PKTW[:, at]
            first += len(piece)
        return list(found * array(self._way_TW).astype(np.float64))

    def _at(self, places: Array) -> Tensor:
        """Rows at places of the path, (K, T, W)."""
        share_K11 = torch.from_numpy(places).to(self._way_TW)[:, None, None]
        return self._baseline_TW + share_K11 * self._way_TW

    def _pieces(self, places: Array) -> list[Array]:
        """Places that go through the model together."""
        most = max(1, BATCH_ROWS // self._way_TW.shape[0])
        return [places[first : first + most] for first in range(0, len(places), most)]

    def _gradients(self, places: Array) -> Array:
        """Gradient of the logit at places of the path, by each part, (parts, K, T, W)."""
        leaf = self._at(places).requires_grad_()
        halves = self._logit.model.run(batch_of_copies(leaf))
        # The tensors by which each part reaches the head.
        groups = [[half.values, last] for half, last in zip(halves.parts, halves.last, strict=True)]
        if "direct" in self.parts:
            groups.append([halves.below.values])
        # The logit's slopes stop at the halves, and each goes on to the rows by itself.
        cut = [[tensor.detach().requires_grad_() for tensor in group] for group in groups]
        logits = self._logit.over(self._rejoined(halves, cut))
        ends = [tensor for group in cut for tensor in group]
        slopes = iter(torch.autograd.grad(logits.sum(), ends, materialize_grads=True))
        found = []
        for group in groups:
            own = [next(slopes) for _ in group]
            [gradient] = torch.autograd.grad(group, leaf, own, retain_graph=True)
            found.append(array(gradient).astype(np.float64))
        return np.stack(found)

    def _rejoined(self, halves: Halves, cut: list[list[Tensor]]) -> Halves:
        """The halves with other tensors in the place of their own."""
        each = dict(zip(self.parts, cut, strict=True))
        below = (
            halves.below.with_values(each.pop("direct")[0]) if "direct" in each else halves.below
        )
        rows = [halves.forward.with_values(values) for values, _ in each.values()]
        return Halves(below, rows[0], (*rows, None)[1], tuple(last for _, last in each.values()))
