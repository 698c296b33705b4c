"""McNemar's test: do two models, asked the same questions, differ by more than chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from birnn.errors import ShapeError

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class McNemar:
    """Two models on the same questions; the questions on which they agree say nothing.

    Args:
        only_first: Questions that the first alone answers right.
        only_second: Questions that the second alone answers right.
        p: Chance of a split at least this uneven, in either direction, where both are equally
            good.
    """

    only_first: int
    only_second: int
    p: float

    @property
    def decidable(self) -> bool:
        """Whether any split of so few differing answers could be significant.

        The most uneven split of n has p = 2 / 2^n, so that five or fewer tell nothing.

        Example:
            >>> mcnemar([True] * 5, [False] * 5).decidable
            False
            >>> mcnemar([True] * 6, [False] * 6).decidable
            True
        """
        return 2.0 ** (1 - self.only_first - self.only_second) <= LEVEL

    @property
    def significant(self) -> bool:
        """Whether p is at most 0.05."""
        return self.decidable and self.p <= LEVEL

    def verdict(self, first: str, second: str) -> str:
        """What the test says, as a sentence.

        Args:
            first: Name of the first model.
            second: Name of the second.

        Example:
            >>> mcnemar([True] * 9, [False] * 9).verdict("one", "two")
            'one alone is right on 9, two alone on 0: p = 0.0039, a difference beyond chance.'
        """
        counts = f"{first} alone is right on {self.only_first}, {second} alone on "
        counts += f"{self.only_second}"
        if not self.decidable:
            return f"{counts}: too few differing answers for a test of significance."
        outcome = "a difference beyond chance" if self.significant else "no more than chance may do"
        return f"{counts}: {p_value(self.p)}, {outcome}."


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """The exact test: under equal quality each differing answer is a fair coin.

    Args:
        first: Whether the first model is right on each question.
        second: Whether the second one is, on the same questions.

    Raises:
        ShapeError: Different numbers of questions.

    Source:
        McNemar 1947, Note on the sampling error of the difference between correlated proportions;
        exact form: Dietterich 1998, section 3.1.

    Example:
        >>> mcnemar([True, True, False], [True, False, True])
        McNemar(only_first=1, only_second=1, p=1.0)
    """
    one, other = np.asarray(first, bool), np.asarray(second, bool)
    if one.shape != other.shape:
        raise ShapeError(f"{one.size} answers of the first model, {other.size} of the second")
    only_first = int((one & ~other).sum())
    only_second = int((other & ~one).sum())
    return McNemar(only_first, only_second, _fair_coin(only_first, only_second))


def p_value(p: float) -> str:
    """A probability as it is shown: no more digits than it deserves.

    Example:
        >>> p_value(0.0421), p_value(0.00002), p_value(1.0)
        ('p = 0.042', 'p < 0.0001', 'p = 1')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def percent(share: float) -> str:
    """A share as it is shown everywhere.

    Example:
        >>> percent(0.9996)
        '99.96 %'
        >>> percent(1.0), percent(0.5)
        ('100.0 %', '50.0 %')
    """
    # nothing short of all is shown as all
    return f"{100 * share:.2f} %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def _fair_coin(heads: int, tails: int) -> float:
    """Chance of a split as uneven as this one or more: 2 P(X <= min), X binomial(n, 1/2)."""
    n, few = heads + tails, min(heads, tails)
    if heads == tails:
        return 1.0
    whole = math.lgamma(n + 1) - n * math.log(2)
    logs = [whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(few + 1)]
    return min(1.0, 2 * math.fsum(math.exp(log) for log in logs))
