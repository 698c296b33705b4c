"""Layouts: coming back is exact, and each framework's own equations give the same states."""

# T steps, D inputs, H hidden units

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

import numpy as np
import pytest

from birnn.bundle.layouts import LAYOUTS, NAMES, direction
from birnn.reference.stack import CellName, Stack

Arrays = Mapping[str, np.ndarray]
T, D, H = 5, 3, 4
CELLS: tuple[CellName, ...] = get_args(CellName)
ACTIVATION = {"rnn_tanh": np.tanh, "rnn_relu": lambda x: np.maximum(x, 0.0)}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def random_parameters(cell: CellName, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = Stack(cell, D, H, bidirectional=False).shapes()
    return direction({name: random.standard_normal(s) for name, s in shapes.items()}, "l0")


# Each function is the framework's documented step, on the framework's arrays; h and c in and out.


def torch_step(cell: CellName, p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray):
    xs = p["weight_ih"] @ x + p["bias_ih"]
    hs = p["weight_hh"] @ h + p["bias_hh"]
    if cell == "lstm":
        i, f, g, o = np.split(xs + hs, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if cell == "gru":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(xs, 3), np.split(hs, 3)
        z = sigmoid(x_z + h_z)
        n = np.tanh(x_n + sigmoid(x_r + h_r) * h_n)
        return (1 - z) * n + z * h, c
    return ACTIVATION[cell](xs + hs), c


def keras_step(cell: CellName, p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray):
    kernel, recurrent, bias = p["kernel"], p["recurrent_kernel"], p["bias"]
    if cell == "lstm":
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if cell == "gru":
        x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3)
        h_z, h_r, h_h = np.split(h @ recurrent + bias[1], 3)
        z = sigmoid(x_z + h_z)
        return z * h + (1 - z) * np.tanh(x_h + sigmoid(x_r + h_r) * h_h), c
    return ACTIVATION[cell](x @ kernel + bias + h @ recurrent), c


def flax_step(cell: CellName, p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray):
    def dense(name: str, value: np.ndarray, bias: bool) -> np.ndarray:
        assert (f"{name}.bias" in p) == bias
        return value @ p[f"{name}.kernel"] + p.get(f"{name}.bias", 0.0)

    if cell == "lstm":
        i, f, g, o = (dense(f"i{k}", x, False) + dense(f"h{k}", h, True) for k in "ifgo")
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if cell == "gru":
        r = sigmoid(dense("ir", x, True) + dense("hr", h, False))
        z = sigmoid(dense("iz", x, True) + dense("hz", h, False))
        n = np.tanh(dense("in", x, True) + r * dense("hn", h, True))
        return (1 - z) * n + z * h, c
    return ACTIVATION[cell](dense("i", x, True) + dense("h", h, False)), c


def onnx_step(cell: CellName, p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray):
    w_bias, r_bias = np.split(p["B"], 2)
    xs, hs = x @ p["W"].T + w_bias, h @ p["R"].T + r_bias
    if cell == "lstm":
        i, o, f, g = np.split(xs + hs, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if cell == "gru":
        (x_z, x_r, x_h), (h_z, h_r, h_h) = np.split(xs, 3), np.split(hs, 3)
        z = sigmoid(x_z + h_z)
        return (1 - z) * np.tanh(x_h + sigmoid(x_r + h_r) * h_h) + z * h, c
    return ACTIVATION[cell](xs + hs), c


STEPS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "torch": torch_step,
    "keras": keras_step,
    "flax": flax_step,
    "onnx": onnx_step,
}


def states(framework: str, cell: CellName, arrays: Arrays) -> np.ndarray:
    x_TD = np.random.default_rng(7).standard_normal((T, D))
    h, c = np.full(H, 0.3), np.full(H, -0.2)
    seen = []
    for x in x_TD:
        h, c = STEPS[framework](cell, arrays, x, h, c)
        seen.append(np.concatenate([h, c]))
    return np.array(seen)


def test_every_layout_has_its_equations() -> None:
    assert set(STEPS) == set(LAYOUTS)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("framework", sorted(LAYOUTS))
def test_the_frameworks_equations_give_the_same_states(framework: str, cell: CellName) -> None:
    parameters = random_parameters(cell)
    arrays = LAYOUTS[framework].to(cell, parameters)
    np.testing.assert_allclose(
        states(framework, cell, arrays), states("torch", cell, parameters), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("framework", sorted(LAYOUTS))
def test_back_and_forth(framework: str, cell: CellName) -> None:
    layout = LAYOUTS[framework]
    parameters = random_parameters(cell)
    arrays = layout.to(cell, parameters)
    back = layout.back(cell, arrays)
    assert {name: back[name].shape for name in NAMES} == {
        name: parameters[name].shape for name in NAMES
    }
    np.testing.assert_array_equal(back["weight_ih"], parameters["weight_ih"])
    np.testing.assert_array_equal(back["weight_hh"], parameters["weight_hh"])
    np.testing.assert_allclose(
        back["bias_ih"] + back["bias_hh"],
        parameters["bias_ih"] + parameters["bias_hh"],
        rtol=0,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        states("torch", cell, back), states("torch", cell, parameters), rtol=0, atol=1e-12
    )
    again = layout.to(cell, back)
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
