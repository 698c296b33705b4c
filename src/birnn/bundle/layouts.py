"""Gate orders and bias conventions of the frameworks, both ways, for one direction of one layer.

|       | LSTM  | GRU   | matrices                    | biases                                    |
|-------|-------|-------|-----------------------------|-------------------------------------------|
| torch | ifgo  | rzn   | (G, D), (G, H)              | two vectors (G,)                          |
| keras | ifco  | zrh   | (D, G), (H, G)              | one (G,); GRU (2, G), reset_after=True    |
| flax  | apart | apart | (D, H), (H, H) for one gate | LSTM in h*, RNN in i; GRU in ir iz in, hn |
| onnx  | iofc  | zrh   | (G, D), (G, H)              | one (2G,); GRU linear_before_reset=1      |

Where a framework has one bias for torch's two, the two are added; coming back one of the two is
zero: the function is the same. A GRU's candidate keeps its two, as its recurrent one is inside
r * (...).

Sources: ``keras.layers.LSTM``, ``GRU``, ``SimpleRNN`` (Keras 3); ``flax.linen.LSTMCell``,
``GRUCell``, ``SimpleCell``; ONNX operators LSTM-14, GRU-14, RNN-14 (without the leading axis of
directions).
"""

# D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from birnn.reference.stack import GATES, CellName

Arrays = dict[str, np.ndarray]

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

# Gates in torch's order, by torch's letters; the candidate is g in an LSTM and n in a GRU.
TORCH: dict[CellName, str] = {"lstm": "ifgo", "gru": "rzn", "rnn_tanh": "n", "rnn_relu": "n"}
KERAS: dict[CellName, str] = {"lstm": "ifgo", "gru": "zrn", "rnn_tanh": "n", "rnn_relu": "n"}
ONNX: dict[CellName, str] = {"lstm": "iofg", "gru": "zrn", "rnn_tanh": "n", "rnn_relu": "n"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A framework's layout of one direction.

    Args:
        to: From birnn's (torch's) four arrays to the framework's, by the framework's names.
        back: From the framework's arrays to birnn's four.
    """

    to: Callable[[CellName, Mapping[str, np.ndarray]], Arrays]
    back: Callable[[CellName, Mapping[str, np.ndarray]], Arrays]


def direction(parameters: Mapping[str, np.ndarray], ending: str) -> Arrays:
    """The four arrays of one direction of one layer, without its ending.

    Args:
        parameters: Parameters by torch's names.
        ending: ``l0``, ``l0_reverse``, ``l1`` and so on.

    Example:
        >>> parameters = {f"{name}_l0": np.zeros(1) for name in NAMES}
        >>> sorted(direction(parameters, "l0"))
        ['bias_hh', 'bias_ih', 'weight_hh', 'weight_ih']
    """
    return {name: parameters[f"{name}_{ending}"] for name in NAMES}


def reorder(array: np.ndarray, source: str, target: str) -> np.ndarray:
    """Blocks of equal size along the first axis, from one order of gates to another.

    Example:
        >>> reorder(np.array([1, 2, 3, 4]), "ifgo", "iofg").tolist()
        [1, 4, 2, 3]
    """
    blocks = dict(zip(source, np.split(array, len(source)), strict=True))
    return np.concatenate([blocks[gate] for gate in target])


# ---------------------------------------------------------------------- torch


def to_torch(cell: CellName, parameters: Mapping[str, np.ndarray]) -> Arrays:
    """To ``torch.nn``: the same arrays, birnn's layout is torch's."""
    del cell
    return {name: parameters[name] for name in NAMES}


# ---------------------------------------------------------------------- Keras


def to_keras(cell: CellName, parameters: Mapping[str, np.ndarray]) -> Arrays:
    """To Keras: ``kernel`` (D, G), ``recurrent_kernel`` (H, G), ``bias`` (G,) or, GRU, (2, G).

    Example:
        >>> sizes = {"weight_ih": (6, 5), "weight_hh": (6, 2), "bias_ih": (6,), "bias_hh": (6,)}
        >>> arrays = to_keras("gru", {name: np.zeros(size) for name, size in sizes.items()})
        >>> {name: array.shape for name, array in arrays.items()}
        {'kernel': (5, 6), 'recurrent_kernel': (2, 6), 'bias': (2, 6)}
    """
    weight_ih, weight_hh, bias_ih, bias_hh = (
        reorder(parameters[name], TORCH[cell], KERAS[cell]) for name in NAMES
    )
    bias = np.stack([bias_ih, bias_hh]) if cell == "gru" else bias_ih + bias_hh
    return {"kernel": weight_ih.T, "recurrent_kernel": weight_hh.T, "bias": bias}


def from_keras(cell: CellName, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """From Keras; the inverse of `to_keras` up to how one bias is shared between two."""
    bias = arrays["bias"]
    bias_ih, bias_hh = bias if cell == "gru" else (bias, np.zeros_like(bias))
    values = (arrays["kernel"].T, arrays["recurrent_kernel"].T, bias_ih, bias_hh)
    return {
        name: reorder(value, KERAS[cell], TORCH[cell])
        for name, value in zip(NAMES, values, strict=True)
    }


# ---------------------------------------------------------------------- ONNX


def to_onnx(cell: CellName, parameters: Mapping[str, np.ndarray]) -> Arrays:
    """To ONNX: ``W`` (G, D), ``R`` (G, H), ``B`` (2G,); a GRU needs linear_before_reset=1.

    Example:
        >>> sizes = {"weight_ih": (8, 5), "weight_hh": (8, 2), "bias_ih": (8,), "bias_hh": (8,)}
        >>> arrays = to_onnx("lstm", {name: np.zeros(size) for name, size in sizes.items()})
        >>> {name: array.shape for name, array in arrays.items()}
        {'W': (8, 5), 'R': (8, 2), 'B': (16,)}
    """
    weight_ih, weight_hh, bias_ih, bias_hh = (
        reorder(parameters[name], TORCH[cell], ONNX[cell]) for name in NAMES
    )
    return {"W": weight_ih, "R": weight_hh, "B": np.concatenate([bias_ih, bias_hh])}


def from_onnx(cell: CellName, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """From ONNX; the exact inverse of `to_onnx`."""
    values = (arrays["W"], arrays["R"], *np.split(arrays["B"], 2))
    return {
        name: reorder(value, ONNX[cell], TORCH[cell])
        for name, value in zip(NAMES, values, strict=True)
    }


# ---------------------------------------------------------------------- Flax


def to_flax(cell: CellName, parameters: Mapping[str, np.ndarray]) -> Arrays:
    """To Flax: ``i{gate}.kernel`` (D, H), ``h{gate}.kernel`` (H, H), a ``bias`` where it has one.

    Example:
        >>> sizes = {"weight_ih": (6, 5), "weight_hh": (6, 2), "bias_ih": (6,), "bias_hh": (6,)}
        >>> arrays = to_flax("gru", {name: np.zeros(size) for name, size in sizes.items()})
        >>> [name for name in arrays if name.endswith("bias")]
        ['ir.bias', 'iz.bias', 'in.bias', 'hn.bias']
    """
    blocks = {name: np.split(parameters[name], GATES[cell]) for name in NAMES}
    arrays: Arrays = {}
    for k, gate in enumerate(_flax_gates(cell)):
        arrays[f"i{gate}.kernel"] = blocks["weight_ih"][k].T
        arrays[f"h{gate}.kernel"] = blocks["weight_hh"][k].T
        if cell == "gru" and gate == "n":
            arrays["in.bias"], arrays["hn.bias"] = blocks["bias_ih"][k], blocks["bias_hh"][k]
        else:
            arrays[f"{_flax_bias(cell)}{gate}.bias"] = blocks["bias_ih"][k] + blocks["bias_hh"][k]
    return arrays


def from_flax(cell: CellName, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """From Flax; the inverse of `to_flax` up to how one bias is shared between two."""
    gates = _flax_gates(cell)
    zero = np.zeros_like(arrays[f"{_flax_bias(cell)}{gates[0]}.bias"])
    return {
        "weight_ih": np.concatenate([arrays[f"i{gate}.kernel"].T for gate in gates]),
        "weight_hh": np.concatenate([arrays[f"h{gate}.kernel"].T for gate in gates]),
        "bias_ih": np.concatenate([arrays.get(f"i{gate}.bias", zero) for gate in gates]),
        "bias_hh": np.concatenate([arrays.get(f"h{gate}.bias", zero) for gate in gates]),
    }


def _flax_gates(cell: CellName) -> tuple[str, ...]:
    """Flax's letters in torch's order; a plain RNN's layers are called i and h, without one."""
    return tuple(TORCH[cell]) if cell in {"lstm", "gru"} else ("",)


def _flax_bias(cell: CellName) -> str:
    """The one of a gate's two layers that has the bias."""
    return "h" if cell == "lstm" else "i"


LAYOUTS: dict[str, Layout] = {
    "torch": Layout(to=to_torch, back=to_torch),
    "keras": Layout(to=to_keras, back=from_keras),
    "flax": Layout(to=to_flax, back=from_flax),
    "onnx": Layout(to=to_onnx, back=from_onnx),
}
