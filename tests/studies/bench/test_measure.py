"""The measuring: who is timed, who is not, and what the report says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from birnn.engine import isa
from birnn.errors import EngineError, UsageError
from birnn.studies.bench import TORCH_KINDS, BenchPlan, Case, Shape, measure, run
from birnn.studies.bench.peers import OURS, PEERS, TORCH, Implementation, Peer

TINY = Case(Shape(3, 4, 5, 6))


@dataclass(frozen=True)
class Liar:
    """A peer that answers otherwise, by as much as it is told to."""

    by: float
    name: str = "flax"
    called: str = "Liar"
    model: Peer = PEERS["torch-packed"]

    def version(self) -> str:
        return "0"

    def does(self, case: Case, work: Any) -> bool:
        return True

    def compared(self, case: Case, work: Any) -> slice:
        return slice(None)

    def implement(self, *arguments: Any) -> list[Implementation]:
        (way,) = self.model.implement(*arguments)
        return [Implementation(way.call, lambda told: way.answer(told) + self.by, "the only way")]


@dataclass(frozen=True)
class Broken(Liar):
    """A peer that cannot be set up."""

    def implement(self, *arguments: Any) -> list[Implementation]:
        raise OSError("libwhatever.so is missing")


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Measure with another peer beside ours."""

    def among(peer: Any) -> None:
        monkeypatch.setattr(
            measure, "choose", lambda *_: ({OURS: PEERS[OURS], peer.name: peer}, [])
        )

    return among


@pytest.mark.slow
def test_every_peer_is_timed_in_every_case() -> None:
    cases = (TINY, Case(TINY.shape, TORCH_KINDS[0]))
    told: list[str] = []
    report = run(BenchPlan(cases, peers=TORCH, rounds=2, threads=1), tell=told.append)
    assert [(t.case, t.work, t.peer) for t in report.timings] == [
        (case, work, peer)
        for case in cases
        for work in report.plan.works
        for peer in (OURS, *TORCH)
    ]
    assert all(timing.seconds > 0 for timing in report.timings)
    assert len(told) == len(cases) * len(report.plan.works)
    assert report.faults == []
    for timing in report.timings:
        ratio = report.ratio(timing.case, timing.work, timing.peer)
        ours = report.find(timing.case, timing.work, OURS)
        assert ours is not None
        assert ratio == timing.seconds / ours.seconds
        leaks = timing.peer == "torch-padded" and timing.case is TINY
        answers = timing.peer != OURS and not (leaks and timing.work == "forward+backward")
        assert (timing.difference is not None) == answers
        assert timing.difference is None or timing.difference < 1e-5


def test_the_peak_is_told_where_an_engine_can_measure_it() -> None:
    report = run(
        BenchPlan((TINY,), peers=("torch-packed",), rounds=1, threads=1, works=("forward",))
    )
    share = report.share(TINY, "forward")
    if isa.active().name == isa.REFERENCE:
        assert report.peak is None
        assert share is None
    else:
        assert report.peak is not None
        ours = report.find(TINY, "forward", OURS)
        assert ours is not None
        assert ours.peak is not None
        assert ours.peak <= report.peak
        assert share == pytest.approx(TINY.flops("forward") / ours.seconds / ours.peak)


@pytest.mark.slow
def test_a_share_is_of_the_peak_of_its_own_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock falls from case to case; each round of the second has half of what the first had.
    measures = iter([3e9, 5e9, 4e9, 1e9, 2e9, 3e9])
    monkeypatch.setattr(measure, "measured_peak", lambda threads: next(measures))
    cases = (TINY, Case(TINY.shape, TORCH_KINDS[0]))
    report = run(BenchPlan(cases, peers=("torch-packed",), rounds=3, threads=1, works=("forward",)))
    assert [timing.peak for timing in report.timings] == [4e9, 4e9, 2e9, 2e9]
    assert report.peak == 5e9
    for case, peak in zip(cases, (4e9, 2e9), strict=True):
        ours = report.find(case, "forward", OURS)
        assert ours is not None
        assert report.share(case, "forward") == case.flops("forward") / ours.seconds / peak


def test_who_answers_otherwise_is_told_and_not_timed(beside: Any) -> None:
    beside(Liar(by=0.1))
    report = run(BenchPlan((TINY,), rounds=1, threads=1, works=("forward",)))
    assert [timing.peer for timing in report.timings] == [OURS]
    (fault,) = report.faults
    assert "Liar" in fault
    assert "the only way differs by" in fault


def test_who_answers_alike_is_timed(beside: Any) -> None:
    beside(Liar(by=1e-6))
    report = run(BenchPlan((TINY,), rounds=1, threads=1, works=("forward",)))
    assert [timing.way for timing in report.timings] == ["", "the only way"]
    assert report.faults == []


@pytest.mark.parametrize("by", [0.1, float("nan")])
def test_a_torch_that_disagrees_is_an_error_of_ours(beside: Any, by: float) -> None:
    beside(Liar(by=by, name="torch-packed"))
    with pytest.raises(EngineError, match="disagree"):
        run(BenchPlan((TINY,), rounds=1, threads=1))


def test_who_cannot_be_set_up_does_not_end_the_others(beside: Any) -> None:
    beside(Broken(by=0.0))
    report = run(BenchPlan((TINY,), rounds=1, threads=1))
    assert {timing.peer for timing in report.timings} == {OURS}
    assert report.faults == ["Liar cannot run: OSError: libwhatever.so is missing"]


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"threads": 0}, {"cases": ()}])
def test_a_plan_that_measures_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BenchPlan(**{"cases": (TINY,), **wrong})
