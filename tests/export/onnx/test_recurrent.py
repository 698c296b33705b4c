"""Recurrent stacks as graphs: lengths, empty batches, initial states; and in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest

from birnn.errors import ShapeError
from birnn.export.onnx import session_of, stack_model
from birnn.ragged import Ragged
from birnn.reference import GATES, Stack, StackState, bidirectional, initialise

INPUTS, HIDDEN = 3, 4
MIXED = ("both", "forward", "both")


def stack_of(cell: Any) -> Stack:
    return Stack(cell, INPUTS, HIDDEN, num_layers=3, merge="sum", directions=MIXED)


def arrays_of(stack: Stack, lengths: list[int], dtype: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Random rows and initial states of a padded batch, one step wider than its longest."""
    random = np.random.default_rng(seed)
    shape = (len(lengths), max(lengths, default=0) + 1, stack.input_size)
    arrays: dict[str, Any] = {"x": random.standard_normal(shape).astype(dtype)}
    states = StackState.zeros(stack, len(lengths), np.dtype(dtype)).parts
    for name, zeros in zip(("h0", "c0"), states, strict=False):
        arrays[name] = random.uniform(-1, 1, zeros.shape).astype(dtype)
    return arrays | {"lengths": np.array(lengths, np.int64)}


def expected_of(stack: Stack, parameters: Any, arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """The reference's answers, in float64, in the graph's form."""
    double = {name: value.astype(np.float64) for name, value in parameters.items()}
    lengths, x = arrays["lengths"], arrays["x"].astype(np.float64)
    states = [arrays[name].astype(np.float64) for name in ("h0", "c0") if name in arrays]
    found = bidirectional.run(Ragged.from_padded(x, lengths), double, stack, StackState(*states))
    rows = {"output": found.output, "forward": found.forward, "backward": found.backward}
    padded = {k: r.to_padded(steps=x.shape[1]) for k, r in rows.items() if r is not None}
    return padded | {"final": found.final} | dict(zip("hc", found.state.parts, strict=False))


@pytest.mark.parametrize("cell", sorted(GATES))
def test_one_session_takes_every_batch(cell: str) -> None:
    # pytorch#41774, #49936, #62240: exports of packed LSTMs failed, or kept to the batch, the
    # initial states and the lengths that they were traced with.
    stack = stack_of(cell)
    parameters = initialise(stack, 0, scheme="torch", dtype="float32")
    session = session_of(stack_model(stack, parameters, initial=True).SerializeToString())
    for lengths in ([4, 1, 0, 2], [7], [0], [0, 0, 0], [], [1] * 9):
        arrays = arrays_of(stack, lengths, "float32")
        if lengths == [0]:
            arrays["x"] = arrays["x"][:, :0]  # no step at all
        found = dict(
            zip([o.name for o in session.get_outputs()], session.run(None, arrays), strict=True)
        )
        wanted = expected_of(stack, parameters, arrays)
        assert found.keys() == wanted.keys()
        real = np.arange(arrays["x"].shape[1]) < arrays["lengths"][:, None]
        for name, part in wanted.items():
            got = found[name]
            if name in {"output", "forward", "backward"}:
                got, part = got[real], part[real]
            np.testing.assert_allclose(got, part, atol=1e-5, err_msg=f"{name} of {lengths}")
        empty = arrays["lengths"] == 0
        np.testing.assert_array_equal(found["h"][:, empty], arrays["h0"][:, empty])


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn_tanh"])
def test_in_float64_it_is_the_reference_to_ten_digits(cell: str) -> None:
    # onnx.reference computes in any type; it knows no lengths, so all are the longest, and no RNN
    # with a rectifier.
    stack = stack_of(cell)
    parameters = initialise(stack, 1, scheme="torch", dtype="float64")
    model = stack_model(stack, parameters, initial=True)
    onnx.checker.check_model(model, full_check=True)
    arrays = arrays_of(stack, [3, 3], "float64")
    arrays["x"] = arrays["x"][:, :3]
    evaluator = onnx.reference.ReferenceEvaluator(model)
    found = dict(zip(evaluator.output_names, evaluator.run(None, arrays), strict=True))
    for name, part in expected_of(stack, parameters, arrays).items():
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], part, rtol=0, atol=1e-10, err_msg=name)


def test_states_are_inputs_only_where_they_are_asked_for() -> None:
    stack = stack_of("lstm")
    parameters = initialise(stack, 0, scheme="torch", dtype="float32")
    with_states, without = (
        [told.name for told in stack_model(stack, parameters, initial=asked).graph.input]
        for asked in (True, False)
    )
    assert with_states == ["x", "lengths", "h0", "c0"]
    assert without == ["x", "lengths"]


def test_all_that_is_wrong_with_parameters_is_named_at_once() -> None:
    stack = Stack("gru", 3, 4, bidirectional=False)
    parameters = dict(initialise(stack, 0)) | {"extra": np.zeros(1)}
    del parameters["bias_hh_l0"]
    with pytest.raises(ShapeError, match=r"extra is no parameter.*; bias_hh_l0 \(12,\) is missing"):
        stack_model(stack, parameters)


@pytest.mark.parametrize("length", [-1, 6])
def test_onnx_runtime_refuses_a_length_that_no_sequence_has(length: int) -> None:
    stack = Stack("gru", 3, 4)
    model = stack_model(stack, initialise(stack, 0, dtype="float32"))
    session = session_of(model.SerializeToString())
    arrays = {"x": np.zeros((2, 5, 3), np.float32), "lengths": np.array([length, 5])}
    with pytest.raises(Exception, match="sequence_lens"):
        session.run(["final"], arrays)
