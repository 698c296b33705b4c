"""Which column of a table is the text, which the target.

Options decide first, then names, then the contents of the cells. Every guess gives a notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from birnn.data.headers import (
    ENOUGH,
    INDEX,
    LABEL,
    PLAIN,
    called,
    has_header,
    known_places,
    lexicons,
    listed,
    named_header,
    plain_name,
)
from birnn.data.label_sets import is_truth
from birnn.data.numeric import is_number
from birnn.data.options import ReadRequest
from birnn.errors import DataError


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which places of a row are read."""

    header: bool  # whether the first row names the columns
    width: int
    text: int
    targets: tuple[int, ...]  # none where they are not read
    id: int | None  # place of the names of the sequences
    notices: tuple[str, ...]  # what was guessed, in words
    missing: bool  # whether a column is not there that the model was trained on


def recognise(
    first: Sequence[str],
    rest: Sequence[Sequence[str]],
    request: ReadRequest,
    *,
    header: bool = False,
) -> TableColumns:
    """The columns of a table, by its first row and as many of the rest as are at hand.

    With ``header`` the first row is known to hold names, as the names of a data frame do.

    Raises:
        DataError: The columns cannot be distinguished.

    Example:
        >>> found = recognise(
        ...     ["", "Review", "Sentiment"], [["0", "so good", "pos"]], ReadRequest("label")
        ... )
        >>> found.header, found.text, found.targets, found.notices
        (True, 1, (2,), ("the text is 'Review'", "the label is 'Sentiment'"))
    """
    rest = [row for row in rest if len(row) == len(first)]
    return _ColumnChoice(first, rest, request, header).columns()


class _ColumnChoice:
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
        self.called = called(request.target)

    def _take_options(self, rows: Sequence[Sequence[str]]) -> None:
        """Take the columns that options name; those of a model only where the table has them."""
        options = self.request.options
        self.text = options.text_column
        self.labels: tuple[str, ...] = ()
        if options.label_column is not None:
            several = self.request.target == "values" or (
                self.request.target == "labels"
                and plain_name(options.label_column) not in map(plain_name, self.first)
            )
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
        # Numbers may be sources of target sequences, and so may what their symbols are written as.
        told_apart = self.request.target != "sequence" and options.of_model("text_column")
        if told_apart and self.text is not None and _is_place(self.text):
            self.no_text = _without_text(rows, self.request.labels)
            if int(self.text) - 1 in self.no_text:
                self.missing.append(f"text column {self.text!r}")
                # If the text is in another column, the label may be too.
                self.text = None
                self.labels = () if options.of_model("label_column") else self.labels

    def _is_here(self, ref: str | None) -> bool:
        """Whether this table has a column that a model was trained on."""
        if ref is None:
            return False
        if _is_place(ref):
            return self.given_header is False and 1 <= int(ref) <= len(self.first)
        return list(map(plain_name, self.first)).count(plain_name(ref)) == 1

    def columns(self) -> TableColumns:
        """The columns of the table."""
        labels = tuple(self._place(ref, "label") for ref in self.labels)
        index = self._index()
        text = self._text(index, labels) if self.text is None else self._place(self.text, "text")
        if text in labels:
            raise DataError(f"{self._name(text)} cannot be the {self.called[0]} and what is learnt")
        targets = labels if self.request.labelled else ()
        if self.request.labelled and not targets:
            find = {"values": self._values, "labels": self._label_sets}
            targets = find.get(self.request.target, self._label)(text, index)
        ids = [at for at in index if at not in (text, *targets)]
        ids.sort(key=lambda at: self.names[at] != "id")
        return TableColumns(
            header=self.header,
            width=len(self.first),
            text=text,
            targets=targets,
            id=ids[0] if ids else None,
            notices=tuple(self._notices(text, targets)),
            missing=bool(self.missing),
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
                f"no column of {self.called[1]}s{named}: {self._count()}. Add one, or name it: "
                "--label-column"
            )
        raise DataError(self._too_few(f"a {self.called[1]}"))

    def _label_sets(self, text: int, index: Sequence[int]) -> tuple[int, ...]:
        """A column of labels, or several of 0 and 1, each of which is named after its label."""
        left = self._without(text, *index) if self.header else []
        truths = [at for at in left if self._is_truth(at)]
        named = [at for at in known_places(self.names, self.lexicons[1]) if at in left]
        if len(truths) > 1 and (not named or named[0] in truths):
            return tuple(truths)
        return self._label(text, index)

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

    def _is_truth(self, at: int) -> bool:
        cells = [row[at] for row in self.rows if row[at].strip()]
        return bool(cells) and all(map(is_truth, cells))

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

    def _notices(self, text: int, targets: tuple[int, ...]) -> list[str]:
        """What was guessed and might have been meant otherwise."""
        labelled, target = self.request.labelled, self.request.target
        values = target == "values" or len(targets) > 1
        notices = []
        if self.missing:
            verb = "is" if len(self.missing) == 1 else "are"
            notices.append(f"the model's {' and '.join(self.missing)} {verb} not in this table")
        if labelled and self.settled:
            return notices
        if not self.header and len(self.first) > 1:
            notices.append("no header")
        unclear = not self.header or self._is_ambiguous(text, targets)
        if len(self.first) > 1 and (unclear or not labelled or values):
            notices.append(f"the {self.called[0]} is {self._name(text)}")
        if targets and (unclear or values):
            one = "target" if target == "values" else self.called[1]
            many = len(targets) > 1 or target == "labels"
            what = f"{one}s are" if many else f"{one} is"
            notices.append(f"the {what} {', '.join(map(self._name, targets))}")
        unread = self._without(text, *targets)
        if unread and (values or not labelled):
            notices.append(f"not read: {', '.join(map(self._name, unread))}")
        return notices

    def _is_ambiguous(self, text: int, targets: tuple[int, ...]) -> bool:
        """Whether names were less than plain, or several might have been meant."""
        several = any(sum(name in names for name in self.names) > 1 for names in self.lexicons)
        return several or any(self.names[at] not in PLAIN for at in (text, *targets))

    def _unknown(self, what: str) -> str:
        of_pairs = self.request.target == "sequence"
        series = "" if of_pairs else ", or --series if it holds series"
        if not self.header:
            return (
                f"{len(self.first)} columns and no header that says which is which. "
                f"Set --text-column and --label-column to their numbers{series}"
            )
        known = self.called[what == "label"]
        return f"{self._count()}, none of them known as the {known}. Set --{what}-column{series}"

    def _too_few(self, what: str) -> str:
        return (
            f"{self._count()}, a {self.called[0]} and {what} are needed. Separate the columns "
            "(--delimiter), or name the --format of the file"
        )

    def _count(self) -> str:
        if self.header:
            return f"the header names {listed(self.first)}"
        return f"the row has {len(self.first)} {'cell' if len(self.first) == 1 else 'cells'}"

    def _name(self, at: int) -> str:
        return repr(self.first[at]) if self.header else f"column {at + 1}"


def _is_place(ref: str) -> bool:
    """Whether a column is given by its number, from 1."""
    return ref.isascii() and ref.isdigit()


def _without_text(rows: Sequence[Sequence[str]], labels: frozenset[str]) -> frozenset[int]:
    """Columns of nothing but numbers, or of a model's labels; none where no column is left."""
    found = {
        at
        for at in range(len(rows[0]))
        if all(is_number(row[at]) for row in rows) or all(row[at].strip() in labels for row in rows)
    }
    return frozenset(found if len(found) < len(rows[0]) else ())
