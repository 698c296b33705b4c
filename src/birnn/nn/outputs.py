"""What layers take and give beside rows: states, halves, outputs of layers, steps of a decoder."""

# B sequences, S states of all layers and directions, H hidden units, W width out; of a decoder R
# rows of one step, K layers, C width of what is combined, V symbols

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from birnn.errors import ShapeError
from birnn.nn._engine.private_torch import autocasts
from birnn.reference.decoder_spec import DecoderSpec
from birnn.reference.stack import Stack


@dataclass(frozen=True, slots=True)
class State:
    """Hidden state, and the LSTM's cell state, (S, B, H): each layer's directions in turn."""

    h: Tensor
    c: Tensor | None = None

    @property
    def hx(self) -> Tensor | tuple[Tensor, Tensor]:
        """The same as ``torch.nn.LSTM``, ``GRU`` and ``RNN`` take and give it."""
        return self.h if self.c is None else (self.h, self.c)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """h, and c where there is one."""
        return (self.h,) if self.c is None else (self.h, self.c)


@dataclass(frozen=True, slots=True)
class BiRNNOutput:
    """What a `BiRNN` says of a batch.

    ``output``, ``forward`` and ``backward`` have the form that the input had.
    """

    output: Any  # merged rows of the last layer, W wide
    forward: Any  # its forward half, H wide
    backward: Any  # its backward half, H wide; None with one direction
    final: Tensor  # (B, W): merged states of both halves after the whole sequence
    state: State  # final states of all layers and directions, as torch returns them


@dataclass(frozen=True, slots=True)
class LayerOutput:
    """What one layer of a `BiRNN` says of a batch, each direction for itself.

    All but ``final`` have the form that the input had.
    """

    below: Any  # the rows that it read
    output: Any  # merged rows, W wide, with the residual connection where there is one
    forward: Any  # its forward half, H wide
    backward: Any  # its backward half, H wide; None with one direction
    final: tuple[Tensor, ...]  # final hidden state of each half, (B, H)


@dataclass(frozen=True, slots=True)
class DecoderState:
    """What a decoder hands from one step to the next.

    Args:
        layers: States of its recurrent layers, (K, R, H).
        fed: What the step before combined, (R, C); None without input feeding.
    """

    layers: State
    fed: Tensor | None = None

    def rows(self, which: Any) -> DecoderState:
        """The state of some of the rows, as a slice or a tensor of numbers names them."""
        layers = State(*(part[:, which] for part in self.layers.parts))
        return DecoderState(layers, None if self.fed is None else self.fed[which])


class DecoderStep(NamedTuple):
    """What one step gives.

    Args:
        logits: Scores of the symbols that may follow, (R, V).
        state: What the next step is to be given.
        weights: Attention weights, one for each row of the source of each of the R rows in turn;
            None where they were not asked for.
    """

    logits: Tensor
    state: DecoderState
    weights: Tensor | None


def initial_states(
    initial: State | None, stack: Stack, layers: int, sequences: int, like: Tensor
) -> tuple[Tensor, ...]:
    """The states that the first layers of a stack begin with, once they fit; none for zeros.

    Args:
        initial: What the caller gave.
        stack: Settings of the stack.
        layers: How many of its layers run.
        sequences: Sequences of the batch.
        like: A weight, whose dtype and device they must have.

    Raises:
        ShapeError: They do not fit.
    """
    if initial is None:
        return ()
    if not isinstance(initial, State):
        raise ShapeError(f"initial is a birnn.nn.State, got {type(initial).__name__}")
    shape = (stack.states_of(layers - 1).stop, sequences, stack.hidden_size)
    wants_c = stack.cell == "lstm"
    parts = initial.parts
    if len(parts) != 1 + wants_c:
        needs = "h and c" if wants_c else "h alone"
        raise ShapeError(f"the initial state of a {stack.cell} is {needs}")
    for name, part in zip("hc", parts, strict=False):
        if tuple(part.shape) != shape:
            raise ShapeError(f"initial {name} is {tuple(part.shape)}, expected {shape}")
        check_kind(f"initial {name}", part, like)
    return parts


def check_decoder_state(state: DecoderState, spec: DecoderSpec, rows: int, like: Tensor) -> None:
    """Refuse a state that a decoder's step cannot read.

    Args:
        state: What the caller gave.
        spec: Settings of the decoder.
        rows: Rows R of the step.
        like: A weight, whose dtype and device it must have.

    Raises:
        ShapeError: It does not fit.
    """
    if not isinstance(state, DecoderState):
        raise ShapeError(
            f"the state of a step is what start() or the step before gave, "
            f"got {type(state).__name__}"
        )
    initial_states(state.layers, spec.stack, spec.num_layers, rows, like)
    fed = None if state.fed is None else tuple(state.fed.shape)
    wanted = (rows, spec.combined_size) if spec.input_feeding else None
    if fed != wanted:
        raise ShapeError(f"what was fed to the step is {fed}, expected {wanted}")


def check_rows(rows: Tensor, axes: int, input_size: int, like: Tensor) -> None:
    """Refuse rows that a layer cannot read.

    Args:
        rows: The rows, after ``axes`` axes that count them.
        axes: 1 for (R, D), 2 for (B, T, D).
        input_size: Width D of a row.
        like: A weight, whose dtype and device they must have.

    Raises:
        ShapeError: They are of another width, dtype or device.
    """
    if tuple(rows.shape[axes:]) != (input_size,):
        raise ShapeError(f"rows are {input_size} wide, got {tuple(rows.shape[axes:])}")
    check_kind("rows", rows, like)


def check_kind(name: str, part: Tensor, like: Tensor) -> None:
    """Refuse numbers that do not go with the weights as they are."""
    if part.device != like.device:
        where = str(like.device)
        raise ShapeError(f"{name} on {part.device}, the weights on {where}. Give .to({where!r}).")
    # Autocast converts floating-point numbers to the weights' dtype.
    if part.dtype == like.dtype or (part.is_floating_point() and autocasts(part)):
        return
    other = f", or convert the module: .to({part.dtype})" if part.is_floating_point() else ""
    raise ShapeError(
        f"{name} of {part.dtype}, the weights of {like.dtype}. Give .to({like.dtype}){other}."
    )
