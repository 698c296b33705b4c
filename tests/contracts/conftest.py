"""The engines that must keep the contract, and the strategies that try them.

An engine is a function ``run(x, parameters, stack, initial) -> Outcome`` on NumPy arrays. To hold
another engine to the contract, add it to `ENGINES`: the key names it in the test report. The native
kernels are tried by both of their doors, each instruction set that runs here by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from birnn.engine import isa
from birnn.engine.stack import run as run_packed
from birnn.nn import BiRNN
from birnn.nn import State as TorchState
from birnn.ragged import Ragged
from birnn.reference import (
    GATES,
    MERGE_WIDTH,
    Outcome,
    Stack,
    StackState,
    bidirectional,
    initialise,
)


def run_nn(x, parameters, stack, initial=None):
    """`birnn.nn.BiRNN` as an engine: on the native kernels, or on torch's without them."""
    encoder = BiRNN.from_stack(stack).to(torch.from_numpy(x.values).dtype)
    encoder.load_state_dict({name: torch.from_numpy(v) for name, v in parameters.items()})
    if initial is not None:
        initial = TorchState(*(torch.from_numpy(part) for part in initial.parts))
    with torch.no_grad():
        found = encoder(x.map(torch.from_numpy), initial=initial)
    state = [part.numpy() for part in (found.state.h, found.state.c) if part is not None]
    return Outcome(
        found.output.map(torch.Tensor.numpy),
        found.forward.map(torch.Tensor.numpy),
        None if found.backward is None else found.backward.map(torch.Tensor.numpy),
        found.final.numpy(),
        StackState(*state),
    )


@contextlib.contextmanager
def running_on(name):
    """``BIRNN_ISA`` set to this engine, which then is the one that runs."""
    with mock.patch.dict(os.environ, {isa.FORCE: name}):
        assert isa.active().name == name
        yield


def on(name, run):
    """``run`` on the engine of this name, whatever else is set."""

    def forced(*arguments):
        with running_on(name):
            return run(*arguments)

    return forced


ENGINES = {"reference": bidirectional.run}
for _name in isa.available():
    ENGINES[f"kernels on {_name}"] = on(_name, run_packed)
    ENGINES["torch" if _name == isa.REFERENCE else f"nn on {_name}"] = on(_name, run_nn)

# Outputs are of order 1, so the tolerance is absolute and relative alike.
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}


@pytest.fixture(scope="session", params=sorted(ENGINES))
def engine(request):
    """An engine's ``run``."""
    return ENGINES[request.param]


@dataclasses.dataclass(frozen=True)
class Case:
    """One call of an engine, and how close its answer has to be."""

    x: Ragged
    parameters: dict
    stack: Stack
    initial: StackState | None
    tolerance: float

    def run(self, engine, **changes):
        """Run an engine on the case, or on the case with some of it changed."""
        case = dataclasses.replace(self, **changes)
        return engine(case.x, case.parameters, case.stack, case.initial)

    def select(self, order):
        """The same case with these sequences in this order."""
        order = np.asarray(order, np.int64)
        initial = self.initial
        if initial is not None:
            initial = StackState(*(part[:, order] for part in initial.parts))
        return dataclasses.replace(self, x=self.x.select(order), initial=initial)

    def agree(self, found, expected):
        """Assert that two arrays are equal within the engine's tolerance."""
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=self.tolerance, atol=self.tolerance)

    def agree_all(self, found, expected):
        """Assert that two outcomes are equal within the engine's tolerance."""
        self.agree(found.output.values, expected.output.values)
        self.agree(found.forward.values, expected.forward.values)
        assert (found.backward is None) == (expected.backward is None)
        if found.backward is not None:
            self.agree(found.backward.values, expected.backward.values)
        self.agree(found.final, expected.final)
        assert len(found.state.parts) == len(expected.state.parts)
        for part, other in zip(found.state.parts, expected.state.parts, strict=True):
            self.agree(part, other)


@pytest.fixture(scope="session")
def cases():
    """``cases(lengths=..., **settings)``: a strategy of cases; settings fix fields of the stack."""

    def strategy(lengths=None, **settings):
        @st.composite
        def draw(draw_from):
            choices = {
                "cell": st.sampled_from(sorted(GATES)),
                "input_size": st.integers(1, 5),
                "hidden_size": st.integers(1, 5),
                "num_layers": st.integers(1, 3),
                "bidirectional": st.booleans(),
                "merge": st.sampled_from(sorted(MERGE_WIDTH)),
                "residual": st.booleans(),
            }
            choices |= {name: st.just(value) for name, value in settings.items()}
            stack = Stack(**draw_from(st.fixed_dictionaries(choices)))
            some = st.lists(st.integers(0, 7), max_size=6) if lengths is None else lengths
            counts = np.array(draw_from(some), dtype=np.int64)
            dtype = draw_from(st.sampled_from(sorted(TOLERANCES)))
            seed = draw_from(st.integers(0, 2**32 - 1))
            rng = np.random.default_rng(seed)
            rows = rng.standard_normal((int(counts.sum()), stack.input_size)).astype(dtype)
            initial = None
            if draw_from(st.booleans()):
                zeros = StackState.zeros(stack, counts.shape[0], np.dtype(dtype))
                initial = StackState(
                    *(rng.uniform(-1, 1, z.shape).astype(dtype) for z in zeros.parts)
                )
            parameters = initialise(stack, seed, scheme="torch", dtype=dtype)
            return Case(Ragged(rows, counts), parameters, stack, initial, TOLERANCES[dtype])

        return draw()

    return strategy
