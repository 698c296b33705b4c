"""Keras as an engine, on the backend of this process: `birnn.keras.stack_to_keras`."""

from __future__ import annotations

import numpy as np

from birnn.keras import stack_to_keras
from birnn.ragged import Ragged
from birnn.reference import Outcome, StackState


def run(x, parameters, stack, initial=None):
    """Run a stack on a padded batch, in whose padding stands NaN."""
    longest = int(x.lengths.max(initial=0)) + 2  # also steps that no sequence has
    real = np.arange(longest) < x.lengths[:, None]
    vectors = np.full((len(x), longest, stack.input_size), np.nan, x.values.dtype)
    vectors[real] = x.values
    padded = {"vectors": vectors, "lengths": x.lengths}
    # Without initial states a model gives no final ones: these are asked for with zeros.
    found = _called(stack, parameters, padded) if initial is None else {}
    if initial is None:
        initial = StackState.zeros(stack, len(x), x.values.dtype)
    letters = "hc"[: len(initial.parts)]
    given = {
        letter: part.swapaxes(0, 1) for letter, part in zip(letters, initial.parts, strict=True)
    }
    stated = _called(stack, parameters, padded | given)
    rows, final = (found or stated)["rows"], (found or stated)["final"]
    assert not rows[~real].any()
    states = StackState(*(stated[letter].swapaxes(0, 1) for letter in letters))
    return Outcome(Ragged(rows[real], x.lengths), None, None, final, states)


def _called(stack, parameters, given):
    import keras

    model = stack_to_keras(stack, parameters, initial_state="h" in given)
    return {name: keras.ops.convert_to_numpy(value) for name, value in model(given).items()}
