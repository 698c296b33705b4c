"""What tries the laws of recurrent layers: engines that can keep them, and random cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from contract_engines import ENGINES, TOLERANCES
from hypothesis import strategies as st

from birnn.ragged import Ragged
from birnn.reference import Stack, StackState, initialise
from stacks import stacks


@pytest.fixture(scope="session", params=[name for name in sorted(ENGINES) if ENGINES[name].laws])
def engine(request):
    """An engine that the laws can be tried on."""
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
            stack = draw_from(stacks(5, **settings))
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
