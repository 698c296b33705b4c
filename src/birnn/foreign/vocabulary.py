"""What comes beside a foreign model: vocabulary and labels, and birnn's order of them."""

# V rows of the embedding, L labels

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from birnn.bundle.checks import shortlist
from birnn.data.alphabet import UNKNOWN
from birnn.errors import ConversionError, FormatError, UsageError, nearest
from birnn.inputs import Symbols, Words, normalise
from birnn.reference.activations import ActivationName
from birnn.reference.stack import CellName
from birnn.tasks import TASKS

Array = npt.NDArray[Any]
Given = str | Path | Mapping[str, int] | Sequence[str]
"""A file, or items in the order of their numbers, or the number of each."""

MOST_BYTES = 1 << 28
KindName = Literal["words", "symbols"]

CHOICES: dict[str, tuple[str, ...]] = {
    "task": tuple(TASKS),
    "inputs": get_args(KindName),
    "cell": get_args(CellName),
    "activation": (*get_args(ActivationName), "none"),
}

# What frameworks and their examples call the item of unknown ones, and padding.
UNKNOWNS = ("<unk>", "[unk]", "<oov>", "[oov]", "<unknown>", "_unk_", "-unk-", "unk", "oov")
PADDINGS = ("<pad>", "[pad]", "<padding>", "_pad_", "-pad-", "")


@dataclass(frozen=True, slots=True)
class Beside:
    """What comes beside a foreign model, and what its file does not say.

    Args:
        vocabulary: Items of its embedding: a file, a list in order, or the number of each.
        labels: Its labels, likewise.
        task: tagger, classifier, multilabel or regressor; by default as the model shows.
        inputs: words or symbols; by default symbols where each item is one character.
        cell: The cell of a state dict.
        pooling: How a classifier of a state dict makes one row of a sequence.
        activation: Of hidden layers of a state dict.
        unknown: The item that unknown ones are read as; by default by its name.
        padding: The item of padding; by default by its name.
        lowercase: Whether words are looked up in lower case.
    """

    vocabulary: Given | None = None
    labels: Given | None = None
    task: str | None = None
    inputs: KindName | None = None
    cell: CellName | None = None
    pooling: str | None = None
    activation: ActivationName | Literal["none"] | None = None
    unknown: str | None = None
    padding: str | None = None
    lowercase: bool | None = None

    @classmethod
    def checked(cls, **given: Any) -> Beside:
        """The same from what somebody typed.

        Raises:
            UsageError: A word that is none of those that an option has.

        Example:
            >>> Beside.checked(task="taggr")
            Traceback (most recent call last):
            ...
            birnn.errors.UsageError: task is 'taggr': did you mean tagger?
        """
        for name, known in CHOICES.items():
            value = given.get(name)
            if value is not None and value not in known:
                raise UsageError(f"{name} is {value!r}: {nearest(str(value), known)}")
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Items:
    """Items by number.

    Args:
        where: The file, or what was given, for messages.
        numbers: The number of each item.
        numbered: Whether each came with its number, so that some numbers may have none.
    """

    where: str
    numbers: dict[str, int]
    numbered: bool = False

    @classmethod
    def of(cls, given: Given, what: str) -> Items:
        """Read the items of a file, or take what a program has.

        A file is JSON, a list of items or an object with the number of each, or has one item in
        each line.

        Args:
            given: What was given.
            what: ``vocabulary`` or ``labels``, for messages.

        Raises:
            FormatError: A file that cannot be read, or holds no items.
            ConversionError: An item or number twice.
        """
        if isinstance(given, str | Path):
            return cls._checked(f"{given}", _read(Path(given), what))
        return cls._checked(what, given)

    @classmethod
    def _checked(cls, where: str, given: Any) -> Items:
        if isinstance(given, Mapping):
            pairs = list(given.items())
        elif isinstance(given, Sequence) and not isinstance(given, str):
            pairs = [(item, number) for number, item in enumerate(given)]
        else:
            raise FormatError(f"{where}: is a {type(given).__name__}, not a list of items")
        for item, number in pairs:
            if not isinstance(item, str) or type(number) is not int or number < 0:
                raise FormatError(
                    f"{where}: {item!r:.100} with number {number!r:.100} is no item. Needed are "
                    "texts, and for an object the number of each from 0 on."
                )
        if not pairs:
            raise FormatError(f"{where}: holds no item")
        for name, found in (("item", [p[0] for p in pairs]), ("number", [p[1] for p in pairs])):
            [(twice, count)] = Counter(found).most_common(1)
            if count > 1:
                raise ConversionError(
                    f"{where}: the {name} {twice!r:.100} stands there {count} times. "
                    "Give each once."
                )
        for item, _ in pairs:
            if item != item.encode("utf-8", "replace").decode("utf-8"):
                raise FormatError(f"{where}: {item!r:.100} is half of a character (a surrogate)")
        return cls(where, dict(pairs), isinstance(given, Mapping))

    def complete(self, size: int, what: str) -> tuple[str, ...]:
        """The items by number, where there is exactly one for each number below ``size``.

        Raises:
            ConversionError: There are more or fewer.
        """
        if sorted(self.numbers.values()) != list(range(size)):
            raise ConversionError(
                f"{self.where}: has {_span(self.numbers)}, the model has {size} {what}. Give one "
                "for each, in the model's order."
            )
        if what == "labels" and not all(map(str.strip, self.numbers)):
            raise ConversionError(f"{self.where}: a label is empty. Is there an empty line?")
        return tuple(sorted(self.numbers, key=self.numbers.__getitem__))


def _span(numbers: Mapping[str, int]) -> str:
    values = sorted(numbers.values())
    if values == list(range(len(values))):
        return f"{len(values):,} items"
    return f"{len(values):,} items with numbers {values[0]} to {values[-1]}"


def _read(path: Path, what: str) -> Any:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FormatError(f"{path}: has more than {MOST_BYTES:,} bytes, as no {what} has")
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    is_json = path.suffix.lower() == ".json"
    if is_json or text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text, object_pairs_hook=_once(str(path)))
        except ConversionError:
            raise
        except (ValueError, RecursionError) as error:
            if is_json:
                raise FormatError(f"{path}: is not JSON: {error!s:.200}") from None
    lines = text.removesuffix("\n").split("\n") if text else []
    if lines and all("\t" in line.strip() for line in lines):
        raise FormatError(
            f"{path}: each line has several columns. Needed is an item in each line, or a JSON "
            "object with the number of each."
        )
    return lines


def _once(where: str) -> Any:
    """Make a dict of pairs with no key twice."""

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            [(twice, count)] = Counter(key for key, _ in pairs).most_common(1)
            raise ConversionError(
                f"{where}: the item {twice!r:.100} stands there {count} times. Give each once."
            )
        return found

    return made


# ---------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class Reordered:
    """Inputs of tokens with their vocabulary in birnn's order: the unknown item first.

    Args:
        inputs: Their description.
        items: Their vocabulary.
        table: The vectors in its order.
    """

    inputs: Words | Symbols
    items: tuple[str, ...]
    table: Array


def reordered(
    items: Items,
    table: Array,
    *,
    padded: bool,
    kind: KindName | None,
    unknown: str | None,
    padding: str | None,
    lowercase: bool | None,
    notices: list[str],
) -> Reordered:
    """The inputs that an embedding and its vocabulary are.

    Args:
        items: The vocabulary.
        table: A vector for each item, (V, D).
        padded: Whether item 0 is padding.
        kind: words or symbols; None: symbols where every item is a single character.
        unknown: The item that unknown ones are read as; None: by its name.
        padding: The item of padding, which is left out; None: by its name.
        lowercase: Whether words are looked up in lower case; None: where no item has a capital.
        notices: Receives what was guessed and done, a line each.

    Raises:
        ConversionError: Another number of items than vectors, or a named item that is none of them.
    """
    rows = len(table)
    numbers = dict(items.numbers)
    if max(numbers.values()) >= rows or (len(numbers) < rows and not items.numbered):
        raise ConversionError(
            f"{items.where}: has {_span(numbers)}, the model has vectors of {rows:,}. Give one for "
            "each in the model's order, or a JSON object with the number of each."
        )
    pad = _special(numbers, padding, PADDINGS, "padding")
    if padded and pad is None:
        pad = next((item for item, number in numbers.items() if number == 0), None)
    left_out = set() if pad is None else {pad}
    known = _special(numbers, unknown, UNKNOWNS, "unknown")
    said = []
    said.append(f"unknown items are read as {known!r}" if known is not None else "")
    said.append(f"{pad!r} is padding and left out" if pad is not None else "")
    free = rows - len(numbers)
    said.append(f"{free:,} vectors without an item are left out" if free else "")
    kept = sorted((i for i in numbers if i not in left_out | {known}), key=numbers.__getitem__)
    first = np.zeros(table.shape[1]) if known is None else table[numbers[known]]
    if known is None:
        said.append("no item stands for unknown ones: they get zeros")
    if kind is None:
        kind = "symbols" if kept and all(len(item) == 1 for item in kept) else "words"
        said.append(f"the items are {kind}")
    if kind == "words":
        inputs: Words | Symbols = _words(kept, table.shape[1], lowercase, said)
    else:
        inputs = Symbols(size=len(kept) + 1, dim=table.shape[1])
        if lowercase is not None:
            raise UsageError("lowercase is of words, symbols are looked up as they are")
    places = [numbers[item] for item in kept]
    notices.append(f"{items.where}: {'; '.join(line for line in said if line)}")
    vectors = np.concatenate([first[None], table[places]])
    return Reordered(inputs, (UNKNOWN, *kept), vectors)


def _special(
    numbers: Mapping[str, int], named: str | None, usual: Sequence[str], what: str
) -> str | None:
    """The item with a meaning of its own; None where there is none.

    Raises:
        ConversionError: The named one is no item.
    """
    if named is not None:
        if named not in numbers:
            raise ConversionError(
                f"the {what} item {named!r} is none of the vocabulary's, which begins with "
                f"{shortlist([repr(item) for item in list(numbers)[:5]])}."
            )
        return named
    found = [item for item in numbers if item.lower() in usual]
    return min(found, key=lambda item: usual.index(item.lower())) if found else None


def _words(kept: list[str], dim: int, lowercase: bool | None, said: list[str]) -> Words:
    """The inputs of words, and how they are looked up."""
    if lowercase is None:
        lowercase = not any(map(_has_capital, kept))
        said.append(
            "words are looked up in lower case, as no item has a capital"
            if lowercase
            else "words are looked up as written"
        )
    never = [item for item in kept if normalise(item, lowercase, digits=False) != item]
    if never:
        said.append(
            f"{len(never):,} items are never found, as words are normalised before: "
            f"{shortlist([repr(item) for item in never[:3]])}"
        )
    return Words(size=len(kept) + 1, dim=dim, lowercase=lowercase, digits=False)


def _has_capital(item: str) -> bool:
    return item != item.lower() and not (item[:1] in "<[" and item[-1:] in ">]")
