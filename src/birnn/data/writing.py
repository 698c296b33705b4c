"""What writers of file formats share: texts, tokens, spans and labels of an example."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from birnn.data.examples import Example, TargetKind
from birnn.data.numeric import Reals
from birnn.data.offsets import Offsets, token_offsets
from birnn.data.schemes import SchemeName, marks, spans
from birnn.data.spans import TextSpan
from birnn.errors import DataError, Tell

_BREAKS = re.compile(r"\r\n|[\t\n\r]")


@dataclass(slots=True)
class WriteRequest:
    """What a writer is asked for, and what it could not hold; see `birnn.data.write`.

    Args:
        target: The kind of the examples' targets.
        format: Name of the format, for messages.
        scheme: The scheme of tags.
        tag_field: The field of CoNLL-U that tags are.
        labels: All labels of the examples, in order.
        holds: What the format holds beside steps and targets, as `FORMATS` says.
    """

    target: TargetKind
    format: str
    scheme: SchemeName = "none"
    tag_field: str = "upos"
    labels: tuple[str, ...] = ()
    holds: frozenset[str] = frozenset()
    joined: bool = False  # whether texts were made of tokens
    _lost: dict[str, list[str]] = field(default_factory=dict)  # where, of each kind
    _words: dict[str, str] = field(default_factory=dict)  # labels by what they are written as

    def lose(self, what: str, where: str) -> None:
        """Count something that the format does not hold."""
        self._lost.setdefault(what, []).append(where)

    def report(self, tell: Tell) -> None:
        """Give notice of all that was not held."""
        for what, places in self._lost.items():
            tell(f"{places[0]}: {self.format} holds no {what}: {len(places):,}, the first here")

    def fault(self, example: Example, what: str) -> DataError:
        """The error for an example that the format cannot hold."""
        return DataError(f"{example.where}: {what}, which {self.format} cannot hold.")

    def tokens(self, example: Example, breaks: str = "\t") -> tuple[str, ...]:
        """The tokens of an example, none with a character of ``breaks`` or a line break."""
        if not isinstance(example.inputs, tuple):
            raise self.fault(example, "vectors")
        for token in example.inputs:
            if _BREAKS.search(token) and (breaks or "\n" in token or "\r" in token):
                raise self.fault(example, f"the token {token!r}")
        return example.inputs

    def symbols(self, example: Example) -> str:
        """The symbols of an example, each of one character, as one string."""
        for symbol in (tokens := self.tokens(example)):
            if len(symbol) != 1 or symbol.isspace():
                raise self.fault(example, f"the symbol {symbol!r}")
        return "".join(tokens)

    def vectors(self, example: Example) -> Reals:
        """The vectors of an example."""
        if isinstance(example.inputs, tuple):
            raise self.fault(example, "tokens")
        return example.inputs

    def text(self, example: Example) -> str:
        """The text of an example; its tokens joined by blanks where it has none."""
        if example.text is not None:
            return example.text
        tokens = self.tokens(example, "")
        self.joined = True
        if "tokens" not in self.holds:
            what = "tokens, they are written joined by blanks (to be read with --tokens)"
            self.lose(what, example.where)
        return " ".join(tokens)

    def line(self, example: Example) -> str:
        """The text of an example on one line, without tabs."""
        text = self.text(example)
        if _BREAKS.search(text):
            self.lose("line breaks and tabs, blanks stand for them", example.where)
        return _BREAKS.sub(" ", text)

    def placed(self, example: Example) -> tuple[str, Offsets]:
        """The text of an example, and where its tokens stand in it."""
        text = self.text(example)
        if example.offsets is not None and example.text is not None:
            return text, example.offsets
        return text, token_offsets(text, self.tokens(example, ""))

    def spans(self, example: Example, offsets: Offsets) -> list[TextSpan]:
        """The spans that the tags of an example mark, in characters of its text."""
        tags = cast("tuple[str, ...]", example.target or ())
        for tag in tags:
            if tag != "O" and not marks(tag, self.scheme):
                self.lose("tags that mark no span", example.where)
        found = []
        for first, stop, label in spans(tags, self.scheme):
            if not label:
                raise self.fault(example, "spans without a type")
            found.append(TextSpan(offsets[first][0], offsets[stop - 1][1], label))
        return found

    def names(self, example: Example) -> list[str]:
        """The labels of an example: one, several or none."""
        target = example.target
        return [target] if isinstance(target, str) else list(cast("tuple[str, ...]", target or ()))

    def word(self, example: Example, label: str) -> str:
        """A label as a word: blanks are written as underscores, and told."""
        word = "_".join(label.split())
        if word != label:
            self.lose("labels with blanks, underscores stand for them", example.where)
        if self._words.setdefault(word, label) != label:
            raise self.fault(example, f"{label!r} beside {self._words[word]!r}")
        return word

    def sequence(self, symbols: Any) -> str:
        """A target sequence, or the symbols of a source, as a text."""
        return symbols if isinstance(symbols, str) else " ".join(symbols)


def json_line(record: dict[str, Any]) -> str:
    """A record as a line of JSON, in which line separators of Unicode end no line."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    return (
        line.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")
        + "\n"
    )


def numbers(values: Sequence[Any] | Reals) -> list[str]:
    """Numbers as text from which they come back the same.

    Example:
        >>> numbers([0.1, 2.0])
        ['0.1', '2.0']
    """
    return [repr(float(value)) for value in np.asarray(values).ravel().tolist()]
