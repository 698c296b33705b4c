"""Which column of a table is the text, which is learnt: by what is set, by names, by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from birnn.data.given_columns import GivenColumns, is_place
from birnn.data.names import (
    ENOUGH,
    LABEL,
    PLAIN,
    is_index,
    known_places,
    lexicons,
    like_a_name,
    name_over_labels,
    name_recurs,
    named_header,
    names_over_texts,
    plain_name,
)
from birnn.data.numeric import is_number
from birnn.data.options import ReadRequest
from birnn.errors import DataError


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row stands what is read.

    Args:
        header: Whether the first row names the columns.
        width: Cells of a row.
        text: Place of the text.
        targets: Places of what is learnt; none where it is not read.
        id: Place of the names of the sequences, where there are any.
        told: What was guessed, in words.
        missing: Whether a column is not there that the model was trained on.
    """

    header: bool
    width: int
    text: int
    targets: tuple[int, ...]
    id: int | None = None
    told: tuple[str, ...] = ()
    missing: bool = False


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
    given = GivenColumns.of(first, rest, request)
    named = header or _has_header(first, rest, request, given)
    table = _Table(first, rest, request, named, given)
    return table.columns()


class _Table:
    """The first rows of a table, and the choice of its columns."""

    def __init__(
        self,
        first: Sequence[str],
        rest: Sequence[Sequence[str]],
        request: ReadRequest,
        header: bool,
        given: GivenColumns,
    ) -> None:
        self.first = first
        self.rows = rest if header else [first, *rest]
        self.request = request
        self.header = header
        self.given = given
        self.names = list(map(plain_name, first)) if header else [None] * len(first)
        self.lexicons = lexicons(request.target)
        self.told: list[str] = []
        if given.missing:
            verb = "is" if len(given.missing) == 1 else "are"
            self.told.append(f"the model's {' and '.join(given.missing)} {verb} not in this table")

    def columns(self) -> Columns:
        """What is read of a row."""
        kind, labelled = self.request.target, self.request.labelled
        set_labels = tuple(self._place(ref, "label") for ref in self.given.labels)
        index = self._index()
        text = (
            self._place(self.given.text, "text")
            if self.given.text is not None
            else self._text(index, set_labels)
        )
        if text in set_labels:
            raise DataError(f"{self._name(text)} cannot be the text and what is learnt")
        targets = set_labels
        if not labelled:
            targets = ()
        elif not targets:
            targets = self._values(text, index) if kind == "values" else self._label(text, index)
        self._tell(text, targets)
        used = {text, *targets}
        ids = [at for at in index if at not in used]
        ids.sort(key=lambda at: self.names[at] != "id")
        return Columns(
            self.header,
            len(self.first),
            text,
            targets,
            ids[0] if ids else None,
            tuple(self.told),
            bool(self.given.missing),
        )

    def _text(self, index: Sequence[int], labels: tuple[int, ...]) -> int:
        no_text = self.given.no_text if self.given.missing else frozenset()
        left = self._without({*index, *labels, *no_text})
        if len(self.first) == 1:
            return 0
        if self.header:
            texts, learnt = (known_places(self.names, names) for names in self.lexicons)
            if found := [at for at in texts if at in left]:
                return found[0]
            left = [at for at in left if at not in learnt] or left
        words = [at for at in left if not self._numeric(at)]
        if self.request.target == "values" and len(words) == 1:
            return words[0]
        if len(left) == 1:
            return left[0]
        if not self.header and len(left) == 2:
            if self._swapped(*left):
                return left[1]
            return left[0]
        if not self.header and self.request.target == "values" and left:
            return left[0]
        raise DataError(self._unknown("text"))

    def _label(self, text: int, index: Sequence[int]) -> tuple[int, ...]:
        left = self._without({text, *index})
        known = self.request.labels
        learnt = [
            at for at in left if self.rows and all(row[at].strip() in known for row in self.rows)
        ]
        if self.given.missing and not self.header and len(learnt) == 1:
            return (learnt[0],)
        if self.header:
            labels = known_places(self.names, self.lexicons[1])
            if found := [at for at in labels if at in left]:
                return (found[0],)
        if len(left) == 1:
            return (left[0],)
        if not left and self.header:
            wanted = self.request.options.label_column
            named = f" (the model's is {wanted!r})" if wanted is not None else ""
            raise DataError(
                f"no column of labels{named}: {self._count()}. Add one, or name it: --label-column"
            )
        if not left:
            raise DataError(
                f"{self._count()}, a text and a label are needed. "
                "Separate the columns (--delimiter), or name the --format of the file"
            )
        raise DataError(self._unknown("label"))

    def _values(self, text: int, index: Sequence[int]) -> tuple[int, ...]:
        left = self._without({text, *index})
        found = tuple(
            at for at in left if not self.rows or any(is_number(row[at]) for row in self.rows)
        )
        if found or (left and not self.header):
            return found or tuple(left)
        if not left:
            raise DataError(
                f"{self._count()}, a text and a number are needed. "
                "Separate the columns (--delimiter), or name the --format of the file"
            )
        raise DataError(
            f"no column of numbers beside {self._name(text)}. Name what is learnt: --label-column"
        )

    def _index(self) -> list[int]:
        """Columns that number or name the rows: by their name, or by counting them."""
        named = {at for at, name in enumerate(self.names) if name is not None and is_index(name)}
        counting = [
            at
            for at, name in enumerate(self.names)
            if at not in named
            and (name is None or name not in LABEL)
            and self._counts(at)
            and len(self.first) - len(named) > (2 if self.request.labelled else 1)
        ]
        return [*sorted(named), *counting]

    def _without(self, used: set[int]) -> list[int]:
        """The columns that are none of these."""
        return [at for at in range(len(self.first)) if at not in used]

    def _counts(self, at: int) -> bool:
        cells = [row[at].strip() for row in self.rows]
        if len(cells) < 3 or cells[0] not in ("0", "1"):
            return False
        start = int(cells[0])
        return cells == [str(start + i) for i in range(len(cells))]

    def _numeric(self, at: int) -> bool:
        return bool(self.rows) and all(is_number(row[at]) for row in self.rows)

    def _swapped(self, one: int, other: int) -> bool:
        """Whether the label stands before the text: few short values, then longer texts."""
        if self.request.target != "label" or len(self.rows) < ENOUGH:
            return False
        labels, texts = ([row[at].strip() for row in self.rows] for at in (one, other))
        words = [sum(len(cell.split()) for cell in cells) / len(cells) for cells in (labels, texts)]
        return (
            len(set(labels)) <= len(labels) / 2 < len(set(texts))
            and words[0] < 2
            and words[1] >= 2 * words[0]
        )

    def _place(self, ref: str, what: str) -> int:
        """Place of a column that is set by its name or its number."""
        if self.header:
            for same in (str, plain_name):
                found = [at for at, name in enumerate(self.first) if same(name) == same(ref)]
                if len(found) == 1:
                    return found[0]
                if found:
                    raise DataError(f"{len(found)} columns are called {ref!r}. Give the number")
        if is_place(ref):
            if 1 <= int(ref) <= len(self.first):
                return int(ref) - 1
            raise DataError(f"--{what}-column is {ref}, {self._count()}")
        raise DataError(f"no column {ref!r}, {self._count()}")

    def _tell(self, text: int, targets: tuple[int, ...]) -> None:
        """Say what was guessed and might have been meant otherwise."""
        labelled, regresses = self.request.labelled, self.request.target == "values"
        unread = self._without({text, *targets})
        if labelled and self.given.settled:
            return
        if not self.header and len(self.first) > 1:
            self.told.append("no header")
        unclear = not self.header or self._ambiguous(text, targets)
        if len(self.first) > 1 and (unclear or not labelled or regresses):
            self.told.append(f"the text is {self._name(text)}")
        if targets and (unclear or regresses):
            what = "targets are" if len(targets) > 1 else "target is" if regresses else "label is"
            self.told.append(f"the {what} {', '.join(map(self._name, targets))}")
        if unread and (regresses or not labelled):
            self.told.append(f"not read: {', '.join(map(self._name, unread))}")

    def _ambiguous(self, text: int, targets: tuple[int, ...]) -> bool:
        """Whether names were less than plain, or several might have been meant."""
        if any(self.names[at] not in PLAIN for at in (text, *targets)):
            return True
        return any(
            sum(name in lexicon for name in self.names if name is not None) > 1
            for lexicon in self.lexicons
        )

    def _unknown(self, what: str) -> str:
        if not self.header:
            return (
                f"{len(self.first)} columns and no header that says which is which. "
                "Set --text-column and --label-column to their numbers"
            )
        return (
            f"the header names {_listed(self.first)}, none of them known as the {what}. "
            f"Set --{what}-column"
        )

    def _count(self) -> str:
        if self.header:
            return f"the header names {_listed(self.first)}"
        return f"the row has {len(self.first)} {'cell' if len(self.first) == 1 else 'cells'}"

    def _name(self, at: int) -> str:
        return repr(self.first[at]) if self.header else f"column {at + 1}"


def _has_header(
    first: Sequence[str], rest: Sequence[Sequence[str]], request: ReadRequest, given: GivenColumns
) -> bool:
    """Whether the first row names the columns."""
    if given.header is not None:
        if not given.header and request.options.of_model("header"):
            _refuse_names(first, rest, request)
        return given.header
    if given.named:
        return True
    if named_header(first, request.target) and not name_recurs(first, rest, request.target):
        return True
    if request.options.of_model("header") and request.options.header is False:
        _refuse_names(first, rest, request)
        return False
    if not all(map(like_a_name, first)) or len(first) < 2:
        return False
    twice = [name for name in dict.fromkeys(first) if name.strip() and list(first).count(name) > 1]
    if twice:
        names = list(map(plain_name, first))
        known = any(name in lexicon for lexicon in lexicons(request.target) for name in names)
        if known and not any(name in row for name in twice for row in rest):
            raise DataError(
                f"{list(first).count(twice[0])} columns are called {twice[0]!r}. Set --header, and "
                "--text-column and --label-column to numbers"
            )
    if len(set(first)) < len(first):
        return False
    numbers = [
        at
        for at in range(len(first))
        if len(rest) >= 2 and first[at].strip() and all(is_number(row[at]) for row in rest)
    ]
    if numbers and request.target == "values":
        return True
    if numbers or names_over_texts(first, rest):
        names = list(map(plain_name, first))
        if any(known_places(names, lexicon) for lexicon in lexicons(request.target)):
            return True
        raise DataError(
            f"{_listed(first)} look like names of columns, and none is known. Set --text-column "
            "and --label-column, or --no-header if it is a row like the others"
        )
    _refuse_names(first, rest, request)
    return False


def _refuse_names(
    first: Sequence[str], rest: Sequence[Sequence[str]], request: ReadRequest
) -> None:
    """Refuse a first row that names the columns by names that no list knows."""
    at = name_over_labels(first, rest) if request.target == "label" else None
    if at is None or first[at].strip() in request.labels:
        return
    raise DataError(
        f"{_listed(first)} look like names of columns that are not known: no other row has "
        f"{first[at]!r} where labels stand. Set --header with --text-column and --label-column, or "
        "--no-header if it is a row like the others"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
