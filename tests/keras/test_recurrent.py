"""Stacks of recurrent layers in Keras against the reference, on the backend of this process."""

# B sequences, T steps of the longest, L directions of all layers

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from birnn.errors import ConfigError
from birnn.keras import stack_to_keras
from birnn.ragged import Ragged
from birnn.reference import Stack, StackState, bidirectional, initialise

LENGTHS = np.array([3, 0, 5, 1, 0])
LONGEST = 6

STACKS = {
    "lstm concat": Stack("lstm", 3, 4),
    "gru sum": Stack("gru", 3, 3, num_layers=2, merge="sum", residual=True),
    "rnn mean": Stack("rnn_tanh", 3, 3, num_layers=3, merge="mean"),
    "rnn product": Stack("rnn_relu", 3, 4, merge="product"),
    "lstm project": Stack("lstm", 3, 3, num_layers=2, merge="project", merge_size=5),
    "gru one direction": Stack("gru", 3, 3, num_layers=2, bidirectional=False, residual=True),
    "lstm mixed": Stack("lstm", 3, 3, num_layers=3, directions=("both", "forward", "both")),
}


def draw(stack: Stack, dtype: str) -> tuple[Ragged[Any], dict[str, Any], StackState]:
    """A ragged batch with sequences of length 0, parameters, and initial states."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((LENGTHS.sum(), 3)).astype(dtype)
    zeros = StackState.zeros(stack, len(LENGTHS), np.dtype(dtype))
    initial = StackState(*(random.uniform(-1, 1, z.shape).astype(dtype) for z in zeros.parts))
    return Ragged(rows, LENGTHS), initialise(stack, 1, scheme="torch", dtype=dtype), initial


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("stateful", [False, True])
def test_agrees_with_the_reference(name: str, stateful: bool) -> None:
    stack = STACKS[name]
    x, parameters, initial = draw(stack, "float32")
    model = stack_to_keras(stack, parameters, initial_state=stateful)
    padded = np.full((len(LENGTHS), LONGEST, 3), np.nan, np.float32)  # which must not be read
    real = np.arange(LONGEST) < LENGTHS[:, None]
    padded[real] = x.values
    given = {"vectors": padded, "lengths": LENGTHS}
    if stateful:
        parts = zip("hc", initial.parts, strict=False)
        given |= {letter: part.swapaxes(0, 1) for letter, part in parts}
    found = {key: keras.ops.convert_to_numpy(value) for key, value in model(given).items()}
    expected = bidirectional.run(x, parameters, stack, initial if stateful else None)
    np.testing.assert_allclose(found["rows"][real], expected.output.values, atol=1e-5)
    assert not found["rows"][~real].any()
    np.testing.assert_allclose(found["final"], expected.final, atol=1e-5)
    if stateful:
        for letter, part in zip("hc", expected.state.parts, strict=False):
            np.testing.assert_allclose(found[letter].swapaxes(0, 1), part, atol=1e-5)


def test_float64_is_refused_where_keras_rounds_it() -> None:
    stack = STACKS["lstm concat"]
    with pytest.raises(ConfigError, match="KERAS_BACKEND=tensorflow"):
        stack_to_keras(stack, draw(stack, "float64")[1], dtype="float64")
