"""Settings of a search for targets, and what it finds."""

# T symbols of a target, S steps of its source

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.errors import ConfigError, UsageError

WIDEST = 1000  # hypotheses of a source
LONGEST = 1_000_000  # symbols of a target
MOST_PENALTY = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How targets are searched for: greedily, or by a beam.

    A target of T symbols with log-probability L, its end included, has the score
    ``L / (T + 1) ** length_penalty``: with 0 its log-probability, which favours short targets;
    with 1 the mean over its steps.

    Args:
        beam: Hypotheses of a source that live side by side; 1 is greedy.
        nbest: Targets that are given for each source, at most ``beam``.
        length_penalty: Exponent of the normalisation by length, from 0 on.
        longest: Most symbols of a target; None for what the model learnt from its training data.

    Raises:
        ConfigError: A setting that does not fit.

    Example:
        >>> Search(beam=10, nbest=3)
        Search(beam=10, nbest=3, length_penalty=1.0, longest=None)
        >>> Search(beam=2, nbest=3)
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: nbest is 3, a beam of 2 gives at most 2. Widen the beam.
    """

    beam: int = 5
    nbest: int = 1
    length_penalty: float = 1.0
    longest: int | None = None

    def __post_init__(self) -> None:
        # nbest first: where it alone is given, the beam is widened to it.
        for name, most in (("nbest", WIDEST), ("beam", WIDEST), ("longest", LONGEST)):
            got = getattr(self, name)
            if name == "longest" and got is None:
                continue
            lowest = 0 if name == "longest" else 1
            if not isinstance(got, int | np.integer) or isinstance(got, bool):
                raise ConfigError(f"{name} is {got!r}, it must be a whole number")
            if not lowest <= got <= most:
                raise ConfigError(f"{name} is {got}, it must be from {lowest} to {most:,}")
        if self.nbest > self.beam:
            raise ConfigError(
                f"nbest is {self.nbest}, a beam of {self.beam} gives at most {self.beam}. "
                "Widen the beam."
            )
        penalty = self.length_penalty
        if not isinstance(penalty, int | float | np.floating) or not 0 <= penalty <= MOST_PENALTY:
            raise ConfigError(
                f"length_penalty is {penalty!r}, it must be a number from 0 to {MOST_PENALTY:g}"
            )

    def normalised(self, log_probability: Any, symbols: Any) -> Any:
        """Scores of targets.

        Args:
            log_probability: Their log-probabilities, ends included.
            symbols: How many symbols each has, without its end.

        Example:
            >>> Search().normalised(np.array([-6.0]), 2).tolist()
            [-2.0]
        """
        return log_probability / (np.asarray(symbols) + 1.0) ** self.length_penalty


GREEDY = Search(beam=1)


def checked(search: Any) -> Search:
    """The settings of a call, those by default where none are given.

    Raises:
        UsageError: Something else.

    Example:
        >>> checked(5)
        Traceback (most recent call last):
        ...
        birnn.errors.UsageError: search is 5. Give a birnn.runtime.Search, as Search(beam=5).
    """
    if search is None:
        return Search()
    if not isinstance(search, Search):
        raise UsageError(f"search is {search!r}. Give a birnn.runtime.Search, as Search(beam=5).")
    return search


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A target that a model gives for a source, with what it thinks of it.

    Args:
        symbols: Its symbols, (T,).
        score: Its log-probability, normalised by its length as `Search` has it.
        log_probability: The sum of the steps' log-probabilities.
        log_probabilities: Log-probability of each symbol after those before it, and of the end,
            (T + 1,); (T,) where it did not end.
        ended: Whether the model ended it; if not, it was cut at the most symbols allowed.
        attention: How each step's weight is spread over the steps of the source, (T + 1, S) or
            (T, S); None where it was not asked for, or the model has no attention.
    """

    symbols: tuple[str, ...]
    score: float
    log_probability: float
    log_probabilities: tuple[float, ...]
    ended: bool = True
    attention: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
