"""Validation of the sequences of a call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from birnn.bundle.spec import Spec
from birnn.data.alphabet import split_symbols
from birnn.data.conversion import described
from birnn.data.examples import Example
from birnn.data.frames import is_iterable, is_table
from birnn.data.headers import called
from birnn.data.missing import MissingValues, Rule
from birnn.data.objects import unpacked
from birnn.data.offsets import Offsets
from birnn.data.options import ReadOptions
from birnn.data.tokeniser import SplitMode, Splitter
from birnn.errors import DataError, Tell
from birnn.inputs.kind import Codec, Steps

GivenText = tuple[str | None, Offsets | None]
"""The text that a sequence came in, None of tokens or vectors; where its tokens stand, if known."""

NO_TEXT: GivenText = (None, None)

# Remedies for a text that was split the wrong way.
_REMEDIES = ("give a list of its tokens", "give birnn.data.tokenise(text)")


def validated(
    spec: Spec,
    codec: Codec[Any],
    sequences: Any,
    *,
    first: int = 0,
    split: SplitMode = "auto",
    source_split: str | None = None,
    tell: Tell | None = None,
    options: Callable[[], ReadOptions] = ReadOptions,
    texts: deque[GivenText] | None = None,
    missing: Rule = "refuse",
) -> Iterator[Steps]:
    """The sequences of a call, validated one by one as they come.

    Args:
        spec: What the model is.
        codec: The codec of its inputs.
        sequences: Lists of tokens; of words also plain texts; for symbols also plain strings, as
            the alphabet reads them; for vectors arrays (T, D). Tables and records as
            `birnn.data.objects.unpacked` takes them.
        first: Number of the first sequence, for messages.
        split: How words are found in plain texts, see `birnn.data.ReadOptions`.
        source_split: How a string is split where targets are sequences, likewise.
        tell: Takes each notice, one line.
        options: Gives the options of reading; called only for tables and dicts.
        texts: Receives the text of each sequence before it is yielded.
        missing: What fills missing values of vectors.

    Raises:
        DataError: A sequence that the model cannot read; the message names it, and the step.

    Example:
        >>> from birnn.bundle.spec import Encoder
        >>> from birnn.inputs import Vocabulary, Words
        >>> from birnn.tasks import Label
        >>> spec = Spec(inputs=Words(size=2, dim=1), encoder=Encoder(), head=Label(size=2))
        >>> codec = spec.inputs.codec({"words": Vocabulary(["so"])})
        >>> list(validated(spec, codec, ["so good", ["so", "bad"]]))
        [('so', 'good'), ['so', 'bad']]
    """
    if isinstance(sequences, str | bytes) or not (is_table(sequences) or is_iterable(sequences)):
        raise DataError(
            f"sequences is {described(sequences)}. Give a list of sequences: {spec.inputs.wanted}"
        )
    codec.check_call(sequences)
    # A column of a table holds texts, however short; and who asks for texts gave them.
    may_be_one = spec.head.per_step and not is_table(sequences) and texts is None
    of_examples: deque[GivenText] = deque()
    if texts is not None and not is_table(sequences):
        sequences = _with_texts(sequences, of_examples)
    vectors = spec.inputs.holds == "vectors"
    filling = MissingValues(missing) if vectors and missing != "refuse" else None
    sequences = unpacked(
        sequences, spec.head.target, options, number=first, tell=tell, vectors=vectors
    )
    splitter = Splitter(split, tell, _REMEDIES)
    text = ""
    for number, sequence in enumerate(sequences, first):
        if may_be_one and number <= first + 1 and isinstance(sequence, str):
            if text:
                codec.check_texts(text, sequence, first)
            text = sequence
        if not spec.head.per_step:
            _refuse_pair(sequence, number, called(spec.head.target))
        given = sequence
        if filling is not None:
            sequence = filling.of(sequence, f"sequence {number}")
        if source_split is not None and isinstance(sequence, str):
            sequence = split_symbols(sequence, source_split)
        steps = spec.head.validated(codec, sequence, f"sequence {number}", splitter)
        if texts is not None:
            whole = of_examples.popleft() if of_examples else NO_TEXT
            texts.append((given, None) if whole[0] is None and isinstance(given, str) else whole)
        yield steps
    if filling is not None and tell is not None:
        filling.report(tell)


def _with_texts(sequences: Iterable[Any], texts: deque[GivenText]) -> Iterator[Any]:
    """The sequences as they are; the text of each example, which is unpacked without it."""
    for item in sequences:
        texts.append((item.text, item.offsets) if isinstance(item, Example) else NO_TEXT)
        yield item


def _refuse_pair(sequence: Any, number: int, names: tuple[str, str]) -> None:
    """("so good", "positive") is an example with its label, and no sequence of two words."""
    if not isinstance(sequence, tuple) or len(sequence) != 2:
        return
    text, label = sequence
    listed = isinstance(text, list | tuple) and isinstance(label, str)
    # A space alone may be a symbol.
    strings = [each.strip() for each in sequence if isinstance(each, str)]
    if listed or any(any(map(str.isspace, each)) for each in strings):
        one, other = names
        raise DataError(
            f"sequence {number} is {described(sequence)}, which looks like a {one} and its "
            f"{other}. Give the {one} alone, or its tokens as a list."
        )
