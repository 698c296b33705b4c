"""What a stack of layers costs where it runs: time in turns, memory in a process of its own."""

# R rows of the batch, B sequences, D inputs, W width out

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from birnn.errors import EngineError, Tell
from birnn.nn import BiRNN
from birnn.nn.threads import own_threads
from birnn.ragged import Ragged
from birnn.reference.stack import Stack
from birnn.studies.turns import Contestant, take_turns

SEED = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one stack on one batch.

    Args:
        forward_seconds: Forward pass without gradients, median over rounds.
        training_seconds: Forward and backward pass, all gradients, median over rounds.
        forward_tokens_per_second: Rows of the batch by that time.
        training_tokens_per_second: Likewise.
        forward_peak: What the forward pass adds to the resident memory at most, bytes, beside
            weights and batch.
        training_peak: What the two passes add at most; gradients are part of it.
    """

    forward_seconds: float
    training_seconds: float
    forward_tokens_per_second: float
    training_tokens_per_second: float
    forward_peak: int
    training_peak: int


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Sequences of one length."""

    sequences: int
    length: int

    @property
    def rows(self) -> int:
        """Rows of all sequences."""
        return self.sequences * self.length


class LayerRun:
    """A stack and a batch, ready to run.

    Args:
        stack: The layers.
        batch: The sequences.
    """

    def __init__(self, stack: Stack, batch: BatchSize) -> None:
        generator = torch.Generator().manual_seed(SEED)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            self.model = BiRNN.from_stack(stack)
        rows = torch.randn(batch.rows, stack.input_size, generator=generator)
        self.x = Ragged(rows, np.full(batch.sequences, batch.length, np.int64))
        self.d_output = torch.randn(batch.rows, stack.output_size, generator=generator)

    def forward(self) -> Tensor:
        """The forward pass as prediction runs it."""
        with torch.inference_mode():
            rows: Tensor = self.model(self.x).output.values
        return rows

    def train(self) -> tuple[Tensor, ...]:
        """Forward and backward: the gradients of rows and weights."""
        rows_RD = self.x.values.requires_grad_()
        output = self.model(self.x).output.values
        return torch.autograd.grad(output, (rows_RD, *self.model.parameters()), self.d_output)


def measure(
    stacks: Sequence[Stack],
    batch: BatchSize,
    *,
    rounds: int,
    threads: int,
    tell: Tell,
) -> list[Measured]:
    """Measure stacks on the same batch, in turns.

    Args:
        stacks: What to measure.
        batch: The sequences.
        rounds: Turns of each; times are medians over them.
        threads: Threads of the engine.
        tell: Called with a line for what is about to be measured.

    Raises:
        EngineError: A process that was to measure memory failed.
    """
    peaks = []
    for stack in stacks:
        tell(f"memory: {stack.cell}, {stack.state_count} x {stack.hidden_size}")
        peaks.append(_peaks(stack, batch, threads))
    with own_threads(threads):
        works = [LayerRun(stack, batch) for stack in stacks]
        forward = [_contestant(work.forward) for work in works]
        training = [_contestant(work.train) for work in works]
        for number in range(rounds):
            tell(f"time: round {number + 1} of {rounds}")
            take_turns([*forward, *training], number)
    return [
        Measured(
            forward_seconds=fast.seconds,
            training_seconds=slow.seconds,
            forward_tokens_per_second=batch.rows / fast.seconds,
            training_tokens_per_second=batch.rows / slow.seconds,
            forward_peak=peak["forward"],
            training_peak=peak["training"],
        )
        for fast, slow, peak in zip(forward, training, peaks, strict=True)
    ]


def _contestant(call: Callable[[], Any]) -> Contestant:
    call()  # the first call packs weights and starts threads
    return Contestant(call)


def _peaks(stack: Stack, batch: BatchSize, threads: int) -> dict[str, int]:
    """Peaks of both passes, measured in a process that has done nothing else."""
    task = json.dumps({"stack": asdict(stack), "batch": asdict(batch), "threads": threads})
    command = [sys.executable, "-m", "birnn.studies.cost.memory", task]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise EngineError(
            f"measuring memory ended with status {done.returncode}: {last}. "
            "A smaller batch or length takes less; measure=False (--no-measure) only counts."
        )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def free_memory() -> int | None:
    """Bytes that a process can still have, or None where the system does not tell."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
