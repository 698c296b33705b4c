"""What studies measure with: turns of several works, and what is known of the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import birnn

# Pools of threads spin for a while after their work, and would be in the next one's way: ONNX
# Runtime's for more than 10 ms.
PAUSE = 0.05  # seconds
# Calls before those that are timed: threads are awake then, and each on a processor of its own that
# is at speed again. One sequence took 0.30 ms after 20 ms of calls, and 0.27 ms after 100 ms.
WARM = 0.1  # seconds
TURN = 0.05  # seconds of work that a turn aims at
MOST_CALLS = 20  # in one turn
LONG = 0.2  # seconds; a call that long finds nothing of an earlier one in the caches


@dataclass(slots=True)
class Contestant:
    """A work that takes turns with others.

    Args:
        call: Does the work once and returns when it is done; this is what is timed. It has
            been called before: a first call compiles, packs weights, starts threads.
        times: Seconds of a call in each turn so far.
    """

    call: Callable[[], Any]
    times: list[float] = field(init=False, default_factory=list)
    expected: float = field(init=False)

    def __post_init__(self) -> None:
        begun = time.perf_counter()
        self.call()
        self.expected = time.perf_counter() - begun

    @property
    def seconds(self) -> float:
        """Median over the turns."""
        return statistics.median(self.times)

    def turn(self) -> None:
        """Some calls; what they took in the mean is kept."""
        time.sleep(PAUSE)
        warm = time.perf_counter() + WARM
        while self.expected < LONG:
            self.call()
            if time.perf_counter() > warm:
                break
        calls = max(1, min(MOST_CALLS, round(TURN / self.expected)))
        begun = time.perf_counter()
        for _ in range(calls):
            self.call()
        self.times.append((time.perf_counter() - begun) / calls)


def take_turns(contestants: Sequence[Contestant], number: int) -> None:
    """A turn of each, another one first in each round: who follows whom must not matter.

    Args:
        contestants: Who takes part.
        number: Of the round, from 0 on.
    """
    first = number % len(contestants)
    for contestant in [*contestants[first:], *contestants[:first]]:
        contestant.turn()


def machine() -> dict[str, str]:
    """Processor, cores, system and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": str(cores),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "birnn": birnn.__version__,
    }


def footer(done: str) -> str:
    """How a page came about: what was done, and where."""
    return f"{done}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
