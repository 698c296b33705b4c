"""Damaged files of other frameworks: refused in our words, or a model that predicts."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import safetensors.numpy
from mutations import FEW, MANY, limits, mutations, value_mutations
from onnx import helper, numpy_helper

import birnn
from birnn.errors import BirnnError, escaped

COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.fuzz)]
LABELS, ITEMS = ["x", "y"], ["<pad>", "<unk>", *"abcd"]


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def state_dict() -> bytes:
    shapes: dict[str, tuple[int, ...]] = {
        "emb.weight": (6, 3),
        "fc.weight": (2, 2),
        "fc.bias": (2,),
    }
    shapes |= {"rnn.weight_ih_l0": (6, 3), "rnn.weight_hh_l0": (6, 2), "rnn.bias_ih_l0": (6,)}
    content: bytes = safetensors.numpy.save(drawn(shapes | {"rnn.bias_hh_l0": (6,)}))
    return content


CONFIG: dict[str, Any] = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "Masking", "config": {"name": "m", "mask_value": -1.0}},
            {"class_name": "BatchNormalization", "config": {"name": "n", "epsilon": 0.001}},
            {"class_name": "Bidirectional", "config": {
                "name": "b", "merge_mode": "concat",
                "layer": {"class_name": "GRU", "config": {"units": 2, "return_sequences": True}}}},
            {"class_name": "Dense", "config": {"name": "d", "activation": "softmax"}},
        ]
    },
}  # fmt: skip


def weights() -> bytes:
    stream = io.BytesIO()
    shapes: dict[str, tuple[int, ...]] = {f"batch_normalization/vars/{n}": (3,) for n in range(4)}
    for half in ("forward_layer", "backward_layer"):
        for n, shape in enumerate([(3, 6), (2, 6), (2, 6)]):
            shapes[f"bidirectional/{half}/cell/vars/{n}"] = shape
    shapes |= {"dense/vars/0": (4, 2), "dense/vars/1": (2,)}
    with h5py.File(stream, "w") as file:
        for name, array in drawn(shapes).items():
            file[f"layers/{name}"] = np.abs(array)
    return stream.getvalue()


def archive(config: bytes, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("config.json", config)
        file.writestr("model.weights.h5", content)
    return stream.getvalue()


def graph() -> bytes:
    held = drawn({"W": (2, 8, 3), "R": (2, 8, 2), "B": (2, 16), "M": (4, 2)})
    constants = [numpy_helper.from_array(array, name) for name, array in held.items()]
    constants.append(numpy_helper.from_array(np.array([0, 0, -1]), "shape"))
    nodes = [
        helper.make_node(
            "LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=2, direction="bidirectional"
        ),
        helper.make_node("Transpose", ["y"], ["t"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["t", "shape"], ["rows"]),
        helper.make_node("MatMul", ["rows", "M"], ["scores"]),
    ]  # fmt: skip
    floats = onnx.TensorProto.FLOAT
    made = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", floats, ["t", "b", 3])],
        [helper.make_tensor_value_info("scores", floats, ["t", "b", 2])],
        constants,
    )
    content: bytes = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 18)]
    ).SerializeToString()
    return content


def tried(path: Path, content: bytes, sequence: Any, **beside: Any) -> bool:
    """Whether a file was read; if not, in our words."""
    path.write_bytes(content)
    try:
        model = birnn.import_model(path, tell=lambda line: None, labels=LABELS, **beside)
        answer = model.predict([sequence])
    except BirnnError as error:
        text = str(error)
        assert text == escaped(text)
        assert "\n" not in text
        return False
    assert not model.spec.head.per_step or len(answer[0]) == len(sequence)
    return True


SERIES = np.ones((3, 3), np.float32)
FILES: dict[str, tuple[str, bytes, Any, dict[str, Any]]] = {
    "state dict": ("m.safetensors", state_dict(), "abc", {"task": "tagger", "vocabulary": ITEMS}),
    "weights": ("m.keras", weights(), SERIES, {}),
    "archive": ("m.keras", archive(json.dumps(CONFIG).encode(), weights()), SERIES, {}),
    "graph": ("m.onnx", graph(), SERIES, {}),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", FILES)
def test_damaged_bytes(name: str, count: int, tmp_path: Path) -> None:
    file, content, sequence, beside = FILES[name]
    path, config = tmp_path / file, json.dumps(CONFIG).encode()
    whole = archive(config, content) if name == "weights" else content
    assert tried(path, whole, sequence, **beside)
    refused = 0
    for number, damaged in enumerate(mutations(content, count, seed=1)):
        with limits(f"{name}, mutation {number}"):
            given = archive(config, damaged) if name == "weights" else damaged
            refused += not tried(path, given, sequence, **beside)
    assert refused > 0


@pytest.mark.parametrize("count", COUNTS)
def test_damaged_configs(count: int, tmp_path: Path) -> None:
    content = weights()
    for number, damaged in enumerate(value_mutations(CONFIG, count, seed=1)):
        with limits(f"mutation {number}"):
            tried(tmp_path / "m.keras", archive(json.dumps(damaged).encode(), content), SERIES)
