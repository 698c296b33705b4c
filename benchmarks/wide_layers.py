"""Wide layers in float32: `birnn.nn.LSTM` beside torch's own, one and two directions.

Up to 2,048 units, as in character language models. Both have the same weights and rows and take
turns; medians over rounds, printed as Markdown; ends with status 1 where birnn is behind.

    .venv/bin/python benchmarks/wide_layers.py [--threads 1 2] [--rounds 9]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

import birnn.nn
from birnn.cli.printing import markdown
from turns import take

# Sequences, inputs, units, steps, directions.
SHAPES = (
    (4, 512, 1024, 30, 1),
    (16, 512, 1024, 30, 1),
    (16, 512, 1024, 30, 2),
    (1, 100, 2048, 100, 1),
    (8, 100, 2048, 100, 1),
    (32, 100, 2048, 100, 1),
)


def medians(shape: tuple[int, ...], threads: int, rounds: int) -> dict[str, float]:
    """Milliseconds of torch's layer and of birnn's."""
    sequences, inputs, units, steps, directions = shape
    options = {"batch_first": True, "bidirectional": directions == 2}
    layers = {
        "torch": nn.LSTM(inputs, units, **options),
        "birnn": birnn.nn.LSTM(inputs, units, **options),
    }
    layers["birnn"].load_state_dict(layers["torch"].state_dict())
    x = torch.randn(sequences, steps, inputs)
    tokens = sequences * steps

    def timed(layer: nn.Module) -> Callable[[], float]:
        def run() -> float:
            begun = time.perf_counter()
            with torch.inference_mode():
                layer(x)
            return tokens / (time.perf_counter() - begun)

        return run

    ways = {name: timed(layer) for name, layer in layers.items()}
    speeds = take(ways, rounds, work="x".join(map(str, shape[:4])) + f", {threads} threads")
    return {name: 1000 * tokens / speed for name, speed in speeds.items()}


def main() -> None:
    """Print the table, fail where birnn is slower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    rows, behind = [], []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for shape in SHAPES:
            found = medians(shape, threads, arguments.rounds)
            ratio = found["torch"] / found["birnn"]
            name = "x".join(map(str, shape[:4]))
            cells = (f"{found['torch']:.1f}", f"{found['birnn']:.1f}", f"{ratio:.2f}x")
            rows.append([name, str(shape[4]), str(threads), *cells])
            if ratio < 1:
                behind.append(f"{name}, directions: {shape[4]}, threads: {threads}")
    headers = ["shape", "directions", "threads", "torch, ms", "birnn, ms", "birnn ahead"]
    print(markdown(headers, rows))
    if behind:
        print(f"behind: {'; '.join(behind)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
