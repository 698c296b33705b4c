"""Answers of one model or two as tables for a terminal of 80 columns, and all errors as a file."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TextIO

from birnn.errors import escaped
from birnn.metrics import confusion_matrix
from birnn.report.parts import Table
from birnn.studies.answers import Interval, PairedAnswers
from birnn.studies.evaluation import (
    NOTHING,
    confused_table,
    headlines,
    interval_text,
    measure_name,
    named_confusion,
)
from birnn.tasks.errors import AnswerError

MOST_COLUMNS = 8
MOST_NAME = 16
WIDTH, GAP = 80, 3  # of the terminal; between two columns of a table
PLACE, CONTEXT, ANSWER = 16, 26, 10  # of an error, where all cells are long
WORST = 10


def confusion_tables(scores: Mapping[str, Any]) -> Iterator[Table]:
    """Which label is taken for which: the matrix, and the commonest confusions.

    Args:
        scores: What `birnn.runtime.Predictor.evaluate` gives; those of values have no such tables.

    Example:
        >>> confusion = {"a": {"a": 2, "b": 1}, "b": {"b": 4}}
        >>> [matrix, pairs] = confusion_tables({"confusion": confusion})
        >>> matrix.rows
        [('a', '2', '1'), ('b', '', '4')]
        >>> pairs.rows
        [('a', 'b', '1', '33.3 %')]
    """
    confusion = named_confusion(scores)
    if not any(confusion.values()):
        return
    found = confusion_matrix(confusion, most=MOST_COLUMNS)
    names = [_cut(label, MOST_NAME, keep="ends") for label in found.labels]
    if found.folded:
        names.append(f"{len(found.folded):,} others")
    counts = [[str(count or "") for count in row] for row in found.counts.tolist()]
    columns = [max(map(_width, cells)) for cells in zip(names, *counts, strict=True)]
    heads = names
    if sum(columns) + max(map(_width, names)) + GAP * len(names) + 2 > WIDTH:
        heads = [str(n) for n in range(1, len(names) + 1)]
        names = [f"{head} {name}" for head, name in zip(heads, names, strict=True)]
    rows = [(name, *row) for name, row in zip(names, counts, strict=True)]
    yield Table(("correct", *heads), rows, "correct (rows) by answer (columns)")
    if found.confused:
        yield confused_table(found, confusion, "symbol" if NOTHING in confusion else "label")


def error_table(
    worst: Sequence[AnswerError], *, title: str, answers: tuple[str, str] = ("correct", "answer")
) -> Table:
    """Errors, a line each.

    Args:
        worst: The errors.
        title: Of the table.
        answers: What the right answers and those that were given are called.
    """
    sure = any(error.probability is not None for error in worst)
    places = [error.where.rpartition("/")[2] for error in worst]
    golds = [_answer(error, error.gold) for error in worst]
    said = [_answer(error, error.predicted) for error in worst]
    # What one column does not need is another's.
    chances = [4] if sure else []
    spare = WIDTH - 2 - GAP * (3 + len(chances)) - sum((PLACE, CONTEXT, ANSWER, ANSWER, *chances))
    columns = {answers[0]: golds, answers[1]: said, "where": places}
    needed = [max(map(_width, (head, *cells))) for head, cells in columns.items()]
    widths = [min(*pair) for pair in zip(needed, (ANSWER, ANSWER, PLACE), strict=True)]
    spare += 2 * ANSWER + PLACE - sum(widths)
    for column, need in enumerate(needed):
        more = min(need - widths[column], spare)
        widths[column] += more
        spare -= more
    rows = []
    for error, place, gold, answer in zip(worst, places, golds, said, strict=True):
        cells = [_cut(place, widths[2], keep="end"), _in_context(error, CONTEXT + spare)]
        cells += [_cut(gold, widths[0], keep="ends"), _cut(answer, widths[1], keep="ends")]
        if sure:
            cells.append("" if error.probability is None else f"{error.probability:.2f}")
        rows.append(tuple(cells))
    return Table(("where", "what", *answers, *(["p"] if sure else [])), rows, title)


def paired_tables(
    found: PairedAnswers,
    names: tuple[str, str],
    *,
    title: str,
    intervals: Mapping[str, Interval],
    level: float,
) -> Iterator[Table]:
    """The scores of two models side by side, with their differences.

    Args:
        found: Their answers.
        names: Of the models.
        title: Of the table.
        intervals: Of the differences; may be empty.
        level: Of the intervals.
    """
    differences = found.differences()
    one, other = found.first.scores, found.second.scores
    rows = []
    for name in headlines(one):
        if name not in other:
            continue
        difference = f"{differences[name]:+.4f}" if name in differences else ""
        row = measure_name(name, one), f"{one[name]:.4f}", f"{other[name]:.4f}", difference
        rows.append((*row, interval_text(intervals.get(name))) if intervals else row)
    ends = [f"{100 * level:g} % interval"] if intervals else []
    header = "measure", *_apart(names), "difference", *ends
    yield Table(header, rows, title)


def write_errors(
    errors: Iterable[tuple[str, AnswerError]], stream: TextIO, *, table: bool, paired: bool
) -> int:
    """Write errors, a line each, and count them.

    Args:
        errors: Each with the name of the model that makes it.
        stream: Where to.
        table: As cells between tabs under a header; as JSON otherwise.
        paired: Whether the name of the model stands first.

    Example:
        >>> import sys
        >>> error = AnswerError("f:3", "tag", "bank", "NOUN", "VERB")
        >>> write_errors([("pos", error)], sys.stdout, table=False, paired=False)
        {"where": "f:3", "kind": "tag", "text": "bank", "gold": "NOUN", "predicted": "VERB", \
"before": [], "after": [], "probability": null, "gold_probability": null, "size": 1.0}
        1
    """
    if table:
        header = [*(["model"] if paired else []), *AnswerError.columns()]
        print("\t".join(header), file=stream)
    count = 0
    for count, (name, error) in enumerate(errors, 1):  # noqa: B007 - it is given
        if table:
            line = "\t".join(map(escaped, [*([name] if paired else []), *error.cells()]))
        else:
            record = ({"model": name} if paired else {}) | error.record()
            line = escaped(json.dumps(record, ensure_ascii=False, allow_nan=False), as_json=True)
        print(line, file=stream)
    return count


def _answer(error: AnswerError, answer: Any) -> str:
    """An answer in a line; of a span that is what the error is of, its type alone."""
    return _flat(answer).removesuffix(f": {error.text}")


def _in_context(error: AnswerError, most: int) -> str:
    """What an error is of, with what stands around it, in brackets where anything does."""
    if not (error.before or error.after):
        return _cut(error.text, most)
    middle = f"[{_cut(error.text, most - 2)}]"
    room = max(0, most - _width(middle) - 2)
    before = _cut(" ".join(error.before), room // 2, keep="end")
    after = _cut(" ".join(error.after), room - _width(before))
    return " ".join(part for part in (before, middle, after) if part)


def _apart(names: tuple[str, str]) -> tuple[str, ...]:
    """Both names of a length that a table has room for, told apart where they differ.

    Example:
        >>> _apart(("runs/one/model", "runs/two/model"))
        ('runs/one/model', 'runs/two/model')
        >>> _apart(("a/the-best-of-them/model", "b/the-best-of-them/model"))
        ('a/the-be…m/model', 'b/the-be…m/model')
    """
    parts: tuple[Literal["start", "end", "ends"], ...] = ("end", "ends", "start")
    ways = [tuple(_cut(name, MOST_NAME, keep=part) for name in names) for part in parts]
    return next((way for way in ways if way[0] != way[1]), ("first", "second"))


def _flat(answer: Any) -> str:
    if isinstance(answer, float):
        return f"{answer:.4g}"
    if isinstance(answer, list | tuple):
        return ", ".join(map(_flat, answer)) or NOTHING
    return str(answer) or NOTHING


def _cut(text: str, most: int, *, keep: Literal["start", "end", "ends"] = "start") -> str:
    """A text of at most so many characters: its beginning, its end, or both its ends.

    Example:
        >>> [_cut("a long text", 6, keep=part) for part in ("start", "end", "ends")]
        ['a lon…', '… text', 'a l…xt']
        >>> _cut("short", 6)
        'short'
    """
    width = _width(text)
    if width <= most:
        return text
    most = most // 2 if width > len(text) else most
    if most < 2:
        return ""
    last = {"start": 0, "end": most - 1, "ends": (most - 1) // 2}[keep]
    return f"{text[: most - 1 - last]}…{text[len(text) - last :]}"


def _width(text: str) -> int:
    """The room that a text takes; characters of East Asian scripts take that of two."""
    return len(text) + sum(unicodedata.east_asian_width(each) in "WF" for each in text)
