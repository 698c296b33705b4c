"""Rows of tokens as an encoder reads them, kept from call to call."""

# F distinct tokens, W width of an input row, P of a prepared one

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from birnn.engine.arrays import aligned_empty
from birnn.engine.stack import PreparedRows
from birnn.inputs.kind import Floats, InputRows, Preparer

# Bytes of the rows that a cache keeps at most, and how many rows, however small they are.
MEMORY = 128 << 20
TOKENS = 1 << 16
# Tokens that are computed together: bounds the memory of a character network, fills its matrices.
CHUNK = 4096


@dataclass(slots=True, eq=False)
class Generation:
    """Rows that were prepared one after another until there was no more room.

    A row never changes once its token has a slot, so that it can be read without a lock.

    Args:
        table: Room for rows, of which the first ``len(slots)`` are in use.
        slots: Row of each token.
        older: The generation before, whose rows move over when they are asked for.
    """

    table: PreparedRows
    slots: dict[str, int] = field(default_factory=dict)
    older: Generation | None = None


class RowCache:
    """A cache of the rows of tokens, computed by a function when a token is new.

    It keeps two generations: where the newer one is full, the older one goes and a new one begins.
    What was asked for since then is never computed again. Several threads may call at once, and
    each may be interrupted anywhere by an exception, Ctrl-C too.

    Args:
        compute: Rows (F, W) of a list of F distinct tokens.
        encoder: What reads them.
        width: Width W of a row.
        memory: Bytes of both generations at most; each has room for one row at least.

    Example:
        >>> from birnn.engine.stack import PackedStack
        >>> from birnn.reference.stack import Stack
        >>> stack = Stack("gru", 1, 3)
        >>> shapes = stack.shapes().items()
        >>> encoder = PackedStack({name: np.zeros(shape, "f4") for name, shape in shapes}, stack)
        >>> cache = RowCache(lambda tokens: np.array([[len(t)] for t in tokens], "f4"), encoder, 1)
        >>> cache.find(["river", "bank", "river"]).values.tolist()
        [0, 1, 0]
        >>> len(cache)
        2
    """

    def __init__(
        self,
        compute: Callable[[list[str]], Floats],
        encoder: Preparer,
        width: int,
        *,
        memory: int = MEMORY,
    ) -> None:
        self._compute = compute
        self._encoder = encoder
        self._width = width
        self._memory = memory
        self._newest: Generation | None = None
        self._lock = threading.Lock()
        _caches.add(self)

    def __len__(self) -> int:
        """Number of rows that are kept."""
        newest = self._newest
        generations = [newest, newest and newest.older]
        return sum(len(generation.slots) for generation in generations if generation is not None)

    def find(self, tokens: Sequence[str]) -> InputRows:
        """The table that has the tokens' rows, and their numbers in it."""
        newest = self._newest
        if newest is not None and newest.table.engine == self._encoder.engine:
            slots = newest.slots
            try:
                return InputRows(np.array([slots[token] for token in tokens], int), newest.table)
            except KeyError:
                pass
        distinct = list(dict.fromkeys(tokens))
        slots, table = self._with_new(distinct)
        return InputRows(np.array([slots[token] for token in tokens], int), table)

    def _with_new(self, tokens: list[str]) -> tuple[dict[str, int], PreparedRows]:
        """Row of each token and the table, once what is new is computed."""
        found: dict[str, Floats] = {}
        engine = ""
        while True:
            if engine != self._encoder.engine:
                engine, found = self._encoder.engine, {}
            with self._lock:
                newest = self._newest
                if newest is not None and newest.table.engine != engine:
                    newest = None
                new = tokens if newest is None else [t for t in tokens if t not in newest.slots]
                if newest is not None and newest.older is not None:
                    older = newest.older
                    moving = [t for t in new if t in older.slots]
                    found |= {t: older.table.values[older.slots[t]] for t in moving}
                unknown = [token for token in new if token not in found]
                if tokens and not unknown:
                    return self._keep(newest, engine, tokens, new, found)
            # Without the lock: threads compute in parallel, at worst the same twice.
            for start in range(0, len(unknown), CHUNK):
                part = unknown[start : start + CHUNK]
                prepared = self._encoder.prepare(self._compute(part))
                if prepared.engine != engine:
                    break
                found |= zip(part, prepared.values, strict=True)
            if not tokens:
                return {}, self._encoder.prepare(np.empty((0, self._width), np.float32))

    def _keep(
        self,
        newest: Generation | None,
        engine: str,
        tokens: list[str],
        new: list[str],
        found: dict[str, Floats],
    ) -> tuple[dict[str, int], PreparedRows]:
        """Keep new rows in the newest generation, or in another one that holds all tokens."""
        if newest is not None:
            begin = len(newest.slots)
            if begin + len(new) <= len(newest.table.values):
                self._put(newest, new, found)
                return newest.slots, newest.table
            values, slots = newest.table.values, newest.slots
            found |= {t: values[slots[t]] for t in tokens if t in slots}
            newest.older = None
        row = found[tokens[0]]
        room = max(1, min(TOKENS, self._memory // row.nbytes) // 2)
        other = Generation(_table(engine, room, row), older=newest)
        self._put(other, tokens[:room], found)
        self._newest = other
        if len(tokens) <= room:
            return other.slots, other.table
        # More than it keeps: a table of this call alone.
        alone = Generation(_table(engine, len(tokens), row))
        self._put(alone, tokens, found)
        return alone.slots, alone.table

    @staticmethod
    def _put(generation: Generation, tokens: list[str], found: dict[str, Floats]) -> None:
        """Rows behind those in use, and only then the slots that lead to them."""
        begin = len(generation.slots)
        end = begin + len(tokens)
        if tokens:
            rows = [found[token] for token in tokens]
            np.stack(rows, out=generation.table.values[begin:end])
        generation.slots.update(zip(tokens, range(begin, end), strict=True))


def _table(engine: str, rows: int, like: Floats) -> PreparedRows:
    """Room for rows, whose memory the system commits only as it fills."""
    return PreparedRows(engine, aligned_empty(rows * like.size, like.dtype).reshape(rows, -1))


_caches: weakref.WeakSet[RowCache] = weakref.WeakSet()


def _renew_locks() -> None:
    """In the child of a fork, where the thread that holds a lock may not be."""
    for cache in _caches:
        cache._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
