"""What scikit-learn's users call X, as sequences, and which of them choose the weights."""

# n sequences, t steps of a sequence, d channels of a step

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from birnn.data.conversion import is_list
from birnn.data.frames import is_iterable
from birnn.data.numeric import as_array, is_array
from birnn.errors import DataError

WANTED = (
    "a list of texts, of token lists or of arrays (t, d), an array (n, t, d), or an array (n, t) "
    "whose rows are series of one channel"
)


def sequences_of(X: Any, estimator: BaseEstimator, *, tokens: bool, reset: bool) -> list[Any]:
    """The sequences of an X, as `birnn.runtime.Predictor.predict` takes them.

    A two-dimensional array or table of numbers, or a list of lists of as many each, is n series of
    one channel, and sets ``n_features_in_``. All else may be of any lengths, and sets nothing.

    Args:
        X: Texts, token lists, series of numbers.
        estimator: Whose ``n_features_in_`` and ``feature_names_in_`` are set or compared.
        tokens: Whether numbers are tokens, not values.
        reset: Whether it is fitted, so that these are set.

    Raises:
        ValueError: Something else.

    Example:
        >>> both = dict(estimator=BaseEstimator(), reset=True)
        >>> [each.shape for each in sequences_of(np.zeros((2, 3)), tokens=False, **both)]
        [(3, 1), (3, 1)]
        >>> sequences_of([[3, 1], [2]], tokens=True, **both)
        [['3', '1'], ['2']]
    """
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
    if sparse.issparse(X) or hasattr(X, "columns"):
        return _rows_of_table(X, estimator, tokens=tokens, reset=reset)
    if isinstance(X, str | bytes | Mapping | set | frozenset) or not (
        is_array(X) or is_iterable(X)
    ):
        raise DataError(f"X is a {type(X).__name__}. Give {WANTED}.")
    X = as_array(X)
    if isinstance(X, np.ndarray) and X.ndim > 1:
        return _rows_of_array(X, estimator, tokens=tokens, reset=reset)
    items = [X.item()] if isinstance(X, np.ndarray) and X.ndim == 0 else list(X)
    if not items and reset:
        raise DataError("Found array with 0 sample(s) while a minimum of 1 is required.")
    _check_complete(items)
    # A list of numbers is refused there.
    if items and (isinstance(items[0], Real | complex) or (not tokens and _is_array(items))):
        return _rows_of_table(X, estimator, tokens=tokens, reset=reset)
    return [_sequence(item, tokens=tokens) for item in items]


def held_out(labels: Sequence[Collection[str]], share: float, seed: int) -> list[int]:
    """Numbers of the examples that choose the weights, drawn so that no label leaves training.

    Args:
        labels: The labels that each example has; none of those that are numbers.
        share: Share of the examples, rounded up; fewer where labels are too rare.
        seed: Which ones.

    Returns:
        Their numbers; none where every example is needed.

    Example:
        >>> held_out([{"a"}, {"a"}, {"b"}, {"a"}], 0.5, seed=0)
        [0, 1]
    """
    wanted = min(int(np.ceil(share * len(labels))), len(labels) - 1)
    left = Counter(label for each in labels for label in set(each))
    held: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(labels)).tolist():
        own = set(labels[number])
        if len(held) < wanted and all(left[label] > 1 for label in own):
            held.append(number)
            left.subtract(own)
    return sorted(held)


def _rows_of_table(X: Any, estimator: Any, *, tokens: bool, reset: bool) -> list[Any]:
    """The sequences of a data frame, or of an array (n, t) of numbers: one for each row."""
    if len(getattr(X, "columns", ())) == 1:
        column = np.asarray(X)[:, 0].tolist()
        if not all(isinstance(item, Real) for item in column):
            _check_complete(column)
            return [_sequence(item, tokens=tokens) for item in column]
    for name in getattr(X, "columns", ()):
        if any(map(_is_step, np.asarray(X[name]).tolist())):
            raise DataError(
                f"X is a table of {len(X.columns)} columns, and {str(name)!r} holds texts, which "
                "are read of one column. Give it alone, X[name], or a table of numbers."
            )
    values = validate_data(estimator, X, reset=reset)
    if tokens:
        return [_sequence(row, tokens=True) for row in values.tolist()]
    return list(values[:, :, None])


def _rows_of_array(X: np.ndarray, estimator: Any, *, tokens: bool, reset: bool) -> list[Any]:
    if X.dtype == object and X.shape[1:] == (1,) and any(map(_is_step, X.flat)):
        _check_complete(X[:, 0].tolist())
    if X.dtype.kind in "US" or (X.dtype == object and all(map(_is_step, X.flat))):
        # Texts in a column of their own, as column transformers give them; else tokens.
        found: list[Any] = X[:, 0].tolist() if X.shape[1:] == (1,) else X.tolist()
        return found
    if X.ndim == 2:
        return _rows_of_table(X, estimator, tokens=tokens, reset=reset)
    return list(check_array(X, allow_nd=True, estimator=estimator, input_name="X"))


def _is_array(items: list[Any]) -> bool:
    """Whether lists of numbers are all as long, and so the rows of an array for scikit-learn."""
    return (
        all(isinstance(item, list | tuple) for item in items)
        and len(set(map(len, items))) == 1
        and all(isinstance(step, Real) for item in items for step in item)
    )


def _check_complete(items: list[Any]) -> None:
    """Refuse missing sequences; of numbers alone scikit-learn says what is missing."""
    if all(isinstance(item, Real) for item in items):
        return
    for number, item in enumerate(items):
        if item is None or (isinstance(item, float) and np.isnan(item)):
            raise DataError(
                f"X[{number}] is {item}: a sequence is missing. Fill it in, or leave it out of X "
                "and y."
            )


def _is_step(item: Any) -> bool:
    return isinstance(item, str)


def _sequence(item: Any, *, tokens: bool) -> Any:
    """One sequence: a text and tokens as they are, numbers as tokens or as one channel."""
    item = as_array(item)
    if isinstance(item, np.ndarray):
        flat, steps = item.ndim == 1, item.tolist()
    elif isinstance(item, list | tuple):
        flat, steps = not any(map(is_list, item)), list(item)
    else:
        return item
    if not flat:
        return item
    if tokens:
        return [str(step) if isinstance(step, Integral) else step for step in steps]
    if steps and all(isinstance(step, Real) for step in steps):
        return np.asarray(item).reshape(-1, 1)
    return steps
