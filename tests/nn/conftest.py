"""What the tests of the layers share: random batches, and modules with the same weights."""

# N rows of all sequences, B sequences, D width of a row

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from birnn.engine import isa
from birnn.engine.packed_weights import CELL_NUMBERS
from birnn.nn import GRU, LSTM, RNN, BiRNN, State
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
    shape = (stack.state_count, sequences, stack.hidden_size)
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


@contextlib.contextmanager
def running_on(engine: str) -> Iterator[None]:
    """``native``: whatever is chosen by itself; ``torch``: no native kernel runs."""
    if engine == "native":
        if isa.selected_engine() is None:
            pytest.skip("no native engine is here")
        yield
        return
    with mock.patch.dict(os.environ, {isa.FORCE: isa.REFERENCE}):
        yield


@contextlib.contextmanager
def native_calls() -> Iterator[list[str]]:
    """The cells of the native engine's forward passes meanwhile."""
    module = isa.selected_engine()
    if module is None:
        pytest.skip("no native engine is here")
    calls: list[str] = []
    cells = {number: cell for cell, number in CELL_NUMBERS.items()}
    forward = module.layer_forward

    def counted(cell, *arguments):
        calls.append(cells[cell])
        return forward(cell, *arguments)

    with mock.patch.object(module, "layer_forward", counted):
        yield calls


@pytest.fixture(scope="session")
def on_engine() -> Callable[[str], contextlib.AbstractContextManager[None]]:
    return running_on


@pytest.fixture
def native() -> None:
    """The test needs the native engine."""
    if isa.selected_engine() is None:
        pytest.skip("no native engine is here")


@pytest.fixture(scope="session")
def count_native() -> Callable[[], contextlib.AbstractContextManager[list[str]]]:
    return native_calls


@pytest.fixture(params=["native", "torch"])
def crf_engine(request, monkeypatch) -> None:
    """What runs the chain: the compiled kernels, or torch where they do not run."""
    if request.param == "torch":
        monkeypatch.setenv(isa.FORCE, isa.REFERENCE)
    elif isa.selected_engine() is None:
        pytest.skip("no compiled module")


# ---------------------------------------------------------------------- beside torch's own

PAIRS = {"lstm": (LSTM, nn.LSTM), "gru": (GRU, nn.GRU), "rnn": (RNN, nn.RNN)}


def modules_of(kind, *, seed=0, **options):
    """One of birnn's modules and torch's own with the same weights, float64 if not said."""
    options = {"dtype": torch.float64} | options
    ours, own = (cls(3, 4, **options) for cls in PAIRS[kind])
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.uniform_(-0.7, 0.7, generator=draw)
    ours.load_state_dict(own.state_dict())
    return ours, own


def hidden_of(module, *batch):
    """Random initial states as torch takes them."""
    draw = torch.Generator().manual_seed(7)
    shape = (module.num_layers * (1 + module.bidirectional), *batch, module.hidden_size)
    parts = [torch.rand(shape, generator=draw, dtype=torch.float64) - 0.5 for _ in range(2)]
    return tuple(parts) if isinstance(module, nn.LSTM) else parts[0]


def tensors_of(answer):
    """Output rows and final states of a module's answer."""
    output, final = answer
    rows = output.data if isinstance(output, PackedSequence) else output
    return [rows, *(final if isinstance(final, tuple) else (final,))]


def assert_same(found, expected, *, rtol=1e-10, atol=1e-10):
    """Assert that two answers agree in form and within the tolerance."""
    assert type(found[0]) is type(expected[0])
    for one, other in zip(tensors_of(found), tensors_of(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


@pytest.fixture(scope="session")
def pair() -> Callable[..., tuple[nn.Module, nn.Module]]:
    return modules_of


@pytest.fixture(scope="session")
def hidden() -> Callable[..., object]:
    return hidden_of


@pytest.fixture(scope="session")
def flat() -> Callable[..., list[torch.Tensor]]:
    return tensors_of


@pytest.fixture(scope="session")
def same() -> Callable[..., None]:
    return assert_same
