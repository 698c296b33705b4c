"""Bidirectional recurrent layers in JAX: pure functions, Flax NNX modules, whole models."""

from birnn.errors import require

require("jax", extra="jax")

from birnn.jax.crf import Chain, negative_log_likelihood, viterbi  # noqa: E402
from birnn.jax.initialise import SchemeName, init  # noqa: E402
from birnn.jax.model import Model, from_bundle  # noqa: E402
from birnn.jax.recurrent import (  # noqa: E402
    EngineName,
    StackOutput,
    State,
    apply,
    run,
    zero_state,
)

__all__ = [
    "Chain",
    "EngineName",
    "Model",
    "SchemeName",
    "StackOutput",
    "State",
    "apply",
    "from_bundle",
    "init",
    "negative_log_likelihood",
    "run",
    "viterbi",
    "zero_state",
]
