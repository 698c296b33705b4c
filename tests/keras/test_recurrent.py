"""Stacks of recurrent layers in Keras; that they agree with the reference is in tests/contracts."""

from __future__ import annotations

import pytest

from birnn.errors import ConfigError
from birnn.keras import stack_to_keras
from birnn.reference import Stack, initialise


def test_float64_is_refused_where_keras_rounds_it() -> None:
    stack = Stack("gru", 3, 4)
    with pytest.raises(ConfigError, match="KERAS_BACKEND=tensorflow"):
        stack_to_keras(stack, initialise(stack, 1), dtype="float64")
