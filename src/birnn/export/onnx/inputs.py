"""Kinds of input as graphs, the arrays that these take, and the rules that make arrays of texts."""

# B sequences, T steps, F distinct written forms, C characters of one, K features of one,
# D channels, W width of a row

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from birnn.data.offsets import INVISIBLE
from birnn.export.feeds import Array
from birnn.export.onnx.graph import GraphBuilder
from birnn.export.onnx.layers import (
    Tensors,
    at_least_one,
    dense,
    looked_up,
    on_steps,
    time_first,
)
from birnn.export.onnx.recurrent import PaddedRows, recurrent_stack
from birnn.inputs import Codec, InputSpec, Steps, Symbols, Vectors, Words
from birnn.inputs.forms import LONGEST_SPELLING
from birnn.inputs.symbols import SymbolCodec
from birnn.ragged import Ragged

LENGTHS = "lengths"


class GraphInputs(ABC):
    """A kind of input in a graph."""

    steps: ClassVar[str]
    """The graph's input of shape (B, T) or (B, T, D)."""

    @abstractmethod
    def rows(self, graph: GraphBuilder, spec: Any, tensors: Tensors) -> str:
        """Add the inputs and what makes rows of them; returns the rows, (T, B, W)."""

    @abstractmethod
    def feeds(self, codec: Codec[Any], sequences: Sequence[Any]) -> dict[str, Array]:
        """The arrays that the inputs take, of validated sequences."""

    @abstractmethod
    def rules(self, codec: Any) -> dict[str, Any]:
        """How tokens are looked up, as JSON values for the file's metadata."""

    def batch(self, graph: GraphBuilder, spec: InputSpec, tensors: Tensors) -> PaddedRows:
        """Add the inputs; returns the batch that the encoder reads.

        It has at least one sequence of at least one step, of length 0 where there is none:
        ONNX Runtime's LSTM ends the process on an empty batch, and its Scan refuses no steps.
        """
        lengths = at_least_one(graph, graph.input(LENGTHS, np.int64, ["sequences"]), 1)
        with graph.scope("inputs"):
            rows = self.rows(graph, spec, tensors)
        return PaddedRows(rows, spec.width, lengths)


class WordGraphInputs(GraphInputs):
    """Words by their distinct written forms, each of which is made a row once.

    Most words of a batch occur more than once in it, and what is padded is the table of forms
    and not every step: so the network over characters runs a third as often. Whoever makes the
    arrays has to look each form up anyway.
    """

    steps = "forms"

    def rows(self, graph: GraphBuilder, spec: Words, tensors: Tensors) -> str:
        """Rows of the forms, then of the steps."""
        forms_BT = graph.input("forms", np.int64, ["sequences", "steps"])
        words_F = at_least_one(graph, graph.input("words", np.int64, ["distinct"]), 1)
        parts = [looked_up(graph, "inputs.words.weight", words_F, tensors, "words")]
        if spec.characters is not None:
            parts.append(self._characters(graph, spec, tensors))
        if spec.surface is not None:
            features = graph.input("features", np.int64, ["distinct", spec.surface.features])
            vectors = looked_up(
                graph,
                "inputs.surface.weight",
                at_least_one(graph, features, 2),
                tensors,
                "features",
            )
            parts.append(graph.add("ReduceSum", vectors, [1], keepdims=0, name="features_sum"))
        table = graph.add("Concat", *parts, axis=1, name="table") if len(parts) > 1 else parts[0]
        forms_TB = time_first(graph, at_least_one(graph, forms_BT, 2))
        return graph.add("Gather", table, forms_TB, axis=0, name="rows")

    def _characters(self, graph: GraphBuilder, spec: Words, tensors: Tensors) -> str:
        """Vectors of the forms' spellings, (F, W): final states of the stack over characters."""
        assert spec.characters is not None
        numbers_FC = graph.input("characters", np.int64, ["distinct", "letters"])
        lengths_F = graph.input("character_lengths", np.int64, ["distinct"])
        with graph.scope("characters"):
            numbers_CF = time_first(graph, at_least_one(graph, numbers_FC, 2))
            name = "inputs.characters.symbols.weight"
            rows = looked_up(graph, name, numbers_CF, tensors, "symbols")
            letters = PaddedRows(rows, spec.characters.dim, at_least_one(graph, lengths_F, 1))
            prefix = "inputs.characters.encoder."
            return recurrent_stack(graph, letters, spec.characters.stack, tensors, prefix).final

    def feeds(self, codec: Codec[Any], sequences: Sequence[Any]) -> dict[str, Array]:
        """Numbers of the words, characters and features of each form, and the form of each step."""
        rows: Any = codec.rows(sequences)
        words_F = np.zeros(len(rows.written), np.int64)
        words_F[rows.forms] = rows.words
        arrays = {"forms": _padded(rows.forms, sequences), "words": words_F}
        if rows.characters is not None:
            arrays["characters"] = rows.characters.to_padded()
            arrays["character_lengths"] = rows.characters.lengths
        if rows.features is not None:
            arrays["features"] = rows.features
        return arrays

    def rules(self, codec: Codec[Words]) -> dict[str, Any]:
        """Rules of the normal form, of case and digits, and of long spellings."""
        return {
            "unicode": "NFC",
            "removed": INVISIBLE,
            "lowercase": codec.inputs.lowercase,
            "digits": codec.inputs.digits,
            "longest_spelling": LONGEST_SPELLING,
        }


class SymbolGraphInputs(GraphInputs):
    """Numbers of symbols."""

    steps = "symbols"

    def rows(self, graph: GraphBuilder, spec: Symbols, tensors: Tensors) -> str:
        """Vectors of the symbols."""
        del spec
        numbers_BT = graph.input("symbols", np.int64, ["sequences", "steps"])
        numbers_TB = time_first(graph, at_least_one(graph, numbers_BT, 2))
        return looked_up(graph, "inputs.symbols.weight", numbers_TB, tensors, "rows")

    def feeds(self, codec: Codec[Any], sequences: Sequence[Any]) -> dict[str, Array]:
        """Numbers of the symbols."""
        rows: Any = codec.rows(sequences)
        return {"symbols": _padded(rows.symbols, sequences)}

    def rules(self, codec: SymbolCodec) -> dict[str, Any]:
        """Lower-case symbols that are read as capitals, where the model knows capitals alone."""
        lower = sorted({symbol.lower() for symbol in codec.alphabet.known})
        read = zip(lower, codec.alphabet.capitals(lower), strict=True)
        return {"replaced": {symbol: capital for symbol, capital in read if symbol != capital}}


class VectorGraphInputs(GraphInputs):
    """Vectors in their own units; an offset is subtracted in float64."""

    steps = "vectors"

    def rows(self, graph: GraphBuilder, spec: Vectors, tensors: Tensors) -> str:
        """Standardised rows, through the dense layer where there is one."""
        dtype = np.float64 if spec.offset else np.float32
        given = graph.input("vectors", dtype, ["sequences", "steps", spec.size])
        vectors = at_least_one(graph, given, 3, dtype)
        if spec.offset:
            less = graph.add("Sub", vectors, np.array(spec.offset), name="less_offset")
            vectors = graph.add("Cast", less, to=graph.number_of(np.float32), name="narrowed")
        mean, scale = (graph.constant(f"inputs.{n}", tensors[f"inputs.{n}"]) for n in UNITS)
        centred = graph.add("Sub", vectors, mean, name="centred")
        rows = time_first(graph, graph.add("Div", centred, scale, name="standardised"), 3)
        if spec.dense is None:
            return rows
        layer = dense(graph, "inputs.dense", spec.dense.activation, tensors)
        return on_steps(graph, rows, spec.dense.size, layer)

    def feeds(self, codec: Codec[Any], sequences: Sequence[Any]) -> dict[str, Array]:
        """The vectors as they are, in float64 where an offset will be subtracted."""
        dtype = np.float64 if codec.inputs.offset else np.float32
        rows = [np.zeros((0, codec.inputs.size), dtype), *sequences]
        with np.errstate(over="ignore"):
            values_ND = np.concatenate(rows, dtype=dtype, casting="same_kind")
        return {"vectors": _padded(values_ND, sequences)}

    def rules(self, codec: Codec[Vectors]) -> dict[str, Any]:
        """None: vectors come in the units of training."""
        del codec
        return {}


UNITS = ("mean", "scale")

INPUTS: dict[str, GraphInputs] = {
    "words": WordGraphInputs(),
    "symbols": SymbolGraphInputs(),
    "vectors": VectorGraphInputs(),
}


def graph_feeds(codec: Codec[Any], sequences: Sequence[Steps]) -> dict[str, Array]:
    """The arrays that an exported model takes, of validated sequences.

    Args:
        codec: The codec of the model's inputs.
        sequences: Validated sequences.

    Example:
        >>> from birnn.inputs import Vocabulary
        >>> codec = Words(size=3, dim=8).codec({"words": Vocabulary(["the", "bank"])})
        >>> arrays = graph_feeds(codec, [("the", "bank"), ()])
        >>> {name: array.tolist() for name, array in arrays.items()}
        {'lengths': [2, 0], 'forms': [[0, 1], [0, 0]], 'words': [1, 2]}
    """
    return {LENGTHS: _lengths(sequences)} | INPUTS[codec.inputs.kind].feeds(codec, sequences)


def _lengths(sequences: Sequence[Steps]) -> Array:
    return np.array([len(sequence) for sequence in sequences], np.int64)


def _padded(rows: Array, sequences: Sequence[Steps]) -> Array:
    """Rows (N, ...) of sequences as (B, T, ...)."""
    return Ragged(rows, _lengths(sequences)).to_padded()
