"""The bridge between a bidirectional encoder and its decoder: final states to initial states."""

# B sequences, S states of all layers and directions, K layers of the decoder, H hidden units

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from birnn.errors import ShapeError
from birnn.nn._engine.linear_ops import linear
from birnn.nn.birnn import MERGES
from birnn.nn.outputs import State, check_kind
from birnn.reference.bridge import BridgeName, BridgeSpec
from birnn.reference.stack import Stack


class Bridge(nn.Module):
    """Makes a decoder's initial states of a bidirectional encoder's final states.

    ``concat`` puts both halves of a layer side by side, for a decoder twice as wide; ``sum`` and
    ``mean`` are for one of the encoder's width; ``project`` is tanh of a learned projection of
    both, for any width, depth and cell; ``none`` gives zeros. `BridgeSpec` has the rules.

    It also takes and gives states as ``torch.nn.LSTM``, ``GRU`` and ``RNN`` have them, whose
    layers and directions stand on one axis: forward and backward of the first layer, then of the
    second, and so on. That axis is why a ``view`` or a ``cat`` of its halves is so often wrong.

    Args:
        encoder: Settings of the encoder: `BiRNN.stack`, or a `Stack` of what torch's layer is.
        decoder: Settings of the decoder, of one direction.
        kind: ``concat``, ``sum``, ``mean``, ``project`` or ``none``.

    Raises:
        ConfigError: A kind that does not exist, or one that has no rule for these two.
        DirectionError: The decoder has two directions.

    Example:
        The final states of torch's own bidirectional LSTM, for a decoder twice as wide:

        >>> encoder = nn.LSTM(5, 8, num_layers=2, bidirectional=True, batch_first=True)
        >>> decoder = nn.LSTM(3, 16, num_layers=2, batch_first=True)
        >>> bridge = Bridge(
        ...     Stack("lstm", 5, 8, num_layers=2),
        ...     Stack("lstm", 3, 16, num_layers=2, bidirectional=False),
        ...     "concat",
        ... )
        >>> _, final = encoder(torch.randn(4, 7, 5))
        >>> output, _ = decoder(torch.randn(4, 6, 3), bridge(final))
        >>> tuple(output.shape)
        (4, 6, 16)
    """

    def __init__(self, encoder: Stack, decoder: Stack, kind: BridgeName = "concat") -> None:
        super().__init__()
        self.spec = BridgeSpec(encoder, decoder, kind)
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
                        for k, at in enumerate(spec.source_layers)
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


def _state(final: Any) -> State:
    """States as torch's layers give them, as a `State`."""
    parts = tuple(final) if isinstance(final, tuple | list) else (final,)
    if not 1 <= len(parts) <= 2 or not all(isinstance(part, Tensor) for part in parts):
        got = ", ".join(type(part).__name__ for part in parts)
        raise ShapeError(
            f"final states are a State, or h or (h, c) as torch's layers give them, got {got}"
        )
    return State(*parts)
