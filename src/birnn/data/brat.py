"""Texts with standoff annotations, as BRAT keeps them: ``.txt`` and beside it ``.ann``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from birnn.data.annotated import AnnotatedTexts
from birnn.data.examples import Example
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.spans import TextSpan, holds_as_told
from birnn.data.writing import WriteRequest
from birnn.errors import DataError, FormatError

TEXT, ANNOTATIONS = ".txt", ".ann"

_BOUND = re.compile(r"(T\S*)\t(\S+) ([\d ;]+)(?:\t(.*))?")
_FILE = re.compile(r"[\w-][\w.-]{0,150}")  # names that files have everywhere
# What lines of an .ann file are, by their first character.
_OTHERS = {
    "R": "relations",
    "*": "relations",
    "E": "events",
    "A": "attributes",
    "M": "attributes",
    "N": "references",
    "#": "notes",
}


def holds_brat(folder: Path) -> bool:
    """Whether a folder has annotations in it, or nothing but texts."""
    endings = {path.suffix for path in folder.rglob("[!.]*") if path.is_file()}
    return ANNOTATIONS in endings or endings == {TEXT}


def read_brat(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""The documents of a folder, or that of one ``.ann`` or ``.txt`` file.

    Text-bound annotations (lines ``T1<TAB>PER 0 3<TAB>Ada``) are read. Those of several parts, and
    relations, events, attributes and notes are counted and told. Offsets count characters of the
    file as it stands, two for ``\r\n``; a file whose line ends or byte order mark were changed
    since is known by the texts beside the offsets.

    Raises:
        FormatError: A file that is missing, a line that is no annotation.

    Source: https://brat.nlplab.org/standoff.html
    """
    texts = AnnotatedTexts(source, request)
    for path in _documents(source, request, texts):
        annotations = path.with_suffix(ANNOTATIONS)
        text = _source(source, path.with_suffix(TEXT)).text()
        spans: list[TextSpan] = []
        if request.labelled:
            spans = _spans(_source(source, annotations), texts)
            text = max(_variants(text), key=lambda each: _held(each, spans))
        where = str(annotations if request.labelled else path.with_suffix(TEXT))
        folder = Path(source.name)
        name = path.relative_to(folder) if folder.is_dir() else Path(path.name)
        try:
            yield texts.tagged(text, spans, where, name.with_suffix("").as_posix())
        except DataError as error:
            raise FormatError(f"{where}: {error}") from None
    texts.report()


def _documents(source: Source, request: ReadRequest, texts: AnnotatedTexts) -> list[Path]:
    """The files of texts, in the order of their names."""
    place = Path(source.name)
    if not place.is_dir():
        return [place]
    found = sorted(place.rglob(f"*{TEXT}"))
    if not request.labelled:
        return found
    annotated = [path for path in found if path.with_suffix(ANNOTATIONS).exists()]
    for path in found:
        if path not in annotated:
            texts.count(f"texts without an {ANNOTATIONS} file, left out", str(path))
    for path in sorted(place.rglob(f"*{ANNOTATIONS}")):
        if not path.with_suffix(TEXT).exists():
            texts.count(f"annotations without their text ({TEXT}), left out", str(path))
    if not annotated:
        raise source.fault(
            f"no {ANNOTATIONS} file in it stands beside a {TEXT} file of its name. Put the texts "
            "beside their annotations."
        )
    return annotated


def _source(source: Source, path: Path) -> Source:
    """A file of a document, which may be empty."""
    if path.is_file() and not path.stat().st_size:
        return Source.from_text("", str(path))
    return Source.from_path(path, tell=source.tell, max_line=source.max_line)


def _variants(text: str) -> list[str]:
    r"""The text, and as it may have been when it was annotated: without mark, lines ended by \n."""
    bare = text.removeprefix("\ufeff")
    found = [text, bare, text.replace("\r\n", "\n"), bare.replace("\r\n", "\n")]
    return list(dict.fromkeys(found))


def _held(text: str, spans: list[TextSpan]) -> int:
    """How many spans cover what the file says that they do."""
    return sum(span.text is not None and holds_as_told(text, span) for span in spans)


def _spans(source: Source, texts: AnnotatedTexts) -> list[TextSpan]:
    spans: list[TextSpan] = []
    names: set[str] = set()
    for number, line in enumerate(source.lines(), 1):
        where = source.where(number)
        if not line.strip():
            continue
        if other := _OTHERS.get(line[0]):
            texts.count(f"{other}, which are not read", where)
            continue
        found = _BOUND.fullmatch(line)
        if found is None:
            raise source.fault(
                "no annotation: T1<TAB>LABEL START END<TAB>TEXT is one, with tabs where <TAB> "
                "stands.",
                number,
            )
        name, label, offsets, text = found.groups()
        if name in names:
            texts.count("ids that stand more than once in their file, each time read", where)
        names.add(name)
        parts = [part.split() for part in offsets.split(";")]
        if len(parts) > 1:
            texts.count("spans of several parts, left out", where)
        elif len(parts[0]) != 2 or any(len(offset) > 15 for offset in parts[0]):
            raise source.fault(f"{offsets.strip()!r} is no start and end of a span.", number)
        else:
            start, end = map(int, parts[0])
            spans.append(TextSpan(start, end, label, text))
    return spans


def write_brat(examples: Iterable[Example], request: WriteRequest) -> Iterator[tuple[str, str]]:
    r"""Names and contents of two files for each text, called by its id or its number.

    Example:
        >>> example = Example(("Ada",), ("B-PER",), id="7")
        >>> dict(write_brat([example], WriteRequest("tags", "brat", "iob2")))
        {'7.txt': 'Ada', '7.ann': 'T1\tPER 0 3\tAda\n'}
    """
    names: set[str] = set()
    for number, example in zip(count(1), examples, strict=False):
        text, offsets = request.placed(example)
        name = example.id or f"{number:06}"
        if not _FILE.fullmatch(name) or name in names:
            request.lose("ids that are no names of files or stand twice, numbers do", example.where)
            name = f"{number:06}"
        names.add(name)
        yield name + TEXT, text
        rows = [
            f"T{at}\t{request.word(example, span.label)} {span.start} {span.end}\t"
            f"{' '.join(text[span.start : span.end].splitlines())}\n"
            for at, span in enumerate(request.spans(example, offsets), 1)
        ]
        yield name + ANNOTATIONS, "".join(rows)
