"""Do two models, asked the same questions, differ by more than chance?

McNemar's test is of answers that are right or wrong, the permutation test of numbers of errors:
both exact. Where errors are real numbers, the permutations are drawn.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from birnn.errors import ShapeError

Numbers = Sequence[float] | npt.NDArray[Any]

LEVEL = 0.05
DRAWN = 1 << 22  # signs that are drawn at once


@dataclass(frozen=True, slots=True)
class PairedTest(ABC):
    """Two models on the same questions; the questions on which they agree say nothing.

    Args:
        only_first: Questions on which the first is the better one.
        only_second: Questions on which the second is.
        p: Chance of a difference at least this great, in either direction, where both are equally
            good.
    """

    name: ClassVar[str]
    """As a sentence names it."""

    only_first: int
    only_second: int
    p: float

    @property
    def decidable(self) -> bool:
        """Whether any outcome of so few differing answers could be significant.

        The most uneven outcome of n has p = 2 / 2^n, so that five or fewer tell nothing.

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

    @property
    @abstractmethod
    def second_is_better(self) -> bool:
        """Which of the two the difference speaks for."""

    @abstractmethod
    def counts(self, first: str, second: str) -> str:
        """What was counted of both, by their names."""

    @abstractmethod
    def apart(self, questions: int) -> str:
        """On how many of the questions two directions, the second, and one direction differ."""

    @abstractmethod
    def to_dict(self, first: str, second: str) -> dict[str, Any]:
        """The numbers as plain Python objects, by short names of both."""

    def verdict(self, first: str, second: str) -> str:
        """What the test says, as a sentence.

        Args:
            first: Name of the first model.
            second: Name of the second.

        Example:
            >>> mcnemar([True] * 9, [False] * 9).verdict("one", "two")
            'one alone is right on 9, two alone on 0: p = 0.0039, a difference beyond chance.'
        """
        counts = self.counts(first, second)
        if not self.decidable:
            return f"{counts}: too few differing answers for a test of significance."
        outcome = "a difference beyond chance" if self.significant else "no more than chance may do"
        return f"{counts}: {p_value(self.p)}, {outcome}."


@dataclass(frozen=True, slots=True)
class McNemar(PairedTest):
    """Questions that are answered right or wrong: only those count that one alone has right."""

    name: ClassVar[str] = "McNemar's test"

    @property
    def second_is_better(self) -> bool:
        """Whether it alone is right more often."""
        return self.only_second > self.only_first

    def counts(self, first: str, second: str) -> str:
        """On how many questions each alone is right."""
        return f"{first} alone is right on {self.only_first}, {second} alone on {self.only_second}"

    def apart(self, questions: int) -> str:
        """On how many questions each alone is right, of how many."""
        return (
            f"they alone are right on {self.only_second} of {questions:,} test sequences, "
            f"one direction alone on {self.only_first}"
        )

    def to_dict(self, first: str, second: str) -> dict[str, Any]:
        """Both counts, and p."""
        return {f"only_{first}": self.only_first, f"only_{second}": self.only_second, "p": self.p}


@dataclass(frozen=True, slots=True)
class PairedPermutation(PairedTest):
    """Numbers of errors on the same questions, or errors that are real numbers.

    Args:
        errors_first: Errors of the first model on all questions, summed.
        errors_second: Errors of the second one.
    """

    name: ClassVar[str] = "the paired permutation test"

    errors_first: float
    errors_second: float

    @property
    def second_is_better(self) -> bool:
        """Whether it makes fewer errors in all."""
        return self.errors_second < self.errors_first

    def counts(self, first: str, second: str) -> str:
        """How many errors each makes."""
        return (
            f"{first} makes {self.errors_first:,g} errors, {second} {self.errors_second:,g}, fewer "
            f"on {self.only_second:,} sequences and more on {self.only_first:,}"
        )

    def apart(self, questions: int) -> str:
        """On how many questions each makes fewer errors, of how many."""
        return (
            f"they make fewer errors on {self.only_second:,} of {questions:,} test sequences, "
            f"one direction on {self.only_first:,}"
        )

    def to_dict(self, first: str, second: str) -> dict[str, Any]:
        """The errors of both, on how many questions each makes fewer, and p."""
        return {
            f"errors_{first}": self.errors_first,
            f"errors_{second}": self.errors_second,
            f"fewer_{first}": self.only_first,
            f"fewer_{second}": self.only_second,
            "p": self.p,
        }


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


def paired_permutation(first: Numbers, second: Numbers) -> PairedPermutation:
    """The exact test: under equal quality either model might have made the errors of the other.

    The errors on a question belong together, so that a question is exchanged as a whole. The
    distribution of the difference in errors over all 2^n exchanges is not sampled but computed, by
    a convolution.

    Args:
        first: Number of errors of the first model on each question.
        second: Number of errors of the second one, on the same questions.

    Raises:
        ShapeError: Different numbers of questions.

    Source:
        Fisher 1935, The Design of Experiments, section 21; Pitman 1937.

    Example:
        >>> paired_permutation([3, 1, 0], [0, 1, 1])
        PairedPermutation(only_first=1, only_second=1, p=1.0, errors_first=4, errors_second=2)
    """
    one, other = np.asarray(first, np.int64), np.asarray(second, np.int64)
    if one.shape != other.shape:
        raise ShapeError(f"{one.size} numbers of errors of the first model, {other.size} of the "
                         "second")  # fmt: skip
    differences = one - other
    return PairedPermutation(
        int((differences < 0).sum()),
        int((differences > 0).sum()),
        _exchanged(differences),
        int(one.sum()),
        int(other.sum()),
    )


def drawn_permutation(
    first: Numbers, second: Numbers, *, draws: int = 10_000, seed: int = 1
) -> PairedPermutation:
    """As `paired_permutation`, of errors that are real numbers: the exchanges are drawn.

    Args:
        first: Error of the first model on each question, such as a squared difference.
        second: That of the second one, on the same questions.
        draws: How many exchanges are drawn. The outcome itself counts as one more, so that p is
            at least 1 / (draws + 1).
        seed: One seed gives the same p.

    Raises:
        ShapeError: Different numbers of questions.

    Source:
        Phipson & Smyth 2010, Permutation p-values should never be zero.

    Example:
        >>> drawn_permutation([0.5, 0.25] * 8, [0.25, 0.125] * 8).p < 0.001
        True
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape:
        raise ShapeError(f"{one.size} errors of the first model, {other.size} of the second")
    differences = one - other
    random = np.random.default_rng(seed)
    found, reached = abs(float(differences.sum())), 1
    at_once = max(1, DRAWN // max(1, differences.size))
    for start in range(0, draws, at_once):
        shape = min(at_once, draws - start), differences.size
        signs = random.integers(0, 2, shape, dtype=np.int8) * 2 - 1
        # Sums of the same numbers in another order differ by rounding.
        reached += int((np.abs(signs @ differences) >= found * (1 - 1e-12)).sum())
    return PairedPermutation(
        int((differences < 0).sum()),
        int((differences > 0).sum()),
        reached / (draws + 1),
        float(one.sum()),
        float(other.sum()),
    )


def _exchanged(differences: npt.NDArray[np.int64]) -> float:
    """Chance of a sum as far from 0 as that of the differences, with signs drawn at random."""
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    chances = np.ones(1)  # of how much in all is of one sign, from 0 on
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = _binomial(count)
        chances = np.convolve(chances, of_size)
    total = chances.size - 1
    sums = np.abs(2 * np.arange(chances.size) - total)
    return min(1.0, float(chances[sums >= abs(int(differences.sum()))].sum()))


def _binomial(n: int) -> npt.NDArray[np.float64]:
    """Chances of 0 to n heads of n fair coins."""
    whole = math.lgamma(n + 1) - n * math.log(2)
    logs = [whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    chances: npt.NDArray[np.float64] = np.exp(np.array(logs))
    return chances


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
    if heads == tails:
        return 1.0
    return min(1.0, 2 * math.fsum(_binomial(heads + tails)[: min(heads, tails) + 1]))
