"""The attention decoder in NumPy: bridge, layers, attention, and a score for each next symbol."""

# R rows: hypotheses of all sources, one source after another; B sources, M encoder rows of all of
# them, K layers, H hidden units, W width of an encoder row, A of a key, C of a combined row,
# V target symbols

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.engine.attention import attend
from birnn.engine.linear import Linear
from birnn.engine.stack import PackedStack, TableStack
from birnn.ragged import Lengths, Ragged
from birnn.reference import bridge
from birnn.reference.bidirectional import Outcome, StackState
from birnn.reference.products import columns_of, float_weights
from birnn.reference.softmax import log_softmax
from birnn.reference.stack import Stack
from birnn.runtime.heads import Floats, Tensors, check_finite
from birnn.tasks.seq2seq import TargetSequence

Integers = npt.NDArray[np.int64]


class Memory(NamedTuple):
    """What the decoder reads of its sources at every step.

    Args:
        keys: A key for each encoder row, (M, A); of no width where there is no attention.
        values: The encoder rows as the combined row adds them, (M, C).
        lengths: Encoder rows of each source, (B,).
    """

    keys: Floats
    values: Floats
    lengths: Lengths

    def select(self, sources: Integers) -> Memory:
        """That of some of the sources."""
        keys = Ragged(self.keys, self.lengths).select(sources)
        values = Ragged(self.values, self.lengths).select(sources)
        return Memory(keys.values, values.values, keys.lengths)


class DecoderState(NamedTuple):
    """What the decoder knows of the symbols so far.

    Args:
        layers: States of its layers, (K, R, H).
        combined: The combined rows of the step before, (R, C), of a decoder that reads them.
    """

    layers: StackState
    combined: Floats | None

    def select(self, rows: Integers) -> DecoderState:
        """That of some of the rows, which may be named more than once."""
        parts = (part.take(rows, axis=1) for part in self.layers.parts)
        combined = None if self.combined is None else self.combined[rows]
        return DecoderState(StackState(*parts), combined)


class NextSymbols(NamedTuple):
    """What one step gives.

    Args:
        log_probabilities: Of each symbol that may come next, float64, (R, V).
        state: The state for the next step.
        weights: Attention, row by row as many as the row's source has encoder rows; None where it
            was not asked for, or there is none.
    """

    log_probabilities: npt.NDArray[np.float64]
    state: DecoderState
    weights: Floats | None


class DecoderLayers:
    """The layers of a decoder with their weights packed.

    The combined row is ``tanh(combine [context; h] + bias)``, and a context is a mean of encoder
    rows, so that ``combine`` may be applied to these first: once for each encoder row, not at every
    step of every hypothesis. The same holds for the weight of the general attention.

    A row's numbers have the same bits whatever other rows and sources there are, with a compiled
    engine.

    Args:
        head: The description of the decoder.
        encoder: The stack before it.
        tensors: Tensors of the model.
    """

    def __init__(self, head: TargetSequence, encoder: Stack, tensors: Tensors) -> None:
        self._head = head
        self._spec = head.bridge_spec(encoder)
        self._bridge = {
            name: Linear.of(tensors, f"head.bridge.{name}") for name in self._spec.linear_layers()
        }
        embedding = tensors["head.embedding.weight"]
        self._embedding = float_weights(embedding)
        self._stack = PackedStack.of(tensors, "head.decoder", head.decoder_stack)
        self._symbols = TableStack(self._stack, self._embedding)
        combine, width = tensors["head.combine.weight"], encoder.output_size
        if head.attention == "none":
            width = 0
        of_state = columns_of(combine, width, combine.shape[1])
        self._combine_state = Linear(of_state, tensors["head.combine.bias"])
        self._combine_memory = Linear(columns_of(combine, 0, width)) if width else None
        self._key = self._query = self._vector = None
        if head.attention == "general":
            self._key = Linear(tensors["head.attention.weight"].T)
        elif head.attention == "additive":
            self._key = Linear.of(tensors, "head.attention.key")
            self._query = Linear(tensors["head.attention.query.weight"])
            self._vector = tensors["head.attention.vector"]
        scores = embedding if head.tied else tensors["head.linear.weight"]
        self._linear = Linear(scores, tensors["head.linear.bias"])

    # An overflow affects the answer of its own source alone, and is no fault of the run.
    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def begin(self, encoded: Outcome) -> tuple[Memory, DecoderState]:
        """What is read of sources, and the state before the first symbol, a row for each source.

        Args:
            encoded: What the encoder gave for the sources.
        """
        rows_MW, lengths = encoded.output.values, encoded.output.lengths
        keys = values = np.zeros((rows_MW.shape[0], 0), np.float32)
        if self._combine_memory is not None:
            keys = rows_MW if self._key is None else self._key(rows_MW)
            values = self._combine_memory(rows_MW)
        combined = None
        if self._head.input_feeding:
            combined = np.zeros((len(lengths), self._head.combined_size), np.float32)
        layers = bridge.initial_state(self._spec, self._bridge, encoded.state)
        return Memory(keys, values, lengths), DecoderState(layers, combined)

    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def step(
        self,
        symbols_R: Integers,
        state: DecoderState,
        memory: Memory,
        rows_of_source_B: Integers,
        *,
        weights: bool = False,
    ) -> NextSymbols:
        """Read one more symbol of each row.

        Args:
            symbols_R: The symbols; 0, the boundary symbol, at first.
            state: The state before it.
            memory: Of the sources.
            rows_of_source_B: How many rows each source of the memory has; 0 is legal.
            weights: Whether the attention is asked for.

        Raises:
            BundleError: Scores that are no finite numbers.
        """
        ones = np.ones(len(symbols_R), np.int64)
        if state.combined is None:
            outcome = self._symbols.run(Ragged(symbols_R, ones), state.layers)
        else:
            # Each row is its own, so that a table of them would save nothing.
            rows = np.concatenate([self._embedding[symbols_R], state.combined], axis=1)
            outcome = self._stack.run(Ragged(rows, ones), state.layers)
        h_RH, found = outcome.output.values, None
        combined_RC = self._combine_state(h_RH)
        if self._combine_memory is not None:
            contexts_RC, found = attend(
                h_RH if self._query is None else self._query(h_RH),
                memory.keys,
                memory.values,
                rows_of_source_B,
                memory.lengths,
                vector=self._vector,
                weights=weights,
            )
            combined_RC += contexts_RC
        np.tanh(combined_RC, out=combined_RC)
        scores_RV = self._linear(combined_RC)
        check_finite(scores_RV)
        fed = None if state.combined is None else combined_RC
        return NextSymbols(log_softmax(scores_RV), DecoderState(outcome.state, fed), found)
