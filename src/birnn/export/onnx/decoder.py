"""The attention decoder in a graph: a Loop that writes the best symbol at each step."""

# B sequences, S steps of a source, K layers, H hidden units, W width of an encoder's row,
# A width of a key, C width of what is combined, V symbols, I steps in which all were written

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from birnn.export.onnx.graph import GraphBuilder
from birnn.export.onnx.heads import GraphOutput, Sequences
from birnn.export.onnx.layers import Layer, Tensors, linear, time_first
from birnn.export.onnx.recurrent import PaddedRows, StackTensors, recurrent_stack
from birnn.reference.decoder_spec import BOUNDARY
from birnn.reference.stack import Stack
from birnn.tasks import TargetSequence

DECODER = "head.decoder."


class Memory(NamedTuple):
    """What is read of the sources at every step.

    Args:
        keys: (B, A, S) for a product with queries; (B, S, A) of additive attention.
        values: The encoder's rows, (B, S, W).
        is_real: Whether a row is within its source, (B, S).
    """

    keys: str
    values: str
    is_real: str


def targets(
    graph: GraphBuilder, spec: TargetSequence, encoder: Stack, tensors: Tensors, given: Sequences
) -> list[GraphOutput]:
    """Targets (B, I) and what belongs to them, of the greedy search.

    Args:
        graph: The graph.
        spec: The head.
        encoder: The encoder's settings.
        tensors: The tensors of the model.
        given: The encoded sources.
    """
    with graph.scope("bridge"):
        initial = bridged(graph, spec, encoder, tensors, given.encoded)
    memory = None
    if spec.attention == "none":
        graph.keep("inputs.", "encoder.")  # no row is read, and without a bridge no state either
    else:
        with graph.scope("attention"):
            memory = memory_of(graph, spec, tensors, given)
    lengths = given.encoded.batch.lengths
    longest_B = _longest(graph, spec, lengths)
    body = graph.body("write")
    step, is_on = body.input("write/step", np.int64, []), body.input("write/is_on", np.bool_, [])
    del is_on
    symbol_B = body.input("write/symbol", np.int64, ["sequences"])
    is_done_B, has_ended_B = (
        body.input(f"write/{name}", np.bool_, ["sequences"]) for name in ("is_done", "has_ended")
    )
    shape: Any = [spec.num_layers, "sequences", spec.hidden_size]
    states = [body.input(f"write/state_{k}", np.float32, shape) for k in range(len(initial))]
    fed: str | None = None
    if spec.input_feeding:
        fed = body.input("write/combined", np.float32, ["sequences", spec.combined_size])
    scores_BV, combined, after = _step(body, spec, tensors, symbol_B, states, fed, memory)

    logs_BV = body.add("LogSoftmax", scores_BV, axis=1)
    best_B = body.add("ArgMax", scores_BV, axis=1, keepdims=0, name="best")
    log_B = body.add("ReduceMax", logs_BV, axes=[1], keepdims=0, name="log_of_best")
    is_end_B = body.add("Equal", best_B, np.array(BOUNDARY), name="is_end")
    ends_B = body.add("And", is_end_B, body.add("Not", is_done_B, name="goes_on"), name="ends")
    # A target of the most symbols may end at the next step, and is cut where it does not.
    is_longest_B = body.add("LessOrEqual", longest_B, step, name="is_longest")
    is_cut_B = body.add("And", is_longest_B, body.add("Not", is_end_B), name="is_cut")
    stops_B = body.add("Or", is_done_B, is_cut_B, name="stops")
    written_B = body.add("Where", stops_B, np.array(BOUNDARY), best_B, name="written")
    told_B = body.add("Where", stops_B, np.zeros((), np.float32), log_B, name="told")
    now_ended_B = body.add("Or", has_ended_B, ends_B, name="now_ended")
    now_done_B = body.add("Or", stops_B, ends_B, name="now_done")
    open_B = body.add("Cast", body.add("Not", now_done_B), to=body.number_of(np.int64), name="open")
    some = body.add("ReduceMax", open_B, axes=[0], keepdims=0, name="any_open")
    goes_on = body.add("Cast", some, to=body.number_of(np.bool_), name="loop_goes_on")

    body.output("write/goes_on", goes_on, np.bool_, [])
    body.output("write/next_symbol", written_B, np.int64, ["sequences"])
    for name, tensor in (("now_done", now_done_B), ("now_ended", now_ended_B)):
        body.output(f"write/{name}", tensor, np.bool_, ["sequences"])
    for k, state in enumerate(after):
        body.output(f"write/next_state_{k}", state, np.float32, shape)
    if fed is not None:
        width: Any = ["sequences", spec.combined_size]
        body.output("write/next_combined", combined, np.float32, width)
    body.output("write/written", written_B, np.int64, ["sequences"])
    body.output("write/log", told_B, np.float32, ["sequences"])

    zeros_B = graph.add("Mul", lengths, np.array(0), name="boundary")
    never_B = graph.add("Less", lengths, np.array(0), name="never")
    carried = [zeros_B, never_B, never_B, *initial]
    names = ["last", "done", "ended", *(f"state_{k}" for k in range(len(initial)))]
    if fed is not None:
        carried.append(_zeros(graph, lengths, [], spec.combined_size))
        names.append("combined")
    most = graph.add("ReduceMax", longest_B, axes=[0], keepdims=0, name="most")
    trips = graph.add("Add", most, np.array(1), name="trips")
    found = graph.add_all(
        "Loop",
        [trips, np.array(True), *carried],
        [*names, "targets", "logs"],
        name="write",
        body=body,
    )
    written_BI, logs_BI = (time_first(graph, tensor) for tensor in found[-2:])
    is_symbol = graph.add("Greater", written_BI, np.array(BOUNDARY), name="is_symbol")
    ones = graph.add("Cast", is_symbol, to=graph.number_of(np.int64), name="symbols")
    return [
        GraphOutput("targets", written_BI, np.int64, "written"),
        GraphOutput("log_probabilities", logs_BI, np.float32, "written"),
        GraphOutput(
            "target_lengths", graph.add("ReduceSum", ones, [1], keepdims=0), np.int64, None
        ),
        GraphOutput("ended", found[2], np.bool_, None),
    ]


def _longest(graph: GraphBuilder, spec: TargetSequence, lengths: str) -> str:
    """Most symbols of each target, (B,): in float64, as the runtime counts them."""
    fixed, each = spec.longest
    wide = graph.add("Cast", lengths, to=graph.number_of(np.float64), name="wide_lengths")
    more = graph.add("Floor", graph.add("Mul", wide, np.array(each), name="per_step"))
    whole = graph.add("Cast", more, to=graph.number_of(np.int64), name="more")
    return graph.add("Add", whole, np.array(fixed), name="longest")


def _zeros(graph: GraphBuilder, lengths: str, before: list[int], width: int) -> str:
    """Zeros (..., B, width)."""
    count = graph.add("Shape", lengths, name="count")
    shape = graph.add("Concat", before, count, [width], axis=0, name="shape")
    return graph.add("Expand", np.zeros((), np.float32), shape, name="zeros")


# ---------------------------------------------------------------------- before the first step


def bridged(
    graph: GraphBuilder,
    spec: TargetSequence,
    encoder: Stack,
    tensors: Tensors,
    encoded: StackTensors,
) -> list[str]:
    """The states that the decoder begins with, (K, B, H) each: h, and c of an LSTM."""
    rules = spec.bridge_spec(encoder)
    if spec.bridge == "none":
        zeros = _zeros(graph, encoded.batch.lengths, [spec.num_layers], spec.hidden_size)
        return [zeros] * len(rules.parts)
    whole = dict(zip("hc", encoded.states, strict=False))
    states = []
    for part, source in rules.parts.items():
        layers = []
        for k, layer in enumerate(rules.encoder_layers):
            with graph.scope(f"{part}_l{k}"):
                own = encoder.states_of(layer)
                halves = graph.add(
                    "Slice", whole[source], [own.start], [own.stop], [0], name="final"
                )
                state = BRIDGES[spec.bridge](graph, halves, rules.input_size(k))
                if spec.bridge == "project":
                    name = f"head.bridge.{part}_l{k}"
                    state = graph.add("Tanh", linear(graph, name, tensors)(state))
                layers.append(graph.add("Unsqueeze", state, [0], name="state"))
        states.append(graph.add("Concat", *layers, axis=0, name=part))
    return states


def _beside(graph: GraphBuilder, halves: str, width: int) -> str:
    swapped = graph.add("Transpose", halves, perm=[1, 0, 2], name="side_by_side")
    return graph.add("Reshape", swapped, [-1, width], name="concat")


# From the final states of all directions of a layer, (P, B, H), to rows; of one direction these.
BRIDGES: dict[str, Callable[[GraphBuilder, str, int], str]] = {
    "concat": _beside,
    "project": _beside,
    "sum": lambda graph, halves, _: graph.add("ReduceSum", halves, [0], keepdims=0),
    "mean": lambda graph, halves, _: graph.add("ReduceMean", halves, axes=[0], keepdims=0),
}


def memory_of(
    graph: GraphBuilder, spec: TargetSequence, tensors: Tensors, given: Sequences
) -> Memory:
    """Keys and values of the sources, once for all steps."""
    values_BSW = time_first(graph, given.encoded.batch.rows, 3)
    is_real_BS = time_first(graph, given.is_real)
    if spec.attention != "additive":
        keys_BWS = graph.add("Transpose", values_BSW, perm=[0, 2, 1], name="keys")
        return Memory(keys_BWS, values_BSW, is_real_BS)
    keys = _product(graph, "head.attention.key.weight", tensors)(values_BSW)
    bias = graph.constant("head.attention.key.bias", tensors["head.attention.key.bias"])
    return Memory(graph.add("Add", keys, bias, name="keys"), values_BSW, is_real_BS)


# ---------------------------------------------------------------------- a step


def _step(
    body: GraphBuilder,
    spec: TargetSequence,
    tensors: Tensors,
    symbol_B: str,
    states: list[str],
    fed: str | None,
    memory: Memory | None,
) -> tuple[str, str, list[str]]:
    """Scores (B, V) of the next symbol, the combined row, and the states after it."""
    table = body.constant("head.embedding.weight", tensors["head.embedding.weight"])
    read = body.add("Gather", table, symbol_B, axis=0, name="vector")
    if fed is not None:
        read = body.add("Concat", read, fed, axis=1, name="with_combined")
    ones_B = body.add("Add", body.add("Mul", symbol_B, np.array(0)), np.array(1), name="ones")
    rows = body.add("Unsqueeze", read, [0], name="row")
    batch = PaddedRows(rows, spec.decoder_stack.input_size, ones_B)
    with body.scope("decoder"):
        found = recurrent_stack(body, batch, spec.decoder_stack, tensors, DECODER, states)
    h_BH = body.add("Squeeze", found.batch.rows, [0], name="h")
    beside = h_BH
    if memory is not None:
        with body.scope("attention"):
            beside = body.add("Concat", _context(body, spec, tensors, h_BH, memory), h_BH, axis=1)
    with body.scope("combine"):
        combined = body.add("Tanh", linear(body, "head.combine", tensors)(beside))
    with body.scope("scores"):
        weight = "head.embedding.weight" if spec.tied else "head.linear.weight"
        parts = [body.constant(name, tensors[name]) for name in (weight, "head.linear.bias")]
        scores = body.add("Gemm", combined, *parts, transB=1, name="linear")
    return scores, combined, found.states


def _context(
    body: GraphBuilder, spec: TargetSequence, tensors: Tensors, h_BH: str, memory: Memory
) -> str:
    """A mean of each source's rows, (B, W); zeros where it has none."""
    if spec.attention == "additive":
        query = _product(body, "head.attention.query.weight", tensors)(h_BH)
        query_B1A = body.add("Unsqueeze", query, [1], name="query_B1A")
        both = body.add("Tanh", body.add("Add", query_B1A, memory.keys, name="query_and_key"))
        vector = body.constant("head.attention.vector", tensors["head.attention.vector"])
        scores_BS = body.add("MatMul", both, vector, name="scores")
    else:
        query = h_BH
        if spec.attention == "general":
            query = _product(body, "head.attention.weight", tensors)(h_BH)
        query_B1A = body.add("Unsqueeze", query, [1], name="query_B1A")
        scores_B1S = body.add("MatMul", query_B1A, memory.keys, name="scores_B1S")
        scores_BS = body.add("Squeeze", scores_B1S, [1], name="scores")
    # Not minus infinity: of a source without a row all scores would be, and no softmax exist.
    lowest = np.array(np.finfo(np.float32).min)
    scores_BS = body.add("Where", memory.is_real, scores_BS, lowest, name="own_scores")
    weights_BS = body.add("Softmax", scores_BS, axis=1)
    nothing = np.zeros((), np.float32)
    weights_BS = body.add("Where", memory.is_real, weights_BS, nothing, name="weights")
    weights_B1S = body.add("Unsqueeze", weights_BS, [1], name="weights_B1S")
    context = body.add("MatMul", weights_B1S, memory.values, name="context_B1W")
    return body.add("Squeeze", context, [1], name="context")


def _product(graph: GraphBuilder, name: str, tensors: Tensors) -> Layer:
    """Rows times the transpose of the tensor of that name, which keeps its form in the file."""
    weight = graph.constant(name, tensors[name])
    turned = graph.add("Transpose", weight, perm=[1, 0], name="turned")
    return lambda rows: graph.add("MatMul", rows, turned, name="product")
