"""The settings of an attention decoder, and the shapes that follow from them.

Parameters of its recurrent layers carry torch's names behind ``decoder.``; the others are those of
its parts: ``embedding``, ``attention``, ``combine`` and ``linear``.
"""

# D width of a symbol's vector, H hidden units, C width of what is combined, W width of an encoder's
# row, V symbols

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from birnn.errors import ConfigError, nearest
from birnn.reference import attention
from birnn.reference.bridge import check_decoder
from birnn.reference.stack import CellName, Stack

AttentionName = Literal["additive", "dot", "general", "none"]
BOUNDARY = 0  # number of the symbol that begins and ends every target


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """Settings of an attention decoder, and the shapes that follow from them.

    Args:
        size: Number V of target symbols, the boundary symbol among them.
        dim: Width D of a symbol's vector.
        hidden_size: Hidden units H.
        memory_size: Width W of an encoder's row; None with ``attention="none"``.
        cell: ``rnn_tanh``, ``rnn_relu``, ``lstm`` or ``gru``.
        num_layers: Recurrent layers.
        attention: ``additive``, ``dot``, ``general`` or ``none``.
        attention_size: Hidden units of additive attention; None for ``hidden_size``.
        input_feeding: Whether each step also reads what the step before combined.
        tied: Whether the scores' weights are the symbols' vectors; what is combined is then D
            wide, else H.
        bidirectional: A decoder has one direction; two are refused with the reason.

    Raises:
        ConfigError: A setting that does not exist, is out of range or contradicts another.
        DirectionError: ``bidirectional``.

    Source:
        Luong et al. 2015, Effective Approaches to Attention-based Neural Machine Translation,
        sections 3 and 3.3; tied embeddings: Press & Wolf 2017.

    Example:
        >>> spec = DecoderSpec(30, 8, 16, 12, cell="gru", attention="general")
        >>> spec.shapes()["combine.weight"], spec.shapes()["linear.weight"]
        ((16, 28), (30, 16))
        >>> DecoderSpec(30, 8, 16, 12, bidirectional=True)
        Traceback (most recent call last):
        ...
        birnn.errors.DirectionError: a decoder needs one direction, ...
    """

    size: int
    dim: int
    hidden_size: int
    memory_size: int | None = None
    cell: CellName = "lstm"
    num_layers: int = 1
    attention: AttentionName = "general"
    attention_size: int | None = None
    input_feeding: bool = False
    tied: bool = False
    bidirectional: bool = False

    def __post_init__(self) -> None:
        for name in ("size", "dim"):
            number = getattr(self, name)
            if not isinstance(number, int) or number < 1:
                raise ConfigError(f"{name} is {number!r}, it must be a whole number from 1 on")
        known = (*attention.KINDS, "none")
        if self.attention not in known:
            got = str(self.attention)
            raise ConfigError(f"attention is {got!r}: {nearest(got, known)}")
        if self.attention == "none" and self.attention_size is not None:
            raise ConfigError("attention is none, and attention_size is set: leave it out")
        if self.attention != "none" and self.memory_size is None:
            raise ConfigError(
                f"attention is {self.attention}: set memory_size to the width of an encoder's row, "
                "or attention to none"
            )
        self.attention_shapes()
        check_decoder(self.stack)

    @property
    def stack(self) -> Stack:
        """The recurrent layers."""
        width = self.dim + (self.combined_size if self.input_feeding else 0)
        return Stack(
            self.cell,
            width,
            self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
        )

    @property
    def context_size(self) -> int:
        """Width of a context: W, and 0 without attention."""
        return 0 if self.attention == "none" else self.memory_size or 0

    @property
    def combined_size(self) -> int:
        """Width C of what is combined of context and hidden state."""
        return self.dim if self.tied else self.hidden_size

    @property
    def attention_units(self) -> int | None:
        """Hidden units of additive attention; the other kinds have none."""
        return self.attention_size or (self.hidden_size if self.attention == "additive" else None)

    @property
    def output_weight(self) -> str:
        """Name of the weight that makes scores."""
        return "embedding.weight" if self.tied else "linear.weight"

    def attention_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter of the attention; none without."""
        if self.attention == "none":
            return {}
        sizes = self.hidden_size, self.context_size, self.attention_units
        return attention.shapes(self.attention, *sizes)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter."""
        combined = self.combined_size
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (self.size, self.dim)}
        for room, own in (("decoder", self.stack.shapes()), ("attention", self.attention_shapes())):
            shapes |= {f"{room}.{name}": shape for name, shape in own.items()}
        shapes["combine.weight"] = (combined, self.context_size + self.hidden_size)
        shapes["combine.bias"] = (combined,)
        shapes[self.output_weight] = (self.size, combined)  # tied, it is there already
        shapes["linear.bias"] = (self.size,)
        return shapes
