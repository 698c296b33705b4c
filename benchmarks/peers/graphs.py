"""Runtimes that run a graph: ONNX Runtime and OpenVINO. Bidirectional LSTM, forward only."""

# B sequences, T steps, S directions, D inputs, H hidden units, G gate rows

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle.conventions import layers_to, stacked
from birnn.export.onnx.graph import GraphBuilder
from birnn.studies.bench.cases import Array, Problem, Work
from birnn.studies.bench.peers import Implementation

# ---------------------------------------------------------------------- ONNX Runtime


def onnxruntime(
    problem: Problem, work: Work, threads: int, *, int8: bool = False
) -> list[Implementation]:
    """The operator LSTM, with its lengths; its own DynamicQuantizeLSTM for int8."""
    assert work == "forward", "it has no backward pass"
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    model = _onnx_model(problem)
    session = runtime.InferenceSession(
        _quantised(model) if int8 else model, options, providers=["CPUExecutionProvider"]
    )
    feeds = {
        "X": np.ascontiguousarray(problem.x.swapaxes(0, 1)),
        "lengths": problem.lengths.astype(np.int32),
    }

    def answer(told: list[Array]) -> Array:
        steps, directions, batch, hidden = told[0].shape
        array: Array = told[0].transpose(2, 0, 1, 3).reshape(batch, steps, directions * hidden)
        return array

    return [Implementation(lambda: session.run(None, feeds), answer)]


def _onnx_model(problem: Problem) -> bytes:
    """A model of the LSTM operator alone: X (T, B, D) and lengths (B,) to Y (T, S, B, H)."""
    shape, graph = problem.case.shape, GraphBuilder("bilstm")
    arrays = stacked(layers_to("onnx", problem.case.stack, problem.parameters)[0].halves)
    x = graph.input("X", np.float32, ["T", "B", shape.inputs])
    lengths = graph.input("lengths", np.int32, ["B"])
    weights = [graph.constant(name, array) for name, array in arrays.items()]
    settings = {"hidden_size": shape.hidden, "direction": "bidirectional"}
    [y] = graph.add_all("LSTM", [x, *weights, lengths], ["states"], **settings)
    graph.output("Y", y, np.float32, ["T", 2, "B", shape.hidden])
    return bytes(graph.model().SerializeToString())


def _quantised(model: bytes) -> bytes:
    """The model with its weights in int8, by ONNX Runtime's own tool at its own settings."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    loaded = onnx.load_from_string(model)
    add_pre_process_metadata(loaded)  # or it advises to fuse operators first; there is but one
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "int8.onnx")
        quantize_dynamic(loaded, place)
        return place.read_bytes()


# ---------------------------------------------------------------------- OpenVINO


def openvino(
    problem: Problem, work: Work, threads: int, *, hint: str = "f32"
) -> list[Implementation]:
    """Two ways, as the one that its operator is made for is the slower one.

    With steps unknown until it runs, a bidirectional LSTMSequence ignores the lengths in its
    backward half (seen in 2026.4), so there the steps are fixed. Two halves with ReverseSequence
    around the second need no lengths.
    """
    assert work == "forward", "it has no backward pass"
    import openvino as ov

    core = ov.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        # By default it is bfloat16 where the processor can.
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
    }
    feeds = [problem.x, problem.lengths.astype(np.int32)]

    def way(model: Any, answer: Any, called: str) -> Implementation:
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return Implementation(
            lambda: request.infer(feeds, share_inputs=True, share_outputs=True),
            lambda told: answer(told[0]),
            called,
        )

    def joined(output: Array) -> Array:
        batch, directions, steps, hidden = output.shape
        return output.transpose(0, 2, 1, 3).reshape(batch, steps, directions * hidden)

    return [
        way(_sequence_model(problem), joined, "one LSTMSequence"),
        way(_halves_model(problem), lambda output: output, "two halves, ReverseSequence"),
    ]


def _openvino_weights(problem: Problem) -> tuple[Array, Array, Array]:
    """Input weights (S, G, D), recurrent weights (S, G, H) and biases (S, G); gates f, i, c, o."""
    torch = stacked(layers_to("torch", problem.case.stack, problem.parameters)[0].halves)

    def ordered(array: Array) -> Array:
        i, f, g, o = np.split(array, 4, axis=1)
        return np.concatenate([f, i, g, o], axis=1)

    bias = torch["bias_ih"] + torch["bias_hh"]
    return ordered(torch["weight_ih"]), ordered(torch["weight_hh"]), ordered(bias)


def _sequence_model(problem: Problem) -> Any:
    """One bidirectional LSTMSequence, its steps fixed."""
    from openvino import Model
    from openvino import opset8 as op

    batch, steps, inputs = problem.x.shape
    hidden = problem.case.shape.hidden
    x = op.parameter([batch, steps, inputs], np.float32)
    lengths = op.parameter([batch], np.int32)
    state = op.constant(np.zeros((batch, 2, hidden), np.float32))
    weights = [op.constant(array) for array in _openvino_weights(problem)]
    node = op.lstm_sequence(x, state, state, lengths, *weights, hidden, "bidirectional")
    return Model([op.result(node.output(0))], [x, lengths])


def _halves_model(problem: Problem) -> Any:
    """Two forward LSTMSequences over all steps, the second over each sequence turned round."""
    from openvino import Model
    from openvino import opset8 as op

    batch, _, inputs = problem.x.shape
    hidden = problem.case.shape.hidden
    x = op.parameter([batch, -1, inputs], np.float32)
    lengths = op.parameter([batch], np.int32)
    state = op.constant(np.zeros((batch, 1, hidden), np.float32))
    one = op.constant(np.array([1], np.int32))
    steps = op.gather(op.shape_of(x, "i32"), one, op.constant(np.int32(0)))
    full = op.broadcast(steps, op.constant(np.array([batch], np.int64)))
    halves = []
    for k in range(2):
        weights = [op.constant(array[k : k + 1]) for array in _openvino_weights(problem)]
        rows = op.reverse_sequence(x, lengths, 0, 1) if k else x
        node = op.lstm_sequence(rows, state, state, full, *weights, hidden, "forward")
        half = op.squeeze(node.output(0), one)
        halves.append(op.reverse_sequence(half, lengths, 0, 1) if k else half)
    return Model([op.result(op.concat(halves, 2))], [x, lengths])
