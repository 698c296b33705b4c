"""Which column of a table, or key of a record, is the text, which the target.

An option decides, then names, then what the cells hold. Every guess is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from birnn.data.conversion import example_of, is_list
from birnn.data.examples import Example, TargetKind
from birnn.data.headers import (
    ENOUGH,
    INDEX,
    LABEL,
    PLAIN,
    TARGET,
    has_header,
    known_places,
    lexicons,
    listed,
    named_header,
    plain_name,
)
from birnn.data.numeric import is_number
from birnn.data.options import ReadRequest
from birnn.errors import DataError

SHOWN = 12  # keys of a record that a message names

# The keys of a record that hold targets, the likeliest first: the first is what birnn writes.
TARGET_KEYS: dict[TargetKind, tuple[str, ...]] = {
    "tags": (
        "tags",
        "ner tags",
        "pos tags",
        "chunk tags",
        "upos",
        "xpos",
        "ner",
        "labels",
        "label",
    ),
    "label": LABEL,
    "values": ("values", "value", "targets", "target", *LABEL),
    "sequence": TARGET,
}
LEARNT = {"tags": "tags are", "label": "label is", "values": "target is", "sequence": "target is"}


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys of a record are read.

    Args:
        inputs: Of the sequence.
        target: Of the target; None where it is not read.
        id: Of its name.
        told: What was guessed, in words.
    """

    inputs: str
    target: str | None
    id: str | None
    told: tuple[str, ...] = ()

    def example(self, record: Mapping[Any, Any], request: ReadRequest, where: str = "") -> Example:
        """The example that a record holds.

        Raises:
            DataError: A key that is missing, a value of a wrong kind.
        """
        names = (self.inputs, self.target or self.inputs)
        for name in names:
            if name not in record:
                raise DataError(_no_key(name, record))
        target = None if self.target is None else record[self.target]
        called = None if self.id is None else record.get(self.id)
        return example_of(record[self.inputs], target, request, where, names=names, called=called)


def keys_of(record: Mapping[Any, Any], request: ReadRequest) -> Keys:
    """Which keys of a record are read, as its names say.

    Raises:
        DataError: None that is known, or several that might be meant.

    Example:
        >>> keys_of({"id": 7, "review": "so good", "stars": 4}, ReadRequest("label"))
        Keys(inputs='review', target='stars', id='id', told=("the text is 'review'", \
"the label is 'stars'"))
    """
    names = {str(key): plain_name(str(key)) for key in record}
    told: list[str] = []
    lists = request.target == "tags" and request.labelled
    inputs = _set_key("text_column", names, request)
    if inputs is None:
        inputs = next((key for key in ("tokens", "vectors") if key in record), None)
    if inputs is None:
        texts = lexicons(request.target)[0]
        found = _ranked(names, ("words", "forms", "sentence") if lists else texts)
        found = [key for key in found if not lists or is_list(record[key])]
        if not found:
            wanted = "tokens" if lists else "source" if request.target == "sequence" else "text"
            raise DataError(_no_key(wanted, record))
        inputs = found[0]
        if lists or names[inputs] not in PLAIN or len(found) > 1:
            told.append(f"the text is {inputs!r}")
    target = None
    if request.labelled:
        lexicon = TARGET_KEYS[request.target]
        target = _set_key("label_column", names, request)
        if target is None and lexicon[0] in record:
            target = lexicon[0]
        if target is None:
            found = [key for key in _ranked(names, lexicon) if key != inputs]
            if lists:
                found = [key for key in names if key in found or names[key].endswith(" tags")]
                found = [key for key in found if is_list(record[key])]
            if lists and len(found) > 1:
                both = " and ".join(map(repr, found))
                raise DataError(f"{both} might be the tags. Choose: --label-column.")
            if not found:
                raise DataError(_no_key(lexicon[0], record))
            target = found[0]
            told.append(f"the {LEARNT[request.target]} {target!r}")
    ids = [key for key, name in names.items() if name in INDEX and key not in (inputs, target)]
    ids.sort(key=lambda key: names[key] != "id")
    unread = [key for key in names if key not in (inputs, *ids[:1])]
    if not request.labelled and unread:
        told.append(f"not read: {listed(unread[:SHOWN])}")
    return Keys(inputs, target, ids[0] if ids else None, tuple(told))


def _set_key(option: str, names: Mapping[str, str], request: ReadRequest) -> str | None:
    """The key that an option names; None where it does not, or the model's is not here."""
    wanted = getattr(request.options, option)
    if wanted is None or wanted in names:
        return None if wanted is None else str(wanted)
    for key, name in names.items():
        if name == plain_name(wanted):
            return key
    if request.options.of_model(option):
        return None
    raise DataError(_no_key(wanted, names))


def _ranked(names: Mapping[str, str], lexicon: Sequence[str]) -> list[str]:
    known = [key for key, name in names.items() if name in lexicon]
    return sorted(known, key=lambda key: lexicon.index(names[key]))


def _no_key(name: str, record: Mapping[Any, Any]) -> str:
    what = "text" if name in ("text", "tokens", "source") else "label"
    has = ", ".join(map(str, list(record)[:SHOWN])) or "nothing"
    return f"no {name}, it has {has}. Name the key: --{what}-column."


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row stands what is read.

    Args:
        header: Whether the first row names the columns.
        width: Cells of a row.
        text: Place of the text.
        targets: Places of the targets; none where they are not read.
        id: Place of the names of the sequences, where there are any.
        told: What was guessed, in words.
        missing: Whether a column is not there that the model was trained on.
    """

    header: bool
    width: int
    text: int
    targets: tuple[int, ...]
    id: int | None
    told: tuple[str, ...]
    missing: bool


def recognise(
    first: Sequence[str],
    rest: Sequence[Sequence[str]],
    request: ReadRequest,
    *,
    header: bool = False,
) -> Columns:
    """The columns of a table.

    Args:
        first: Its first row.
        rest: Rows after it, as many as are at hand.
        request: What is read; its options decide where they are set.
        header: Whether the first row is known to hold names, as the names of a data frame do.

    Raises:
        DataError: The columns cannot be told apart.

    Example:
        >>> found = recognise(
        ...     ["", "Review", "Sentiment"], [["0", "so good", "pos"]], ReadRequest("label")
        ... )
        >>> found.header, found.text, found.targets, found.told
        (True, 1, (2,), ("the text is 'Review'", "the label is 'Sentiment'"))
    """
    rest = [row for row in rest if len(row) == len(first)]
    return _Choice(first, rest, request, header).columns()


class _Choice:
    """The first rows of a table, and the choice of its columns."""

    def __init__(
        self,
        first: Sequence[str],
        rest: Sequence[Sequence[str]],
        request: ReadRequest,
        header: bool,
    ) -> None:
        self.first, self.request = first, request
        self.missing: list[str] = []  # columns of the model that this table lacks
        self.no_text: frozenset[int] = frozenset()  # places of row numbers or labels
        self._take_options([first, *rest])
        given = [ref for ref in (self.text, *self.labels) if ref is not None]
        self.settled = self.text is not None and bool(self.labels or not request.labelled)
        by_name = not all(map(_is_place, given))
        self.header = header or has_header(first, rest, request, self.given_header, by_name)
        self.rows = rest if self.header else [first, *rest]
        self.names = list(map(plain_name, first)) if self.header else [None] * len(first)
        self.lexicons = lexicons(request.target)

    def _take_options(self, rows: Sequence[Sequence[str]]) -> None:
        """What the options say of the columns; what a model's say and the table lacks is not."""
        options = self.request.options
        self.text = options.text_column
        self.labels: tuple[str, ...] = ()
        if options.label_column is not None:
            several = self.request.target == "values"
            parts = options.label_column.split(",") if several else [options.label_column]
            self.labels = tuple(map(str.strip, parts)) if several else tuple(parts)
        self.given_header = options.header
        if options.of_model("header"):
            named = options.header or named_header(self.first, self.request.target)
            self.given_header = None if named else False
        if options.of_model("text_column") and not self._is_here(self.text):
            self.missing.append(f"text column {self.text!r}")
            self.text = None
        if options.of_model("label_column") and not all(map(self._is_here, self.labels)):
            if self.request.labelled:
                self.missing.append(f"label column {options.label_column!r}")
            self.labels = ()
        if options.of_model("text_column") and self.text is not None and _is_place(self.text):
            self.no_text = _without_text(rows, self.request.labels)
            if int(self.text) - 1 in self.no_text:
                self.missing.append(f"text column {self.text!r}")
                # Where the text stands elsewhere, so may the label.
                self.text = None
                self.labels = () if options.of_model("label_column") else self.labels

    def _is_here(self, ref: str | None) -> bool:
        """Whether this table has a column that a model was trained on."""
        if ref is None or not _is_place(ref):
            return ref is not None and list(map(plain_name, self.first)).count(plain_name(ref)) == 1
        return self.given_header is False and 1 <= int(ref) <= len(self.first)

    def columns(self) -> Columns:
        """What is read of a row."""
        labels = tuple(self._place(ref, "label") for ref in self.labels)
        index = self._index()
        text = self._text(index, labels) if self.text is None else self._place(self.text, "text")
        if text in labels:
            raise DataError(f"{self._name(text)} cannot be the text and what is learnt")
        targets = labels if self.request.labelled else ()
        if self.request.labelled and not targets:
            find = self._values if self.request.target == "values" else self._label
            targets = find(text, index)
        ids = [at for at in index if at not in (text, *targets)]
        ids.sort(key=lambda at: self.names[at] != "id")
        return Columns(
            *(self.header, len(self.first), text, targets, ids[0] if ids else None),
            *(tuple(self._told(text, targets)), bool(self.missing)),
        )

    def _text(self, index: Sequence[int], labels: tuple[int, ...]) -> int:
        left = self._without(*index, *labels, *(self.no_text if self.missing else ()))
        if len(self.first) == 1:
            return 0
        if self.header:
            texts, learnt = (known_places(self.names, names) for names in self.lexicons)
            if found := [at for at in texts if at in left]:
                return found[0]
            left = [at for at in left if at not in learnt] or left
        values = self.request.target == "values"
        words = [at for at in left if not self._is_numeric(at)]
        if values and len(words) == 1:
            return words[0]
        if len(left) == 1:
            return left[0]
        if not self.header and len(left) == 2:
            return left[1] if self._is_swapped(*left) else left[0]
        if not self.header and values and left:
            return left[0]
        raise DataError(self._unknown("text"))

    def _label(self, text: int, index: Sequence[int]) -> tuple[int, ...]:
        left = self._without(text, *index)
        known = self.request.labels
        learnt = [at for at in left if self.rows and all(r[at].strip() in known for r in self.rows)]
        if self.missing and not self.header and len(learnt) == 1:
            return (learnt[0],)
        if self.header:
            labels = known_places(self.names, self.lexicons[1])
            if found := [at for at in labels if at in left]:
                return (found[0],)
        if len(left) == 1:
            return (left[0],)
        if left:
            raise DataError(self._unknown("label"))
        if self.header:
            wanted = self.request.options.label_column
            named = f" (the model's is {wanted!r})" if wanted is not None else ""
            raise DataError(
                f"no column of labels{named}: {self._count()}. Add one, or name it: --label-column"
            )
        raise DataError(self._too_few("a label"))

    def _values(self, text: int, index: Sequence[int]) -> tuple[int, ...]:
        left = self._without(text, *index)
        rows = self.rows
        found = [at for at in left if not rows or any(is_number(row[at]) for row in rows)]
        if found or (left and not self.header):
            return tuple(found or left)
        if not left:
            raise DataError(self._too_few("a number"))
        raise DataError(
            f"no column of numbers beside {self._name(text)}. Name what is learnt: --label-column"
        )

    def _index(self) -> list[int]:
        """Columns that number or name the rows: by their name, or by counting them."""
        named = [
            at
            for at, name in enumerate(self.names)
            if name is not None and (name in INDEX or name.endswith(" id"))
        ]
        if len(self.first) - len(named) <= (2 if self.request.labelled else 1):
            return named
        others = [at for at in self._without(*named) if self.names[at] not in LABEL]
        return [*named, *(at for at in others if self._counts(at))]

    def _without(self, *used: int) -> list[int]:
        """The columns that are none of these."""
        return [at for at in range(len(self.first)) if at not in used]

    def _counts(self, at: int) -> bool:
        cells = [row[at].strip() for row in self.rows]
        if len(cells) < 3 or cells[0] not in ("0", "1"):
            return False
        start = int(cells[0])
        return cells == [str(start + i) for i in range(len(cells))]

    def _is_numeric(self, at: int) -> bool:
        return bool(self.rows) and all(is_number(row[at]) for row in self.rows)

    def _is_swapped(self, one: int, other: int) -> bool:
        """Whether the label stands before the text: few short values, then longer texts."""
        if self.request.target != "label" or len(self.rows) < ENOUGH:
            return False
        labels, texts = ([row[at].strip() for row in self.rows] for at in (one, other))
        words = [sum(len(cell.split()) for cell in cells) / len(cells) for cells in (labels, texts)]
        few, many = len(set(labels)) <= len(labels) / 2, len(set(texts)) > len(labels) / 2
        return few and many and words[0] < 2 and words[1] >= 2 * words[0]

    def _place(self, ref: str, what: str) -> int:
        """Place of a column that is set by its name or its number."""
        if self.header:
            for same in (str, plain_name):
                found = [at for at, name in enumerate(self.first) if same(name) == same(ref)]
                if len(found) == 1:
                    return found[0]
                if found:
                    raise DataError(f"{len(found)} columns are called {ref!r}. Give the number")
        if not _is_place(ref):
            raise DataError(f"no column {ref!r}, {self._count()}")
        if not 1 <= int(ref) <= len(self.first):
            raise DataError(f"--{what}-column is {ref}, {self._count()}")
        return int(ref) - 1

    def _told(self, text: int, targets: tuple[int, ...]) -> list[str]:
        """What was guessed and might have been meant otherwise."""
        labelled, values = self.request.labelled, self.request.target == "values"
        told = []
        if self.missing:
            verb = "is" if len(self.missing) == 1 else "are"
            told.append(f"the model's {' and '.join(self.missing)} {verb} not in this table")
        if labelled and self.settled:
            return told
        if not self.header and len(self.first) > 1:
            told.append("no header")
        unclear = not self.header or self._is_ambiguous(text, targets)
        if len(self.first) > 1 and (unclear or not labelled or values):
            told.append(f"the text is {self._name(text)}")
        if targets and (unclear or values):
            what = "targets are" if len(targets) > 1 else "target is" if values else "label is"
            told.append(f"the {what} {', '.join(map(self._name, targets))}")
        unread = self._without(text, *targets)
        if unread and (values or not labelled):
            told.append(f"not read: {', '.join(map(self._name, unread))}")
        return told

    def _is_ambiguous(self, text: int, targets: tuple[int, ...]) -> bool:
        """Whether names were less than plain, or several might have been meant."""
        several = any(sum(name in names for name in self.names) > 1 for names in self.lexicons)
        return several or any(self.names[at] not in PLAIN for at in (text, *targets))

    def _unknown(self, what: str) -> str:
        if not self.header:
            return (
                f"{len(self.first)} columns and no header that says which is which. "
                "Set --text-column and --label-column to their numbers"
            )
        return f"{self._count()}, none of them known as the {what}. Set --{what}-column"

    def _too_few(self, what: str) -> str:
        return (
            f"{self._count()}, a text and {what} are needed. Separate the columns (--delimiter), "
            "or name the --format of the file"
        )

    def _count(self) -> str:
        if self.header:
            return f"the header names {listed(self.first)}"
        return f"the row has {len(self.first)} {'cell' if len(self.first) == 1 else 'cells'}"

    def _name(self, at: int) -> str:
        return repr(self.first[at]) if self.header else f"column {at + 1}"


def _is_place(ref: str) -> bool:
    """Whether a column is asked for by its number, from 1."""
    return ref.isascii() and ref.isdigit()


def _without_text(rows: Sequence[Sequence[str]], labels: frozenset[str]) -> frozenset[int]:
    """Columns of nothing but numbers, or of a model's labels; none where no column is left."""
    found = {
        at
        for at in range(len(rows[0]))
        if all(is_number(row[at]) for row in rows) or all(row[at].strip() in labels for row in rows)
    }
    return frozenset(found if len(found) < len(rows[0]) else ())
