"""Shapes, lengths, arithmetic and numbers of what is measured."""

# B sequences, T steps, S directions, H hidden units

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import UsageError
from birnn.reference.stack import Stack
from birnn.studies.bench import COMPARED, SHAPES, TORCH_KINDS, WIDE, Case, Shape
from birnn.studies.bench.cases import SIGMA, problem

sizes = st.integers(1, 400)
small = st.builds(Shape, st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 6))
kinds = st.sampled_from((COMPARED, *TORCH_KINDS))


@given(shape=st.builds(Shape, sizes, sizes, sizes, sizes))
def test_a_shape_reads_as_it_is_written(shape: Shape) -> None:
    assert Shape.parse(str(shape)) == shape


@pytest.mark.parametrize("text", ["", "1x2x3", "1x2x3x4x5", "ax2x3x4", "1.5x2x3x4", "1 2 3 4"])
def test_what_is_no_shape_is_told_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="32x128x256x25"):
        Shape.parse(text)


@pytest.mark.parametrize("text", ["0x2x3x4", "1x2x-3x4"])
def test_sizes_start_at_one(text: str) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        Shape.parse(text)


def test_the_wide_shape_stands_outside_the_means() -> None:
    assert len(SHAPES) == 6
    assert WIDE not in SHAPES


def test_lengths_are_log_normal_around_their_mean() -> None:
    lengths = Case(Shape(40_000, 1, 1, 200)).lengths()
    logarithms = np.log(lengths)
    # Standard errors of 40,000 draws are below 0.004; lengths are rounded down by half a step.
    assert math.isclose(lengths.mean(), 199.5, rel_tol=0.02)
    assert math.isclose(logarithms.std(), SIGMA, rel_tol=0.02)


@given(shape=small, kind=kinds)
def test_lengths_are_the_same_at_every_call(shape: Shape, kind: object) -> None:
    case = Case(shape, kind)  # type: ignore[arg-type]
    first, second = case.lengths(), case.lengths()
    assert first.tolist() == second.tolist()
    assert len(first) == shape.batch
    assert first.min() >= 1
    if not case.kind.ragged:
        assert set(first.tolist()) == {shape.mean}


@given(shape=small, kind=kinds)
def test_flops_are_two_for_each_weight_and_row(shape: Shape, kind: object) -> None:
    case = Case(shape, kind)  # type: ignore[arg-type]
    stack = Stack(
        case.kind.cell, shape.inputs, shape.hidden, bidirectional=case.kind.directions == 2
    )

    def weights(kind: str) -> int:
        return sum(math.prod(size) for name, size in stack.shapes().items() if kind in name)

    # Before the first step of a sequence there is no state to multiply.
    rows = int(case.lengths().sum())
    with_state = rows - shape.batch
    expected = 2 * (rows * weights("weight_ih") + with_state * weights("weight_hh"))
    assert case.flops("forward") == expected
    assert case.flops("forward+backward") == 3 * case.flops("forward")


@given(shape=small, kind=kinds)
def test_a_problem_is_zero_in_padding_and_nowhere_else(shape: Shape, kind: object) -> None:
    drawn = problem(Case(shape, kind))  # type: ignore[arg-type]
    for padded in (drawn.x, drawn.d_output):
        assert padded.dtype == np.float32
        assert ((padded != 0).any(axis=-1) == drawn.real).all()
    assert drawn.real.sum(axis=1).tolist() == drawn.lengths.tolist()
    again = problem(drawn.case)
    assert (again.x == drawn.x).all()
    assert all((again.parameters[name] == value).all() for name, value in drawn.parameters.items())
