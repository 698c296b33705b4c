"""Conventions: coming back is exact, each framework's own layer computes the reference's states.

The layers are the frameworks' own: torch's, Keras' (on torch), Flax NNX' and linen's cells, and
ONNX Runtime's operators. Where a framework has float64 it is used.
"""

# B sequences, T steps, D inputs, H hidden units

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
import pytest

from birnn.bundle.conventions import (
    CONVENTIONS,
    LayerArrays,
    convention,
    direction,
    layers_back,
    layers_to,
    matching,
    stacked,
)
from birnn.bundle.framework_arrays import ORDER, PARTS, Convention
from birnn.errors import ConversionError, ShapeError
from birnn.ragged import Ragged
from birnn.reference import run
from birnn.reference.stack import CellName, Stack

Arrays = Mapping[str, np.ndarray]
B, T, D, H = 2, 5, 3, 4
CELLS: tuple[CellName, ...] = get_args(CellName)
ROWS = [row for rows in CONVENTIONS.values() for row in rows]
RECURRENT = [row for row in ROWS if row.cell != "linear"]
ONE_BIAS_GRU = convention("flax", "gru")


def named(row: Convention) -> str:
    return f"{row.framework}-{row.layer}-{row.cell}"


def random_parameters(stack: Stack, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.normal(0, 0.4, shape) for name, shape in stack.shapes().items()}


def one_direction(row: Convention) -> dict[str, np.ndarray]:
    """Parameters of one direction that the row can hold."""
    if row.cell == "linear":
        random = np.random.default_rng(1)
        return {"weight": random.normal(size=(H, D)), "bias": random.normal(size=H)}
    half = direction(random_parameters(Stack(row.cell, D, H, bidirectional=False)), "l0")
    if row == ONE_BIAS_GRU:
        half["bias_hh"][2 * H :] = 0
    return half


def reference_states(cell: CellName, half: Arrays, x_BTD: np.ndarray) -> np.ndarray:
    stack = Stack(cell, D, H, bidirectional=False)
    rows = Ragged(x_BTD.reshape(B * T, D), np.full(B, T))
    parameters = {f"{part}_l0": half[part] for part in PARTS}
    return run(rows, parameters, stack).output.values.reshape(B, T, H)


# ------------------------------------------------------------- the frameworks' own layers


def torch_states(row: Convention, arrays: Arrays, x_BTD: np.ndarray) -> np.ndarray:
    import torch

    options = {"nonlinearity": row.cell.removeprefix("rnn_")} if row.layer == "RNN" else {}
    layer = getattr(torch.nn, row.layer)(D, H, batch_first=True, dtype=torch.float64, **options)
    layer.load_state_dict({f"{name}_l0": torch.from_numpy(a) for name, a in arrays.items()})
    with torch.no_grad():
        return np.asarray(layer(torch.from_numpy(x_BTD))[0])


def keras_states(row: Convention, arrays: Arrays, x_BTD: np.ndarray) -> np.ndarray:
    import keras

    options = {each.name: each.value for each in row.settings}
    layer = getattr(keras.layers, row.layer)(H, return_sequences=True, dtype="float64", **options)
    layer.build((None, None, D))
    assert [weight.name for weight in layer.weights] == list(arrays)
    layer.set_weights(list(arrays.values()))
    return np.asarray(
        keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(x_BTD, dtype="float64")))
    )


def flax_states(row: Convention, arrays: Arrays, x_BTD: np.ndarray) -> np.ndarray:
    import jax
    from flax import nnx

    options = {"activation_fn": jax.nn.relu} if row.cell == "rnn_relu" else {}
    cell = getattr(nnx, row.layer)(
        D, H, rngs=nnx.Rngs(0), dtype=np.float64, param_dtype=np.float64, **options
    )
    state = nnx.state(cell, nnx.Param)
    flat = dict(nnx.to_flat_state(state))
    assert {".".join(map(str, path)): value.shape for path, value in flat.items()} == {
        name: array.shape for name, array in arrays.items()
    }
    for path, value in flat.items():
        value.set_value(jax.numpy.asarray(arrays[".".join(map(str, path))]))
    nnx.update(cell, nnx.from_flat_state(flat))
    h = np.zeros((B, H))
    carry: Any = tuple(h for _ in row.states) if len(row.states) == 2 else h
    seen = []
    for t in range(T):
        carry, _ = cell(carry, x_BTD[:, t])
        seen.append(carry[row.states.index("h")] if len(row.states) == 2 else carry)
    return np.stack(seen, axis=1)


def linen_states(row: Convention, arrays: Arrays, x_BTD: np.ndarray) -> np.ndarray:
    import jax
    from flax import linen

    options = {"activation_fn": jax.nn.relu} if row.cell == "rnn_relu" else {}
    cell = getattr(linen, row.layer)(H, dtype=np.float64, param_dtype=np.float64, **options)
    tree: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        module, _, leaf = name.partition(".")
        tree.setdefault(module, {})[leaf] = array
    h = np.zeros((B, H))
    carry: Any = (h, h) if len(row.states) == 2 else h
    seen = []
    for t in range(T):
        carry, _ = cell.apply({"params": tree}, carry, x_BTD[:, t])
        seen.append(carry[row.states.index("h")] if len(row.states) == 2 else carry)
    return np.stack(seen, axis=1)


def onnx_states(row: Convention, arrays: Arrays, x_BTD: np.ndarray) -> np.ndarray:
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    given = {each.name: each.value for each in row.settings if each.name != "peepholes"}
    options = {name: value for name, value in given.items() if value is not None}
    node = helper.make_node(row.layer, ["X", *arrays], ["Y"], hidden_size=H, **options)
    kind = onnx.TensorProto.FLOAT
    single = {name: array.astype(np.float32) for name, array in stacked([arrays]).items()}
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("X", kind, [T, B, D])],
        [helper.make_tensor_value_info("Y", kind, [T, 1, B, H])],
        [numpy_helper.from_array(array, name) for name, array in single.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x_TBD = np.ascontiguousarray(x_BTD.swapaxes(0, 1), np.float32)
    y_TSBH = session.run(None, {"X": x_TBD})[0]
    return y_TSBH[:, 0].swapaxes(0, 1)


OWN: dict[str, Callable[[Convention, Arrays, np.ndarray], np.ndarray]] = {
    "torch": torch_states,
    "keras": keras_states,
    "flax": flax_states,
    "linen": linen_states,
    "onnx": onnx_states,
}


def test_every_framework_is_run() -> None:
    assert set(OWN) == set(CONVENTIONS)
    for rows in CONVENTIONS.values():
        assert {row.cell for row in rows} == {*CELLS, "linear"}


@pytest.mark.parametrize("row", RECURRENT, ids=named)
def test_the_framework_s_own_layer_computes_the_reference_s_states(row: Convention) -> None:
    half = one_direction(row)
    x_BTD = np.random.default_rng(7).normal(size=(B, T, D))
    expected = reference_states(row.cell, half, x_BTD)
    if row.framework in {"flax", "linen"}:
        import jax

        with jax.enable_x64(True):
            found = OWN[row.framework](row, row.to(half), x_BTD)
    else:
        found = OWN[row.framework](row, row.to(half), x_BTD)
    # ONNX Runtime's operators have no float64; Keras on torch adds in float32 in a SimpleRNN.
    single = row.framework == "onnx" or row.layer == "SimpleRNN"
    np.testing.assert_allclose(found, expected, 0, 1e-6 if single else 1e-12)


# ------------------------------------------------------------- both ways


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_there_and_back(row: Convention) -> None:
    half = one_direction(row)
    arrays = row.to(half)
    assert {name: array.shape for name, array in arrays.items()} == row.shapes(D, H)
    back = row.back(arrays)
    assert list(back) == list(half)
    for name in set(half) - {"bias_ih", "bias_hh"}:
        np.testing.assert_array_equal(back[name], half[name])
    if row.cell != "linear":
        total = back["bias_ih"] + back["bias_hh"]
        np.testing.assert_array_equal(total, half["bias_ih"] + half["bias_hh"])
        x_BTD = np.random.default_rng(7).normal(size=(B, T, D))
        np.testing.assert_allclose(
            reference_states(row.cell, back, x_BTD),
            reference_states(row.cell, half, x_BTD),
            rtol=0,
            atol=1e-12,
        )
    again = row.to(back)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_layer_without_biases_has_zeros(row: Convention) -> None:
    arrays = row.to(one_direction(row))
    biases = {each.name for each in row.arrays if each.is_bias}
    back = row.back({name: array for name, array in arrays.items() if name not in biases})
    for name, array in back.items():
        assert array.any() == name.startswith("weight")


STACKS = [
    Stack("lstm", D, H, num_layers=3),
    Stack("gru", D, H, num_layers=2, merge="project"),
    Stack("rnn_relu", D, H, num_layers=2, bidirectional=False),
    Stack("lstm", D, H, num_layers=3, directions=("both", "forward", "both"), merge="mean"),
    Stack(
        "rnn_tanh",
        D,
        H,
        num_layers=2,
        directions=("forward", "both"),
        merge="project",
        merge_size=3,
    ),
]


@pytest.mark.parametrize("stack", STACKS, ids=str)
@pytest.mark.parametrize("framework", sorted(CONVENTIONS))
def test_whole_stacks_there_and_back(framework: Any, stack: Stack) -> None:
    parameters = random_parameters(stack)
    if (framework, stack.cell) == ("flax", "gru"):
        for name in parameters:
            if name.startswith("bias_hh"):
                parameters[name][2 * H :] = 0
    back = layers_back(framework, stack, layers_to(framework, stack, parameters))
    assert list(back) == list(stack.shapes())
    x = Ragged(np.random.default_rng(2).normal(size=(9, D)), np.array([4, 0, 5]))
    np.testing.assert_allclose(
        run(x, back, stack).output.values, run(x, parameters, stack).output.values, 0, 1e-12
    )


def test_a_bias_that_no_single_one_replaces_is_refused() -> None:
    half = one_direction(convention("torch", "gru"))
    with pytest.raises(ConversionError, match=r"one bias for gate n, .* birnn.jax"):
        ONE_BIAS_GRU.to(half)


# ------------------------------------------------------------- what is refused


REFUSED = [
    ("torch", "LSTM", {"proj_size": 3}, "proj_size is 3, it must be 0: birnn's LSTM has no proj"),
    ("keras", "GRU", {"reset_after": False}, "reset_after is False, .*with reset_after=True"),
    ("keras", "LSTM", {"recurrent_activation": "hard_sigmoid"}, "it must be 'sigmoid'"),
    ("keras", "LSTM", {"activation": "relu"}, "activation is 'relu', it must be 'tanh'"),
    ("keras", "Conv1D", {}, "no counterpart of Keras's Conv1D. It has those of LSTM, GRU, Simple"),
    ("flax", "SimpleCell", {"residual": True}, "residual is True, it must be False"),
    ("flax", "LSTMCell", {"gate_fn": np.tanh}, "gate_fn is 'tanh', it must be 'sigmoid'"),
    ("onnx", "GRU", {}, "linear_before_reset is 0, it must be 1"),
    ("onnx", "LSTM", {"clip": 3.0}, "clips nothing|clip nothing"),
    ("onnx", "LSTM", {"input_forget": 1}, "no coupled input and forget gate"),
    ("onnx", "LSTM", {"peepholes": True}, "no peepholes"),
    ("onnx", "RNN", {"activations": ["Sigmoid"]}, "activations is .'Sigmoid',."),
]


@pytest.mark.parametrize(("framework", "layer", "settings", "message"), REFUSED)
def test_options_without_a_counterpart_are_refused(
    framework: Any, layer: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConversionError, match=message) as told:
        matching(framework, layer, settings, where="encoder/layer_1")
    assert str(told.value).startswith("encoder/layer_1: ")


@pytest.mark.parametrize("row", RECURRENT, ids=named)
def test_a_layer_is_recognised_by_its_own_options(row: Convention) -> None:
    options = {each.name: each.value for each in row.settings}
    assert matching(row.framework, row.layer, options) == row


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_arrays_that_are_missing_too_many_or_of_other_shapes_are_named(row: Convention) -> None:
    arrays = row.to(one_direction(row))
    for each in row.arrays:
        rest = {name: array for name, array in arrays.items() if name != each.name}
        lone_bias = each.is_bias and sum(one.is_bias for one in row.arrays) == 1
        if not lone_bias:
            with pytest.raises(ConversionError, match=f"half has no .*{each.name}"):
                row.back(rest, where="half")
        wrong = arrays | {each.name: np.zeros(np.add(arrays[each.name].shape, 1))}
        with pytest.raises(ShapeError, match=r"half: shapes disagree: .*To .* belongs"):
            row.back(wrong, where="half")
    with pytest.raises(ConversionError, match="half has weight_hr, which has no counterpart"):
        row.back(arrays | {"weight_hr": np.zeros((1, 1))}, where="half")


def test_stacks_that_disagree_with_their_layers_are_told() -> None:
    stack = Stack("lstm", D, H, num_layers=2)
    layers = layers_to("keras", stack, random_parameters(stack))
    with pytest.raises(ConversionError, match="there are 1 layers, the stack has 2"):
        layers_back("keras", stack, layers[:1])
    alone = [layers[0], LayerArrays(layers[1].halves[:1])]
    with pytest.raises(
        ConversionError, match=r"layer 1 has 1 direction, .*reverse direction is mi"
    ):
        layers_back("keras", stack, alone)
    with pytest.raises(ConversionError, match="layer 0 has no projection of its two halves"):
        layers_back("keras", dataclasses.replace(stack, merge="project"), layers)
    with pytest.raises(ShapeError, match=r"weight_ih_l0 \(16, 3\) for \(16, 5\)"):
        layers_back("keras", dataclasses.replace(stack, input_size=5), layers)


def test_gates_are_blocks_of_every_array() -> None:
    """A block of one gate alone comes out as that gate's block, whatever the framework's order."""
    for row in RECURRENT:
        for k, gate in enumerate(ORDER[row.cell]):
            half = {part: np.zeros_like(array) for part, array in one_direction(row).items()}
            half["weight_ih"][k * H : (k + 1) * H] = 1
            arrays = row.to(half)
            marked = [name for name, array in arrays.items() if array.any()]
            owner = [e for e in row.arrays if e.parts == ("weight_ih",) and gate in e.gates]
            assert marked == [owner[0].name]
            assert arrays[marked[0]].sum() == H * D


@pytest.mark.parametrize("framework", CONVENTIONS)
def test_all_that_is_wrong_with_parameters_is_named_at_once(framework: Any) -> None:
    stack = Stack("gru", D, H)
    parameters = random_parameters(stack) | {"weight_ih_l0": np.ones((4, 4)), "extra": np.ones(1)}
    parameters["bias_hh_l0"] = parameters.pop("bias_ih_l0").astype(np.float32)
    with pytest.raises(ShapeError) as caught:
        layers_to(framework, stack, parameters)
    assert str(caught.value).split("; ") == [
        "extra is no parameter of this stack",
        "weight_ih_l0 has shape (4, 4), it must be (12, 3)",
        "bias_ih_l0 (12,) is missing",
        "bias_hh_l0 is float32, weight_ih_l0 is float64. Give both the same dtype",
    ]
