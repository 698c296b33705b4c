"""The cache of prepared rows: bounded, every token computed once while it is kept.

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

from birnn.engine.stack import PreparedRows
from birnn.inputs import row_cache as module
from birnn.inputs.row_cache import RowCache

ROW = 24  # bytes of a prepared row


class Counting:
    """The row of a token is its length and its first character; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, tokens: list[str]) -> np.ndarray:
        self.asked += tokens
        return np.array([[len(token), ord(token[0])] for token in tokens], np.float32)


class Tripling:
    """An encoder that reads each row three times, and says which engine it was prepared for."""

    def __init__(self) -> None:
        self.engine = "one"

    def prepare(self, rows: np.ndarray) -> PreparedRows:
        return PreparedRows(self.engine, np.tile(rows, 3) * ENGINES[self.engine])


ENGINES = {"one": np.float32(1), "other": np.float32(2)}


def cache_of(compute: Counting, capacity: int, encoder: Tripling | None = None) -> RowCache:
    """A cache that keeps so many rows in each of its generations."""
    return RowCache(compute, encoder or Tripling(), 2, memory=2 * capacity * ROW)


def rows_of(cache: RowCache, tokens: list[str]) -> np.ndarray:
    """The prepared rows of tokens."""
    numbers, table = cache.find(tokens)
    assert table is not None
    return table.values[numbers]


def right(tokens: list[str], engine: str = "one") -> np.ndarray:
    """The same without a cache."""
    rows = Counting()(tokens) if tokens else np.empty((0, 2), np.float32)
    return np.tile(rows, 3) * ENGINES[engine]


def test_a_token_is_computed_once() -> None:
    compute = Counting()
    cache = cache_of(compute, 10)
    rows_of(cache, ["the", "bank", "the"])
    rows_of(cache, ["bank", "river", "the"])
    assert compute.asked == ["the", "bank", "river"]
    assert len(cache) == 3


def test_rows_that_are_kept_stay_where_they_are() -> None:
    cache = cache_of(Counting(), 10)
    numbers, table = cache.find(["the", "bank"])
    others, same = cache.find(["river", "bank"])
    assert table is same
    assert others[1] == numbers[1]
    assert cache.find(["the"]).table is table


def test_what_is_asked_for_again_outlives_what_is_not() -> None:
    compute = Counting()
    cache = cache_of(compute, 3)
    for number in range(30):
        rows_of(cache, ["often", f"rare{number}"])
    assert compute.asked.count("often") == 1
    assert len(cache) <= 6
    rows_of(cache, ["rare0"])
    assert compute.asked.count("rare0") == 2


def test_rows_of_another_engine_are_prepared_again() -> None:
    compute, encoder = Counting(), Tripling()
    cache = cache_of(compute, 10, encoder)
    for engine in ("one", "other", "other", "one"):
        encoder.engine = engine
        for tokens in (["a", "bb"], ["bb", "ccc"], []):
            np.testing.assert_array_equal(rows_of(cache, tokens), right(tokens, engine))
            assert cache.find(tokens).table.engine == engine  # type: ignore[union-attr]
    assert compute.asked == 3 * ["a", "bb", "ccc"]


def test_an_engine_that_changes_meanwhile() -> None:
    encoder = Tripling()

    class Changing(Counting):
        def __call__(self, tokens: list[str]) -> np.ndarray:
            encoder.engine = "other"
            return super().__call__(tokens)

    cache = cache_of(Changing(), 10, encoder)
    np.testing.assert_array_equal(rows_of(cache, ["a", "bb"]), right(["a", "bb"], "other"))


@given(
    st.integers(1, 6),
    st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=12), max_size=12),
)
def test_rows_are_right_whatever_was_asked_before(capacity: int, calls: list[list[str]]) -> None:
    cache = cache_of(Counting(), capacity)
    for tokens in calls:
        np.testing.assert_array_equal(rows_of(cache, tokens), right(tokens))
        assert len(cache) <= 2 * capacity


def test_memory_is_bounded_in_bytes_and_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [chr(97 + i) for i in range(20)]
    for memory, most in ((0, 2), (4 * ROW, 4), (11 * ROW, 10)):
        cache = RowCache(Counting(), Tripling(), 2, memory=memory)
        for token in tokens:
            rows_of(cache, [token])
        assert len(cache) == most
    monkeypatch.setattr(module, "TOKENS", 8)
    cache = RowCache(Counting(), Tripling(), 2)
    for _ in range(2):
        rows_of(cache, tokens)
        assert len(cache) <= 8


def test_many_new_tokens_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    tokens = [f"w{i}" for i in range(11)]
    np.testing.assert_array_equal(rows_of(cache_of(Counting(), 4), tokens), right(tokens))


# ---------------------------------------------------------------------- interrupted, and threads


def script(cache: RowCache) -> None:
    """Calls that fill the cache, hit it, move rows over and lose some."""
    for tokens in (["a", "b"], ["b", "cc", "ddd"], ["a", "eeee"], ["ddd", "b", "a", "f", "g"]):
        rows_of(cache, tokens)


def check(cache: RowCache) -> None:
    """Every token gives its own row, asked for together, alone, and again."""
    tokens = ["a", "b", "cc", "ddd", "eeee", "f", "g", "new"]
    for asked in (tokens, *([token] for token in tokens), tokens[::-1], ["b"], tokens):
        np.testing.assert_array_equal(rows_of(cache, asked), right(asked))


def test_a_computation_that_fails_leaves_nothing_behind() -> None:
    class Failing(Counting):
        left = 0

        def __call__(self, tokens: list[str]) -> np.ndarray:
            if self.left == 0:
                raise MemoryError
            self.left -= 1
            return super().__call__(tokens)

    for calls in range(4):
        compute = Failing()
        compute.left = calls
        cache = cache_of(compute, 3)
        with pytest.raises(MemoryError):
            script(cache)
        compute.left = -1
        check(cache)


class Interruption:
    """Raises KeyboardInterrupt as the cache begins its n-th line."""

    def __init__(self, cache: RowCache, line: int) -> None:
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
        cache = cache_of(Counting(), 3)
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
    # Every line of `find` and of what it calls was hit, most of them several times.
    assert line > 100
    assert len(places) > 15


def test_threads_that_share_a_cache_get_their_own_rows(hasty: None) -> None:
    words = [chr(97 + i) * n for i in range(20) for n in (1, 2, 3)]

    def ask(thread: int) -> int:
        draw, wrong = random.Random(thread), 0
        for _ in range(300):
            forms = draw.sample(words, draw.randint(1, 12))
            wrong += not np.array_equal(rows_of(cache, forms), right(forms))
        return wrong

    for capacity in (1, 7, 40, 100):
        cache = cache_of(Counting(), capacity)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [0] * 8
        assert len(cache) <= 2 * capacity
        np.testing.assert_array_equal(rows_of(cache, words), right(words))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_of_a_fork_does_not_wait_for_a_thread_of_its_parent() -> None:
    cache = cache_of(Counting(), 3)
    rows_of(cache, ["a"])
    with cache._lock:  # as a thread holds it that is not there in the child
        child = os.fork()
        if child == 0:
            signal.alarm(120)  # ends it where it waits for ever
            same = np.array_equal(rows_of(cache, ["a", "bb"]), right(["a", "bb"]))
            os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
