"""Frameworks that compile a step with XLA: Keras on TensorFlow, and Flax. Bidirectional LSTM."""

# B sequences, T steps, D inputs, H hidden units

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from birnn.bundle.conventions import layers_to
from birnn.errors import EngineError
from birnn.studies.bench.cases import Array, Problem, Work
from birnn.studies.bench.peers import Implementation

# ---------------------------------------------------------------------- Keras


def keras(problem: Problem, work: Work, threads: int) -> list[Implementation]:
    """A masked Bidirectional(LSTM) in a `tf.function`.

    Compiled with XLA, as `fit` compiles it and as it is faster here than without.
    """
    tf, home = _tensorflow(threads)
    layer = home.layers.Bidirectional(
        home.layers.LSTM(problem.case.shape.hidden, return_sequences=True)
    )
    layer.build((None, None, problem.case.shape.inputs))
    halves = layers_to("keras", problem.case.stack, problem.parameters)[0].halves
    layer.set_weights([array for half in halves for array in half.values()])
    x, mask = tf.constant(problem.x), tf.constant(problem.real)
    if work == "forward":
        forward = tf.function(lambda x, mask: layer(x, mask=mask), jit_compile=True)
        return [_compiled(lambda: _done(forward(x, mask)))]
    variables = [variable.value for variable in layer.trainable_weights]

    @tf.function(jit_compile=True)
    def both(x: Any, mask: Any, d_output: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, mask=mask)
        return tape.gradient(output, [x, *variables], output_gradients=d_output)

    d_output = tf.constant(problem.d_output)
    return [_compiled(lambda: _done(both(x, mask, d_output)[0]))]


def _compiled(call: Callable[[], Array]) -> Implementation:
    """The way, after its first call, in which XLA compiles."""
    with _silence():
        call()
    return Implementation(call, np.asarray)


def _done(tensor: Any) -> Array:
    """Wait for the value; on a CPU the array shares the tensor's memory."""
    array: Array = tensor.numpy()
    return array


def _tensorflow(threads: int) -> tuple[Any, Any]:
    """TensorFlow and Keras with so many threads; both take them before their first work only."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _silence():
        import keras
        import tensorflow as tf
    if keras.backend.backend() != "tensorflow":
        raise EngineError(
            f"Keras runs on {keras.backend.backend()} in this process, the measure is on tensorflow"
        )
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    got = tf.config.threading.get_intra_op_parallelism_threads()
    if got != threads:
        raise EngineError(
            f"TensorFlow has {got} threads in this process and cannot be given {threads}. "
            "Measure another number of threads in a new process."
        )
    return tf, keras


@contextmanager
def _silence() -> Iterator[None]:
    """Keep off the terminal what TensorFlow's native code says of itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


# ---------------------------------------------------------------------- Flax


def flax(problem: Problem, work: Work, threads: int) -> list[Implementation]:
    """`linen.Bidirectional` of two RNNs of `OptimizedLSTMCell`, with ``seq_lengths``, jitted."""
    # XLA's pool on the CPU reads it once, when JAX starts its first work.
    os.environ["NPROC"] = str(threads)
    import jax
    from flax import linen

    hidden = problem.case.shape.hidden
    network = linen.Bidirectional(
        linen.RNN(linen.OptimizedLSTMCell(hidden)), linen.RNN(linen.OptimizedLSTMCell(hidden))
    )
    names = ("forward_rnn", "backward_rnn")
    halves = layers_to("linen", problem.case.stack, problem.parameters)[0].halves
    parameters = {
        "params": {
            name: {"cell": _tree(jax, half)} for name, half in zip(names, halves, strict=True)
        }
    }
    x, lengths = jax.numpy.asarray(problem.x), jax.numpy.asarray(problem.lengths, np.int32)

    @jax.jit
    def forward(parameters: Any, x: Any, lengths: Any) -> Any:
        return network.apply(parameters, x, seq_lengths=lengths)

    if work == "forward":
        call = lambda: forward(parameters, x, lengths).block_until_ready()  # noqa: E731
        return [Implementation(call, np.asarray)]

    @jax.jit
    def both(parameters: Any, x: Any, lengths: Any, d_output: Any) -> Any:
        _, pull = jax.vjp(lambda p, x: forward(p, x, lengths), parameters, x)
        return pull(d_output)

    d_output = jax.numpy.asarray(problem.d_output)

    def step() -> Any:
        return jax.block_until_ready(both(parameters, x, lengths, d_output))[1]

    return [Implementation(step, np.asarray)]


def _tree(jax: Any, arrays: dict[str, Array]) -> dict[str, dict[str, Any]]:
    """Parameters by module and name, as Flax nests them."""
    tree: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        module, _, leaf = name.partition(".")
        tree.setdefault(module, {})[leaf] = jax.numpy.asarray(array)
    return tree
