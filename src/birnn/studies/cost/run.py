"""`cost`: counts and measures every way of reading."""

# R rows of the batch, B sequences

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from birnn.engine import isa
from birnn.engine.threads import get_num_threads
from birnn.errors import ConfigError, Tell, nearest, no_notice
from birnn.reference.stack import CellName, Direction, MergeName, Stack
from birnn.studies.cost import count
from birnn.studies.cost.measure import BatchSize, free_memory
from birnn.studies.cost.measure import measure as measured
from birnn.studies.cost.report import CostReport, Entry
from birnn.studies.turns import machine

MOST = 1_000_000  # of any one size: beyond, it is a slip of the finger


def cost(
    cell: CellName,
    input_size: int,
    hidden_size: int,
    *,
    cells: Sequence[CellName] = (),
    num_layers: int = 1,
    merge: MergeName = "concat",
    merge_size: int | None = None,
    directions: Sequence[Direction] | None = None,
    batch: int = 32,
    length: int = 50,
    measure: bool = True,
    rounds: int = 5,
    threads: int | None = None,
    tell: Tell = no_notice,
) -> CostReport:
    """Count and measure what one direction, two, and two at half width cost.

    Half width gives each direction half the hidden units, rounded down, so that both together are
    as wide as the one direction, or one unit less.

    Args:
        cell: Which cell.
        input_size: Width of a row.
        hidden_size: Hidden units of each direction.
        cells: Further cells to compare.
        num_layers: Layers on top of each other.
        merge: How two halves become one row.
        merge_size: Width of the rows that ``project`` makes; None for ``hidden_size``.
        directions: ``both`` or ``forward`` for each layer, where two directions are not in all.
        batch: Sequences in the batch that memory and time are for.
        length: Steps of each.
        measure: Whether to measure; else it is only counted, and nothing runs.
        rounds: Turns of each in the measuring of time.
        threads: Threads; as many as are set where it is None.
        tell: Called with a line of progress.

    Returns:
        An entry for each cell and each way of reading.

    Raises:
        ConfigError: A setting that does not exist or is out of range; sizes that do not fit in the
            memory that is free, where they are to be measured.
        EngineError: Memory could not be measured.

    Example:
        >>> report = cost("lstm", 100, 256, measure=False)
        >>> [entry.parameters.two_bias for entry in report.entries]
        [366592, 733184, 235520]
    """
    wanted = tuple(dict.fromkeys((cell, *cells)))
    sizes = {
        "input_size": input_size,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "batch": batch,
        "length": length,
    }
    _check(wanted, sizes)
    if measure:
        threads = get_num_threads() if threads is None else threads
        _check((), {"rounds": rounds, "threads": threads})
    entries = tuple(
        _entry(reader, stack, batch, batch * length)
        for one in wanted
        for reader, stack in _stacks(one, sizes, merge, merge_size, directions).items()
    )
    if measure:
        assert threads is not None
        _check_memory(entries, batch * length)
        found = measured(
            [entry.stack for entry in entries],
            BatchSize(batch, length),
            rounds=rounds,
            threads=threads,
            tell=tell,
        )
        entries = tuple(
            replace(entry, measured=one) for entry, one in zip(entries, found, strict=True)
        )
    return CostReport(
        entries=entries,
        batch=batch,
        length=length,
        rounds=rounds if measure else 0,
        threads=threads if measure and threads is not None else 0,
        machine=machine(),
        engine=isa.active().name,
    )


def _check(cells: Sequence[str], sizes: Mapping[str, int]) -> None:
    for cell in cells:
        if cell not in get_args(CellName):
            raise ConfigError(f"cell is {cell!r}: {nearest(str(cell), get_args(CellName))}")
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MOST:
            raise ConfigError(f"{name} is {size!r}, it must be a whole number from 1 to {MOST:,}")
    if sizes.get("hidden_size") == 1:
        raise ConfigError(
            "hidden_size is 1, and half of it is no hidden unit. Take 2 or more to compare with "
            "two directions at half width."
        )


def _stacks(
    cell: CellName,
    sizes: Mapping[str, int],
    merge: MergeName,
    merge_size: int | None,
    directions: Sequence[Direction] | None,
) -> dict[str, Stack]:
    """The layers of each way of reading."""
    both = Stack(
        cell,
        sizes["input_size"],
        sizes["hidden_size"],
        num_layers=sizes["num_layers"],
        merge=merge,
        merge_size=merge_size,
        directions=None if directions is None else tuple(directions),
    )
    return {
        "forward": replace(both, bidirectional=False, directions=None),
        "both": both,
        "half": replace(both, hidden_size=both.hidden_size // 2),
    }


def _entry(reader: str, stack: Stack, batch: int, rows: int) -> Entry:
    return Entry(
        reader,
        stack,
        count.parameters(stack),
        count.flops(stack),
        count.memory(stack, batch, rows),
    )


def _check_memory(entries: Sequence[Entry], rows: int) -> None:
    """Refuse what does not fit, before anything is made."""
    free = free_memory()
    # All stacks are there at once, and one of them takes a training step.
    needed = sum(entry.bytes.weights + 4 * rows * _widths(entry.stack) for entry in entries)
    needed += max(
        entry.bytes.weights + (entry.bytes.training or entry.bytes.inference) for entry in entries
    )
    if free is not None and needed > free:
        raise ConfigError(
            f"measuring needs {needed:,} bytes ({needed / 2**30:,.1f} GiB), {free / 2**30:.1f} GiB "
            "are free. Take a smaller batch, length or hidden_size, or only count: measure=False, "
            "--no-measure."
        )


def _widths(stack: Stack) -> int:
    """Width of the rows of a measured batch: what is read, and the gradient of what is written."""
    return stack.input_size + stack.output_size
