"""`birnn.jax` as engines: by `lax.scan`, and the native engine in a program of JAX."""

from __future__ import annotations

import jax
import numpy as np

from birnn.jax import RecurrentState
from birnn.jax import run as run_jax
from birnn.ragged import Ragged
from birnn.reference import Outcome, StackState


def scan(x, parameters, stack, initial=None):
    """An engine, see `contract_engines`."""
    return _run(x, parameters, stack, initial, "scan")


def native(x, parameters, stack, initial=None):
    """An engine, see `contract_engines`; it needs the compiled module."""
    return _run(x, parameters, stack, initial, "native")


def _run(x, parameters, stack, initial, engine):
    state = None if initial is None else RecurrentState(*initial.parts)
    with jax.enable_x64(True):
        found = run_jax(parameters, x.to_padded(), x.lengths, state, stack=stack, engine=engine)

    def ragged(padded):
        return Ragged.from_padded(np.asarray(padded), x.lengths)

    return Outcome(
        ragged(found.output),
        ragged(found.forward),
        None if found.backward is None else ragged(found.backward),
        np.asarray(found.final),
        StackState(*map(np.asarray, found.state.parts)),
    )
