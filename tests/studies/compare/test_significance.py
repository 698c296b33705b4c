"""McNemar's test against the counting of all coins."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ShapeError
from birnn.studies.compare.significance import LEVEL, mcnemar, p_value

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
