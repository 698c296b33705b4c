"""Peak memory and time of a training step with and without ``BiRNN(checkpoint=True)``.

.venv/bin/python benchmarks/memory.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

from birnn.nn import BiRNN
from birnn.ragged import Ragged
from birnn.studies.cost.memory import high_water, settled

SHAPES = [(32, 128, 256, 200), (64, 256, 256, 100), (32, 128, 512, 200)]
ROUNDS = 15


def measure(shape: tuple[int, int, int, int], *, checkpoint: bool) -> dict[str, float]:
    """What a step adds to the peak of a process that has done a tiny one, and its median time."""
    torch.set_num_threads(2)
    batch, inputs, hidden, mean = shape
    random = np.random.default_rng(0)
    scatter = np.exp(0.6 * random.standard_normal(batch) - 0.18)
    lengths = np.maximum(1, (mean * scatter).astype(np.int64))
    layer = BiRNN("lstm", inputs, hidden, checkpoint=checkpoint)
    layer(torch.randn(2, 2, inputs)).output.sum().backward()
    x = Ragged(torch.randn(int(lengths.sum()), inputs), lengths)
    before = settled()
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        layer(x).output.values.sum().backward()
        times.append(time.perf_counter() - begun)
    return {"mib": (high_water() - before) / 2**20, "ms": statistics.median(times) * 1e3}


def main() -> None:
    """Print the table; each line is measured in a process of its own."""
    if len(sys.argv) > 1:
        shape, checkpoint = json.loads(sys.argv[1])
        print(json.dumps(measure(tuple(shape), checkpoint=checkpoint)))
        return
    print("| shape | gates kept | states kept |")
    print("|---|---|---|")
    for shape in SHAPES:
        cells = []
        for checkpoint in (False, True):
            task = json.dumps([shape, checkpoint])
            told = subprocess.run(
                [sys.executable, __file__, task], capture_output=True, text=True, check=True
            )
            found = json.loads(told.stdout)
            cells.append(f"{found['mib']:.0f} MiB, {found['ms']:.0f} ms")
        print(f"| {'x'.join(map(str, shape))} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
