"""Layers in JAX: by `lax.scan`, on the native engine, and Flax's own, in turns.

    python benchmarks/jax_layers.py [--threads 2] [--rounds 5] [--shape 32x128x256x25 ...] [--json]

A bidirectional LSTM in float32 over the ragged shapes of `birnn bench`, padded, jitted. Prints
milliseconds, medians over rounds, and how many times as fast as Flax each is.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from birnn.engine.threads import set_num_threads
from birnn.studies.bench import SHAPES, Case, Shape
from birnn.studies.bench.cases import WORKS, Problem, Work, problem
from birnn.studies.turns import Contestant, machine, take_turns
from peers.compiled import flax

FLAX = "Flax"
OURS = {"birnn.jax, scan": "scan", "birnn.jax, native": "native"}


def call_of(drawn: Problem, work: Work, engine: Any) -> Callable[[], Any]:
    """The work, compiled, by one of our engines."""
    import jax

    from birnn.jax import apply

    stack = drawn.case.stack
    params = {name: jax.numpy.asarray(value) for name, value in drawn.parameters.items()}
    x, lengths = jax.numpy.asarray(drawn.x), jax.numpy.asarray(drawn.lengths, np.int32)

    @jax.jit
    def forward(params: Any, x: Any, lengths: Any) -> Any:
        return apply(params, x, lengths, stack=stack, engine=engine)[0]

    if work == "forward":
        return lambda: jax.block_until_ready(forward(params, x, lengths))

    @jax.jit
    def both(params: Any, x: Any, lengths: Any, d_output: Any) -> Any:
        _, pull = jax.vjp(lambda p, x: forward(p, x, lengths), params, x)
        return pull(d_output)

    d_output = jax.numpy.asarray(drawn.d_output)
    return lambda: jax.block_until_ready(both(params, x, lengths, d_output))


def measure(shape: Shape, work: Work, threads: int, rounds: int) -> dict[str, float]:
    """Milliseconds of each."""
    drawn = problem(Case(shape))
    calls = {FLAX: flax(drawn, work, threads)[0].call}
    calls |= {name: call_of(drawn, work, engine) for name, engine in OURS.items()}
    for call in calls.values():
        call()  # compiles
    contestants = {name: Contestant(call) for name, call in calls.items()}
    for number in range(rounds):
        take_turns(list(contestants.values()), number)
    return {name: 1e3 * each.seconds for name, each in contestants.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", action="append", type=Shape.parse)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ["NPROC"] = str(arguments.threads)  # read by XLA at its first work
    set_num_threads(arguments.threads)
    found = {
        work: {
            str(shape): measure(shape, work, arguments.threads, arguments.rounds)
            for shape in arguments.shape or SHAPES
        }
        for work in WORKS
    }
    if arguments.json:
        print(json.dumps({"machine": machine(), "milliseconds": found}))
        return
    for work, rows in found.items():
        print_ratios(work, rows)


def print_ratios(work: str, rows: dict[str, dict[str, float]]) -> None:
    """A Markdown table: milliseconds of Flax, and of ours with how many times as fast they are."""
    print(f"\n| {work} | {FLAX} | {' | '.join(OURS)} |")
    print("|---|" + "--:|" * (1 + len(OURS)))
    ratios: dict[str, list[float]] = {name: [] for name in OURS}
    for shape, times in rows.items():
        cells = [f"{times[FLAX]:.2f} ms"]
        for name in OURS:
            ratios[name].append(times[FLAX] / times[name])
            cells.append(f"{times[name]:.2f} ms ({ratios[name][-1]:.2f}x)")
        print(f"| {shape} | {' | '.join(cells)} |")
    means = [f"{np.exp(np.mean(np.log(each))):.2f}x" for each in ratios.values()]
    print(f"| geometric mean | | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
