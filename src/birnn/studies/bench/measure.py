"""The measuring: peers checked against our answer, then timed in turns, round by round."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import birnn
from birnn.engine import isa
from birnn.errors import EngineError, UsageError
from birnn.studies.bench.cases import WORKS, Array, Case, Problem, Work, problem
from birnn.studies.bench.peers import OURS, TORCH, Peer, Way, choose

# Pools of threads spin for a while after their work, and would be in the next one's way: ONNX
# Runtime's for more than 10 ms.
PAUSE = 0.05  # seconds
# Calls before those that are timed: threads are awake then, and each on a processor of its own that
# is at speed again. One sequence took 0.30 ms after 20 ms of calls, and 0.27 ms after 100 ms.
WARM = 0.1  # seconds
TURN = 0.05  # seconds of work that a turn aims at
MOST_CALLS = 20  # in one turn
LONG = 0.2  # seconds; a call that long finds nothing of an earlier one in the caches
TOLERANCE = 1e-3  # of the largest value; float32 engines with quick exponentials reach 1e-5


@dataclass(frozen=True, slots=True)
class Plan:
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
        way: Which of the peer's ways was the fastest and is timed.
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
class Report:
    """All that was measured, and where.

    Args:
        plan: What was asked for.
        machine: Processor, cores, versions.
        engine: Name of the engine that ran birnn's layers.
        lowered: Whether a better one is here, and ``BIRNN_ISA`` forced this one.
        timings: Cases in their order, birnn first in each.
        peak: Best of all measures of the FMA units, one in each round; None where there is none.
        versions: Versions of the peers that took part, by their names.
        missing: Names of the peers that are not installed.
        faults: What went wrong with a peer, a sentence each.
    """

    plan: Plan
    machine: dict[str, str]
    engine: str
    lowered: bool = False
    timings: list[Timing] = field(default_factory=list)
    peak: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
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


def run(plan: Plan, *, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Measure what the plan says.

    Args:
        plan: Cases, peers, rounds, threads.
        tell: Called with a line after each case.

    Raises:
        UsageError: A peer that does not exist, or was asked for and is not installed.
        EngineError: torch, given the same weights, answers otherwise than birnn.
    """
    peers, missing = choose(plan.peers)
    report = Report(
        plan,
        machine=machine(),
        engine=isa.active().name,
        lowered=isa.active().name != isa.available()[0],
        versions={peer.name: peer.version() for peer in peers if peer.name != OURS},
        missing=[peer.name for peer in missing],
    )
    for case in plan.cases:
        drawn = problem(case)
        for work in plan.works:
            takers = _takers(peers, drawn, work, report)
            peaks: list[float] = []
            for number in range(plan.rounds):
                found = measured_peak(plan.threads)
                peaks += [] if found is None else [found]
                # Another one first in each round: who follows whom must not matter.
                for taker in takers[number % len(takers) :] + takers[: number % len(takers)]:
                    taker.turn()
            peak = statistics.median(peaks) if peaks else None
            report.peak = max([*peaks, report.peak or 0.0]) if peaks else report.peak
            done = [taker.timing(case, work, peak) for taker in takers]
            report.timings += done
            shown = ", ".join(f"{timing.peer} {1e3 * timing.seconds:.1f}" for timing in done)
            tell(f"{case.kind.called} {case.shape} {work}, ms: {shown}")
    return report


def machine() -> dict[str, str]:
    """What runs here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": str(cores),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "birnn": birnn.__version__,
    }


def measured_peak(threads: int) -> float | None:
    """What the FMA units of so many cores do when nothing else is asked of them, in FLOP/s.

    None where there is no native engine, which is what measures it.
    """
    if isa.active().name == "reference":
        return None
    return isa.fma_peak(threads=threads)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


@dataclass(slots=True)
class Taker:
    """A peer that takes turns in a case.

    Args:
        name: Name of the peer.
        way: The work.
        difference: How far its answer is from ours.
        expected: Seconds that a call takes, about.
        times: Seconds of a call in each turn so far.
    """

    name: str
    way: Way
    difference: float | None
    expected: float
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median over the turns."""
        return statistics.median(self.times)

    def turn(self) -> None:
        """Some calls; what they took in the mean is kept."""
        time.sleep(PAUSE)
        warm = time.perf_counter() + WARM
        while self.expected < LONG:
            self.way.call()
            if time.perf_counter() > warm:
                break
        calls = max(1, min(MOST_CALLS, round(TURN / self.expected)))
        begun = time.perf_counter()
        for _ in range(calls):
            self.way.call()
        self.times.append((time.perf_counter() - begun) / calls)

    def timing(self, case: Case, work: Work, peak: float | None) -> Timing:
        """What the turns say of the peer."""
        return Timing(case, work, self.name, self.seconds, self.difference, self.way.called, peak)


def _takers(peers: Sequence[Peer], drawn: Problem, work: Work, report: Report) -> list[Taker]:
    """The peers of a case, warm, with answers that agree with ours; the others become faults."""
    takers: list[Taker] = []
    ours: Array | None = None
    for peer in peers:
        if not peer.does(drawn.case, work):
            continue
        right: list[Taker] = []
        wrong: list[str] = []
        for way in _ways(peer, drawn, work, report):
            warm = way.call()
            answer = np.asarray(way.answer(warm), np.float64)
            if ours is None:
                ours = answer
            columns = peer.compared(drawn.case, work)
            difference = None
            if columns is not None and peer.name != OURS:
                difference = _difference(answer, ours, drawn, columns)
                # NaN is no agreement either.
                if not difference <= TOLERANCE:
                    wrong.append(f"{way.called or 'its answer'} differs by {difference:.1e}")
                    continue
            begun = time.perf_counter()
            way.call()
            right.append(Taker(peer.name, way, difference, time.perf_counter() - begun))
        where = f"{drawn.case.kind.called} {drawn.case.shape} {work}"
        if wrong and peer.name in TORCH:
            raise EngineError(f"birnn and {peer.called} disagree on {where}: {'; '.join(wrong)}")
        if wrong:
            report.faults.append(f"{peer.called}, {where}: {'; '.join(wrong)}")
        if right:
            takers.append(min(right, key=lambda taker: taker.expected))
    return takers


def _ways(peer: Peer, drawn: Problem, work: Work, report: Report) -> list[Way]:
    """The ways of a peer; a peer that cannot be set up must not end the measuring of the others."""
    try:
        return peer.ways(drawn, work, report.plan.threads)
    except Exception as error:
        if peer.name == OURS:
            raise
        told = f"{peer.called} cannot run: {type(error).__name__}: {error}"
        if told not in report.faults:
            report.faults.append(told)
        return []


def _difference(answer: Array, ours: Array, drawn: Problem, columns: slice) -> float:
    """Largest difference on real steps, as a share of our largest value.

    Example:
        >>> from birnn.studies.bench.cases import Kind, Shape
        >>> drawn = problem(Case(Shape(1, 1, 1, 2), Kind("", ragged=False)))
        >>> ours = np.array([[[4.0, 1.0], [2.0, 0.0]]])
        >>> _difference(ours + 1.0, ours, drawn, slice(None))
        0.25
    """
    real = drawn.real
    theirs, ours = answer[real][:, columns], ours[real][:, columns]
    return float(np.abs(theirs - ours).max() / np.abs(ours).max())


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain data, for JSON."""
    told = []
    for timing in report.timings:
        ours = timing.peer == OURS
        told.append(
            {
                "layer": timing.case.kind.called,
                "shape": str(timing.case.shape),
                "rows": int(timing.case.lengths().sum()),
                "work": timing.work,
                "peer": timing.peer,
                "way": timing.way,
                "milliseconds": 1e3 * timing.seconds,
                "times_birnn": report.ratio(timing.case, timing.work, timing.peer),
                "fma_share": report.share(timing.case, timing.work) if ours else None,
                "fma_peak_gflops": timing.peak and timing.peak / 1e9,
                "difference": timing.difference,
            }
        )
    return {
        "machine": report.machine,
        "engine": report.engine,
        "threads": report.plan.threads,
        "rounds": report.plan.rounds,
        "fma_peak_gflops": report.peak and report.peak / 1e9,
        "versions": report.versions,
        "missing": report.missing,
        "faults": report.faults,
        "timings": told,
    }
