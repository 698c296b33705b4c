"""Bidirectional recurrent layers in JAX: pure functions, Flax NNX modules, whole models."""

from birnn.errors import require

require("jax", extra="jax")

from birnn.jax.crf import ChainScores, negative_log_likelihood, viterbi
from birnn.jax.decoder import Written
from birnn.jax.initialise import SchemeName, init
from birnn.jax.model import Model, from_bundle
from birnn.jax.recurrent import (
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
    "Written",
    "apply",
    "from_bundle",
    "init",
    "negative_log_likelihood",
    "run",
    "viterbi",
    "zero_state",
]
