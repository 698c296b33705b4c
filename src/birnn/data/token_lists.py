"""Tables of a sentence a row: its tokens in one cell, their tags in another.

A cell is a list, as JSON or Python writes it, or what white space parts; tags may be parted by
commas:

    Sentence #,Sentence,Tag
    1,Ada Lovelace sings,"['B-per', 'I-per', 'O']"
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from birnn.data.conll_columns import SENTENCE_NAMES, TAG_NAMES, TOKEN_NAMES
from birnn.data.examples import Example
from birnn.data.headers import plain_name
from birnn.data.options import ReadRequest
from birnn.data.source import NumberedRow
from birnn.errors import DataError

OPTIONS = "--text-column, --label-column"

_TOKENS = ("tokens", "words", "token", "word", *sorted(TOKEN_NAMES), "sentence", "sentences")
_TAGS = ("word labels", "tags", "tag", *sorted(TAG_NAMES))
_SPEECH = frozenset(name for name in TAG_NAMES if "pos" in name) | {"chunk"}


@dataclass(frozen=True, slots=True)
class TokenLists:
    """Which places of a row are read."""

    names: tuple[str, ...]  # of all columns
    id: int | None
    tokens: int
    tags: int | None  # none where they are not read

    @property
    def notice(self) -> str:
        """What was recognised, in words."""
        tags = "" if self.tags is None else f", their tags {self.names[self.tags]!r}"
        return f"a sentence in each row: tokens are {self.names[self.tokens]!r}{tags}"

    def found(self) -> dict[str, str]:
        """What was recognised, as the options that would say the same."""
        places = {"text_column": self.tokens, "label_column": self.tags}
        return {name: self.names[at] for name, at in places.items() if at is not None}


def find_lists(
    first: Sequence[str], rest: Sequence[Sequence[str]], request: ReadRequest
) -> TokenLists | None:
    """The columns of tokens and tags by their names; None unless the rows have as many of each.

    Where tags are not read, the tokens have to be lists: a text is split as any other.

    Example:
        >>> rows = [["Ada sings", "['B-per', 'O']"], ["Bob", "['B-per']"]]
        >>> find_lists(["Sentence", "Tag"], rows, ReadRequest()).found()
        {'text_column': 'Sentence', 'label_column': 'Tag'}
        >>> find_lists(["Sentence", "Tag"], [["so good", "pos"]], ReadRequest())
    """
    if request.target != "tags" or request.options.given("series"):
        return None
    plain, options = list(map(plain_name, first)), request.options
    rows = [row for row in rest if len(row) == len(first)]

    def places(option: str, known: Iterable[str]) -> list[int]:
        ref = getattr(options, option)
        names = known if ref is None else [plain_name(ref)]
        found = [at for name in map(plain_name, names) for at, n in enumerate(plain) if n == name]
        return list(dict.fromkeys(found))

    ids = [at for at, name in enumerate(plain) if name in map(plain_name, SENTENCE_NAMES)]
    tagged = places("label_column", [*(n for n in _TAGS if n not in _SPEECH), *_SPEECH])
    for at in places("text_column", _TOKENS):
        name = next((each for each in ids if each != at), None)
        cells = [_listed(row[at]) for row in rows if row[at]]
        if not request.labelled:
            if cells and None not in cells:
                return TokenLists(tuple(map(str.strip, first)), name, at, None)
            continue
        for tags in tagged:
            pairs = [_pair(row[at], row[tags]) for row in rows]
            longest = max((len(tokens) for tokens, _ in pairs), default=0)
            if tags != at and longest > 1 and all(len(a) == len(b) for a, b in pairs):
                return TokenLists(tuple(map(str.strip, first)), name, at, tags)
    return None


def listed_sentences(
    found: TokenLists,
    rows: Iterable[NumberedRow],
    where: Callable[[int], str],
    fault: Callable[[str, int], DataError],
) -> Iterator[Example]:
    """The sentences of the rows.

    Args:
        found: The columns.
        rows: The rows and their numbers; one of no cells is left out.
        where: Gives the place of a row, for messages.
        fault: Makes the error for a row.

    Raises:
        DataError: A row of another length, or whose tags are not as many as its tokens.
    """
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(found.names):
            raise fault(f"{len(row)} cells, the first row has {len(found.names)}.", number)
        tokens, tags = _pair(row[found.tokens], "" if found.tags is None else row[found.tags])
        if not all(token and isinstance(token, str) for token in tokens):
            raise fault(f"tokens are {tokens[:6]}, strings are needed.", number)
        if found.tags is not None and len(tokens) != len(tags):
            raise fault(
                f"{len(tokens)} tokens and {len(tags)} tags. Give every token one tag.", number
            )
        name = None if found.id is None else row[found.id].strip() or None
        target = None if found.tags is None else tuple(map(str, tags))
        yield Example(tuple(tokens), target, where(number), name)


def _pair(tokens: str, tags: str) -> tuple[list[Any], list[Any]]:
    """The tokens and the tags of two cells."""
    found, answers = _listed(tokens), _listed(tags)
    found = tokens.split() if found is None else found
    if answers is None:
        answers = tags.split()
        if len(answers) != len(found) and "," in tags:
            answers = [tag.strip() for tag in tags.split(",")]
    return found, answers


def _listed(cell: str) -> list[Any] | None:
    """The list that a cell is; None where it is none."""
    if not cell.lstrip().startswith(("[", "(")):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(cell.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | tuple):
            return list(found)
    return None
