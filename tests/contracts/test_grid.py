"""Every engine against the reference on a fixed grid of stacks, with ragged batches.

The grid is every cell x layers 1 and 3 x one direction, two, and mixed ones x merge x with and
without initial states x float64 and float32; among the sequences are empty ones. An engine joins by
its line in `contract_engines.py`.
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np
import pytest
from contract_engines import ENGINES, PARTS, TOLERANCES, Engine

from birnn.ragged import Ragged
from birnn.reference import GATES, Outcome, Stack, StackState, bidirectional, initialise
from grids import sampled

INPUTS, HIDDEN = 3, 4
LENGTHS = np.array([4, 0, 1, 6, 0, 2])
DIRECTIONS = (
    ("forward",),
    ("both",),
    ("forward",) * 3,
    ("both",) * 3,
    ("both", "both", "forward"),
    ("forward", "both", "both"),
)
# Name and width of each merge.
MERGES = (
    ("concat", None),
    ("sum", None),
    ("mean", None),
    ("product", None),
    ("project", None),
    ("project", 5),
)


class Case(NamedTuple):
    """One call of an engine."""

    cell: str
    directions: tuple[str, ...]
    merge: tuple[str, int | None]
    residual: bool
    initial: bool
    dtype: str

    @property
    def stack(self) -> Stack:
        """The stack that is run."""
        merge, merge_size = self.merge
        return Stack(
            self.cell,
            INPUTS,
            HIDDEN,
            num_layers=len(self.directions),
            directions=self.directions,
            merge=merge,
            merge_size=merge_size,
            residual=self.residual,
        )


# A residual connection is tried with every other merge, where there are layers to be connected.
GRID = tuple(
    Case(cell, directions, merge, len(directions) > 1 and number % 2 == 1, initial, dtype)
    for cell in sorted(GATES)
    for directions in DIRECTIONS
    for number, merge in enumerate(MERGES)
    if "both" in directions or number == 0
    for initial in (False, True)
    for dtype in TOLERANCES
)


def cases_of(engine: Engine):
    """The cases that an engine can run."""
    return [
        case
        for case in GRID
        if case.dtype in engine.dtypes and (engine.takes_initial or not case.initial)
    ]


def covering(cases):
    """Few of the cases that together have every pair of settings that any two of them have."""

    def pairs(case):
        return set(itertools.combinations(enumerate(case), 2))

    found, missing = [], set().union(*map(pairs, cases))
    while missing:
        best = max(cases, key=lambda case: len(pairs(case) & missing))
        found.append(best)
        missing -= pairs(best)
    return found


@functools.cache
def call_of(case: Case):
    """Rows, parameters, stack and initial states of a case; and the answer, in float64."""
    stack = case.stack
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((int(LENGTHS.sum()), INPUTS)).astype(case.dtype)
    parameters = initialise(stack, 7, scheme="torch", dtype=case.dtype)
    zeros = StackState.zeros(stack, len(LENGTHS), np.dtype(case.dtype))
    parts = [rng.uniform(-1, 1, part.shape).astype(case.dtype) for part in zeros.parts]
    initial = StackState(*parts) if case.initial else None
    x = Ragged(rows, LENGTHS)
    expected = bidirectional.run(
        x.map(np.float64),
        {name: value.astype(np.float64) for name, value in parameters.items()},
        stack,
        StackState(*map(np.float64, parts)) if case.initial else None,
    )
    return (x, parameters, stack, initial), expected


def parts_of(outcome: Outcome, gives=PARTS):
    """The arrays of an outcome by their names."""
    parts = {name: getattr(outcome, name) for name in sorted(gives)}
    parts |= dict(zip("hc", parts.pop("state").parts, strict=False)) if "state" in parts else {}
    return {
        name: part.values if isinstance(part, Ragged) else part
        for name, part in parts.items()
        if part is not None
    }


def check(engine: Engine, case: Case):
    """Assert that an engine's answer is the reference's."""
    call, expected = call_of(case)
    found, wanted = (parts_of(outcome, engine.gives) for outcome in (engine(*call), expected))
    assert found.keys() == wanted.keys(), case
    tolerance = TOLERANCES[case.dtype]
    for name, part in wanted.items():
        assert found[name].dtype == case.dtype, (name, case)
        np.testing.assert_allclose(
            found[name], part, rtol=tolerance, atol=tolerance, err_msg=f"{name} of {case}"
        )


@pytest.mark.parametrize(
    ("name", "cell"),
    sampled(
        itertools.product(sorted(ENGINES), sorted(GATES)),
        lambda each: ENGINES[each[0]].whole_grid,
    ),
)
def test_agrees_with_the_reference_on_the_whole_grid(name, cell):
    engine = ENGINES[name]
    cases = [case for case in cases_of(engine) if case.cell == cell]
    assert cases
    for case in cases:
        check(engine, case)


@pytest.mark.parametrize(
    "name",
    sampled(
        [name for name in sorted(ENGINES) if not ENGINES[name].whole_grid],
        lambda name: not ENGINES[name].compiles,
    ),
)
def test_agrees_with_the_reference_on_every_pair_of_settings(name):
    cases = covering(cases_of(ENGINES[name]))
    assert cases
    for case in cases:
        check(ENGINES[name], case)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_the_few_cases_have_every_pair_of_settings_that_an_engine_can_run(name):
    grid = cases_of(ENGINES[name])
    few = covering(grid)
    for one, other in itertools.combinations(range(len(Case._fields)), 2):
        of_grid, of_few = ({(c[one], c[other]) for c in cases} for cases in (grid, few))
        assert of_few == of_grid
    assert len(few) < len(grid) / 5
