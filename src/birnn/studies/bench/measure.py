"""The measuring: peers checked against our answer, then timed in turns, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from birnn.engine import isa
from birnn.engine.speed import fma_peak
from birnn.errors import EngineError, Tell, UsageError, no_notice
from birnn.studies.bench.cases import WORKS, Array, Case, Problem, Work, problem
from birnn.studies.bench.peers import OURS, PEERS, TORCH, Implementation, Peer, choose
from birnn.studies.turns import Contestant, machine, take_turns

TOLERANCE = 1e-3  # of the largest value; float32 engines with quick exponentials reach 1e-5


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What to measure.

    Args:
        cases: Layers and batches.
        peers: Names of peers; all that are installed where there are none.
        rounds: Turns that each peer has in each case.
        threads: Threads of each peer.
        works: Forward, and forward with backward.

    Raises:
        UsageError: Rounds or threads below 1, or no case.
    """

    cases: tuple[Case, ...]
    peers: tuple[str, ...] = ()
    rounds: int = 3
    threads: int = 2
    works: tuple[Work, ...] = WORKS

    def __post_init__(self) -> None:
        for name, number in (("rounds", self.rounds), ("threads", self.threads)):
            if number < 1:
                raise UsageError(f"{name} is {number}, it must be 1 or more")
        if not self.cases:
            raise UsageError("nothing to measure: give at least one shape")


@dataclass(frozen=True, slots=True)
class Timing:
    """What one peer took in one case.

    Args:
        case: Layer and batch.
        work: Forward, or forward with backward.
        peer: Name of the peer.
        seconds: Median over rounds.
        difference: Largest difference from our answer as a share of our largest value; None for
            ourselves and where the answers cannot agree.
        way: Which of the peer's implementations was the fastest and is timed.
        peak: What the processor's FMA units did in the same rounds, median, FLOP/s; None where
            there is no native engine to measure it.
    """

    case: Case
    work: Work
    peer: str
    seconds: float
    difference: float | None = None
    way: str = ""
    peak: float | None = None


@dataclass(slots=True)
class BenchReport:
    """All that was measured, and where.

    Args:
        plan: What was asked for.
        machine: Processor, cores, versions.
        engine: Name of the engine that ran birnn's layers.
        lowered: Whether a better one is here, and ``BIRNN_ISA`` forced this one.
        timings: Cases in their order, birnn first in each.
        peak: Best of all measures of the FMA units, one in each round; None where there is none.
        peers: Those that took part beside birnn, by their names.
        missing: The peers that are not installed.
        faults: What went wrong with a peer, a sentence each.
    """

    plan: BenchPlan
    machine: dict[str, str]
    engine: str
    lowered: bool = False
    timings: list[Timing] = field(default_factory=list)
    peak: float | None = None
    peers: dict[str, Peer] = field(default_factory=dict)
    missing: list[Peer] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def find(self, case: Case, work: Work, peer: str) -> Timing | None:
        """The timing of a peer in a case, or None."""
        for timing in self.timings:
            if (timing.case, timing.work, timing.peer) == (case, work, peer):
                return timing
        return None

    def ratio(self, case: Case, work: Work, peer: str) -> float | None:
        """How many times as long as birnn the peer takes."""
        ours, theirs = self.find(case, work, OURS), self.find(case, work, peer)
        return theirs.seconds / ours.seconds if ours and theirs else None

    def share(self, case: Case, work: Work) -> float | None:
        """Share of the FMA peak that birnn reaches, padding not counted as work.

        Of the peak that was there in the same rounds: where others use the machine, its clock and
        what is left of it move, for the peak as for every peer.
        """
        ours = self.find(case, work, OURS)
        return case.flops(work) / ours.seconds / ours.peak if ours and ours.peak else None


def run(
    plan: BenchPlan, *, among: Mapping[str, Peer] = PEERS, tell: Tell = no_notice
) -> BenchReport:
    """Measure what the plan says.

    Args:
        plan: Cases, peers, rounds, threads.
        among: The peers that there are, by their names.
        tell: Called with a line after each case.

    Raises:
        UsageError: A peer that does not exist, or was asked for and is not installed.
        EngineError: torch, given the same weights, answers otherwise than birnn.
    """
    peers, missing = choose(plan.peers, among)
    report = BenchReport(
        plan,
        machine=machine(),
        engine=isa.active().name,
        lowered=isa.active().name != isa.available()[0],
        peers={name: peer for name, peer in peers.items() if name != OURS},
        missing=missing,
    )
    for case in plan.cases:
        drawn = problem(case)
        for work in plan.works:
            entrants = _entrants(peers, drawn, work, report)
            peaks: list[float] = []
            for number in range(plan.rounds):
                found = measured_peak(plan.threads)
                peaks += [] if found is None else [found]
                take_turns([entrant.contestant for entrant in entrants], number)
            peak = statistics.median(peaks) if peaks else None
            report.peak = max([*peaks, report.peak or 0.0]) if peaks else report.peak
            done = [
                Timing(
                    case,
                    work,
                    entrant.peer.name,
                    entrant.contestant.seconds,
                    entrant.difference,
                    entrant.implementation.called,
                    peak,
                )
                for entrant in entrants
            ]
            report.timings += done
            shown = ", ".join(f"{timing.peer} {1e3 * timing.seconds:.1f}" for timing in done)
            tell(f"{case.kind.called} {case.shape} {work}, ms: {shown}")
    return report


class _Entrant(NamedTuple):
    """A peer in a case: how far its answer is from ours, and what takes turns."""

    peer: Peer
    implementation: Implementation
    difference: float | None
    contestant: Contestant


def measured_peak(threads: int) -> float | None:
    """What the FMA units of so many cores do when nothing else is asked of them, in FLOP/s.

    None where there is no native engine, which is what measures it.
    """
    if isa.active().name == "reference":
        return None
    return fma_peak(threads=threads)


def _entrants(
    peers: Mapping[str, Peer], drawn: Problem, work: Work, report: BenchReport
) -> list[_Entrant]:
    """The peers of a case, warm, with answers that agree with ours; the others become faults."""
    entrants: list[_Entrant] = []
    ours: Array | None = None
    for name, peer in peers.items():
        if not peer.does(drawn.case, work):
            continue
        right: list[_Entrant] = []
        wrong: list[str] = []
        for way in _implementations(peer, drawn, work, report):
            answer = np.asarray(way.answer(way.call()), np.float64)
            if ours is None:
                ours = answer
            columns = peer.compared(drawn.case, work)
            difference = None
            if columns is not None and name != OURS:
                difference = _difference(answer, ours, drawn, columns)
                # NaN is no agreement either.
                if not difference <= TOLERANCE:
                    wrong.append(f"{way.called or 'its answer'} differs by {difference:.1e}")
                    continue
            right.append(_Entrant(peer, way, difference, Contestant(way.call)))
        where = f"{drawn.case.kind.called} {drawn.case.shape} {work}"
        if wrong and name in TORCH:
            raise EngineError(f"birnn and {peer.called} disagree on {where}: {'; '.join(wrong)}")
        if wrong:
            report.faults.append(f"{peer.called}, {where}: {'; '.join(wrong)}")
        if right:
            entrants.append(min(right, key=lambda entrant: entrant.contestant.expected))
    return entrants


def _implementations(
    peer: Peer, drawn: Problem, work: Work, report: BenchReport
) -> list[Implementation]:
    """Those of a peer; one that cannot be set up must not end the measuring of the others."""
    try:
        return peer.implement(drawn, work, report.plan.threads)
    except Exception as error:
        if peer.name == OURS:
            raise
        fault = f"{peer.called} cannot run: {type(error).__name__}: {error}"
        if fault not in report.faults:
            report.faults.append(fault)
        return []


def _difference(answer: Array, ours: Array, drawn: Problem, columns: slice) -> float:
    """Largest difference on real steps, as a share of our largest value.

    Example:
        >>> from birnn.studies.bench.cases import LayerKind, Shape
        >>> drawn = problem(Case(Shape(1, 1, 1, 2), LayerKind("", ragged=False)))
        >>> ours = np.array([[[4.0, 1.0], [2.0, 0.0]]])
        >>> _difference(ours + 1.0, ours, drawn, slice(None))
        0.25
    """
    real = drawn.real
    theirs, ours = answer[real][:, columns], ours[real][:, columns]
    return float(np.abs(theirs - ours).max() / np.abs(ours).max())
