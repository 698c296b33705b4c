"""A folder of series, a table each: the folders inside are named after their classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from birnn.data.examples import Example
from birnn.data.options import ReadOptions, ReadRequest
from birnn.data.series import SeriesTable
from birnn.data.source import Source
from birnn.data.tables import csv_row, read_series_file
from birnn.data.writing import WriteRequest, numbers
from birnn.errors import FormatError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_NAME = re.compile(r"[\w-][\w .-]{0,150}")  # of a folder, everywhere
TAG = "label"  # the column of tags that is written
SHOWN = 3  # files that a message names


def holds_series(folder: Path) -> bool:
    r"""Whether a folder has tables in it, or in the folders that it has.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = holds_series(Path(folder))
        ...     _ = Path(folder, "one.csv").write_text("x\n1\n")
        ...     print(before, holds_series(Path(folder)))
        False True
    """
    entries = list(folder.iterdir())
    inside = (each for part in entries if part.is_dir() for each in part.iterdir())
    return any(map(_is_table, entries)) or any(map(_is_table, inside))


def read_series_folder(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""The series of a folder: of labels a folder for each class, with a table for each series.

    Without labels, and of tags, which a column of each table holds, tables may stand in the folder
    itself. The rows of a table are steps, its columns of numbers channels: those of the first table
    are read of all others. Files that are no tables are left out and told.

    Raises:
        FormatError: No folder of a class, folders inside one, a table that does not read or lacks
            a channel.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for label, rows in (("calm", "x,y\n1,2\n3,4\n"), ("busy", "x,y\n5,6\n")):
        ...         Path(folder, label).mkdir()
        ...         _ = Path(folder, label, "1.csv").write_text(rows)
        ...     source = Source.of_folder(folder, tell=lambda line: None)
        ...     for example in read_series_folder(source, ReadRequest("label")):
        ...         print(example.id, example.target, example.inputs.tolist())
        busy/1.csv busy [[5.0, 6.0]]
        calm/1.csv calm [[1.0, 2.0], [3.0, 4.0]]
    """
    folder = Path(source.name)
    if not folder.is_dir():
        raise source.fault(
            "a file, where a folder of tables is read. Of one table: --series single."
        )
    by_folder = request.target == "label" and request.labelled
    files = _files(source, folder, by_folder)
    options = _set(request.options, series=request.options.series or "single")
    inner = replace(request, options=options, labelled=request.labelled and not by_folder, found={})
    table = SeriesTable(inner, source.notice)
    tell = _Once(source)
    for path in files:
        each = Source.from_path(
            path,
            tell=tell,
            max_line=request.options.max_line,
            max_unpacked=request.options.max_unpacked,
        )
        tell.name = each.name
        ending = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
        for example in read_series_file(each, inner, DELIMITERS[ending.lower()], table):
            name = path.relative_to(folder).as_posix()
            name = f"{name}:{example.id}" if example.id else name
            target = path.parent.name if by_folder else example.target
            yield replace(example, id=name, target=target)
        # The first table decides which channels there are, and how all are read.
        kept = {k: v for k, v in inner.found.items() if k in ("channels", "time_column")}
        inner = replace(inner, options=_set(inner.options, **kept))
    request.found.update({k: v for k, v in inner.found.items() if k != "delimiter"})
    table.report()


def _set(options: ReadOptions, **given: object) -> ReadOptions:
    """Options with some more, as if they were given; those of a model stay its own."""
    return options.model_copy(update=given)


def _is_table(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return path.is_file() and name.endswith(tuple(DELIMITERS)) and not name.startswith(".")


def _files(source: Source, folder: Path, by_folder: bool) -> list[Path]:
    """The tables of a folder; what is none is told, what might be one in another order refused."""
    visible = _visible(folder)
    parts = [path for path in visible if path.is_dir()]
    inside = {part: _visible(part) for part in parts}
    for part, entries in inside.items():
        if deeper := [path for path in entries if path.is_dir()]:
            raise FormatError(
                f"{deeper[0]}: a folder in {part.name!r}, which is taken for a class. Give the "
                f"folder whose folders are the classes: {part}?"
            )
    files = [path for entries in inside.values() for path in entries]
    above = [path for path in visible if not path.is_dir()]
    if by_folder and not parts:
        raise FormatError(
            f"{folder}: no folders in it. Put the tables of each class into a folder of its name."
        )
    if empty := [part.name for part, entries in inside.items() if not any(map(_is_table, entries))]:
        source.notice(f"no tables in {_listed(empty)}: no such class is learnt")
    tables = [path for path in (*(() if by_folder else above), *files) if _is_table(path)]
    stray = [str(path.relative_to(folder)) for path in (*above, *files) if path not in set(tables)]
    if stray:
        some = by_folder and any(map(_is_table, above))
        why = "no tables, or in no folder of a class" if some else "no tables"
        count = "1 file" if len(stray) == 1 else f"{len(stray):,} files"
        source.notice(f"{count} left out, {why}: {_listed(stray)}")
    return tables


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


class _Once:
    """Passes each notice on once, whichever table it is about."""

    def __init__(self, source: Source) -> None:
        self._source, self._seen = source, set[str]()
        self.name = ""

    def __call__(self, line: str) -> None:
        what = re.sub(r"^(:\d+)?: ", "", line.removeprefix(self.name))
        if what not in self._seen:
            self._seen.add(what)
            self._source.tell(line)


def write_series_folder(
    examples: Iterable[Example], request: WriteRequest
) -> Iterator[tuple[str, str]]:
    r"""Names and contents of the tables of series, each in the folder of its class.

    Tags are the last column of a table, which then stands in no folder of its own.

    Example:
        >>> import numpy as np
        >>> example = Example(np.array([[1.0, 2.0], [3.0, 4.0]]), "calm")
        >>> dict(write_series_folder([example], WriteRequest("label", "series")))
        {'calm/000001.csv': 'channel1,channel2\n1.0,2.0\n3.0,4.0\n'}
    """
    for number, example in zip(count(1), examples, strict=False):
        if request.target == "values":
            raise request.fault(example, "values that are learnt")
        steps = request.vectors(example)
        rows = [numbers(row) for row in steps]
        names = [f"channel{at}" for at in range(1, steps.shape[1] + 1)]
        folder = ""
        if request.target == "tags":
            if not isinstance(example.target, tuple):
                raise request.fault(example, "a series without tags")
            names.append(TAG)
            rows = [[*row, tag] for row, tag in zip(rows, example.target, strict=True)]
        else:
            [label] = request.names(example) or [""]
            if not _NAME.fullmatch(label):
                raise request.fault(example, f"the label {label!r}")
            folder = f"{label}/"
        yield f"{folder}{number:06}.csv", "".join(csv_row(row) for row in (names, *rows))
