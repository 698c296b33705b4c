"""Decoding of a linear-chain CRF in a graph: Viterbi's algorithm as two loops over the steps."""

# T steps, B sequences, L labels

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from birnn.export.onnx.graph import GraphBuilder
from birnn.export.onnx.layers import Tensors
from birnn.tasks.tagger import CRF_PARTS, Tags


class ChainTensors(NamedTuple):
    """Scores of a chain in a graph, float64, what is not allowed at minus infinity.

    Args:
        transitions: Of each pair of neighbours [from, to], (L, L).
        start: Of each first label, (L,).
        end: Of each last label, (L,).
    """

    transitions: str
    start: str
    end: str


def chain_of(
    graph: GraphBuilder, head: Tags, labels: Sequence[str], tensors: Tensors
) -> ChainTensors:
    """The scores of a head's CRF: its tensors as they are, and what the scheme of tags allows."""
    allowed = head.constraints(labels) or (None, None, None)
    parts = []
    for name, mask in zip(CRF_PARTS, allowed, strict=True):
        weight = f"head.crf.{name}"
        score = graph.constant(weight, tensors[weight])
        score = graph.add("Cast", score, to=graph.number_of(np.float64), name=name)
        if mask is not None:
            kept = graph.constant(f"{weight}.allowed", mask)
            score = graph.add("Where", kept, score, np.array(-np.inf), name=f"allowed_{name}")
        parts.append(score)
    return ChainTensors(*parts)


def viterbi(
    graph: GraphBuilder,
    scores_TBL: str,
    labels: int,
    steps_T1: str,
    lengths: str,
    chain: ChainTensors,
) -> str:
    """The tags of the best path of each sequence, (T, B); beyond its end any.

    The sums are those of the runtime, in float64 and in its order, and among equals the lower label
    wins there as here. Both loops run over all steps, since ONNX Runtime's Scan refuses none.

    Args:
        graph: The graph.
        scores_TBL: Emissions.
        labels: L.
        steps_T1: Numbers of the steps.
        lengths: Lengths, (B,).
        chain: Scores of the chain.
    """
    # As [to, from], the ways into a label lie side by side.
    to_from_LL = graph.add("Transpose", chain.transitions, name="to_from")
    emissions = graph.add("Cast", scores_TBL, to=graph.number_of(np.float64), name="emissions")
    last_B = graph.add("Sub", lengths, np.array(1), name="last_steps")
    is_last_TB = graph.add("Equal", steps_T1, last_B, name="is_last")
    is_last_TB1 = graph.add("Unsqueeze", is_last_TB, [2], name="is_last_TB1")
    shape = graph.add("Shape", emissions, name="shape")
    nothing_BL = graph.add(
        "Expand",
        np.zeros((), np.float64),
        graph.add("Slice", shape, [1], [3], name="sequences_and_labels"),
        name="nothing",
    )
    first_BL = graph.add("Add", nothing_BL, chain.start, name="first")

    forward = graph.body("best_paths")
    row: Any = (np.float64, ["sequences", labels])
    into_BL, ended_BL, emission_BL = (
        forward.input(f"crf/{name}", *row) for name in ("into", "ended", "emission")
    )
    is_last_B1 = forward.input("crf/is_last_here", np.bool_, ["sequences", 1])
    best_BL = forward.add("Add", into_BL, emission_BL, name="best")
    best_B1L = forward.add("Unsqueeze", best_BL, [1], name="best_B1L")
    ways_BLL = forward.add("Add", best_B1L, to_from_LL, name="ways")
    back_BL = forward.add("ArgMax", ways_BLL, axis=2, keepdims=0, name="back")
    next_BL = forward.add("ReduceMax", ways_BLL, axes=[2], keepdims=0, name="next")
    kept_BL = forward.add("Where", is_last_B1, best_BL, ended_BL, name="kept")
    forward.output("crf/next", next_BL, *row)
    forward.output("crf/ended_now", kept_BL, *row)
    forward.output("crf/back_here", back_BL, np.int64, ["sequences", labels])
    _, ended, back_TBL = graph.add_all(
        "Scan",
        [first_BL, nothing_BL, emissions, is_last_TB1],
        ["scores_after", "scores_at_end", "back"],
        name="best_paths",
        num_scan_inputs=2,
        body=forward,
    )

    total_BL = graph.add("Add", ended, chain.end, name="total")
    best_tag_B1 = graph.add("ArgMax", total_BL, axis=1, keepdims=1, name="last_tag")
    trace = graph.body("trace")
    after_B1 = trace.input("crf/tag_after", np.int64, ["sequences", 1])
    back_BL = trace.input("crf/back_there", np.int64, ["sequences", labels])
    is_last_B1 = trace.input("crf/is_last_there", np.bool_, ["sequences", 1])
    before_B1 = trace.add("GatherElements", back_BL, after_B1, axis=1, name="before")
    tag_B1 = trace.add("Where", is_last_B1, best_tag_B1, before_B1, name="tag")
    trace.output("crf/tag_here", tag_B1, np.int64, ["sequences", 1])
    trace.output("crf/tag_told", tag_B1, np.int64, ["sequences", 1])
    _, tags_TB1 = graph.add_all(
        "Scan",
        [best_tag_B1, back_TBL, is_last_TB1],
        ["first_tag", "tags"],
        name="trace",
        num_scan_inputs=2,
        scan_input_directions=[1, 1],
        scan_output_directions=[1],
        body=trace,
    )
    return graph.add("Squeeze", tags_TB1, [2], name="tags_TB")
