"""Interface of a task: the head of a model as data, its targets, answers, scores and texts.

No other room knows a task by name: all call the methods of `Head`. A new task is a class with a
line in `birnn.tasks`.
"""

# N rows of all sequences, B sequences, T steps of one, L labels, K target values

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from birnn.data.examples import Example, TargetKind
from birnn.data.offsets import Offsets, token_offsets
from birnn.errors import UsageError
from birnn.inputs.encoding import Batch, Encoded
from birnn.inputs.kind import Codec, Split, Steps
from birnn.inputs.vocabulary import Vocabulary
from birnn.reference.stack import Stack
from birnn.schema import Frozen, Shape, Size
from birnn.tasks.annotated import AnswerParts, Scores
from birnn.tasks.evaluated import Evaluated, Scorer

if TYPE_CHECKING:
    from birnn.tasks.scored import Scored

Array = npt.NDArray[Any]
Tensors = Mapping[str, npt.NDArray[np.float32]]
Lengths = npt.NDArray[np.int64]
BatchChange = Callable[[Batch, np.random.Generator], Batch]


ATTENTION_KEPT = {"attention.": "scores of the attention: small, and exponents are taken of them"}
"""Why the tensors of an attention stay float32 in every precision, see `Head.kept_in_float32`."""


@dataclass(frozen=True, slots=True)
class FittedHead:
    """The head that fits training examples.

    Args:
        head: Its description.
        train: The training examples, their targets converted as the head needs them.
        dev: The examples that decide which weights are kept, likewise.
        labels: The labels with their counts; None where the task has none.
        initial: Tensors of the head that start from the data, by their names in it.
        further: Examples that the inputs are learnt from beside those of training: of tokens that
            training puts into them.
    """

    head: Head
    train: Sequence[Example]
    dev: Sequence[Example]
    labels: Vocabulary | None = None
    initial: dict[str, Array] = field(default_factory=dict)
    further: Sequence[Example] = ()


class HeadLayer(NamedTuple):
    """A row in the drawing of a model.

    Args:
        name: Its name.
        tensors: Prefixes of the names of its tensors.
        boxes: Width and text of each box.
        encoder: Whether it is drawn as part of the encoder: it holds states, not answers.
    """

    name: str
    tensors: tuple[str, ...]
    boxes: list[tuple[int, str]]
    encoder: bool = False


class Head(Frozen, Evaluated, ABC):
    """A task: the head of a model as data, and all that depends on the kind of target."""

    task: ClassVar[str]
    """Its name on the command line."""
    target: ClassVar[TargetKind]
    """The kind of target that readers read for it."""
    gives: ClassVar[str]
    """What it gives, for the model card: one label for every step."""
    file: ClassVar[str] = "data.tsv"
    """An example of a file name, for the model card."""
    hub_task: ClassVar[str | None] = None
    """What the Hugging Face Hub calls the task on texts; None where it has no name for it."""
    settings: ClassVar[type[Frozen]]
    """Settings of the head in training."""
    defaults: ClassVar[Mapping[str | None, Mapping[str, Mapping[str, Any]]]] = {}
    """Settings that differ from the general defaults, by the kind of input (None: all kinds)."""
    answer_comment: ClassVar[str]
    """What `predict` gives, a comment in the model card's example."""
    per_step: ClassVar[bool] = False
    """Whether it answers for every step, or once for a sequence."""
    has_labels: ClassVar[bool] = False
    """Whether it chooses among labels; scores of labels must be finite."""
    independent: ClassVar[bool] = False
    """Whether each label is given or not for itself, so that there may be any number of them."""
    reads_final_states: ClassVar[bool] = False
    """Whether it reads the final states of all layers of the encoder, beside its rows."""
    searches: ClassVar[bool] = False
    """Whether it searches for its answers, among which there are an n best with scores."""
    vocabulary: ClassVar[str | None] = "labels"
    """Name of the vocabulary that its answers are made of; None where they are numbers."""
    self_supervised: ClassVar[bool] = False
    """Whether its targets are drawn from raw sequences, which have none of their own."""
    input_kinds: ClassVar[tuple[str, ...]] = ("words", "symbols", "vectors")
    """The kinds of input that it is learnt from."""
    probabilities_in_json: ClassVar[bool] = False
    """Whether a JSON line has the probabilities of its answer unasked."""
    ranks: ClassVar[bool] = False
    """Whether the best of several answers can be asked for, of the sequence or of its gaps."""
    kept_in_float32: ClassVar[Mapping[str, str]] = {}
    """Why tensors stay float32 in every precision, by what their names begin with; of biases that
    has not to be said."""

    size: Size

    # ------------------------------------------------------------------ as data

    @abstractmethod
    def tensors(self, encoder: Stack) -> dict[str, Shape]:
        """Names and shapes of its tensors behind an encoder."""

    def encoder_faults(self, encoder: Stack) -> list[str]:
        """Why it cannot stand behind an encoder, a line for each reason; most heads always can."""
        del encoder
        return []

    def vocabularies(self) -> dict[str, int]:
        """Names and sizes of its vocabularies."""
        return {} if self.vocabulary is None else {self.vocabulary: self.size}

    def continued(self, fitted: Head, size: int) -> Self:
        """This head of a trained model, as it goes on with other training examples.

        Args:
            fitted: The head that fits these examples by themselves.
            size: How many labels, target symbols or values both have together.

        Raises:
            DataError: Targets that are none of this head.
        """
        del fitted
        return self.model_copy(update={"size": size})

    def vocabulary_faults(self, vocabularies: Mapping[str, Sequence[str]]) -> list[str]:
        """What is wrong with vocabularies of the right sizes."""
        del vocabularies
        return []

    # ------------------------------------------------------------------ training

    @classmethod
    @abstractmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: Any,
        encoder: Stack,
        notices: list[str],
    ) -> FittedHead:
        """The head that fits training examples.

        Args:
            train: Training examples.
            dev: Examples that decide which weights are kept.
            settings: An object of the class ``settings``.
            encoder: The encoder that it stands behind; its rows are of any width.
            notices: Receives notices, a line each.

        Raises:
            DataError: Targets of another kind, or all of one label.
            ConfigError: Settings that do not fit the targets.
        """

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Refuse settings of the head that have a reason to be refused for.

        Args:
            given: What was set, by name; some of it may not exist.

        Raises:
            DirectionError: Two directions of a decoder.
        """
        del given

    @classmethod
    def settings_of_reading(cls, reading: Mapping[str, Any]) -> Mapping[str, Any]:
        """Defaults that follow from how the files were read, by full names; most tasks have none.

        Args:
            reading: The options of reading that a bundle keeps.
        """
        del reading
        return {}

    @abstractmethod
    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """Targets as numbers: (N,) of a head that answers for every step, else (B,) or (B, K).

        Where targets are sequences of their own it is (M,), one after another.

        Args:
            examples: Examples with targets.
            labels: The vocabulary of labels or target symbols; one that it does not know
                becomes -1.

        Raises:
            DataError: As `check_target` does.
        """

    def target_lengths(self, examples: Sequence[Example]) -> Lengths | None:
        """Lengths of the targets (B,) where they are sequences of their own, else None."""
        del examples
        return None

    def training_batches(self, codec: Codec[Any]) -> BatchChange:
        """A function from a batch to what training sees of it; most heads change nothing.

        The function takes the batch, and its only source of random numbers: each batch of a run
        has one of its own.

        Args:
            codec: Of the model's inputs.
        """
        del codec
        return _unchanged

    def encoded(self, codec: Codec[Any], examples: Sequence[Example]) -> Encoded:
        """Encode examples with their targets; without examples there are no targets."""
        encoded = codec.encode(examples)
        if not examples:
            return encoded
        known = None if self.vocabulary is None else codec.vocabularies.get(self.vocabulary)
        return encoded.with_targets(
            self.encode(examples, known),
            per_step=self.per_step,
            target_lengths=self.target_lengths(examples),
        )

    @property
    def marks_spans(self) -> bool:
        """Whether its answers mark spans of steps."""
        return False

    @property
    @abstractmethod
    def selection(self) -> str:
        """The score of the dev set that chooses among epochs; ``training.metric`` may change it."""

    def training_scorer(self, labels: Sequence[str], settings: Any) -> Scorer:
        """An empty scorer of what its half in torch answers to the dev set.

        Args:
            labels: The labels of the model.
            settings: An object of the class ``settings``.
        """
        del settings
        return self.scorer(labels)

    def tuned(
        self,
        scores: Callable[[], Sequence[Array]],
        golds: Sequence[Any],
        labels: Sequence[str],
        settings: Any,
    ) -> Head:
        """The head with what the dev set decides once the weights stand; most heads as they are.

        Args:
            scores: Gives the scores of each dev example.
            golds: Their right answers, as `golds` gives them.
            labels: The labels of the model.
            settings: An object of the class ``settings``.
        """
        del scores, golds, labels, settings
        return self

    # ------------------------------------------------------------------ answers

    def unsplit(self, text: str) -> str:
        """A text of a caller as it is split into words; most heads change nothing."""
        return text

    def validated(self, codec: Codec[Any], given: Any, name: str, split: Split) -> Steps:
        """One sequence of a caller, validated by the codec; arguments as of `Codec.validated`."""
        return codec.validated(given, name, split)

    def asked(self, sequences: Sequence[Steps]) -> npt.NDArray[np.bool_] | None:
        """Which rows of validated sequences it answers for, (N,); None: as `per_step` says."""
        del sequences
        return None

    def notices(self, sequences: Sequence[Steps]) -> Mapping[str, str]:
        """Notices of validated sequences, a line each, by a name for what is told once."""
        del sequences
        return {}

    def check_streams(self) -> None:
        """Refuse answers step by step where there are none.

        Raises:
            UsageError: There are none.
        """

    @property
    def streaming_settings(self) -> tuple[str, ...]:
        """Settings of training needed for streaming answers; empty if it can stream."""
        return ()

    def settings_behind(self, encoder: Stack) -> dict[str, Any]:
        """The sizes that it has behind another encoder: its own, or those that the encoder needs.

        Comparisons of encoders set them, so that models differ in the encoder alone.

        Args:
            encoder: The other encoder.
        """
        del encoder
        return {}

    def scored(self, needing: str) -> Scored:
        """The head itself, where it scores rows.

        Args:
            needing: What is made for such heads alone, for the message.

        Raises:
            UsageError: It does not.
        """
        raise UsageError(
            f"{needing} is made for models that score labels or values. A {self.task} gives "
            f"{self.gives}: there is none for it."
        )

    def no_probabilities(self, remedy: str) -> UsageError:
        """The error for a call that asks for probabilities where there are none."""
        return UsageError(f"a {self.task} has no probabilities. {remedy}")

    def token_offsets(self, text: str, tokens: Sequence[str]) -> Offsets:
        """Where the tokens that `validated` gave stand in their text, as it came in."""
        return token_offsets(text, tokens)

    def parts(self, scores: Scores, labels: Sequence[str], top: int | None) -> AnswerParts:
        """An answer as annotations show it; by default the answer alone.

        Args:
            scores: The answer and its scores.
            labels: The labels by number.
            top: How many of the best are given, where it ranks answers; None for as many as usual.
        """
        del labels, top
        return AnswerParts({self.key: scores.answer})

    # ------------------------------------------------------------------ in words

    @abstractmethod
    def outline(self, encoder: Stack) -> str:
        """The head in one line, from the rows of an encoder on."""

    @abstractmethod
    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """Its layers behind an encoder, for the drawing of the model."""

    @abstractmethod
    def limitation(self) -> str:
        """A limitation of its answers, a sentence of the model card."""

    @abstractmethod
    def lines(
        self,
        example: Example,
        answer: Any,
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """An answer as text, as `birnn predict` writes it.

        Args:
            example: The example that was read.
            answer: The answer.
            probabilities: As `Decoder.probabilities` gives them; None where not asked for.
            labels: The labels by number.
            tensors: The tensors of the model.
        """

    def probability_record(
        self, answer: Any, probabilities: Any, labels: Sequence[str], *, every: bool
    ) -> dict[str, Any]:
        """The fields of probabilities in a JSON line.

        Args:
            answer: The answer.
            probabilities: As `Decoder.probabilities` gives them.
            labels: The labels by number.
            every: The probability of every label, not of the answer alone.
        """
        del answer, probabilities, labels, every
        raise self.no_probabilities("Leave them out.")


def _unchanged(batch: Batch, random: np.random.Generator) -> Batch:
    del random
    return batch
