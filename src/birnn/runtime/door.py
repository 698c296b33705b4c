"""What a caller hands in, as sequences that fit the model, or a message that says what does not."""

# T steps of a sequence, D channels

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from birnn.bundle.spec import Spec
from birnn.data.alphabet import Alphabet
from birnn.data.numeric import Reals, narrow, not_finite, reals
from birnn.data.objects import is_iterable, is_table, unpacked
from birnn.data.options import ReadOptions
from birnn.data.words import Split, Splitter, tokenise
from birnn.errors import DataError, ShapeError
from birnn.inputs import Inputs, Vectors, Words
from birnn.inputs.vocabulary import normalise
from birnn.tasks import Tags

# Of the tokens of a call, for a notice that most are unknown.
FEWEST_TOKENS = 10
MOST_TOKENS = 1000

Sequence = list[str] | tuple[str, ...] | Reals


# What a caller does where a text was split the wrong way.
_REMEDIES = ("give a list of its tokens", "give birnn.data.tokenise(text)")


def admit(
    spec: Spec,
    sequences: Any,
    *,
    first: int = 0,
    alphabet: Alphabet | None = None,
    split: Split = "auto",
    tell: Callable[[str], None] | None = None,
    options: Callable[[], ReadOptions] = ReadOptions,
) -> Iterator[Sequence]:
    """The sequences of a call, checked one by one as they come.

    Args:
        spec: What the model reads.
        sequences: Lists of tokens; of words also plain texts; for symbols also plain strings, as
            the alphabet reads them; for vectors arrays (T, D). Tables and records as
            `birnn.data.objects.unpacked` takes them.
        first: Number of the first sequence, for messages.
        alphabet: The symbols that the model knows.
        split: How words are found in plain texts, see `birnn.data.ReadOptions`.
        tell: Takes what was guessed of them, one line.
        options: Gives how tables are read; asked where there is one.

    Raises:
        DataError: Something else; the message names the sequence and the step.

    Example:
        >>> from birnn.bundle.spec import Encoder
        >>> from birnn.tasks import Label
        >>> from birnn.inputs import Words
        >>> spec = Spec(inputs=Words(size=2, dim=1), encoder=Encoder(), head=Label(size=2))
        >>> list(admit(spec, ["so good", ["so", "bad"]]))
        [('so', 'good'), ['so', 'bad']]
    """
    if isinstance(sequences, str | bytes) or not (is_table(sequences) or is_iterable(sequences)):
        raise DataError(
            f"sequences is {_short(sequences)}. Give a list of sequences: {_wanted(spec)}"
        )
    vectors = isinstance(spec.inputs, Vectors)
    if vectors and isinstance(sequences, np.ndarray) and sequences.ndim == 2:
        raise ShapeError(
            f"sequences is one array of shape {sequences.shape}. Give a list of sequences: "
            f"{_wanted(spec)}"
        )
    if vectors and is_table(sequences) and "vectors" not in list(sequences):
        raise DataError(
            f"sequences is a {type(sequences).__name__}, and which of its rows belong to one "
            f"series is not said. Give a list of sequences: {_wanted(spec)}"
        )
    # A column of a table holds texts, however short.
    may_be_flat = isinstance(spec.head, Tags) and not is_table(sequences)
    sequences = unpacked(sequences, spec.head.target, options, number=first, tell=tell)
    words = Splitter(split, tell, _REMEDIES)
    before = ""
    for number, sequence in enumerate(sequences, first):
        if vectors:
            yield _vectors(spec, number, sequence)
        elif isinstance(sequence, str) and spec.inputs.kind == "words":
            if number == first:
                before = sequence
            elif number == first + 1 and may_be_flat:
                _refuse_flat_list(before, sequence, first)
            yield words(sequence, f"sequence {number}")
        else:
            yield _tokens(spec, number, sequence, alphabet)


class Known:
    """What a model knows of the tokens that it reads, for a notice where that is little.

    Args:
        inputs: What the model reads.
        items: Its words or symbols; none for vectors.

    Example:
        >>> from birnn.inputs import Symbols
        >>> known = Known(Symbols(size=4, dim=1), ("<unk>", "M", "K", "V"))
        >>> known.notices([tuple("mkvmkvmkvmkv")])
        ['lower-case symbols are read as capitals: the model knows no others']
        >>> known.notices([tuple("ABCDEFGHIJKL")])
        ['the model knows 1 of the 12 symbols, and reads the others as one: is this its data?']
    """

    def __init__(self, inputs: Inputs, items: tuple[str, ...]) -> None:
        self.alphabet = Alphabet(items if inputs.kind == "symbols" else ())
        self._inputs = inputs
        self._items = items
        self._words: frozenset[str] | None = None

    def notices(self, sequences: Iterable[Any]) -> list[str]:
        """What to tell of sequences that have passed the door; the first thousand tokens count."""
        if isinstance(self._inputs, Vectors):
            return []
        tokens = list(islice(chain.from_iterable(sequences), MOST_TOKENS))
        told = []
        if isinstance(self._inputs, Words):
            # Made where it is first needed: there may be a million of them.
            self._words = self._words or frozenset(self._items)
            lower, digits = self._inputs.lowercase, self._inputs.digits
            looked_up = [normalise(token, lower, digits) for token in tokens]
            kind, known = "words", sum(word in self._words for word in looked_up)
            if "n't" in looked_up and "n't" not in self._words and "don't" in self._words:
                told.append(
                    "the model knows don't as one word, and not do n't as texts are split: give "
                    "texts in the tokens of its training (--tokens)"
                )
        else:
            if self.alphabet.lower(tokens):
                told.append("lower-case symbols are read as capitals: the model knows no others")
            symbols = self.alphabet.capitals(tokens)
            kind, known = "symbols", sum(symbol in self.alphabet.known for symbol in symbols)
        if len(tokens) >= FEWEST_TOKENS and known < len(tokens) / 2:
            told.append(
                f"the model knows {known} of the {'first ' * (len(tokens) == MOST_TOKENS)}"
                f"{len(tokens)} {kind}, and reads the others as one: is this its data?"
            )
        return told


def _refuse_flat_list(one: str, two: str, first: int) -> None:
    """["The", "bank"] is hardly two texts: one sentence is meant."""
    if len(tokenise(one)) == len(tokenise(two)) == 1:
        raise DataError(
            f"sequence {first} is {_short(one)}, the next {_short(two)}: single tokens. Give the "
            f"tokens of one sentence in a list of their own, [['The', 'bank'], ...]; sentences of "
            "one token too: [['The'], ['bank']]"
        )


def _tokens(spec: Spec, number: int, sequence: Any, alphabet: Alphabet | None) -> Sequence:
    if isinstance(sequence, str) and spec.inputs.kind == "symbols":
        return (alphabet or Alphabet()).split(sequence)
    if not isinstance(sequence, list | tuple):
        unordered = is_table(sequence) or isinstance(sequence, set | frozenset)
        if isinstance(sequence, str | bytes) or unordered or not is_iterable(sequence):
            raise DataError(
                f"sequence {number} is {_short(sequence)}, not a list of tokens. "
                f"Give a list of sequences: {_wanted(spec)}"
            )
        sequence = list(sequence)
    pair = isinstance(sequence, tuple) and len(sequence) == 2 and not isinstance(spec.head, Tags)
    if pair and any(map(str.isspace, str(sequence[0]))):
        raise DataError(
            f"sequence {number} is {_short(sequence)}, which looks like a text and its label. "
            "Give the text alone, or its tokens as a list."
        )
    # One pass in C; the loop that finds the step runs only where there is something to find.
    if not set(map(type, sequence)) <= {str} or "" in sequence:
        for step, token in enumerate(sequence):
            if isinstance(token, float | np.floating | list | tuple | np.ndarray):
                raise DataError(
                    f"sequence {number}, step {step}: {_short(token)} is no token, and the model "
                    f"reads {spec.inputs.kind}, not vectors. "
                    f"Give a list of sequences: {_wanted(spec)}"
                )
            if not isinstance(token, str) or not token:
                raise DataError(
                    f"sequence {number}, step {step}: {_short(token)} is no token. "
                    "A token is a string of at least one character."
                )
        # Strings of another class, as NumPy's, become plain ones.
        sequence = [str(token) for token in sequence]
    if alphabet is not None and len(sequence) == 1 and alphabet.is_string(sequence[0]):
        raise DataError(
            f"sequence {number} is {_short(sequence)}: one symbol, where the model reads single "
            f"characters. Give the string itself, or a list of its symbols: {_wanted(spec)}"
        )
    checked: Sequence = sequence
    return checked


def _vectors(spec: Spec, number: int, sequence: Any) -> Sequence:
    channels = spec.inputs.width
    try:
        array = reals(sequence)
    except ValueError:
        raise ShapeError(
            f"sequence {number} is {_short(sequence)}, not an array of numbers (steps, channels). "
            f"Give a list of sequences: {_wanted(spec)}"
        ) from None
    if array.size == 0 and array.ndim <= 2:
        return array.reshape(0, channels)
    if array.ndim != 2 or array.shape[1] != channels:
        raise ShapeError(
            f"sequence {number} has shape {array.shape}, the model reads (steps, {channels}). "
            f"Give it the {channels} channels that the model was trained on."
        )
    bad = not_finite(array)
    if bad is not None:
        raise DataError(
            f"sequence {number}, step {bad[0]}: channel {bad[1]} is {narrow(array)[bad]}. "
            "Fill or drop steps without a value first."
        )
    return array


def _wanted(spec: Spec) -> str:
    """What a call looks like."""
    if isinstance(spec.inputs, Vectors):
        return f"[array of shape (steps, {spec.inputs.size}), ...]"
    if spec.inputs.kind == "symbols":
        return '["MKV", ["M", "K", "V"], ...]'
    return '["a text", ["or", "its", "tokens"], ...]'


def _short(value: Any) -> str:
    text = f"{type(value).__name__} {value!r}".replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
