"""Interface of a kind of input: its description as data, and the codec made of it.

No other room knows a kind by name. A description (`InputSpec`: `Words`, `Symbols`, `Vectors`) holds
what a model reads: names and sizes of vocabularies and tensors, texts of the model card, how it is
learnt from training examples. With vocabularies it makes a `Codec`, which validates the input of a
caller once, and encodes validated sequences without checking again. A new kind is a file with both
classes, a line in `birnn.inputs.kinds`, and one in `birnn.models.inputs` for its torch module.
"""

# N rows of all sequences, B sequences, T steps of one, D channels, W width, F distinct rows

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from birnn.data.alphabet import Alphabet
from birnn.data.examples import Example
from birnn.data.numeric import Reals
from birnn.engine.stack import PreparedRows
from birnn.errors import ConfigError
from birnn.inputs.encoding import Encoded, EncodedRows
from birnn.inputs.vocabulary import Vocabularies, Vocabulary
from birnn.schema import Frozen, Shape

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Tensors = Mapping[str, Any]
"""Arrays of float32 by their names; matrices may be of low precision (`birnn.reference.Matrix`)."""

Steps = tuple[str, ...] | list[str] | Reals
"""A validated sequence: its tokens, or vectors (T, D)."""

Split = Callable[[str, str], tuple[str, ...]]
"""From a text, and its name in notices, to its words."""


class InputRows(NamedTuple):
    """Input rows of the network, first sequence first.

    Args:
        values: The rows (N, W); with ``table`` their numbers in it, (N,).
        table: Distinct rows as the encoder reads them, as tokens recur; None where ``values`` are
            rows.
    """

    values: npt.NDArray[Any]
    table: PreparedRows | None


Embed = Callable[[Sequence[Steps]], InputRows]
"""From validated sequences to their input rows."""


class Preparer(Protocol):
    """What reads input rows: `birnn.engine.stack.PackedStack`."""

    @property
    def engine(self) -> str:
        """The engine that rows are prepared for."""

    def prepare(self, rows: Floats) -> PreparedRows:
        """Distinct rows (F, W) as it reads them."""


class RowPart(NamedTuple):
    """A part of an input row, for the drawing of a model.

    Args:
        width: Its width.
        name: Its name.
        half: ``forward`` or ``backward`` where one direction of a network computes it.
    """

    width: int
    name: str
    half: Literal["forward", "backward", ""] = ""


class InputStage(NamedTuple):
    """A row in the drawing of a model.

    Args:
        name: Its name.
        tensors: Prefixes of the names of its tensors.
        parts: What it is made of.
    """

    name: str
    tensors: tuple[str, ...]
    parts: list[RowPart]


@dataclass(frozen=True, slots=True)
class LearntInputs:
    """The inputs that fit training examples.

    Args:
        inputs: Their description.
        vocabularies: Their vocabularies, with counts.
        initial: Tensors that start from the data, by their names in the description.
    """

    inputs: InputSpec
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)
    initial: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class InputSpec(Frozen, ABC):
    """A kind of input as data, and all that depends on the kind of a step."""

    unit: ClassVar[str]
    """What a step is called."""
    reads: ClassVar[str]
    """What a model reads, for the model card: sequences of words."""
    holds: ClassVar[Literal["tokens", "vectors"]] = "tokens"
    """Type of the steps of training examples."""
    alphabet: ClassVar[Alphabet | None] = None
    """Reads a text as symbols in training; None where it is split into words."""
    file: ClassVar[str | None] = None
    """A file for the model card's example; None: as the task has it."""
    formats: ClassVar[str] = "any of birnn's formats"
    """The formats of files, for the model card."""
    kept_in_float32: ClassVar[Mapping[str, str]] = {}
    """Why tensors stay float32 in every precision, by what their names begin with; of biases that
    has not to be said."""

    kind: str

    # ------------------------------------------------------------------ as data

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of a row as the encoder sees it."""

    @abstractmethod
    def tensors(self) -> dict[str, Shape]:
        """Names and shapes of its tensors."""

    def vocabularies(self) -> dict[str, int]:
        """Names and sizes of its vocabularies."""
        return {}

    @abstractmethod
    def described_by(self) -> dict[str, Any]:
        """Settings of training by name that make inputs of its kind and its widths."""

    def resized(self, sizes: Mapping[str, int]) -> Self:
        """The same inputs with vocabularies of other sizes, which most tensors have rows for.

        Args:
            sizes: Of each of `vocabularies`.
        """
        return self if not sizes else self.model_copy(update={"size": next(iter(sizes.values()))})

    # ------------------------------------------------------------------ training

    @classmethod
    @abstractmethod
    def fits(cls, train: Sequence[Example]) -> bool:
        """Whether examples are of this kind, where no kind before it fits; see `KINDS`."""

    @classmethod
    @abstractmethod
    def learn(cls, train: Sequence[Example], settings: Any, notices: list[str]) -> LearntInputs:
        """The inputs that fit training examples.

        Args:
            train: Validated training examples.
            settings: `birnn.inputs.kinds.InputSettings`.
            notices: Receives notices, a line each.

        Raises:
            ConfigError: Settings that do not fit the examples.
            FormatError: Pretrained vectors that cannot be read.
        """

    def class_tensors(
        self, train: Sequence[Example], vocabularies: Vocabularies, settings: Any
    ) -> dict[str, npt.NDArray[Any]]:
        """Initial values of tensors that depend on the labels, by name; most kinds have none."""
        del train, vocabularies, settings
        return {}

    # ------------------------------------------------------------------ at work

    @abstractmethod
    def codec(self, vocabularies: Vocabularies) -> Codec[Any]:
        """The codec that validates and encodes sequences.

        Args:
            vocabularies: The model's; those of its head are ignored.

        Raises:
            ConfigError: One of its own is missing.
        """

    # ------------------------------------------------------------------ in words

    @property
    @abstractmethod
    def example(self) -> str:
        """Sequences for a call of `predict`, as Python writes them."""

    @property
    def wanted(self) -> str:
        """The form of an argument, for messages."""
        return self.example.removesuffix("]") + ", ...]"

    @abstractmethod
    def outline(self) -> str:
        """The inputs in one line of the model card."""

    @abstractmethod
    def stages(self) -> list[InputStage]:
        """The inputs in the drawing of a model; the last stage is the row that the encoder reads.

        All tensors of the inputs belong to one of them.
        """

    @abstractmethod
    def limitation(self) -> str:
        """What of its inputs a model cannot judge, a sentence of the model card."""


Described = TypeVar("Described", bound=InputSpec)


class Codec(ABC, Generic[Described]):
    """Validates sequences and turns them into the numbers that a model reads.

    Args:
        inputs: Description of the model's inputs.
        vocabularies: What its numbers stand for.

    Raises:
        ConfigError: A vocabulary that the inputs need is missing.

    Example:
        >>> from birnn.inputs import Words
        >>> codec = Words(size=3, dim=8).codec({"words": Vocabulary(["the", "bank"])})
        >>> batch = codec.encode([("The", "bank"), (), ("the", "river")]).batch([2, 0])
        >>> batch.inputs.words.tolist(), batch.lengths.tolist()
        ([1, 0, 1, 2], [2, 2])
    """

    alphabet: Alphabet | None = None
    """Reads a string as symbols; None where it is split into words."""

    def __init__(self, inputs: Described, vocabularies: Vocabularies) -> None:
        self.inputs = inputs
        self.vocabularies = vocabularies
        for name in inputs.vocabularies():
            if name not in vocabularies:
                raise ConfigError(f"{inputs.kind} as inputs need a vocabulary of {name}")

    @abstractmethod
    def validated(self, given: Any, name: str, split: Split) -> Steps:
        """Validate one sequence of a caller, and convert it to the form that `encode` takes.

        Args:
            given: The sequence: tokens, a text, an array.
            name: Its name in messages.
            split: How a plain text is split into words.

        Raises:
            DataError: The model cannot read it; the message names the step.
        """

    @abstractmethod
    def validated_step(self, given: Any, name: str) -> Steps:
        """Validate one step of a stream, as a sequence of length 1.

        Raises:
            DataError: The model cannot read it.
        """

    @abstractmethod
    def rows(self, sequences: Sequence[Steps]) -> EncodedRows:
        """Rows of validated sequences, first sequence first."""

    @abstractmethod
    def embedding(self, tensors: Tensors, encoder: Preparer) -> Embed:
        """The function from validated sequences to input rows.

        Args:
            tensors: Those of a bundle.
            encoder: What reads the rows.
        """

    def encode(self, sequences: Iterable[Example | Steps]) -> Encoded:
        """A whole set, from which batches are cut.

        Args:
            sequences: Validated sequences, or examples of such.
        """
        steps = [s.inputs if isinstance(s, Example) else s for s in sequences]
        return Encoded(self.rows(steps), np.array([len(s) for s in steps], dtype=np.int64))

    def unknown(self, sequence: Steps) -> npt.NDArray[np.bool_]:
        """Which steps of a validated sequence are tokens that the model does not know, (T,)."""
        return np.zeros(len(sequence), np.bool_)

    def notices(self, sequences: Iterable[Steps]) -> list[str]:
        """Notices that validated sequences are hardly data of this model, a line each."""
        del sequences
        return []

    def check_call(self, sequences: Any) -> None:
        """Refuse an argument that is one sequence, or parts of one, instead of several.

        Raises:
            DataError: It is one.
        """
        del sequences

    def check_texts(self, one: str, two: str, first: int) -> None:
        """Refuse the first two texts of a call that are tokens of one sequence.

        Called where the model answers for every step.

        Raises:
            DataError: They are.
        """
        del one, two, first
