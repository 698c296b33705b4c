"""The bridge between a bidirectional encoder and its decoder: final states to initial states."""

# B sequences, S states of all layers and directions, K layers of the decoder, H hidden units

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from birnn.errors import ConfigError, ShapeError
from birnn.nn._engine.linear_ops import linear
from birnn.nn.birnn import MERGES, BiRNN
from birnn.nn.outputs import State, check_kind
from birnn.reference.bridge import BridgeName, BridgeSpec
from birnn.reference.stack import CellName, Stack


class Bridge(nn.Module):
    """Makes a decoder's initial states of a bidirectional encoder's final states.

    ``concat`` puts both halves of a layer side by side, for a decoder twice as wide; ``sum`` and
    ``mean`` are for one of the encoder's width; ``project`` is tanh of a learned projection of
    both, for any width, depth and cell; ``none`` gives zeros. `BridgeSpec` has the rules.

    It also takes and gives states as ``torch.nn.LSTM``, ``GRU`` and ``RNN`` have them, whose
    layers and directions stand on one axis: forward and backward of the first layer, then of the
    second, and so on. That axis is why a ``view`` or a ``cat`` of its halves is so often wrong.

    Args:
        encoder: Settings of the encoder; or the `BiRNN` or the layer of torch that it is, which is
            read for its sizes alone.
        decoder: Likewise of the decoder, which has one direction.
        kind: ``concat``, ``sum``, ``mean``, ``project`` or ``none``.

    Raises:
        ConfigError: A kind that does not exist, or one that has no rule for these two; layers that
            are none, or with a projection.
        DirectionError: The decoder has two directions.

    Example:
        The final states of torch's own bidirectional LSTM, for a decoder twice as wide:

        >>> encoder = nn.LSTM(5, 8, num_layers=2, bidirectional=True, batch_first=True)
        >>> decoder = nn.LSTM(3, 16, num_layers=2, batch_first=True)
        >>> bridge = Bridge(encoder, decoder, "concat")
        >>> _, final = encoder(torch.randn(4, 7, 5))
        >>> output, _ = decoder(torch.randn(4, 6, 3), bridge(final))
        >>> tuple(output.shape)
        (4, 6, 16)
    """

    def __init__(
        self,
        encoder: Stack | BiRNN | nn.RNNBase,
        decoder: Stack | BiRNN | nn.RNNBase,
        kind: BridgeName = "concat",
    ) -> None:
        super().__init__()
        self.spec = BridgeSpec(_stack(encoder), _stack(decoder), kind)
        for name, (inputs, outputs) in self.spec.linear_layers().items():
            self.add_module(name, nn.Linear(inputs, outputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot-uniform weights, biases 0."""
        for layer in self.children():
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, final: Any) -> Any:
        """The states that the decoder begins with.

        Args:
            final: Final states of the encoder, (S, B, H of the encoder): ``state`` of what a
                `BiRNN` gives; or as torch's layers give them, (h, c) of an LSTM, else h.

        Returns:
            (K, B, H of the decoder), a `State` for a `State`; else as torch's layers take them:
            (h, c) of an LSTM, else h.

        Raises:
            ShapeError: States that are not the encoder's.
        """
        state = final if isinstance(final, State) else _state(final)
        initial = self._bridged(state)
        return initial if isinstance(final, State) else initial.hx

    def _bridged(self, state: State) -> State:
        spec = self.spec
        parts = dict(zip("hc", state.parts, strict=False))
        spec.check_states({name: tuple(part.shape) for name, part in parts.items()})
        for layer in self.children():
            assert isinstance(layer, nn.Linear)
            for name, part in parts.items():
                check_kind(f"final {name}", part, layer.weight)
            break
        if spec.kind == "none":
            shape = (spec.decoder.num_layers, state.h.shape[1], spec.decoder.hidden_size)
            return State(*(state.h.new_zeros(shape) for _ in spec.parts))
        return State(
            *(
                torch.stack(
                    [
                        self._of_layer(f"{part}_l{k}", parts[source][spec.encoder.states_of(at)])
                        for k, at in enumerate(spec.encoder_layers)
                    ]
                )
                for part, source in spec.parts.items()
            )
        )

    def _of_layer(self, name: str, halves: Tensor) -> Tensor:
        """One part of the state of one layer of the decoder, (B, H), of one or two halves."""
        each = halves.unbind()
        if self.spec.kind == "project":
            layer: nn.Linear = getattr(self, name)
            return linear(torch.cat(each, dim=1), layer.weight, layer.bias).tanh()
        if len(each) == 1:
            return each[0]
        assert self.spec.kind != "none"
        return MERGES[self.spec.kind](each[0], each[1])

    def extra_repr(self) -> str:
        """The kind."""
        return self.spec.kind


def _stack(layers: Any) -> Stack:
    """The settings of layers."""
    if isinstance(layers, Stack):
        return layers
    if isinstance(layers, BiRNN):
        return layers.stack
    if not isinstance(layers, nn.RNNBase):
        raise ConfigError(
            f"a bridge is between recurrent layers, got {type(layers).__name__}. Give a Stack, a "
            "BiRNN, or a layer of torch."
        )
    if layers.proj_size:
        raise ConfigError(
            f"the LSTM projects h to {layers.proj_size} units, and c has {layers.hidden_size}: no "
            "bridge has a rule for that. Leave proj_size out."
        )
    return Stack(
        cast("CellName", layers.mode.lower()),
        layers.input_size,
        layers.hidden_size,
        num_layers=layers.num_layers,
        bidirectional=layers.bidirectional,
    )


def _state(final: Any) -> State:
    """States as torch's layers give them, as a `State`."""
    parts = tuple(final) if isinstance(final, tuple | list) else (final,)
    if not 1 <= len(parts) <= 2 or not all(isinstance(part, Tensor) for part in parts):
        got = ", ".join(type(part).__name__ for part in parts)
        raise ShapeError(
            f"final states are a State, or h or (h, c) as torch's layers give them, got {got}"
        )
    return State(*parts)
