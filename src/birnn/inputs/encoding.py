"""Examples into arrays, as a model's description says.

A whole set is encoded once: every distinct written form is normalised, spelt and hashed once, and
a batch is then cut out of arrays.
"""

# N rows of all sequences, B sequences, F distinct written forms, D channels, K target values

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.data.alphabet import Alphabet
from birnn.data.examples import Example
from birnn.data.numeric import narrow, not_finite, reals
from birnn.data.words import canonical
from birnn.errors import ConfigError, DataError
from birnn.inputs.rows import Batch, Floats, Integers, Rows, SymbolRows, VectorRows, WordRows
from birnn.inputs.surface import trait_ids
from birnn.inputs.symbols import Symbols
from birnn.inputs.vectors import Vectors
from birnn.inputs.vocabulary import Vocabularies, Vocabulary, normalise
from birnn.inputs.words import Words
from birnn.ragged import Ragged

LONGEST_SPELLING = 64

Given = Example | Sequence[str] | npt.NDArray[Any]


class Encoded:
    """A set of sequences in arrays, from which batches are cut.

    Args:
        inputs: Rows of all sequences.
        lengths: Length of each sequence, (B,).
        targets: As in `Batch`, for all sequences.
        per_step: Whether targets stand on rows; else they stand on sequences.
    """

    __slots__ = ("_starts", "inputs", "lengths", "per_step", "targets")

    def __init__(
        self,
        inputs: Rows,
        lengths: Integers,
        targets: npt.NDArray[Any] | None = None,
        *,
        per_step: bool = False,
    ) -> None:
        self.inputs = inputs
        self.lengths = lengths
        self.targets = targets
        self.per_step = per_step
        self._starts = np.cumsum(lengths) - lengths

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    def with_targets(self, targets: npt.NDArray[Any] | None, *, per_step: bool) -> Encoded:
        """The same sequences with what is learnt of them."""
        return Encoded(self.inputs, self.lengths, targets, per_step=per_step)

    def batch(self, indices: npt.ArrayLike) -> Batch:
        """The sequences that ``indices`` name, in that order.

        Args:
            indices: Numbers of sequences, (K,); repeats are allowed.
        """
        order = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[order]
        first = self._starts[order] - (np.cumsum(lengths) - lengths)
        rows = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(first, lengths)
        targets = self.targets
        if targets is not None:
            targets = targets[rows if self.per_step else order]
        return Batch(self.inputs.take(rows), lengths, targets)


@dataclass(frozen=True, slots=True)
class Codec:
    """Turns sequences into the numbers that a model reads.

    Args:
        inputs: Description of the model's inputs.
        vocabularies: What its numbers stand for.

    Raises:
        ConfigError: A vocabulary that the inputs need is missing.

    Example:
        >>> inputs = Words(size=3, dim=8)
        >>> codec = Codec(inputs, {"words": Vocabulary(["the", "bank"])})
        >>> batch = codec.encode([("The", "bank"), (), ("the", "river")]).batch([2, 0])
        >>> batch.inputs.words.tolist(), batch.lengths.tolist()
        ([1, 0, 1, 2], [2, 2])
    """

    inputs: Words | Symbols | Vectors
    vocabularies: Vocabularies

    def __post_init__(self) -> None:
        needed = {"words": ["words"], "symbols": ["symbols"], "vectors": []}[self.inputs.kind]
        if isinstance(self.inputs, Words):
            needed += ["characters"] if self.inputs.characters is not None else []
            needed += ["traits"] if self.inputs.surface is not None else []
        for name in needed:
            if name not in self.vocabularies:
                raise ConfigError(f"{self.inputs.kind} as inputs need a vocabulary of {name}")

    def encode(self, sequences: Iterable[Given]) -> Encoded:
        """A whole set; what is learnt of it is added by `Encoded.with_targets`.

        A spelling of more than 64 characters is cut to its first and last 32 for the character
        network, which bounds what one word can cost.

        Args:
            sequences: Examples, or sequences of strings, or arrays (T, D).

        Raises:
            DataError: A sequence of another kind than the model reads, an empty token, other
                channels, a value that is not finite: sequence and step are named.
        """
        examples = [
            given if isinstance(given, Example) else Example(given)  # type: ignore[arg-type]
            for given in sequences
        ]
        rows: Rows
        if isinstance(self.inputs, Vectors):
            vectors = [self._vectors(i, example) for i, example in enumerate(examples)]
            lengths = np.array([len(sequence) for sequence in vectors], dtype=np.int64)
            empty = np.zeros((0, self.inputs.size), np.float32)
            rows = VectorRows(np.concatenate([empty, *vectors]))
        else:
            lengths = _check_strings(examples)
            items = list(chain.from_iterable(example.inputs for example in examples))
            known: dict[str, int] = {}
            try:
                forms = np.array([known.setdefault(i, len(known)) for i in items], dtype=np.int64)
                sound = all(isinstance(form, str) and form for form in known)
            except TypeError:
                sound = False
            if not sound:
                raise _bad_token(examples)
            written = list(known)
            if isinstance(self.inputs, Symbols):
                symbols = self.vocabularies["symbols"]
                rows = SymbolRows(symbols.ids(alphabet_of(symbols).capitals(written))[forms])
            else:
                rows = self._words(self.inputs, written, forms)
        return Encoded(rows, lengths)

    def _words(self, inputs: Words, given: list[str], forms: Integers) -> WordRows:
        # A form that came decomposed is that of training, letter by letter.
        written = list(map(canonical, given))
        looked_up = [normalise(form, inputs.lowercase, inputs.digits) for form in written]
        strings = np.empty(len(written), dtype=object)
        strings[:] = written
        surface = inputs.surface
        return WordRows(
            words=self.vocabularies["words"].ids(looked_up)[forms],
            forms=forms,
            written=strings,
            characters=None
            if inputs.characters is None
            else spellings(written, self.vocabularies["characters"]),
            traits=None
            if surface is None
            else trait_ids(
                written, surface.prefixes, surface.suffixes, self.vocabularies["traits"]
            ),
        )

    def _vectors(self, index: int, example: Example) -> Floats:
        assert isinstance(self.inputs, Vectors)
        channels = self.inputs.size
        given = example.inputs
        try:
            values_TD = reals(given)
        except ValueError:
            raise DataError(
                f"{_named(index, example)} is no array of numbers, the model reads vectors: "
                f"give an array (T, {channels})."
            ) from None
        if values_TD.ndim == 1 and not len(values_TD):
            return np.zeros((0, channels), np.float32)
        if values_TD.ndim != 2:
            raise DataError(
                f"{_named(index, example)} has shape {values_TD.shape}, "
                f"the model reads vectors: give an array (T, {channels})."
            )
        if values_TD.shape[1] != channels:
            raise DataError(
                f"{_named(index, example)} has {values_TD.shape[1]} channels, "
                f"the model reads {channels}. Give the channels it was trained on."
            )
        bad = not_finite(values_TD)
        if bad is not None:
            raise DataError(
                f"{_named(index, example)}, step {bad[0]}, channel {bad[1]} is "
                f"{narrow(values_TD)[bad]} (as float32). Fill it in or leave the sequence out."
            )
        return narrow(values_TD, self.inputs.offset)


@functools.lru_cache(maxsize=64)
def alphabet_of(symbols: Vocabulary) -> Alphabet:
    """The alphabet of a vocabulary, made once."""
    return Alphabet(symbols.items)


def spellings(forms: Sequence[str], characters: Vocabulary) -> Ragged[Integers]:
    """Numbers of the characters of each form, forms over 64 characters cut to 32 at each end.

    Example:
        >>> spellings(["cab", "a"], Vocabulary("abc")).values.tolist()
        [3, 1, 2, 1]
    """
    half = LONGEST_SPELLING // 2
    cut = [form if len(form) <= LONGEST_SPELLING else form[:half] + form[-half:] for form in forms]
    points = np.frombuffer("".join(cut).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    distinct, inverse = np.unique(points, return_inverse=True)
    numbers = characters.ids(map(chr, distinct.tolist()))
    return Ragged(numbers[inverse], np.array([len(form) for form in cut], dtype=np.int64))


def _named(index: int, example: Example) -> str:
    return f"sequence {index}" + (f" ({example.where})" if example.where else "")


def _check_strings(examples: list[Example]) -> Integers:
    """Lengths of the sequences, once none of them is a bare string or no sequence at all."""
    for index, example in enumerate(examples):
        given: object = example.inputs
        if isinstance(given, str):
            raise DataError(
                f"{_named(index, example)} is the string {given[:40]!r}, a sequence of strings is "
                "needed. Give a list of token lists: [['one', 'sentence']]."
            )
        if not isinstance(given, Sequence):
            raise DataError(
                f"{_named(index, example)} is a {type(given).__name__}, the model reads strings: "
                "give a list of token lists: [['one', 'sentence']]."
            )
    return np.array([len(example.inputs) for example in examples], dtype=np.int64)


def _bad_token(examples: list[Example]) -> DataError:
    for index, example in enumerate(examples):
        for step, token in enumerate(example.inputs):
            if not isinstance(token, str):
                return DataError(
                    f"{_named(index, example)}, step {step} is a {type(token).__name__}, "
                    "a string is needed."
                )
            if not token:
                return DataError(
                    f"{_named(index, example)}, step {step} is an empty string. Leave it out."
                )
    raise AssertionError("a token was refused and none is wrong")
