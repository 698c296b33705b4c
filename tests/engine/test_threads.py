"""On how many threads birnn works: as the environment or the program sets it."""

from __future__ import annotations

import os

import pytest

from birnn.engine.threads import (
    THREADS,
    get_num_threads,
    num_threads,
    set_num_threads,
    threads_set_by,
)
from birnn.errors import ConfigError


@pytest.fixture
def unset_threads(monkeypatch):
    """No number of threads is set, in the process or by its environment."""
    monkeypatch.setattr("birnn.engine.threads._threads", None)
    monkeypatch.delenv(THREADS, raising=False)


def test_threads_are_by_default_the_processors_this_process_may_use(unset_threads):
    assert get_num_threads() == len(os.sched_getaffinity(0))


def test_threads_can_be_set_by_the_environment_and_by_a_call(unset_threads, monkeypatch):
    monkeypatch.setenv(THREADS, "3")
    assert get_num_threads() == 3
    set_num_threads(2)
    assert get_num_threads() == 2


def test_threads_for_a_while_are_forgotten_after_it(unset_threads, monkeypatch):
    monkeypatch.setenv(THREADS, "3")
    with num_threads(None):
        assert get_num_threads() == 3

    @num_threads(2)
    def fail():
        assert get_num_threads() == 2
        assert threads_set_by() == "the program"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert get_num_threads() == 3
    assert threads_set_by() == THREADS
    monkeypatch.delenv(THREADS)
    assert threads_set_by() == "processors that this process may use"


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5", " 2", "²", "257", "99999999999"])
def test_a_bad_number_of_threads_in_the_environment_is_refused(unset_threads, monkeypatch, setting):
    monkeypatch.setenv(THREADS, setting)
    with pytest.raises(ConfigError, match=f"{THREADS} is '{setting}'.*whole number from 1"):
        get_num_threads()


def test_a_number_of_threads_of_thousands_of_digits_is_refused(unset_threads, monkeypatch):
    monkeypatch.setenv(THREADS, "9" * 5000)
    with pytest.raises(ConfigError, match=r"'9{50}\.\.\.', it must be a whole number"):
        get_num_threads()


@pytest.mark.parametrize("threads", [0, -1, 257, 10**11, 1.0, "2", True, None])
def test_a_bad_number_of_threads_is_refused(unset_threads, threads):
    with pytest.raises(ConfigError, match="whole number from 1"):
        set_num_threads(threads)
