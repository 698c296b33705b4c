"""Validation and numbering of tokens, which words and symbols share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.data.conversion import described
from birnn.data.frames import is_iterable, is_table
from birnn.errors import DataError
from birnn.inputs.kind import InputSpec

# Tokens of a call by which a notice says that most are unknown.
FEWEST_TOKENS = 10
MOST_TOKENS = 1000


def tokens_of(given: Any, name: str, inputs: InputSpec) -> tuple[str, ...] | list[str]:
    """Validate a list of tokens, none of them empty; a tuple of strings is returned as it is.

    Args:
        given: The sequence.
        name: Its name in messages.
        inputs: What the model reads, for messages.

    Raises:
        DataError: No list, or a token that is no string or empty.
    """
    if not isinstance(given, list | tuple):
        unordered = is_table(given) or isinstance(given, set | frozenset)
        if isinstance(given, str | bytes) or unordered or not is_iterable(given):
            raise DataError(
                f"{name} is {described(given)}, not a list of tokens. "
                f"Give a list of sequences: {inputs.wanted}"
            )
        given = list(given)
    # One pass in C; the loop below finds the step of a fault.
    if set(map(type, given)) <= {str} and "" not in given:
        tokens: tuple[str, ...] | list[str] = given
        return tokens
    for step, token in enumerate(given):
        if isinstance(token, float | np.floating | list | tuple | np.ndarray):
            raise DataError(
                f"{name}, step {step}: {described(token)} is no token, and the model reads "
                f"{inputs.kind}, not vectors. Give a list of sequences: {inputs.wanted}"
            )
        token_of(token, f"{name}, step {step}")
    # Strings of another class, as NumPy's, become plain ones.
    return [str(token) for token in given]


def token_of(given: Any, name: str) -> str:
    """Validate a token; ``name`` is its name in messages.

    Raises:
        DataError: No string, or an empty one.
    """
    if not isinstance(given, str) or not given:
        raise DataError(
            f"{name}: {described(given)} is no token. "
            "A token is a string of at least one character."
        )
    return str(given)


def tokens_in(sequences: Sequence[Any]) -> list[str]:
    """The tokens of sequences, one after another.

    Example:
        >>> tokens_in([("a", "b"), (), ["b"]])
        ['a', 'b', 'b']
    """
    return list(sequences[0]) if len(sequences) == 1 else list(chain.from_iterable(sequences))


def distinct(sequences: Sequence[Any]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct tokens of sequences, and which of them each row is, (N,).

    Example:
        >>> distinct([("a", "b"), ("b",)])[1].tolist()
        [0, 1, 1]
    """
    places: dict[str, int] = {}
    rows = [places.setdefault(token, len(places)) for tokens in sequences for token in tokens]
    return list(places), np.array(rows, dtype=np.int64)


def mostly_unknown(known: int, of: int, what: str) -> list[str]:
    """A notice, where a model knows less than half of the first tokens of a call.

    Args:
        known: Known tokens.
        of: Tokens that were counted.
        what: Their name, in the plural.
    """
    if of < FEWEST_TOKENS or known >= of / 2:
        return []
    first = "first " if of == MOST_TOKENS else ""
    notice = (
        f"the model knows {known} of the {first}{of} {what}, and reads the others as one: "
        "is this its data?"
    )
    return [notice]
