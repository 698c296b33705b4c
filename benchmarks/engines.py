"""Ways to run a ragged batch on torch's kernels: forward + backward of a bidirectional LSTM.

.venv/bin/python benchmarks/engines.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from birnn.nn import BiRNN
from birnn.ragged import Ragged

SHAPES = [
    (32, 128, 256, 20, 0.6),
    (32, 64, 128, 258, 0.6),
    (32, 128, 256, 20, 0.05),
    (64, 256, 256, 25, 0.05),
]
ROUNDS = 7


def median_ms(call: Callable[[], None]) -> float:
    """Median of some rounds after a first one, in milliseconds."""
    call()
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e3


def main() -> None:
    """Print the table."""
    torch.set_num_threads(2)
    os.environ["BIRNN_ISA"] = "reference"  # torch's engine, not the native one
    print("| batch x inputs x hidden x mean length | sigma | packed | padded | segments |")
    print("|---|---|---|---|---|")
    for batch, inputs, hidden, mean, sigma in SHAPES:
        random = np.random.default_rng(0)
        scatter = np.exp(sigma * random.standard_normal(batch) - sigma**2 / 2)
        lengths = np.maximum(1, (mean * scatter).astype(np.int64))
        rows = torch.randn(int(lengths.sum()), inputs, requires_grad=True)
        x = Ragged(rows, lengths)
        ours = BiRNN("lstm", inputs, hidden)
        packed = torch.nn.LSTM(inputs, hidden, bidirectional=True)
        packed.load_state_dict(ours.state_dict())
        halves = [torch.nn.LSTM(inputs, hidden) for _ in range(2)]

        def run_packed(x: Ragged = x, packed: torch.nn.LSTM = packed) -> None:
            packed(x.to_packed())[0].data.sum().backward()

        def run_padded(x: Ragged = x, halves: list[torch.nn.LSTM] = halves) -> None:
            forward, _ = halves[0](x.to_padded(batch_first=False))
            backward, _ = halves[1](x.reversed().to_padded(batch_first=False))
            together = (
                Ragged.from_padded(forward, x.lengths, batch_first=False).values.sum()
                + Ragged.from_padded(backward, x.lengths, batch_first=False).reversed().values.sum()
            )
            together.backward()

        def run_stretches(x: Ragged = x, ours: BiRNN = ours) -> None:
            ours(x).output.values.sum().backward()

        times = [median_ms(call) for call in (run_packed, run_padded, run_stretches)]
        shown = " | ".join(f"{value:.1f}" for value in times)
        print(f"| {batch} x {inputs} x {hidden} x {mean} | {sigma} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
