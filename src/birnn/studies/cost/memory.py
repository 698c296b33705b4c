"""Peak memory of one stack: run as a process of its own, ``python -m`` with a task in JSON.

A peak is a high-water mark of resident memory. A new process begins with its parent's mark in
``getrusage``, so it is read from the process' own map of memory where the system shows one, and set
back first to what is in use.
"""

from __future__ import annotations

import ctypes
import json
import sys
from contextlib import suppress
from pathlib import Path

from birnn.nn.threads import own_threads
from birnn.reference.stack import Stack
from birnn.studies.cost.measure import BatchSize, LayerRun

SELF = Path("/proc/self")
REPEATS = 2  # the second pass meets the memory that the first one gave back


def peaks(stack: Stack, batch: BatchSize) -> dict[str, int]:
    """What each pass adds to the memory that is in use before it, in bytes at most."""
    small = LayerRun(stack, BatchSize(1, 1))
    small.train(), small.forward()  # libraries, threads and autograd have what they keep
    work = LayerRun(stack, batch)
    before = settled()
    found = {}
    for name, run in (("forward", work.forward), ("training", work.train)):
        for _ in range(REPEATS):
            run()
        found[name] = max(0, high_water() - before)
    return found


def settled() -> int:
    """Resident bytes now, freed memory given back and the mark set to it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        (SELF / "clear_refs").write_text("5")
    return high_water()


def high_water() -> int:
    """The most bytes that were resident at once."""
    with suppress(OSError):
        for line in (SELF / "status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(task: str) -> None:
    """Print the peaks of a task."""
    told = json.loads(task)
    with own_threads(told["threads"]):
        print(json.dumps(peaks(Stack(**told["stack"]), BatchSize(**told["batch"]))))


if __name__ == "__main__":
    main(sys.argv[1])
