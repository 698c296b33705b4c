"""The table of file formats: how their files are called, what reads and writes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from birnn.data.brat import ANNOTATIONS, holds_brat, read_brat, write_brat
from birnn.data.conll import read_conll, read_conllu, write_conll, write_conllu
from birnn.data.docbin import read_docbin, write_docbin
from birnn.data.doccano import read_doccano, write_doccano
from birnn.data.examples import Example, TargetKind
from birnn.data.fasta import read_fasta, read_three_line, write_fasta
from birnn.data.fasttext import read_fasttext, write_fasttext
from birnn.data.label_studio import read_label_studio, write_label_studio
from birnn.data.options import ReadRequest
from birnn.data.prodigy import read_prodigy, write_prodigy
from birnn.data.records import read_jsonl, write_jsonl
from birnn.data.series_folder import holds_series, read_series_folder, write_series_folder
from birnn.data.source import STANDARD_INPUT, Source
from birnn.data.tables import read_csv, read_tsv, write_csv, write_tsv
from birnn.data.timeseries import read_npz, read_ts, write_npz, write_ts
from birnn.data.writing import WriteRequest
from birnn.errors import ConfigError, FormatError, UsageError, nearest

Reader = Callable[[Source, ReadRequest], Iterator[Example]]
# Gives the text or the bytes of a file in pieces; of a folder, names and contents of its files.
Writer = Callable[[Iterable[Example], WriteRequest], Iterator[Any]]


def read_text(source: Source, request: ReadRequest) -> Iterator[Example]:
    """Plain text, one sequence on each line; an empty line is an empty sequence.

    If the format was not given, a line with a tab is refused: it is more likely a row of a table or
    of columns, whose labels would be read as words.

    Raises:
        FormatError: Targets are wanted: plain text has none. A tab, where the format is guessed.

    Example:
        >>> request = ReadRequest("label", labelled=False)
        >>> [example.inputs for example in read_text(Source.from_text("So good!"), request)]
        [('So', 'good', '!')]
    """
    if request.labelled:
        raise source.fault(
            "plain text holds no labels. Give a labelled file, or its --format if it is one."
        )
    for number, line in enumerate(source.lines(), 1):
        if "\t" in line and request.options.format is None:
            columns = "conll|conllu" if request.target == "tags" else "tsv"
            raise source.fault(
                "a tab, as in columns or a table, where plain text is read. Say what the file is: "
                f"--format {columns}, or --format text if tabs are white space",
                number,
            )
        where = source.where(number)
        yield Example(request.steps(line, where), None, where, text=line)


def write_text(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""The texts, one on each line; targets are left out, and told.

    Example:
        >>> "".join(write_text([Example(("so", "good"))], WriteRequest("label", "text")))
        'so good\n'
    """
    for example in examples:
        if example.target is not None:
            request.lose("targets", example.where)
        yield request.line(example) + "\n"


# The kinds of target, and what messages call each.
TARGET_NAMES: dict[TargetKind, str] = {
    "tags": "tags",
    "label": "labels",
    "labels": "sets of labels",
    "values": "values",
    "sequence": "target sequences",
    "gaps": "raw text",
}


class Format(NamedTuple):
    """A kind of file: how their names end, what reads one, and for which kinds of target."""

    endings: tuple[str, ...]
    reader: Reader
    targets: tuple[TargetKind, ...]  # they distinguish the two formats of .tsv
    writer: Writer
    holds: frozenset[str] = frozenset()  # of ids, texts, spans; targets and steps all hold
    # Whether a folder is of this format, by what is in it; a folder's name has no ending.
    folder: Callable[[Path], bool] | None = None


# What some formats hold beside steps and targets, and others lose.
_IDS, _TEXTS, _SPANS, _TOKENS = (frozenset({each}) for each in ("ids", "texts", "spans", "tokens"))
_OF_TABLES: tuple[TargetKind, ...] = ("label", "labels", "values", "sequence", "gaps")

FORMATS = {
    "conllu": Format((".conllu",), read_conllu, ("tags",), write_conllu),
    "conll": Format(
        (".conll", ".bio", ".iob", ".iob2", ".tsv"), read_conll, ("tags",), write_conll
    ),
    "csv": Format((".csv",), read_csv, (*_OF_TABLES, "tags"), write_csv, _IDS | _TEXTS),
    "tsv": Format((".tsv",), read_tsv, (*_OF_TABLES, "tags"), write_tsv, _IDS | _TEXTS),
    "jsonl": Format(
        (".jsonl", ".ndjson"), read_jsonl, tuple(TARGET_NAMES), write_jsonl, _IDS | _TEXTS
    ),
    "ts": Format((".ts",), read_ts, ("label", "values"), write_ts),
    "npz": Format((".npz",), read_npz, ("tags", "label", "values"), write_npz),
    "fasta": Format(
        (".fasta", ".fa", ".faa", ".fna"), read_fasta, ("tags", "label"), write_fasta, _IDS
    ),
    "3line": Format((".3line",), read_three_line, ("tags",), write_fasta, _IDS),
    # JSON lines of these two are told from others by their keys, see `read_jsonl`.
    "doccano": Format(
        (),
        read_doccano,
        ("tags", "label", "labels", "sequence"),
        write_doccano,
        _IDS | _TEXTS | _SPANS,
    ),
    "prodigy": Format(
        (),
        read_prodigy,
        ("tags", "label", "labels"),
        write_prodigy,
        _IDS | _TEXTS | _SPANS | _TOKENS,
    ),
    "label-studio": Format(
        (".json",),
        read_label_studio,
        ("tags", "label", "labels"),
        write_label_studio,
        _IDS | _TEXTS | _SPANS,
    ),
    "brat": Format(
        (ANNOTATIONS,), read_brat, ("tags",), write_brat, _IDS | _TEXTS | _SPANS, folder=holds_brat
    ),
    "series": Format(
        (),
        read_series_folder,
        ("label", "values", "tags"),
        write_series_folder,
        folder=holds_series,
    ),
    "spacy": Format(
        (".spacy",),
        read_docbin,
        ("tags", "label", "labels"),
        write_docbin,
        _TEXTS | _SPANS | _TOKENS,
    ),
    "fasttext": Format((".ft",), read_fasttext, ("label", "labels"), write_fasttext, _TEXTS),
    "text": Format((".txt",), read_text, tuple(TARGET_NAMES), write_text, _TEXTS),
}

# Endings that name a part of a data set: eng.train, ned.testa. Such files with tags are columns by
# custom; for other targets the format has to be given.
PARTS = (".train", ".dev", ".devel", ".valid", ".test", ".testa", ".testb")


def ending_of(path: str | os.PathLike[str]) -> str:
    """How a file's name ends, in lower case and without ``.gz``.

    Example:
        >>> ending_of("data/Train.TSV.GZ"), ending_of("names")
        ('.tsv', '')
    """
    file = PurePath(path)
    return PurePath(file.stem if file.suffix.lower() == ".gz" else file.name).suffix.lower()


def named_format(name: str, target: TargetKind) -> str:
    """The name of a format, which has to exist and be for such targets.

    Raises:
        UsageError: It does not, or is not.
    """
    if name not in FORMATS:
        raise ConfigError(f"no format {name!r}: {nearest(name, FORMATS)}")
    if target not in FORMATS[name].targets:
        wanted = TARGET_NAMES[target]
        serving = [known for known, form in FORMATS.items() if target in form.targets]
        raise UsageError(
            f"format {name} is {_purpose(name)}, not for {wanted}. "
            f"Formats for {wanted}: {', '.join(serving)}"
        )
    return name


def format_of(
    path: str | os.PathLike[str],
    target: TargetKind,
    name: str | None = None,
    *,
    labelled: bool = True,
) -> str:
    """Key in `FORMATS` of a file; ``-`` is plain text where no targets are read.

    Raises:
        UsageError: A format that does not exist or is not read for such targets.
        FormatError: An ending that is of no format.

    Example:
        >>> format_of("train.tsv", "tags"), format_of("train.tsv", "label")
        ('conll', 'tsv')
    """
    wanted = TARGET_NAMES[target]
    serving = [known for known, form in FORMATS.items() if target in form.targets]
    if name is not None:
        return named_format(name, target)
    if Path(path).is_dir():
        return _format_of_folder(Path(path), serving)
    serving = [known for known in serving if FORMATS[known].endings or not FORMATS[known].folder]
    if labelled:
        # Plain text holds no labels: a hint that leads there leads nowhere.
        serving.remove("text")
    remedy = f"--format {'|'.join(serving)}"
    if str(path) == STANDARD_INPUT:
        if not labelled:
            return "text"
        raise UsageError(f"standard input needs its format: {remedy}")
    ending = ending_of(path)
    matching = [known for known, form in FORMATS.items() if ending in form.endings]
    for known in matching:
        if target in FORMATS[known].targets:
            return known
    if matching:
        raise FormatError(
            f"{path}: format {matching[0]} is {_purpose(matching[0])}, not for {wanted}. "
            f"If the file is of another, name it: {remedy}"
        )
    if ending in PARTS and target == "tags":
        return "conll"
    if ending in PARTS:
        raise FormatError(
            f"{path}: {ending} names a part of a data set, not its format. Name it: {remedy}"
        )
    endings = sorted({ending for known in serving for ending in FORMATS[known].endings})
    raise FormatError(
        f"{path}: unknown ending {ending or '(none)'}. Files read for {wanted} end in "
        f"{' '.join(endings)} (and .gz of each); or name the format: {remedy}"
    )


def _format_of_folder(path: Path, serving: Sequence[str]) -> str:
    """The format of a folder, by what is in it."""
    of_folders = [name for name in serving if FORMATS[name].folder is not None]
    for name in of_folders:
        if (holds := FORMATS[name].folder) is not None and holds(path):
            return name
    raise FormatError(
        f"{path}: is a directory. Name a file in it. Directories of these formats are read: "
        f"{', '.join(of_folders) or 'none for these targets'}."
    )


def _purpose(name: str) -> str:
    """What a format is for, in words: for labels or values."""
    return "for " + " or ".join(TARGET_NAMES[target] for target in sorted(FORMATS[name].targets))
