"""What a kind of input is asked: its description as data, and the codec made of it.

The rest of the house knows no kind by name. A description (`InputSpec`: `Words`, `Symbols`,
`Vectors`) says what a model reads: names and sizes of its vocabularies and tensors, the words of
the model card, how it is learnt from training examples. With vocabularies it makes a `Codec`, which
validates what a caller hands in, once, and turns what it has validated into numbers without looking
again. A new kind is a file of its own with both classes, a line in `birnn.inputs.kinds`, and one in
`birnn.models.inputs` for its module in torch.
"""

# N rows of all sequences, B sequences, T steps of one, D channels, W width, F distinct rows

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from birnn.data.alphabet import Alphabet
from birnn.data.examples import Example
from birnn.data.numeric import Reals
from birnn.errors import ConfigError
from birnn.inputs.encoding import Encoded, EncodedRows
from birnn.inputs.vocabulary import Vocabularies, Vocabulary
from birnn.schema import Frozen, Shape

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Tensors = Mapping[str, Floats]

Steps = tuple[str, ...] | list[str] | Reals
"""A validated sequence: its tokens, or vectors (T, D)."""

Split = Callable[[str, str], tuple[str, ...]]
"""Splits a text, which is called by a name in notices, into words."""


class InputRows(NamedTuple):
    """Input rows of the network, first sequence first.

    Args:
        values: The rows (N, W); with ``table`` their numbers in it, (N,).
        table: Distinct rows (F, W): words, letters, residues come again and again.
    """

    values: npt.NDArray[Any]
    table: Floats | None


Embed = Callable[[Sequence[Steps]], InputRows]
"""From validated sequences to their input rows."""


class RowPart(NamedTuple):
    """What a row is made of, for the drawing of a model.

    Args:
        width: How many numbers.
        name: What they are.
        half: ``forward`` or ``backward`` where a direction of a network makes them.
    """

    width: int
    name: str
    half: Literal["forward", "backward", ""] = ""


@dataclass(frozen=True, slots=True)
class LearntInputs:
    """Inputs as training examples ask for them.

    Args:
        inputs: Their description.
        vocabularies: Their vocabularies, with counts.
        initial: Tensors that start from the data, by their names in the description.
    """

    inputs: InputSpec
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)
    initial: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class InputSpec(Frozen, ABC):
    """A kind of input as data, and all that depends on what a step is."""

    unit: ClassVar[str]
    """What a step is called."""
    reads: ClassVar[str]
    """What a model reads, for the model card: sequences of words."""
    holds: ClassVar[Literal["tokens", "vectors"]] = "tokens"
    """What the examples of training hold."""
    alphabet: ClassVar[Alphabet | None] = None
    """How a text of training is read as symbols, where it is not split into words."""
    file: ClassVar[str | None] = None
    """A file for the model card's example; None: as the task has it."""
    formats: ClassVar[str] = "any of birnn's formats"
    """The formats of files, for the model card."""

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

    # ------------------------------------------------------------------ training

    @classmethod
    @abstractmethod
    def fits(cls, train: Sequence[Example]) -> bool:
        """Whether examples of unknown kind are read so; kinds are asked in their order."""

    @classmethod
    @abstractmethod
    def learn(cls, train: Sequence[Example], settings: Any, notices: list[str]) -> LearntInputs:
        """The inputs that training examples ask for.

        Args:
            train: Validated training examples.
            settings: `birnn.inputs.kinds.InputSettings`.
            notices: Takes what was found, a line each.

        Raises:
            ConfigError: Settings that the examples do not fit.
            FormatError: Pretrained vectors that do not read.
        """

    def class_tensors(
        self, train: Sequence[Example], vocabularies: Vocabularies, settings: Any
    ) -> dict[str, npt.NDArray[Any]]:
        """Tensors that start from the labels of the examples, by name: of most kinds none."""
        del train, vocabularies, settings
        return {}

    # ------------------------------------------------------------------ at work

    @abstractmethod
    def codec(self, vocabularies: Vocabularies) -> Codec[Any]:
        """What validates and encodes sequences.

        Args:
            vocabularies: The model's; those of its head are left alone.

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
        """What a call takes, for messages."""
        return self.example.removesuffix("]") + ", ...]"

    @abstractmethod
    def outline(self) -> str:
        """The inputs in one line of the model card."""

    @abstractmethod
    def parts(self) -> tuple[str, list[RowPart]]:
        """The inputs in the drawing of a model: what they are, and what a row is made of."""

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
    """How a string is read as symbols, where it is not split into words."""

    def __init__(self, inputs: Described, vocabularies: Vocabularies) -> None:
        self.inputs = inputs
        self.vocabularies = vocabularies
        for name in inputs.vocabularies():
            if name not in vocabularies:
                raise ConfigError(f"{inputs.kind} as inputs need a vocabulary of {name}")

    @abstractmethod
    def validated(self, given: Any, name: str, split: Split) -> Steps:
        """One sequence that a caller hands in, in the form that `encode` takes.

        Args:
            given: What stands for a sequence: tokens, a text, an array.
            name: What messages call it.
            split: How a plain text is split into words.

        Raises:
            DataError: Something that the model cannot read; the step is named.
        """

    @abstractmethod
    def validated_step(self, given: Any, name: str) -> Steps:
        """One step of a sequence that is still coming, as a sequence of length 1.

        Raises:
            DataError: Something that the model cannot read.
        """

    @abstractmethod
    def rows(self, sequences: Sequence[Steps]) -> EncodedRows:
        """Rows of validated sequences, first sequence first."""

    @abstractmethod
    def embedding(self, tensors: Tensors) -> Embed:
        """The function from validated sequences to input rows, with the tensors of a bundle."""

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
        """What to tell of validated sequences that are hardly the model's; a line each."""
        del sequences
        return []

    def check_call(self, sequences: Any) -> None:
        """Refuse what a caller hands in for many sequences and is one, or parts of one.

        Raises:
            DataError: It is.
        """
        del sequences

    def check_texts(self, one: str, two: str, first: int) -> None:
        """Refuse the first two texts of a call that are one sequence's tokens.

        Raises:
            DataError: They are, where the model answers for every step.
        """
        del one, two, first
