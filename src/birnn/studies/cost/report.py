"""`cost`: one direction, two, and two at half width, side by side."""

# R rows of the batch, B sequences, D inputs, H hidden units

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from birnn.engine import isa
from birnn.errors import ConfigError, nearest
from birnn.reference.stack import CellName, MergeName, Stack
from birnn.report.parts import Table
from birnn.studies.bench.measure import machine
from birnn.studies.cost import count
from birnn.studies.cost.count import Bytes, Flops, Parameters
from birnn.studies.cost.measure import Batch, Measured, free_memory, measure

NAMES = {
    "forward": "one direction",
    "both": "two directions",
    "half": "two directions, half width",
}
MOST = 1_000_000  # of any one size: beyond, it is a slip of the finger


@dataclass(frozen=True, slots=True)
class Entry:
    """What one way of reading costs with one cell.

    Args:
        reader: ``forward``, ``both`` or ``half``.
        stack: The layers; at half width each direction has half the hidden units, rounded down.
        parameters: By how biases are counted.
        flops: Operations for one step.
        bytes: Memory in float32, computed.
        measured: Time and memory here; None where only counting was asked for.
    """

    reader: str
    stack: Stack
    parameters: Parameters
    flops: Flops
    bytes: Bytes
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class CostReport:
    """What `cost` found.

    Args:
        entries: Cell by cell, one direction first.
        batch: Sequences of a batch.
        length: Steps of each.
        rounds: Turns that the times are medians of; 0 where nothing was measured.
        threads: Threads that ran; 0 likewise.
        machine: Processor, cores, versions.
        engine: Name of the engine that runs the layers.
    """

    entries: tuple[Entry, ...]
    batch: int
    length: int
    rounds: int
    threads: int
    machine: Mapping[str, str]
    engine: str

    @property
    def cells(self) -> tuple[CellName, ...]:
        """The cells, in the order in which they were asked for."""
        return tuple(dict.fromkeys(entry.stack.cell for entry in self.entries))

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return self.batch * self.length

    def entry(self, reader: str, cell: CellName | None = None) -> Entry:
        """The entry of a way of reading; of the first cell where none is named.

        Raises:
            ConfigError: It is not among the entries.
        """
        cell = cell or self.cells[0]
        for entry in self.entries:
            if (entry.reader, entry.stack.cell) == (reader, cell):
                return entry
        there = ", ".join(f"{entry.stack.cell} {entry.reader}" for entry in self.entries)
        raise ConfigError(f"there is no entry {cell} {reader}. There are: {there}")

    def bars(self, cell: CellName | None = None) -> dict[str, dict[str, float]]:
        """The numbers of `birnn.report.figures.cost_bars`: reader, quantity and unit, number.

        Args:
            cell: Of which cell; the first where none is named.

        Example:
            >>> bars = cost("lstm", 100, 256, measure=False).bars()
            >>> bars["both"]["parameters"] / bars["forward"]["parameters"]
            2.0
        """
        return {reader: _quantities(self.entry(reader, cell)) for reader in NAMES}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain Python objects, for JSON."""
        return {
            "batch": self.batch,
            "length": self.length,
            "rounds": self.rounds,
            "threads": self.threads,
            "engine": self.engine,
            "machine": dict(self.machine),
            "entries": [self._entry_as_dict(entry) for entry in self.entries],
        }

    def _entry_as_dict(self, entry: Entry) -> dict[str, Any]:
        stack, flops = entry.stack, entry.flops
        return {
            "reader": entry.reader,
            "cell": stack.cell,
            "input_size": stack.input_size,
            "hidden_size": stack.hidden_size,
            "directions": stack.directions,
            "num_layers": stack.num_layers,
            "merge": stack.merge if stack.bidirectional else None,
            "output_size": stack.output_size,
            "parameters": asdict(entry.parameters),
            "flops_per_step": asdict(flops) | {"total": flops.total, "training": flops.training},
            "flops_of_batch": {
                "forward": flops.products * self.rows,
                "training": flops.training * self.rows,
            },
            "bytes": asdict(entry.bytes),
            "measured": None if entry.measured is None else asdict(entry.measured),
        }

    def tables(self) -> list[Table]:
        """The report as tables: what was counted, memory, and what was measured."""
        made = [self._counted(), self._memory()]
        return [*made, *self._measured()] if self.rounds else made

    def _counted(self) -> Table:
        rows = [
            (
                *_named(entry),
                f"{entry.parameters.one_bias:,}",
                f"{entry.parameters.two_bias:,}",
                f"{entry.flops.products:,}",
                f"{entry.flops.elementwise:,}",
            )
            for entry in self.entries
        ]
        header = (
            *("layer", "width", "parameters, one bias", "two biases"),
            *("FLOPs per step, products", "element-wise"),
        )
        return Table(header, rows, "parameters and arithmetic")

    def _memory(self) -> Table:
        rows = [
            (
                *_named(entry),
                _mib(entry.bytes.weights),
                _mib(entry.bytes.inference),
                _mib(entry.bytes.training),
                _mib(entry.bytes.checkpoint),
            )
            for entry in self.entries
        ]
        header = (
            *("layer", "width", "weights"),
            *("kept in inference", "kept in training", "with checkpoint"),
        )
        return Table(header, rows, f"MiB, float32, {self.batch} sequences of {self.length} steps")

    def _measured(self) -> list[Table]:
        times, peaks = [], []
        for entry in self.entries:
            found = entry.measured
            assert found is not None
            times.append(
                (
                    *_named(entry),
                    f"{1e3 * found.forward_seconds:.2f}",
                    f"{1e3 * found.training_seconds:.2f}",
                    f"{found.forward_tokens_per_second:,.0f}",
                    f"{found.training_tokens_per_second:,.0f}",
                )
            )
            peaks.append((*_named(entry), _mib(found.forward_peak), _mib(found.training_peak)))
        where = f"{self.machine['processor']}, engine {self.engine}, threads: {self.threads}"
        speed = ("forward, ms", "training, ms", "forward, steps/s", "training, steps/s")
        return [
            Table(
                ("layer", "width", *speed),
                times,
                f"time: {where}, medians of {self.rounds}",
            ),
            Table(
                ("layer", "width", "forward, peak MiB", "training, peak MiB"),
                peaks,
                "memory, measured in a process of its own",
            ),
        ]


def cost(
    cell: CellName,
    input_size: int,
    hidden_size: int,
    *,
    cells: Sequence[CellName] = (),
    num_layers: int = 1,
    merge: MergeName = "concat",
    batch: int = 32,
    length: int = 50,
    measure: bool = True,
    rounds: int = 5,
    threads: int | None = None,
    say: Callable[[str], None] = lambda _: None,
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
        batch: Sequences in the batch that memory and time are for.
        length: Steps of each.
        measure: Whether to measure; else it is only counted, and nothing runs.
        rounds: Turns of each in the measuring of time.
        threads: Threads; as many as are set where it is None.
        say: Called with a line of progress.

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
        threads = isa.get_num_threads() if threads is None else threads
        _check((), {"rounds": rounds, "threads": threads})
    entries = tuple(
        _entry(reader, stack, batch, batch * length)
        for one in wanted
        for reader, stack in _stacks(one, input_size, hidden_size, num_layers, merge).items()
    )
    if measure:
        assert threads is not None
        _check_memory(entries, batch * length)
        entries = _measured(entries, Batch(batch, length), rounds, threads, say)
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
    cell: CellName, inputs: int, hidden: int, layers: int, merge: MergeName
) -> dict[str, Stack]:
    """The layers of each way of reading."""
    ways = {"forward": (hidden, False), "both": (hidden, True), "half": (hidden // 2, True)}
    return {
        reader: Stack(
            cell, inputs, units, num_layers=layers, bidirectional=bidirectional, merge=merge
        )
        for reader, (units, bidirectional) in ways.items()
    }


def _entry(reader: str, stack: Stack, batch: int, rows: int) -> Entry:
    return Entry(
        reader,
        stack,
        count.parameters(stack),
        count.flops(stack),
        count.memory(stack, batch, rows),
    )


def _measured(
    entries: Sequence[Entry], batch: Batch, rounds: int, threads: int, say: Callable[[str], None]
) -> tuple[Entry, ...]:
    stacks = [entry.stack for entry in entries]
    found = measure(stacks, batch, rounds=rounds, threads=threads, say=say)
    return tuple(
        Entry(e.reader, e.stack, e.parameters, e.flops, e.bytes, of)
        for e, of in zip(entries, found, strict=True)
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


def _quantities(entry: Entry) -> dict[str, float]:
    """What a figure shows, each with its unit."""
    found: dict[str, float] = {
        "parameters": entry.parameters.two_bias,
        "MFLOPs per step": entry.flops.total / 1e6,
    }
    if entry.bytes.training is not None:
        found["kept in training, MiB"] = entry.bytes.training / 2**20
    if entry.measured is not None:
        found["training peak, MiB"] = entry.measured.training_peak / 2**20
        found["forward, ms"] = 1e3 * entry.measured.forward_seconds
        found["training, ms"] = 1e3 * entry.measured.training_seconds
    return found


def _named(entry: Entry) -> tuple[str, str]:
    stack = entry.stack
    width = (
        f"{stack.directions} x {stack.hidden_size}" if stack.bidirectional else stack.hidden_size
    )
    return f"{stack.cell}, {NAMES[entry.reader]}", str(width)


def _mib(size: int | None) -> str:
    """Bytes as MiB with three figures.

    Example:
        >>> _mib(3 * 2**20), _mib(2**30), _mib(None)
        ('3.00', '1024', '')
    """
    if size is None:
        return ""
    value = size / 2**20
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
