"""Which engine runs: visible, never lowered in silence."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from birnn.errors import EngineError
from birnn.kernels import isa, layer
from birnn.ragged import Ragged
from birnn.reference import Stack, initialise


def test_the_reference_is_what_runs(monkeypatch):
    monkeypatch.delenv(isa.FORCE, raising=False)
    assert isa.active().name == "reference"
    assert np.__version__ in isa.active().detail


def test_forcing_the_reference_is_allowed(monkeypatch):
    monkeypatch.setenv(isa.FORCE, "reference")
    assert isa.active().name == "reference"


@pytest.mark.parametrize("name", ["avx512", "native", "referense"])
def test_an_engine_that_is_not_here_is_refused_and_what_there_is_named(monkeypatch, name):
    monkeypatch.setenv(isa.FORCE, name)
    stack = Stack("gru", 1, 1)
    with pytest.raises(EngineError, match=f"{name}.*reference"):
        layer.run(Ragged(np.ones((1, 1)), np.array([1])), initialise(stack, 0), stack)


def test_the_native_module_is_here_or_its_absence_explained():
    installed = importlib.util.find_spec("birnn.kernels._native") is not None
    assert (isa.native_module() is not None) == installed
    assert (isa.why_no_native() is None) == installed
    if not installed:
        assert "compiler" in str(isa.why_no_native())


def test_a_native_module_that_does_not_load_says_why(monkeypatch):
    def broken(name):
        raise ImportError("libstdc++ is too old")

    monkeypatch.setattr(isa, "importlib", SimpleNamespace(import_module=broken))
    isa._import_native.cache_clear()
    try:
        assert isa.native_module() is None
        assert "libstdc++ is too old" in str(isa.why_no_native())
    finally:
        isa._import_native.cache_clear()


def test_the_native_module_counts_rows():
    native = isa.native_module()
    if native is None:
        pytest.skip(f"no native module: {isa.why_no_native()}")
    lengths = np.random.default_rng(0).integers(0, 50, 100)
    assert native.count_rows(lengths) == int(lengths.sum())
    assert native.count_rows(np.zeros(0, np.int64)) == 0
    with pytest.raises(ValueError, match="negative"):
        native.count_rows(np.array([2, -1]))
