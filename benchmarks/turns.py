"""Ways of one work in turns, so that a busy moment of the machine meets all of them."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping


def take(ways: Mapping[str, Callable[[], float]], rounds: int, *, work: str) -> dict[str, float]:
    """Tokens in a second of each way, the median over rounds.

    Args:
        ways: A turn of each way by its name; it returns tokens in a second.
        rounds: Turns of each.
        work: What is done, for the progress on standard error.
    """
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, turn in ways.items():
            speeds[name].append(turn())
            speed = f"{speeds[name][-1]:,.0f} tokens/s"
            told = f"{work}, round {number + 1}/{rounds}, {name}: {speed}"
            print(told, file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in speeds.items()}
