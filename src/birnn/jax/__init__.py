"""Bidirectional recurrent layers in JAX: pure functions, Flax NNX modules, whole models."""

from birnn.errors import require

require("jax", extra="jax")

from birnn.jax.crf import ChainScores, negative_log_likelihood, viterbi  # noqa: E402
from birnn.jax.initialise import SchemeName, init  # noqa: E402
from birnn.jax.model import Model, from_bundle  # noqa: E402
from birnn.jax.recurrent import (  # noqa: E402
    EngineName,
    RecurrentState,
    StackOutput,
    apply,
    run,
    zero_state,
)

__all__ = [
    "ChainScores",
    "EngineName",
    "Model",
    "RecurrentState",
    "SchemeName",
    "StackOutput",
    "apply",
    "from_bundle",
    "init",
    "negative_log_likelihood",
    "run",
    "viterbi",
    "zero_state",
]
