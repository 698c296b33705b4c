"""Threads of our own work on torch: what runs on how many, and that torch is left as it was."""

from __future__ import annotations

import pytest
import torch

from birnn.kernels import isa
from birnn.nn import BiRNN
from birnn.nn.threads import crew, own_threads

compiled = pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")


@pytest.fixture(autouse=True)
def two_of_torch(monkeypatch):
    """Torch runs on two threads, and nobody has set ours."""
    monkeypatch.setattr(isa, "_threads", None)
    monkeypatch.delenv(isa.THREADS, raising=False)
    monkeypatch.delenv(isa.FORCE, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@compiled
@pytest.mark.parametrize("setting", ["1", "3"])
def test_the_environment_holds_for_torch_and_for_the_layers(monkeypatch, setting):
    monkeypatch.setenv(isa.THREADS, setting)
    with own_threads():
        assert (torch.get_num_threads(), crew().threads) == (1, int(setting))
    assert (torch.get_num_threads(), crew().threads) == (2, 2)


@compiled
def test_torch_gets_its_threads_back_after_an_error():
    set_by = isa.threads_set_by()

    @own_threads(3)
    def fail():
        assert (torch.get_num_threads(), crew().threads) == (1, 3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.get_num_threads() == crew().threads == 2
    assert isa.threads_set_by() == set_by


def test_layers_that_are_torch_s_own_get_all_threads(monkeypatch):
    monkeypatch.setenv(isa.FORCE, isa.REFERENCE)
    with own_threads(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 2


@compiled
def test_a_layer_runs_on_the_threads_that_there_are(monkeypatch):
    """Forward and backward; in our own work on ours, else on as many as torch has."""
    asked = []
    native = isa.in_use()

    class Seen:
        def __getattr__(self, name):
            run = getattr(native, name)
            if not name.startswith("layer_"):
                return run
            return lambda *given: (asked.append(given), run(*given))[1]

    monkeypatch.setattr(isa, "in_use", lambda: Seen())
    layer, x = BiRNN("lstm", 3, 4), torch.ones(2, 5, 3)
    layer(x).output.sum().backward()
    with own_threads(3):
        layer(x).output.sum().backward()
    # Torch's threads are OpenMP's; ours are a pool of our own.
    assert [given[-2:] for given in asked] == [(2, True), (2, True), (3, False), (3, False)]
