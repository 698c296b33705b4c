"""A whole model as one ONNX graph, built from its description; nothing is traced."""

# T steps, B sequences, D inputs, H hidden units, S states of all layers and directions

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from birnn.bundle.conventions import convention
from birnn.bundle.io import Bundle
from birnn.engine.stack_checks import check_parameters
from birnn.errors import ConversionError
from birnn.export.description import as_metadata, description
from birnn.export.feeds import Array
from birnn.export.onnx.decoder import targets
from birnn.export.onnx.graph import Dimensions, GraphBuilder
from birnn.export.onnx.heads import head, sequences_of
from birnn.export.onnx.inputs import INPUTS, LENGTHS
from birnn.export.onnx.layers import at_least_one, time_first
from birnn.export.onnx.recurrent import PaddedRows, recurrent_stack
from birnn.inputs import restored
from birnn.reference.stack import Stack
from birnn.tasks import TargetSequence

# A protobuf message ends at 2 GiB; what is beside the tensors takes less than this.
MOST_BYTES = 2**31 - 2**24

FORMAT = 1


def model_of(bundle: Bundle) -> Any:
    """The ONNX model of a bundle.

    Inputs are ``lengths`` (B,) and by kind ``forms`` (B, T) with ``words`` (F,), ``characters``
    (F, C), ``character_lengths`` (F,) and ``features`` (F, K) of the F distinct written forms;
    ``symbols`` (B, T); or ``vectors`` (B, T, D), in float64 where the inputs have an offset.

    Outputs of a tagger are ``scores`` (B, T, L) and ``tags`` (B, T), -1 beyond the end of a
    sequence; of a classifier ``scores`` (B, L) and ``label`` (B,); of both, but of a CRF, also
    ``probabilities``; of a regressor ``values`` (B, K). A filler has ``likeliest`` for ``tags``,
    which like its scores mean something at gaps alone. Of a model that writes sequences they are
    ``targets`` (B, I), 0 where one ends and beyond, ``log_probabilities`` (B, I) of each symbol and
    of the end, ``target_lengths`` (B,), and ``ended`` (B,), false where one was cut: the greedy
    search.

    Args:
        bundle: The model.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        MissingExtra: onnx is not installed.
        ConversionError: Its tensors are more than a file can hold.
    """
    spec, tensors = bundle.spec, bundle.tensors
    size = 4 * spec.parameter_count()
    if size > MOST_BYTES:
        raise ConversionError(
            f"the model's tensors take {size / 2**30:.1f} GiB, and an ONNX file of one piece ends "
            "at 2 GiB. Export it to another format (--to torch, keras or jax)."
        )
    graph, inputs = GraphBuilder(f"birnn {spec.task}"), INPUTS[spec.inputs.kind]
    batch = inputs.batch(graph, spec.inputs, tensors)
    with graph.scope("encoder"):
        encoded = recurrent_stack(graph, batch, spec.stack, tensors, "encoder.")
    labels = bundle.vocabularies.get("labels", ())
    with graph.scope("head"):
        sequences = sequences_of(graph, encoded)
        if isinstance(spec.head, TargetSequence):
            answers = targets(graph, spec.head, spec.stack, tensors, sequences)
        else:
            answers = head(graph, spec.head, labels, tensors, sequences)
    with graph.scope("outputs"):
        sizes = ["sequences", "steps"] if spec.head.per_step else ["sequences"]
        given = graph.add("Shape", inputs.steps if spec.head.per_step else LENGTHS, name="shape")
        ends = graph.add("Slice", given, [0], [len(sizes)], name="sizes")
        axes = list(range(len(sizes)))
        for answer in answers:
            own = graph.add("Slice", answer.tensor, [0] * len(axes), ends, axes, name="unpadded")
            width = [] if answer.width is None else [answer.width]
            graph.output(answer.name, own, answer.dtype, [*sizes, *width])
    return graph.model(metadata_of(bundle), f"{spec.inputs.outline()}; {spec.task} by birnn")


def metadata_of(bundle: Bundle) -> dict[str, str]:
    """What a file keeps beside the graph, JSON texts by their names.

    ``birnn.rules`` are those by which tokens are looked up, ``birnn.vocabularies`` what their
    numbers and those of the answers stand for, ``birnn.spec`` what the model is.
    """
    inputs = bundle.spec.inputs
    rules = INPUTS[inputs.kind].rules(inputs.codec(restored(bundle.vocabularies)))
    return as_metadata({"format": FORMAT, **description(bundle), "rules": rules})


def stack_model(stack: Stack, parameters: Mapping[str, Array], *, initial: bool = False) -> Any:
    """The ONNX model of a stack of recurrent layers alone.

    Inputs are ``x`` (B, T, D), ``lengths`` (B,) and with ``initial`` the states ``h0``, and ``c0``
    of an LSTM, (S, B, H). Outputs are ``output`` (B, T, W), ``forward`` and ``backward`` (B, T, H)
    of the last layer, ``final`` (B, W), and the final states ``h`` and ``c``, (S, B, H).

    Args:
        stack: Its settings.
        parameters: Arrays by the names of ``stack.shapes()``, of one dtype.
        initial: Whether initial states are inputs; zeros where they are not.

    Raises:
        ShapeError: A name, shape or dtype that does not fit; all of them are named at once.
    """
    check_parameters(parameters, stack)
    dtype = np.result_type(*parameters.values())
    graph = GraphBuilder(f"birnn {stack.cell}")
    names = convention("onnx", stack.cell).states
    x_BTD = graph.input("x", dtype, ["sequences", "steps", stack.input_size])
    lengths = graph.input("lengths", np.int64, ["sequences"])
    shape: Dimensions = [stack.state_count, "sequences", stack.hidden_size]
    with graph.scope("inputs"):
        rows = time_first(graph, at_least_one(graph, x_BTD, 3, dtype), 3)
        batch = PaddedRows(rows, stack.input_size, at_least_one(graph, lengths, 1))
        starts = [
            at_least_one(graph, graph.input(f"{name}0", dtype, shape), 3, dtype)
            for name in (names if initial else ())
        ]
    encoded = recurrent_stack(graph, batch, stack, parameters, "", starts)
    with graph.scope("outputs"):
        sizes = graph.add("Slice", graph.add("Shape", x_BTD), [0], [2], name="sizes")
        count = graph.add("Shape", lengths, name="count")
        tops = [encoded.batch.rows, *encoded.halves]
        widths = [encoded.batch.width, *[stack.hidden_size] * len(encoded.halves)]
        for name, top, width in zip(("output", "forward", "backward"), tops, widths, strict=False):
            rows = graph.add("Slice", time_first(graph, top, 3), [0, 0], sizes, [0, 1])
            graph.output(name, rows, dtype, ["sequences", "steps", width])
        final = graph.add("Slice", encoded.final, [0], count, [0])
        graph.output("final", final, dtype, ["sequences", encoded.batch.width])
        for name, state in zip(names, encoded.states, strict=True):
            graph.output(name, graph.add("Slice", state, [0], count, [1]), dtype, shape)
    return graph.model()
