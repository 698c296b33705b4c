"""Threads of our own work on torch: what runs on how many, and that torch is left as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from birnn.engine import isa
from birnn.engine.threads import THREADS, threads_set_by
from birnn.nn import BiRNN
from birnn.nn.threads import layer_threads, own_threads

compiled = pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")


@pytest.fixture(autouse=True)
def two_of_torch(monkeypatch):
    """Torch runs on two threads, and nobody has set ours."""
    monkeypatch.setattr("birnn.engine.threads._threads", None)
    monkeypatch.delenv(THREADS, raising=False)
    monkeypatch.delenv(isa.FORCE, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@compiled
@pytest.mark.parametrize("setting", ["1", "3"])
def test_the_environment_holds_for_torch_and_for_the_layers(monkeypatch, setting):
    monkeypatch.setenv(THREADS, setting)
    with own_threads():
        assert (torch.get_num_threads(), layer_threads().threads) == (1, int(setting))
    assert (torch.get_num_threads(), layer_threads().threads) == (2, 2)


@compiled
def test_torch_gets_its_threads_back_after_an_error():
    set_by = threads_set_by()

    @own_threads(3)
    def fail():
        assert (torch.get_num_threads(), layer_threads().threads) == (1, 3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.get_num_threads() == layer_threads().threads == 2
    assert threads_set_by() == set_by


def test_layers_that_are_torch_s_own_get_all_threads(monkeypatch):
    monkeypatch.setenv(isa.FORCE, isa.REFERENCE)
    with own_threads(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 2


@compiled
def test_a_layer_runs_on_the_threads_that_there_are(monkeypatch):
    """Forward and backward; in our own work on ours, else on as many as torch has."""
    asked = []
    native = isa.selected_engine()
    for name in ("layer_forward", "layer_backward"):
        run = getattr(native, name)
        noted = lambda *given, run=run: (asked.append(given), run(*given))[1]  # noqa: E731
        monkeypatch.setattr(native, name, noted)
    layer, x = BiRNN("lstm", 3, 4), torch.ones(2, 5, 3)
    layer(x).output.sum().backward()
    with own_threads(3):
        layer(x).output.sum().backward()
    # Torch's threads are OpenMP's; ours are a pool of our own.
    assert [given[-2:] for given in asked] == [(2, True), (2, True), (3, False), (3, False)]


ALONE = """
import os, time, torch
import numpy as np
from birnn.engine import crf, isa
from birnn.ragged import Ragged

def alive():
    return len(os.listdir("/proc/self/task"))

threads, before = torch.get_num_threads(), alive()
import birnn.nn
assert (torch.get_num_threads(), alive()) == (threads, before)
chain = crf.chain_of(np.zeros((20, 20)), np.zeros(20), np.zeros(20))
crf.marginals(Ragged(np.ones((2000, 20)), np.full(50, 40)), chain, threads=3)
assert alive() == before + 2
isa.native_module().stop_threads()  # torch's would stay
end = time.monotonic() + 30
while alive() != before and time.monotonic() < end:
    time.sleep(0.001)  # a thread that was joined stays in /proc until the system has taken it away
assert alive() == before
"""


@compiled
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc to count threads in")
def test_importing_the_layers_changes_no_threads_of_the_process():
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
