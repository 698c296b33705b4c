"""`BiRNN` from torch's own layers and their ``state_dict``, and back."""

# G gate rows, D inputs, H hidden units, W width of an output row

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from birnn.bundle.conventions import matching
from birnn.errors import ConversionError, UsageError, nearest
from birnn.nn.birnn import BiRNN
from birnn.reference.stack import GATES, CellName, Stack

# The layer of each cell, and its options.
LAYERS: dict[CellName, tuple[type[Any], dict[str, Any]]] = {
    "lstm": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
    "rnn_tanh": (nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
}
_NAME = re.compile(r"^(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?$")


def to_torch(encoder: BiRNN) -> nn.RNNBase:
    """The ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` that computes what a `BiRNN` does, ``batch_first``.

    It has copies of the parameters. On a padded batch without lengths, or a packed one, it answers
    as the `BiRNN` does; `ManualBiRNN` and `birnn.export` know stacks that no single layer is.

    Args:
        encoder: The network.

    Raises:
        ConversionError: Halves that are not concatenated, layers of different directions, or
            residual connections, which torch's layers do not have.
        UsageError: It is no `BiRNN`.

    Example:
        >>> import torch
        >>> encoder = BiRNN("gru", 3, 4, num_layers=2)
        >>> layer, x = to_torch(encoder), torch.randn(2, 5, 3)
        >>> torch.allclose(layer(x)[0], encoder(x).output, atol=1e-6)
        True
    """
    stack = checked_encoder(encoder).stack
    reasons = [
        (stack.bidirectional and stack.merge != "concat", f"merge={stack.merge!r}"),
        (stack.directions is not None, "layers of different directions"),
        (any(map(stack.adds_input, range(stack.num_layers))), "residual connections"),
    ]
    found = [what for there, what in reasons if there]
    if found:
        raise ConversionError(
            f"torch's {LAYERS[stack.cell][0].__name__} has no {' and no '.join(found)}. "
            "Use birnn.nn.ManualBiRNN, which is made of one-directional ones."
        )
    layer_of, options = LAYERS[stack.cell]
    like = next(encoder.parameters())
    layer: nn.RNNBase = layer_of(
        stack.input_size,
        stack.hidden_size,
        num_layers=stack.num_layers,
        bidirectional=stack.bidirectional,
        batch_first=True,
        dtype=like.dtype,
        device=like.device,
        **options,
    )
    layer.load_state_dict(encoder.state_dict())
    return layer


def checked_encoder(encoder: Any) -> BiRNN:
    """A `BiRNN`, once it is one.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(encoder, BiRNN):
        return encoder
    hint = ""
    if isinstance(encoder, nn.LSTM | nn.GRU | nn.RNN):
        hint = " of it: birnn.nn.from_torch(layer)"
    raise UsageError(f"encoder is a {type(encoder).__name__}. Give a birnn.nn.BiRNN{hint}.")


def from_torch(
    layer: nn.Module | Mapping[str, Tensor], *, prefix: str = "", nonlinearity: str = "tanh"
) -> BiRNN:
    """The `BiRNN` that computes what a layer of torch does.

    It has copies of the parameters, zeros for the biases of a layer without.

    Args:
        layer: ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``; or a ``state_dict`` that holds one.
        prefix: Of a ``state_dict``: what the names of the layer's tensors begin with, as in
            ``encoder.lstm.``.
        nonlinearity: Of a ``state_dict`` of an ``nn.RNN``, which does not hold it.

    Raises:
        ConversionError: A layer that birnn has no counterpart of, a missing tensor or direction, or
            shapes that disagree.
        UsageError: A nonlinearity that does not exist, or no layer at all.

    Example:
        >>> import torch
        >>> layer = nn.LSTM(3, 4, bidirectional=True, batch_first=True)
        >>> encoder, x = from_torch(layer), torch.randn(2, 5, 3)
        >>> torch.allclose(encoder(x).output, layer(x)[0], atol=1e-6)
        True
        >>> model = nn.ModuleDict({"rnn": layer})
        >>> from_torch(model.state_dict(), prefix="rnn.").stack == encoder.stack
        True
    """
    if isinstance(layer, nn.Module):
        kind = next((k for k in type(layer).__mro__ if k in (nn.LSTM, nn.GRU, nn.RNN)), type(layer))
        settings = {name: getattr(layer, name, None) for name in ("proj_size", "nonlinearity")}
        given = {name: value for name, value in settings.items() if value is not None}
        row = matching("torch", kind.__name__, given)
        if row.cell == "linear":
            raise ConversionError(f"{kind.__name__} is no recurrent layer. Give LSTM, GRU or RNN.")
        nonlinearity = row.cell.removeprefix("rnn_")
        layer = layer.state_dict()
    elif not isinstance(layer, Mapping):
        raise UsageError(f"layer is a {type(layer).__name__}. Give a layer, or a state_dict.")
    elif nonlinearity not in ("tanh", "relu"):
        raise UsageError(
            f"nonlinearity is {nonlinearity!r}: {nearest(nonlinearity, ['tanh', 'relu'])}"
        )
    held = {
        name.removeprefix(prefix): tensor
        for name, tensor in layer.items()
        if name.startswith(prefix) and _NAME.match(name.removeprefix(prefix))
    }
    stack = _stack(held, prefix, nonlinearity)
    example = held["weight_ih_l0"]
    encoder = BiRNN.from_stack(stack).to(example.device, example.dtype)
    state = {name: held.get(name, example.new_zeros(s)) for name, s in stack.shapes().items()}
    encoder.load_state_dict(state)
    return encoder


def _stack(held: Mapping[str, Tensor], prefix: str, nonlinearity: str) -> Stack:
    """The stack that tensors by torch's names are of."""
    where = f"the state_dict{f' at {prefix!r}' if prefix else ''}"
    if "weight_ih_l0" not in held or "weight_hh_l0" not in held:
        raise ConversionError(
            f"{where} has no weight_ih_l0 and weight_hh_l0. Give the prefix of an nn.LSTM, "
            "nn.GRU or nn.RNN."
        )
    if any(name.startswith("weight_hr") for name in held):
        raise ConversionError(f"{where} has weight_hr: birnn's LSTM has no projection (proj_size).")
    rows, hidden = held["weight_hh_l0"].shape
    cell = {GATES["lstm"]: "lstm", GATES["gru"]: "gru", 1: f"rnn_{nonlinearity}"}.get(
        rows // hidden if rows % hidden == 0 else 0
    )
    if cell is None:
        raise ConversionError(
            f"weight_hh_l0 of {where} is {(rows, hidden)}: an LSTM has 4, a GRU 3 and an RNN 1 "
            "times as many rows as columns."
        )
    layers = 1 + max(int(match[2]) for match in map(_NAME.match, held) if match)
    both = any(name.endswith("_reverse") for name in held)
    stack = Stack(
        cast("CellName", cell),
        held["weight_ih_l0"].shape[1],
        hidden,
        num_layers=layers,
        bidirectional=both,
    )
    biased = any(name.startswith("bias") for name in held)
    wanted = {name: shape for name, shape in stack.shapes().items() if biased or "weight" in name}
    missing = [name for name in wanted if name not in held]
    if missing:
        reverse = all(name.endswith("_reverse") for name in missing)
        what = "a reverse direction is not whole" if reverse else "it is not whole"
        raise ConversionError(f"{where}: {what}: there is no {', '.join(missing[:4])}.")
    wrong = [name for name, shape in wanted.items() if tuple(held[name].shape) != shape]
    if wrong:
        got = ", ".join(f"{n} {tuple(held[n].shape)} for {wanted[n]}" for n in wrong[:4])
        hint = ""
        if (
            not both
            and wrong[0].startswith("weight_ih_l")
            and held[wrong[0]].shape[1] == 2 * hidden
        ):
            hint = " A reverse direction is missing: the layer reads two halves."
        raise ConversionError(f"{where}: shapes disagree: {got}.{hint}")
    return stack
