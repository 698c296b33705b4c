"""Layers in float32, bfloat16 and int8 against their peers.

The forward pass of a bidirectional LSTM over the ragged batches of `birnn bench`, weights packed
once: every library in each precision that it has, those that are installed, in turns; medians, and
the largest error against the reference in float64. Prints Markdown, keeps what it has measured in
``--results`` and goes on from there; ends with status 1 where a target is missed. Peers are in
requirements.txt. Whole models are measured by precision_models.py.

    .venv-bench/bin/python benchmarks/precision.py
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birnn.cli.printing import print_tables, print_text
from birnn.ragged import Ragged
from birnn.reference import bidirectional
from birnn.reference.low_precision import Precision
from birnn.report.parts import Table
from birnn.studies.bench import SHAPES, WIDE, Case, Shape
from birnn.studies.bench.cases import Array, Problem, problem
from birnn.studies.bench.tables import milliseconds
from birnn.studies.turns import Contestant, take_turns
from peers.precisions import VARIANTS, Variant
from results import Check, Results, conditions, here, positive, tell_checks

# Largest error of an answer that is taken for right; outputs lie between -1 and 1.
TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "bf16": 0.05, "int8": 0.2}


@dataclass(frozen=True, slots=True)
class Goal:
    """How many times as fast as a variant birnn must be.

    Args:
        case: In words, the batch.
        shape: The batch.
        precision: In which birnn runs.
        slow: Name of the variant that is to be slower.
        vnni: Times as fast where AVX-VNNI or AVX-512 VNNI runs; None for none.
        amx: The same with AMX.
    """

    case: str
    shape: Shape
    precision: Precision
    slow: str
    vnni: float | None
    amx: float | None

    def want(self, engine: str) -> float | None:
        """Times as fast on this engine; None where nothing is asked of it."""
        if engine == "amx":
            return self.amx
        return self.vnni if engine in {"avx2_vnni", "avx512_vnni"} else None


ONE = ("one sequence, 256 units", Shape.parse("1x128x256x25"))
MANY = ("32 sequences, 256 units", Shape.parse("32x128x256x25"))
GOALS = (
    Goal(*ONE, "int8", "birnn float32", 2.5, 2.5),
    Goal(*ONE, "int8", "torch int8", 1.5, 1.5),
    Goal(*ONE, "int8", "ONNX Runtime int8", 1.2, 1.2),
    Goal(*MANY, "int8", "birnn float32", 1.4, 4),
    Goal(*MANY, "bf16", "birnn float32", None, 3),
    Goal(*MANY, "bf16", "torch bf16", None, 1.5),
    Goal("16 sequences, 1,024 units", WIDE, "int8", "ONNX Runtime int8", 1, 1),
)

Show = Callable[[float], str]
# By number of threads, shape and variant: seconds, error, way.
Timings = dict[int, dict[str, dict[str, dict[str, Any]]]]


def measure(shape: Shape, threads: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds, largest error and fastest way of each variant, by its name."""
    drawn = problem(Case(shape))
    wanted = exact(drawn.case)
    entrants: dict[str, tuple[Contestant, float, str]] = {}
    for variant in installed():
        ways = list(right_ways(variant, drawn, wanted, threads))
        if ways:
            entrants[variant.name] = min(ways, key=lambda way: way[0].expected)
    for number in range(rounds):
        take_turns([contestant for contestant, _, _ in entrants.values()], number)
    return {
        name: {"seconds": contestant.seconds, "error": error, "way": way}
        for name, (contestant, error, way) in entrants.items()
    }


@functools.lru_cache(maxsize=1)
def exact(case: Case) -> Array:
    """The rows that the reference gives in float64, (N, S * H)."""
    drawn = problem(case)
    x = Ragged.from_padded(drawn.x.astype(np.float64), drawn.lengths)
    parameters = {name: array.astype(np.float64) for name, array in drawn.parameters.items()}
    return np.asarray(bidirectional.run(x, parameters, case.stack).output.values)


def installed() -> list[Variant]:
    """The variants that can run here."""
    return [variant for variant in VARIANTS if all(peer.installed() for peer in variant.ways)]


def right_ways(
    variant: Variant, drawn: Problem, wanted: Array, threads: int
) -> Iterator[tuple[Contestant, float, str]]:
    """The ways of a variant whose answers are right, warm: what takes turns, its error, its name.

    Of a way that reads padding in its backward half the forward half is compared.
    """
    for peer in variant.ways:
        columns = peer.compared(drawn.case, "forward")
        assert columns is not None
        for way in peer.implement(drawn, "forward", threads):
            answer = np.asarray(way.answer(way.call()), np.float64)[drawn.real]
            error = float(np.abs(answer[:, columns] - wanted[:, columns]).max())
            called = ", ".join(filter(None, (peer.called, way.called)))
            told = " ".join(filter(None, (variant.name, called)))
            # NaN is no right answer either.
            if not error <= TOLERANCES[variant.precision]:
                told += f", {drawn.case.shape}: wrong by {error:.1e}"
                if variant.library == "birnn":
                    raise SystemExit(told)
                print(f"{told}, left out", file=sys.stderr)
                continue
            yield Contestant(way.call), error, called


def tables(timings: Timings) -> list[Table]:
    """Milliseconds for each number of threads, and errors."""
    names = [variant.name for variant in installed()]

    def table(title: str, by_shape: Mapping[str, Any], key: str, show: Show) -> Table:
        def cell(found: Mapping[str, Any], name: str) -> str:
            return show(found[name][key]) if name in found else ""

        rows = [
            (shape, *(cell(found, name) for name in names)) for shape, found in by_shape.items()
        ]
        return Table(("shape", *names), rows, title)

    made = [
        table(
            f"BiLSTM, forward, milliseconds, threads: {threads}", by_shape, "seconds", milliseconds
        )
        for threads, by_shape in timings.items()
    ]
    # Threads do not change what a variant computes, but for the last bits.
    first = next(iter(timings.values()))
    errors = "Largest error of an output, against the reference in float64"
    return [*made, table(errors, first, "error", "{:.0e}".format)]


def checks(timings: Timings, engines: Mapping[str, str]) -> list[Check]:
    """The goals that the engines of this machine have, each for each number of threads."""
    held = []
    for goal in GOALS:
        want, fast = goal.want(engines[goal.precision]), f"birnn {goal.precision}"
        for threads, by_shape in timings.items():
            found = by_shape.get(str(goal.shape), {})
            if want is None or not {fast, goal.slow} <= set(found):
                continue
            text = f"{goal.case}: {fast} against {goal.slow}, threads: {threads}"
            held.append(Check(text, want, found[goal.slow]["seconds"] / found[fast]["seconds"]))
    return held


def main() -> None:
    """Measure what is missing, print tables and targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=Shape.parse, nargs="+", default=[*SHAPES, WIDE])
    parser.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=positive, default=9)
    parser.add_argument("--results", type=Path, default=Path("runs/precision.json"))
    arguments = parser.parse_args()
    where = conditions()
    ran = where["engines"]
    versions = {peer.packages[0]: peer.version() for each in installed() for peer in each.ways}
    results = Results(arguments.results, where | {"versions": versions})
    timings: Timings = {threads: {} for threads in arguments.threads}
    for shape in arguments.shapes:
        for threads in arguments.threads:
            timings[threads][str(shape)] = results.get(
                f"{shape}, threads {threads}, rounds {arguments.rounds}",
                functools.partial(measure, shape, threads, arguments.rounds),
            )
    print_tables(tables(timings), as_markdown=True, titles=True)
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "numpy")
    how = f"Medians of {arguments.rounds} interleaved rounds"
    print_text(f"{here(ran)} {how}; {told}.", as_markdown=True)
    tell_checks(checks(timings, ran))


if __name__ == "__main__":
    main()
