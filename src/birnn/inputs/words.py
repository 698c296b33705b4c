"""Words as inputs: a vector for each known word, its characters, affix and shape features."""

# N rows of all sequences, F distinct written forms, K features of a form, V known words, L labels,
# W width of a row

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from birnn.data.conversion import described
from birnn.data.examples import Example
from birnn.data.pretrained import read_vectors
from birnn.data.tokeniser import canonical, tokenise
from birnn.errors import DataError
from birnn.inputs.forms import (
    AffixLengths,
    Characters,
    Surface,
    feature_ids,
    learn_features,
    spellings,
)
from birnn.inputs.kind import (
    Codec,
    Embed,
    Floats,
    InputSpec,
    InputStage,
    Integers,
    LearntInputs,
    Preparer,
    RowPart,
    Split,
    Steps,
    Tensors,
)
from birnn.inputs.row_cache import RowCache
from birnn.inputs.tokens import (
    MOST_TOKENS,
    distinct,
    mostly_unknown,
    token_of,
    tokens_in,
    tokens_of,
)
from birnn.inputs.vocabulary import Vocabularies, Vocabulary, normalise
from birnn.inputs.word_vectors import WordVectors, with_class_ratios, with_pretrained
from birnn.ragged import Ragged
from birnn.schema import Frozen, Shape, Size, prefixed


class WordSettings(Frozen):
    """Settings of words in training."""

    word_dim: Size = Field(default=100, description="width of a word's vector")
    lowercase: bool = Field(default=True, description="look words up in lower case")
    digits: bool = Field(default=True, description="look words up with every digit as 0")
    character_dim: Size = Field(default=32, description="width of a character's vector")
    character_hidden: int = Field(
        default=64,
        ge=0,
        le=10**9,
        description="hidden units of each half of the character LSTM; 0: none",
    )
    surface_dim: int = Field(
        default=64,
        ge=0,
        le=10**9,
        description="width of the affix and shape features of a word's written form; 0: none",
    )
    surface_min_count: Size = Field(
        default=2, description="a feature of fewer written forms is unknown"
    )
    prefixes: AffixLengths = Field(
        default=(1, 2, 3, 4), description="lengths of the prefixes that are features"
    )
    suffixes: AffixLengths = Field(
        default=(1, 2, 3, 4), description="lengths of the suffixes that are features"
    )
    class_ratios: bool = Field(
        default=False,
        description="a classifier's word vectors start with the word's log-count ratio of each "
        "label, as naive Bayes weighs it",
    )
    vectors: Path | None = Field(
        default=None, description="pretrained word vectors: word2vec, GloVe or fastText text, .gz"
    )
    first_vectors: int = Field(
        default=50_000,
        ge=0,
        le=10**9,
        description="beside the words of training, words of so many first lines of the vectors",
    )


@dataclass(frozen=True, slots=True, eq=False)
class WordRows:
    """Encoded words.

    Args:
        words: Number of each row's word in the vocabulary, (N,).
        forms: Which of the F distinct written forms each row is, (N,).
        written: The distinct forms, strings, (F,).
        characters: Numbers of the forms' characters, one sequence for each form; or ``None``.
        features: Rows of the forms' features in ``surface.weight``, (F, K); or ``None``.
    """

    words: Integers
    forms: Integers
    written: npt.NDArray[np.object_]
    characters: Ragged[Integers] | None = None
    features: Integers | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.words)

    def joined(self, other: WordRows) -> WordRows:
        """These rows and further ones of the same codec after them."""
        characters, features = self.characters, self.features
        if characters is not None and other.characters is not None:
            characters = Ragged(
                np.concatenate([characters.values, other.characters.values]),
                np.concatenate([characters.lengths, other.characters.lengths]),
            )
        if features is not None and other.features is not None:
            features = np.concatenate([features, other.features])
        return WordRows(
            np.concatenate([self.words, other.words]),
            np.concatenate([self.forms, other.forms + len(self.written)]),
            np.concatenate([self.written, other.written]),
            characters,
            features,
        )

    def take(self, rows: Integers) -> WordRows:
        """A selection of rows, with the forms that occur in them."""
        present, forms = np.unique(self.forms[rows], return_inverse=True)
        return WordRows(
            self.words[rows],
            forms.astype(np.int64, copy=False),
            self.written[present],
            None if self.characters is None else self.characters.select(present),
            None if self.features is None else self.features[present],
        )


class Words(InputSpec):
    """Sequences of words: word vectors, and vectors of characters, affixes and shapes."""

    unit: ClassVar[str] = "word"
    reads: ClassVar[str] = "sequences of words"

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

    def vocabularies(self) -> dict[str, int]:
        """Names and sizes of its vocabularies."""
        parts = {"characters": self.characters, "traits": self.surface}
        return {"words": self.size} | {n: part.size for n, part in parts.items() if part}

    def described_by(self) -> dict[str, Any]:
        """Settings of training that make words of these widths."""
        characters, surface = self.characters, self.surface
        found: dict[str, Any] = {
            "word_dim": self.dim,
            "lowercase": self.lowercase,
            "digits": self.digits,
            "character_hidden": 0 if characters is None else characters.hidden_size,
            "surface_dim": 0 if surface is None else surface.dim,
        }
        if characters is not None:
            found["character_dim"] = characters.dim
        if surface is not None:
            found |= {"prefixes": surface.prefixes, "suffixes": surface.suffixes}
        return found

    def resized(self, sizes: Mapping[str, int]) -> Self:
        """The same with other numbers of known words, characters and features."""
        parts = {"characters": (self.characters, "characters"), "surface": (self.surface, "traits")}
        changed = {
            name: part.model_copy(update={"size": sizes[vocabulary]})
            for name, (part, vocabulary) in parts.items()
            if part is not None
        }
        return self.model_copy(update={"size": sizes["words"], **changed})

    def normalised(self, form: str) -> str:
        """A word as it is looked up."""
        return normalise(form, self.lowercase, self.digits)

    # ------------------------------------------------------------------ training

    @classmethod
    def fits(cls, train: Sequence[Example]) -> bool:
        """Whether all steps are tokens: words unless another kind fits."""
        return not any(isinstance(example.inputs, np.ndarray) for example in train)

    @classmethod
    def learn(cls, train: Sequence[Example], settings: Any, notices: list[str]) -> LearntInputs:
        """The words, characters and features of training; and pretrained vectors."""
        written = [canonical(token) for example in train for token in _tokens(example)]
        forms = sorted(set(written))
        # Every distinct form is normalised once.
        looked_up = {form: normalise(form, settings.lowercase, settings.digits) for form in forms}
        known = {
            "words": Vocabulary.count(
                map(looked_up.__getitem__, written), settings.min_count, settings.max_words
            )
        }
        dim, initial = settings.word_dim, {}
        if settings.vectors is not None:
            dim, vectors = read_vectors(
                settings.vectors,
                set(looked_up.values()),
                first=settings.first_vectors,
                tell=notices.append,
            )
            seen = len(known["words"]) - 1  # <unk> is no word
            found = sum(word in vectors for word in known["words"].items)
            notices.append(
                f"{settings.vectors}: {len(vectors)} vectors, {found} of {seen} words known"
            )
            known["words"], initial["words.weight"] = with_pretrained(known["words"], vectors, dim)
        characters = surface = None
        if settings.character_hidden:
            known["characters"] = Vocabulary.count(chain.from_iterable(written))
            characters = Characters(
                size=len(known["characters"]),
                dim=settings.character_dim,
                hidden_size=settings.character_hidden,
            )
        if settings.surface_dim:
            affixes = settings.prefixes, settings.suffixes
            known["traits"] = learn_features(forms, *affixes, min_count=settings.surface_min_count)
            surface = Surface(
                size=len(known["traits"]),
                dim=settings.surface_dim,
                prefixes=settings.prefixes,
                suffixes=settings.suffixes,
            )
        inputs = cls(
            size=len(known["words"]),
            dim=dim,
            lowercase=settings.lowercase,
            digits=settings.digits,
            characters=characters,
            surface=surface,
        )
        return LearntInputs(inputs, known, initial)

    def class_tensors(
        self, train: Sequence[Example], vocabularies: Vocabularies, settings: Any
    ) -> dict[str, npt.NDArray[Any]]:
        """Word vectors (V, dim) that start with log-count ratios of labels, where that is set."""
        if not settings.class_ratios:
            return {}
        words, labels = vocabularies["words"], vocabularies["labels"]
        held_VL, held_V = np.zeros((len(words), len(labels))), np.zeros(len(words))
        for example in train:
            held = words.ids({self.normalised(token) for token in _tokens(example)})
            held_V[held] += 1
            target = example.target
            for label in target if isinstance(target, tuple) else (str(target),):
                held_VL[held, labels.id(label)] += 1
        return {"words.weight": with_class_ratios(held_VL, held_V, self.dim)}

    # ------------------------------------------------------------------ at work and in words

    def codec(self, vocabularies: Vocabularies) -> WordCodec:
        """The codec that validates and encodes sequences."""
        return WordCodec(self, vocabularies)

    @property
    def example(self) -> str:
        """Sequences for a call of `predict`, as Python writes them."""
        return '["a text", ["or", "its", "tokens"]]'

    def outline(self) -> str:
        """The inputs in one line of the model card."""
        parts = [f"words {self.size:,} × {self.dim}"]
        if self.characters is not None:
            size, dim = self.characters.size, self.characters.dim
            parts.append(f"characters {size:,} × {dim} LSTM ⇄ {self.characters.hidden_size}")
        if self.surface is not None:
            parts.append(f"affixes and shapes {self.surface.size:,} × {self.surface.dim}")
        return " + ".join(parts) + (f" = {self.width}" if len(parts) > 1 else "")

    def stages(self) -> list[InputStage]:
        """The inputs in the drawing of a model."""
        parts = [RowPart(self.dim, "word")]
        if self.characters is not None:
            hidden = self.characters.hidden_size
            parts += [RowPart(hidden, "letters", "forward"), RowPart(hidden, "letters", "backward")]
        if self.surface is not None:
            parts.append(RowPart(self.surface.dim, "form"))
        tensors = ("words.", "characters.", "surface.")
        return [InputStage(f"words, {self.size:,} known", tensors, parts)]

    def limitation(self) -> str:
        """What of its inputs a model cannot judge."""
        if self.characters is None and self.surface is None:
            return "All words it never saw look the same to it; only neighbours tell them apart."
        return "A word it never saw is judged by its written form and its neighbours."


class WordCodec(Codec[Words]):
    """Validates texts and lists of tokens, and encodes words, characters and features."""

    def validated(self, given: Any, name: str, split: Split) -> Steps:
        """A text, split into words, or a list of tokens."""
        return split(given, name) if isinstance(given, str) else tokens_of(given, name, self.inputs)

    def validated_step(self, given: Any, name: str) -> Steps:
        """One word."""
        return (token_of(given, name),)

    def check_texts(self, one: str, two: str, first: int) -> None:
        """Refuse ["The", "bank"], which is probably one sentence and not two texts."""
        if len(tokenise(one)) == len(tokenise(two)) == 1:
            raise DataError(
                f"sequence {first} is {described(one)}, the next {described(two)}: single tokens. "
                "Give the tokens of one sentence in a list of their own, [['The', 'bank'], ...]; "
                "sentences of one token too: [['The'], ['bank']]"
            )

    def rows(self, sequences: Sequence[Steps]) -> WordRows:
        """Numbers of the words, and of what their distinct written forms are made of.

        Every distinct form is encoded once. A spelling of more than 64
        characters is cut to its first and last 32, which bounds what one word can cost.
        """
        given, forms = distinct(sequences)
        words_F, written, characters, features_FK = self._of_forms(given)
        strings = np.empty(len(written), dtype=object)
        strings[:] = written
        return WordRows(words_F[forms], forms, strings, characters, features_FK)

    def embedding(self, tensors: Tensors, encoder: Preparer) -> Embed:
        """Numbers of the words of a call in a cache of their rows."""
        vectors_of = WordVectors(self.inputs.characters, self.inputs.surface, tensors)

        def compute(forms: list[str]) -> Floats:
            words_F, _, characters, features_FK = self._of_forms(forms)
            return vectors_of(words_F, characters, features_FK)

        cache = RowCache(compute, encoder, self.inputs.width)
        return lambda sequences: cache.find(tokens_in(sequences))

    def unknown(self, sequence: Steps) -> npt.NDArray[np.bool_]:
        """Which tokens are no known word, (T,)."""
        tokens = cast("Iterable[str]", sequence)
        unknown: npt.NDArray[np.bool_] = self._words(map(canonical, tokens)) == 0
        return unknown

    def notices(self, sequences: Iterable[Steps]) -> list[str]:
        """Notices of another tokenisation than training's, and of many unknown words."""
        given = islice(cast("Iterable[str]", chain.from_iterable(sequences)), MOST_TOKENS)
        words = self.vocabularies["words"]
        lowercase, digits = self.inputs.lowercase, self.inputs.digits
        looked_up = [normalise(word, lowercase, digits) for word in given]
        notices = []
        if "n't" in looked_up and "n't" not in words and "don't" in words:
            notices.append(
                "the model knows don't as one word, and not do n't as texts are split: give "
                "texts in the tokens of its training (--tokens)"
            )
        return notices + mostly_unknown(words.known(looked_up), len(looked_up), "words")

    def _words(self, written: Iterable[str]) -> Integers:
        return self.vocabularies["words"].ids(map(self.inputs.normalised, written))

    def _of_forms(
        self, given: Sequence[str]
    ) -> tuple[Integers, list[str], Ragged[Integers] | None, Integers | None]:
        """Numbers of words, canonical forms, characters and features of distinct forms."""
        # A decomposed form is looked up as the composed one of training.
        written = list(map(canonical, given))
        known, surface = self.vocabularies, self.inputs.surface
        characters = features_FK = None
        if self.inputs.characters is not None:
            characters = spellings(written, known["characters"])
        if surface is not None:
            affixes = surface.prefixes, surface.suffixes
            features_FK = feature_ids(written, *affixes, known["traits"])
        return self._words(written), written, characters, features_FK


def _tokens(example: Example) -> Iterable[str]:
    return cast("Iterable[str]", example.inputs)
