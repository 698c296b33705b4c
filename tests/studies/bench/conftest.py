"""Reports with timings of our choosing, and torch's threads as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
import torch

from birnn.studies.bench import SHAPES, WIDE, BenchPlan, BenchReport, Case, Shape, Timing
from birnn.studies.bench.cases import WORKS, Work
from birnn.studies.bench.peers import OURS
from peers import PEERS

Make = Callable[..., BenchReport]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Measuring sets torch's threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make() -> Make:
    """A report in which birnn takes a millisecond and each peer as many as it is given."""

    def report(
        ratios: Mapping[str, float],
        shapes: Sequence[Shape] = (*SHAPES, WIDE),
        *,
        works: Sequence[Work] = WORKS,
        engine: str = "avx512",
        peak: float | None = None,
    ) -> BenchReport:
        plan = BenchPlan(tuple(Case(shape) for shape in shapes), works=tuple(works))
        # whatever is installed, they have a version
        peers = {name: replace(PEERS[name], packages=("numpy",)) for name in ratios}
        machine = {"processor": "Abacus", "cores": "2", "birnn": "1.2.3"}
        made = BenchReport(plan, machine, engine, peak=peak, peers=peers)
        for case in plan.cases:
            for work in works:
                made.timings.append(Timing(case, work, OURS, 1e-3, peak=peak))
                made.timings += [
                    Timing(case, work, name, ratio * 1e-3, 1e-7)
                    for name, ratio in ratios.items()
                    if PEERS[name].does(case, work)
                ]
        return made

    return report
