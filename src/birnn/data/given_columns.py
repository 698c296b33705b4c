"""What the options say of the columns of a table, as far as the table has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from birnn.data.names import named_header, plain_name
from birnn.data.numeric import is_number
from birnn.data.options import ReadRequest


@dataclass(frozen=True, slots=True)
class GivenColumns:
    """What the options say of the columns, as far as this table has them."""

    text: str | None
    labels: tuple[str, ...]
    header: bool | None
    settled: bool  # nothing is left to guess
    missing: tuple[str, ...]  # of the model's: this table lacks them
    no_text: frozenset[int] = frozenset()  # places that hold row numbers or labels, and no text

    @classmethod
    def of(
        cls, first: Sequence[str], rest: Sequence[Sequence[str]], request: ReadRequest
    ) -> GivenColumns:
        """What holds of this table; what the model's options say and it lacks is left out."""
        options = request.options
        text = options.text_column
        labels = _parted(options.label_column, request)
        names = list(map(plain_name, first))
        header = options.header
        missing: list[str] = []
        if options.of_model("header"):
            header = None if header or named_header(first, request.target) else False
        if options.of_model("text_column") and not _here(text, names, header):
            missing.append(f"text column {text!r}")
            text = None
        if options.of_model("label_column") and any(not _here(x, names, header) for x in labels):
            if request.labelled:
                missing.append(f"label column {options.label_column!r}")
            labels = ()
        no_text: frozenset[int] = frozenset()
        if options.of_model("text_column") and text is not None and is_place(text):
            no_text = _without_text([first, *rest], request.labels)
            if int(text) - 1 in no_text:
                missing.append(f"text column {text!r}")
                # Where the text stands elsewhere, so may the label.
                text = None
                labels = () if options.of_model("label_column") else labels
        settled = text is not None and bool(labels or not request.labelled)
        return cls(text, labels, header, settled, tuple(missing), no_text)

    @property
    def named(self) -> bool:
        """Whether a column is asked for by its name."""
        return any(not is_place(ref) for ref in (self.text, *self.labels) if ref is not None)


def is_place(ref: str) -> bool:
    """Whether a column is asked for by its number, from 1."""
    return ref.isascii() and ref.isdigit()


def _here(ref: str | None, names: Sequence[str], header: bool | None) -> bool:
    """Whether a column that a model was trained on is in a table whose first row is ``names``."""
    if ref is None:
        return False
    if is_place(ref):
        return header is False and 1 <= int(ref) <= len(names)
    return names.count(plain_name(ref)) == 1


def _parted(labels: str | None, request: ReadRequest) -> tuple[str, ...]:
    if labels is None:
        return ()
    if request.target != "values":
        return (labels,)
    return tuple(part.strip() for part in labels.split(","))


def _without_text(rows: Sequence[Sequence[str]], labels: frozenset[str]) -> frozenset[int]:
    """Columns of nothing but numbers, or of a model's labels; none where no column is left."""
    found = {
        at
        for at in range(len(rows[0]))
        if all(is_number(row[at]) for row in rows) or all(row[at].strip() in labels for row in rows)
    }
    return frozenset(found if len(found) < len(rows[0]) else ())
