"""Bidirectional recurrent layers in JAX: pure functions, Flax NNX modules, whole models."""

from birnn.errors import require

require("jax", extra="jax")

from birnn.jax.initialise import SchemeName, init  # noqa: E402
from birnn.jax.recurrent import (  # noqa: E402
    EngineName,
    StackOutput,
    State,
    apply,
    run,
    zero_state,
)

__all__ = [
    "EngineName",
    "SchemeName",
    "StackOutput",
    "State",
    "apply",
    "init",
    "run",
    "zero_state",
]
