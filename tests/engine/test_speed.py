"""How fast engines are here."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from birnn.engine import isa, speed
from birnn.engine.speed import fma_peak
from birnn.engine.stack import PackedStack
from birnn.engine.threads import get_num_threads
from birnn.errors import EngineError


@pytest.mark.parametrize("name", isa.available())
def test_what_is_measured_runs_on_that_engine_and_on_one_thread(monkeypatch, name):
    monkeypatch.setenv(isa.FORCE, "reference")
    seen = set()

    class Watched(PackedStack):
        def run(self, *rows):
            seen.add((isa.active().name, get_num_threads()))
            return super().run(*rows)

    monkeypatch.setattr(speed, "PackedStack", Watched)
    # A hundredth of what a core does; nobody's processor does 100 TF/s on one.
    assert 0.01 < speed.gflops("float32", name) < 1e5
    assert seen == {(name, 1)}
    assert os.environ[isa.FORCE] == "reference"


def test_a_rate_is_the_operations_of_products_over_the_fastest_run(monkeypatch):
    # Runs of 9, 4 and 8 ms, and one that begins after the end.
    clock = iter([0.0, 0.001, 0.010, 0.010, 0.011, 0.015, 0.015, 0.016, 0.024, 0.024])
    monkeypatch.setattr(speed, "_clock", lambda: next(clock))
    runs = []
    monkeypatch.setattr(
        speed, "PackedStack", lambda *_: SimpleNamespace(run=lambda x: runs.append(x))
    )
    rate = speed.gflops("float32", isa.available()[0])
    x, stack = runs[0], speed.STACK
    assert len(runs) == 1 + 3  # the first one packs
    shapes = [stack.shapes()[name] for name in ("weight_ih_l0", "weight_hh_l0")]
    operations = 2 * sum(gates * width for gates, width in shapes) * len(x.values)
    assert rate == pytest.approx(operations / 0.004 / 1e9)


def test_the_peak_is_that_of_a_compiled_engine(forced):
    forced(isa.REFERENCE)
    with pytest.raises(EngineError, match="only a compiled one can be measured"):
        fma_peak()
