"""The attention decoder in JAX: scores of given targets, and targets written by a greedy search.

Both take the same steps one after another, by ``scan`` and by ``while_loop``.
"""

# B sequences, S steps of a source, U symbols of a target, I symbols that there is room for,
# K layers, H hidden units, W width of an encoder's row, A width of a key, C of what is combined,
# V symbols

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from birnn.jax.cells import CELL_STEPS, Carry
from birnn.jax.layer import real_steps
from birnn.jax.recurrent import MERGES, LinearFunction, RecurrentState, StackOutput
from birnn.reference.bidirectional import direction_names
from birnn.reference.decoder_spec import BOUNDARY
from birnn.reference.stack import Stack
from birnn.tasks import TargetSequence


class Written(NamedTuple):
    """Targets of a greedy search.

    Args:
        targets: Numbers of the symbols, (B, I), 0 where a target ends and beyond.
        log_probabilities: Of each symbol and of the end, (B, I), 0 beyond.
        target_lengths: Symbols of each, (B,).
        ended: Whether the model ended it, (B,); if not, it was cut at the most allowed.
    """

    targets: Array
    log_probabilities: Array
    target_lengths: Array
    ended: Array


class DecoderState(NamedTuple):
    """What the decoder knows of the symbols so far.

    Args:
        layers: State of each layer: (h,), or (h, c), each (B, H).
        combined: What was combined at the step before, (B, C).
    """

    layers: tuple[Carry, ...]
    combined: Array


class Decoder:
    """A decoder with what it reads of its sources.

    Args:
        head: Its description.
        encoder: The stack before it.
        params: The head's tensors by their names in it.
        encoded: What the encoder gave.
        lengths_B: Length of each source.
        linear: What runs linear layers.
    """

    def __init__(
        self,
        head: TargetSequence,
        encoder: Stack,
        params: Mapping[str, Array],
        encoded: StackOutput,
        lengths_B: Array,
        linear: LinearFunction,
    ) -> None:
        self._head, self._encoder, self._params, self._linear = head, encoder, params, linear
        self._rows_BSW = encoded.output
        self._final = encoded.state
        self._real_BS = real_steps(lengths_B, encoded.output.shape[1])
        self._keys = self._rows_BSW
        if head.attention == "additive":
            weight, bias = (params[f"attention.key.{part}"] for part in ("weight", "bias"))
            self._keys = linear(self._rows_BSW, weight, bias)

    def scores(self, targets_BU: Array, lengths_B: Array) -> Array:
        """Scores of the symbol after each of given ones, (B, U + 1, V), 0 in the padding.

        Args:
            targets_BU: Numbers of the symbols.
            lengths_B: Symbols of each target.
        """
        real_BU1 = real_steps(lengths_B + 1, targets_BU.shape[1] + 1)
        symbols = jnp.pad(targets_BU, ((0, 0), (1, 0)), constant_values=BOUNDARY)
        symbols = jnp.where(real_BU1, symbols, BOUNDARY)

        def step(state: DecoderState, symbol_B: Array) -> tuple[DecoderState, Array]:
            scores_BV, state = self._step(state, symbol_B)
            return state, scores_BV

        _, scores = jax.lax.scan(step, self._first(), symbols.T)
        return jnp.where(real_BU1[:, :, None], jnp.swapaxes(scores, 0, 1), 0)

    def write(self, longest_B: Array) -> Written:
        """The best symbol at each step until every target has ended.

        Args:
            longest_B: Most symbols of each target; there is room for as many as the model learnt.
        """
        fixed, each = self._head.longest
        sequences, steps = self._real_BS.shape
        room = fixed + math.ceil(each) * steps + 1  # the end
        longest_B = jnp.minimum(longest_B, room - 1)
        none_B = jnp.zeros_like(longest_B, dtype=bool)
        first = (
            jnp.zeros((), longest_B.dtype),
            jnp.full_like(longest_B, BOUNDARY),
            none_B,
            none_B,
            self._first(),
            jnp.zeros((sequences, room), longest_B.dtype),
            jnp.zeros((sequences, room), self._rows_BSW.dtype),
        )

        def goes_on(carry: Any) -> Any:
            return ~carry[2].all()

        def step(carry: Any) -> Any:
            t, symbol_B, done_B, ended_B, state, targets, logs = carry
            scores_BV, state = self._step(state, symbol_B)
            best_B = scores_BV.argmax(axis=1).astype(longest_B.dtype)
            ends_B = (best_B == BOUNDARY) & ~done_B
            # A target of the most symbols may end at the next step, and is cut where it does not.
            stops_B = done_B | (~ends_B & (longest_B <= t))
            symbol_B = jnp.where(stops_B, BOUNDARY, best_B)
            log_B = jnp.where(stops_B, 0, jax.nn.log_softmax(scores_BV).max(axis=1))
            targets = jax.lax.dynamic_update_index_in_dim(targets, symbol_B, t, axis=1)
            logs = jax.lax.dynamic_update_index_in_dim(logs, log_B, t, axis=1)
            done_B, ended_B = stops_B | ends_B, ended_B | ends_B
            return t + 1, symbol_B, done_B, ended_B, state, targets, logs

        _, _, _, ended_B, _, targets, logs = jax.lax.while_loop(goes_on, step, first)
        return Written(targets, logs, (targets != BOUNDARY).sum(axis=1), ended_B)

    # ------------------------------------------------------------------ parts

    def _first(self) -> DecoderState:
        """The state before the first symbol: what the bridge makes of the encoder's."""
        sequences, head = self._rows_BSW.shape[0], self._head
        combined = jnp.zeros((sequences, head.combined_size), self._rows_BSW.dtype)
        rules = head.bridge_spec(self._encoder)
        if head.bridge == "none":
            zeros = jnp.zeros((sequences, head.hidden_size), self._rows_BSW.dtype)
            return DecoderState(((zeros,) * len(rules.parts),) * head.num_layers, combined)
        layers = tuple(
            tuple(
                self._bridged(f"bridge.{part}_l{k}", source, self._encoder.states_of(layer))
                for part, source in rules.parts.items()
            )
            for k, layer in enumerate(rules.encoder_layers)
        )
        return DecoderState(layers, combined)

    def _bridged(self, name: str, part: str, own: slice) -> Array:
        """One part of the state that one layer begins with, (B, H)."""
        final: RecurrentState = self._final
        halves: tuple[Array, ...] = tuple(getattr(final, part)[own])
        if self._head.bridge == "project":
            weight, bias = self._params[f"{name}.weight"], self._params[f"{name}.bias"]
            return jnp.tanh(self._linear(jnp.concatenate(halves, axis=1), weight, bias))
        if len(halves) == 1 or self._head.bridge == "none":
            return halves[0]
        return MERGES[self._head.bridge](*halves)

    def _step(self, state: DecoderState, symbol_B: Array) -> tuple[Array, DecoderState]:
        """Scores (B, V) of the symbol after another, and the state after it."""
        head, params = self._head, self._params
        table = params["embedding.weight"]
        read = table[symbol_B]
        if head.input_feeding:
            read = jnp.concatenate([read, state.combined], axis=1)
        layers = []
        for layer, carry in enumerate(state.layers):
            names = direction_names(layer, "")
            weight_ih, weight_hh, bias_ih, bias_hh = (params[f"decoder.{name}"] for name in names)
            inputs = self._linear(read, weight_ih, bias_ih)
            recurrent = self._linear(carry[0], weight_hh, bias_hh)
            layers.append(CELL_STEPS[head.cell](inputs, recurrent, carry))
            read = layers[-1][0]
        beside = read
        if head.attention != "none":
            beside = jnp.concatenate([self._context(read), read], axis=1)
        combined = jnp.tanh(self._linear(beside, params["combine.weight"], params["combine.bias"]))
        weight = table if head.tied else params["linear.weight"]
        scores = self._linear(combined, weight, params["linear.bias"])
        return scores, DecoderState(tuple(layers), combined)

    def _context(self, h_BH: Array) -> Array:
        """A mean of each source's rows, (B, W); zeros where it has none."""
        params, kind = self._params, self._head.attention
        if kind == "additive":
            query = h_BH @ params["attention.query.weight"].T
            scores = jnp.tanh(query[:, None] + self._keys) @ params["attention.vector"]
        else:
            query = h_BH @ params["attention.weight"].T if kind == "general" else h_BH
            scores = (self._keys @ query[:, :, None])[:, :, 0]
        # Not minus infinity: of a source without a row all would be.
        lowest = np.finfo(scores.dtype).min
        weights = jax.nn.softmax(jnp.where(self._real_BS, scores, lowest), axis=1)
        weights = jnp.where(self._real_BS, weights, 0)
        context: Array = (weights[:, None] @ self._rows_BSW)[:, 0]
        return context
