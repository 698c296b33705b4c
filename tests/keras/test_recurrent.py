"""Stacks of recurrent layers in Keras; that they agree with the reference is in tests/contracts."""

from __future__ import annotations

import pytest

from birnn.errors import ConfigError, ShapeError
from birnn.keras import stack_to_keras
from birnn.reference import Stack, initialise


def test_float64_is_refused_where_keras_rounds_it() -> None:
    stack = Stack("gru", 3, 4)
    with pytest.raises(ConfigError, match="KERAS_BACKEND=tensorflow"):
        stack_to_keras(stack, initialise(stack, 1), dtype="float64")


def test_all_that_is_wrong_with_parameters_is_named_at_once() -> None:
    stack = Stack("gru", 3, 4, bidirectional=False)
    parameters = dict(initialise(stack, 1))
    parameters["bias"] = parameters.pop("bias_ih_l0")[:3]
    parameters["weight_hh_l0"] = parameters["weight_hh_l0"][:5]
    with pytest.raises(
        ShapeError, match=r"bias is no.*hh_l0 has shape \(5, 4\).*\(12,\) is missing"
    ):
        stack_to_keras(stack, parameters)
