"""The performance targets of birnn's layers, held against what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from birnn.studies.bench.cases import COMPARED, SHAPES, Case, Shape, Work
from birnn.studies.bench.measure import BenchReport
from birnn.studies.bench.peers import TORCH

BIG_BATCH, BIG_HIDDEN = 32, 256
RUNTIMES = ("onnxruntime", "openvino")


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the performance contract.

    Args:
        text: What is to be reached.
        want: The least that reaches it.
        got: What was measured.
        unit: ``x``, times as fast, or ``%``, of the FMA peak.
    """

    text: str
    want: float
    got: float
    unit: str = "x"

    @property
    def met(self) -> bool:
        """Whether what was measured is enough."""
        return self.got >= self.want

    def show(self, value: float) -> str:
        """A value with its unit.

        Example:
            >>> Target("", 0.8, 0.83, "%").show(0.83), Target("", 6, 7.24).show(7.24)
            ('83 %', '7.24x')
        """
        return f"{100 * value:.0f} %" if self.unit == "%" else f"{value:.2f}x"


def geometric_mean(values: Iterable[float]) -> float:
    """The mean of ratios.

    Example:
        >>> round(geometric_mean([2.0, 8.0]), 12)
        4.0
    """
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def against(report: BenchReport, peers: tuple[str, ...], case: Case, work: Work) -> float | None:
    """Times as fast as the fastest of these peers; None where one was not measured."""
    ratios = [report.ratio(case, work, peer) for peer in peers]
    known = [ratio for ratio in ratios if ratio is not None]
    return min(known) if len(known) == len(peers) else None


def at_the_peak(report: BenchReport, work: Work, peer: str) -> float | None:
    """Times as fast as the peer, were every large batch at the whole FMA peak, the rest as it is.

    Returns:
        The geometric mean of the six shapes; None where one was not measured.
    """

    def ratio(case: Case) -> float | None:
        measured, share = report.ratio(case, work, peer), report.share(case, work)
        if measured is None or share is None:
            return None
        return measured / share if case.shape.batch >= BIG_BATCH else measured

    ratios = _values(SHAPES, ratio)
    return geometric_mean(ratios) if ratios else None


def targets(report: BenchReport) -> list[Target]:
    """The targets that this report can tell of, all six shapes at hand.

    An engine that was forced, though a better one is here, has fewer targets.
    """
    found: list[Target] = []

    def means(text: str, work: Work, peers: tuple[str, ...], want: float) -> list[float]:
        values = _values(SHAPES, lambda case: against(report, peers, case, work))
        if values:
            found.append(Target(f"{text}, geometric mean", want, geometric_mean(values)))
        return values

    def shares(text: str, work: Work, want: float, hidden: int) -> None:
        shapes = [s for s in SHAPES if s.batch >= BIG_BATCH and s.hidden >= hidden]
        values = _values(shapes, lambda case: report.share(case, work))
        if values:
            found.append(Target(text, want, min(values), "%"))

    training: Work = "forward+backward"
    if report.lowered:
        means(f"forward on {report.engine}, ONNX Runtime", "forward", ("onnxruntime",), 1)
    else:
        means("forward, torch packed", "forward", ("torch-packed",), 6)
        both = "forward, the faster of ONNX Runtime and OpenVINO"
        slowest = means(both, "forward", RUNTIMES, 2)
        if slowest:
            found.append(Target(f"{both}, least", 1, min(slowest)))
        shares("forward, share of FMA peak, batch >= 32, least", "forward", 0.8, 0)
        wide = "share of FMA peak, batch >= 32, hidden 256, least"
        shares(f"forward, {wide}", "forward", 0.8, BIG_HIDDEN)
        means("forward + backward, torch packed", training, ("torch-packed",), 9)
        means("forward + backward, torch padded", training, ("torch-padded",), 3.5)
        shares(f"forward + backward, {wide}", training, 0.7, BIG_HIDDEN)
    all_torch = [
        ratio
        for case in report.plan.cases
        for work in report.plan.works
        if (ratio := against(report, TORCH, case, work)) is not None
    ]
    if all_torch:
        text = f"the faster torch, least of {len(all_torch)} measures"
        found.append(Target(text, 0.95, min(all_torch)))
    return found


def _values(shapes: Iterable[Shape], value: Callable[[Case], float | None]) -> list[float]:
    """A value of each shape's compared layer, or none at all where one is not known."""
    values = [value(Case(shape, COMPARED)) for shape in shapes]
    known = [number for number in values if number is not None]
    return known if len(known) == len(values) else []
