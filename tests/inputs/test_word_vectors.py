"""The cache of word vectors: bounded, least recently used out first, every form computed once.

Safe where several threads share it, and after an interrupt anywhere.
"""

from __future__ import annotations

import itertools
import linecache
import os
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.inputs import word_vectors as module
from birnn.inputs.word_vectors import WordVectorCache


class Counting:
    """The row of a form is its length and its first character; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, forms: list[str]) -> np.ndarray:
        self.asked += forms
        return np.array([[len(form), ord(form[0])] for form in forms], np.float32)


def test_a_form_is_computed_once() -> None:
    compute = Counting()
    table = WordVectorCache(compute, 2, capacity=10)
    table.rows(["the", "bank"])
    table.rows(["bank", "river", "the"])
    assert compute.asked == ["the", "bank", "river"]


def test_the_least_recently_used_goes_first() -> None:
    compute = Counting()
    table = WordVectorCache(compute, 2, capacity=2)
    for form in ("a", "b", "a", "c", "a", "b"):
        table.rows([form])
    assert compute.asked == ["a", "b", "c", "b"]
    assert len(table) == 2


@given(
    st.integers(1, 6),
    st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10), max_size=12),
)
def test_rows_are_right_whatever_was_asked_before(capacity: int, calls: list[list[str]]) -> None:
    table = WordVectorCache(Counting(), 2, capacity=capacity)
    for forms in calls:
        rows = table.rows(forms)
        assert rows.shape == (len(forms), 2)
        np.testing.assert_array_equal(rows, Counting()(forms) if forms else rows)
        assert len(table) <= capacity


def test_many_new_forms_come_in_chunks(monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    compute = Counting()
    forms = [f"w{i}" for i in range(11)]
    np.testing.assert_array_equal(
        WordVectorCache(compute, 2, capacity=4).rows(forms), compute(forms)
    )


# ---------------------------------------------------------------------- interrupted, and threads


def script(cache: WordVectorCache) -> None:
    """Calls that fill the cache, hit it and evict from it."""
    for forms in (["a", "b"], ["b", "cc", "ddd"], ["a", "eeee"], ["ddd", "b", "a", "f", "g"]):
        cache.rows(forms)


def check(cache: WordVectorCache) -> None:
    """Every form gives its own row, asked for together, alone, and again."""
    forms = ["a", "b", "cc", "ddd", "eeee", "f", "g", "new"]
    for asked in (forms, *([form] for form in forms), forms[::-1], ["b"], forms):
        np.testing.assert_array_equal(cache.rows(asked), Counting()(asked))


def test_a_computation_that_fails_leaves_nothing_behind() -> None:
    class Failing(Counting):
        left = 0

        def __call__(self, forms: list[str]) -> np.ndarray:
            if self.left == 0:
                raise MemoryError
            self.left -= 1
            return super().__call__(forms)

    for calls in range(4):
        compute = Failing()
        compute.left = calls
        cache = WordVectorCache(compute, 2, capacity=3)
        with pytest.raises(MemoryError):
            script(cache)
        compute.left = -1
        check(cache)


class Interruption:
    """Raises KeyboardInterrupt as the cache begins its n-th line."""

    def __init__(self, cache: WordVectorCache, line: int) -> None:
        self._cache = cache
        self._left = line
        self.where = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> Interruption | None:
        if frame.f_code.co_filename != module.__file__:
            return None
        source = linecache.getline(module.__file__, frame.f_lineno)
        # At the end of a with block the line begins anew. There no signal is taken: the call that
        # releases the lock comes first.
        releasing = source.strip().startswith("with ") and self._cache._lock.locked()
        if event == "line" and not releasing:
            if self._left == 0:
                self.where = frame.f_lineno
                raise KeyboardInterrupt
            self._left -= 1
        return self


def test_an_interrupt_at_any_line_leaves_every_later_answer_right() -> None:
    places: set[int] = set()
    for line in itertools.count():
        cache = WordVectorCache(Counting(), 2, capacity=3)
        interruption = Interruption(cache, line)
        former = sys.gettrace()
        sys.settrace(interruption)
        try:
            script(cache)
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(former)
        places.add(interruption.where)
        assert not cache._lock.locked()
        check(cache)
    # Every line of `rows` and of what it calls was hit, most of them several times.
    assert line > 100
    assert len(places) > 15


def test_threads_that_share_a_cache_get_their_own_rows(hasty: None) -> None:
    words = [chr(97 + i) * n for i in range(20) for n in (1, 2, 3)]

    def ask(thread: int) -> int:
        draw, wrong = random.Random(thread), 0
        for _ in range(300):
            forms = draw.sample(words, draw.randint(1, 12))
            wrong += not np.array_equal(cache.rows(forms), Counting()(forms))
        return wrong

    for capacity in (1, 7, 40, 100):
        cache = WordVectorCache(Counting(), 2, capacity=capacity)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [0] * 8
        assert len(cache) <= capacity
        np.testing.assert_array_equal(cache.rows(words), Counting()(words))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_of_a_fork_does_not_wait_for_a_thread_of_its_parent() -> None:
    cache = WordVectorCache(Counting(), 2, capacity=3)
    cache.rows(["a"])
    with cache._lock:  # as a thread holds it that is not there in the child
        child = os.fork()
        if child == 0:
            signal.alarm(120)  # ends it where it waits for ever
            right = np.array_equal(cache.rows(["a", "bb"]), Counting()(["a", "bb"]))
            os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
