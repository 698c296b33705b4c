"""What the tests of the layers share: random batches, and modules with the same weights."""

# N rows of all sequences, B sequences, D width of a row

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from birnn.nn import BiRNN, State
from birnn.ragged import Ragged


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Torch's random numbers are the test's own, and nobody else's change."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def ragged(lengths, width, seed=0, dtype=torch.float64):
    """A batch of standard normal rows."""
    values = np.random.default_rng(seed).standard_normal((sum(lengths), width))
    return Ragged(torch.from_numpy(values).to(dtype), np.array(lengths, dtype=np.int64))


def scattered(module, seed=0):
    """The module in float64 with every parameter random: a bias that is dropped shows."""
    random = np.random.default_rng(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(random.uniform(-0.7, 0.7, parameter.shape)))
    return module


def states(encoder: BiRNN, sequences: int, seed=0):
    """Random initial states."""
    random = np.random.default_rng(seed)
    stack = encoder.stack
    shape = (stack.num_layers * stack.directions, sequences, stack.hidden_size)
    count = 2 if stack.cell == "lstm" else 1
    return State(*(torch.from_numpy(random.uniform(-1, 1, shape)) for _ in range(count)))


@pytest.fixture(scope="session")
def draw() -> Callable[..., Ragged]:
    return ragged


@pytest.fixture(scope="session")
def randomised() -> Callable[..., torch.nn.Module]:
    return scattered


@pytest.fixture(scope="session")
def draw_states() -> Callable[..., State]:
    return states
