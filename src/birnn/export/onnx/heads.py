"""Heads as graphs: from the encoder's rows to scores, and to answers as numbers."""

# T steps, B sequences, W width of a row, L labels or values

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from birnn.export.onnx.crf import chain_of, viterbi
from birnn.export.onnx.graph import GraphBuilder
from birnn.export.onnx.layers import Tensors, dense, linear, on_steps, step_numbers, time_first
from birnn.export.onnx.recurrent import StackTensors
from birnn.tasks import Gaps, Head, Label, Labels, Scored, Tags, Values

NO_TAG = -1  # beyond the end of a sequence


class GraphOutput(NamedTuple):
    """An output of the model.

    Args:
        name: Its name.
        tensor: The name of the tensor that it is: (B, T) or (B, T, L) of a head that answers for
            every step, (B,) or (B, L) otherwise.
        dtype: Its type.
        width: L, or a name where it is known when the graph runs; None where there is no such
            axis.
    """

    name: str
    tensor: str
    dtype: npt.DTypeLike
    width: int | str | None


class Sequences(NamedTuple):
    """Encoded sequences, as heads read them.

    Args:
        encoded: What the encoder gives.
        steps: Numbers of the steps, (T, 1).
        is_real: Whether a step is within its sequence, (T, B).
    """

    encoded: StackTensors
    steps: str
    is_real: str


def sequences_of(graph: GraphBuilder, encoded: StackTensors) -> Sequences:
    """Encoded sequences with the numbers of their steps, and which of these are real."""
    batch = encoded.batch
    steps = step_numbers(graph, batch.rows)
    return Sequences(encoded, steps, graph.add("Less", steps, batch.lengths, name="is_real"))


def head(
    graph: GraphBuilder, spec: Head, labels: Sequence[str], tensors: Tensors, given: Sequences
) -> list[GraphOutput]:
    """Add a head that scores rows; returns its outputs."""
    spec = spec.scored("an ONNX file")
    return HEADS[spec.kind](graph, spec, labels, tensors, given)  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- tasks


def tags(
    graph: GraphBuilder, spec: Tags, labels: Sequence[str], tensors: Tensors, given: Sequences
) -> list[GraphOutput]:
    """Scores of the labels at each step, and its tag: of the highest score, or by the CRF."""
    if spec.decoder != "crf":
        return step_answers(graph, spec, tensors, given, "tags")
    scores_TBL = _step_scores(graph, spec, tensors, given)
    with graph.scope("crf"):
        chain = chain_of(graph, spec, labels, tensors)
        lengths = given.encoded.batch.lengths
        tags_TB = viterbi(graph, scores_TBL, spec.size, given.steps, lengths, chain)
    return [
        GraphOutput("scores", time_first(graph, scores_TBL, 3), np.float32, spec.size),
        _of_steps(graph, tags_TB, given, "tags"),
    ]


def gaps(
    graph: GraphBuilder, spec: Gaps, labels: Sequence[str], tensors: Tensors, given: Sequences
) -> list[GraphOutput]:
    """Scores of the words at each step, and the likeliest; they mean something at gaps alone."""
    del labels
    return step_answers(graph, spec, tensors, given, "likeliest")


def step_answers(
    graph: GraphBuilder, spec: Scored, tensors: Tensors, given: Sequences, answer: str
) -> list[GraphOutput]:
    """Scores at each step, their probabilities, and under the name ``answer`` the best."""
    scores_TBL = _step_scores(graph, spec, tensors, given)
    best_TB = graph.add("ArgMax", scores_TBL, axis=2, keepdims=0)
    scores = GraphOutput("scores", time_first(graph, scores_TBL, 3), np.float32, spec.size)
    probabilities = _probabilities(graph, scores.tensor, spec.size)
    return [scores, probabilities, _of_steps(graph, best_TB, given, answer)]


def _step_scores(graph: GraphBuilder, spec: Scored, tensors: Tensors, given: Sequences) -> str:
    """Scores (T, B, L), zeros beyond the end, whatever a runtime's operators leave there."""
    rows = given.encoded.batch.rows
    scores_TBL = on_steps(graph, rows, spec.size, _layers(graph, spec, tensors))
    is_real_TB1 = graph.add("Unsqueeze", given.is_real, [2], name="is_real_TB1")
    return graph.add("Where", is_real_TB1, scores_TBL, np.zeros((), np.float32), name="own")


def _of_steps(graph: GraphBuilder, numbers_TB: str, given: Sequences, name: str) -> GraphOutput:
    """Numbers of labels as an output."""
    numbers_TB = graph.add("Where", given.is_real, numbers_TB, np.array(NO_TAG), name=name)
    return GraphOutput(name, time_first(graph, numbers_TB), np.int64, None)


def label(
    graph: GraphBuilder, spec: Label, labels: Sequence[str], tensors: Tensors, given: Sequences
) -> list[GraphOutput]:
    """Scores of the labels, the label of the highest, and the probabilities."""
    del labels
    scores_BL = _layers(graph, spec, tensors)(pooled(graph, spec.pooling_parts, tensors, given))
    best = graph.add("ArgMax", scores_BL, axis=1, keepdims=0)
    return [
        GraphOutput("scores", scores_BL, np.float32, spec.size),
        _probabilities(graph, scores_BL, spec.size),
        GraphOutput("label", best, np.int64, None),
    ]


def label_set(
    graph: GraphBuilder, spec: Labels, labels: Sequence[str], tensors: Tensors, given: Sequences
) -> list[GraphOutput]:
    """Scores of the labels, their probabilities, and which of them are given."""
    del labels
    scores_BL = _layers(graph, spec, tensors)(pooled(graph, spec.pooling_parts, tensors, given))
    cuts = graph.constant("head.cuts", spec.cuts)
    below = graph.add("Less", scores_BL, cuts, name="below")
    probabilities = graph.add("Sigmoid", scores_BL, name="probabilities")
    return [
        GraphOutput("scores", scores_BL, np.float32, spec.size),
        GraphOutput("probabilities", probabilities, np.float32, spec.size),
        GraphOutput("labels", graph.add("Not", below, name="given"), np.bool_, spec.size),
    ]


def values(
    graph: GraphBuilder, spec: Values, labels: Sequence[str], tensors: Tensors, given: Sequences
) -> list[GraphOutput]:
    """Values in the units of training: raw * scale + mean + offset."""
    del labels
    raw_BL = _layers(graph, spec, tensors)(pooled(graph, spec.pooling_parts, tensors, given))
    scale, mean = (graph.constant(n, tensors[n]) for n in ("head.scale", "head.mean"))
    values_BL = graph.add("Add", graph.add("Mul", raw_BL, scale, name="scaled"), mean)
    dtype: npt.DTypeLike = np.float32
    if spec.offset:
        # A sum in float32 would lose what tells the values apart.
        dtype = np.float64
        wide = graph.add("Cast", values_BL, to=graph.number_of(dtype), name="wide")
        values_BL = graph.add("Add", wide, np.array(spec.offset, dtype), name="with_offset")
    return [GraphOutput("values", values_BL, dtype, spec.size)]


HEADS: dict[
    str, Callable[[GraphBuilder, Any, Sequence[str], Tensors, Sequences], list[GraphOutput]]
] = {
    "tags": tags,
    "label": label,
    "labels": label_set,
    "values": values,
    "gaps": gaps,
}


def _layers(graph: GraphBuilder, spec: Scored, tensors: Tensors) -> Callable[[str], str]:
    """The hidden layers and the last one, on rows (N, W)."""
    hidden = [dense(graph, f"head.{name}", spec.activation, tensors) for name in spec.hidden_layers]
    layers = [*hidden, linear(graph, "head.linear", tensors)]

    def run(rows: str) -> str:
        for layer in layers:
            rows = layer(rows)
        return rows

    return run


def _probabilities(graph: GraphBuilder, scores: str, width: int) -> GraphOutput:
    tensor = graph.add("Softmax", scores, axis=-1, name="probabilities")
    return GraphOutput("probabilities", tensor, np.float32, width)


# ---------------------------------------------------------------------- pooling


def pooled(graph: GraphBuilder, parts: Sequence[str], tensors: Tensors, given: Sequences) -> str:
    """The poolings of those names of each sequence, side by side, (B, W * parts)."""
    with graph.scope("pooling"):
        rows = [POOLINGS[part](graph, tensors, given) for part in parts]
        return rows[0] if len(rows) == 1 else graph.add("Concat", *rows, axis=1)


def last(graph: GraphBuilder, tensors: Tensors, given: Sequences) -> str:
    """The encoder's merged final states."""
    del graph, tensors
    return given.encoded.final


def largest(graph: GraphBuilder, tensors: Tensors, given: Sequences) -> str:
    """The largest value of each unit over the steps; zeros for an empty sequence."""
    del tensors
    top_BW = graph.add("ReduceMax", _own(graph, given, -np.inf), axes=[0], keepdims=0)
    return graph.add("Where", _has_steps(graph, given), top_BW, _ZERO, name="max")


def mean(graph: GraphBuilder, tensors: Tensors, given: Sequences) -> str:
    """The mean of each unit over the steps; zeros for an empty sequence."""
    del tensors
    sum_BW = graph.add("ReduceSum", _own(graph, given, 0.0), [0], keepdims=0, name="sum")
    counts_B = graph.add("Max", given.encoded.batch.lengths, [1], name="counts")
    counts_B1 = graph.add("Unsqueeze", counts_B, [1], name="counts_B1")
    counts = graph.add("Cast", counts_B1, to=graph.number_of(np.float32), name="as_floats")
    return graph.add("Div", sum_BW, counts, name="mean")


def attention(graph: GraphBuilder, tensors: Tensors, given: Sequences) -> str:
    """The mean of the rows weighted over the real steps.

    The weights are ``softmax(q . tanh(W x + b))``, or ``softmax(q . x)`` where there is no W.
    """
    additive = "head.attention.weight" in tensors
    layer = dense(graph, "head.attention", "tanh", tensors) if additive else str
    query = graph.constant("head.attention.query", tensors["head.attention.query"])
    query_A1 = graph.add("Unsqueeze", query, [1], name="query_A1")
    scores_TB1 = on_steps(
        graph,
        given.encoded.batch.rows,
        1,
        lambda rows: graph.add("MatMul", layer(rows), query_A1, name="scores"),
    )
    scores_TB1 = _own(graph, given, -np.inf, scores_TB1)
    has_steps = _has_steps(graph, given)
    top_B1 = graph.add("ReduceMax", scores_TB1, axes=[0], keepdims=0, name="top")
    # Of an empty sequence all scores are minus infinity, and so would its largest be.
    top_B1 = graph.add("Where", has_steps, top_B1, _ZERO, name="finite_top")
    powers_TB1 = graph.add("Exp", graph.add("Sub", scores_TB1, top_B1, name="less_top"))
    total_B1 = graph.add("ReduceSum", powers_TB1, [0], keepdims=0, name="total")
    total_B1 = graph.add("Where", has_steps, total_B1, np.ones((), np.float32), name="divisor")
    weighted = graph.add("Mul", _own(graph, given, 0.0), powers_TB1, name="weighted")
    sum_BW = graph.add("ReduceSum", weighted, [0], keepdims=0, name="sum")
    return graph.add("Div", sum_BW, total_B1, name="attention")


POOLINGS: dict[str, Callable[[GraphBuilder, Tensors, Sequences], str]] = {
    "last": last,
    "max": largest,
    "mean": mean,
    "attention": attention,
}

_ZERO = np.zeros((), np.float32)


def _own(graph: GraphBuilder, given: Sequences, other: float, rows: str | None = None) -> str:
    """Rows (T, B, W), with another value beyond the end of each sequence."""
    is_real_TB1 = graph.add("Unsqueeze", given.is_real, [2], name="is_real_TB1")
    rows = given.encoded.batch.rows if rows is None else rows
    return graph.add("Where", is_real_TB1, rows, np.array(other, np.float32), name="own")


def _has_steps(graph: GraphBuilder, given: Sequences) -> str:
    lengths_B1 = graph.add("Unsqueeze", given.encoded.batch.lengths, [1], name="lengths_B1")
    return graph.add("Greater", lengths_B1, np.array(0), name="has_steps")
