"""McNemar's test against the counting of all coins."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ShapeError
from birnn.metrics.significance import (
    LEVEL,
    drawn_permutation,
    mcnemar,
    p_value,
    paired_permutation,
)

answers = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


def counted(heads: int, tails: int) -> float:
    """Share of all ways to toss so many fair coins that are as uneven as this one, or more."""
    tossed = [sum(coins) for coins in product((0, 1), repeat=heads + tails)]
    here = abs(heads - tails)
    uneven = [ones for ones in tossed if abs(2 * ones - heads - tails) >= here]
    return len(uneven) / len(tossed)


@pytest.mark.parametrize(("heads", "tails"), [(h, t) for h in range(7) for t in range(7)])
def test_p_is_the_share_of_outcomes_as_uneven(heads: int, tails: int) -> None:
    first = [True] * heads + [False] * tails
    found = mcnemar(first, [not right for right in first])
    assert found.p == pytest.approx(counted(heads, tails), rel=1e-12)


@given(pairs=answers)
def test_only_differing_answers_count_and_names_may_be_swapped(
    pairs: list[tuple[bool, bool]],
) -> None:
    one, two = [a for a, _ in pairs], [b for _, b in pairs]
    found, swapped = mcnemar(one, two), mcnemar(two, one)
    assert (found.only_first, found.only_second) == (swapped.only_second, swapped.only_first)
    assert found.p == swapped.p
    assert 0 < found.p <= 1
    agreed = mcnemar([*one, True, False], [*two, True, False])
    assert agreed == found


@given(n=st.integers(0, 60))
def test_undecidable_is_where_even_the_most_uneven_split_is_not_significant(n: int) -> None:
    found = mcnemar([True] * n, [False] * n)
    assert found.decidable == (found.p <= LEVEL)


def test_thousands_of_answers_stay_finite_and_ordered() -> None:
    chances = [mcnemar(np.arange(4000) < k, np.arange(4000) >= k).p for k in (0, 1900, 1990, 2000)]
    assert chances == sorted(chances)
    assert chances[0] >= 0
    assert chances[-1] == 1.0


def test_different_numbers_of_answers_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 answers of the first model, 1 of the second"):
        mcnemar([True, False], [True])


def test_verdicts_name_both_and_admit_what_cannot_be_told() -> None:
    few = mcnemar([True] * 3, [False] * 3).verdict("one", "two")
    assert few == (
        "one alone is right on 3, two alone on 0: "
        "too few differing answers for a test of significance."
    )
    even = mcnemar([True] * 8 + [False] * 7, [False] * 8 + [True] * 7).verdict("one", "two")
    assert even.endswith("p = 1, no more than chance may do.")
    assert p_value(0.00009) == "p < 0.0001"


errors = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=9)


@given(pairs=errors)
def test_p_of_errors_is_the_share_of_exchanges_as_far_apart(pairs: list[tuple[int, int]]) -> None:
    one, two = [a for a, _ in pairs], [b for _, b in pairs]
    found = paired_permutation(one, two)
    exchanged = [
        sum((a - b) * sign for (a, b), sign in zip(pairs, signs, strict=True))
        for signs in product((1, -1), repeat=len(pairs))
    ]
    here = abs(sum(one) - sum(two))
    assert found.p == pytest.approx(np.mean([abs(each) >= here for each in exchanged]))
    assert (found.errors_first, found.errors_second) == (sum(one), sum(two))
    assert found.only_second == sum(b < a for a, b in pairs)
    swapped = paired_permutation(two, one)
    assert (swapped.only_first, swapped.p) == (found.only_second, pytest.approx(found.p))


@given(pairs=answers)
def test_errors_of_one_each_are_mcnemars_test(pairs: list[tuple[bool, bool]]) -> None:
    one, two = [a for a, _ in pairs], [b for _, b in pairs]
    rights = mcnemar(one, two)
    wrong = paired_permutation([not a for a in one], [not b for b in two])
    assert wrong.p == pytest.approx(rights.p)
    assert (wrong.decidable, wrong.only_second) == (rights.decidable, rights.only_second)
    assert wrong.second_is_better == rights.second_is_better


def test_errors_of_thousands_of_answers() -> None:
    random = np.random.default_rng(0)
    one, two = random.poisson(2, 20_000), random.poisson(2, 20_000)
    assert 0.001 < paired_permutation(one, two).p <= 1
    better = paired_permutation(one, np.maximum(two - (random.random(20_000) < 0.1), 0))
    assert better.second_is_better
    assert better.p < 1e-6
    assert "fewer on" in better.verdict("one", "two")
    with pytest.raises(ShapeError, match="2 numbers of errors of the first model, 1 of the second"):
        paired_permutation([1, 2], [1])


def test_drawn_permutations_are_the_exact_ones_where_errors_are_counts() -> None:
    draw = np.random.default_rng(3)
    first, second = draw.integers(0, 4, 40), draw.integers(0, 5, 40)
    exact = paired_permutation(first, second)
    drawn = drawn_permutation(first, second, draws=40_000)
    # Five standard deviations of a share of 40,000.
    assert abs(drawn.p - exact.p) < 5 * (exact.p * (1 - exact.p) / 40_000) ** 0.5 + 1 / 40_000
    assert (drawn.only_first, drawn.only_second) == (exact.only_first, exact.only_second)
    assert (drawn.errors_first, drawn.errors_second) == (exact.errors_first, exact.errors_second)
    assert drawn_permutation(first, second).p == drawn_permutation(first, second).p


def test_drawn_permutations_of_equal_and_of_very_unequal_errors() -> None:
    assert drawn_permutation([0.5, 0.25], [0.5, 0.25]).p == 1.0
    far = drawn_permutation([1.5] * 30, [0.5] * 30, draws=999)
    assert far.p == 1 / 1000
    assert far.second_is_better
    with pytest.raises(ShapeError, match="2 errors of the first model, 1"):
        drawn_permutation([1.0, 2.0], [1.0])
