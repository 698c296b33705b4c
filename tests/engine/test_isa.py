"""Which engine runs, and on how many threads: visible, never lowered in silence."""

from __future__ import annotations

import importlib.util
import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from birnn.engine import isa, recurrent
from birnn.engine.linear import Linear
from birnn.engine.stack import run
from birnn.errors import ConfigError, EngineError
from birnn.ragged import Ragged
from birnn.reference import Stack, initialise

ABSENT = [
    "sse9",
    "Reference",
    *(name for name in isa.DETAILS if name not in isa.available()),
]


@pytest.fixture
def no_compiled_module(monkeypatch):
    """``no_compiled_module(error)``: importing the compiled module raises this."""

    def fail(error):
        def broken(name):
            raise error

        monkeypatch.setattr(isa, "importlib", SimpleNamespace(import_module=broken))
        forget()

    def forget():
        for known in (isa._import_native, isa._name_for, isa._select, isa._warn_no_native_engine):
            known.cache_clear()

    yield fail
    monkeypatch.undo()
    forget()


def test_the_best_engine_runs_unless_one_is_forced(monkeypatch):
    monkeypatch.delenv(isa.FORCE, raising=False)
    assert isa.active().name == isa.available()[0]
    assert isa.active().detail == isa.DETAILS[isa.available()[0]]


def test_an_empty_setting_forces_nothing(monkeypatch):
    monkeypatch.setenv(isa.FORCE, "")
    assert isa.active().name == isa.available()[0]


@pytest.mark.parametrize("name", isa.available())
def test_every_engine_that_is_here_can_be_forced(forced, name):
    forced(name)
    assert isa.active().name == name
    assert (isa.selected_engine() is None) == (name == isa.REFERENCE)


@pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")
def test_asking_what_would_run_chooses_nothing(monkeypatch):
    monkeypatch.delenv(isa.FORCE, raising=False)
    native = isa.selected_engine()
    best = native.engine()
    monkeypatch.setenv(isa.FORCE, "generic")
    assert isa.active().name == "generic"
    assert native.engine() == best
    assert isa.selected_engine().engine() == "generic"


def test_what_is_compiled_is_here_best_first():
    order = ["avx512", "avx2", "generic", "reference"]
    assert sorted(isa.available(), key=order.index) == list(isa.available())
    if isa.native_module() is not None:
        assert "generic" in isa.available()


@pytest.mark.parametrize("name", ABSENT)
def test_an_engine_that_is_not_here_is_refused_and_what_there_is_named(monkeypatch, name):
    monkeypatch.setenv(isa.FORCE, name)
    stack = Stack("gru", 1, 1)
    calls = [
        isa.active,
        lambda: run(Ragged(np.ones((1, 1)), np.array([1])), initialise(stack, 0), stack),
        lambda: recurrent.pack("gru", [(np.ones((3, 1)), np.ones((3, 1)), None, None)]),
        lambda: Linear(np.ones((1, 1)))(np.ones((1, 1))),
    ]
    for call in calls:
        with pytest.raises(EngineError, match=f"{isa.FORCE} is '{name}', which is not here") as e:
            call()
        assert any(known in str(e.value) for known in isa.available())


def test_the_native_module_is_here_or_its_absence_explained():
    installed = importlib.util.find_spec("birnn.engine._native") is not None
    assert (isa.native_module() is not None) == installed
    assert (isa.why_no_native() is None) == installed


def test_without_the_native_module_the_reference_runs_and_says_what_to_do(
    monkeypatch, no_compiled_module
):
    monkeypatch.delenv(isa.FORCE, raising=False)
    no_compiled_module(ModuleNotFoundError("No module named 'birnn.engine._native'"))
    assert isa.available() == (isa.REFERENCE,)
    with pytest.warns(RuntimeWarning, match=r"slower than they could.*Install a C\+\+ compiler"):
        assert isa.selected_engine() is None
    with warnings.catch_warnings(action="error"):
        assert isa.selected_engine() is None  # told once
        assert isa.active().name == isa.REFERENCE
    assert np.__version__ in isa.active().detail
    with pytest.raises(EngineError, match=r"Install a C\+\+ compiler"):
        recurrent.pack("gru", [(np.ones((3, 1)), np.ones((3, 1)), None, None)])
    monkeypatch.setenv(isa.FORCE, "generic")
    with pytest.raises(EngineError, match="compiled module is not installed"):
        isa.active()


def test_a_native_module_that_does_not_load_says_why(no_compiled_module):
    no_compiled_module(ImportError("libstdc++ is too old"))
    assert isa.native_module() is None
    assert "libstdc++ is too old" in str(isa.why_no_native())


@pytest.fixture
def unset_threads(monkeypatch):
    """No number of threads is set, in the process or by its environment."""
    monkeypatch.setattr(isa, "_threads", None)
    monkeypatch.delenv(isa.THREADS, raising=False)


def test_threads_are_by_default_the_processors_this_process_may_use(unset_threads):
    assert isa.get_num_threads() == len(os.sched_getaffinity(0))


def test_threads_can_be_set_by_the_environment_and_by_a_call(unset_threads, monkeypatch):
    monkeypatch.setenv(isa.THREADS, "3")
    assert isa.get_num_threads() == 3
    isa.set_num_threads(2)
    assert isa.get_num_threads() == 2


def test_threads_for_a_while_are_forgotten_after_it(unset_threads, monkeypatch):
    monkeypatch.setenv(isa.THREADS, "3")
    with isa.num_threads(None):
        assert isa.get_num_threads() == 3

    @isa.num_threads(2)
    def fail():
        assert isa.get_num_threads() == 2
        assert isa.threads_set_by() == "the program"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert isa.get_num_threads() == 3
    assert isa.threads_set_by() == isa.THREADS
    monkeypatch.delenv(isa.THREADS)
    assert isa.threads_set_by() == "processors that this process may use"


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5", " 2", "²", "257", "99999999999"])
def test_a_bad_number_of_threads_in_the_environment_is_refused(unset_threads, monkeypatch, setting):
    monkeypatch.setenv(isa.THREADS, setting)
    with pytest.raises(ConfigError, match=f"{isa.THREADS} is '{setting}'.*whole number from 1"):
        isa.get_num_threads()


def test_a_number_of_threads_of_thousands_of_digits_is_refused(unset_threads, monkeypatch):
    monkeypatch.setenv(isa.THREADS, "9" * 5000)
    with pytest.raises(ConfigError, match=r"'9{50}\.\.\.', it must be a whole number"):
        isa.get_num_threads()


@pytest.mark.parametrize("threads", [0, -1, 257, 10**11, 1.0, "2", True, None])
def test_a_bad_number_of_threads_is_refused(unset_threads, threads):
    with pytest.raises(ConfigError, match="whole number from 1"):
        isa.set_num_threads(threads)


def test_the_peak_is_that_of_a_compiled_engine(forced):
    forced(isa.REFERENCE)
    with pytest.raises(EngineError, match="only a compiled one can be measured"):
        isa.fma_peak()
