"""What one direction, two, and two at half width cost, side by side: numbers, tables, a page."""

# R rows of the batch, B sequences, D inputs, H hidden units

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from birnn import report
from birnn.errors import ConfigError
from birnn.reference.stack import CellName, Stack
from birnn.report import figures
from birnn.report.parts import Part, Picture, Section, Table
from birnn.studies.cost.count import Bytes, Flops, Parameters
from birnn.studies.cost.measure import Measured
from birnn.studies.turns import footer

NAMES = {
    "forward": "one direction",
    "both": "two directions",
    "half": "two directions, half width",
}


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
            >>> from birnn.studies.cost import cost
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
            "directions": _directions(stack),
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


def write(path: Path | str, found: CostReport) -> Path:
    """Write the page of the costs.

    Args:
        path: Where.
        found: What was counted, and measured if it was.

    Raises:
        OutputError: The file cannot be written.
    """
    drawn: list[Part] = []
    for cell in found.cells:
        figure = figures.cost_bars(found.bars(cell))
        drawn.append(
            Picture(
                figure,
                f"{cell}: a layer of one direction, of two, and of two at half width.",
            )
        )
    return report.write(
        path,
        "What the second direction costs",
        [Section("Side by side", drawn), Section("All numbers", found.tables())],
        lead=f"Layers over {found.batch} sequences of {found.length} steps. Two directions at half "
        "width are as wide as one direction, with fewer parameters than it.",
        footer=footer(found.machine["processor"]),
    )


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
    each = _directions(stack)
    count = each if isinstance(each, int) else f"({', '.join(map(str, each))})"
    width = stack.hidden_size if each == 1 else f"{count} x {stack.hidden_size}"
    return f"{stack.cell}, {NAMES[entry.reader]}", str(width)


def _directions(stack: Stack) -> int | list[int]:
    """Directions of all layers, or of each one."""
    each = [stack.directions_of(layer) for layer in range(stack.num_layers)]
    return each[0] if stack.directions is None else each


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
