"""Which of many parameters every run tries, and which `make test-all` alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], fast: Collection[Any] | Callable[[Any], bool]) -> list[Any]:
    """All of ``values`` as parameters of a test, those that are not ``fast`` marked slow.

    Args:
        values: What ``parametrize`` takes.
        fast: Those that together try each property once, or what tells them.

    Example:
        >>> [bool(parameter.marks) for parameter in sampled("abc", "b")]
        [True, False, True]
    """
    is_fast = fast if callable(fast) else fast.__contains__
    return [
        pytest.param(*_each(value), marks=() if is_fast(value) else pytest.mark.slow)
        for value in values
    ]


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
