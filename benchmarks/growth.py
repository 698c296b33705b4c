"""Growth with batch, length, hidden size and threads, as a figure.

Speed in GFLOP/s on real rows, birnn and some peers, one size growing while the others stay those
of 32x128x256x25. Writes an SVG and, beside it, a PNG and the numbers as JSON.

    .venv-bench/bin/python benchmarks/growth.py --out docs/growth.svg
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from birnn.errors import print_notice
from birnn.report.figures import INK, in_house_style
from birnn.studies.bench import BenchPlan, Case, Shape, run
from birnn.studies.bench.cases import WORKS, Work
from birnn.studies.bench.peers import OURS
from peers import PEERS

BASE = Shape.parse("32x128x256x25")


@dataclass(frozen=True)
class Growth:
    """What grows: its name on the axis and its sizes."""

    called: str
    sizes: Sequence[int]


GROWTHS = {
    "batch": Growth("sequences in a batch", (1, 2, 4, 8, 16, 32, 64, 128)),
    "mean": Growth("mean length", (5, 10, 25, 50, 100, 200, 400)),
    "hidden": Growth("hidden units of a direction", (32, 64, 128, 256, 512, 1024)),
    "threads": Growth("threads", tuple(range(1, (os.cpu_count() or 1) + 1))),
}
# Colour and marker of each (Okabe and Ito), none of which means a direction elsewhere.
LOOKS = {
    OURS: (INK, "o"),
    "torch-packed": ("#E69F00", "s"),
    "torch-padded": ("#56B4E9", "^"),
    "onnxruntime": ("#CC79A7", "D"),
    "openvino": ("#999999", "v"),
}


@dataclass(frozen=True)
class Curve:
    """Speed of one peer as one thing grows."""

    grows: str
    work: Work
    peer: str
    sizes: list[int]
    gflops: list[float]
    peaks: list[float]  # of the FMA units, at each size; empty without a native engine


def measure(grows: str, sizes: Iterable[int], peers: Sequence[str], rounds: int) -> list[Curve]:
    """The curves of all peers as one thing grows."""
    curves: dict[tuple[Work, str], Curve] = {}
    for size in sizes:
        shape = BASE if grows == "threads" else dataclasses.replace(BASE, **{grows: size})
        threads = size if grows == "threads" else min(2, os.cpu_count() or 1)
        report = run(
            BenchPlan((Case(shape),), tuple(peers), rounds, threads),
            among=PEERS,
            tell=print_notice,
        )
        for timing in report.timings:
            empty = Curve(grows, timing.work, timing.peer, [], [], [])
            curve = curves.setdefault((timing.work, timing.peer), empty)
            curve.sizes.append(size)
            curve.gflops.append(timing.case.flops(timing.work) / timing.seconds / 1e9)
            curve.peaks.extend([report.peak / 1e9] if report.peak else [])
    return list(curves.values())


@in_house_style
def draw(curves: Sequence[Curve], growths: Mapping[str, Growth] = GROWTHS) -> Figure:
    """A column for each thing that grows, a row for each work."""
    figure = Figure(figsize=(3 * len(growths), 5.6), layout="constrained")
    grid = figure.subplots(len(WORKS), len(growths), sharey="row", squeeze=False)
    for row, work in enumerate(WORKS):
        for column, (grows, growth) in enumerate(growths.items()):
            axes = grid[row][column]
            chosen = [curve for curve in curves if (curve.work, curve.grows) == (work, grows)]
            panel(axes, chosen)
            axes.set_xlabel(growth.called if row else "")
        grid[row][0].set_ylabel(f"{work.replace('+', ' + ')}, GFLOP/s")
        grid[row][0].set_ylim(bottom=0)
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside upper left", ncols=6, labelcolor=INK)
    return figure


def panel(axes: Axes, curves: Sequence[Curve]) -> None:
    """The curves of one thing that grows, the FMA peak above them."""
    for curve in curves:
        colour, marker = LOOKS[curve.peer]
        called = PEERS[curve.peer].called
        axes.plot(curve.sizes, curve.gflops, marker=marker, color=colour, label=called)
        if curve.peer == OURS and curve.peaks:
            axes.plot(
                curve.sizes, curve.peaks, "--", color=INK, linewidth=1.2, label="measured FMA peak"
            )
    sizes = sorted({size for curve in curves for size in curve.sizes})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes], rotation=45 if len(sizes) > 5 else 0)
    axes.minorticks_off()


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/growth.svg"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=None, help="largest size of each, for a try")
    arguments = parser.parse_args()
    peers = [name for name in LOOKS if PEERS[name].installed()]
    curves: list[Curve] = []
    for grows, growth in GROWTHS.items():
        sizes = [size for size in growth.sizes if arguments.most is None or size <= arguments.most]
        curves += measure(grows, sizes, peers, arguments.rounds)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure = draw(curves)
    for ending in (".svg", ".png"):
        figure.savefig(arguments.out.with_suffix(ending), dpi=150)
    told = [dataclasses.asdict(curve) for curve in curves]
    arguments.out.with_suffix(".json").write_text(json.dumps(told, indent=1))
    print(arguments.out)


if __name__ == "__main__":
    main()
