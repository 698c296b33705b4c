"""Settings of a decoder: what it is, and what training alone needs to know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from birnn.reference.bridge import BridgeName
from birnn.reference.decoder_spec import AttentionName
from birnn.reference.stack import CellName, Stack
from birnn.schema import Frozen, Size


class DecoderSettings(Frozen):
    """What the decoder is, in training and in its description."""

    dim: Size = Field(default=256, description="width of the vector of a target symbol")
    num_layers: int = Field(default=1, ge=1, le=256, description="layers of the decoder")
    bridge: BridgeName = Field(
        default="project",
        description="from the encoder's final states to the decoder's first: concat, sum, mean, "
        "project or none",
    )
    attention_size: Size = Field(default=256, description="hidden units of additive attention")
    input_feeding: bool = Field(
        default=False, description="the decoder also reads what attention gave at the step before"
    )
    tied: bool = Field(
        default=False, description="target symbols have one vector, as input and as output"
    )


class Seq2SeqSettings(DecoderSettings):
    """Settings of the decoder in training."""

    cell: Literal["auto", CellName] = Field(
        default="auto",
        description="of the decoder: rnn_tanh, rnn_relu, lstm or gru; auto: the encoder's",
    )
    hidden_size: Size | None = Field(
        default=None,
        description="hidden units of the decoder, which writes in one direction; by default what "
        "the bridge makes of the encoder's states: both halves, or for sum and mean one",
    )
    attention: Literal["auto", AttentionName] = Field(
        default="general",
        description="additive, dot, general or none; auto: dot where the decoder is as wide as the "
        "encoder's rows, general otherwise",
    )
    separator: str = Field(
        default="auto",
        max_length=10,
        description="between the symbols of an answer when it is printed; auto: as in the files, "
        "or nothing where all are single characters, a space otherwise, a bar where they hold "
        "spaces",
    )
    scheduled_sampling: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the symbols that the decoder reads in training that are its own "
        "answers; it grows from 0 to this",
    )


def fitting_attention(settings: Seq2SeqSettings, hidden_size: int, encoder: Stack) -> AttentionName:
    """The attention as it is set, or else the one that the widths allow.

    Example:
        >>> settings = Seq2SeqSettings(attention="auto")
        >>> encoder = Stack("gru", 3, 4)
        >>> [fitting_attention(settings, size, encoder) for size in (8, 4)]
        ['dot', 'general']
    """
    if settings.attention != "auto":
        return settings.attention
    return "dot" if hidden_size == encoder.output_size else "general"


def fitting_size(bridge: BridgeName, attention: str, encoder: Stack) -> int:
    """Hidden units of a decoder that the encoder's last states fit."""
    if attention in ("dot", "auto") and bridge in ("project", "none"):
        return encoder.output_size
    if bridge in ("sum", "mean"):
        return encoder.hidden_size
    return encoder.directions_of(-1) * encoder.hidden_size
