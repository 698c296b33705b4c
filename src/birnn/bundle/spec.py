"""What a model is, as data: the one description that building, running and exporting read.

A `Spec` names the inputs, the encoder and the head of a model, with every size in it, so that the
names and shapes of all tensors follow from it alone (`Spec.tensors`). Settings that only training
knows (dropout, learning rate) are no part of it.
"""

# V known words, C known characters, D inputs, H hidden units, W width of the encoder's output,
# L labels, A width of the attention

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from birnn.reference.stack import CellName, MergeName, Stack

Shape = tuple[int, ...]
# Beyond any model: so a description cannot ask for what no memory holds or no message can print.
Size = Annotated[int, Field(ge=1, le=10**9)]
AffixLengths = Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(max_length=64)]
PoolingName = Literal["last", "max", "mean", "last+max+mean", "attention"]
# How tags mark spans; with -suffix the mark stands after the type, PER-B. See data/schemes.py.
SchemeName = Literal[
    "none",
    "iob1",
    "iob2",
    "iobes",
    "bilou",
    "bmes",
    "bmewo",
    "iob1-suffix",
    "iob2-suffix",
    "iobes-suffix",
    "bilou-suffix",
    "bmes-suffix",
    "bmewo-suffix",
]
# What a scheme writes for the begin, the inside and the end of a span, and for one of one token.
SPAN_LETTERS = {
    "iob1": "BI",
    "iob2": "BI",
    "iobes": "BIES",
    "bilou": "BILU",
    "bmes": "BMES",
    "bmewo": "BMEW",
}


class Frozen(BaseModel):
    """Base of all descriptions: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Characters(Frozen):
    """A word's characters, read by a bidirectional LSTM once for each distinct word.

    The word's vector is the forward half's state after the last character beside the backward
    half's state after the first: 2 * hidden_size wide.
    """

    size: Size = Field(description="known characters, the unknown one included")
    dim: Size = Field(description="width of a character's vector")
    hidden_size: Size = Field(description="hidden units of each direction")

    @property
    def stack(self) -> Stack:
        """The recurrent network over characters."""
        return Stack("lstm", self.dim, self.hidden_size)

    @property
    def width(self) -> int:
        """Width of a word's vector."""
        return self.stack.output_size


class Surface(Frozen):
    """Traits of a word's written form: its prefixes, its suffixes and its shape.

    Each known trait has a vector; a word's vector is the sum of those that it has.
    """

    size: Size = Field(description="known traits, the unknown one included")
    dim: Size = Field(description="width of a trait's vector")
    prefixes: AffixLengths = Field(description="lengths of the prefixes")
    suffixes: AffixLengths = Field(description="lengths of the suffixes")

    @property
    def traits(self) -> int:
        """Number of traits that a word may have: the prefixes, the suffixes and the shape."""
        return len(self.prefixes) + len(self.suffixes) + 1

    @property
    def width(self) -> int:
        """Width of a word's vector."""
        return self.dim


class Words(Frozen):
    """Sequences of words: a vector for each known word, and what its written form tells."""

    kind: Literal["words"] = "words"
    size: Size = Field(description="known words, the unknown one included")
    dim: Size = Field(description="width of a word's vector")
    lowercase: bool = Field(default=True, description="look words up in lower case")
    digits: bool = Field(default=True, description="look words up with every digit as 0")
    characters: Characters | None = None
    surface: Surface | None = None

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        parts = (self.characters, self.surface)
        return self.dim + sum(part.width for part in parts if part is not None)

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes, in the order of the concatenated row: word, characters, surface."""
        shapes: dict[str, Shape] = {"words.weight": (self.size, self.dim)}
        if self.characters is not None:
            shapes["characters.symbols.weight"] = (self.characters.size, self.characters.dim)
            shapes |= prefixed("characters.encoder", self.characters.stack.shapes())
        if self.surface is not None:
            shapes["surface.weight"] = (self.surface.size, self.surface.dim)
        return shapes


class Symbols(Frozen):
    """Sequences of symbols from a small alphabet: letters, residues, bases."""

    kind: Literal["symbols"] = "symbols"
    size: Size = Field(description="known symbols, the unknown one included")
    dim: Size = Field(description="width of a symbol's vector")

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        return self.dim

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes."""
        return {"symbols.weight": (self.size, self.dim)}


class Offset(Frozen):
    """Base of what reads or answers real numbers that stand far from zero.

    1700000000 and 1700000001 are one number in float32, so the offset is subtracted from what is
    read, and added to what is answered, in float64.
    """

    size: Size
    offset: tuple[FiniteFloat, ...] = Field(
        default=(), description="of each channel or value; none where float32 holds them well"
    )

    @model_validator(mode="after")
    def _one_offset_each(self) -> Self:
        if len(self.offset) not in (0, self.size):
            raise ValueError(f"{len(self.offset)} offsets for {self.size} channels or values")
        return self

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Bundles that need no offset stay readable by versions that know of none.
        written: dict[str, Any] = write(self)
        if not self.offset:
            del written["offset"]
        return written


class Vectors(Offset):
    """Sequences of vectors (T, D), standardised by channel: (x - offset - mean) / scale."""

    kind: Literal["vectors"] = "vectors"
    size: Size = Field(description="channels of a step")

    @property
    def width(self) -> int:
        """Width of a row as the encoder sees it."""
        return self.size

    def tensors(self) -> dict[str, Shape]:
        """Names and shapes."""
        return {"mean": (self.size,), "scale": (self.size,)}


class Encoder(Frozen):
    """The stacked recurrent network between inputs and head."""

    cell: CellName = Field(default="lstm", description="rnn_tanh, rnn_relu, lstm or gru")
    hidden_size: Size = Field(default=200, description="hidden units of each direction")
    num_layers: int = Field(default=1, ge=1, le=256, description="layers on top of each other")
    bidirectional: bool = Field(default=True, description="a backward half beside the forward one")
    merge: MergeName = Field(default="concat", description="concat, sum, mean, product or project")
    residual: bool = Field(default=False, description="add a layer's input to its output")

    def stack(self, input_size: int) -> Stack:
        """The network over rows of ``input_size``."""
        return Stack(
            self.cell,
            input_size,
            self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            merge=self.merge,
            residual=self.residual,
        )


class Tags(Frozen):
    """A label for every step, each on its own (softmax) or as a sequence (CRF)."""

    kind: Literal["tags"] = "tags"
    size: Size = Field(description="labels")
    decoder: Literal["softmax", "crf"] = "softmax"
    scheme: SchemeName = Field(
        default="none", description="how the labels mark spans; forbids impossible sequences"
    )

    def tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes on encoder rows of ``width``; transitions are [from, to]."""
        shapes: dict[str, Shape] = linear("linear", self.size, width)
        if self.decoder == "crf":
            shapes["crf.transitions"] = (self.size, self.size)
            shapes["crf.start"] = (self.size,)
            shapes["crf.end"] = (self.size,)
        return shapes


class Pooled(Frozen):
    """Base of the heads that answer once for a sequence."""

    pooling: PoolingName = "last+max+mean"
    attention_size: Size = Field(default=64, description="hidden units of the attention")

    def pooled_width(self, width: int) -> int:
        """Width of a pooled sequence."""
        return width * len(self.pooling.split("+"))

    def pooling_tensors(self, width: int) -> dict[str, Shape]:
        """Tensors of the pooling; only attention has any."""
        if self.pooling != "attention":
            return {}
        query: dict[str, Shape] = {"attention.query": (self.attention_size,)}
        return linear("attention", self.attention_size, width) | query


class Label(Pooled):
    """One label for a sequence."""

    kind: Literal["label"] = "label"
    size: Size = Field(description="labels")

    def tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes on encoder rows of ``width``."""
        return self.pooling_tensors(width) | linear("linear", self.size, self.pooled_width(width))


class Values(Pooled, Offset):
    """One vector of real numbers for a sequence, in the units of the training targets."""

    kind: Literal["values"] = "values"
    size: Size = Field(description="target values of a sequence")

    def tensors(self, width: int) -> dict[str, Shape]:
        """Names and shapes on encoder rows of ``width``.

        Answers are raw * scale + mean + offset.
        """
        units: dict[str, Shape] = {"mean": (self.size,), "scale": (self.size,)}
        return (
            self.pooling_tensors(width)
            | linear("linear", self.size, self.pooled_width(width))
            | units
        )


Inputs = Annotated[Words | Symbols | Vectors, Field(discriminator="kind")]
Head = Annotated[Tags | Label | Values, Field(discriminator="kind")]


class Spec(Frozen):
    """A whole model.

    Example:
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8),
        ...     encoder=Encoder(cell="gru", hidden_size=16),
        ...     head=Tags(size=3),
        ... )
        >>> spec.tensors()["encoder.weight_ih_l0_reverse"]
        (48, 8)
        >>> spec.tensors()["head.linear.weight"]
        (3, 32)
    """

    inputs: Inputs
    encoder: Encoder
    head: Head

    @model_validator(mode="after")
    def _scheme_needs_tags(self) -> Spec:
        if isinstance(self.head, Tags) and self.head.scheme != "none" and self.head.size < 2:
            raise ValueError("a tag scheme needs at least two labels")
        return self

    @property
    def task(self) -> Literal["tagger", "classifier", "regressor"]:
        """What the model does, as the command line names it."""
        tasks: dict[str, Literal["tagger", "classifier", "regressor"]] = {
            "tags": "tagger",
            "label": "classifier",
            "values": "regressor",
        }
        return tasks[self.head.kind]

    @property
    def stack(self) -> Stack:
        """The encoder's recurrent network."""
        return self.encoder.stack(self.inputs.width)

    def tensors(self) -> dict[str, Shape]:
        """Name and shape of every tensor of the model; all are float32."""
        return (
            prefixed("inputs", self.inputs.tensors())
            | prefixed("encoder", self.stack.shapes())
            | prefixed("head", self.head.tensors(self.stack.output_size))
        )

    def background(self) -> dict[str, Shape]:
        """Name and shape of what explanations put in the place of a half that is silenced.

        The mean state of each direction of the last layer over data: of all steps (``rows``), and
        of the final ones (``last``).
        """
        shape = (self.stack.directions, self.encoder.hidden_size)
        return {"rows": shape, "last": shape}

    def parameter_count(self) -> int:
        """Number of values in all tensors."""
        total = 0
        for shape in self.tensors().values():
            count = 1
            for size in shape:
                count *= size
            total += count
        return total


def prefixed(prefix: str, shapes: dict[str, Shape]) -> dict[str, Shape]:
    """The same tensors one level down."""
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


def linear(name: str, outputs: int, inputs: int) -> dict[str, Shape]:
    """Weight and bias of a linear layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
