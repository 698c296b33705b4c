"""Delimited text: the rows of a table, and the delimiter of their cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from birnn.data.examples import TargetKind
from birnn.data.headers import named_header
from birnn.data.source import NumberedLine, NumberedRow, Source
from birnn.errors import FormatError, no_notice

DELIMITERS = (",", "\t", ";", "|")
LONGEST = 1 << 20  # characters of a row that is looked at to find the delimiter
# A cell of a .tsv file that is quoted as a whole; a quote anywhere else is a character.
_WHOLE = r'"((?:[^"]|"")*+)"(?=%s|$)'
_INSIDE = re.compile(r'(?:[^"]|"")*+')


def rows(
    source: Source, lines: Iterator[NumberedLine], delimiter: str, *, quoted: bool, longest: int
) -> Iterator[NumberedRow]:
    """The rows of a table, each with the number of its first line; of an empty line no cells.

    In a ``quoted`` file a cell that begins with a quote ends with one, may hold delimiters and line
    ends, and doubles the quotes inside. Otherwise only cells that are quoted as a whole, on one
    line, are unquoted, with one notice; any other quote is a character.

    Raises:
        FormatError: A quote that does not close, or characters after a closing one.
    """
    whole = re.compile(_WHOLE % re.escape(delimiter))
    for number, line in lines:
        if not line:
            yield number, []
        elif '"' not in line:
            yield number, line.split(delimiter)
        elif quoted:
            yield number, _quoted(source, number, line, lines, delimiter, longest)
        else:
            cells, unquoted = _unquoted(line, delimiter, whole)
            if unquoted:
                what = "cells that are quoted as a whole are unquoted"
                source.notice(what, number, once="unquoted")
            yield number, cells


def sniff(source: Source, sample: Sequence[NumberedLine], default: str, target: TargetKind) -> str:
    """The delimiter of a table.

    It is the one that splits a header of known names, or all rows into equally many cells; among
    several one that no space follows, then ``default``, that of the file's format.
    """
    best, score = default, (False, False, False, False)
    for delimiter in (default, *(d for d in DELIMITERS if d != default)):
        found = sampled(source, sample, delimiter, default)
        counts = Counter(map(len, found))
        if not counts or max(counts) < 2:
            continue
        usual, times = counts.most_common(1)[0]
        known = named_header(found[0], target)
        even = len(counts) == 1
        mostly = usual >= 2 and times > len(found) / 2
        spaced = any(cell.startswith(" ") for row in found for cell in row[1:])
        this = (known, even, mostly and not spaced, delimiter == default)
        if (known or mostly) and this > score:
            best, score = delimiter, this
    return best


def sampled(
    source: Source, sample: Sequence[NumberedLine], delimiter: str, default: str
) -> list[list[str]]:
    """Rows of the first lines, as far as they can be read with this delimiter."""
    silent = replace(source, tell=no_notice)
    quoted = is_quoted(default, delimiter)
    found: list[list[str]] = []
    # A quote that opens in the sample may close after it.
    with suppress(FormatError):
        for _, row in rows(silent, iter(sample), delimiter, quoted=quoted, longest=LONGEST):
            found += [row] if row else []
    return found


def is_quoted(default: str, delimiter: str) -> bool:
    """Whether quotes delimit cells, as in .csv, and are no characters, as in .tsv."""
    return default == "," or delimiter != "\t"


def _quoted(
    source: Source,
    start: int,
    line: str,
    more: Iterator[NumberedLine],
    delimiter: str,
    longest: int,
) -> list[str]:
    """The cells of a row with quotes, by RFC 4180; it may go on over several lines."""
    cells: list[str] = []
    at = 0
    while True:
        if line.startswith('"', at):
            parts: list[str] = []
            size, at = 0, at + 1
            while (end := _inside(line, at)) == len(line):
                parts.append(line[at:] + "\n")
                size += len(parts[-1])
                number, line = next(more, (0, ""))
                at = 0
                if not number or size > longest:
                    within = f" within {longest:,} characters (--max-line)" if number else ""
                    raise source.fault(
                        f"not CSV: the quote that opens a cell is never closed{within}. "
                        "Double the quotes inside a quoted cell.",
                        start,
                    )
            cells.append("".join([*parts, line[at:end]]).replace('""', '"'))
            at = end + 1
            if at < len(line) and not line.startswith(delimiter, at):
                raise source.fault(
                    f"not CSV: {line[at : at + 20]!r} follows the quote that closes a cell. "
                    "Double the quotes inside a quoted cell.",
                    start,
                )
        else:
            end = line.find(delimiter, at)
            end = len(line) if end < 0 else end
            cells.append(line[at:end])
            at = end
        if at >= len(line):
            return cells
        at += 1
        if at == len(line):
            return [*cells, ""]


def _inside(line: str, at: int) -> int:
    """Where a quoted cell ends that continues at ``at``: at a quote, or at the end of the line."""
    inside = _INSIDE.match(line, at)
    return at if inside is None else inside.end()


def _unquoted(line: str, delimiter: str, whole: re.Pattern[str]) -> tuple[list[str], bool]:
    """The cells of a line, those quoted as a whole without their quotes; whether there are any."""
    cells: list[str] = []
    unquoted = False
    at = 0
    while True:
        match = whole.match(line, at)
        if match is not None:
            unquoted = True
            cells.append(match[1].replace('""', '"'))
            end = match.end()
        else:
            end = line.find(delimiter, at)
            end = len(line) if end < 0 else end
            cells.append(line[at:end])
        if end == len(line):
            return cells, unquoted
        at = end + 1
