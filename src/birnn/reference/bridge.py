"""The bridge: from an encoder's final states to the states that a decoder begins with.

```
concat    s = [f; b]                    sum    s = f + b
mean      s = (f + b) / 2               project  s = tanh(W [f; b] + bias)
none      s = 0
```

f and b are the final states of the two halves of one encoder layer, and s the initial state of one
decoder layer; an LSTM's h and c are bridged each for itself. A layer of one direction has f alone,
which is what `concat`, `sum` and `mean` then give.
"""

# B sequences, S states of all layers and directions, K layers of the decoder, H hidden units

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from birnn.errors import ConfigError, DirectionError, ShapeError, nearest
from birnn.reference.bidirectional import Gradients, Parameters, StackState
from birnn.reference.cells import Array
from birnn.reference.merge import MERGES
from birnn.reference.stack import Stack

BridgeName = Literal["concat", "sum", "mean", "project", "none"]
BRIDGES: tuple[BridgeName, ...] = get_args(BridgeName)
Layers = Mapping[str, Callable[[Array], Array]]
"""Linear layers by name: from rows (B, I) to rows (B, H)."""


@dataclass(frozen=True, slots=True)
class BridgeSpec:
    """Settings of a bridge, and the rules that follow from them.

    | of the decoder | rule |
    |---|---|
    | as many layers as the encoder | layer k begins with the final states of the encoder's layer k |
    | fewer | its layers begin with the encoder's last ones |
    | more | `project`: the layers beyond begin with the encoder's last one; `none` |
    | hidden size | `concat`: that of the encoder's layer, times its directions; `sum`, `mean`: that of the encoder; `project`, `none`: any |
    | RNN or GRU, the encoder an LSTM | h is passed, c is left out |
    | LSTM, the encoder none | `project`: c has a projection of its own, from h; `none` |

    Args:
        encoder: The stack whose final states are read; layers of one direction or two.
        decoder: The stack that begins with what the bridge gives; of one direction.
        kind: ``concat``, ``sum``, ``mean``, ``project`` or ``none``.

    Raises:
        ConfigError: A kind that does not exist, or one that has no rule for these two.
        DirectionError: The decoder has two directions.

    Example:
        >>> encoder = Stack("lstm", 10, 4, num_layers=2)
        >>> decoder = Stack("gru", 6, 8, bidirectional=False)
        >>> BridgeSpec(encoder, decoder, "concat").encoder_layers
        (1,)
        >>> BridgeSpec(encoder, decoder, "project").shapes()
        {'h_l0.weight': (8, 8), 'h_l0.bias': (8,)}
    """  # noqa: E501 - a table

    encoder: Stack
    decoder: Stack
    kind: BridgeName

    def __post_init__(self) -> None:
        if self.kind not in BRIDGES:
            raise ConfigError(f"bridge is {self.kind!r}: {nearest(str(self.kind), BRIDGES)}")
        check_decoder(self.decoder)
        if self.kind in ("project", "none"):
            return
        reason = self._misfit()
        if reason:
            raise ConfigError(f"bridge is {self.kind}: {reason} Use bridge project or none.")

    def _misfit(self) -> str:
        """Why halves cannot be passed as they are, and what would fit; nothing where they can."""
        encoder, decoder = self.encoder, self.decoder
        if decoder.num_layers > encoder.num_layers:
            return (
                f"the decoder has {decoder.num_layers} layers and the encoder "
                f"{encoder.num_layers}, which leaves layers without a state of their own. "
                f"Give the decoder at most {encoder.num_layers}."
            )
        if decoder.cell == "lstm" != encoder.cell:
            return (
                f"the decoder is an LSTM and the encoder ({encoder.cell}) has no memory cells to "
                "begin with. Give both the same cell."
            )
        for layer in range(decoder.num_layers):
            directions = encoder.directions_of(self.encoder_layers[layer])
            wanted = encoder.hidden_size * (directions if self.kind == "concat" else 1)
            if decoder.hidden_size != wanted:
                halves = "two halves" if directions == 2 else "one half"
                return (
                    f"layer {layer} of the decoder begins with {halves} of "
                    f"{encoder.hidden_size} units, which make {wanted}, and has "
                    f"{decoder.hidden_size}. Set the decoder's hidden_size to {wanted}."
                )
        return ""

    @property
    def encoder_layers(self) -> tuple[int, ...]:
        """Layer of the encoder that each layer of the decoder begins with, (K,).

        Example:
            >>> spec = BridgeSpec(Stack("gru", 1, 2, num_layers=2),
            ...                   Stack("gru", 1, 2, num_layers=3, bidirectional=False), "project")
            >>> spec.encoder_layers
            (0, 1, 1)
        """
        first = max(0, self.encoder.num_layers - self.decoder.num_layers)
        last = self.encoder.num_layers - 1
        return tuple(min(first + k, last) for k in range(self.decoder.num_layers))

    @property
    def parts(self) -> dict[str, str]:
        """Part of the encoder's states that each part of the decoder's is made of: h, c.

        Example:
            >>> decoder = Stack("lstm", 1, 2, bidirectional=False)
            >>> BridgeSpec(Stack("gru", 1, 2), decoder, "project").parts
            {'h': 'h', 'c': 'h'}
        """
        if self.decoder.cell != "lstm":
            return {"h": "h"}
        return {"h": "h", "c": "c" if self.encoder.cell == "lstm" else "h"}

    def input_size(self, layer: int) -> int:
        """Units of both halves that a layer of the decoder begins with."""
        return self.encoder.directions_of(self.encoder_layers[layer]) * self.encoder.hidden_size

    def linear_layers(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of each linear layer by its name; of ``project`` alone."""
        if self.kind != "project":
            return {}
        return {
            f"{part}_l{k}": (self.input_size(k), self.decoder.hidden_size)
            for k in range(self.decoder.num_layers)
            for part in self.parts
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, (inputs, outputs) in self.linear_layers().items():
            shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
        return shapes

    def check_states(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse final states that are not the encoder's.

        Args:
            shapes: Shapes of h, and of c where there is one.

        Raises:
            ShapeError: They do not fit.
        """
        needs = ("h", "c") if self.encoder.cell == "lstm" else ("h",)
        if tuple(shapes) != needs:
            raise ShapeError(
                f"the final states of a {self.encoder.cell} encoder are {' and '.join(needs)}, "
                f"got {' and '.join(shapes)}"
            )
        count, hidden = self.encoder.state_count, self.encoder.hidden_size
        sequences = shapes["h"][1] if len(shapes["h"]) == 3 else "B"
        for name, shape in shapes.items():
            if shape != (count, sequences, hidden):
                raise ShapeError(
                    f"final {name} is {shape}, of this encoder it is ({count}, {sequences}, "
                    f"{hidden}): its {count} layers and directions, sequences, hidden units"
                )


def check_decoder(decoder: Stack) -> None:
    """Refuse a decoder of two directions.

    Raises:
        DirectionError: It has two, in some layer.

    Example:
        >>> check_decoder(Stack("gru", 3, 4))
        Traceback (most recent call last):
        ...
        birnn.errors.DirectionError: a decoder needs one direction, this model has two: the backward
        half's state at step t has read steps t+1 to the last, which are the answer in training and
        do not exist yet in use. Use bidirectional=False for the decoder; its encoder may read both
        ways.
    """
    if decoder.bidirectional:
        raise DirectionError.of(
            "a decoder",
            unread="are the answer in training and do not exist yet in use",
            instead="bidirectional=False for the decoder; its encoder may read both ways",
            layers=decoder.mixed_layers,
        )


def linear_layers(parameters: Parameters) -> Layers:
    """The linear layers of a bridge's parameters, by name."""

    def layer(name: str) -> Callable[[Array], Array]:
        weight_HI, bias_H = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        return lambda rows_BI: np.asarray(rows_BI @ weight_HI.T + bias_H)

    names = [name.removesuffix(".weight") for name in parameters if name.endswith(".weight")]
    return {name: layer(name) for name in names}


def initial_state(spec: BridgeSpec, layers: Layers, final: StackState) -> StackState:
    """The states that the decoder begins with.

    Args:
        spec: Settings of the bridge.
        layers: Its linear layers: `linear_layers` of its parameters, or an engine's.
        final: Final states of the encoder, (S, B, H of the encoder).

    Returns:
        (K, B, H of the decoder).

    Raises:
        ShapeError: States that are not the encoder's.

    Source:
        Bahdanau et al. 2015, appendix A.2.2, projects the backward half's state alone;
        Britz et al. 2017, Massive Exploration of Neural Machine Translation Architectures,
        section 4.5, compares bridges.

    Example:
        >>> spec = BridgeSpec(Stack("gru", 1, 1), Stack("gru", 1, 2, bidirectional=False), "concat")
        >>> initial_state(spec, {}, StackState(np.array([[[0.25]], [[0.5]]]))).h.tolist()
        [[[0.25, 0.5]]]
    """
    spec.check_states(_shapes(final))
    sequences = final.h.shape[1]
    if spec.kind == "none":
        return StackState.zeros(spec.decoder, sequences, final.h.dtype)
    states = [
        np.stack([_bridged(spec, layers, part, k, halves) for k, halves in enumerate(whole)])
        for part, whole in _halves(spec, final).items()
    ]
    return StackState(*states)


def _bridged(spec: BridgeSpec, layers: Layers, part: str, layer: int, halves: list[Array]) -> Array:
    """One part of the state that one layer of the decoder begins with, (B, H)."""
    if spec.kind == "project":
        return np.asarray(np.tanh(layers[f"{part}_l{layer}"](np.concatenate(halves, axis=1))))
    if len(halves) == 1:
        return halves[0]
    assert spec.kind != "none"
    return MERGES[spec.kind].forward(halves[0], halves[1], None)


def gradients(
    spec: BridgeSpec, parameters: Parameters, final: StackState, d_initial: StackState
) -> tuple[StackState, Gradients]:
    """Backward of `initial_state`.

    Args:
        spec: Settings of the bridge.
        parameters: Arrays by the names of ``spec.shapes()``.
        final: Final states of the encoder, (S, B, H of the encoder).
        d_initial: Gradient of a loss with respect to what `initial_state` gave.

    Returns:
        The loss's gradients with respect to the final states and each parameter by its name.
    """
    d_final = StackState(*(np.zeros_like(part) for part in final.parts))
    d_parts = dict(zip("hc", d_final.parts, strict=False))
    d_parameters: Gradients = {}
    if spec.kind == "none":
        return d_final, d_parameters
    initial = initial_state(spec, linear_layers(parameters), final)
    whole = _halves(spec, final)
    for part, s_KBH, d_KBH in zip(spec.parts, initial.parts, d_initial.parts, strict=True):
        for k, source in enumerate(spec.encoder_layers):
            halves, d_BH = whole[part][k], d_KBH[k]
            d_halves: tuple[Array, ...] = (d_BH,)
            if spec.kind == "project":
                d_sum_BH = d_BH * (1 - s_KBH[k] * s_KBH[k])
                name = f"{part}_l{k}"
                d_parameters[f"{name}.weight"] = d_sum_BH.T @ np.concatenate(halves, axis=1)
                d_parameters[f"{name}.bias"] = d_sum_BH.sum(axis=0)
                d_beside_BI = d_sum_BH @ parameters[f"{name}.weight"]
                d_halves = tuple(np.split(d_beside_BI, len(halves), axis=1))
            elif len(halves) == 2:
                d_halves = MERGES[spec.kind].backward(d_BH, halves[0], halves[1], None)[:2]
            # Several layers of the decoder may begin with one of the encoder.
            for at, d_half_BH in enumerate(d_halves, spec.encoder.states_of(source).start):
                d_parts[spec.parts[part]][at] += d_half_BH
    return d_final, {name: d_parameters[name] for name in spec.shapes()}


def _halves(spec: BridgeSpec, final: StackState) -> dict[str, list[list[Array]]]:
    """Of each part of the decoder's state, the halves that each of its layers begins with."""
    parts = dict(zip("hc", final.parts, strict=False))
    return {
        part: [list(parts[source][spec.encoder.states_of(k)]) for k in spec.encoder_layers]
        for part, source in spec.parts.items()
    }


def _shapes(state: StackState) -> dict[str, tuple[int, ...]]:
    return {name: part.shape for name, part in zip("hc", state.parts, strict=False)}
