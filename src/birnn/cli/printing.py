"""Scores as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from birnn.errors import escaped

if TYPE_CHECKING:
    from birnn.report.parts import Table as PageTable

LONGEST_WORD = 20  # of a text column, kept whole


class _Console(Console):
    """Of rich, but that a closed pipe is not its own way to end the process with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """A console on standard output, which takes no text for markup."""
    # Labels and paths are no markup: [b] is a label.
    return _Console(highlight=False, markup=False, emoji=False)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; columns of numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(header):
        if all(_is_number(row[i]) for row in rows):
            # No wider than the numbers under it, if words allow.
            numbers = max((len(_text(row[i])) for row in rows), default=1)
            words = wrap(
                escaped(name), max(numbers, 1), break_long_words=False, break_on_hyphens=False
            )
            table.add_column("\n".join(words), justify="right", no_wrap=True)
        else:
            longest = max((len(word) for row in rows for word in _text(row[i]).split()), default=1)
            table.add_column(escaped(name), overflow="fold", min_width=min(longest, LONGEST_WORD))
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    out = console()
    # Not the title of the table, which would be folded to its width.
    out.print(Text(escaped(title), style="bold"), soft_wrap=True)
    out.print(table)


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The same as a Markdown table.

    Example:
        >>> print(markdown(["way", "n"], [["one", 2000]]))
        | way | n |
        |---|---|
        | one | 2,000 |
    """
    lines = [header, ["---"] * len(header), *([_text(cell) for cell in row] for row in rows)]
    texts = ["| " + " | ".join(line) + " |" for line in lines]
    texts[1] = texts[1].replace(" ", "")
    return "\n".join(texts)


def print_tables(tables: Iterable[PageTable], *, as_markdown: bool, titles: bool = False) -> None:
    """Print tables for a person, or as Markdown for a page.

    Args:
        tables: The tables.
        as_markdown: Whether they are Markdown.
        titles: Whether Markdown has their titles too.
    """
    for table in tables:
        if as_markdown:
            print(f"**{table.title}**\n\n" if titles else "", end="")
            print(markdown(table.header, table.rows), end="\n\n")
        else:
            print_table(table.title, table.header, table.rows)


def print_text(text: str, *, as_markdown: bool) -> None:
    """Print a paragraph, folded to the terminal; on one line in Markdown."""
    if as_markdown:
        print(text, end="\n\n")
    else:
        console().print(escaped(text))


def print_scores(scores: dict[str, Any], *, title: str) -> None:
    """Print the scores of a model on a set: the headline first, then label by label."""
    from birnn.studies.evaluation import tables

    print_tables(tables(scores, title=title), as_markdown=False)


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number, a share (3 %), a ratio (2.5x), or such side by side (2x / 3x)."""
    try:
        for part in _text(cell).split(" / "):
            float(part.replace(",", "").rstrip("%x") or "0")
    except ValueError:
        return False
    return True


def _text(cell: Any) -> str:
    return f"{cell:,}" if isinstance(cell, int) else escaped(str(cell))
